"""The crossover chart: pounds a month of each way over tokens a day, as SVG of our own.

Readable in grey: ways differ by dash and weight before they differ by colour. The same advice
gives the same bytes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from fathom_tui import economics
from fathom_tui.advice import Advice
from fathom_tui.currency import Currency
from fathom_tui.economics import Way, millions
from fathom_tui.reports.document import joined, plain

WIDTH, HEIGHT = 720, 290
LEFT, RIGHT, TOP, BOTTOM = 62, 16, 60, 42
POINTS = 97
"""Samples along a line; they lie evenly on the logarithmic axis."""
FONT = "'Libertinus Serif', Charter, Georgia, 'Times New Roman', serif"


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a way is drawn."""

    label: str
    colour: str
    dash: str
    width: float


STYLES = {
    Way.CLOUD: Style(label="cloud API", colour="#b3411f", dash="", width=2.4),
    Way.HYBRID: Style(label="hybrid", colour="#6b6b6b", dash="7 4", width=2.0),
    Way.LOCAL: Style(label="local machine", colour="#0b3d66", dash="2 3", width=3.0),
}
_BILL = Style(label="API bill alone", colour="#b3411f", dash="1 4", width=1.4)
_INK, _GREY, _LINE = "#1a1a1a", "#555555", "#dddddd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Where volumes and sums lie on the picture."""

    low: float
    high: float
    """Tokens a day at the left and right edge."""
    top: float
    """Pounds a month at the upper edge; the lower edge is zero."""

    def x(self, tokens: float) -> float:
        share = math.log(tokens / self.low) / math.log(self.high / self.low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, gbp: float) -> float:
        return HEIGHT - BOTTOM - gbp / self.top * (HEIGHT - TOP - BOTTOM)


_TITLE = "<title>Cost a month by volume: "
"""With what the second line of every chart begins."""


def is_chart(svg: str) -> bool:
    """Return whether a file's text is a chart that this program drew."""
    first, _, rest = svg.partition("\n")
    return first.startswith("<svg xmlns=") and rest.startswith(_TITLE)


def crossover_chart(advice: Advice, currency: Currency) -> str:
    """Return the chart of one workload as a whole SVG element, `<title>` and `<desc>` in it."""
    volumes = _volumes(advice)
    lines = _lines(advice, volumes)
    scale = _scale(advice, volumes, lines)
    name = escape(plain(advice.workload.name))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img" font-family="{FONT}" font-size="12">',
        f"{_TITLE}{name}</title>",
        f"<desc>{escape(plain(description(advice, currency)))}</desc>",
        *_capacity(advice, scale),
        *_axes(scale, currency),
        *(_curve(volumes, values, scale, style) for style, values in lines),
        *_volume(advice, scale),
        *_edges(advice, scale),
        *_legend([style for style, _ in lines]),
        "</svg>",
    ]
    return "\n".join(parts)


def description(advice: Advice, currency: Currency) -> str:
    """Say in words what the chart shows."""
    volume = millions(advice.workload.tokens_per_day)
    compared = advice.costs.compared
    sums = joined([f"{way.value} {currency.show(sum_)}" for way, sum_ in compared.items()])
    text = f"Cost a month over tokens a day. At {volume} tokens/day: {sums} a month."
    cheapest = advice.costs.cheapest
    if cheapest is None:
        return f"{text} How much the machine can answer is unknown, and so what it costs."
    edges = [
        f"from {edge.below.value} to {edge.above.value} at {millions(edge.tokens_per_day)}"
        for edge in advice.edges
    ]
    text += (
        f" The cheapest way changes {joined(edges)} tokens/day."
        if edges
        else f" {cheapest.value.capitalize()} is the cheapest at every volume."
    )
    limit = millions(advice.capacity or 0.0)
    return f"{text} One machine answers at most {limit} tokens/day; beyond, the sums are for more."


def _volumes(advice: Advice) -> list[float]:
    """Return volumes to draw at: wide enough for the workload and every edge."""
    marks = [advice.workload.tokens_per_day, *(edge.tokens_per_day for edge in advice.edges)]
    if advice.capacity is not None and advice.capacity < 20 * max(marks):
        marks.append(advice.capacity)
    low, high = max(min(marks) / 6, 1.0), max(marks) * 2.5
    step = math.log(high / low) / (POINTS - 1)
    return [low * math.exp(step * n) for n in range(POINTS)]


def _lines(advice: Advice, volumes: Sequence[float]) -> list[tuple[Style, list[float]]]:
    setting, workload = advice.setting, advice.workload
    found = [
        economics.costs(
            workload, setting.price, setting.machine, setting.market, tokens_per_day=volume
        )
        for volume in volumes
    ]
    lines = [
        (STYLES[way], [costs.compared[way] for costs in found]) for way in advice.costs.compared
    ]
    if advice.costs.compliance:
        lines.append((_BILL, [costs.cloud_optimised for costs in found]))
    return lines


def _scale(
    advice: Advice, volumes: Sequence[float], lines: Sequence[tuple[Style, list[float]]]
) -> Scale:
    """Return a scale on which the workload and the crossings stand in the upper half at most."""
    compared = advice.costs.compared
    most = max(compared.values(), default=0.0)
    fixed = max(values[0] for _, values in lines)
    reached = max(max(values) for _, values in lines)
    wanted = min(max(1.5 * most, 2.2 * fixed, 1.0), max(1.05 * reached, 1.0))
    return Scale(low=volumes[0], high=volumes[-1], top=wanted)


def _axes(scale: Scale, currency: Currency) -> list[str]:
    left, right, floor = LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = []
    top = currency.of(scale.top)
    step = _step(top)
    for n in range(int(top / step) + 1):
        y = scale.y(n * step / currency.per_gbp)
        parts.append(_rule(left, y, right, y, _LINE if n else _INK))
        parts.append(_label(left - 7, y + 4, f"{currency.symbol}{n * step:,g}", "end", _GREY))
    for tokens in _ticks(scale):
        x = scale.x(tokens)
        parts.append(_rule(x, floor, x, floor + 4, _INK))
        parts.append(_label(x, floor + 17, millions(tokens), "middle", _GREY))
    parts.append(_label(left, HEIGHT - 7, "tokens a day, logarithmic", "start", _GREY))
    parts.append(_label(4, TOP - 8, f"{currency.symbol} a month", "start", _GREY))
    return parts


def _step(top: float) -> float:
    """Return the round number that divides the axis into three to six parts."""
    size = 10.0 ** math.floor(math.log10(top / 3))
    return next(size * n for n in (1, 2, 2.5, 5, 10) if top / (size * n) <= 6)


def _ticks(scale: Scale) -> list[float]:
    decades = math.log10(scale.high / scale.low)
    inside = (1, 2, 5) if decades < 3.5 else (1,)
    first, last = math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high))
    ticks = [n * 10.0**e for e in range(first, last + 1) for n in inside]
    return [tick for tick in ticks if scale.low <= tick <= scale.high]


def _curve(volumes: Sequence[float], values: Sequence[float], scale: Scale, style: Style) -> str:
    """Draw a line up to where it leaves the picture."""
    points: list[tuple[float, float]] = []
    for n, (volume, value) in enumerate(zip(volumes, values, strict=True)):
        if value > scale.top:
            if n:
                points.append(_leaving(volumes[n - 1 : n + 1], values[n - 1 : n + 1], scale))
            break
        points.append((scale.x(volume), scale.y(value)))
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dash = f' stroke-dasharray="{style.dash}"' if style.dash else ""
    return (
        f'<polyline points="{path}" fill="none" stroke="{style.colour}" '
        f'stroke-width="{style.width}"{dash}/>'
    )


def _leaving(
    volumes: Sequence[float], values: Sequence[float], scale: Scale
) -> tuple[float, float]:
    share = (scale.top - values[0]) / (values[1] - values[0])
    return scale.x(volumes[0] + share * (volumes[1] - volumes[0])), scale.y(scale.top)


def _volume(advice: Advice, scale: Scale) -> list[str]:
    """Mark where the workload is today."""
    tokens = advice.workload.tokens_per_day
    x = scale.x(tokens)
    end = "middle" if LEFT + 60 < x < WIDTH - 90 else "start" if x < WIDTH / 2 else "end"
    return [
        _rule(x, TOP - 4, x, HEIGHT - BOTTOM, _INK, width=1.3),
        _haloed(x, TOP - 8, f"this workload: {millions(tokens)}", end, bold=True),
    ]


def _edges(advice: Advice, scale: Scale) -> list[str]:
    """Mark where another way becomes the cheapest."""
    parts = []
    for number, edge in enumerate(advice.edges, 1):
        found = economics.costs(
            advice.workload,
            advice.setting.price,
            advice.setting.machine,
            advice.setting.market,
            tokens_per_day=edge.tokens_per_day,
        )
        x, y = scale.x(edge.tokens_per_day), scale.y(found.compared[edge.above])
        at = LEFT + 48.0 + 190 * (number - 1)
        text = f"{edge.below.value} → {edge.above.value} at {millions(edge.tokens_per_day)}"
        parts += [*_numbered(x, y, number), *_numbered(at, TOP - 28, number)]
        parts.append(_label(at + 13, TOP - 24, text, "start", _INK))
    return parts


def _numbered(x: float, y: float, number: int) -> list[str]:
    """Draw a mark of which the meaning stands above the plot, where no line runs through it."""
    return [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="7.5" fill="#ffffff" stroke="{_INK}" '
        'stroke-width="1.5"/>',
        f'<text x="{x:.1f}" y="{y + 3.7:.1f}" text-anchor="middle" font-size="11" fill="{_INK}">'
        f"{number}</text>",
    ]


def _capacity(advice: Advice, scale: Scale) -> list[str]:
    """Shade what the machine cannot answer."""
    if advice.capacity is None or advice.capacity >= scale.high:
        return []
    x = scale.x(max(advice.capacity, scale.low))
    width = WIDTH - RIGHT - x
    shade = (
        f'<rect x="{x:.1f}" y="{TOP}" width="{width:.1f}" height="{HEIGHT - TOP - BOTTOM}" '
        'fill="#ececec"/>'
    )
    text = f"grey: over one machine's capacity of {millions(advice.capacity)}"
    return [
        shade,
        _rule(x, TOP, x, HEIGHT - BOTTOM, "#999999", dash="3 3"),
        _label(WIDTH - RIGHT, HEIGHT - 7, text, "end", _GREY),
    ]


def _legend(styles: Sequence[Style]) -> list[str]:
    parts, x = [], float(LEFT + 41)
    for style in styles:
        dash = f' stroke-dasharray="{style.dash}"' if style.dash else ""
        parts.append(
            f'<line x1="{x:.1f}" y1="16" x2="{x + 34:.1f}" y2="16" stroke="{style.colour}" '
            f'stroke-width="{style.width}"{dash}/>'
        )
        parts.append(_label(x + 41, 20, style.label, "start", _INK))
        x += 62 + 6.4 * len(style.label)
    return parts


def _rule(
    x1: float, y1: float, x2: float, y2: float, colour: str, *, width: float = 1.0, dash: str = ""
) -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
        f'stroke-width="{width}"{dashed}/>'
    )


def _label(x: float, y: float, text: str, anchor: str, colour: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">'
        f"{escape(plain(text))}</text>"
    )


def _haloed(x: float, y: float, text: str, anchor: str, *, bold: bool = False) -> str:
    """Return text that stays readable over a line: once as a white outline, once as itself."""
    # Not paint-order, which some renderers of SVG do not know.
    weight = ' font-weight="bold"' if bold else ""
    said = escape(plain(text))
    start = f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{weight}'
    return (
        f'{start} fill="none" stroke="#ffffff" stroke-width="4" stroke-linejoin="round" '
        f'aria-hidden="true">{said}</text>\n{start} fill="{_INK}">{said}</text>'
    )
