import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.break_even import ASSUMED, Case, band, break_even, case_of_queries
from fathom_tui.errors import UsageError

GUIDE = dict(zip(ASSUMED, (2_000, 500, 10, 30, 4_000, 1_500, 30, 200, 40, 100), strict=True))


class TestTheGuidesCalculator:
    def test_at_1_000_requests_a_day_gives_the_corrected_values(self) -> None:
        found = break_even(case_of_queries(1_000, GUIDE))
        assert found.api_month == pytest.approx(1_050)
        assert found.api_year == pytest.approx(12_775)
        assert found.months == pytest.approx(9.5, abs=0.05)
        assert found.year_1 == pytest.approx(2_715)
        assert found.year_3 == pytest.approx(27_545)
        assert found.upfront == 9_700

    def test_at_10_000_requests_a_day_saves_372_470_in_three_years(self) -> None:
        assert break_even(case_of_queries(10_000, GUIDE)).year_3 == pytest.approx(372_470)

    def test_at_the_later_price_of_gpt_4o_needs_35_9_months(self) -> None:
        cheaper = {**GUIDE, "input_usd": 2.50, "output_usd": 10}
        assert break_even(case_of_queries(1_000, cheaper)).months == pytest.approx(35.9, abs=0.05)

    @pytest.mark.parametrize(("queries", "months"), [(500, 19.6), (285, 36)])
    def test_needs_less_than_three_years_far_below_1_000(
        self, queries: float, months: float
    ) -> None:
        found = break_even(case_of_queries(queries, GUIDE)).months
        assert found == pytest.approx(months, abs=0.5)

    @pytest.mark.parametrize(
        ("queries", "words"),
        [
            (499, "stay"),
            (500, "volume alone"),
            (2_000, "strong"),
            (10_000, "strong"),
            (10_001, "host"),
        ],
    )
    def test_has_four_bands(self, queries: float, words: str) -> None:
        assert words in band(queries)


def test_a_machine_that_runs_dearer_than_the_api_never_pays() -> None:
    found = break_even(Case(api_usd_per_day=1, upfront_usd=100, local_usd_per_month=30))
    assert found.months is None
    assert found.year_3 is not None
    assert found.year_3 < 0


@pytest.mark.parametrize("value", [-1, math.nan, math.inf])
def test_a_sum_that_cannot_be_is_refused_with_its_value(value: float) -> None:
    with pytest.raises(UsageError, match=f"upfront_usd is {value!r}"):
        break_even(Case(api_usd_per_day=1, upfront_usd=value, local_usd_per_month=1))


@given(st.floats(0.01, 1e6), st.floats(0, 1e6), st.floats(0, 1e4))
def test_after_the_months_it_names_nothing_is_won_or_lost(
    api: float, upfront: float, local: float
) -> None:
    found = break_even(Case(api_usd_per_day=api, upfront_usd=upfront, local_usd_per_month=local))
    if found.months is not None:
        assert found.local_month is not None
        won = found.months * (found.api_month - found.local_month)
        assert won == pytest.approx(upfront, rel=1e-6, abs=1e-6)
