"""Anchor checks as the ledger keeps them: what each found, and what was wrong.

Several programs and several versions of them write checks, on machines whose clocks may be wrong:
whatever an event lacks, or says in another form, is unknown here and never an error.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fathom_tui.anchors import THRESHOLD
from fathom_tui.drift import LEVEL
from fathom_tui.health import needed

Recorded = Mapping[str, Any]
"""An event with engagement, seq and at, as the store returns it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftRecord:
    """What a check kept of its test for drift."""

    kind: str
    """What was compared: `lengths` of answers, or `inputs`."""
    statistic: float | None
    """As `fathom_tui.drift.Drift` has it."""
    p_value: float | None
    """0 to 1; None when it was not recorded."""
    n_reference: int | None
    n_recent: int | None

    @property
    def found(self) -> bool | None:
        """Say whether it is drift; None when that is unknown."""
        return None if self.p_value is None else self.p_value <= LEVEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """An anchor that was not answered as it must be."""

    id: str
    expected: str | None
    """None where the check kept only the anchor's id."""
    actual: str | None
    finish_reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check of the anchors."""

    deployment: str
    state: str
    """ok, warning, critical or unknown."""
    passed: int | None
    """None where it is not known, or cannot be."""
    total: int | None
    at: datetime | None
    """UTC; None where the journal's time cannot be read."""
    latency_s: float | None
    """Median seconds an answer."""

    @property
    def share(self) -> float | None:
        """Return the share of anchors that passed, 0 to 1; None without anchors."""
        return self.passed / self.total if self.passed is not None and self.total else None

    @property
    def version(self) -> str:
        """Return the version that was checked, for example `v3`."""
        return self.deployment.rpartition(":")[2]


_STATES = ("ok", "warning", "critical", "unknown")


def check_of(row: Recorded) -> Check:
    """Read a check event; fields it lacks are None, a state it lacks follows from the counts."""
    passed, total = _count(row.get("passed")), _count(row.get("total"))
    if passed is not None and total is not None and passed > total:
        passed = total = None
    said = row.get("state")
    if said == "unknown":
        passed = None  # nobody was there to answer: that is no answer
    return Check(
        deployment=text_of(row.get("deployment")),
        state=said if said in _STATES and total != 0 else _state(passed, total, threshold_of(row)),
        passed=passed,
        total=total,
        at=moment(row.get("at")),
        latency_s=number_of(row.get("latency_s")),
    )


def moment(at: object) -> datetime | None:
    """Return a journal's time in UTC; None where it is none."""
    try:
        found = datetime.fromisoformat(str(at))
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):  # no time, or one at the edge of the calendar
        return None


def threshold_of(row: Recorded) -> float:
    """Return the share of anchors that must pass, 0 to 1; the usual one where none was kept."""
    found = number_of(row.get("threshold"))
    return found if found is not None and found <= 1 else THRESHOLD


def reasons_of(row: Recorded, check: Check | None, threshold: float) -> tuple[str, ...]:
    """Return what the check said; of one that said nothing, what its counts say."""
    found = texts_of(row.get("reasons"))
    if found or check is None or check.state == "ok":
        return found
    if check.passed is None or not check.total:
        return ("The check found no anchor to ask.",)
    return (f"{check.passed} of {check.total} anchors pass; {100 * threshold:g} % must.",)


def misses_of(row: Recorded) -> tuple[Miss, ...]:
    """Return the anchors that failed, those first whose answers were kept."""
    answers = row.get("answers")
    kept = answers if isinstance(answers, list | tuple) else ()
    found = [_miss(answer) for answer in kept if isinstance(answer, Mapping)]
    known = {miss.id for miss in found}
    failures = row.get("failures")
    ids = failures if isinstance(failures, list | tuple) else ()
    rest = [anchor for anchor in map(text_of, ids) if anchor not in known]
    return tuple(found) + tuple(
        Miss(id=anchor, expected=None, actual=None, finish_reason="") for anchor in rest
    )


def drift_of(found: object) -> DriftRecord | None:
    """Return what a check's drift test found; None where it made none."""
    if not isinstance(found, Mapping):
        return None
    return DriftRecord(
        kind=text_of(found.get("kind")),
        statistic=_finite(found.get("statistic")),
        p_value=number_of(found.get("p_value")),
        n_reference=_count(found.get("n_reference")),
        n_recent=_count(found.get("n_recent")),
    )


def texts_of(value: object) -> tuple[str, ...]:
    """Return a list of texts, those that say something; one alone is a list of one."""
    texts = [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else ()
    return tuple(text_of(text) for text in texts if text_of(text).strip())


def text_of(value: object) -> str:
    """Return a value as text, "" for none."""
    return "" if value is None else value if isinstance(value, str) else str(value)


def number_of(value: object) -> float | None:
    """Return a number that is one and not negative; the rest is unknown."""
    found = _finite(value)
    return found if found is not None and found >= 0 else None


def _miss(answer: Recorded) -> Miss:
    expected, actual = answer.get("expected"), answer.get("actual")
    return Miss(
        id=text_of(answer.get("id")),
        expected=None if expected is None else text_of(expected),
        actual=None if actual is None else text_of(actual),
        finish_reason=text_of(answer.get("finish_reason")),
    )


def _state(passed: int | None, total: int | None, threshold: float) -> str:
    """Return the state of a check that kept none: one check below the first proves nothing."""
    if passed is None or not total:
        return "unknown"
    return "ok" if passed >= needed(threshold, total) else "critical"


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def _count(value: object) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and isinstance(value, int) and value >= 0 else None
