"""The watched models as rows of a table, and the line above it that says it all."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from fathom_tui.screens.grid import Column, Row
from fathom_tui.screens.health_spark import spark
from fathom_tui.screens.health_words import (
    age,
    counted,
    latency,
    of_condition,
    of_health,
    signed,
)
from fathom_tui.screens.symbols import Symbols
from fathom_tui.screens.words import clean, clock

if TYPE_CHECKING:
    from fathom_tui.watching import Watched

SPARK, WIDE_SPARK, LONG_SPARK_FROM = 12, 24, 132
"""Checks in the line of a row; the second on a screen of so many cells and more: before that the
names need the place."""
WIDE = 110
_STATES = ("critical", "warning", "unknown", "ok", "")
_SAID = {"": "not serving"}
_NAME = 24
"""Cells of a name in the line above the table."""


def columns(width: int) -> tuple[Column, ...]:
    """Return the columns for a screen of so many cells; those that matter less go first."""
    return (
        Column(title="state", width=11),
        Column(title="engagement", cut="middle"),
        Column(title="served by", width=9, from_width=92),
        Column(title="ver", width=4, from_width=46),
        Column(title="anchors", width=8),
        Column(title="last checks", width=spark_width(width), from_width=62),
        Column(title="checked", width=9, align="right", from_width=40),
        Column(title="latency", width=7, align="right", from_width=70),
        Column(title="drift", width=5, from_width=74),
        Column(title="last alert", width=16, from_width=112),
    )


def spark_width(width: int) -> int:
    """Return how many checks a row shows on a screen of so many cells."""
    return WIDE_SPARK if width >= LONG_SPARK_FROM else SPARK


def row(
    watched: "Watched",
    symbols: Symbols,
    width: int,
    *,
    alert_age: str = "",
    running_s: float | None = None,
    waits: bool = False,
) -> Row:
    """Return the row of a model.

    Args:
        watched: The model.
        symbols: What the terminal can show.
        width: Cells of the table.
        alert_age: How long ago the last alert was; blank where there was none.
        running_s: Seconds for which it is being checked; None while it is not.
        waits: Whether a check of it was asked for and has not begun.
    """
    served = (watched.deployment or {}).get("target")
    cells = (
        _state(watched, symbols, running_s, waits),
        Content(clean(watched.slug)),
        Content.styled(clean(served or ""), "$muted"),
        Content(clean(watched.version)),
        _anchors(watched, symbols),
        spark(watched.history, spark_width(width), symbols),
        _age(watched, running_s),
        Content(latency(watched.check.latency_s if watched.check else None)),
        _drift(watched, symbols),
        _alert(watched, alert_age, symbols),
    )
    return Row(key=watched.slug, cells=cells)


def summary(
    rows: "Sequence[Watched]", symbols: Symbols, checking: str, waiting: Collection[str], width: int
) -> Content:
    """Return one line: how many are in which state, and which is the worst.

    Args:
        rows: All models, whatever the filter shows.
        symbols: What the terminal can show.
        checking: What is being checked now; blank while nothing is.
        waiting: What is to be checked after it.
        width: Cells of the line.
    """
    from fathom_tui.watching import tally, worst

    counts, gap = tally(rows), "  " if width < WIDE else "   "
    right = _checking(checking, waiting, symbols)
    found = worst(rows)
    if not right and found is not None:
        _, style = of_condition(symbols, found.condition)
        name = Content.styled(clean(found.slug), f"{style} bold").truncate(_NAME, ellipsis=True)
        right = Content.assemble(("worst: ", "$muted"), name, f" {_figure(found)}")
    # What nobody wants to be served gives way first.
    for states in (_STATES, _STATES[:-1]):
        line = Content(gap).join([_count(counts, s, symbols) for s in states if counts[s]])
        room = width - line.cell_length - 2
        if right.cell_length <= room:
            break
    right = right.truncate(max(0, room), ellipsis=True)
    return line + right.pad_left(max(0, width - line.cell_length - right.cell_length))


def searched(watched: "Watched") -> str:
    """Return what the words of the filter are looked for in, in lower case."""
    condition, target = watched.condition, (watched.deployment or {}).get("target")
    said = (watched.slug, condition.value, condition.state, watched.version, str(target or ""))
    return " ".join((*said, *watched.reasons)).lower()


def _count(counts: Mapping[str, int], state: str, symbols: Symbols) -> Content:
    symbol, style = of_health(symbols, state)
    loud = "" if state in ("ok", "") else " bold"
    return Content.assemble(
        (f"{symbol} ", style), (f"{counts[state]} {_SAID.get(state, state)}", f"{style}{loud}")
    )


def _figure(watched: "Watched") -> str:
    """Return the one figure that goes with a condition."""
    known = watched.condition in ("critical", "warning")
    return counted(watched) if known and counted(watched) else watched.condition.value


def _checking(checking: str, waiting: Collection[str], symbols: Symbols) -> Content:
    if not checking:
        return Content("")
    more = f", {len(waiting)} waiting" if waiting else ""
    return Content.assemble((f"{symbols.running} ", "$accent"), f"checking {clean(checking)}{more}")


def _state(watched: "Watched", symbols: Symbols, running_s: float | None, waits: bool) -> Content:
    if running_s is not None:
        return Content.styled(f"{symbols.running} checking", "$accent")
    if waits:
        return Content.styled(f"{symbols.waiting} waiting", "$accent")
    symbol, style = of_condition(symbols, watched.condition)
    return Content.assemble((f"{symbol} ", style), (watched.condition.value, style))


def _anchors(watched: "Watched", symbols: Symbols) -> Content:
    check = watched.check
    if check is None:
        return Content("")
    _, style = of_health(symbols, check.state)
    change = watched.change
    moved = f" {signed(change, symbols)}" if change else ""
    return Content.assemble(
        (counted(watched), "" if check.state == "ok" else style),
        (moved, "$error" if change is not None and change < 0 else "$success"),
    )


def _age(watched: "Watched", running_s: float | None) -> Content:
    from fathom_tui.watching import AHEAD_S

    if running_s is not None:
        return Content.styled(clock(running_s), "$accent")
    if watched.check is None:
        return Content.styled("never" if watched.condition == "unchecked" else "", "$warning")
    odd = watched.is_old or watched.is_ahead
    return Content.styled(age(watched.age_s, AHEAD_S) or "?", "$warning" if odd else "")


def _drift(watched: "Watched", symbols: Symbols) -> Content:
    found = watched.drift.found if watched.drift is not None else None
    if found is None:
        return Content.styled("-" if watched.check is not None else "", "$muted")
    if found:
        return Content.styled(f"{symbols.warned} yes", "$warning")
    return Content.styled("no", "$muted")


def _alert(watched: "Watched", alert_age: str, symbols: Symbols) -> Content:
    if watched.alert is None:
        return Content("")
    delivered = watched.alert.get("delivered")
    lost = isinstance(delivered, list) and any(
        isinstance(hook, Mapping) and hook.get("ok") is False for hook in delivered
    )
    return Content.assemble(
        clean(watched.alert.get("state") or "?"),
        (f" {alert_age}", "$muted"),
        (f" {symbols.refused}" if lost else "", "$error"),
    )
