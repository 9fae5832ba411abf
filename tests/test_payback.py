"""Paybacks, and rent against buying, with the sources' own examples."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.errors import UsageError
from fathom_tui.payback import (
    Payback,
    RentOrBuy,
    distillation_payback,
    electricity,
    fine_tune_payback,
    implied_rent,
    rent_or_buy,
)

KWH = 0.14
"""GBP, as in the book."""


def paid_back(upfront: float, api: float, serving: float, hours: float = 0, rate: float = 0) -> Any:
    """Return the months of a purchase and some hours of work."""
    return fine_tune_payback(
        data_hours=hours, hourly_rate=rate, training=0, hardware=upfront,
        serving_month=serving, api_month=api, currency="GBP",
    ).months  # fmt: skip


def card(**changes: Any) -> RentOrBuy:
    """Return an H100 at £25,000 against $3.29 an hour, without electricity, with changes."""
    given_terms: dict[str, Any] = {
        "hours_per_day": 8, "price_gbp": 25_000, "months": 36, "rent_usd_per_hour": 3.29,
        "watts": 0, "gbp_per_kwh": KWH, "usd_per_gbp": 1.25,
    }  # fmt: skip
    return rent_or_buy(**{**given_terms, **changes})


def calculator(queries: float, dollars_per_query: float) -> Payback:
    """Return the guide's own calculator: $9,700 once, $30 a month."""
    return fine_tune_payback(
        data_hours=40, hourly_rate=100, training=200, hardware=5_500,
        serving_month=30, api_month=30 * queries * dollars_per_query,
    )  # fmt: skip


class TestFineTune:
    @pytest.mark.parametrize(
        ("queries", "per_query", "months"),
        [
            (1_000, 0.035, 9.5),
            (500, 0.035, 19.6),
            (285, 0.035, 36.0),
            (10_000, 0.035, 0.9),
            (1_000, 0.010, 35.9),  # at $2.50 and $10
        ],
    )
    def test_the_guides_calculator_breaks_even(
        self, queries: float, per_query: float, months: float
    ) -> None:
        found = calculator(queries, per_query)
        assert found.spent == 9_700
        assert found.months == pytest.approx(months, abs=0.05)

    def test_two_4090_pay_back_as_the_errata_say(self) -> None:
        power = electricity(watts=900, hours_per_day=24, price_per_kwh=KWH)
        assert power == pytest.approx(91, abs=0.5)
        assert paid_back(3_200, 1_296, power) == pytest.approx(2.7, abs=0.05)
        assert paid_back(3_200 + 3_500, 1_296, power) == pytest.approx(5.6, abs=0.05)
        assert paid_back(3_200 + 9_500, 1_296, power) == pytest.approx(10.5, abs=0.05)
        assert paid_back(4_400 + 9_500, 1_296, power) == pytest.approx(11.5, abs=0.05)
        assert paid_back(3_200, 1_296 / 2, power) == pytest.approx(5.7, abs=0.05)

    @pytest.mark.parametrize(("rate", "months"), [(0, 3.3), (80, 16.3), (120, 22.9)])
    def test_priyas_card_takes_longer_with_her_own_week(self, rate: float, months: float) -> None:
        assert paid_back(800, 260, 15, 40, rate) == pytest.approx(months, abs=0.05)

    @pytest.mark.parametrize(("bill", "months"), [(500, 9), (750, 6), (2_250, 2)])
    def test_the_cheapest_service_pays_back(self, bill: float, months: float) -> None:
        assert paid_back(4_500, bill, 0) == pytest.approx(months)

    def test_serving_that_costs_more_never_pays_back_and_says_why(self) -> None:
        found = fine_tune_payback(
            data_hours=1, hourly_rate=1, training=1, hardware=1, serving_month=300, api_month=260
        )
        assert found.months is None and found.days is None and found.saved_month == -40
        assert found.why == "Never: serving costs 40 USD a month more than the API."

    def test_serving_that_costs_as_much_never_pays_back(self) -> None:
        assert "as much" in calculator(1_000, 0.001).why

    def test_terms_add_to_what_is_spent(self) -> None:
        found = calculator(1_000, 0.035)
        assert {term.name: term.value for term in found.upfront} == {
            "data": 4_000, "training": 200, "hardware": 5_500,
        }  # fmt: skip
        assert "9,700 USD once over 1,020 USD" in found.why

    def test_json_holds_figures_with_the_date(self) -> None:
        shown = json.loads(json.dumps(calculator(1_000, 0.035).to_json("2026-11-22")))
        assert shown["months"]["value"] == pytest.approx(9.51, abs=0.005)
        assert shown["terms"]["data"] == {
            "value": 4_000, "unit": "USD", "kind": "computed", "source": "data",
            "as_of": "2026-11-22",
        }  # fmt: skip
        assert shown["api_month"]["kind"] == "assumed"

    @pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, 1e30, True])
    @pytest.mark.parametrize(
        "name",
        ["data_hours", "hourly_rate", "training", "hardware", "serving_month", "api_month"],
    )
    def test_a_bad_number_is_named_with_its_value(self, name: str, value: float) -> None:
        good: dict[str, Any] = dict.fromkeys(
            ["data_hours", "hourly_rate", "training", "hardware", "serving_month", "api_month"], 1.0
        )
        with pytest.raises(UsageError, match=r" is .*(-1|nan|inf|1e\+30|True)"):
            fine_tune_payback(**{**good, name: value})


class TestDistillation:
    def distil(self, **changes: Any) -> Payback:
        given_terms: dict[str, Any] = {
            "tokens": 4.25e6, "price_per_million": 5, "training": 50, "hardware": 0,
            "serving_month": 0, "api_month": 35 * 30,
        }  # fmt: skip
        return distillation_payback(**{**given_terms, **changes})

    @pytest.mark.parametrize(("price", "dollars"), [(5, 21.25), (15, 63.75)])
    def test_the_teacher_costs_less_than_the_guide_says(self, price: float, dollars: float) -> None:
        assert self.distil(price_per_million=price).upfront[0].value == pytest.approx(dollars)

    def test_even_300_dollars_pay_back_in_ten_days_where_the_machine_is_there(self) -> None:
        assert self.distil(price_per_million=300 / 4.25).days == pytest.approx(10)

    def test_with_the_guides_machine_and_data_work_it_takes_9_5_months(self) -> None:
        found = self.distil(price_per_million=0, training=4_200, hardware=5_500, serving_month=30)
        assert found.months == pytest.approx(9.5, abs=0.05)

    def test_half_the_examples_rejected_double_the_teachers_cost(self) -> None:
        assert self.distil(accepted_share=0.5).upfront[0].value == pytest.approx(42.50)

    @pytest.mark.parametrize("share", [0, -0.1, 1.01, math.nan])
    def test_a_share_outside_its_range_is_named(self, share: float) -> None:
        with pytest.raises(UsageError, match="accepted_share is"):
            self.distil(accepted_share=share)


class TestRent:
    @pytest.mark.parametrize(("rent", "hours"), [(1.80, 482), (2.50, 347), (3.29, 264)])
    def test_an_h100_breaks_even_at_hours_that_depend_on_the_rent(
        self, rent: float, hours: float
    ) -> None:
        found = card(rent_usd_per_hour=rent)
        assert found.break_even_hours_month == pytest.approx(hours, abs=0.5)
        assert found.break_even_hours_day == pytest.approx(hours / 30, abs=0.02)

    @pytest.mark.parametrize(("rate", "days"), [(1.25, 475), (1.0, 380)])
    def test_an_h100_at_30000_pays_back_in_475_days(self, rate: float, days: float) -> None:
        found = card(price_gbp=30_000, usd_per_gbp=rate, hours_per_day=24)
        assert found.days_around_the_clock == pytest.approx(days, abs=0.5)
        assert found.payback_months == pytest.approx(days / 30, abs=0.05)

    @pytest.mark.parametrize(("price", "rent"), [(1_800, 1.25), (2_200, 1.53)])
    def test_the_books_7_5_months_imply_a_rent(self, price: float, rent: float) -> None:
        found = implied_rent(price_gbp=price, months=7.5, hours_per_day=8, usd_per_gbp=1.25)
        assert found == pytest.approx(rent, abs=0.005)

    @pytest.mark.parametrize(("price", "rent", "months"), [(1_800, 0.80, 13), (2_200, 0.40, 36)])
    def test_a_4090_takes_13_to_36_months_at_the_rents_that_are_asked(
        self, price: float, rent: float, months: float
    ) -> None:
        found = card(price_gbp=price, rent_usd_per_hour=rent, watts=450)
        assert found.payback_months == pytest.approx(months, abs=0.5)

    @pytest.mark.parametrize(
        ("hours", "label"),
        [(0, "rent"), (2.9, "rent"), (3, "run the sum"), (5, "run the sum"), (5.1, "own")],
    )
    def test_rule_6_gives_the_label(self, hours: float, label: str) -> None:
        assert card(hours_per_day=hours).rule.label == label

    def test_the_h100_class_is_rented_whatever_the_hours(self) -> None:
        found = card(hours_per_day=20, h100_class=True)
        assert (found.rule.label, found.cheaper) == ("rent", "own")

    def test_a_resale_lowers_the_hours(self) -> None:
        whole, half = card(), card(resale_share=0.5)
        assert half.break_even_hours_month == pytest.approx((whole.break_even_hours_month or 0) / 2)
        assert half.resale == 12_500

    def test_costs_meet_at_the_break_even(self) -> None:
        hours = card(watts=700).break_even_hours_day
        found = card(watts=700, hours_per_day=hours)
        assert found.own_month == pytest.approx(found.rent_month)

    def test_rent_below_electricity_never_pays_back(self) -> None:
        found = card(rent_usd_per_hour=0.05, watts=1_000)
        assert found.break_even_hours_month is None and found.payback_months is None
        assert found.break_even_hours_day is None and not found.reachable
        assert found.why.startswith("Never:") and found.cheaper == "rent"

    def test_more_hours_than_a_month_has_are_said_to_be_out_of_reach(self) -> None:
        found = card(rent_usd_per_hour=0.5)
        assert not found.reachable and "of 720 hours" in found.why

    def test_no_hours_never_pay_back(self) -> None:
        assert card(hours_per_day=0).payback_months is None

    def test_json_holds_figures_with_the_date(self) -> None:
        shown = json.loads(json.dumps(card().to_json("2026-11-22")))
        assert shown["break_even_hours_month"]["value"] == pytest.approx(264, abs=0.5)
        assert shown["rule"]["label"] == "own" and shown["own_month"]["unit"] == "GBP/month"

    @pytest.mark.parametrize(
        ("name", "value"),
        [("hours_per_day", 24.1), ("hours_per_day", -1), ("hours_per_day", math.nan),
         ("price_gbp", 0), ("price_gbp", math.inf), ("months", 0), ("months", -3),
         ("rent_usd_per_hour", 0), ("usd_per_gbp", 0), ("usd_per_gbp", math.nan), ("watts", -1),
         ("gbp_per_kwh", -0.1), ("resale_share", 1.1), ("resale_share", -0.1)],
    )  # fmt: skip
    def test_a_bad_number_is_named_with_its_value(self, name: str, value: float) -> None:
        key = "price_per_kwh" if name == "gbp_per_kwh" else name
        with pytest.raises(UsageError, match=f"{key} is {value!r}") as caught:
            card(**{name: value})

        assert caught.value.fix

    @given(
        price=st.floats(1, 1e6), rent=st.floats(0.01, 100), hours=st.floats(0.1, 24),
        watts=st.floats(0, 2_000), resale=st.floats(0, 0.99),
    )  # fmt: skip
    def test_owning_is_cheaper_exactly_above_the_break_even(
        self, price: float, rent: float, hours: float, watts: float, resale: float
    ) -> None:
        found = card(
            price_gbp=price, rent_usd_per_hour=rent, hours_per_day=hours, watts=watts,
            resale_share=resale,
        )  # fmt: skip
        edge = found.break_even_hours_day
        if edge is None:
            assert found.cheaper == "rent"
        elif abs(hours - edge) > 1e-6 * edge:
            assert found.cheaper == ("own" if hours > edge else "rent")


class TestElectricity:
    @pytest.mark.parametrize(
        ("watts", "hours", "pounds"), [(370, 24, 454), (515, 24, 632), (370, 8, 151), (515, 8, 211)]
    )
    def test_what_an_apple_machine_saves_a_year(
        self, watts: float, hours: float, pounds: float
    ) -> None:
        saved = electricity(watts=watts, hours_per_day=hours, price_per_kwh=KWH, days=365)
        assert saved == pytest.approx(pounds, abs=0.5)
