"""Whether a deployment is well: one check of its anchors, judged against its own past.

With 20 anchors one miss is 5 points. A rule that alarms at any drop of more than 3 points would do
so on 18 % of days where each anchor is answered at 99 %, so a drop has to show in two checks
in a row; falling below the threshold is critical at once.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from fathom_tui.drift import Drift, length_shift
from fathom_tui.proportions import Interval, wilson

DROP = 0.03
"""Share of anchors that may be lost against the first check. Source: the book's trigger for
training again, 3 points (April 2026, ch. 4)."""
SLOWER = 2.0
"""Times the usual seconds an answer from which a deployment is slow, where it shows in two checks
in a row. Our policy: a busy machine doubles a time for a while, a lost GPU for good."""
FIRST_LATENCIES, LEAST_LATENCIES = 5, 3
"""Where nobody measured the usual time: the median of the first five checks, at least three."""


class HealthState(StrEnum):
    """The four answers of a monitoring plugin, mildest first."""

    OK = "ok"
    UNKNOWN = "unknown"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def exit_code(self) -> int:
        """What `fathom health` ends with. Source: monitoring-plugins guidelines, return codes."""
        return _EXIT_CODES[self]


_EXIT_CODES = {
    HealthState.OK: 0,
    HealthState.WARNING: 1,
    HealthState.CRITICAL: 2,
    HealthState.UNKNOWN: 3,
}
_SEVERITY = list(HealthState)


def worst(states: Iterable[HealthState]) -> HealthState:
    """Return the worst state; `ok` when there is none.

    Any trouble that is certain comes before what is unknown. Source: monitoring-plugins,
    lib/utils_base.c, max_state_alt.
    """
    return max(states, key=_SEVERITY.index, default=HealthState.OK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One reason for a state."""

    state: HealthState
    text: str
    """One sentence with the values that decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What an earlier check of the same deployment came to."""

    passed: int
    total: int
    latency_s: float | None
    """None where it was not kept."""
    lengths: tuple[int, ...]
    """Empty where they were not kept."""

    @property
    def share(self) -> float:
        """Share of anchors that passed."""
        return self.passed / self.total

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> Self | None:
        """Read a check of the ledger; None where it answers nothing, or is not understood."""
        passed, total = event.get("passed"), event.get("total")
        if not isinstance(passed, int) or not isinstance(total, int) or not 0 <= passed <= total:
            return None
        latency, lengths = event.get("latency_s"), event.get("lengths") or ()
        if total == 0 or not all(isinstance(length, int) for length in lengths):
            return None
        return cls(
            passed=passed,
            total=total,
            latency_s=float(latency) if isinstance(latency, int | float) else None,
            lengths=tuple(lengths),
        )


def past(events: Iterable[Mapping[str, Any]]) -> list[Past]:
    """Return the checks among events that say something, in their order.

    In the journal's order and not by their times: a clock may have jumped.
    """
    return [found for event in events if (found := Past.from_event(event)) is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """One asking of all anchors."""

    passed: int
    total: int
    latency_s: float
    """Median seconds an answer."""
    lengths: tuple[int, ...]
    """Characters of each answer, in the anchors' order."""
    loops: Mapping[str, str]
    """Anchors whose answer repeats itself, with the piece that is repeated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a check means."""

    state: HealthState
    reasons: tuple[str, ...]
    """Why it is not `ok`, worst first; empty when it is."""
    notes: tuple[str, ...]
    """What is worth knowing and changes nothing."""
    drift: Drift | None
    """The test of lengths; None where nothing was kept to compare with."""


def judge(
    seen: Observed,
    history: Sequence[Past],
    *,
    threshold: float,
    usual_s: float | None,
    more: Sequence[Finding] = (),
) -> Judgement:
    """Judge one check against the threshold and the deployment's own past.

    Args:
        seen: What the anchors came to; at least one was asked.
        history: Earlier checks of this deployment, oldest first.
        threshold: Share of anchors that must pass, 0 to 1.
        usual_s: Median seconds an answer at activation; None where it was not measured.
        more: What was found beside the anchors.

    Raises:
        ValueError: No anchor was asked.
    """
    shift = _shift(seen, history)
    findings = [
        *_below_threshold(seen, threshold),
        *_drop(seen, history, threshold),
        *_loops(seen),
        *_slower(seen, history, usual_s),
        *_longer(shift),
        *more,
    ]
    state = worst(finding.state for finding in findings)
    alarming = [f for f in findings if f.state is not HealthState.OK]
    alarming.sort(key=lambda f: _SEVERITY.index(f.state), reverse=True)
    return Judgement(
        state=state,
        reasons=tuple(finding.text for finding in alarming),
        notes=tuple(f.text for f in findings if f.state is HealthState.OK),
        drift=shift,
    )


def described(passed: int, total: int) -> str:
    """Return a count of anchors with its 95 % Wilson interval, for people."""
    return f"{passed} of {total} anchors pass ({_range(wilson(passed, total))})"


def needed(threshold: float, total: int) -> int:
    """Return how many anchors must pass; 0.9 of 20 is 18, whatever a float makes of it."""
    return math.ceil(threshold * total - 1e-9)


def _below_threshold(seen: Observed, threshold: float) -> list[Finding]:
    if seen.passed >= needed(threshold, seen.total):
        return []
    text = f"{described(seen.passed, seen.total)}; the threshold is {threshold:.2f}."
    return [Finding(state=HealthState.CRITICAL, text=text)]


def _drop(seen: Observed, history: Sequence[Past], threshold: float) -> list[Finding]:
    if not history or _below_threshold(seen, threshold):
        return []
    first = history[0]
    lost = first.share - seen.passed / seen.total
    if not _is_drop(lost):
        return []
    text = (
        f"{described(seen.passed, seen.total)}, {100 * lost:.1f} points less than the "
        f"{first.passed} of {first.total} of the first check"
    )
    if _is_drop(first.share - history[-1].share):
        return [Finding(state=HealthState.WARNING, text=f"{text}, in two checks in a row.")]
    text += "; one check proves nothing, the next one decides."
    return [Finding(state=HealthState.OK, text=text)]


def _is_drop(lost: float) -> bool:
    return lost > DROP + 1e-9


def _loops(seen: Observed) -> list[Finding]:
    if not seen.loops:
        return []
    anchor, piece = next(iter(seen.loops.items()))
    more = f" and {len(seen.loops) - 1} more" if len(seen.loops) > 1 else ""
    text = f"Degenerate output: {anchor}{more} repeats {piece!r} over and over."
    return [Finding(state=HealthState.WARNING, text=text)]


def _slower(seen: Observed, history: Sequence[Past], usual_s: float | None) -> list[Finding]:
    usual = usual_s or _usual(history)
    if usual is None or seen.latency_s <= SLOWER * usual:
        return []
    text = (
        f"An answer takes {seen.latency_s:.2f} s, {seen.latency_s / usual:.1f} times the usual "
        f"{usual:.2f} s"
    )
    before = history[-1].latency_s if history else None
    if before is not None and before > SLOWER * usual:
        return [Finding(state=HealthState.WARNING, text=f"{text}, in two checks in a row.")]
    return [Finding(state=HealthState.OK, text=f"{text}; the next check decides.")]


def _usual(history: Sequence[Past]) -> float | None:
    known = [check.latency_s for check in history if check.latency_s]
    if len(known) < LEAST_LATENCIES:
        return None
    # The first ones: a median of the latest would follow a service that grows slower.
    return statistics.median(known[:FIRST_LATENCIES])


def _shift(seen: Observed, history: Sequence[Past]) -> Drift | None:
    before = next((check.lengths for check in history if check.lengths), None)
    return length_shift(before, seen.lengths) if before and seen.lengths else None


def _longer(shift: Drift | None) -> list[Finding]:
    if shift is None or not shift.found:
        return []
    change = "longer" if shift.statistic > 0 else "shorter"
    text = (
        f"Answers are {abs(shift.statistic):.1f} characters {change} than in the first check "
        f"(permutation test, p = {shift.p_value:.4f})."
    )
    return [Finding(state=HealthState.WARNING, text=text)]


def _range(interval: Interval) -> str:
    return f"95 %: {interval.low:.2f}–{interval.high:.2f}"
