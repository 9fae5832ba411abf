"""The ladder of quantisations as SVG of our own: rise of perplexity over size, tokens/s as area.

Readable in grey: the file that ships is filled, and each circle bears its type and its pace. The
same ladder gives the same bytes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from fathom_tui.ladder import BAND_RANGES, BANDS, Rung, height, megabytes
from fathom_tui.reports.chart import FONT

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 92, 24, 74, 48
_INK, _GREY, _LINE, _SHIPS = "#1a1a1a", "#555555", "#dddddd", "#0b3d66"
_SHADES = ("#ffffff", "#f7f7f7", "#ededed", "#e0e0e0")
_LEAST_R, _MOST_R = 4.0, 13.0
_LETTER = 6.4
"""Width of a letter of a label, about."""
_MOVES = [0.0, *(sign * 15.0 * n for n in range(1, 9) for sign in (-1, 1))]
"""How far a label may move from its point, nearest first."""


def ladder_chart(name: str, rungs: Sequence[Rung], ships: str | None) -> str:
    """Return the chart as a whole SVG element, `<title>` and `<desc>` in it.

    Args:
        name: What was quantised.
        rungs: Measured files, the 16-bit one among them.
        ships: Type of the file that ships, or None.
    """
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img" font-family="{FONT}" font-size="12">',
        f"<title>Quantisations of {escape(name)}</title>",
        f"<desc>{escape(description(rungs, ships))}</desc>",
        *_bands(),
        *_sizes(rungs),
        *_points(rungs, ships),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def description(rungs: Sequence[Rung], ships: str | None) -> str:
    """Say in words what the chart shows."""
    files = "; ".join(
        f"{rung.type} {megabytes(rung.bytes)}, perplexity {rung.change.rise:+.1%}"
        if rung.change
        else f"{rung.type} {megabytes(rung.bytes)}"
        for rung in rungs
    )
    end = f"{ships} ships." if ships else "None of them ships."
    return f"Rise of perplexity over file size. {files}. {end}"


def _x(size: float, largest: float) -> float:
    return LEFT + size / largest * (WIDTH - LEFT - RIGHT)


def _y(place: float) -> float:
    """Return where a height on the banded axis, 0 to 4, lies; more is worse and lower."""
    return TOP + place / 4 * (HEIGHT - TOP - BOTTOM)


def _bands() -> list[str]:
    parts = [_text(LEFT, 18, "rise of perplexity against the 16-bit file", "start", _GREY)]
    for number, (name, said) in enumerate(zip(BANDS, BAND_RANGES, strict=True)):
        top, middle = _y(number), (_y(number) + _y(number + 1)) / 2
        parts.append(
            f'<rect x="{LEFT}" y="{top:.1f}" width="{WIDTH - LEFT - RIGHT}" '
            f'height="{_y(number + 1) - top:.1f}" fill="{_SHADES[number]}" stroke="{_LINE}"/>'
        )
        parts.append(_text(LEFT - 8, middle - 2, name, "end", _INK))
        parts.append(_text(LEFT - 8, middle + 13, said, "end", _GREY))
    return parts


def _sizes(rungs: Sequence[Rung]) -> list[str]:
    largest, floor = _largest(rungs), HEIGHT - BOTTOM
    marks = [largest * n / 4 for n in range(5)]
    said = [
        _text(_x(mark, largest), floor + 17, megabytes(round(mark)) if mark else "0", "middle",
              _GREY)
        for mark in marks
    ]  # fmt: skip
    return [*said, _text(LEFT, HEIGHT - 10, "size; area is tokens a second", "start", _GREY)]


@dataclass(frozen=True, slots=True)
class _Box:
    """A rectangle on the picture that nothing else should cover."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "_Box") -> bool:
        """Say whether two rectangles share a part."""
        beside = self.right <= other.left or other.right <= self.left
        return not (beside or self.bottom <= other.top or other.bottom <= self.top)


def _points(rungs: Sequence[Rung], ships: str | None) -> list[str]:
    largest = _largest(rungs)
    fastest = max((rung.tokens_per_s or 0.0 for rung in rungs), default=0.0)
    most = max((rung.change.high for rung in rungs if rung.change), default=0.0)
    places = [
        (_x(rung.bytes, largest), _y(height(rung.change.rise if rung.change else 0.0, most=most)))
        for rung in rungs
    ]
    radii = [_radius(rung, fastest) for rung in rungs]
    taken = [_Box(x - r, y - r, x + r, y + r) for (x, y), r in zip(places, radii, strict=True)]
    parts: list[str] = []
    for rung, (x, y), radius in zip(rungs, places, radii, strict=True):
        if rung.change is not None:
            low, high = (_y(height(v, most=most)) for v in (rung.change.low, rung.change.high))
            parts.append(
                f'<line x1="{x:.1f}" y1="{low:.1f}" x2="{x:.1f}" y2="{high:.1f}" '
                f'stroke="{_INK}" stroke-width="1.2"/>'
            )
        fill = _SHIPS if rung.type == ships else "#ffffff"
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{fill}" stroke="{_INK}" '
            'stroke-width="1.4"/>'
        )
    for rung, (x, y), radius in zip(rungs, places, radii, strict=True):
        parts += _label(x, y, radius, rung, rung.type == ships, taken)
    return parts


def _radius(rung: Rung, fastest: float) -> float:
    share = (rung.tokens_per_s or 0.0) / fastest if fastest else 0.0
    return max(_LEAST_R, _MOST_R * math.sqrt(share))


def _label(
    x: float, y: float, radius: float, rung: Rung, ships: bool, taken: list[_Box]
) -> list[str]:
    """Write a point's name beside it, or as near as nothing is in its way."""
    pace = "" if rung.tokens_per_s is None else f" · {rung.tokens_per_s:.0f} tokens/s"
    text = f"{rung.type}{pace}" + (" · ships" if ships else "")
    width = _LETTER * len(text)
    to_left = x + radius + 6 + width > WIDTH - RIGHT
    at = x - radius - 6 if to_left else x + radius + 6
    left = at - width if to_left else at
    boxes = [_Box(left, y - 7 + move, left + width, y + 7 + move) for move in _MOVES]
    box = next((b for b in boxes if not any(b.meets(other) for other in taken)), boxes[0])
    taken.append(box)
    level = box.top + 11
    parts = [_text(at, level, text, "end" if to_left else "start", _INK, bold=ships)]
    if box is not boxes[0]:
        parts.insert(
            0,
            f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{at:.1f}" y2="{level - 4:.1f}" '
            f'stroke="{_GREY}" stroke-width="0.6"/>',
        )
    return parts


def _largest(rungs: Sequence[Rung]) -> int:
    return max((rung.bytes for rung in rungs), default=1)


def _text(x: float, y: float, text: str, anchor: str, colour: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"{weight}>'
        f"{escape(text)}</text>"
    )
