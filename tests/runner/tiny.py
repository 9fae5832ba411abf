"""A GGUF of random weights with the embedded model's vocabulary: a hundredth of the work."""

from pathlib import Path
from typing import Any

import numpy as np

LAYERS, WIDTH, INNER, HEADS = 2, 256, 512, 4
"""Rows divide by 256, so that every type of the ladder applies to every matrix."""


def write_tiny(path: Path, vocabulary_of: Path) -> Path:
    """Write a model of two layers in 16 bit and return its path.

    Args:
        path: The file to write.
        vocabulary_of: A GGUF whose tokenizer it gets.
    """
    from gguf import GGUFReader, GGUFWriter

    writer = GGUFWriter(str(path), "llama")
    writer.add_context_length(2048)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_rope_freq_base(10_000.0)
    reader = GGUFReader(str(vocabulary_of))
    tokens = _copy_tokenizer(reader, writer)
    random = np.random.default_rng(5)
    # Wide enough for likely and unlikely tokens: the output is the embedding turned round.
    _matrix(writer, random, "token_embd", tokens, WIDTH, 0.2)
    _ones(writer, "output_norm")
    for layer in range(LAYERS):
        name = f"blk.{layer}."
        _ones(writer, name + "attn_norm")
        _ones(writer, name + "ffn_norm")
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            _matrix(writer, random, name + part, WIDTH, WIDTH, 0.05)
        _matrix(writer, random, name + "ffn_gate", INNER, WIDTH, 0.05)
        _matrix(writer, random, name + "ffn_up", INNER, WIDTH, 0.05)
        _matrix(writer, random, name + "ffn_down", WIDTH, INNER, 0.05)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _copy_tokenizer(reader: Any, writer: Any) -> int:
    """Copy what a GGUF says of its tokenizer; return the size of the vocabulary."""
    from gguf import GGUFValueType

    tokens = 0
    for name, field in reader.fields.items():
        if not name.startswith("tokenizer."):
            continue
        kind, value = field.types[0], field.contents()
        inner = field.types[-1] if kind is GGUFValueType.ARRAY else None
        writer.add_key_value(name, value, kind, sub_type=inner)
        tokens = len(value) if name == "tokenizer.ggml.tokens" else tokens
    return tokens


def _matrix(
    writer: Any, random: np.random.Generator, name: str, rows: int, columns: int, spread: float
) -> None:
    values = random.standard_normal((rows, columns), dtype=np.float32) * spread
    writer.add_tensor(f"{name}.weight", values.astype(np.float16))


def _ones(writer: Any, name: str) -> None:
    writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
