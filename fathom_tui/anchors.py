"""Anchors: prompts that the accepted file is known to answer, asked again for as long as it serves.

An anchor set stands beside the version it belongs to, so that health can be checked after the
run that made it, and its training data, are gone.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from fathom_tui.contract import Contract
from fathom_tui.errors import EnvironmentProblem

FORMAT = 1
"""Version of the file's layout."""

THRESHOLD = 0.90
"""Share of anchors below which a deployment is critical. Our policy: at deployment all pass, so two
of twenty missing is the most that chance is allowed."""


_MOST_TOKENS = 2**31 - 1
"""llama.cpp counts tokens in 32 bits with a sign (include/llama.h, llama_token)."""
_RESTORE = "Restore the file from the delivery package, or run the engagement again."
_LONGEST_S = 86_400.0
"""Seconds: no answer takes a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """One prompt with the answer it must get."""

    id: str
    input: str
    expected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorSet:
    """What a deployed version must still know, and all that is needed to ask it."""

    engagement: str
    version: str
    """The version it was made for, for example `v3`."""
    sha256: str
    """Content of the GGUF that answered the anchors, in hex."""
    run: str
    system: str
    """The system text that the model was trained with."""
    contract: Contract
    max_new_tokens: int
    n_ctx: int
    """Context the version is served with, in tokens."""
    threshold: float = THRESHOLD
    """Share of anchors that must pass, 0 to 1."""
    seconds: float | None = None
    """Median seconds an answer took when the version was activated; None before that."""
    anchors: tuple[Anchor, ...]

    def messages(self, text: str) -> list[dict[str, str]]:
        """Return the chat messages that ask for one input."""
        asked = {"role": "user", "content": text}
        return [{"role": "system", "content": self.system}, asked] if self.system else [asked]

    def right(self, anchor: Anchor, answer: str) -> bool:
        """Say whether an answer is the expected one, compared as values of the contract."""
        expected = self.contract.parse(anchor.expected)
        return expected is not None and self.contract.parse(answer) == expected

    def to_json(self) -> dict[str, Any]:
        """Return the set as it stands in its file."""
        return {
            "format": FORMAT,
            "engagement": self.engagement,
            "version": self.version,
            "sha256": self.sha256,
            "run": self.run,
            "system": self.system,
            "contract": self.contract.to_json(),
            "max_new_tokens": self.max_new_tokens,
            "n_ctx": self.n_ctx,
            "threshold": self.threshold,
            "seconds": self.seconds,
            "anchors": [
                {"id": anchor.id, "input": anchor.input, "expected": anchor.expected}
                for anchor in self.anchors
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read a set.

        Raises:
            KeyError, TypeError, ValueError, UsageError: It is not one, or of a newer layout.
        """
        if data["format"] != FORMAT:
            raise ValueError(f"layout {data['format']!r}; this program knows {FORMAT}")
        seconds = data.get("seconds")
        anchors = tuple(
            Anchor(id=_text(a["id"]), input=_text(a["input"]), expected=_text(a["expected"]))
            for a in data["anchors"]
        )
        if len({anchor.id for anchor in anchors}) < len(anchors):
            raise ValueError("two anchors have the same id")
        return cls(
            engagement=_text(data["engagement"]),
            version=_text(data["version"]),
            sha256=_text(data["sha256"]),
            run=_text(data["run"]),
            system=_text(data["system"]),
            contract=Contract.from_json(data["contract"]),
            max_new_tokens=_count("max_new_tokens", data["max_new_tokens"]),
            n_ctx=_count("n_ctx", data["n_ctx"]),
            threshold=_within("threshold", data["threshold"], 1.0),
            seconds=None if seconds is None else _within("seconds", seconds, _LONGEST_S),
            anchors=anchors,
        )


def _text(value: object) -> str:
    text = str(value)
    text.encode()  # half a character could be neither sent nor printed
    return text


def _count(name: str, value: object) -> int:
    number = int(str(value))
    if not 1 <= number <= _MOST_TOKENS:
        raise ValueError(f"{name} is {str(value)[:40]}, not from 1 to {_MOST_TOKENS}")
    return number


def _within(name: str, value: object, most: float) -> float:
    number = float(str(value))
    if not 0 <= number <= most:  # nor NaN
        raise ValueError(f"{name} is {number}, not from 0 to {most:g}")
    return number


def read_anchor_set(path: Path) -> AnchorSet:
    """Read a set from its file.

    Raises:
        EnvironmentProblem: The file is missing, damaged or of a newer layout.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise EnvironmentProblem(
            f"The anchors at {path} are no file.",
            fix=_RESTORE,
        )
    try:
        return AnchorSet.from_json(json.loads(path.read_text("utf-8")))
    except OSError as error:
        raise EnvironmentProblem(
            f"The anchors at {path} cannot be read: {error.strerror}.",
            fix=_RESTORE,
        ) from error
    except Exception as error:  # whatever a damaged file gives
        raise EnvironmentProblem(
            f"The anchors at {path} cannot be understood: {error!r}.",
            fix=_RESTORE,
        ) from error
