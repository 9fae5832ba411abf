"""A number on its way to a person: value, unit, kind, source and date, never a bare float."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self


class Kind(StrEnum):
    """How a figure came to be known, strongest first."""

    MEASURED_HERE = "measured-here"
    MEASURED_BY_SOURCE = "measured-by-source"
    VENDOR = "vendor"
    COMMUNITY = "community"
    COMPUTED = "computed"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number with its origin."""

    value: float | None
    """None means unknown; it is shown as `unknown`, never guessed."""
    unit: str
    kind: Kind
    source: str
    as_of: str
    """ISO date, YYYY-MM-DD, on which the source said so."""

    def to_json(self) -> dict[str, Any]:
        """Return the one JSON shape every command prints a figure in."""
        return {
            "value": self.value,
            "unit": self.unit,
            "kind": self.kind.value,
            "source": self.source,
            "as_of": self.as_of,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read the shape written by `to_json`.

        Raises:
            KeyError: A field is missing.
            ValueError: The kind is not one of `Kind`.
        """
        return cls(
            value=data["value"],
            unit=data["unit"],
            kind=Kind(data["kind"]),
            source=data["source"],
            as_of=data["as_of"],
        )

    def __str__(self) -> str:
        if self.value is None:
            return "unknown"
        # `g` alone would show 1,000,000 tokens as 1e+06.
        number = f"{self.value:,.0f}" if abs(self.value) >= 1e5 else f"{self.value:g}"
        return f"{number} {self.unit}".rstrip()
