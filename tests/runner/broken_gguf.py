"""A GGUF that llama.cpp loads and then ends its process over, at the first word it is given."""

from pathlib import Path

import numpy as np

VOCABULARY = ("<unk>", "<s>", "</s>", "a", "b", "c", "d", "e")
WIDTH, INNER, CONTEXT = 32, 64, 4096


def write_aborting_gguf(path: Path) -> None:
    """Write a Llama of one layer with a SentencePiece vocabulary that has no token for a byte.

    llama.cpp looks every unknown byte up with `unordered_map::at`, outside of any `try`: what it
    throws ends the process.
    """
    from gguf import GGUFWriter

    writer = GGUFWriter(str(path), "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(VOCABULARY))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(list(VOCABULARY))
    writer.add_token_scores([0.0] * len(VOCABULARY))
    writer.add_token_types([2, 3, 3, 1, 1, 1, 1, 1])
    for name, shape in _shapes().items():
        writer.add_tensor(f"{name}.weight", np.full(shape, 0.01, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _shapes() -> dict[str, tuple[int, ...]]:
    words = (len(VOCABULARY), WIDTH)
    square = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (WIDTH, WIDTH))
    wide = dict.fromkeys(("ffn_gate", "ffn_up"), (INNER, WIDTH))
    norms = dict.fromkeys(("attn_norm", "ffn_norm"), (WIDTH,))
    layer = {**square, **wide, **norms, "ffn_down": (WIDTH, INNER)}
    return {
        "token_embd": words,
        "output": words,
        "output_norm": (WIDTH,),
        **{f"blk.0.{name}": shape for name, shape in layer.items()},
    }
