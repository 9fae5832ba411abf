"""The last checks of a model in one line: the higher, the more anchors passed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from fathom_tui.screens.health_words import of_health, uncounted
from fathom_tui.screens.symbols import ASCII, Symbols

if TYPE_CHECKING:
    from fathom_tui.check_events import Check

_UNICODE = "▁▂▃▄▅▆▇"
"""Without the full block: lines of a table would run into each other."""
_ASCII = "_.:-=+#"
_STEP = 0.05
"""Share of anchors that one level is worth: with 20 anchors one miss is one level."""


def spark(checks: "Sequence[Check]", width: int, symbols: Symbols) -> Content:
    """Return the newest checks, a character each, the newest at the right.

    The highest level is every anchor passed; one level down is 5 points, so that a single miss
    is seen. A check that counted nothing has a mark of its own.

    Args:
        checks: In the order they were made.
        width: Cells; older checks than fit are left out.
        symbols: What the terminal can show.
    """
    shown = checks[-width:]
    line = Content.assemble(*(_cell(check, symbols) for check in shown))
    return line.pad_left(width - len(shown))


def level(share: float) -> int:
    """Return the level of a share of anchors: 6 for all of them, 0 for 70 % and fewer."""
    top = len(_UNICODE) - 1
    missing = (1 - share) / _STEP
    # A miss is never rounded away, however many anchors there are.
    return top if share >= 1 else max(0, min(top - 1, top - round(missing)))


def _cell(check: "Check", symbols: Symbols) -> tuple[str, str]:
    _, style = of_health(symbols, check.state)
    if check.share is None:
        return uncounted(symbols, check.state), style
    levels = _ASCII if symbols is ASCII else _UNICODE
    # What is well stays in the background.
    return levels[level(check.share)], f"{style} 60%" if check.state == "ok" else style
