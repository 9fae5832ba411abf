"""GGUFs of random weights in any shape, for what an engine says of a shape."""

from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFWriter

from fathom_tui.architecture import Architecture


def write(path: Path, kind: str, a: Architecture) -> Path:
    """Write a model without a vocabulary in 16 bit.

    Args:
        path: The file.
        kind: llama.cpp's name of an architecture whose tensors the shape has: llama, gemma3,
            qwen3moe, deepseek2.
        a: The shape.
    """
    writer = GGUFWriter(str(path), kind)
    _settings(writer, a)
    _Tensors(writer, a).write()
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _settings(writer: Any, a: Architecture) -> None:
    writer.add_context_length(a.context)
    writer.add_embedding_length(a.hidden)
    writer.add_block_count(a.layers)
    writer.add_feed_forward_length(a.intermediate)
    writer.add_head_count(a.heads)
    writer.add_head_count_kv(1 if a.mla else a.kv_heads)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(a.vocab)
    writer.add_tokenizer_model("none")
    writer.add_rope_freq_base(10_000.0)
    if a.mla:
        writer.add_key_length(a.mla.kv_lora_rank + a.mla.rope_head_dim)
        writer.add_value_length(a.mla.kv_lora_rank)
        writer.add_key_length_mla(a.mla.nope_head_dim + a.mla.rope_head_dim)
        writer.add_value_length_mla(a.mla.value_head_dim)
        writer.add_kv_lora_rank(a.mla.kv_lora_rank)
        writer.add_rope_dimension_count(a.mla.rope_head_dim)
    else:
        writer.add_key_length(a.head_dim)
        writer.add_value_length(a.head_dim)
        writer.add_rope_dimension_count(a.head_dim)
    if a.sliding_window:
        writer.add_sliding_window(a.sliding_window)
    if a.moe:
        writer.add_expert_count(a.moe.experts)
        writer.add_expert_used_count(a.moe.active)
        writer.add_expert_feed_forward_length(a.moe.intermediate)
        writer.add_leading_dense_block_count(a.moe.dense_layers)
        writer.add_expert_weights_scale(1.0)
        if a.moe.shared_intermediate:
            writer.add_expert_shared_count(a.moe.shared_intermediate // a.moe.intermediate)


class _Tensors:
    def __init__(self, writer: Any, a: Architecture) -> None:
        self.writer, self.a = writer, a
        self.random = np.random.default_rng(1)

    def write(self) -> None:
        """Add every tensor."""
        a = self.a
        self._matrix("token_embd", a.vocab, a.hidden)
        self._vector("output_norm", a.hidden)
        if not a.tied_embeddings:
            self._matrix("output", a.vocab, a.hidden)
        for layer in range(a.layers):
            self._layer(f"blk.{layer}.", layer)

    def _layer(self, name: str, layer: int) -> None:
        a = self.a
        norms = ("attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm")
        for norm in norms[: a.norms]:
            self._vector(name + norm, a.hidden)
        if a.qk_norm:
            self._vector(name + "attn_q_norm", a.head_dim)
            self._vector(name + "attn_k_norm", a.head_dim)
        self._latent(name) if a.mla else self._attention(name)
        if a.moe and layer >= a.moe.dense_layers:
            self._experts(name)
        else:
            self._mlp(name, a.intermediate, "")

    def _attention(self, name: str) -> None:
        a = self.a
        queries, keys = a.heads * a.head_dim, a.kv_heads * a.head_dim
        self._matrix(name + "attn_q", queries, a.hidden)
        self._matrix(name + "attn_k", keys, a.hidden)
        self._matrix(name + "attn_v", keys, a.hidden)
        self._matrix(name + "attn_output", a.hidden, queries)

    def _latent(self, name: str) -> None:
        a, mla = self.a, self.a.mla
        if mla is None:
            raise ValueError("no latent attention")
        rank, width = mla.kv_lora_rank, mla.nope_head_dim + mla.rope_head_dim
        self._matrix(name + "attn_q", a.heads * width, a.hidden)
        self._matrix(name + "attn_kv_a_mqa", rank + mla.rope_head_dim, a.hidden)
        self._vector(name + "attn_kv_a_norm", rank)
        self._matrix(name + "attn_k_b", a.heads, rank, mla.nope_head_dim)
        self._matrix(name + "attn_v_b", a.heads, mla.value_head_dim, rank)
        self._matrix(name + "attn_output", a.hidden, a.heads * mla.value_head_dim)

    def _experts(self, name: str) -> None:
        a, moe = self.a, self.a.moe
        if moe is None:
            raise ValueError("no experts")
        self._matrix(name + "ffn_gate_inp", moe.experts, a.hidden, kind=np.float32)
        self._matrix(name + "ffn_gate_exps", moe.experts, moe.intermediate, a.hidden)
        self._matrix(name + "ffn_up_exps", moe.experts, moe.intermediate, a.hidden)
        self._matrix(name + "ffn_down_exps", moe.experts, a.hidden, moe.intermediate)
        if moe.shared_intermediate:
            self._mlp(name, moe.shared_intermediate, "_shexp")

    def _mlp(self, name: str, width: int, suffix: str) -> None:
        self._matrix(f"{name}ffn_gate{suffix}", width, self.a.hidden)
        self._matrix(f"{name}ffn_up{suffix}", width, self.a.hidden)
        self._matrix(f"{name}ffn_down{suffix}", self.a.hidden, width)

    def _matrix(self, name: str, *shape: int, kind: Any = np.float16) -> None:
        values = self.random.standard_normal(shape, dtype=np.float32) * 0.02
        self.writer.add_tensor(f"{name}.weight", values.astype(kind))

    def _vector(self, name: str, size: int) -> None:
        self.writer.add_tensor(f"{name}.weight", np.ones(size, np.float32))
