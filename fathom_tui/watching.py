"""How served models are: from what the ledger holds to one row for each engagement."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from fathom_tui.check_events import (
    Check,
    DriftRecord,
    Miss,
    Recorded,
    check_of,
    drift_of,
    misses_of,
    moment,
    reasons_of,
    text_of,
    texts_of,
    threshold_of,
)
from fathom_tui.deployment import DeploymentState, live

STALE_S = 26 * 3600.0
"""Age from which a check says nothing any more, in seconds: a day, and two hours for the random
delay of the daily timer (systemd.timer(5), RandomizedDelaySec), for an unpunctual machine and for
the check itself. Our policy."""

AHEAD_S = 60.0
"""How far in the future a check may be dated, in seconds: clocks of two machines differ."""


class Condition(StrEnum):
    """How a served model is, the worst first.

    The order of critical, warning, unknown and ok is the one in which monitoring-plugins choose
    the worst of several states (lib/utils_base.c, max_state_alt).
    """

    CRITICAL = "critical"
    WARNING = "warning"
    UNKNOWN = "unknown"
    """The last check could not find out, or its time cannot be."""
    NOT_LIVE = "not live"
    """Its last version failed or was rolled back, and none serves."""
    UNCHECKED = "unchecked"
    """The version that serves has not been checked yet."""
    STALE = "stale"
    """It was well, but that is too long ago."""
    OK = "ok"
    CREATED = "created"
    """A version was created and never activated."""
    STOPPED = "stopped"
    """Somebody stopped or removed what served."""
    ABSENT = "no model"
    """Nothing was deployed yet."""

    @property
    def state(self) -> str:
        """Return the state it counts as: ok, warning, critical, unknown, or "" where none serves.

        A model that nobody wants to be served is no trouble.
        """
        if self in (Condition.CREATED, Condition.STOPPED, Condition.ABSENT):
            return ""
        known = (Condition.OK, Condition.WARNING, Condition.CRITICAL)
        return self.value if self in known else "unknown"


_RANK = {condition: rank for rank, condition in enumerate(Condition)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One engagement as the operator watches it."""

    slug: str
    condition: Condition
    deployment: Recorded | None
    """The version that serves, else the last one there was; None where there was none."""
    since: datetime | None
    """Since when the deployment is in its state, UTC."""
    check: Check | None
    """The last check of the version that serves; None while there is none."""
    age_s: float | None
    """Seconds since the check, negative where it is dated in the future; None where unknown."""
    change: int | None
    """How many anchors more or fewer pass than in the check before, of the same number."""
    threshold: float
    """Share of anchors that must pass, 0 to 1."""
    reasons: tuple[str, ...]
    """Why the condition is what it is."""
    notes: tuple[str, ...]
    """What is worth knowing and changes nothing."""
    misses: tuple[Miss, ...]
    drift: DriftRecord | None
    history: tuple[Check, ...]
    """The last checks of all versions, in the order they were made."""
    alert: Recorded | None
    """The last alert or recovery that was sent."""

    @property
    def version(self) -> str:
        """Return the version of the deployment, "" where there is none."""
        return text_of((self.deployment or {}).get("version"))

    @property
    def is_old(self) -> bool:
        """Say whether the last check is too old to be relied on."""
        return self.age_s is not None and self.age_s > STALE_S

    @property
    def is_ahead(self) -> bool:
        """Say whether the last check is dated in the future."""
        return self.age_s is not None and self.age_s < -AHEAD_S


class Order(StrEnum):
    """Orders of the table."""

    WORST = "worst first"
    NAME = "by name"
    OLDEST = "oldest check first"
    SLOWEST = "slowest first"


def watch(
    slugs: Iterable[str],
    deployments: Iterable[Recorded],
    checks: Iterable[Recorded],
    alerts: Iterable[Recorded],
    now: datetime,
) -> list[Watched]:
    """Return each engagement as it is now, in the order of `slugs`.

    Args:
        slugs: Short names of the engagements.
        deployments: Each deployment as it was last recorded, of all engagements.
        checks: The last checks of each engagement, the newest one whole.
        alerts: Alerts and recoveries of all engagements.
        now: UTC.
    """
    deployed, checked, alerted = _by_slug(deployments), _by_slug(checks), _by_slug(alerts)
    return [
        _watched(slug, deployed.get(slug, ()), checked.get(slug, ()), alerted.get(slug, ()), now)
        for slug in slugs
    ]


def ordered(rows: Iterable[Watched], order: Order) -> list[Watched]:
    """Return the rows in an order; what is unknown comes last, equal ones by name."""
    return sorted(rows, key=lambda row: (*_place(row, order), row.slug))


def tally(rows: Iterable[Watched]) -> Counter[str]:
    """Return how many rows count as ok, warning, critical, unknown, and "" for not serving."""
    return Counter(row.condition.state for row in rows)


def worst(rows: Iterable[Watched]) -> Watched | None:
    """Return the row that most needs somebody; None where all are well."""
    found = ordered((row for row in rows if row.condition.state not in ("", "ok")), Order.WORST)
    return found[0] if found else None


_INTENDED = {
    DeploymentState.CREATED: Condition.CREATED,
    DeploymentState.STOPPED: Condition.STOPPED,
    DeploymentState.REMOVED: Condition.STOPPED,
}
"""What somebody wants to be so; `fathom health` leaves these out as well."""


def _watched(
    slug: str,
    deployments: Sequence[Recorded],
    checks: Sequence[Recorded],
    alerts: Sequence[Recorded],
    now: datetime,
) -> Watched:
    whole = [row for row in deployments if row.get("id") and row.get("state")]
    serving = live(whole)
    deployment = serving or (whole[-1] if whole else None)
    history = tuple(check_of(row) for row in checks)
    upto = _checks_until_last_of(serving, history)
    check, last = (history[upto - 1], checks[upto - 1]) if upto else (None, {})
    age = (now - check.at).total_seconds() if check is not None and check.at else None
    threshold = threshold_of(last)
    return Watched(
        slug=slug,
        condition=_condition(deployment, check, age),
        deployment=deployment,
        since=moment((deployment or {}).get("at")),
        check=check,
        age_s=age,
        change=_change(history[:upto]),
        threshold=threshold,
        reasons=reasons_of(last, check, threshold),
        notes=texts_of(last.get("notes")),
        misses=misses_of(last),
        drift=drift_of(last.get("drift")),
        history=history,
        alert=alerts[-1] if alerts else None,
    )


def _checks_until_last_of(serving: Recorded | None, history: Sequence[Check]) -> int:
    """Return how many checks there were up to the last one of the version that serves.

    After a roll-back later checks are of the version that was withdrawn.
    """
    wanted = serving["id"] if serving is not None else None
    return next((n for n in range(len(history), 0, -1) if history[n - 1].deployment == wanted), 0)


def _condition(deployment: Recorded | None, check: Check | None, age: float | None) -> Condition:
    if deployment is None:
        return Condition.ABSENT
    if deployment["state"] != DeploymentState.SERVING:
        return _INTENDED.get(deployment["state"], Condition.NOT_LIVE)
    if check is None:
        return Condition.UNCHECKED
    if check.state != "ok":
        return Condition(check.state)
    if age is None or age < -AHEAD_S:
        return Condition.UNKNOWN
    return Condition.STALE if age > STALE_S else Condition.OK


def _change(history: Sequence[Check]) -> int | None:
    counted = [check for check in history if check.passed is not None and check.total]
    if len(counted) < 2 or history[-1] is not counted[-1]:
        return None
    before, last = counted[-2:]
    if before.total != last.total or before.passed is None or last.passed is None:
        return None
    return last.passed - before.passed


def _by_slug(rows: Iterable[Recorded]) -> dict[str, list[Recorded]]:
    """Return the rows of each engagement in the journal's order: clocks may be set back."""
    found: dict[str, list[Recorded]] = {}
    for row in rows:
        found.setdefault(row["engagement"], []).append(row)
    for each in found.values():
        each.sort(key=lambda row: int(row["seq"]))
    return found


def _place(row: Watched, order: Order) -> tuple[float, ...]:
    match order:
        case Order.NAME:
            return ()
        case Order.OLDEST:
            return (math.inf if row.age_s is None else -row.age_s,)
        case Order.SLOWEST:
            latency = row.check.latency_s if row.check is not None else None
            return (math.inf if latency is None else -latency,)
    share = row.check.share if row.check is not None else None
    return (_RANK[row.condition], 1.0 if share is None else share, -(row.age_s or 0.0))
