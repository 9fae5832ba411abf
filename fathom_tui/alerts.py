"""When people are told: each change of state once, recoveries too, again what did not arrive."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fathom_tui.health import HealthState

ATTEMPTS = 5
"""How often a hook is called for one state before it is given up until the state changes: a broken
address under a check every five minutes would fill the ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of one hook."""

    hook: str
    """`command NAME #MARK` or `webhook HOST #MARK`: what is behind them may be a secret."""
    ok: bool
    detail: str
    """What went wrong; for a command that went well, what it said first."""

    @property
    def complaint(self) -> str:
        """Return what is said of a hook that was not reached."""
        return f"The alert did not reach {self.hook}: {self.detail}."

    def to_json(self) -> dict[str, Any]:
        """Return the delivery as it stands in an alert."""
        return {"hook": self.hook, "ok": self.ok, "detail": self.detail}


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A change of state, on its way to people."""

    engagement: str
    deployment: str
    state: HealthState
    before: HealthState
    reasons: tuple[str, ...]
    passed: int | None
    """Anchors that passed; None where they could not be asked."""
    total: int | None
    checked_at: str
    """UTC, ISO 8601."""

    @property
    def recovered(self) -> bool:
        """Whether all is well again."""
        return self.state is HealthState.OK

    @property
    def text(self) -> str:
        """One line for people."""
        why = " ".join(self.reasons)
        if self.recovered:
            return f"{self.deployment} is ok again (was {self.before})."
        return f"{self.deployment} is {self.state} (was {self.before}). {why}".strip()

    def payload(self) -> dict[str, Any]:
        """Return what hooks are given as JSON; chat services read `text`."""
        return {
            "text": self.text,
            "engagement": self.engagement,
            "deployment": self.deployment,
            "state": self.state.value,
            "before": self.before.value,
            "recovered": self.recovered,
            "reasons": list(self.reasons),
            "anchors": {"passed": self.passed, "total": self.total},
            "checked_at": self.checked_at,
        }

    def environment(self) -> dict[str, str]:
        """Return the variables that an alert command finds beside its own."""
        return {
            "FATHOM_ENGAGEMENT": self.engagement,
            "FATHOM_DEPLOYMENT": self.deployment,
            "FATHOM_STATE": self.state.value,
            "FATHOM_BEFORE": self.before.value,
            "FATHOM_RECOVERED": "1" if self.recovered else "0",
            "FATHOM_REASONS": "\n".join(self.reasons),
            "FATHOM_CHECKED_AT": self.checked_at,
        }

    def event(self, delivered: Sequence[Delivery]) -> dict[str, Any]:
        """Return the alert as it stands in the ledger."""
        return {
            "deployment": self.deployment,
            "state": self.state.value,
            "before": self.before.value,
            "reasons": list(self.reasons),
            "delivered": [delivery.to_json() for delivery in delivered],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """That people are to be told, and what they were told last."""

    before: HealthState
    hooks: tuple[str, ...]
    """Names of the hooks to call; may be empty where none is set up."""


def due(
    state: HealthState,
    deployment: str,
    alerts: Sequence[Mapping[str, Any]],
    hooks: Sequence[str],
) -> Due | None:
    """Return whom to tell of a state; None where everybody knows.

    Compared with the last alert and not with the last check, so that an alert that a crash kept
    from being sent is due at the next check. While a state lasts, hooks that failed are called
    again, and while it is a bad one, those that are new are called as well. That all is well again
    is told to those who were called about the trouble: to others it would be news of nothing.

    Args:
        state: What the check came to.
        deployment: What was checked; another one in the same bad state is news.
        alerts: The engagement's alerts, oldest first.
        hooks: Names of the hooks that are set up.
    """
    last = _state(alerts[-1].get("state")) if alerts else HealthState.OK
    episode = _episode(state, deployment, alerts)
    if state is HealthState.OK and last is not HealthState.OK:
        return Due(before=last, hooks=tuple(_of_the_trouble(alerts, hooks)))
    if state is not last or (not episode and state is not HealthState.OK):
        return Due(before=last, hooks=tuple(hooks))
    told = [entry for alert in episode for entry in _delivered(alert)]
    done = {entry["hook"] for entry in told if entry.get("ok")}
    failed = Counter(entry["hook"] for entry in told if entry["hook"] not in done)
    left = [hook for hook in hooks if hook not in done and failed[hook] < ATTEMPTS]
    if state is HealthState.OK:
        left = [hook for hook in left if failed[hook]]
    if not left:
        return None
    return Due(before=_state(episode[0].get("before")), hooks=tuple(left))


def _of_the_trouble(alerts: Sequence[Mapping[str, Any]], hooks: Sequence[str]) -> list[str]:
    """Return those hooks that were called since all was well last, reached or not."""
    called: set[object] = set()
    for alert in reversed(alerts):
        if alert.get("state") == HealthState.OK:
            break
        called |= {entry["hook"] for entry in _delivered(alert)}
    return [hook for hook in hooks if hook in called]


def _episode(
    state: HealthState, deployment: str, alerts: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return the last alerts that speak of this state of this deployment, oldest first."""
    found: list[Mapping[str, Any]] = []
    for alert in reversed(alerts):
        same = state is HealthState.OK or alert.get("deployment") == deployment
        if alert.get("state") != state or not same:
            break
        found.insert(0, alert)
    return found


def _delivered(alert: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    entries = alert.get("delivered") or ()
    return [entry for entry in entries if isinstance(entry, Mapping) and "hook" in entry]


def _state(value: object) -> HealthState:
    """Read a state; one that a newer version wrote is unknown to this one."""
    known = [state for state in HealthState if state.value == value]
    return known[0] if known else HealthState.UNKNOWN
