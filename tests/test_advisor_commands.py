"""The advisor's command-line twins: what they print, and what they refuse."""

import json
from typing import Any

import pytest

from fathom_tui import cli
from fathom_tui.figures import Figure
from fathom_tui.store import Home, Store

Capture = pytest.CaptureFixture[str]


def answer(capsys: Capture, *arguments: str) -> Any:
    assert cli.main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refusal(capsys: Capture, *arguments: str) -> str:
    assert cli.main(arguments) == 2
    return capsys.readouterr().err


class TestAdvise:
    def test_prints_the_documented_fields(self, capsys: Capture) -> None:
        found = answer(
            capsys, "advise", "--tokens-per-day", "8M", "--input-share", "0.8",
            "--regulation", "gdpr,fca", "--gpu-hours", "2",
        )  # fmt: skip
        assert list(found) == [
            "workload", "verdict", "rule", "cost_verdict", "agree", "disagreement", "follow",
            "also", "path", "flips", "confidence", "say", "ownership", "technique", "cheapest_api",
            "monthly", "compared", "crossover", "crossover_optimised", "hybrid_from", "cost_edges",
            "cost_growth_months", "outgrown_month", "price_decline", "capacity", "machines",
            "warnings",
        ]  # fmt: skip
        assert (found["verdict"], found["rule"], found["cost_verdict"]) == ("local", 3, "local")
        assert found["ownership"]["label"] == "rent"
        assert found["flips"] == [
            {"input": "regulations", "from": "gdpr,fca", "to": "none", "verdict": "hybrid"}
        ]

    def test_shows_the_rule_and_the_costs_apart_at_2_million(self, capsys: Capture) -> None:
        found = answer(capsys, "advise", "--tokens-per-day", "2M", "--growth", "15%")
        assert (found["verdict"], found["cost_verdict"]) == ("hybrid", "cloud")
        assert found["monthly"]["cloud"]["value"] == 259.2
        assert {"input": "months", "from": 0, "to": 11.5, "verdict": "local"} in found["flips"]
        assert found["cost_growth_months"]["value"] == 7.4
        last = found["price_decline"][-1]
        assert (last["years"], last["yearly_fall"]["value"]) == (3, 0.6)
        assert last["crossover"]["value"] == pytest.approx(3.855e6 / 0.4**3, rel=0.001)

    @pytest.mark.parametrize("volume", ["8M", "8_000_000", "8000k", "8e6", "8,000,000"])
    def test_takes_a_volume_as_people_write_it(self, capsys: Capture, volume: str) -> None:
        found = answer(capsys, "advise", "--tokens-per-day", volume)
        assert found["workload"]["tokens_per_day"] == 8e6

    def test_says_the_verdict_first_in_80_columns(
        self, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        assert cli.main(["advise", "--tokens-per-day", "2M"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith("HYBRID")
        assert max(map(len, lines)) <= 80

    def test_shows_sums_in_dollars(self, capsys: Capture) -> None:
        found = answer(capsys, "advise", "--tokens-per-day", "2M", "--currency", "usd")
        assert found["monthly"]["cloud"]["value"] == 324.0
        assert found["monthly"]["cloud"]["unit"] == "USD/month"

    def test_takes_another_assumption(self, capsys: Capture) -> None:
        found = answer(
            capsys, "advise", "--tokens-per-day", "2M", "--assume", "operations_gbp=0",
            "--assume", "tuning_gbp=0",
        )  # fmt: skip
        assert found["monthly"]["local"]["value"] == pytest.approx(179.61)
        assert found["cost_verdict"] == "local"

    def test_of_a_device_of_unknown_speed_has_no_sum(self, capsys: Capture) -> None:
        pi = ("--tokens-per-day", "50M", "--gpu", "raspberry-pi-5-8gb", "--gpu-price", "80")
        assert cli.main(["advise", *pi]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert said.startswith("LOCAL") and "The costs cannot be compared" in said
        assert "costs agree" not in said and "hybrid unknown" in said and "local unknown" in said

    def test_shows_the_sums_that_are_compared(self, capsys: Capture) -> None:
        assert cli.main(["advise", "--tokens-per-day", "2M", "--regulation", "gdpr"]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "cloud £2,343 Claude Sonnet 4 at full price £259 + compliance £2,084" in said
        assert "hybrid £2,673" in said and "local £906" in said
        assert "compliance, £2,084, comes on top" in said
        assert "added to cloud and hybrid" in said
        assert "where the base model is good enough, local is £500" in said

    def test_says_where_compliance_falls_on_the_cloud_alone(self, capsys: Capture) -> None:
        free = ("--regulation", "gdpr", "--not-personal")
        assert cli.main(["advise", "--tokens-per-day", "2M", *free]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "added to cloud only" in said and "cloud £2,343" in said and "hybrid £589" in said

    def test_breaks_every_sum_into_its_terms(self, capsys: Capture) -> None:
        assert cli.main(["advise", "--tokens-per-day", "2B", "--regulation", "gdpr"]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "31 machines of" in said and "operations £2,720" in said
        assert "22 machines: hardware £1,956" in said

    def test_says_why_and_which_to_follow(self, capsys: Capture) -> None:
        assert cli.main(["advise", "--tokens-per-day", "2M", "--growth", "15%"]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "Rule 2 goes by volume alone" in said and "= 5.64M tokens/day" in said
        assert "For money alone follow the costs" in said
        assert "in 7.4 months growth makes hybrid the cheapest" in said
        assert "£500 with operations and without tuning, crosses Claude Sonnet 4 at full" in said
        assert "the hybrid's local share is more than one machine answers in month 28" in said

    def test_says_that_an_api_cannot_keep_a_short_limit(self, capsys: Capture) -> None:
        assert cli.main(["advise", "--tokens-per-day", "2M", "--latency-ms", "50"]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "But: The rules do not ask about latency" in said

    @pytest.mark.parametrize("growth", ["-5%", "-0.05"])
    def test_takes_a_volume_that_shrinks(self, capsys: Capture, growth: str) -> None:
        found = answer(capsys, "advise", "--tokens-per-day", "2M", "--growth", growth)
        assert found["workload"]["growth"] == -0.05

    def test_names_the_sources_of_what_is_assumed_and_of_the_cheapest(
        self, capsys: Capture
    ) -> None:
        found = answer(capsys, "advise", "--tokens-per-day", "2M")
        operations, cheapest = found["monthly"]["local_operations"], found["cheapest_api"]["month"]
        assert operations["source"].startswith("operations_gbp: what the book's 350 to 700")
        assert "Gemini 2.0 Flash, book, ch. 1 (April 2026)" in cheapest["source"]
        given = answer(capsys, "advise", "--tokens-per-day", "2M", "--assume", "operations_gbp=9")
        assert given["monthly"]["local_operations"]["source"] == "operations_gbp: given"

    def test_answers_what_is_to_be_done_about_the_work(self, capsys: Capture) -> None:
        known = ("prompt_tried=yes", "prompt_enough=no", "plain_code_enough=no", "examples=150")
        flags = [flag for answer_ in known for flag in ("--answer", answer_)]
        found = answer(capsys, "advise", "--tokens-per-day", "2M", "--task", "triage", *flags)
        said = found["technique"]
        assert said["choice"] != "sft"
        assert any("150 examples are fewer than 200" in b["reason"] for b in said["blocks"])

    def test_runs_the_sum_behind_rule_6(self, capsys: Capture) -> None:
        found = answer(capsys, "advise", "--tokens-per-day", "2M", "--gpu-hours", "4")
        assert found["ownership"]["label"] == "run the sum"
        hours = found["ownership"]["rent_or_buy"]["break_even_hours_day"]
        assert hours["value"] == pytest.approx(3.6, abs=0.05)

    def test_says_that_prices_are_old(self, capsys: Capture) -> None:
        book = answer(capsys, "advise", "--tokens-per-day", "2M")
        assert any("more than 90 days old" in warning for warning in book["warnings"])

    def test_compares_with_the_prices_of_today(self, capsys: Capture) -> None:
        found = answer(
            capsys, "advise", "--tokens-per-day", "2M", "--snapshot", "current",
            "--against", "claude-sonnet-4.6",
        )  # fmt: skip
        assert "genai-prices" in found["monthly"]["cloud"]["source"]

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("--tokens-per-day", "2M", "--answer", "exampels=3"), "Did you mean examples?"),
            (("--tokens-per-day", "2M", "--answer", "examples=yes"), "Give a number"),
            (("--tokens-per-day", "2M", "--answer", "private=3"), "Give yes or no"),
            (("--tokens-per-day", "2M", "--task", "triagge"), "triage"),
            (("--tokens-per-day", "0"), "more than 0"),
            (("--tokens-per-day", "-5"), "'-5'"),
            (("--tokens-per-day", "nan"), "'nan'"),
            (("--tokens-per-day", "1e30"), "'1e30'"),
            (("--tokens-per-day", "2M", "--input-share", "1.2"), "outside 0 to 1"),
            (("--tokens-per-day", "2M", "--regulation", "hippa"), "Did you mean hipaa?"),
            (("--tokens-per-day", "2M", "--gpu", "rtx-3091"), "rtx-3090"),
            (("--tokens-per-day", "2M", "--against", "sonet"), "claude-sonnet-4"),
            (("--tokens-per-day", "2M", "--currency", "gpb"), "Did you mean gbp?"),
            (("--tokens-per-day", "2M", "--assume", "operation=3"), "operations_gbp"),
            (("--tokens-per-day", "2M", "--assume", "months=0"), "months is 0.0"),
            (("--tokens-per-day", "2M", "--gpu-hours", "25"), "Give 0 to 24 hours a day."),
            (("--tokens-per-day", "2M", "--growth", "5"), "Write 5% for 5 in a hundred, or 500%"),
            (("--tokens-per-day", "2M", "--growth", "15"), "Write 15% for 15 in a hundred."),
            (("--tokens-per-day", "2M", "--growth", "-100%"), "outside -0.99 to 10"),
            (("--tokens-per-day", "2M", "--assume", "operations_gbp"), "operations_gbp=200"),
            (("--tokens-per-day", "2M", "--assume", "local_share="), "local_share=0.5"),
            (("--tokens-per-day", "2M", "--answer", "examples"), "examples=300"),
            (("--tokens-per-day", "2M", "--answer", "private="), "private=yes"),
            (("--tokens-per-day", "2M", "--gpu", "3090"), "rtx-3090 or rtx-3090-x2?"),
            (("--tokens-per-day", "2M", "--bogus"), "fix: fathom advise --help"),
            ((), "No volume was given"),
            (("--tokens-per-day", "2M", "--engagement", ""), "--engagement is empty"),
        ],
    )
    def test_refuses_what_cannot_be_with_the_value_and_a_way_out(
        self, capsys: Capture, arguments: tuple[str, ...], words: str
    ) -> None:
        said = refusal(capsys, "advise", *arguments)
        assert words in said
        assert "fix:" in said


class TestWorkloadsOfAnEngagement:
    def test_are_kept_and_all_answered(self, capsys: Capture, home: Home) -> None:
        Store(home).create_engagement("Acme", {})
        for name, volume in (("triage", "8M"), ("summaries", "500k"), ("triage", "2M")):
            keep = ("--name", name, "--engagement", "acme")
            answer(capsys, "advise", "--tokens-per-day", volume, *keep)
        found = answer(capsys, "advise", "--engagement", "acme")["workloads"]
        assert [(w["workload"]["name"], w["verdict"]) for w in found] == [
            ("triage", "hybrid"),
            ("summaries", "cloud"),
        ]

    def test_are_asked_for_where_there_is_none(self, capsys: Capture, home: Home) -> None:
        Store(home).create_engagement("Acme", {})
        assert "--tokens-per-day 2M --name NAME" in refusal(
            capsys, "advise", "--engagement", "acme"
        )

    def test_of_an_unknown_engagement_are_not_kept(self, capsys: Capture, home: Home) -> None:
        said = refusal(capsys, "advise", "--tokens-per-day", "2M", "--engagement", "nope")
        assert "no engagement 'nope'" in said
        assert "fix: Make it: fathom engagement create nope --advice-only" in said

    def test_of_an_unknown_engagement_name_those_there_are(
        self, capsys: Capture, home: Home
    ) -> None:
        Store(home).create_engagement("Unicode", {})
        said = refusal(capsys, "advise", "--engagement", "unknown")
        assert "Did you mean" not in said
        assert "fix: Name one of: unicode" in said


class TestCost:
    def test_of_1_000_requests_is_the_corrected_calculator(self, capsys: Capture) -> None:
        found = answer(capsys, "cost", "--queries-per-day", "1000")
        values = {name: (found[name] or {}).get("value") for name in list(found)[:7]}
        assert values == {
            "api_month_usd": 1050.0,
            "local_month_usd": 30.0,
            "upfront_usd": 9700.0,
            "break_even_months": 9.5098,
            "year_1_savings_usd": 2715.0,
            "year_3_savings_usd": 27545.0,
            "crossover_tokens_per_day": None,
        }

    def test_of_10_000_requests_saves_372_470_dollars(self, capsys: Capture) -> None:
        found = answer(capsys, "cost", "--queries-per-day", "10k")
        assert found["year_3_savings_usd"]["value"] == 372_470.0

    def test_replaces_the_prices_only(self, capsys: Capture) -> None:
        found = answer(capsys, "cost", "--queries-per-day", "1000", "--against", "gpt-4o")
        assert found["break_even_months"]["value"] == pytest.approx(35.9, abs=0.05)
        assert found["upfront_usd"]["value"] == 9_700

    def test_of_tokens_crosses_sonnet_and_not_flash(self, capsys: Capture) -> None:
        sonnet = answer(capsys, "cost", "--tokens-per-day", "10M")
        assert sonnet["api_month_usd"]["value"] == 1_620
        assert sonnet["crossover_tokens_per_day"]["value"] == pytest.approx(3.86e6, rel=0.01)
        flash = answer(capsys, "cost", "--tokens-per-day", "10M", "--against", "gemini-2.0-flash")
        assert flash["break_even_months"]["value"] is None
        crossings = [c["tokens_per_day"]["value"] for c in flash["crossovers"]]
        assert crossings == pytest.approx([46.9e6, 91.1e6, 182e6], rel=0.005)

    def test_of_more_than_one_machine_can_answer_buys_more(self, capsys: Capture) -> None:
        one = answer(capsys, "cost", "--tokens-per-day", "10M")
        many = answer(capsys, "cost", "--tokens-per-day", "100M")
        assert one["capacity_tokens_per_day"]["value"] < 100e6
        assert many["upfront_usd"]["value"] == 2 * one["upfront_usd"]["value"]

    def test_says_where_it_is_unknown_what_a_machine_can_answer(self, capsys: Capture) -> None:
        assert cli.main(["cost", "--tokens-per-day", "100M", "--gpu", "m4-16gb"]) == 0
        assert "nobody knows how many it takes" in capsys.readouterr().out.replace("\n", " ")

    def test_of_unknown_speed_is_unknown_and_never_paid_back(self, capsys: Capture) -> None:
        pi = ("--tokens-per-day", "50M", "--gpu", "raspberry-pi-5-8gb", "--gpu-price", "80")
        found = answer(capsys, "cost", *pi)
        assert found["api_month_usd"]["value"] == 8_100
        for name in ("local_month_usd", "upfront_usd", "break_even_months", "year_3_savings_usd"):
            assert found[name]["value"] is None
        assert found["crossover_tokens_per_day"] is None and found["crossovers"] == []
        assert cli.main(["cost", *pi]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "its speed is unknown" in said and "paid back after unknown" in said

    def test_says_what_the_quoted_sums_are_in_both_currencies(self, capsys: Capture) -> None:
        flash = ("--tokens-per-day", "10M", "--against", "gemini-2.0-flash")
        assert cli.main(["cost", *flash]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "The book quotes three sums a month for 2 x RTX 4090" in said
        assert "£180 = $225 46.9M tokens/day" in said

    def test_is_shown_in_the_currency_asked_for(self, capsys: Capture) -> None:
        assert cli.main(["cost", "--tokens-per-day", "10M", "--currency", "gbp"]) == 0
        assert "API, a month             £1,296" in capsys.readouterr().out

    def test_quotes_the_sums_of_the_books_machine_for_that_alone(self, capsys: Capture) -> None:
        found = answer(capsys, "cost", "--tokens-per-day", "10M", "--gpu", "rtx-3090")
        assert found["crossovers"] == []
        book = answer(capsys, "cost", "--tokens-per-day", "10M")["crossovers"][0]
        assert Figure.from_json(book["local_month_gbp"]).value == 180

    def test_prints_every_assumption_with_its_source(self, capsys: Capture) -> None:
        for figure in answer(capsys, "cost", "--tokens-per-day", "10M")["assumptions"].values():
            assert Figure.from_json(figure).source

    def test_needs_one_kind_of_volume(self, capsys: Capture) -> None:
        refusal(capsys, "cost")
        refusal(capsys, "cost", "--tokens-per-day", "1M", "--queries-per-day", "1")
        said = refusal(capsys, "cost", "--queries-per-day", "10", "--input-share", "0.5")
        assert "two token counts" in said


class TestAnEngagementWithoutData:
    def test_is_for_advice_and_says_so(self, capsys: Capture) -> None:
        assert cli.main(["engagement", "create", "Acme", "--advice-only"]) == 0
        assert "fathom advise --tokens-per-day 2M --engagement acme" in capsys.readouterr().err
        keep = ("--name", "triage", "--engagement", "acme")
        answer(capsys, "advise", "--tokens-per-day", "8M", *keep)
        assert cli.main(["engagement", "show", "acme"]) == 0
        shown = capsys.readouterr()
        assert "triage: 8,000,000 tokens/day" in shown.out
        assert "nothing can run" in shown.err

    def test_has_none_that_was_given(self, capsys: Capture) -> None:
        said = refusal(capsys, "engagement", "create", "Acme", "--advice-only", "--output", "x")
        assert "--advice-only goes without data, and output was given" in said

    def test_cannot_run(self, capsys: Capture) -> None:
        assert cli.main(["engagement", "create", "Acme", "--advice-only"]) == 0
        assert "lacks contract, dataset" in refusal(capsys, "run", "acme")
