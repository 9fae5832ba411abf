"""What answering takes: known caches, real file sizes, and what llama.cpp itself reports."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui import catalog
from fathom_tui.architecture import Architecture, parameters
from fathom_tui.errors import UsageError
from fathom_tui.memory import (
    KV_TYPES,
    MIXTURES,
    OVERHEAD,
    compute_bytes,
    inference,
    kv_cache_bytes,
    weights_bytes,
)
from tests.shapes import (
    DEEPSEEK_V2_LITE,
    GEMMA3_1B,
    LLAMA_8B,
    LLAMA_70B,
    MIXTRAL,
    PHI_4,
    QWEN25_7B,
)

MIB = 2**20
SMOLLM2 = Architecture(
    layers=30,
    hidden=576,
    intermediate=1_536,
    heads=9,
    kv_heads=3,
    head_dim=64,
    vocab=49_152,
    tied_embeddings=True,
    context=8_192,
)


class TestCache:
    def test_llama_and_qwen_at_32k_are_what_the_errata_say(self) -> None:
        assert kv_cache_bytes(LLAMA_8B, 32_768) == 4_294_967_296
        assert kv_cache_bytes(QWEN25_7B, 32_768) == 1_879_048_192

    @pytest.mark.parametrize(
        ("context", "kv_type", "mib"),
        [
            (33, "f16", 5.625),
            (257, "f16", 11.25),
            (1_000, "f16", 22.5),
            (8_192, "f16", 180.0),
            (1_000, "q8_0", 11.953125),
            (1_000, "q4_0", 6.328125),
        ],
    )
    def test_it_is_what_llama_cpp_reports_for_smollm2(
        self, context: int, kv_type: str, mib: float
    ) -> None:
        assert kv_cache_bytes(SMOLLM2, context, kv_type) / MIB == mib

    def test_sliding_layers_hold_the_window_and_a_batch(self) -> None:
        whole = kv_cache_bytes(GEMMA3_1B, 32_768, whole_window=True)
        sliding = kv_cache_bytes(GEMMA3_1B, 32_768)

        assert whole == 26 * 2 * 256 * 2 * 32_768
        assert sliding == 2 * 256 * 2 * (4 * 32_768 + 22 * 1_024)

    def test_a_window_longer_than_the_context_saves_nothing(self) -> None:
        assert kv_cache_bytes(GEMMA3_1B, 700) == kv_cache_bytes(GEMMA3_1B, 700, whole_window=True)

    def test_latent_attention_holds_one_compressed_vector(self) -> None:
        assert kv_cache_bytes(DEEPSEEK_V2_LITE, 4_096) == 27 * (512 + 64) * 2 * 4_096

    def test_layers_without_a_cache_hold_nothing(self) -> None:
        hybrid = replace(LLAMA_8B, kv_heads_by_layer=(0, 0, 0, 8) * 8)

        assert kv_cache_bytes(hybrid, 4_096) * 4 == kv_cache_bytes(LLAMA_8B, 4_096)

    @given(context=st.integers(1, 200_000), kv_type=st.sampled_from(KV_TYPES))
    def test_it_never_shrinks_with_the_context(self, context: int, kv_type: str) -> None:
        for shape in (LLAMA_8B, GEMMA3_1B, DEEPSEEK_V2_LITE):
            here = kv_cache_bytes(shape, context, kv_type)

            assert 0 < here <= kv_cache_bytes(shape, context + 1, kv_type)
            assert here <= kv_cache_bytes(shape, context, kv_type, whole_window=True)

    @pytest.mark.parametrize("context", [0, -1, 10**9])
    def test_an_absurd_context_is_refused(self, context: int) -> None:
        with pytest.raises(UsageError, match="context of"):
            kv_cache_bytes(LLAMA_8B, context)

    def test_an_unknown_type_is_refused_with_those_there_are(self) -> None:
        with pytest.raises(UsageError, match="'q9'") as caught:
            kv_cache_bytes(LLAMA_8B, 100, "q9")

        assert "q8_0" in caught.value.fix

    def test_heads_that_do_not_divide_refuse_a_quantised_cache(self) -> None:
        with pytest.raises(UsageError, match="multiple of 32"):
            kv_cache_bytes(replace(LLAMA_8B, head_dim=80), 100, "q8_0")


class TestComputeBuffer:
    @pytest.mark.parametrize(
        ("context", "flash", "mib"),
        [(33, True, 6.33), (256, True, 49.13), (8_192, True, 98.25), (8_192, False, 166.38)],
    )
    def test_it_is_what_llama_cpp_reports_for_smollm2(
        self, context: int, flash: bool, mib: float
    ) -> None:
        estimate = compute_bytes(SMOLLM2, context, flash_attention=flash) / MIB

        assert estimate == pytest.approx(mib, abs=0.01)

    def test_without_flash_attention_the_scores_are_kept(self) -> None:
        flash = compute_bytes(LLAMA_8B, 32_768)
        eager = compute_bytes(LLAMA_8B, 32_768, flash_attention=False)

        assert eager - flash > 32 * 32_768 * 512 * 4 * 0.8


class TestWeights:
    @pytest.mark.parametrize(
        ("shape", "quant", "file"),
        [
            # Sizes of published files; the vocabulary in their headers is the small difference.
            (LLAMA_8B, "q2_k", 3_179_131_456),
            (LLAMA_8B, "q3_k_m", 4_018_917_952),
            (LLAMA_8B, "q4_k_m", 4_920_734_272),
            (LLAMA_8B, "q5_k_m", 5_732_987_456),
            (LLAMA_8B, "q6_k", 6_596_006_464),
            (LLAMA_8B, "q8_0", 8_540_770_880),
            (QWEN25_7B, "q4_k_m", 4_683_073_536),
            (LLAMA_70B, "q4_k_m", 42_520_393_152),
            (PHI_4, "q4_k_m", 9_053_114_496),
            (DEEPSEEK_V2_LITE, "q4_k_m", 10_364_416_768),
        ],
    )
    def test_they_are_within_half_a_percent_of_published_files(
        self, shape: Architecture, quant: str, file: int
    ) -> None:
        assert weights_bytes(shape, quant, 0.0) == pytest.approx(file, rel=0.005)

    def test_rows_that_do_not_divide_fall_back_to_larger_types(self) -> None:
        bits = 8 * weights_bytes(SMOLLM2, "q4_k_m", 4.85) / parameters(SMOLLM2)

        assert bits == pytest.approx(6.17, abs=0.005)

    def test_an_unknown_quantisation_is_bits_times_parameters(self) -> None:
        assert weights_bytes(LLAMA_8B, "iq1_s", 1.56) == round(8_030_261_248 * 1.56 / 8)

    @pytest.mark.parametrize(("model", "gib"), [("gpt-oss-20b", 11.27), ("gpt-oss-120b", 59.02)])
    def test_mxfp4_is_the_published_files_size(self, model: str, gib: float) -> None:
        """Source: 59.02 GiB in llama-bench (llama.cpp pull request 19922), 12.1 GB of the 20B."""
        row = catalog.load().model(model)

        assert weights_bytes(row.architecture, "mxfp4", 0) / 2**30 == pytest.approx(gib, abs=0.01)

    def test_mxfp4_is_eight_bits_where_there_is_no_expert(self) -> None:
        assert weights_bytes(LLAMA_8B, "mxfp4", 0) == weights_bytes(LLAMA_8B, "q8_0", 0)

    def test_more_bits_never_make_a_smaller_file(self) -> None:
        ladder = ("q2_k", "q3_k_s", "q3_k_m", "q4_k_s", "q4_k_m", "q5_k_m", "q6_k", "q8_0", "f16")
        for shape in (LLAMA_8B, MIXTRAL, PHI_4):  # whose rows all divide by 256
            sizes = [weights_bytes(shape, quant, 0.0) for quant in ladder]

            assert sizes == sorted(sizes)

    def test_sixteen_bits_are_two_bytes_a_weight(self) -> None:
        size = weights_bytes(LLAMA_8B, "f16", 16)

        assert size == pytest.approx(2 * 8_030_261_248, rel=1e-4)
        assert size > 2 * 8_030_261_248  # norms stay in float32

    @pytest.mark.parametrize("quant", MIXTURES)
    def test_every_mixture_counts_every_model(self, quant: str) -> None:
        for shape in (LLAMA_8B, MIXTRAL, GEMMA3_1B, DEEPSEEK_V2_LITE, PHI_4):
            assert weights_bytes(shape, quant, 0.0) > 0


class TestTotal:
    @given(
        context=st.integers(1, 100_000),
        kv_type=st.sampled_from(KV_TYPES),
        weights=st.integers(0, 10**12),
        flash=st.booleans(),
    )
    def test_terms_add_up(self, context: int, kv_type: str, weights: int, flash: bool) -> None:
        found = inference(LLAMA_8B, weights, context, kv_type, flash_attention=flash)

        assert found.total == found.weights + found.kv_cache + found.compute + found.overhead
        assert found.overhead == OVERHEAD
        assert found.weights == weights
