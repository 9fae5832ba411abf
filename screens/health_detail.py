"""Everything about one model: in one column where it is narrow, in two where there is room."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from textual.content import Content

from fathom_tui.screens import health_history, health_misses, health_next, health_record
from fathom_tui.screens.health_record import Record
from fathom_tui.screens.health_words import age, counted, latency, of_condition
from fathom_tui.screens.symbols import Symbols
from fathom_tui.screens.words import plural

if TYPE_CHECKING:
    from fathom_tui.check_events import Check
    from fathom_tui.watching import Watched


def brief(row: "Watched", problem: str, symbols: Symbols, width: int) -> list[Content]:
    """Return why, what to do, and how it went, for the panel below the list."""
    found = [head(row, symbols).truncate(width, ellipsis=True)]
    found += health_next.why(row, problem, symbols, width)
    return found + health_next.steps(row, symbols, width)


def story(row: "Watched", problem: str, symbols: Symbols, width: int) -> list[Content]:
    """Return why a model is as it is, what to do, and what it got wrong."""
    found = brief(row, problem, symbols, width)
    if row.misses:
        found += _section(health_next.missing(row), width)
        found += health_misses.lines(row.misses, symbols, width)
    return found


def course(
    row: "Watched", checks: "Sequence[Check]", symbols: Symbols, width: int
) -> list[Content]:
    """Return how it went."""
    plotted = health_history.plot(checks, row.threshold, symbols, width)
    return plotted or [Content.styled("no check has counted anchors yet", "$muted")]


def around(
    row: "Watched", record: Record | None, symbols: Symbols, now: datetime, width: int
) -> list[Content]:
    """Return how it went, which alerts were sent, and what is deployed."""
    checks = record.checks if record is not None else row.history
    shown = f"Last {plural(len(checks), 'check')}" if checks else "Checks"
    found = [*_section(shown, width), *course(row, checks, symbols, width)]
    if record is not None:
        found += _section("Alerts", width)
        found += health_record.alerts(record, now, symbols, width)
    if row.deployment is not None:
        found += _section("Deployment", width)
    elif record is not None:
        found += _section("Settings", width)
    found += health_record.facts(row, record, width)
    return found[1:]


def whole(
    row: "Watched", record: Record | None, problem: str, symbols: Symbols, now: datetime, width: int
) -> Sequence[Content]:
    """Return all of it in one column."""
    return [
        *story(row, problem, symbols, width),
        Content(""),
        *around(row, record, symbols, now, width),
    ]


def head(row: "Watched", symbols: Symbols) -> Content:
    """Return a model's condition and its figures in one line."""
    from fathom_tui.watching import AHEAD_S

    symbol, style = of_condition(symbols, row.condition)
    parts = [Content.assemble((f"{symbol} {row.condition.value}", f"{style} bold"))]
    check = row.check
    if check is not None:
        if counted(row):
            parts.append(Content(f"{counted(row)} anchors"))
        if check.latency_s is not None:
            parts.append(Content(f"{latency(check.latency_s)} an answer"))
        old = age(row.age_s, AHEAD_S)
        said = {"now": "checked just now", "in future": "checked in the future", "": ""}
        parts.append(Content.styled(said.get(old, f"checked {old} ago"), "$muted"))
    return Content("   ").join(parts)


def _section(title: str, width: int) -> list[Content]:
    return [Content(""), Content.styled(title, "bold $accent").truncate(width, ellipsis=True)]
