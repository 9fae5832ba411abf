"""What a verdict leaves to be thought of."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui import catalog, setting
from fathom_tui.advice import POUNDS, Advice, advise
from fathom_tui.cautions import cautions, outgrown, too_fast
from fathom_tui.reports import capacity
from fathom_tui.workload import Workload
from tests.advising import SETTING
from tests.reports.subjects import subject


def ask(tokens: float, held: int | None = None, **changes: object) -> Advice:
    work = Workload(tokens_per_day=tokens, **changes)  # type: ignore[arg-type]
    return advise(work, replace(SETTING, held=held))


def said(advice: Advice, about: str) -> str:
    return " ".join(found.text for found in cautions(advice, POUNDS) if found.about == about)


class TestGrowth:
    def test_out_of_the_machine_names_the_month_and_what_the_next_one_costs(self) -> None:
        found = said(ask(2e6, growth=0.15, regulations=("gdpr",)), "growth")
        assert "more than one machine answers in month 27" in found
        assert "One more costs £3,200 and £260 a month." in found

    @given(st.floats(1e5, 1e9), st.floats(-0.2, 0.5), st.sampled_from([(), ("gdpr",)]))
    def test_is_the_same_in_advice_and_memo(
        self, tokens: float, growth: float, regulations: tuple[str, ...]
    ) -> None:
        work = Workload(tokens_per_day=tokens, growth=growth, regulations=regulations)
        report = subject(work)
        assert capacity.outgrown(report) == outgrown(report.main, POUNDS)

    def test_that_is_none_says_nothing(self) -> None:
        assert said(ask(2e6), "growth") == ""


class TestRequestsAtOnce:
    def test_are_set_against_what_the_memory_holds(self) -> None:
        found = said(ask(2e6, held=36, peak=100_000), "peak")
        assert "100,000 requests at once" in found
        assert "holds 36 of 8,192 tokens each" in found and "takes 2,778 of it" in found

    def test_are_unknown_where_the_memory_is(self) -> None:
        assert "is unknown" in said(ask(2e6, peak=3), "peak")

    def test_that_it_holds_say_nothing(self) -> None:
        assert said(ask(2e6, held=36, peak=5), "peak") == ""

    def test_cannot_be_held_where_the_model_does_not_fit(self) -> None:
        assert "no memory for the model" in said(ask(2e6, held=0, peak=2), "peak")

    def test_that_a_device_holds_are_its_free_memory_over_one_cache(self) -> None:
        known = catalog.load()
        pair = setting.setting(known, gpu="rtx-4090-x2").held
        single = setting.setting(known, gpu="rtx-4090").held
        # 24.97 GB of a card, less 4.9 of weights and 0.6 of buffers, over 1.07 for 8,192 tokens.
        assert single is not None and 17 <= single <= 19
        assert pair == 2 * single


class TestLatency:
    def test_below_what_an_api_promises_is_said_of_the_part_at_the_api(self) -> None:
        assert "what a hybrid leaves to the API cannot keep the limit" in too_fast(
            ask(2e6, latency_ms=50)
        )
        assert "so the API cannot keep the limit" in too_fast(ask(1e5, latency_ms=50))

    @pytest.mark.parametrize(
        "changes", [{"latency_ms": 200}, {}, {"latency_ms": 50, "regulations": ("gdpr",)}]
    )
    def test_that_an_api_can_keep_or_that_stays_in_the_house_says_nothing(
        self, changes: dict[str, Any]
    ) -> None:
        assert too_fast(ask(2e6, **changes)) == ""


def test_every_point_has_words_of_its_own() -> None:
    every = ask(200e6, held=4, growth=0.15, peak=9, latency_ms=50, regulations=("fca",))
    found = list(cautions(every, POUNDS))
    assert len({point.short for point in found}) == len(found)
    assert all(point.text.endswith(".") and point.about for point in found)


def test_more_machines_say_what_their_operations_are() -> None:
    assert "Operations are £320 for the first and 25% of that" in said(ask(200e6), "capacity")
