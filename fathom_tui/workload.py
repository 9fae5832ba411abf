"""What a team wants to have answered by a model: how much, how fast, under which rules."""

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Self

from fathom_tui.errors import UsageError

REGULATIONS = {
    "gdpr": "GDPR (personal data of people in the EU or the UK)",
    "hipaa": "HIPAA (health data, United States)",
    "fca": "FCA (financial services, United Kingdom)",
    "dspt": "DSPT (patient data, NHS)",
}
"""What rule 3 knows; source: book, ch. 1 (April 2026)."""

MOST_TOKENS = 1e15
"""Tokens a day beyond which an input is a slip: all APIs together answer less."""

FAST_MS = 200.0
"""A latency limit below this asks for a model of one's own (guide, section 2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One kind of work for a model."""

    name: str = "workload"
    tokens_per_day: float
    """Input and output together, on an average day."""
    input_share: float = 0.8
    """Share of the tokens that is input, 0 to 1."""
    growth: float = 0.0
    """Growth a month as a share: 0.15 is 15 %; may be negative."""
    peak: int = 1
    """Requests under way at once at the busiest moment."""
    latency_ms: float | None = None
    """Longest wait for the first token; None means no limit."""
    regulations: tuple[str, ...] = ()
    """Keys of `REGULATIONS`."""
    personal: bool = True
    """Whether regulated data is personal; else a part of it may go to a cloud."""
    batchable: bool = False
    """Whether answers may take 24 hours."""
    cache_hits: float = 0.0
    """Share of input tokens that a prompt cache would hold, 0 to 1."""
    gpu_hours: float | None = None
    """Hours a day a GPU would be busy; None is unknown."""
    task: str = ""
    """Id of the catalog's nearest task; empty is unknown."""
    answers: Mapping[str, bool | float] = field(default_factory=dict)
    """Answers to the questions of `questions.ASKED`, by name."""

    def __post_init__(self) -> None:
        _check_number("tokens_per_day", self.tokens_per_day, 0, MOST_TOKENS, above=True)
        _check_number("input_share", self.input_share, 0, 1)
        _check_number("cache_hits", self.cache_hits, 0, 1)
        _check_number("growth", self.growth, -0.99, 10)
        _check_number("peak", self.peak, 1, 1e6)
        if self.latency_ms is not None:
            _check_number("latency_ms", self.latency_ms, 0, 1e9, above=True)
        if self.gpu_hours is not None:
            _check_number("gpu_hours", self.gpu_hours, 0, 24)
        for name in self.regulations:
            _check_regulation(name)

    @property
    def regulated(self) -> bool:
        """Whether any regulation applies."""
        return bool(self.regulations)

    @property
    def output_share(self) -> float:
        """Share of the tokens that is output."""
        return 1.0 - self.input_share

    def to_json(self) -> dict[str, Any]:
        """Return the workload as it stands in an engagement's facts."""
        return {**asdict(self), "regulations": list(self.regulations)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read a workload from an engagement's facts.

        Raises:
            UsageError: A key is unknown or missing, or a value is out of range.
        """
        unknown = sorted(set(data) - {known.name for known in fields(cls)})
        if unknown or "tokens_per_day" not in data:
            what = f"has {', '.join(unknown)}" if unknown else "lacks tokens_per_day"
            raise UsageError(f"A workload {what}.", fix="Save it again with fathom advise.")
        return cls(**{**data, "regulations": tuple(data.get("regulations", ()))})


def parse_regulations(text: str) -> tuple[str, ...]:
    """Read "gdpr,fca"; "none" and nothing mean none.

    Raises:
        UsageError: A name is unknown; the nearest one is offered.
    """
    names = [part.strip().lower() for part in text.split(",")]
    found = tuple(dict.fromkeys(name for name in names if name not in ("", "none")))
    for name in found:
        _check_regulation(name)
    return found


def check_name(name: str) -> str:
    """Return a workload's name if a terminal and a report can show it as it is.

    Raises:
        UsageError: Blank, too long, or with characters that cannot be seen.
    """
    hidden = [c for c in name if unicodedata.category(c) in _HIDDEN and c != _JOINER]
    if name.strip() and len(name) <= LONGEST_NAME and not hidden:
        return name
    raise UsageError(
        f"{name[:40]!r} cannot be a workload's name.",
        fix=f"Use 1 to {LONGEST_NAME} visible characters, for example triage.",
    )


LONGEST_NAME = 60
_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Control characters, those that turn the writing direction, halves of characters, line ends."""
_JOINER = "\u200d"
"""Holds an emoji of several together."""


def _check_regulation(name: str) -> None:
    if name in REGULATIONS:
        return
    near = get_close_matches(name, REGULATIONS, n=1, cutoff=0.4)
    raise UsageError(
        f"{name[:40]!r} is not a regulation that Fathom knows.",
        fix=(f"Did you mean {near[0]}? " if near else "") + f"Known: {', '.join(REGULATIONS)}.",
    )


def _check_number(name: str, value: float, low: float, high: float, *, above: bool = False) -> None:
    fits = (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and (low < value if above else low <= value)
        and value <= high
    )
    if not fits:
        edge = "more than" if above else "at least"
        raise UsageError(
            f"{name} is {value!r}.", fix=f"Give a number, {edge} {low:g} and at most {high:,g}."
        )
