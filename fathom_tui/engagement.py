"""What an engagement is made of: a name, a data file, and the settings of its runs."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fathom_tui.contract import Contract
from fathom_tui.datasets.formats import infer_contract, read_dataset
from fathom_tui.errors import UsageError
from fathom_tui.recipe import EMBEDDED, Plan

NAME_LENGTH = 100
# Control characters, also those that end a line or turn the writing direction, and the halves
# of characters that a command line of another encoding arrives with.
_UNSAFE_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f/\\\u2028-\u202e\u2066-\u2069\ud800-\udfff]|\.\.")
_HALF = re.compile(r"[\ud800-\udfff]")
PATHS = ("dataset", "test", "model")
"""Settings that hold a path; a relative one is looked for beside the file that names it."""

INSTRUCTIONS = {
    "label": "Read the message and say which class it belongs to.",
    "json": "Read the message and fill in the fields.",
}
"""What the model is told where the engagement does not say, by the contract's kind."""


def check_name(name: str) -> str:
    """Return an engagement's name if it can be shown and stored as it is.

    Raises:
        UsageError: Empty, too long, or with control characters, slashes or `..`.
    """
    if name.strip() and len(name) <= NAME_LENGTH and not _UNSAFE_NAME.search(name):
        return name.strip()
    raise UsageError(
        f"{name[:NAME_LENGTH]!r} cannot be an engagement's name.",
        fix=f"Use 1 to {NAME_LENGTH} characters without slashes, '..' and control characters, "
        "for example 'Acme triage'.",
    )


def read_settings(path: Path) -> dict[str, Any]:
    """Read settings from a TOML file; relative paths in it count from its directory.

    Raises:
        UsageError: The file cannot be read or is not TOML.
    """
    import tomllib

    try:
        settings = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}.", fix="Check the path."
        ) from error
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError both are
        raise UsageError(f"{path} is not TOML: {error}.", fix="Correct that line.") from error
    for name in PATHS:
        value = settings.get(name)
        if isinstance(value, str) and value and value != EMBEDDED:
            settings[name] = str(path.parent / os.path.expanduser(value))
    return settings


def configure(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return an engagement's configuration: the settings, checked and completed.

    The data is read once, whole: a faulty row is named now rather than in the first run. A
    missing contract is made of the labels in the data, a missing instruction of the contract.

    Args:
        settings: Fields of `fathom_tui.recipe.Plan`; at least `dataset`.

    Raises:
        UsageError: A setting is unknown or out of range, or the model is not a directory.
        DatasetError: A data file cannot be read or breaks the contract; names file and line.
    """
    if not settings.get("dataset"):
        raise UsageError("No data file was given.", fix="Name one with --data FILE.")
    config = dict(settings)
    for name, value in config.items():
        _check_text(name, value)
    for name in PATHS:
        if config.get(name) and config[name] != EMBEDDED:
            # Not Path.expanduser(), which fails where the shell leaves a `~nobody` as it is.
            config[name] = str(Path(os.path.expanduser(config[name])).absolute())
    columns = {name: config[name] for name in ("input", "output") if name in config}
    if "contract" not in config:
        config["contract"] = infer_contract(Path(config["dataset"]), **columns).to_json()
    contract = Contract.from_json(config["contract"])
    config.setdefault("instruction", INSTRUCTIONS[contract.kind])
    plan = Plan.from_json(config)
    _check_model(plan.model)
    for path in filter(None, (plan.dataset, plan.test)):
        read_dataset(
            Path(path), contract, input=plan.input, output=plan.output, stratum=plan.stratum
        )
    return config


def _check_text(name: str, value: object) -> None:
    """Refuse a path that is none, and text that the journal could not give back."""
    if name in PATHS and (not isinstance(value, str) or "\0" in value):
        raise UsageError(f"The setting {name} is {value!r}.", fix="Give a path as text.")
    if isinstance(value, str) and _HALF.search(value):
        raise UsageError(
            f"The setting {name} is {value!r}, which is not UTF-8.",
            fix="Rename the file, or write the text as UTF-8.",
        )


def _check_model(model: str) -> None:
    # Not Path.is_file(), which raises where a name is too long.
    if model != EMBEDDED and not os.path.isfile(os.path.join(model, "config.json")):
        raise UsageError(
            f"{model or repr(model)} is not a Hugging Face model directory: it has no config.json.",
            fix="Name a directory with config.json, weights and tokenizer, "
            "or leave --model out for the embedded model.",
        )
