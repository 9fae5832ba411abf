"""The base model of a run: its Hugging Face directory and its f16 GGUF, made once in the cache."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fathom_tui.errors import EnvironmentProblem, UsageError
from fathom_tui.recipe import EMBEDDED

REQUIRED = ("config.json", "tokenizer.json", "tokenizer_config.json")
_FORMAT = 1
"""Raised when the cached files change their meaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseModel:
    """Where a base model lies, ready for training and for scoring."""

    name: str
    directory: Path
    gguf: Path
    made: bool
    """Whether it had to be made now."""


def locate(model: str) -> Path | None:
    """Return a local model's directory, or None for the embedded one.

    Raises:
        UsageError: The directory does not exist, is not a complete Hugging Face model, or holds
            weights that are quantised.
    """
    if model == EMBEDDED:
        return None
    directory = Path(model).expanduser()
    if not directory.is_dir():
        raise UsageError(
            f"There is no model directory {model}.",
            fix="Name a local Hugging Face directory, or leave the model out for the embedded one.",
        )
    missing = [name for name in REQUIRED if not (directory / name).is_file()]
    if not list(directory.glob("*.safetensors")):
        missing.append("*.safetensors")
    if missing:
        raise UsageError(
            f"{model} is not a complete Hugging Face model: {', '.join(missing)} is missing.",
            fix="Download it again; weights must be safetensors (pickled weights are not read).",
        )
    for name in ("config.json", "tokenizer_config.json"):
        if "auto_map" in _settings(directory / name):
            raise UsageError(
                f"{model} wants to run its own code (auto_map in {name}).",
                fix="Choose a model that transformers knows; remote code is never run.",
            )
    require_16_bit(directory)
    return directory


def require_16_bit(model_dir: Path) -> None:
    """Refuse a base model that is stored quantised.

    Raises:
        UsageError: Its config.json says that it is.
    """
    stored = _settings(model_dir / "config.json").get("quantization_config")
    if stored:
        method = stored.get("quant_method", "unknown") if isinstance(stored, dict) else stored
        raise UsageError(
            f"The base model at {model_dir} is stored quantised ({method}): an adapter merged into "
            "it would be rounded away.",
            fix="Train on the 16-bit weights of the same model; QLoRA quantises them in memory.",
        )


def _settings(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is not JSON: {error}.", fix="Download it again.") from error
    if not isinstance(data, dict):
        raise UsageError(
            f"{path} holds a {type(data).__name__} instead of settings.", fix="Download it again."
        )
    return data


def prepare(model: str, cache: Path) -> BaseModel:
    """Return the base model, converting it once into the cache.

    Args:
        model: `embedded` or a local Hugging Face directory.
        cache: Fathom's cache directory; may not exist yet.

    Raises:
        UsageError: The model's directory is missing or incomplete.
        EnvironmentProblem: A library is missing, or the architecture cannot be converted.
    """
    from fathom_tui.runner.embedded import embedded_gguf, write_hugging_face
    from fathom_tui.runner.export import convert

    source = locate(model)
    key = _key(source if source is not None else embedded_gguf())
    name = "smollm2-135m-instruct" if source is None else source.name
    place = cache / "models" / f"{name}-{key}"
    directory, gguf = source or place / "hf", place / "base.f16.gguf"
    with _alone(cache / "models", key):
        if _complete(place):
            return BaseModel(name=name, directory=directory, gguf=gguf, made=False)
        shutil.rmtree(place, ignore_errors=True)
        draft = place.with_name(place.name + ".part")
        shutil.rmtree(draft, ignore_errors=True)
        (draft / "hf").mkdir(parents=True, mode=0o700)
        if source is None:
            write_hugging_face(embedded_gguf(), draft / "hf")
        convert(source or draft / "hf", draft / gguf.name, name=name)
        (draft / "complete.json").write_text(json.dumps({"format": _FORMAT}), "utf-8")
        draft.replace(place)
    return BaseModel(name=name, directory=directory, gguf=gguf, made=True)


def _complete(place: Path) -> bool:
    marker = place / "complete.json"
    if not marker.is_file():
        return False
    return bool(json.loads(marker.read_text("utf-8")).get("format") == _FORMAT)


def _key(source: Path) -> str:
    # Name, size and time are enough to notice another file; hashing gigabytes each run is not.
    files = [source] if source.is_file() else sorted(p for p in source.iterdir() if p.is_file())
    if not files:
        raise EnvironmentProblem(f"{source} holds no files.", fix="Download the model again.")
    marks = [f"{p.name}:{p.stat().st_size}:{p.stat().st_mtime_ns}" for p in files]
    return hashlib.sha256("\n".join(marks).encode()).hexdigest()[:12]


@contextmanager
def _alone(directory: Path, key: str) -> Iterator[None]:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(directory / f"{key}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
