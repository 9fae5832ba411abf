"""How well a model is, in a symbol, a style and a word; and ages that may lie in the future."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fathom_tui.screens.symbols import ASCII, Symbols
from fathom_tui.screens.words import plural

if TYPE_CHECKING:
    # Loaded by the first look, after the first frame.
    from fathom_tui.watching import Condition, Watched

_STYLES = {
    "ok": "$success",
    "warning": "$warning",
    "critical": "$error",
    "unknown": "$secondary",
    "": "$muted",
}
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def of_health(symbols: Symbols, state: str) -> tuple[str, str]:
    """Return the symbol and the style of ok, warning, critical, unknown, or "" for not serving."""
    found = {
        "ok": symbols.done,
        "warning": symbols.warned,
        "critical": symbols.refused,
        "unknown": "?",
        "": symbols.pending,
    }
    return found[state], _STYLES[state]


def of_condition(symbols: Symbols, condition: "Condition") -> tuple[str, str]:
    """Return the symbol and the style of a condition."""
    if condition in ("stopped", "created"):
        return symbols.stopped if condition == "stopped" else symbols.waiting, "$muted"
    return of_health(symbols, condition.state)


def uncounted(symbols: Symbols, state: str) -> str:
    """Return the mark of a check that counted no anchor: the server was gone, or nobody knows."""
    return symbols.refused if state == "critical" else "?"


def age(seconds: float | None, ahead_s: float) -> str:
    """Return how old something is: now, 5 min, 3 h, 2 d; "in future" where clocks disagree.

    Args:
        seconds: Negative in the future; None is blank.
        ahead_s: What is this much ahead is taken for now.
    """
    if seconds is None:
        return ""
    if seconds < -ahead_s:
        return "in future"
    for length, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return "now"


def span(seconds: float) -> str:
    """Return a time span in words: 40 s, 5 min, 26 h, 3 d."""
    seconds = abs(seconds)
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE:.0f} min"
    return f"{seconds // _HOUR:.0f} h" if seconds < 2 * _DAY else f"{seconds // _DAY:.0f} d"


def latency(seconds: float | None) -> str:
    """Return seconds an answer takes: 84 ms, 0.41 s, 12 s."""
    if seconds is None:
        return ""
    if seconds < 0.0995:
        return f"{1000 * seconds:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.0f} s"


def counted(row: "Watched") -> str:
    """Return the anchors that passed of all, 19/20; blank where nothing was counted."""
    check = row.check
    if check is None or check.total is None:
        return ""
    return f"{'?' if check.passed is None else check.passed}/{check.total}"


def signed(change: int, symbols: Symbols) -> str:
    """Return a difference with its sign: +1, −5."""
    minus = "-" if symbols is ASCII else "−"
    return f"+{change}" if change > 0 else f"{minus}{-change}"


def listed(names: Iterable[str], most: int) -> str:
    """Return names in a line, the rest of too many counted."""
    every = list(names)
    more = len(every) - most
    return ", ".join(every[:most]) + (f" and {plural(more, 'other')}" if more > 0 else "")
