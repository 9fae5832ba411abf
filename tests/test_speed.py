"""Rates from bandwidth and arithmetic, and the ceiling that nothing passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.catalog_types import Gpu, Origin
from fathom_tui.figures import Kind
from fathom_tui.memory import weights_bytes
from fathom_tui.speed import (
    Reading,
    cannot_be,
    ceiling,
    decode,
    decode_rate,
    prefill,
    prefill_rate,
    reading,
)
from tests.shapes import LLAMA_8B, MIXTRAL, QWEN3_8B, QWEN25_7B

ORIGIN = Origin(source="datasheet", as_of="2026-11-22", kind=Kind.VENDOR)
RTX_2070 = Gpu(
    id="rtx-2070",
    name="RTX 2070",
    origin=ORIGIN,
    vendor="nvidia",
    form="consumer",
    memory_gib=8,
    bandwidth_gb_s=448,
    bf16_tflops=29.9,
)


class TestCeiling:
    def test_the_quoted_106_tokens_of_an_rtx_2070_cannot_be(self) -> None:
        weights = weights_bytes(QWEN25_7B, "q4_k_m", 4.85)

        assert ceiling(448, weights) == pytest.approx(95, abs=1)
        assert cannot_be(106, 448, weights)
        assert not cannot_be(24, 448, weights)

    def test_the_27_tokens_of_a_macbook_air_can(self) -> None:
        weights = weights_bytes(QWEN3_8B, "q4_k_m", 4.85)

        assert ceiling(153, weights) == pytest.approx(30.5, abs=0.3)
        assert not cannot_be(27, 153, weights)

    def test_of_an_unknown_bandwidth_nothing_is_said(self) -> None:
        assert not cannot_be(1e9, None, 1.0)

    @given(
        bandwidth=st.floats(1, 1e5),
        weights=st.floats(1e6, 1e13),
        cache=st.floats(0, 1e12),
        cards=st.integers(1, 16),
    )
    def test_no_estimate_passes_it(
        self, bandwidth: float, weights: float, cache: float, cards: int
    ) -> None:
        rate = decode_rate(bandwidth, Reading(weights=weights, cache=cache), cards=cards)

        assert rate is not None
        assert 0 < rate.low <= rate.high < ceiling(bandwidth, weights, cards=cards)


class TestDecode:
    def test_the_measured_rates_lie_within_the_range(self) -> None:
        # 79.3 and 125.1 tokens/s of an 8B in 16 bit on A100 and H100 by vLLM (ridgepoint).
        read = Reading(weights=2 * 8.03e9)
        for bandwidth, measured in ((2_039, 79.3), (3_350, 125.1)):
            rate = decode_rate(bandwidth, read)

            assert rate is not None
            assert rate.low < measured < rate.high

    @pytest.mark.parametrize(
        ("bandwidth", "file_gb", "measured"),
        [(717, 5.7, 105), (1_008, 5.7, 137), (1_008, 16.8, 47), (3_350, 5.7, 190), (153, 5.7, 22)],
    )
    def test_a_benchmark_of_llama_cpp_lies_within_the_range(
        self, bandwidth: float, file_gb: float, measured: float
    ) -> None:
        rate = decode_rate(bandwidth, Reading(weights=file_gb * 1e9))

        assert rate is not None
        assert rate.low < measured < rate.high

    def test_an_unknown_bandwidth_makes_an_unknown_rate(self) -> None:
        assert decode_rate(None, Reading(weights=1e9)) is None

    def test_two_cards_are_no_slower_than_one_and_less_than_twice_as_fast(self) -> None:
        one, two = (decode_rate(1_008, Reading(weights=5e9), cards=n) for n in (1, 2))

        assert one is not None and two is not None
        assert two.low == one.low
        assert one.high < two.high < 2 * one.high

    def test_a_mixture_reads_its_active_experts_only(self) -> None:
        read = reading(MIXTRAL, 46_702_792_704, 28e9)

        assert read.weights / 28e9 == pytest.approx(12.88 / 46.7, rel=0.001)

    def test_a_full_cache_slows_the_low_end(self) -> None:
        empty = decode(RTX_2070, LLAMA_8B, 8.03e9, 4.85)
        full = decode(RTX_2070, LLAMA_8B, 8.03e9, 4.85, context=32_768)

        assert empty is not None and full is not None
        assert full.low < empty.low
        assert full.high == empty.high


class TestPrefill:
    def test_it_follows_from_two_operations_a_parameter(self) -> None:
        rate = prefill(RTX_2070, 8.03e9)

        assert rate is not None
        assert rate.low == pytest.approx(0.25 * 29.9e12 / (2 * 8.03e9))
        assert rate.high == pytest.approx(0.55 * 29.9e12 / (2 * 8.03e9))

    def test_unknown_arithmetic_makes_an_unknown_rate(self) -> None:
        assert prefill_rate(None, 8e9) is None
