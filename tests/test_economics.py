import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.crossing import crossover, hybrid_crossover
from fathom_tui.economics import (
    Way,
    api_gbp,
    blended_usd,
    capacity,
    cheapest_api,
    costs,
    declined,
    local_cost,
    millions,
    mixed_rate,
    months_until,
    optimised_usd,
)
from fathom_tui.workload import Workload
from tests.advising import FLASH, MACHINE, MARKET, PRICES, SONNET


def usd_a_month(tokens: float, usd: float) -> float:
    return api_gbp(tokens, usd, MARKET) * MARKET.usd_per_gbp


class TestAnApisBill:
    def test_at_80_per_cent_input_is_5_40_a_million_for_sonnet(self) -> None:
        assert blended_usd(SONNET, 0.8) == pytest.approx(5.40)

    @pytest.mark.parametrize(("tokens", "usd"), [(2e6, 324), (8e6, 1_296), (10e6, 1_620)])
    def test_of_a_month_is_that_of_30_days(self, tokens: float, usd: float) -> None:
        assert usd_a_month(tokens, 5.40) == pytest.approx(usd)

    @pytest.mark.parametrize(("tokens", "usd"), [(1e6, 4.80), (10e6, 48.0)])
    def test_of_gemini_flash_is_what_its_prices_say(self, tokens: float, usd: float) -> None:
        assert usd_a_month(tokens, blended_usd(FLASH, 0.8)) == pytest.approx(usd)

    def test_with_60_per_cent_cache_hits_is_123_12_dollars(self) -> None:
        work = Workload(tokens_per_day=1e6, cache_hits=0.6)
        assert usd_a_month(1e6, optimised_usd(SONNET, work, MARKET)) == pytest.approx(123.12)

    def test_is_halved_by_batching_and_cut_by_62_per_cent_with_a_cache_besides(self) -> None:
        batched = Workload(tokens_per_day=1e6, batchable=True)
        both = Workload(tokens_per_day=1e6, batchable=True, cache_hits=0.6)
        assert optimised_usd(SONNET, batched, MARKET) == pytest.approx(2.70)
        assert 1 - optimised_usd(SONNET, both, MARKET) / 5.40 == pytest.approx(0.62)

    @given(st.floats(0, 1), st.floats(0, 1), st.booleans())
    def test_never_rises_by_optimising(self, share: float, hits: float, batch: bool) -> None:
        work = Workload(tokens_per_day=1e6, input_share=share, cache_hits=hits, batchable=batch)
        assert optimised_usd(SONNET, work, MARKET) <= blended_usd(SONNET, share) + 1e-12

    def test_is_lowest_at_the_cheapest_that_is_good_enough(self) -> None:
        assert cheapest_api(PRICES, 0.8) is FLASH
        assert cheapest_api(PRICES, 0.8, grades=("frontier",)).id == "gpt-4o"


class TestALocalMachine:
    def test_is_its_purchase_over_36_months_and_its_electricity(self) -> None:
        terms = local_cost(MACHINE, MARKET)
        assert terms.hardware == pytest.approx(88.89, abs=0.005)
        assert terms.electricity == pytest.approx(90.72)
        assert terms.hardware + terms.electricity == pytest.approx(180, abs=0.5)

    def test_with_operations_is_the_books_500_of_a_hybrid(self) -> None:
        assert local_cost(MACHINE, MARKET).machine == pytest.approx(500, abs=0.5)

    @pytest.mark.parametrize(("peak", "share"), [(1, 1.0), (6, 0.5)])
    def test_answers_what_a_day_has_seconds_for(self, peak: int, share: float) -> None:
        assert capacity(MACHINE, peak) == pytest.approx(900 * 86_400 * share)

    def test_reads_faster_than_it_writes(self) -> None:
        assert mixed_rate(1000, 100, 0.8) == pytest.approx(1 / (0.0008 + 0.002))
        assert mixed_rate(1000, 100, 1.0) == pytest.approx(1000)


class TestACrossover:
    @pytest.mark.parametrize(("fixed", "tokens"), [(180, 46.9e6), (350, 91.1e6), (700, 182e6)])
    def test_with_gemini_flash_lies_far_out(self, fixed: float, tokens: float) -> None:
        found = crossover(fixed, blended_usd(FLASH, 0.8), MARKET)
        assert found is not None
        assert found.tokens_per_day == pytest.approx(tokens, rel=0.005)

    @pytest.mark.parametrize(("fixed", "tokens"), [(350, 2.7e6), (700, 5.4e6)])
    def test_with_sonnet_is_what_the_quoted_range_gives(self, fixed: float, tokens: float) -> None:
        found = crossover(fixed, 5.40, MARKET)
        assert found is not None
        assert found.tokens_per_day == pytest.approx(tokens, rel=0.005)

    def test_doubles_against_batch_prices(self) -> None:
        full, batch = crossover(500, 5.40, MARKET), crossover(500, 2.70, MARKET)
        assert full is not None and batch is not None
        assert batch.tokens_per_day == pytest.approx(2 * full.tokens_per_day)

    def test_beyond_the_machine_says_its_capacity_instead_of_the_number(self) -> None:
        found = crossover(700, blended_usd(FLASH, 0.8), MARKET, capacity=80e6)
        assert found is not None
        assert found.reachable is False
        assert found.sentence() == "beyond this hardware's capacity of 80M tokens/day"

    def test_of_an_unknown_machine_is_neither_within_nor_beyond(self) -> None:
        found = crossover(180, 5.40, MARKET)
        assert found is not None and found.reachable is None

    def test_with_what_is_free_never_comes(self) -> None:
        assert crossover(180, 0.0, MARKET) is None

    def test_of_a_hybrid_and_sonnet_is_at_5_64_million(self) -> None:
        assert hybrid_crossover(5.40, MACHINE, MARKET) == pytest.approx(5.64e6, rel=0.001)


class TestTheCostVerdict:
    @pytest.mark.parametrize(
        ("tokens", "cheapest"),
        [
            (100_000, Way.CLOUD),
            (1e6, Way.CLOUD),
            (2e6, Way.CLOUD),
            (5.6e6, Way.CLOUD),
            (5.7e6, Way.HYBRID),
            (10e6, Way.HYBRID),
            (10.3e6, Way.LOCAL),
            (30e6, Way.LOCAL),
        ],
    )
    def test_follows_the_volume(self, tokens: float, cheapest: Way) -> None:
        found = costs(Workload(tokens_per_day=tokens), SONNET, MACHINE, MARKET)
        assert found.cheapest is cheapest

    def test_of_a_hybrid_at_2_million_is_590_against_259_pounds(self) -> None:
        found = costs(Workload(tokens_per_day=2e6), SONNET, MACHINE, MARKET)
        assert (round(found.hybrid or 0), round(found.cloud)) == (589, 259)

    def test_of_a_hybrid_at_10_million_is_about_900_pounds(self) -> None:
        found = costs(Workload(tokens_per_day=10e6), SONNET, MACHINE, MARKET)
        assert found.hybrid == pytest.approx(900, abs=2)
        assert found.cloud == pytest.approx(1_296)

    def test_of_regulated_work_is_local_at_any_volume(self) -> None:
        for tokens in (1e5, 2e6, 8e6):
            work = Workload(tokens_per_day=tokens, regulations=("gdpr", "fca"))
            assert costs(work, SONNET, MACHINE, MARKET).cheapest is Way.LOCAL

    @given(st.floats(1, 1e9), st.booleans(), st.sampled_from([(), ("gdpr",)]))
    def test_is_never_dearer_than_another_way(
        self, tokens: float, batch: bool, regulations: tuple[str, ...]
    ) -> None:
        work = Workload(tokens_per_day=tokens, batchable=batch, regulations=regulations)
        found = costs(work, SONNET, MACHINE, MARKET)
        assert found.cheapest is not None
        assert found.compared[found.cheapest] == min(found.compared.values())


class TestGrowth:
    def test_of_15_per_cent_takes_2m_to_8m_in_9_9_months(self) -> None:
        assert months_until(2e6, 8e6, 0.15) == pytest.approx(9.9, abs=0.05)

    def test_that_is_none_never_gets_there(self) -> None:
        assert months_until(2e6, 8e6, 0) is None
        assert months_until(8e6, 2e6, 0) == 0


class TestPricesThatFall:
    def test_fall_by_the_same_share_every_year(self) -> None:
        later = declined(SONNET, 0.5, 2)
        assert (later.input_usd, later.output_usd) == (0.75, 3.75)

    def test_move_the_crossover_up(self) -> None:
        now = crossover(500, blended_usd(SONNET, 0.8), MARKET)
        later = crossover(500, blended_usd(declined(SONNET, 0.4, 1), 0.8), MARKET)
        assert now is not None and later is not None
        assert later.tokens_per_day == pytest.approx(now.tokens_per_day / 0.6)


@pytest.mark.parametrize(
    ("tokens", "text"),
    [(46.9e6, "46.9M"), (2e6, "2M"), (900, "900"), (182_291_666, "182M"), (2_500, "2.5K")],
)
def test_tokens_are_said_in_three_digits(tokens: float, text: str) -> None:
    assert millions(tokens) == text


@given(st.floats(1, 9e14))
def test_what_is_said_is_within_half_a_per_cent_of_what_is(tokens: float) -> None:
    text = millions(tokens)
    size = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}.get(text[-1], 1)
    number = float(text.rstrip("KMBT"))
    assert number < 1000
    assert math.isclose(number * size, tokens, rel_tol=0.006, abs_tol=0.5)
