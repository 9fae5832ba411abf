import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.advice import (
    Advice,
    advise,
    monthly,
    verdicts,
)
from fathom_tui.crossing import declining, quoted_crossovers
from fathom_tui.currency import currency
from fathom_tui.economics import Way
from fathom_tui.errors import UsageError
from fathom_tui.figures import Figure, Kind
from fathom_tui.workload import Workload
from tests.advising import FLASH, MACHINE, SETTING


def ask(tokens: float, **changes: object) -> Advice:
    return advise(Workload(tokens_per_day=tokens, **changes), SETTING)  # type: ignore[arg-type]


class TestPriya:
    def test_at_2_million_is_told_hybrid_by_the_rule_and_cloud_by_the_costs(self) -> None:
        found = ask(2e6, growth=0.15)
        assert (found.ruling.rule.number, found.ruling.verdict) == (2, Way.HYBRID)
        assert found.costs.cheapest is Way.CLOUD
        assert "£259 a month against £589" in found.disagreement()
        assert "only above 5.64M" in found.disagreement()

    def test_at_8_million_is_told_hybrid_by_both(self) -> None:
        found = ask(8e6)
        assert (found.ruling.verdict, found.costs.cheapest) == (Way.HYBRID, Way.HYBRID)
        assert found.disagreement() == ""
        assert "gemini-2.0-flash would cost £31, if it will do." in found.agreement()

    @pytest.mark.parametrize("tokens", [2e6, 8e6])
    def test_under_gdpr_and_fca_is_told_local_by_both(self, tokens: float) -> None:
        found = ask(tokens, regulations=("gdpr", "fca"))
        assert (found.ruling.rule.number, found.ruling.verdict) == (3, Way.LOCAL)
        assert found.costs.cheapest is Way.LOCAL

    def test_grows_out_of_the_verdict_in_the_twelfth_month(self) -> None:
        found = ask(2e6, growth=0.15)
        assert found.ruling.growth_months == pytest.approx(11.5, abs=0.05)
        assert found.cost_months == pytest.approx(7.4, abs=0.05)


class TestTheCrossoverTable:
    @pytest.mark.parametrize(
        ("tokens", "cloud", "rule"),
        [(1e5, 13, 1), (1e6, 130, 2), (10e6, 1_296, 2), (30e6, 3_888, 4)],
    )
    def test_has_the_books_sums(self, tokens: float, cloud: float, rule: int) -> None:
        found = ask(tokens)
        assert found.costs.cloud == pytest.approx(cloud, abs=0.5)
        assert found.ruling.rule.number == rule

    def test_ends_with_local_where_the_cloud_costs_five_times_as_much(self) -> None:
        found = ask(30.1e6)
        assert found.costs.cheapest is Way.LOCAL
        assert found.costs.cloud > 5 * 700


class TestADisagreement:
    @pytest.mark.parametrize("tokens", [1e6, 2e6, 5.6e6])
    def test_of_rule_2_lasts_up_to_5_64_million(self, tokens: float) -> None:
        assert not ask(tokens).agrees

    @pytest.mark.parametrize("tokens", [5.7e6, 8e6, 10e6])
    def test_of_rule_2_is_over_beyond(self, tokens: float) -> None:
        assert ask(tokens).agrees

    def test_of_rule_4_appears_against_batch_prices(self) -> None:
        found = ask(12e6, batchable=True)
        assert (found.ruling.verdict, found.costs.cheapest) == (Way.LOCAL, Way.HYBRID)
        assert "£" in found.disagreement()
        assert ask(12e6).agrees


class TestTheEdges:
    def test_are_where_the_cheapest_way_changes(self) -> None:
        edges = [(round(e.tokens_per_day / 1e6, 2), e.below, e.above) for e in ask(2e6).edges]
        assert edges == [(5.64, Way.CLOUD, Way.HYBRID), (10.14, Way.HYBRID, Way.LOCAL)]

    @given(st.floats(1e3, 1e9), st.booleans(), st.floats(0, 1), st.sampled_from([(), ("fca",)]))
    def test_lie_between_two_volumes_of_different_verdicts(
        self, tokens: float, batch: bool, hits: float, regulations: tuple[str, ...]
    ) -> None:
        found = ask(tokens, batchable=batch, cache_hits=hits, regulations=regulations)
        for edge in found.edges:
            for factor, way in ((0.999, edge.below), (1.001, edge.above)):
                at = replace(found.workload, tokens_per_day=edge.tokens_per_day * factor)
                assert verdicts(at, SETTING)[1] is way


class TestTheCheapestApi:
    def test_is_named_with_its_sum_beside_every_verdict(self) -> None:
        found = ask(10e6)
        assert found.cheapest.price is FLASH
        assert found.cheapest.month * 1.25 == pytest.approx(48.0)

    def test_is_crossed_at_three_quoted_sums_as_far_as_the_hardware_goes(self) -> None:
        against = replace(SETTING, price=FLASH)
        assert [crossing.sentence() for crossing in quoted_crossovers(against, 0.8)] == [
            "46.9M tokens/day",
            "beyond this hardware's capacity of 77.8M tokens/day",
            "beyond this hardware's capacity of 77.8M tokens/day",
        ]
        unbounded = replace(against, machine=replace(MACHINE, tokens_per_s=None))
        assert [c.sentence() for c in quoted_crossovers(unbounded, 0.8)] == [
            "46.9M tokens/day", "91.1M tokens/day", "182M tokens/day",
        ]  # fmt: skip


class TestWarnings:
    def test_more_than_the_hardware_can_answer_is_said_and_priced(self) -> None:
        found = ask(100e6)
        (warning, *_) = found.warnings()
        assert "at most 77.8M tokens/day, not 100M" in warning
        assert found.costs.machines == 2
        more = (found.costs.local or 0) - (ask(50e6).costs.local or 0)
        # A machine's purchase and electricity, and a quarter of the operations.
        assert more == pytest.approx(179.61 + 80, abs=0.01)

    def test_what_a_machine_can_answer_is_said_to_be_unknown(self) -> None:
        unknown = replace(SETTING, machine=replace(MACHINE, tokens_per_s=None))
        found = advise(Workload(tokens_per_day=100e6), unknown)
        assert "nobody knows whether one is enough" in found.warnings()[0]

    def test_many_at_once_and_short_waits_are_said(self) -> None:
        said = " ".join(ask(2e6, peak=10, latency_ms=150).warnings())
        assert "vLLM" in said and "150 ms" in said

    def test_a_regulation_leaves_work_to_do(self) -> None:
        said = " ".join(ask(2e6, regulations=("gdpr",), personal=False).warnings())
        assert "impact assessment" in said and "not personal" in said


class TestJson:
    def test_has_the_documented_fields(self) -> None:
        found = json.loads(json.dumps(ask(2e6, growth=0.15).to_json(), allow_nan=False))
        assert found["verdict"] == "hybrid"
        assert (found["rule"], found["cost_verdict"], found["also"]) == (2, "cloud", [6])
        assert found["flips"][-1] == {"input": "months", "from": 0, "to": 11.5, "verdict": "local"}
        assert found["cheapest_api"]["id"] == "gemini-2.0-flash"
        assert found["monthly"]["cloud"]["value"] == 259.2

    def test_gives_every_sum_as_a_figure_with_its_source(self) -> None:
        for figure in ask(2e6).to_json()["monthly"].values():
            read = Figure.from_json(figure)
            assert read.source and read.as_of and read.unit == "GBP/month"

    def test_marks_what_is_assumed(self) -> None:
        assert monthly(ask(2e6))["local_operations"].kind is Kind.ASSUMED

    def test_terms_of_the_local_cost_add_up(self) -> None:
        sums = monthly(ask(2e6))
        terms = [v.value or 0 for k, v in sums.items() if k.startswith("local_")]
        assert sum(terms) == pytest.approx(sums["local"].value or 0, abs=0.02)


class TestTheCrossover:
    def test_comes_later_as_prices_fall(self) -> None:
        later = [tokens for _, share, tokens in declining(SETTING, 0.8) if share == 0.4]
        assert later == sorted(later)  # type: ignore[type-var]


class TestCurrency:
    def test_shows_sums_in_what_was_asked_for(self) -> None:
        dollars = currency("USD", usd_per_gbp=1.25)
        assert dollars.show(259.2) == "$324"
        assert monthly(ask(2e6), dollars)["cloud"].value == 324.0

    def test_needs_a_rate_for_euros(self) -> None:
        with pytest.raises(UsageError, match="euros"):
            currency("eur", usd_per_gbp=1.25)
        assert currency("eur", usd_per_gbp=1.25, eur_per_gbp=1.15).show(100) == "€115"

    def test_offers_the_nearest_where_it_is_unknown(self) -> None:
        with pytest.raises(UsageError) as caught:
            currency("gpb", usd_per_gbp=1.25)
        assert "gbp" in caught.value.fix
