"""What the ledger answers with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class EngagementRow:
    """One engagement in a list."""

    slug: str
    name: str
    created_at: str
    config: Mapping[str, Any]
    runs: int
    """How many runs it has."""
    last_run: str | None
    last_state: str | None
    """State of the last run, a value of `fathom_tui.stages.RunState`."""

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "slug": self.slug,
            "name": self.name,
            "created_at": self.created_at,
            "config": dict(self.config),
            "runs": self.runs,
            "last_run": self.last_run,
            "last_state": self.last_state,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRow:
    """One stage in a list of runs."""

    name: str
    state: str
    seconds: float | None
    """Wall seconds; None while it has not ended."""
    verdict: str | None
    """The worst of its gates: pass, warn or refuse; None before any gate spoke."""

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "name": self.name,
            "state": self.state,
            "seconds": self.seconds,
            "verdict": self.verdict,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run in a list."""

    id: str
    engagement: str
    state: str
    created_at: str
    finished_at: str | None
    stages: list[StageRow]
    """All stages in order, the pending ones too."""

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "id": self.id,
            "engagement": self.engagement,
            "state": self.state,
            "created_at": self.created_at,
            "finished_at": self.finished_at,
            "stages": [stage.to_json() for stage in self.stages],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """All engagements with what is known of their deployments, as of one moment."""

    slugs: Sequence[str]
    """Of all engagements, the oldest first."""
    deployments: Sequence[Mapping[str, Any]]
    """Each as it was last recorded, the oldest first."""
    checks: Sequence[Mapping[str, Any]]
    """The last ones of each engagement, in the order they were made."""
    alerts: Sequence[Mapping[str, Any]]
    """Alerts and recoveries, oldest first."""


class FindingState(StrEnum):
    """How serious a finding of `fathom store check` is."""

    OK = "ok"
    WARNING = "warning"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was checked."""

    subject: str
    """A journal, a table or an artifact."""
    state: FindingState
    detail: str

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {"subject": self.subject, "state": self.state.value, "detail": self.detail}
