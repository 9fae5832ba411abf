"""config.json of the usual families, and of what cannot be counted."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.architecture import Architecture, parameters
from fathom_tui.errors import UsageError
from fathom_tui.sources.config_json import from_config

LLAMA_8B: dict[str, Any] = {
    "model_type": "llama",
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "tie_word_embeddings": False,
    "max_position_embeddings": 131072,
    "attention_bias": False,
    "mlp_bias": False,
}


def family(
    kind: str, layers: int, hidden: int, width: int, heads: int, kv: int, vocab: int, **more: Any
) -> dict[str, Any]:
    """Return a config.json with the usual keys."""
    return {
        "model_type": kind,
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "intermediate_size": width,
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        "vocab_size": vocab,
        "max_position_embeddings": 32768,
        **more,
    }


FAMILIES: list[tuple[dict[str, Any], int]] = [
    (LLAMA_8B, 8_030_261_248),
    (family("llama", 30, 576, 1536, 9, 3, 49152, tie_word_embeddings=True), 134_515_008),
    (family("qwen2", 28, 3584, 18944, 28, 4, 152064, tie_word_embeddings=False), 7_615_616_512),
    (family("qwen3", 36, 4096, 12288, 32, 8, 151936), 8_190_735_360),
    (
        family(
            "qwen3_moe",
            *(48, 2048, 6144, 32, 4, 151936),
            head_dim=128,
            num_experts=128,
            num_experts_per_tok=8,
            moe_intermediate_size=768,
            decoder_sparse_step=1,
            mlp_only_layers=[],
        ),
        30_532_122_624,
    ),
    (
        family(
            "mixtral",
            *(32, 4096, 14336, 32, 8, 32000),
            num_local_experts=8,
            num_experts_per_tok=2,
            sliding_window=None,
        ),
        46_702_792_704,
    ),
    (family("gemma2", 26, 2304, 9216, 8, 4, 256000, head_dim=256), 2_614_341_888),
    (family("gemma3_text", 26, 1152, 6912, 4, 1, 262144, head_dim=256), 999_885_952),
    (family("phi3", 40, 5120, 17920, 40, 10, 100352), 14_659_507_200),
    (family("phi3", 32, 3072, 8192, 24, 8, 200064, tie_word_embeddings=True), 3_836_021_760),
    (
        family(
            "deepseek_v2",
            *(27, 2048, 10944, 16, 16, 102400),
            moe_intermediate_size=1408,
            n_routed_experts=64,
            n_shared_experts=2,
            num_experts_per_tok=6,
            first_k_dense_replace=1,
            moe_layer_freq=1,
            kv_lora_rank=512,
            q_lora_rank=None,
            qk_rope_head_dim=64,
            qk_nope_head_dim=128,
            v_head_dim=128,
        ),
        15_706_484_224,
    ),
    (
        family(
            "gpt_oss",
            *(24, 2880, 2880, 64, 8, 201088),
            head_dim=64,
            num_local_experts=32,
            num_experts_per_tok=4,
            attention_bias=True,
            sliding_window=128,
        ),
        20_914_757_184,
    ),
]


def read(**changes: Any) -> tuple[Architecture, list[str]]:
    """Read Llama's file with keys changed; None removes one."""
    return from_config({k: v for k, v in {**LLAMA_8B, **changes}.items() if v is not None})


class TestFamilies:
    @pytest.mark.parametrize(("config", "published"), FAMILIES)
    def test_the_count_is_that_of_the_published_weights(
        self, config: dict[str, Any], published: int
    ) -> None:
        architecture, _ = from_config(config)

        assert parameters(architecture) == published

    def test_a_complete_file_needs_no_assumption(self) -> None:
        assert from_config(LLAMA_8B)[1] == []

    def test_the_text_part_of_a_model_that_sees_is_read_with_its_defaults(self) -> None:
        text = {
            "model_type": "gemma3_text",
            "num_hidden_layers": 34,
            "hidden_size": 2560,
            "intermediate_size": 10240,
            "sliding_window": 1024,
        }

        architecture, notes = from_config({"model_type": "gemma3", "text_config": text})

        assert (architecture.heads, architecture.kv_heads, architecture.head_dim) == (8, 4, 256)
        assert (architecture.sliding_window, architecture.sliding_layers) == (1024, 29)
        assert architecture.tied_embeddings
        assert "only the text part (text_config) is counted" in notes
        assert "num_attention_heads = 8, the default of gemma3_text" in notes

    def test_layer_types_say_which_layers_slide(self) -> None:
        kinds = ["sliding_attention"] * 20 + ["full_attention"] * 12

        architecture, _ = read(model_type="olmo3", layer_types=kinds, sliding_window=4096)

        assert (architecture.sliding_window, architecture.sliding_layers) == (4096, 20)

    def test_every_second_layer_of_gpt_oss_slides(self) -> None:
        architecture, _ = from_config(FAMILIES[-1][0])

        assert (architecture.sliding_window, architecture.sliding_layers) == (128, 12)

    def test_a_window_that_llama_cpp_does_not_use_is_noted(self) -> None:
        architecture, notes = read(model_type="mistral", sliding_window=4096)

        assert architecture.sliding_layers == 0
        assert notes == ["llama.cpp keeps every token of mistral, not only the window of 4,096"]

    def test_qwens_window_that_is_switched_off_is_none(self) -> None:
        _, notes = read(model_type="qwen2", sliding_window=131072, use_sliding_window=False)

        assert notes == []

    def test_layers_with_linear_attention_have_no_cache(self) -> None:
        architecture, notes = read(model_type="qwen3_next", full_attention_interval=4)

        assert architecture.kv_heads_by_layer == (0, 0, 0, 8) * 8
        assert notes[0].startswith("24 of 32 layers keep a small state")

    def test_dense_layers_are_counted_wherever_they_lie(self) -> None:
        moe = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 512}

        def dense(**keys: Any) -> int:
            architecture, _ = read(model_type="qwen3_moe", **moe, **keys)
            assert architecture.moe is not None
            return architecture.moe.dense_layers

        assert dense() == 0
        assert dense(first_k_dense_replace=3) == 3
        assert dense(mlp_only_layers=[0, 5]) == 2
        assert dense(decoder_sparse_step=2) == 16


class TestNotes:
    @pytest.mark.parametrize(
        ("stored", "says"),
        [
            ({"quant_method": "gptq", "bits": 4}, "quantised with gptq (quantization_config)"),
            ({"quant_method": "awq"}, "quantised with awq"),
            ({"bits": 4}, "quantised (quantization_config)"),
            ({"quant_method": 7}, "quantised (quantization_config)"),
            ("gptq", "quantised (quantization_config)"),
        ],
    )
    def test_quantised_weights_are_not_what_is_sized(self, stored: object, says: str) -> None:
        (note,) = read(quantization_config=stored)[1]

        assert says in note
        assert "not of that file" in note

    def test_weights_that_are_not_quantised_need_no_note(self) -> None:
        assert read(quantization_config={})[1] == []

    def test_a_kind_of_layer_that_is_unknown_is_counted_as_attention_and_told(self) -> None:
        kinds = ["full_attention"] * 30 + ["marvel", "marvel"]

        architecture, notes = read(layer_types=kinds)

        assert architecture.kv_heads_by_layer == ()
        assert len(notes) == 1
        assert "2 of 32 layers of 'marvel', which is not known here" in notes[0]


class TestUnknown:
    def test_an_unknown_architecture_is_counted_as_a_llama_and_says_so(self) -> None:
        architecture, notes = read(model_type="marvel", num_key_value_heads=None)

        assert architecture.kv_heads == 32
        assert "num_key_value_heads = 32, which the file leaves out" in notes
        assert any("marvel is not known here" in note for note in notes)

    def test_missing_keys_are_named_with_what_was_assumed(self) -> None:
        with pytest.raises(UsageError) as caught:
            from_config({"model_type": "gemma3_text", "hidden_size": 64})

        assert "lacks num_hidden_layers, intermediate_size" in caught.value.message
        assert "num_attention_heads = 8" in caught.value.message

    def test_an_empty_file_lacks_everything(self) -> None:
        with pytest.raises(UsageError, match="num_hidden_layers, hidden_size"):
            from_config({})

    @pytest.mark.parametrize(
        ("key", "value", "says"),
        [
            ("hidden_size", "4096", "no whole number"),
            ("hidden_size", 4096.5, "no whole number"),
            ("hidden_size", True, "no whole number"),
            ("hidden_size", [4096], "no whole number"),
            ("num_hidden_layers", 0, "not from 1"),
            ("num_hidden_layers", -32, "not from 1"),
            ("num_hidden_layers", 10**8, "layers"),
            ("vocab_size", 10**30, "not from 1"),
            ("tie_word_embeddings", "yes", "neither true nor false"),
            ("model_type", 7, "no text"),
            ("layer_types", ["full_attention"], "layer_types"),
            ("num_attention_heads", 33, "head_dim"),
            ("num_key_value_heads", 5, "cannot share evenly"),
            ("num_key_value_heads", 64, "cannot share evenly"),
            ("num_key_value_heads", 0, "not from 1"),
            ("kv_lora_rank", 512, "qk_rope_head_dim"),
            ("num_experts", 8, "num_experts_per_tok"),
            ("is_encoder_decoder", True, "encoder"),
            ("model_type", "bert", "encoder"),
        ],
    )
    def test_what_cannot_be_right_is_refused_by_name(
        self, key: str, value: object, says: str
    ) -> None:
        with pytest.raises(UsageError, match=says) as caught:
            read(**{key: value})

        assert caught.value.fix

    def test_more_active_experts_than_there_are_is_refused(self) -> None:
        with pytest.raises(UsageError, match="9 of 8 experts"):
            read(num_experts=8, num_experts_per_tok=9)

    @given(
        st.dictionaries(
            st.sampled_from([*LLAMA_8B, "head_dim", "kv_lora_rank", "num_experts", "layer_types"]),
            st.none() | st.booleans() | st.integers(-5, 100) | st.floats() | st.text(max_size=4),
        )
    )
    def test_any_file_is_counted_or_refused(self, config: dict[str, Any]) -> None:
        try:
            architecture, _ = from_config({**LLAMA_8B, **config})
        except UsageError as error:
            assert error.message
        else:
            assert parameters(architecture) > 0
