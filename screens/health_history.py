"""The checks of a model over time: a mark for each, the higher, the more anchors passed."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from fathom_tui.screens.health_words import of_health, uncounted
from fathom_tui.screens.symbols import ASCII, Symbols
from fathom_tui.screens.words import clean

if TYPE_CHECKING:
    from fathom_tui.check_events import Check

ROWS = 7
"""Most rows of the plot; with more levels a row stands for several."""
_SAID = len(" 18 must pass")
_AXIS = 5
"""Cells of the numbers at the left and the line beside them."""


def plot(
    checks: "Sequence[Check]", threshold: float, symbols: Symbols, width: int
) -> list[Content]:
    """Return a plot of the newest checks with the number of anchors that must pass.

    Args:
        checks: In the order they were made, of any version.
        threshold: Share of anchors that must pass, 0 to 1.
        symbols: What the terminal can show.
        width: Cells of every line.
    """
    from fathom_tui.health import needed

    gap = 2 if 2 * len(checks) <= width - _AXIS - _SAID else 1
    shown = checks[-((width - _AXIS) // gap) :]
    kept = [(c.passed, c.total) for c in shown if c.passed is not None and c.total]
    if not kept:
        return []
    wanted = needed(threshold, kept[-1][1])
    top = max(total for _, total in kept)
    low = min(wanted, *(passed for passed, _ in kept))
    step = max(1, math.ceil((top - low) / (ROWS - 1)))
    levels = [top - step * row for row in range((top - low) // step + 1)]
    lines = [_line(level, step, shown, wanted, gap, symbols) for level in levels]
    return [line.truncate(width) for line in (*lines, *_below(shown, gap, symbols))]


def _line(
    level: int, step: int, checks: "Sequence[Check]", needed: int, gap: int, symbols: Symbols
) -> Content:
    is_needed = level - step < needed <= level
    rule = ("-" if symbols is ASCII else "┄") if is_needed else " "
    cells: list[tuple[str, str]] = [(f"{level:>3} ", "$muted"), (_bar(symbols), "$rule")]
    for check in checks:
        here = check.passed is not None and bool(check.total) and _within(check, level, step)
        mark = _mark(check, symbols) if here else (rule, "$muted")
        cells += [mark, (rule * (gap - 1), "$muted")]
    if is_needed:
        cells.append((f" {needed} must pass", "$muted"))
    return Content.assemble(*cells)


def _within(check: "Check", level: int, step: int) -> bool:
    return check.passed is not None and level - step < check.passed <= level


def _mark(check: "Check", symbols: Symbols) -> tuple[str, str]:
    _, style = of_health(symbols, check.state)
    shapes = {"ok": symbols.running, "critical": symbols.refused, "warning": symbols.warned}
    return shapes.get(check.state, "?"), style


def _below(checks: "Sequence[Check]", gap: int, symbols: Symbols) -> list[Content]:
    """Return the axis, where each version begins, and the first and the last day."""
    line = "-" if symbols is ASCII else "─"
    cells: list[tuple[str, str]] = [
        (" " * (_AXIS - 1) + ("+" if symbols is ASCII else "└"), "$rule")
    ]
    for check in checks:
        _, style = of_health(symbols, check.state)
        lost = check.passed is None or not check.total
        cells.append((uncounted(symbols, check.state), style) if lost else (line, "$rule"))
        cells.append((line * (gap - 1), "$rule"))
    versions = _versions(checks, gap)
    days = _days(checks, max(len(checks) * gap, len(versions)))
    found = [Content.assemble(*cells)]
    for text in (versions, days):
        if text:
            found.append(Content.styled(" " * _AXIS + text, "$muted"))
    return found


def _versions(checks: "Sequence[Check]", gap: int) -> str:
    """Return the name of each version below its first check, where there is room for it."""
    said, before = "", None
    for index, check in enumerate(checks):
        if check.version != before and index * gap >= len(said) + bool(said):
            said = said.ljust(index * gap) + clean(check.version)[:8]
            before = check.version
    return said


def _days(checks: "Sequence[Check]", width: int) -> str:
    known = [check.at for check in checks if check.at is not None]
    if not known:
        return ""
    first, last = (f"{moment.day} {moment:%b}" for moment in (known[0], known[-1]))
    if width < len(first) + len(last) + 2:
        return last if first == last else f"{first} to {last}"
    return first + last.rjust(width - len(first))


def _bar(symbols: Symbols) -> str:
    return "|" if symbols is ASCII else "│"
