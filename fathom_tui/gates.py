"""What a gate answers: pass, warn or refuse, with reasons, evidence and the way out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self


class Outcome(StrEnum):
    """The three answers of a gate, mildest first."""

    PASS = "pass"
    WARN = "warn"
    REFUSE = "refuse"


_SEVERITY = (Outcome.PASS, Outcome.WARN, Outcome.REFUSE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One gate's verdict between two stages of a run."""

    name: str
    """`stage.subject`, for example `data.floor`; a waiver names it."""
    outcome: Outcome
    reason: str
    """One sentence with the values that decided."""
    fix: str = ""
    """The way out; empty when the gate passed."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    waivable: bool = True
    """False where going on would give a wrong answer rather than a weak one."""

    def to_json(self) -> dict[str, Any]:
        """Return the gate as it stands in a journal."""
        return {
            "name": self.name,
            "outcome": self.outcome.value,
            "reason": self.reason,
            "fix": self.fix,
            "evidence": dict(self.evidence),
            "waivable": self.waivable,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read a gate from a journal."""
        return cls(
            name=data["name"],
            outcome=Outcome(data["outcome"]),
            reason=data["reason"],
            fix=data.get("fix", ""),
            evidence=data.get("evidence", {}),
            waivable=data.get("waivable", True),
        )


def passed(name: str, reason: str, **evidence: Any) -> Gate:
    """Return a passing verdict."""
    return Gate(name=name, outcome=Outcome.PASS, reason=reason, evidence=evidence)


def warned(name: str, reason: str, fix: str, **evidence: Any) -> Gate:
    """Return a warning: the run goes on, every report repeats it."""
    return Gate(name=name, outcome=Outcome.WARN, reason=reason, fix=fix, evidence=evidence)


def refused(name: str, reason: str, fix: str, *, waivable: bool = True, **evidence: Any) -> Gate:
    """Return a refusal: the run stops here unless a person waives it by name."""
    return Gate(
        name=name,
        outcome=Outcome.REFUSE,
        reason=reason,
        fix=fix,
        evidence=evidence,
        waivable=waivable,
    )


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Return the most severe outcome; `pass` when there is none."""
    return max(outcomes, key=_SEVERITY.index, default=Outcome.PASS)


def blocking(gates: Sequence[Gate], waived: Iterable[str]) -> list[Gate]:
    """Return the refusals that no waiver lifts.

    Args:
        gates: The verdicts of one stage.
        waived: Names of gates that a person waived; ignored for gates that are not waivable.
    """
    lifted = set(waived)
    return [
        gate
        for gate in gates
        if gate.outcome is Outcome.REFUSE and not (gate.waivable and gate.name in lifted)
    ]
