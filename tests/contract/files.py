"""GGUF files of a few kilobytes: a whole model, whose answers mean nothing."""

from pathlib import Path

import numpy as np

WIDTH = 32
CONTEXT = 256
CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""The chat template of ChatML, as many models carry it."""
# The comment keeps them away from every template that Ollama knows.
STRANGE = f"{{#{'~' * 120}#}}{{% for m in messages %}}<{{{{ m.role }}}}>{{% endfor %}}<bot>"
TOOLED = "{% if tools %}{{ tools }}{% endif %}" + STRANGE


def write_small(
    path: Path, *, architecture: str = "llama", chat_template: str = "", pooled: bool = False
) -> Path:
    """Write a Llama of one layer in F16 whose words are the 256 bytes.

    Args:
        path: The file to write.
        architecture: What the header calls it.
        chat_template: A Jinja template for the header; none where empty.
        pooled: Whether the header names a pooling, which makes it an embedding model.
    """
    from gguf import GGUFWriter, LlamaFileType, PoolingType

    writer = GGUFWriter(str(path), architecture)
    writer.add_name("Small")
    writer.add_file_type(LlamaFileType.MOSTLY_F16)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(2 * WIDTH)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    if pooled:
        writer.add_pooling_type(PoolingType.MEAN)
    if chat_template:
        writer.add_chat_template(chat_template)
    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    writer.add_vocab_size(len(words))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(words)
    writer.add_token_scores([0.0] * len(words))
    writer.add_token_types([2, 3, 3, *[6] * 256])
    # A text is its bytes and nothing before or behind: what is cut is as long as it was cut.
    writer.add_add_space_prefix(False)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    random = np.random.default_rng(7)
    for name, shape in _shapes(len(words)).items():
        kind = np.float32 if len(shape) == 1 else np.float16
        writer.add_tensor(f"{name}.weight", random.normal(0, 0.5, shape).astype(kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _shapes(words: int) -> dict[str, tuple[int, ...]]:
    heads = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (WIDTH, WIDTH))
    wide = dict.fromkeys(("ffn_gate", "ffn_up"), (2 * WIDTH, WIDTH))
    norms = dict.fromkeys(("attn_norm", "ffn_norm"), (WIDTH,))
    layer = {**heads, **wide, **norms, "ffn_down": (WIDTH, 2 * WIDTH)}
    return {
        "token_embd": (words, WIDTH),
        "output": (words, WIDTH),
        "output_norm": (WIDTH,),
        **{f"blk.0.{name}": shape for name, shape in layer.items()},
    }
