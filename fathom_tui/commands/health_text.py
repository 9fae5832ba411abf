"""A check in words: for people, for Nagios and its descendants, and for Prometheus."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fathom_tui.commands.output import printable
from fathom_tui.health import HealthState, described, needed, worst

if TYPE_CHECKING:
    from fathom_tui.runner.checked import Checked

NOTHING = "Nothing is deployed. Finish a run: fathom run ENGAGEMENT"


def overall(checks: "Sequence[Checked]") -> HealthState:
    """Return the worst state; unknown where nothing was checked."""
    return worst(check.state for check in checks) if checks else HealthState.UNKNOWN


def lines(check: "Checked") -> Iterator[str]:
    """Yield a check for people: one line, then its reasons, notes and failing anchors."""
    yield f"{check.state.upper():<9} {_subject(check)}  {_summary(check)}".rstrip()
    for reason in check.reasons:
        yield f"          {printable(reason)}"
    for note in check.notes:
        yield f"          note: {printable(note)}"
    for miss in check.misses:
        ended = "" if miss.finish_reason == "stop" else f" ({miss.finish_reason})"
        yield printable(
            f"          {miss.anchor.id}: expected {miss.anchor.expected!r}, "
            f"got {_short(miss.actual)!r}{ended}"
        )


def nagios(checks: "Sequence[Checked]") -> str:
    """Return the output of a monitoring plugin, the worst engagement first.

    Source: monitoring-plugins guidelines, plugin output and performance data.
    """
    ranked = sorted(checks, key=lambda c: list(HealthState).index(c.state), reverse=True)
    first = f"FATHOM {overall(ranked).upper()} - {_headline(ranked)}"
    measured = " ".join(text for check in checks for text in _perfdata(check, len(checks) > 1))
    long = [f"[{c.state.upper()}] {_plain(_told(c))}" for c in ranked] if len(checks) > 1 else []
    return "\n".join([f"{first} | {measured}" if measured else first, *long])


def prometheus(checks: "Sequence[Checked]", now: float) -> str:
    """Return the metrics of a textfile collector: without timestamps, which it refuses.

    Args:
        checks: What was checked.
        now: Seconds since 1970.

    Source: Prometheus text exposition format 0.0.4; node_exporter README, textfile collector.
    """
    found: list[str] = []
    for name, about, values in _metrics(checks):
        if values:
            found += [f"# HELP {name} {about}", f"# TYPE {name} gauge"]
            found += [f"{name}{_labels(labels)} {value}" for labels, value in values]
    name = "fathom_health_last_run_timestamp_seconds"
    found += [f"# HELP {name} When the anchors were last asked, in seconds since 1970."]
    found += [f"# TYPE {name} gauge", f"{name} {now:.3f}"]
    return "\n".join(found) + "\n"


_Values = list[tuple[dict[str, str], str]]


def _metrics(checks: "Sequence[Checked]") -> Iterator[tuple[str, str, _Values]]:
    rows = [({"engagement": c.engagement, "deployment": c.deployment or ""}, c) for c in checks]
    yield (
        "fathom_health_state",
        "How a served model is: 0 ok, 1 warning, 2 critical, 3 unknown.",
        [(labels, str(c.state.exit_code)) for labels, c in rows],
    )
    yield (
        "fathom_health_anchors_passed",
        "Anchors answered as they must be.",
        [(labels, str(c.passed)) for labels, c in rows if c.passed is not None],
    )
    yield (
        "fathom_health_anchors",
        "Anchors asked.",
        [(labels, str(c.total)) for labels, c in rows if c.total is not None],
    )
    yield (
        "fathom_health_threshold_ratio",
        "Share of anchors that must pass.",
        [(labels, f"{c.threshold:.4f}") for labels, c in rows if c.threshold is not None],
    )
    yield (
        "fathom_health_answer_seconds",
        "Median time of an answer.",
        [(labels, f"{c.latency_s:.4f}") for labels, c in rows if c.latency_s is not None],
    )
    yield (
        "fathom_health_check_duration_seconds",
        "Time the check took.",
        [(labels, f"{c.seconds:.3f}") for labels, c in rows],
    )
    yield (
        "fathom_health_drift_p_value",
        "Chance of a difference as large without drift, by what was compared.",
        [
            ({**labels, "kind": c.drift.kind}, f"{c.drift.p_value:.6f}")
            for labels, c in rows
            if c.drift is not None
        ],
    )


def _labels(labels: dict[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _perfdata(check: "Checked", several: bool) -> Iterator[str]:
    """Yield `'label'=value[UOM];warn;crit;min;max`; what is unknown is left out."""
    before = f"{check.engagement} " if several else ""
    if check.passed is not None and check.total is not None and check.threshold is not None:
        least = needed(check.threshold, check.total)
        yield f"{_label(f'{before}anchors')}={check.passed};;{least}:;0;{check.total}"
    if check.latency_s is not None:
        yield f"{_label(f'{before}latency')}={check.latency_s:.4f}s;;;0"
    if check.drift is not None:
        yield f"{_label(f'{before}drift p')}={check.drift.p_value:.6f};;;0;1"


def _label(text: str) -> str:
    """Quote a label: a quote in it is doubled, and the equals sign may not stand in it."""
    return "'" + text.replace("'", "''").replace("=", "-") + "'"


def _headline(ranked: "Sequence[Checked]") -> str:
    if not ranked:
        return NOTHING
    if len(ranked) == 1:
        return _plain(_told(ranked[0]))
    counts = Counter(check.state for check in ranked)
    said = ", ".join(f"{counts[state]} {state}" for state in reversed(HealthState) if counts[state])
    worst_one = ranked[0]
    return said if worst_one.state is HealthState.OK else f"{said}; {_plain(_told(worst_one))}"


def _told(check: "Checked") -> str:
    """Return a check in one line: the worst reason where there is one, else the count."""
    return f"{_subject(check)}: {check.reasons[0] if check.reasons else _summary(check)}"


def _plain(text: str) -> str:
    """Return text for one line of a plugin's output: the pipe ends it, so it cannot stand in it."""
    one_line = " ".join(printable(text).split())
    return one_line.replace("|", "/").replace("–", "-")


def _subject(check: "Checked") -> str:
    return check.deployment or check.engagement


def _summary(check: "Checked") -> str:
    if check.passed is None or not check.total:
        return ""
    speed = f", {check.latency_s:.2f} s an answer" if check.latency_s is not None else ""
    must = f", {100 * check.threshold:g} % must" if check.threshold is not None else ""
    return f"{described(check.passed, check.total)}{must}{speed}"


def _short(text: str, most: int = 120) -> str:
    return text if len(text) <= most else text[:most] + "…"
