"""Run-time options (Ollama v0.33.0-rc2, api/types.go Options, DefaultOptions and FromMap)."""

from collections.abc import Mapping
from typing import Any

DEFAULTS: dict[str, Any] = {
    "num_keep": 4,
    "seed": -1,
    "num_predict": -1,
    "top_k": 40,
    "top_p": 0.9,
    "min_p": 0.0,
    "typical_p": 1.0,
    "repeat_last_n": 64,
    "temperature": 0.8,
    "repeat_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "stop": [],
    # By video memory: 4096 below 23 GiB (routes.go Serve).
    "num_ctx": 4096,
    "num_batch": 512,
    "num_gpu": -1,
    "main_gpu": 0,
    "use_mmap": True,
    "num_thread": 0,
    "draft_num_predict": 0,
}


class WrongOption(ValueError):
    """A known option with a value of another type."""


def merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults with the model's options, then the request's, laid over them.

    Unknown options are passed over (Ollama logs them), and so is null.

    Raises:
        WrongOption: A value has the wrong type.
    """
    options = dict(DEFAULTS)
    for layer in layers:
        for key, value in layer.items():
            if key in DEFAULTS and value is not None:
                options[key] = _checked(key, value)
    return options


def _checked(key: str, value: Any) -> Any:
    wanted = DEFAULTS[key]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(wanted, bool):
        _require(isinstance(value, bool), key, "boolean")
        return value
    if isinstance(wanted, int):
        _require(number, key, "integer")
        return int(value)
    if isinstance(wanted, float):
        _require(number, key, "float32")
        return float(value)
    _require(isinstance(value, list), key, "array")
    if not all(isinstance(item, str) for item in value):
        raise WrongOption(f'option "{key}" must be of an array of strings')
    return value


def _require(right: bool, key: str, kind: str) -> None:
    if not right:
        raise WrongOption(f'option "{key}" must be of type {kind}')
