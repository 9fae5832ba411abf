"""The confusion matrix as SVG: drawn here, because a drawing that is text needs no library."""

from html import escape

from fathom_tui.metrics.per_class import Confusion
from fathom_tui.reports.document import plain

FONT = "'Libertinus Serif', Charter, Georgia, 'Times New Roman', serif"
_WIDEST = 640.0
"""Pixels that the cells take at most, side by side."""
_CELL, _LEAST = 54.0, 7.0
"""Side of a cell at most and at least."""
_NUMBERS_FROM = 20.0
"""Side from which a cell holds its number."""
_LABEL = 26
"""Characters of a class that are shown; the rest is in the table beside the drawing."""
_INK, _GREY = "#1a1a1a", "#555555"
_RIGHT, _WRONG = (11, 61, 102), (179, 65, 31)
"""Colours of right and wrong answers, as in every chart of ours; the share of the row sets how
much of it is mixed with white, so that rare classes are seen as well."""


def confusion_chart(found: Confusion, field: str) -> str:
    """Return the matrix of one field as a whole SVG element, `<title>` and `<desc>` in it.

    Rows are the true classes, columns the answers; the last column holds answers that broke the
    contract, where there are any.
    """
    columns = [*found.classes, *(["(unusable)"] if found.unusable else [])]
    side = max(_LEAST, min(_CELL, _WIDEST / max(1, len(columns))))
    size = min(12.0, max(6.0, side * 0.8))
    margin = 24 + size * 0.56 * max(len(_short(label)) for label in columns)
    width = margin + side * len(columns) + 16
    height = margin + side * len(found.classes) + 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img" font-family="{FONT}" '
        f'font-size="{size:.1f}">',
        f"<title>Confusion matrix: {escape(plain(field))}</title>",
        f"<desc>{escape(plain(description(found, field)))}</desc>",
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
        *_columns(columns, margin, side),
        *(line for row in range(len(found.classes)) for line in _row(found, row, margin, side)),
        f'<text x="{margin:.1f}" y="{height - 10:.1f}" fill="{_GREY}" font-size="11">rows: the '
        f"truth, columns: the answer, n = {found.n}</text>",
        "</svg>",
    ]
    return "\n".join(parts)


def often(times: int) -> str:
    """Return a count of at least one as it is said: `once`, `2 times`."""
    return "once" if times == 1 else f"{times} times"


def description(found: Confusion, field: str) -> str:
    """Say in words what the matrix shows."""
    right = sum(int(found.counts[n, n]) for n in range(len(found.classes)))
    text = f"Confusion matrix of {field}: {right} of {found.n} answers right."
    worst = found.mistakes()[:3]
    if not worst:
        return text
    said = "; ".join(
        f"{truth} answered as {answer if answer is not None else 'unusable'} {often(times)}"
        for truth, answer, times in worst
    )
    return f"{text} Most often confused: {said}."


def _columns(labels: list[str], margin: float, side: float) -> list[str]:
    return [
        f'<text transform="translate({margin + side * (n + 0.5):.1f} {margin - 8:.1f}) '
        f'rotate(-60)" fill="{_INK}">{escape(plain(_short(label)))}</text>'
        for n, label in enumerate(labels)
    ]


def _row(found: Confusion, row: int, margin: float, side: float) -> list[str]:
    top, total = margin + side * row, int(found.counts[row].sum())
    shown = len(found.classes) + bool(found.unusable)
    label = escape(plain(_short(found.classes[row])))
    parts = [
        f'<text x="{margin - 8:.1f}" y="{top + side / 2:.1f}" text-anchor="end" '
        f'dominant-baseline="middle" fill="{_INK}">{label}</text>'
    ]
    for column in range(shown):
        count = int(found.counts[row, column])
        share = count / total if total else 0.0
        parts += _cell(margin + side * column, top, side, count, share, right=column == row)
    return parts


def _cell(x: float, y: float, side: float, count: int, share: float, *, right: bool) -> list[str]:
    fill = _mixed(_RIGHT if right else _WRONG, share) if count else "#f7f7f7"
    parts = [
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{side:.1f}" height="{side:.1f}" fill="{fill}" '
        'stroke="#ffffff" stroke-width="0.5"/>'
    ]
    if count and side >= _NUMBERS_FROM:
        ink = "#ffffff" if share > 0.45 else _INK
        parts.append(
            f'<text x="{x + side / 2:.1f}" y="{y + side / 2:.1f}" text-anchor="middle" '
            f'dominant-baseline="central" fill="{ink}">{count}</text>'
        )
    return parts


def _mixed(colour: tuple[int, int, int], share: float) -> str:
    """Return a colour mixed with white; a single case of many is still to be seen."""
    amount = 0.15 + 0.85 * share
    return "#" + "".join(f"{round(255 - (255 - part) * amount):02x}" for part in colour)


def _short(label: str) -> str:
    return label if len(label) <= _LABEL else label[: _LABEL - 1] + "…"
