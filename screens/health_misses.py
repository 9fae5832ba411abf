"""Failing anchors: what must be answered and what was, with the difference marked."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from textual.content import Content

from fathom_tui.screens.pane import wrapped
from fathom_tui.screens.symbols import Symbols
from fathom_tui.screens.words import clean

if TYPE_CHECKING:
    from fathom_tui.check_events import Miss

Parts = tuple[tuple[str, bool], ...]
"""A text in parts, each with whether it is marked."""

BESIDE = 100
"""Cells from which expected and answered stand side by side."""
_LABEL = 10
_WORD = re.compile(r"[\w.]+|\s+|[^\w\s.]")
_MOST = 600
"""Characters of an answer that are shown: one that repeats itself may be very long."""


def lines(misses: "Sequence[Miss]", symbols: Symbols, width: int) -> list[Content]:
    """Return each failing anchor with both answers."""
    found: list[Content] = []
    for miss in misses:
        found += [_head(miss, symbols), *_answers(miss, width)]
    return found


def compared(expected: str, actual: str) -> tuple[Parts, Parts]:
    """Return both texts as parts, each with whether the other text lacks it."""
    left, right = _WORD.findall(expected), _WORD.findall(actual)
    one: list[tuple[str, bool]] = []
    other: list[tuple[str, bool]] = []
    matcher = SequenceMatcher(a=left, b=right, autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        one.append(("".join(left[a:b]), kind != "equal"))
        other.append(("".join(right[c:d]), kind != "equal"))
    return tuple(one), tuple(other)


def _head(miss: "Miss", symbols: Symbols) -> Content:
    reason = clean(miss.finish_reason)
    odd = reason not in ("", "stop")
    return Content.assemble(
        (f"{symbols.refused} ", "$error"),
        (clean(miss.id) or "an anchor without a name", "bold"),
        (f"   finish: {reason}" if reason else "", "$warning" if odd else "$muted"),
    )


def _answers(miss: "Miss", width: int) -> list[Content]:
    if miss.expected is None and miss.actual is None:
        return wrapped(
            Content.styled("  its answers were not kept; r checks again and keeps them", "$muted"),
            width,
            indent=2,
        )
    expected, actual = _shown(miss.expected), _shown(miss.actual)
    wanted, given = compared(expected, actual)
    both = _marked(wanted, "$success"), _marked(given, "$error")
    if width >= BESIDE:
        return _beside(*both, width)
    return [*_entry("expected", both[0], width), *_entry("answered", both[1], width)]


def _shown(text: str | None) -> str:
    if text is None:
        return "?"
    flat = clean(text)
    return flat if len(flat) <= _MOST else flat[:_MOST] + f"... {len(flat) - _MOST:,} more"


def _marked(parts: Parts, style: str) -> Content:
    styled = ((text, f"{style} bold" if differs else "$muted") for text, differs in parts if text)
    return Content.assemble(*styled)


def _entry(label: str, text: Content, width: int) -> list[Content]:
    if not text.plain:
        text = Content.styled("(nothing)", "$error")
    return wrapped(
        Content.styled(f"  {label:<{_LABEL - 1}}", "$muted") + text, width, indent=_LABEL + 1
    )


def _beside(expected: Content, actual: Content, width: int) -> list[Content]:
    half = width // 2
    left = _entry("expected", expected, half - 1)
    right = _entry("answered", actual, width - half)
    lines = []
    for index in range(max(len(left), len(right))):
        first = left[index] if index < len(left) else Content("")
        second = right[index] if index < len(right) else Content("")
        lines.append(first.pad_right(half - first.cell_length) + second)
    return lines
