"""Parameters and matrices of known shapes, to the last one."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.architecture import (
    Architecture,
    Moe,
    active_parameters,
    attention_parameters,
    linear_shapes,
    matrix_parameters,
    parameters,
    vector_parameters,
)
from tests.shapes import DEEPSEEK_V2_LITE, GEMMA3_1B, LLAMA_8B, MIXTRAL, QWEN3_8B, QWEN25_7B


class TestParameters:
    @pytest.mark.parametrize(
        ("shape", "published"),
        [
            (LLAMA_8B, 8_030_261_248),
            (QWEN25_7B, 7_615_616_512),
            (QWEN3_8B, 8_190_735_360),
            (GEMMA3_1B, 999_885_952),
            (MIXTRAL, 46_702_792_704),
            (DEEPSEEK_V2_LITE, 15_706_484_224),
        ],
    )
    def test_the_count_is_that_of_the_published_weights(
        self, shape: Architecture, published: int
    ) -> None:
        assert parameters(shape) == published

    def test_matrices_vectors_and_embeddings_are_all_there_is(self) -> None:
        for shape in (LLAMA_8B, GEMMA3_1B, MIXTRAL, DEEPSEEK_V2_LITE):
            embeddings = shape.vocab * shape.hidden * (1 if shape.tied_embeddings else 2)

            parts = embeddings + matrix_parameters(shape) + vector_parameters(shape)

            assert parts == parameters(shape)

    def test_a_tied_embedding_is_counted_once(self) -> None:
        tied = replace(LLAMA_8B, tied_embeddings=True)

        assert parameters(LLAMA_8B) - parameters(tied) == 128_256 * 4_096

    def test_of_eight_experts_a_token_meets_two(self) -> None:
        assert active_parameters(MIXTRAL) == 12_879_925_248
        assert active_parameters(LLAMA_8B) == parameters(LLAMA_8B)

    def test_attention_has_its_biases(self) -> None:
        without = replace(QWEN25_7B, qkv_bias=False)

        difference = attention_parameters(QWEN25_7B) - attention_parameters(without)

        assert difference == 28 * (3_584 + 2 * 512)

    @given(layers=st.integers(1, 50), experts=st.integers(2, 64), data=st.data())
    def test_active_parameters_are_never_more_than_all(
        self, layers: int, experts: int, data: st.DataObject
    ) -> None:
        moe = Moe(
            experts=experts,
            active=data.draw(st.integers(1, experts)),
            intermediate=64,
            dense_layers=data.draw(st.integers(0, layers)),
        )
        shape = replace(LLAMA_8B, layers=layers, moe=moe)

        assert 0 < active_parameters(shape) <= parameters(shape)


class TestShapes:
    def test_grouped_queries_make_narrow_keys_and_values(self) -> None:
        assert linear_shapes(LLAMA_8B) == {
            "q": (4_096, 4_096),
            "k": (4_096, 1_024),
            "v": (4_096, 1_024),
            "o": (4_096, 4_096),
            "gate": (4_096, 14_336),
            "up": (4_096, 14_336),
            "down": (14_336, 4_096),
        }

    def test_latent_attention_has_its_own_matrices(self) -> None:
        shapes = linear_shapes(DEEPSEEK_V2_LITE)

        assert shapes["kv_a"] == (2_048, 512 + 64)
        assert shapes["kv_b"] == (512, 16 * 256)
        assert shapes["o"] == (16 * 128, 2_048)
        assert shapes["gate"] == (2_048, 1_408)
        assert "k" not in shapes
