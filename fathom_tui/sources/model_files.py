"""The shape of a model on disk or on the hub; its weights are never loaded nor downloaded."""

import errno
import json
import os
import re
import struct
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from fathom_tui.architecture import Architecture, Mla, Moe
from fathom_tui.architecture import parameters as count_parameters
from fathom_tui.errors import EnvironmentProblem, UsageError
from fathom_tui.sources.config_json import from_config
from fathom_tui.sources.gguf_header import Header, read_header

HUB = "https://huggingface.co"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)
_TIMEOUT_S = 10
_LARGEST = 20_000_000
"""Bytes of the largest file that is fetched or parsed: config.json and the weights' index."""
_LARGEST_HEADER = 100_000_000
_SPLIT = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")


class ModelFile(NamedTuple):
    """What a file says of its model."""

    architecture: Architecture
    parameters: int
    weights_bytes: int | None
    """As stored; None where it is not known without downloading the weights."""
    notes: list[str]
    """What was assumed."""


def read_model(name: str | Path) -> ModelFile:
    """Read a model's shape from a GGUF, a Hugging Face directory, a config.json or the hub.

    llama.cpp is not needed for any of them.

    Args:
        name: A path, or a hub id such as `Qwen/Qwen2.5-7B`, which is asked for over the network.

    Raises:
        UsageError: Nothing is there, or it cannot be read as a model.
        EnvironmentProblem: The hub cannot be reached.
    """
    path = located(name)
    if path.is_dir():
        return _read_directory(path)
    if path.is_file():
        return _read_config(path) if path.suffix == ".json" else _read_gguf(path)
    if HUB_ID.fullmatch(str(name)):
        return _read_hub(str(name))
    raise UsageError(
        f"There is no model file {str(name)[:200]}.",
        fix="Name a GGUF, a Hugging Face directory, a hub id, or a model of: fathom catalog models",
    )


def located(name: str | Path) -> Path:
    """Return the path that a name would have, whether something is there or not.

    Raises:
        UsageError: No path can have that name.
    """
    try:
        path = Path(name).expanduser()
        path.stat()
    except RuntimeError as error:
        raise UsageError(
            f"{str(name)[:200]} is in the home of a user who is not known here.",
            fix="Write the path out, without ~.",
        ) from error
    except ValueError:
        return Path(name)  # a zero byte: nothing is there
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            return path
        raise UsageError(
            f"The model's name has {len(str(name)):,} characters, more than a path can have: "
            f"{str(name)[:60]}...",
            fix="Name a path, a hub id, or a model of: fathom catalog models",
        ) from error
    return path


# --- Hugging Face directories ---------------------------------------------------------------------


def _read_directory(path: Path) -> ModelFile:
    config = path / "config.json"
    if not config.is_file():
        ggufs = sorted(path.glob("*.gguf"))
        if ggufs:
            raise UsageError(
                f"{path} has no config.json, but {len(ggufs)} GGUF files.",
                fix=f"Name one of them, for example {ggufs[0]}",
            )
        raise UsageError(
            f"{path} has no config.json.", fix="Name a Hugging Face directory or a GGUF."
        )
    files = sorted(path.glob("*.safetensors"))
    if not files:
        return _read_config(config)
    data = _read_settings(config)
    architecture, notes = _shape(data, str(config))
    counts, sizes = zip(*(_safetensors(file) for file in files), strict=True)
    parameters = sum(counts)
    if data.get("quantization_config"):
        # Packed weights: a stored number is several of the model's.
        notes.append("parameters are counted from config.json: the stored weights are packed")
        parameters = count_parameters(architecture)
    return ModelFile(architecture, parameters, sum(sizes), notes)


def _read_config(path: Path) -> ModelFile:
    architecture, notes = _shape(_read_settings(path), str(path))
    notes.append("parameters are counted from config.json: there are no weights beside it")
    return ModelFile(architecture, count_parameters(architecture), None, notes)


def _shape(data: Mapping[str, Any], name: str) -> tuple[Architecture, list[str]]:
    """Return what a file of settings describes; what is wrong with it names the file.

    Raises:
        UsageError: It lacks something, or holds what cannot be.
    """
    try:
        return from_config(data)
    except UsageError as error:
        raise UsageError(
            error.message.replace("config.json", name[:200], 1), fix=error.fix
        ) from error


def _read_settings(path: Path) -> Mapping[str, Any]:
    if path.stat().st_size > _LARGEST:
        raise UsageError(f"{path} is larger than {_LARGEST:,} bytes.", fix="Download it again.")
    return _settings(path.read_bytes(), str(path))


def _settings(content: bytes, name: str) -> Mapping[str, Any]:
    """Parse a file of settings, with or without a byte order mark.

    Raises:
        UsageError: It is not UTF-8, not JSON, nested too deeply, or holds something else.
    """
    try:
        data = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{name} is not UTF-8: byte {error.start:,} cannot be read.",
            fix="Save it as UTF-8, or download it again.",
        ) from error
    except RecursionError as error:
        raise UsageError(
            f"{name} is nested too deeply to be a model's settings.", fix="Download it again."
        ) from error
    except ValueError as error:
        raise UsageError(f"{name} is not JSON: {error}.", fix="Download it again.") from error
    if not isinstance(data, dict):
        raise UsageError(
            f"{name} holds a {type(data).__name__} instead of settings.", fix="Download it again."
        )
    return data


_BROKEN = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)
"""What reading a safetensors header raises that holds something else."""


def _safetensors(path: Path) -> tuple[int, int]:
    """Return the parameters and the bytes that a file's header lists.

    Source: https://huggingface.co/docs/safetensors, format.
    """
    problem = UsageError(f"{path} is no safetensors file, or cut short.", fix="Download it again.")
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 0 < length <= _LARGEST_HEADER:
            raise problem
        try:
            header = json.loads(file.read(length))
            tensors = [entry for key, entry in header.items() if key != "__metadata__"]
            ends = [int(entry["data_offsets"][1]) for entry in tensors]
            count = sum(prod(entry["shape"]) for entry in tensors)
        except _BROKEN as error:
            raise problem from error
    size = max(ends, default=0)
    if path.stat().st_size < 8 + length + size:
        raise problem
    return count, size


# --- GGUF -----------------------------------------------------------------------------------------


def _read_gguf(path: Path) -> ModelFile:
    first = read_header(path)
    headers = [first, *(read_header(part) for part in _other_parts(path))]
    whole = Header(
        settings=first.settings,
        tensors={name: shape for header in headers for name, shape in header.tensors.items()},
        kinds={name: kind for header in headers for name, kind in header.kinds.items()},
        weights=sum(header.weights for header in headers),
    )
    architecture, notes = _Gguf(path, whole).architecture()
    return ModelFile(architecture, whole.parameters, whole.weights, notes)


def _other_parts(path: Path) -> list[Path]:
    """Return the further files of a model that is split.

    Raises:
        UsageError: The file is not the first of them, or one is missing.
    """
    split = _SPLIT.search(path.name)
    if split is None:
        return []
    stem, count = path.name[: split.start()], int(split[2])
    parts = [path.with_name(f"{stem}-{i:05}-of-{count:05}.gguf") for i in range(1, count + 1)]
    if path != parts[0]:
        raise UsageError(f"{path} is a further part of a split model.", fix=f"Name {parts[0]}")
    if missing := [part.name for part in parts if not part.is_file()]:
        raise UsageError(
            f"Of the split model {path.name}, {len(missing)} of {count} parts are missing: "
            f"{missing[0]}.",
            fix="Download them, too.",
        )
    return parts[1:]


class _Gguf:
    """A GGUF's settings while its architecture is read."""

    def __init__(self, path: Path, header: Header) -> None:
        self.path, self.header, self.notes = path, header, list[str]()
        self.kind = str(header.settings.get("general.architecture", ""))

    def architecture(self) -> tuple[Architecture, list[str]]:
        """Return what the header says, and what was assumed.

        Raises:
            UsageError: Keys are missing or no numbers, or the model is an encoder.
        """
        if self.kind in _ENCODERS:
            raise UsageError(
                f"{self.path} is an encoder ({self.kind}): it makes embeddings, has no KV cache "
                "and does not write.",
                fix="Name a model that writes text.",
            )
        layers, hidden = self._needed("block_count"), self._needed("embedding_length")
        heads = self._largest("attention.head_count")
        by_layer = self._list("attention.head_count_kv")
        kv_heads = max(by_layer, default=0) or heads
        mla = self._mla(heads)
        head_dim = self._int("attention.key_length") or hidden // heads
        names = self.header.tensors
        window, sliding = self._sliding(layers)
        varies = len(set(by_layer)) > 1
        if varies:
            self._note_layers(by_layer)
        return Architecture(
            layers=layers,
            hidden=hidden,
            intermediate=self._largest("feed_forward_length"),
            heads=heads,
            kv_heads=heads if mla else kv_heads,
            head_dim=mla.nope_head_dim + mla.rope_head_dim if mla else head_dim,
            vocab=self._vocab(),
            tied_embeddings="output.weight" not in names,
            context=self._needed("context_length"),
            gated_mlp=any("ffn_gate" in name for name in names) or self.kind == "phi3",
            qkv_bias="blk.0.attn_q.bias" in names or "blk.0.attn_qkv.bias" in names,
            output_bias="blk.0.attn_output.bias" in names,
            norms=sum(name.removeprefix("blk.0.") in _NORMS for name in names),
            qk_norm="blk.0.attn_q_norm.weight" in names,
            attention_sinks="blk.0.attn_sinks.weight" in names,
            fused_qkv="blk.0.attn_qkv.weight" in names,
            sliding_window=None if varies else window,
            sliding_layers=0 if varies else sliding,
            kv_heads_by_layer=by_layer if varies else (),
            mla=mla,
            moe=self._moe(),
        ), self.notes

    def _key(self, name: str) -> str:
        return f"{self.kind}.{name}"

    def _list(self, name: str) -> tuple[int, ...]:
        value = self.header.settings.get(self._key(name))
        if value is None:
            return ()
        try:
            return tuple(map(int, value)) if isinstance(value, tuple) else (int(value),)
        except (ValueError, OverflowError) as error:
            raise UsageError(
                f"{self.path} has {self._key(name)} = {str(value)[:60]!r}, which is no number.",
                fix="Download the file again.",
            ) from error

    def _int(self, name: str) -> int | None:
        found = self._list(name)
        return found[0] if found and found[0] > 0 else None

    def _needed(self, name: str) -> int:
        value = self._int(name)
        if value is None:
            raise UsageError(
                f"{self.path} lacks {self._key(name) if self.kind else 'general.architecture'}, so "
                "its shape is unknown.",
                fix="Name a GGUF of a text model, not a projector or an adapter.",
            )
        return value

    def _largest(self, name: str) -> int:
        """Return the largest of one number a layer."""
        return max(self._list(name), default=0) or self._needed(name)

    def _vocab(self) -> int:
        shape = self.header.tensors.get("token_embd.weight", ())
        return shape[1] if len(shape) == 2 else self._needed("vocab_size")

    def _note_layers(self, by_layer: tuple[int, ...]) -> None:
        without = by_layer.count(0)
        if without:
            self.notes.append(
                f"{without} of {len(by_layer)} layers keep a small state instead of a KV cache; it "
                "is not counted"
            )
        else:
            self.notes.append("layers differ in their key and value heads; windows are not counted")

    def _sliding(self, layers: int) -> tuple[int | None, int]:
        window = self._int("attention.sliding_window") or self._int("attention.chunk_size")
        if window is None:
            return None, 0
        pattern = self._list("attention.sliding_window_pattern")
        if len(pattern) == layers:
            count = sum(map(bool, pattern))
        else:
            every = pattern[0] if pattern else _PATTERNS.get(self.kind, 0)
            if not every:
                self.notes.append(
                    f"a window of {window:,} tokens is in the file, but not which layers use it: "
                    "all keep the whole context"
                )
                return None, 0
            count = layers - layers // every
        return (window, count) if count else (None, 0)

    def _mla(self, heads: int) -> Mla | None:
        rank, key = self._int("attention.kv_lora_rank"), self._int("attention.key_length_mla")
        if rank is None or key is None:
            return None
        rope = self._needed("rope.dimension_count")
        return Mla(
            kv_lora_rank=rank,
            rope_head_dim=rope,
            nope_head_dim=key - rope,
            value_head_dim=self._needed("attention.value_length_mla"),
            q_lora_rank=self._int("attention.q_lora_rank"),
        )

    def _moe(self) -> Moe | None:
        experts = self._int("expert_count")
        if experts is None:
            return None
        width = self._int("expert_feed_forward_length") or self._largest("feed_forward_length")
        shared = self._int("expert_shared_feed_forward_length")
        return Moe(
            experts=experts,
            active=self._needed("expert_used_count"),
            intermediate=width,
            shared_intermediate=shared or width * (self._int("expert_shared_count") or 0),
            dense_layers=self._int("leading_dense_block_count") or 0,
        )


_ENCODERS = frozenset(
    {"bert", "modern-bert", "neo-bert", "nomic-bert", "nomic-bert-moe", "eurobert"}
    | {"jina-bert-v2", "jina-bert-v3", "gemma-embedding", "t5encoder"}
)
"""Architectures that llama.cpp runs for embeddings alone."""
_NORMS = frozenset(
    {"attn_norm.weight", "attn_norm_2.weight", "post_attention_norm.weight"}
    | {"ffn_norm.weight", "post_ffw_norm.weight", "layer_output_norm.weight"}
)
_PATTERNS: Mapping[str, int] = {
    **{"gemma2": 2, "gemma3": 6, "gemma3n": 5, "gpt-oss": 2},
    **{"cohere2": 4, "exaone4": 4, "llama4": 4, "olmo2": 4},
}
"""One of so many layers sees the whole context. Source: `load_swa_pattern` in the model files of
llama-cpp-python 0.3.36."""


# --- the hub --------------------------------------------------------------------------------------


def _read_hub(name: str) -> ModelFile:
    config = _fetch(name, "config.json")
    if config is None:
        raise UsageError(
            f"The hub has no config.json of {name}.", fix="Check the id, or name its GGUF."
        )
    said = f"config.json of {name}"
    architecture, notes = _shape(_settings(config, said), said)
    index = _fetch(name, "model.safetensors.index.json")
    size = None
    if index is not None:
        total = _settings(index, f"index of {name}").get("metadata", {}).get("total_size")
        size = total if isinstance(total, int) and total > 0 else None
    notes.append("parameters are counted from config.json")
    return ModelFile(architecture, count_parameters(architecture), size, notes)


def _fetch(name: str, file: str) -> bytes | None:
    """Return a small file of a repository, or None where it has none.

    Raises:
        UsageError: There is no such repository, or it is closed.
        EnvironmentProblem: The hub cannot be reached.
    """
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    unreachable = f"{name} is neither a model of the catalog nor a path, and the hub"
    fix = "Name a local GGUF or Hugging Face directory; fathom catalog models lists what is known."
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "on", "yes", "true"):
        raise EnvironmentProblem(f"{unreachable} is not asked: HF_HUB_OFFLINE is set.", fix=fix)
    base = os.environ.get("HF_ENDPOINT", "").rstrip("/") or HUB
    if not base.startswith(("https://", "http://")):
        raise UsageError(f"HF_ENDPOINT is {base!r}.", fix="Give an address: https://...")
    request = Request(f"{base}/{name}/resolve/main/{file}", headers={"User-Agent": "fathom-tui"})
    try:
        with urlopen(request, timeout=_TIMEOUT_S) as answer:
            found: bytes = answer.read(_LARGEST + 1)
    except HTTPError as error:
        error.close()
        if error.code == 404:
            return None
        raise _refused(name, file, error.code) from error
    except (URLError, OSError, HTTPException, ValueError) as error:
        raise EnvironmentProblem(f"{unreachable} cannot be reached: {error}.", fix=fix) from error
    if len(found) > _LARGEST:
        raise UsageError(f"{file} of {name} is larger than {_LARGEST:,} bytes.", fix=fix)
    return found


def _refused(name: str, file: str, code: int) -> UsageError | EnvironmentProblem:
    if code in (401, 403):
        return UsageError(
            f"The hub does not show {name} without signing in (HTTP {code}): it does not exist or "
            "is gated.",
            fix="Check the id, or download the model and name its directory.",
        )
    return EnvironmentProblem(
        f"The hub answered HTTP {code} for {file} of {name}.", fix="Try again later."
    )
