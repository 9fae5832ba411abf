"""What a check is asked to do, and what it came to."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fathom_tui.health import HealthState, worst
from fathom_tui.runner.hooks import Hooks
from fathom_tui.runner.release import Miss

if TYPE_CHECKING:
    from fathom_tui.drift import Drift

_ACTUAL = 2_000
"""Characters kept of a wrong answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a check is to do beside asking the anchors."""

    threshold: float | None = None
    """Share of anchors that must pass; None means that of the anchors."""
    inputs: tuple[str, ...] | None = None
    """Recent inputs to compare with the evaluation set's."""
    record: bool = True
    """Whether the check goes into the ledger and people are told; else it only looks."""
    hooks: Hooks = field(default_factory=Hooks)
    """Used instead of those that the engagement keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One check and what it means."""

    engagement: str
    deployment: str | None
    """None where nothing is deployed."""
    run: str | None
    state: HealthState
    passed: int | None
    """None where the anchors could not be asked."""
    total: int | None
    threshold: float | None
    checked_at: str
    """UTC, ISO 8601: when it began, as the clock had it."""
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    """Of the whole check, on a clock that does not jump."""
    latency_s: float | None = None
    lengths: tuple[int, ...] = ()
    misses: tuple[Miss, ...] = ()
    drift: "Drift | None" = None
    """Of the inputs where they were given, else of the answers' lengths."""

    def to_json(self) -> dict[str, Any]:
        """Return the check as `fathom health --json` prints it."""
        return {
            "engagement": self.engagement,
            "deployment": self.deployment,
            "state": self.state.value,
            "anchors": {"passed": self.passed, "total": self.total},
            "threshold": self.threshold,
            "checked_at": self.checked_at,
            "reasons": list(self.reasons),
            "notes": list(self.notes),
            "latency_s": self.latency_s,
            "seconds": round(self.seconds, 3),
            "failures": [_answer(miss) for miss in self.misses],
            "drift": self.drift.to_json() if self.drift else None,
        }

    def event(self) -> dict[str, Any]:
        """Return the check as it stands in the ledger."""
        return {
            "deployment": self.deployment,
            "run": self.run,
            "passed": self.passed,
            "total": self.total,
            "failures": [miss.anchor.id for miss in self.misses],
            "seconds": round(self.seconds, 3),
            "state": self.state.value,
            "reasons": list(self.reasons),
            "notes": list(self.notes),
            "threshold": self.threshold,
            "latency_s": self.latency_s,
            "lengths": list(self.lengths),
            "answers": [_answer(miss) for miss in self.misses],
            "drift": self.drift.to_json() if self.drift else None,
        }

    def with_reason(self, state: HealthState, reason: str) -> "Checked":
        """Return the check with one more reason."""
        return replace(self, state=worst((self.state, state)), reasons=(*self.reasons, reason))


def _answer(miss: Miss) -> dict[str, Any]:
    return {
        "id": miss.anchor.id,
        "expected": miss.anchor.expected,
        "actual": miss.actual[:_ACTUAL],
        "finish_reason": miss.finish_reason,
    }
