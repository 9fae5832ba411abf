"""How the rule and the costs stand to each other, and what is said where neither can be known."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.advice import Advice, advise, monthly
from fathom_tui.crossing import declining, quoted_crossovers
from fathom_tui.economics import Way, costs, local_cost
from fathom_tui.rules import decide
from fathom_tui.workload import Workload
from tests.advising import MACHINE, MARKET, SETTING, SONNET

UNMEASURED = replace(SETTING, machine=replace(MACHINE, tokens_per_s=None))
"""A machine of which nobody knows how much it answers."""


def ask(tokens: float, setting: object = SETTING, **changes: object) -> Advice:
    return advise(Workload(tokens_per_day=tokens, **changes), setting)  # type: ignore[arg-type]


class TestAMachineOfUnknownSpeed:
    def test_has_no_sum_and_no_verdict_of_the_costs(self) -> None:
        found = ask(50e6, UNMEASURED, growth=0.15)
        assert (found.costs.machines, found.costs.hybrid, found.costs.local) == (None, None, None)
        assert found.costs.cheapest is None
        assert list(found.costs.compared) == [Way.CLOUD]

    def test_crosses_nothing_at_a_volume_that_is_known(self) -> None:
        found = ask(50e6, UNMEASURED, growth=0.15)
        assert found.crossover is None and found.crossover_optimised is None
        assert found.cheapest.crossover is None and found.hybrid_from is None
        assert found.edges == () and found.cost_months is None and found.outgrown_month is None
        assert {tokens for *_, tokens in declining(UNMEASURED, 0.8)} == {None}

    def test_leaves_the_rule_its_verdict_and_says_what_is_missing(self) -> None:
        found = ask(50e6, UNMEASURED)
        assert found.ruling.verdict is Way.LOCAL
        assert found.agrees is None
        assert "the costs cannot be compared" in found.confidence
        said = found.agreement()
        assert said.startswith("The costs cannot be compared: the speed of 2 x RTX 4090 is unknown")
        assert "£6,480" in said and "agree:" not in said
        assert found.follow() == ""

    def test_is_null_in_json_wherever_a_number_would_be_a_guess(self) -> None:
        found = json.loads(json.dumps(ask(50e6, UNMEASURED).to_json(), allow_nan=False))
        for name in ("cost_verdict", "agree", "machines", "crossover", "crossover_optimised"):
            assert found[name] is None
        assert found["compared"]["cloud"]["value"] == 6_480
        for figure in (found["compared"]["local"], found["hybrid_from"], found["capacity"]):
            assert figure["value"] is None
        unknown = [name for name, sum_ in found["monthly"].items() if sum_["value"] is None]
        assert unknown == [
            "hybrid", "local", "local_hardware", "local_electricity", "local_operations",
            "local_tuning",
        ]  # fmt: skip

    def test_changes_nothing_of_what_quoted_sums_cross(self) -> None:
        assert [round(c.tokens_per_day / 1e6, 2) for c in quoted_crossovers(UNMEASURED, 0.8)] == [
            1.39, 2.7, 5.4,
        ]  # fmt: skip

    @given(st.floats(1, 1e12), st.booleans(), st.sampled_from([(), ("gdpr",)]))
    def test_never_says_that_the_costs_agree(
        self, tokens: float, batch: bool, regulations: tuple[str, ...]
    ) -> None:
        found = ask(tokens, UNMEASURED, batchable=batch, regulations=regulations)
        assert found.agrees is None
        assert "cannot be compared" in found.disagreement()


class TestWhatToFollow:
    def test_has_the_reason_of_the_rules_line_and_the_sum_of_the_costs(self) -> None:
        said = ask(2e6, growth=0.15).follow()
        assert said.startswith("Rule 2 goes by volume alone")
        assert "(£500 machine + £12 router) / (70% of £130" in said
        assert "= 5.64M tokens/day" in said
        assert "For money alone follow the costs: stay on the API" in said
        assert "worth £330 a month" in said
        assert "growth makes hybrid the cheapest, in 7.4 months" in said

    def test_is_empty_where_both_agree(self) -> None:
        assert ask(8e6).follow() == ""

    def test_of_regulated_data_is_the_rule(self) -> None:
        free = replace(SETTING, market=replace(MARKET, compliance_gbp=0))
        said = ask(2e6, free, regulations=("gdpr",)).follow()
        assert "Follow the rule" in said and "For money alone" not in said

    @pytest.mark.parametrize(("tokens", "rule"), [(2e6, 2), (12e6, 4), (40e6, 5)])
    def test_names_the_line_of_the_rule_that_fired(self, tokens: float, rule: int) -> None:
        dear = replace(SETTING, market=replace(MARKET, operations_gbp=50_000))
        assert ask(tokens, dear).follow().startswith(f"Rule {rule} ")

    def test_does_not_send_what_is_too_fast_back_to_the_api(self) -> None:
        said = ask(2e6, latency_ms=50).follow()
        assert "The latency limit decides" in said and "stay on the API" not in said


class TestRegulatedData:
    def test_is_compared_with_its_compliance(self) -> None:
        found = ask(2e6, regulations=("gdpr",)).costs
        assert {way: round(sum_) for way, sum_ in found.compared.items()} == {
            Way.CLOUD: 2_343,
            Way.HYBRID: 2_673,
            Way.LOCAL: 906,
        }

    def test_puts_compliance_on_a_cheaper_api_as_well(self) -> None:
        dear = replace(SETTING, market=replace(MARKET, operations_gbp=9_000))
        said = ask(2e6, dear, regulations=("gdpr",)).agreement()
        assert "would cost £7.68 and £2,083 of compliance" in said

    def test_says_on_which_ways_compliance_falls(self) -> None:
        both = monthly(ask(2e6, regulations=("gdpr",)))["compliance"].source
        one = monthly(ask(2e6, regulations=("gdpr",), personal=False))["compliance"].source
        assert "cloud and hybrid" in both and "cloud only" in one

    def test_that_is_not_personal_costs_a_hybrid_nothing_more(self) -> None:
        found = ask(8e6, regulations=("gdpr",), personal=False).costs
        assert found.compared[Way.HYBRID] == found.hybrid


class TestOperations:
    def test_of_one_machine_are_the_assumption(self) -> None:
        assert local_cost(MACHINE, MARKET).operations == 320

    @pytest.mark.parametrize(("share", "sum_"), [(0.0, 320), (0.25, 2_720), (1.0, 9_920)])
    def test_grow_with_every_further_machine(self, share: float, sum_: float) -> None:
        market = replace(MARKET, operations_further=share)
        assert local_cost(MACHINE, market, 31).operations == pytest.approx(sum_)

    def test_of_a_hybrid_are_those_of_its_own_machines(self) -> None:
        found = costs(Workload(tokens_per_day=100e6), SONNET, MACHINE, MARKET)
        assert (found.machines, found.hybrid_machines) == (2, 1)
        assert found.hybrid == pytest.approx(
            found.hybrid_terms.machine + MARKET.router_gbp + found.hybrid_api
        )


class TestConfidence:
    @pytest.mark.parametrize(
        ("growth", "word", "said"),
        [
            (0.0, "firm", ""),
            (0.15, "moderate", "this growth changes it in 11.5 months"),
            (1.0, "close", "this growth changes it in 2.3 months"),
            (0.01, "firm", "this growth changes it in"),
        ],
    )
    def test_counts_the_months_of_growth(self, growth: float, word: str, said: str) -> None:
        found = decide(Workload(tokens_per_day=2e6, growth=growth)).confidence
        assert found.startswith(word) and said in found

    def test_says_where_a_latency_limit_is_not_in_it(self) -> None:
        assert "latency limit is not in it" in ask(2e6, latency_ms=50).confidence
        assert "latency" not in ask(20e6, latency_ms=50).confidence
