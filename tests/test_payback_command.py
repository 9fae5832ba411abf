"""`fathom payback`: the sources' worked numbers, what it prints, and what it refuses."""

import json
from typing import Any

import pytest

from fathom_tui import cli
from fathom_tui.commands import payback
from fathom_tui.figures import Figure
from fathom_tui.store.paths import Home

Capture = pytest.CaptureFixture[str]
TODAY = "2026-11-22"
NO_POWER = ("--assume", "gbp_per_kwh=0")
"""The sources leave electricity out of their break-even hours."""


@pytest.fixture(autouse=True)
def _on_a_known_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payback, "_today", lambda: TODAY)


def answer(capsys: Capture, *arguments: str) -> Any:
    assert cli.main(["payback", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def text(capsys: Capture, *arguments: str) -> str:
    assert cli.main(["payback", *arguments]) == 0
    return capsys.readouterr().out


def refusal(capsys: Capture, *arguments: str) -> str:
    assert cli.main(["payback", *arguments]) == 2
    return capsys.readouterr().err


def given(value: float, unit: str) -> dict[str, Any]:
    """Return a figure that the user gave."""
    return {"value": value, "unit": unit, "kind": "assumed", "source": "given", "as_of": TODAY}


def computed(value: float, unit: str, source: str) -> dict[str, Any]:
    """Return a figure that was worked out today."""
    return {
        "value": pytest.approx(value, rel=1e-6), "unit": unit, "kind": "computed",
        "source": source, "as_of": TODAY,
    }  # fmt: skip


def own_row(home: Home, toml: str) -> None:
    """Write a user's own row of the catalog, with its origin."""
    home.config.mkdir(parents=True, exist_ok=True)
    origin = f'source = "our books"\nas_of = {TODAY}\nkind = "measured-here"\n'
    (home.config / "catalog.toml").write_text(f"{toml}\n{origin}", "utf-8")


class TestFineTune:
    def test_the_guides_calculator_pays_back_after_9_5_months(self, capsys: Capture) -> None:
        found = answer(capsys, "fine-tune", "--api-month", "1050")
        assert found["spent"]["value"] == 9_700
        assert found["months"]["value"] == pytest.approx(9.5, abs=0.05)

    def test_its_terms_are_what_every_flag_says(self, capsys: Capture) -> None:
        found = answer(
            capsys, "fine-tune", "--data-hours", "40", "--hourly-rate", "100", "--training", "200",
            "--hardware", "5500", "--serving-month", "30", "--api-month", "1050",
        )  # fmt: skip
        assert found == {
            "currency": "USD",
            "terms": {
                "data": computed(4_000, "USD", "data"),
                "training": given(200, "USD"),
                "hardware": given(5_500, "USD"),
            },
            "spent": computed(9_700, "USD", "sum of the terms"),
            "api_month": given(1_050, "USD/month"),
            "serving_month": given(30, "USD/month"),
            "saved_month": computed(1_020, "USD/month", "API less serving"),
            "months": computed(9_700 / 1_020, "months", "spent over saved a month"),
            "why": "9,700 USD once over 1,020 USD saved a month.",
            "assumptions": {
                "data_hours": given(40, "hours"),
                "hourly_rate": given(100, "USD/hour"),
                "training": given(200, "USD"),
                "hardware": given(5_500, "USD"),
                "serving_month": given(30, "USD/month"),
                "api_month": given(1_050, "USD/month"),
            },
        }

    def test_what_is_left_out_names_the_guide(self, capsys: Capture) -> None:
        known = answer(capsys, "fine-tune", "--api-month", "1050")["assumptions"]
        assert known.pop("api_month")["source"] == "given"
        assert all("section 10" in figure["source"] for figure in known.values())
        assert known["hardware"]["source"].startswith("4000 USD (GPU of the break-even calculator)")

    @pytest.mark.parametrize(
        ("code", "rates", "data"),
        [("usd", (), 4_000), ("gbp", (), 3_200), ("gbp", ("--usd-per-gbp", "1"), 4_000),
         ("eur", ("--eur-per-gbp", "1.15"), 3_680)],
    )  # fmt: skip
    def test_assumed_dollars_are_converted(
        self, capsys: Capture, code: str, rates: tuple[str, ...], data: float
    ) -> None:
        found = answer(capsys, "fine-tune", "--api-month", "900", "--currency", code, *rates)
        assert found["terms"]["data"]["value"] == pytest.approx(data)
        assert found["spent"]["unit"] == found["currency"] == code.upper()

    def test_given_sums_are_in_the_currency_and_need_no_rate(self, capsys: Capture) -> None:
        found = answer(
            capsys, "fine-tune", "--currency", "eur", "--api-month", "500", "--hourly-rate", "80",
            "--training", "0", "--hardware", "0", "--serving-month", "100",
        )  # fmt: skip
        assert found["months"]["value"] == pytest.approx(40 * 80 / 400)

    def test_a_never_says_why(self, capsys: Capture) -> None:
        flags = ("fine-tune", "--api-month", "20", "--serving-month", "60")
        assert answer(capsys, *flags)["months"]["value"] is None
        first = text(capsys, *flags).splitlines()[0]
        assert first == "Never: serving costs 40 USD a month more than the API."

    def test_prints_months_and_terms(self, capsys: Capture) -> None:
        shown = " ".join(text(capsys, "fine-tune", "--api-month", "1050").split())
        assert "Paid back after 9.5 months (285 days)" in shown
        assert "data 4,000 40 hours at 100 USD/hour" in shown
        assert "saved 1,020" in shown

    def test_a_users_own_row_stands_in_for_a_flag(self, capsys: Capture, home: Home) -> None:
        own_row(home, '[[assumptions]]\nid = "data_hours"\nvalue = 10')
        found = answer(capsys, "fine-tune", "--api-month", "1050")
        assert found["terms"]["data"]["value"] == 1_000
        assert found["assumptions"]["data_hours"]["source"] == "our books"


class TestRent:
    @pytest.mark.parametrize(("rent", "hours"), [("1.80", 482), ("2.50", 347), ("3.29", 264)])
    def test_an_h100_at_25000_breaks_even_at_hours_that_depend_on_the_rent(
        self, capsys: Capture, rent: str, hours: float
    ) -> None:
        found = answer(
            capsys, "rent", "--gpu", "h100", "--hours", "8", "--price", "25000", "--rent", rent,
            *NO_POWER,
        )  # fmt: skip
        assert found["break_even_hours_month"]["value"] == pytest.approx(hours, abs=0.5)

    @pytest.mark.parametrize(("rate", "days"), [("1.25", 475), ("1", 380)])
    def test_an_h100_at_30000_takes_475_days(self, capsys: Capture, rate: str, days: int) -> None:
        found = answer(
            capsys, "rent", "--gpu", "h100", "--hours", "24", "--rent", "3.29",
            "--usd-per-gbp", rate, *NO_POWER,
        )  # fmt: skip
        assert found["days_around_the_clock"]["value"] == pytest.approx(days, abs=0.5)
        assert found["assumptions"]["machine_price_gbp"]["value"] == 30_000

    def test_electricity_makes_owning_dearer(self, capsys: Capture) -> None:
        flags = ("rent", "--gpu", "h100", "--hours", "8")
        powered, free = answer(capsys, *flags), answer(capsys, *flags, *NO_POWER)
        assert powered["electricity_per_hour"]["value"] == pytest.approx(0.7 * 0.14)
        hours = "break_even_hours_month"
        assert powered[hours]["value"] > free[hours]["value"]

    def test_its_json_is_whole(self, capsys: Capture) -> None:
        found = answer(capsys, "rent", "--gpu", "rtx-4090", "--hours", "4", "--resale", "20%")
        month = 1_600 / 36
        gained = 0.6 / 1.25 - 0.063
        known = found.pop("assumptions")
        hours = "(price - resale)/months over (rent - electricity)"
        per_day = "(price - resale) over 24 hours of (rent - electricity)"
        per_month = "(price - resale) over a month's hours of (rent - electricity)"
        own = "(price - resale)/months + electricity"
        assert found == {
            "gpu": "rtx-4090",
            "rent_per_hour": computed(0.48, "GBP/hour", "rent at the exchange rate"),
            "electricity_per_hour": computed(0.063, "GBP/hour", "watts times price"),
            "own_month": computed(month + 120 * 0.063, "GBP/month", own),
            "rent_month": computed(57.6, "GBP/month", "rent an hour times hours"),
            "break_even_hours_month": computed(month / gained, "hours/month", hours),
            "break_even_hours_day": computed(month / gained / 30, "hours/day", hours),
            "days_around_the_clock": computed(1_600 / gained / 24, "days", per_day),
            "payback_months": computed(1_600 / gained / 120, "months", per_month),
            "reachable": True,
            "cheaper": "own",
            "rule": {"label": "run the sum", "why": "4 h/day lies between 3 and 5"},
            "why": "Owning costs less from 107 hours a month (3.6 a day); 4 a day are 120.",
            "agree": None,
            "disagreement": None,
        }
        assert list(known) == [
            "hours_per_day", "rent_usd_per_hour", "resale_share", "machine_price_gbp",
            "machine_watts", "usd_per_gbp", "gbp_per_kwh", "months",
        ]  # fmt: skip
        assert all(Figure.from_json(figure).source for figure in known.values())
        assert "0.4 to 0.8 USD at Vast.ai" in known["rent_usd_per_hour"]["source"]

    @pytest.mark.parametrize(
        ("gpu", "price", "hours", "label", "cheaper", "agree"),
        [
            ("rtx-4090", "2200", "1", "rent", "rent", True),
            ("rtx-4090", "2200", "8", "own", "own", True),
            ("rtx-4090", "2800", "4", "run the sum", "rent", None),
            ("rtx-4090", "4500", "5.5", "own", "rent", False),
            ("rtx-4090", "800", "2.5", "rent", "own", False),
            ("h100", "25000", "8", "rent", "rent", True),
            ("h100", "25000", "20", "rent", "own", False),
        ],
    )
    def test_says_whether_rule_6_and_the_sum_agree(
        self,
        capsys: Capture,
        gpu: str,
        price: str,
        hours: str,
        label: str,
        cheaper: str,
        agree: bool | None,
    ) -> None:
        found = answer(capsys, "rent", "--gpu", gpu, "--hours", hours, "--price", price)
        assert (found["rule"]["label"], found["cheaper"], found["agree"]) == (label, cheaper, agree)
        assert (found["disagreement"] is not None) is (agree is False)

    def test_a_disagreement_is_printed_with_both_sums(self, capsys: Capture) -> None:
        flags = ("--gpu", "h100", "--hours", "20", "--rent", "3.29", *NO_POWER)
        shown = " ".join(text(capsys, "rent", *flags).split())
        assert "Rule 6: rent; cards of the H100 class" in shown
        assert "rent by the rule, own by cost (£833 a month to own, £1,579 to rent)" in shown
        assert "475 days at 24 h a day, until rent less electricity is £30,000" in shown

    def test_two_cards_are_rented_at_twice_the_price_of_one(self, capsys: Capture) -> None:
        known = answer(capsys, "rent", "--gpu", "rtx-4090-x2", "--hours", "8")["assumptions"]
        assert known["rent_usd_per_hour"]["value"] == pytest.approx(1.2)
        assert known["rent_usd_per_hour"]["source"].startswith("2 x the middle of")
        assert known["machine_price_gbp"]["value"] == 3_200

    def test_months_and_resale_change_what_is_written_off(self, capsys: Capture) -> None:
        flags = ("rent", "--gpu", "rtx-4090", "--hours", "0", "--price", "2400")
        found = answer(capsys, *flags, "--months", "24", "--resale", "0.5")
        assert found["own_month"]["value"] == pytest.approx(50)
        assert found["payback_months"]["value"] is None
        assert found["assumptions"]["months"] == given(24, "months")

    def test_a_rent_below_electricity_never_pays_back(self, capsys: Capture) -> None:
        shown = text(capsys, "rent", "--gpu", "h100", "--hours", "8", "--rent", "0.05")
        assert shown.startswith("RENT  H100 80GB SXM at 8 h a day\n  Never:")
        assert shown.count("never") == 3

    def test_an_unknown_rent_is_asked_for_and_may_be_given(self, capsys: Capture) -> None:
        flags = ("rent", "--gpu", "h200", "--hours", "4", "--price", "30000")
        said = refusal(capsys, *flags)
        assert "No rent of H200 141GB SXM is known" in said and "--rent DOLLARS" in said
        assert answer(capsys, *flags, "--rent", "3.80")["gpu"] == "h200-141gb"

    def test_an_unknown_price_is_asked_for_by_its_own_flag(self, capsys: Capture) -> None:
        said = refusal(capsys, "rent", "--gpu", "h200", "--hours", "4", "--rent", "3.80")
        assert "No price of H200 141GB SXM is known" in said and "--price POUNDS" in said

    def test_an_unknown_gpu_offers_the_nearest_names(self, capsys: Capture) -> None:
        said = refusal(capsys, "rent", "--gpu", "rtx-3091", "--hours", "4")
        assert "'rtx-3091'" in said and "rtx-3090" in said


class TestTeam:
    ALL = ("--lora-engineer", "yes", "--weeks-free", "4", "--eval-harness", "yes")

    def test_its_json_is_whole(self, capsys: Capture) -> None:
        found = answer(capsys, "team", "--lora-engineer", "yes", "--weeks-free", "2")
        assert list(found) == ["maker", "path", "why", "options", "assumptions"]
        assert found["maker"] == "buy"
        assert [step["answer"] for step in found["path"]] == ["yes", "no"]
        tuning = next(option for option in found["options"] if option["id"] == "fine-tuning")
        cost = {
            "low": {"value": 4_500, "unit": "GBP", "kind": "community",
                    "source": "book, ch. 6 (April 2026)", "as_of": "2026-04-01"},
            "high": {"value": 15_000, "unit": "GBP", "kind": "community",
                     "source": "book, ch. 6 (April 2026)", "as_of": "2026-04-01"},
        }  # fmt: skip
        expected = {name: {**figure, "kind": "computed"} for name, figure in cost.items()}
        book = {"kind": "community", "source": "book, ch. 6 (April 2026)", "as_of": "2026-04-01"}
        assert tuning == {
            "id": "fine-tuning", "name": "Fine-tuning", "cost": cost, "expected": expected,
            "rework": {"value": 0.2, "unit": "share", **book},
            "weeks": {
                "low": {"value": 1, "unit": "weeks", **book},
                "high": {"value": 3, "unit": "weeks", **book},
            },
        }  # fmt: skip
        values = {name: figure["value"] for name, figure in found["assumptions"].items()}
        assert values == {"diy_hours": 160, "rate_low_gbp": 80, "rate_high_gbp": 120}

    @pytest.mark.parametrize(
        ("flags", "maker"),
        [
            (ALL, "diy"),
            ((*ALL[:-1], "no"), "diy-plus-2-weeks"),
            (("--lora-engineer", "no"), "buy"),
            (("--lora-engineer", "yes", "--weeks-free", "0"), "buy"),
            (("--lora-engineer", "yes"), None),
            ((), None),
        ],
    )
    def test_the_tree_is_walked_as_far_as_the_flags_go(
        self, capsys: Capture, flags: tuple[str, ...], maker: str | None
    ) -> None:
        assert answer(capsys, "team", *flags)["maker"] == maker

    def test_build_buy_and_consultancy_stand_side_by_side(self, capsys: Capture) -> None:
        shown = text(capsys, "team", *self.ALL)
        assert shown.startswith("BUILD  with your own engineer: ")
        assert "12,800 to 19,200" in shown  # one's own
        assert "4,500 to 15,000" in shown  # the service
        assert "45,000 to 80,000" in shown  # the consultancy

    def test_a_question_without_an_answer_is_shown(self, capsys: Capture) -> None:
        shown = text(capsys, "team", "--lora-engineer", "yes")
        assert (
            shown.startswith("UNKNOWN") and "unknown  Has that engineer four weeks free?" in shown
        )

    @pytest.mark.parametrize(
        ("rates", "low", "high"),
        [("value = 50", 8_000, 8_000), ("value = 50\nlow = 40\nhigh = 60", 6_400, 9_600),
         ("high = 200", 12_800, 32_000)],
    )  # fmt: skip
    def test_a_users_own_rate_is_not_mixed_with_our_range(
        self, capsys: Capture, home: Home, rates: str, low: float, high: float
    ) -> None:
        own_row(home, f'[[assumptions]]\nid = "diy_gbp_per_hour"\n{rates}')
        options = answer(capsys, "team")["options"]
        cost = next(option for option in options if option["id"] == "diy")["cost"]
        assert (cost["low"]["value"], cost["high"]["value"]) == (low, high)


class TestRefusals:
    RENT = ("rent", "--gpu", "rtx-4090", "--hours", "4")
    TUNE = ("fine-tune", "--api-month", "1050")

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ((), "fine-tune|rent|team"),
            (("fine-tune",), "--api-month"),
            (("fine-tune", "--api-month", "-5"), "'-5'"),
            (("fine-tune", "--api-month", "lots"), "'lots'"),
            ((*TUNE, "--data-hours", "nan"), "--data-hours is 'nan'"),
            ((*TUNE, "--hardware", "1e30"), "--hardware is '1e30'"),
            ((*TUNE, "--data-hours", "1e9", "--hourly-rate", "1e9"), "data is 1e+18"),
            ((*TUNE, "--currency", "gpb"), "Did you mean gbp?"),
            ((*TUNE, "--currency", "eur"), "--eur-per-gbp 1.15"),
            ((*TUNE, "--currency", "gbp", "--usd-per-gbp", "0"), "--usd-per-gbp is '0'"),
            (("rent", "--gpu", "rtx-4090"), "--hours"),
            (("rent", "--gpu", "rtx-4090", "--hours", "25"), "at most 24"),
            (("rent", "--gpu", "rtx-4090", "--hours", "-1"), "'-1'"),
            ((*RENT, "--rent", "0"), "--rent is '0'"),
            ((*RENT, "--price", "0"), "--price is '0'"),
            ((*RENT, "--months", "0.5"), "--months is '0.5'"),
            ((*RENT, "--months", "1e9"), "months is 1000000000.0"),
            ((*RENT, "--resale", "120%"), "outside 0 to 1"),
            ((*RENT, "--resale", "inf"), "'inf'"),
            ((*RENT, "--assume", "gbp_per_kw=3"), "Did you mean gbp_per_kwh?"),
            ((*RENT, "--assume", "operations_gbp=0"), "operations_gbp changes nothing here"),
            ((*RENT, "--assume", "months=1e-300"), "months is 1e-300"),
            ((*RENT, "--usd-per-gbp", "1e-300"), "usd_per_gbp is 1e-300"),
            (("team", "--lora-engineer", "maybe"), "maybe"),
            (("team", "--weeks-free", "-1"), "'-1'"),
            (("team", "--weeks-free", "some"), "'some'"),
        ],
    )
    def test_name_the_value_and_a_way_out(
        self, capsys: Capture, arguments: tuple[str, ...], words: str
    ) -> None:
        said = refusal(capsys, *arguments)
        assert words in said
        assert "fix:" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ("fine-tune", "--api-month", "1050"),
        ("fine-tune", "--api-month", "1e15", "--training", "1e15", "--currency", "gbp"),
        ("rent", "--gpu", "rtx-4090-x2", "--hours", "4", "--resale", "20%"),
        ("rent", "--gpu", "h100", "--hours", "20", "--rent", "3.29"),
        ("rent", "--gpu", "h100", "--hours", "1", "--price", "1e9", "--rent", "0.001", *NO_POWER),
        ("team", "--lora-engineer", "yes", "--weeks-free", "6", "--eval-harness", "no"),
        ("team",),
    ],
    ids=" ".join,
)
def test_text_fits_80_columns_and_loses_nothing(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = text(capsys, *arguments)
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown


@pytest.mark.parametrize("question", ["fine-tune", "rent", "team"])
def test_help_documents_every_field_of_the_json(capsys: Capture, question: str) -> None:
    flags = {"fine-tune": ("--api-month", "1050"), "rent": ("--gpu", "h100", "--hours", "8")}
    fields = answer(capsys, question, *flags.get(question, ()))
    with pytest.raises(SystemExit):
        cli.main(["payback", question, "--help"])
    said = capsys.readouterr().out
    assert [name for name in fields if f'"{name}"' not in said] == []
