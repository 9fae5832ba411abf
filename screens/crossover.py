"""What each way costs over the volume: three lines, where they cross, and where the user stands."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from textual.app import ComposeResult
from textual.color import Color
from textual.containers import Container
from textual.content import Content
from textual.widgets import Static

from fathom_tui import economics
from fathom_tui.advice import Advice
from fathom_tui.currency import Currency
from fathom_tui.economics import Way, millions
from fathom_tui.screens.symbols import ASCII, Symbols

if TYPE_CHECKING:
    from textual_plotext import PlotextPlot
    from textual_plotext.plot import Plot

Colour = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

LEAST, MOST = 1e5, 1e8
"""Tokens a day that the axis always shows; it grows where something to see lies outside."""
FARTHEST = 1e11
COLOURS = {Way.CLOUD: "secondary", Way.HYBRID: "warning", Way.LOCAL: "success"}
_CELLS_A_POINT = 3
"""The plot draws straight lines between points; on these axes all but the hybrid are straight."""
_HEADROOM = 5.0
"""How many times the highest sum of interest the axis shows; as much below the lowest."""


def curves(advice: Advice, volumes: list[float]) -> dict[Way, list[float]]:
    """Return pounds a month of each way at many volumes, with everything that is compared.

    A way whose cost is unknown has no line.
    """
    setting = advice.setting
    found: dict[Way, list[float]] = {way: [] for way in Way}
    for volume in volumes:
        compared = economics.costs(
            advice.workload,
            setting.price,
            setting.machine,
            setting.market,
            tokens_per_day=volume,
        ).compared
        for way, sum_ in compared.items():
            found[way].append(sum_)
    return {way: sums for way, sums in found.items() if sums}


def span(advice: Advice) -> tuple[float, float]:
    """Return the least and the greatest volume of the axis: round ones, around what matters."""
    marks = [*(edge.tokens_per_day for edge in advice.edges), advice.capacity or 0.0]
    near = [advice.workload.tokens_per_day, *(mark for mark in marks if 0 < mark <= FARTHEST)]
    low, high = min([LEAST * 2, *near]) / 2, max([MOST / 2, *near]) * 2
    return 10.0 ** math.floor(math.log10(low)), _round_up(high)


def _round_up(volume: float) -> float:
    """Return the next of 1, 2, 5, 10, ..."""
    decade = 10.0 ** math.floor(math.log10(volume))
    return next(n * decade for n in (1, 2, 5, 10) if n * decade >= volume * (1 - 1e-9))


class Frame(NamedTuple):
    """What the axes show, as logarithms of tokens a day and of pounds a month."""

    low: float
    high: float
    bottom: float
    top: float
    row: float
    """Height of a line of the terminal."""

    def holds(self, x: float, y: float) -> bool:
        """Whether a point lies inside, below the line that is kept for a name."""
        return self.low <= x <= self.high and self.bottom <= y <= self.top - self.row


class Mark(NamedTuple):
    """An upright line."""

    volume: float
    text: str
    marker: str
    colour: str
    """Name of a theme colour."""
    row: int
    """Line of its name: 0 is the top one, -1 the lowest."""


def frame_of(advice: Advice, rows: int) -> Frame:
    """Return the axes for an answer: volumes as in `span`, sums around those that are paid.

    Args:
        advice: The answer.
        rows: Lines of the terminal that the plot has.
    """
    low, high = (math.log10(volume) for volume in span(advice))
    sums = [value for value in advice.costs.compared.values() if value > 0] or [1.0]
    bottom, top = math.log10(min(sums) / _HEADROOM), math.log10(max(sums) * _HEADROOM)
    return Frame(low, high, bottom, top, (top - bottom) / max(4, rows - 1))


def paths(advice: Advice, frame: Frame, count: int) -> dict[Way, list[tuple[float, float]]]:
    """Return the points of each way's line that lie in the frame, from left to right."""
    step = (frame.high - frame.low) / (count - 1)
    xs = [frame.low + step * n for n in range(count)]
    return {
        way: [
            (x, math.log10(value))
            for x, value in zip(xs, values, strict=True)
            if value > 0 and frame.holds(x, math.log10(value))
        ]
        for way, values in curves(advice, [10**x for x in xs]).items()
    }


def uprights(advice: Advice, symbols: Symbols) -> list[Mark]:
    """Return the marks: where the cheapest way changes, the machine's capacity, the user."""
    edge, limit, here = (":", "!", "|") if symbols is ASCII else ("┊", "╎", "│")
    found = [
        Mark(each.tokens_per_day, millions(each.tokens_per_day), edge, "muted", -2 - index)
        for index, each in enumerate(advice.edges)
    ]
    if advice.capacity is not None:
        text = f"capacity {millions(advice.capacity)}"
        found.append(Mark(advice.capacity, text, limit, "warning", -1))
    volume = advice.workload.tokens_per_day
    return [*found, Mark(volume, f"you {millions(volume)}", here, "accent", 0)]


class Crossover(Container, can_focus=True):
    """The plot, and one line that says what its marks are."""

    def __init__(self, symbols: Symbols, *, id: str, classes: str = "") -> None:
        super().__init__(id=id, classes=classes)
        self._symbols = symbols
        self._shown: tuple[Advice, Currency] | None = None
        self._plot: PlotextPlot | None = None
        self._drawn: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        """Begin with a line only: plotext is loaded for the first plot."""
        yield Static("", id="marks", markup=False)

    def show(self, advice: Advice, currency: Currency) -> None:
        """Plot an answer, if it can be seen."""
        self._shown = advice, currency
        self._draw()

    def on_resize(self) -> None:
        """Draw for another width."""
        self._draw()

    def on_show(self) -> None:
        """Draw what came while another panel was in its place."""
        self._draw()

    def _draw(self) -> None:
        if self._shown is None or not self.region.area:
            return
        advice, currency = self._shown
        now = (advice.workload, advice.setting, currency, self.size)
        if now == self._drawn:
            return
        self._drawn = now
        line = self.query_one("#marks", Static)
        between = "   " if line.size.height < 2 else "\n"
        line.update(Content(between).join(marks(advice, self._symbols)), layout=False)
        if self._plot is None:
            from textual_plotext import PlotextPlot

            self._plot = PlotextPlot()
            self.mount(self._plot)
        self._picture(self._plot.plt, advice, currency)
        self._plot.refresh()

    def _picture(self, plt: "Plot", advice: Advice, currency: Currency) -> None:
        frame = frame_of(advice, self.size.height - 1)
        found = paths(advice, frame, max(20, self.size.width // _CELLS_A_POINT))
        plt.clear_figure()
        plt.frame(False)
        plt.xlim(frame.low, frame.high)
        plt.ylim(frame.bottom, frame.top)
        self._draw_marks(plt, uprights(advice, self._symbols), frame)
        for way, points in found.items():
            if points:
                x, y = zip(*points, strict=True)
                plt.plot(x, y, color=self._colour(COLOURS[way]), marker=self._symbols.plot)
        self._draw_names(plt, found, frame)
        self._draw_sums(plt, advice, frame)
        _draw_axes(plt, frame, currency)

    def _draw_marks(self, plt: "Plot", found: Sequence[Mark], frame: Frame) -> None:
        named = []
        for mark in found:
            x = math.log10(mark.volume) if mark.volume > 0 else frame.low - 1
            if frame.low <= x <= frame.high:
                colour = self._colour(mark.colour)
                plt.plot([x, x], [frame.bottom, frame.top], color=colour, marker=mark.marker)
                named.append((mark, x))
        middle = (frame.low + frame.high) / 2
        for mark, x in named:
            edge = frame.top if mark.row >= 0 else frame.bottom - frame.row
            side = "right" if x > middle else "left"
            self._write(plt, mark.text, x, edge - mark.row * frame.row, mark.colour, side)

    def _draw_names(
        self, plt: "Plot", found: Mapping[Way, Sequence[tuple[float, float]]], frame: Frame
    ) -> None:
        """Write each way's name at its line: colour alone tells nothing."""
        cell = (frame.high - frame.low) / max(1, self.size.width)
        for way, points in found.items():
            if not points:
                continue
            x, y = points[-1]
            side = "right"
            if way is Way.HYBRID:
                # Right of its line and lower than the cloud's name, which is left of its own.
                x, y = points[len(points) - 1 - len(points) // 8]
                side = "left" if x + 10 * cell < frame.high else "right"
            self._write(plt, way.value, x, y, COLOURS[way], side)

    def _draw_sums(self, plt: "Plot", advice: Advice, frame: Frame) -> None:
        """Put a point on each line where the user stands."""
        x = math.log10(advice.workload.tokens_per_day)
        for way, value in advice.costs.compared.items():
            if value > 0 and frame.holds(x, math.log10(value)):
                colour = self._colour(COLOURS[way])
                plt.scatter([x], [math.log10(value)], color=colour, marker=self._symbols.points)

    def _write(self, plt: "Plot", text: str, x: float, y: float, colour: str, side: str) -> None:
        plt.text(
            f" {text} ",
            x,
            y,
            color=self._colour(colour),
            background=self._colour("background"),
            style="bold",
            alignment=side,
        )

    def _colour(self, name: str) -> Colour:
        return Color.parse(self.app.theme_variables[name]).rgb


def _draw_axes(plt: "Plot", frame: Frame, currency: Currency) -> None:
    """Name the decades of both axes."""
    volumes = range(math.ceil(frame.low - 1e-9), math.floor(frame.high + 1e-9) + 1)
    plt.xticks(list(volumes), [millions(10.0**n) for n in volumes])
    shift = math.log10(currency.per_gbp)
    sums = range(math.ceil(frame.bottom + shift), math.floor(frame.top + shift) + 1)
    names = [f"{currency.symbol}{millions(10.0**n)}" for n in sums]
    plt.yticks([n - shift for n in sums], names)


def marks(advice: Advice, symbols: Symbols) -> list[Content]:
    """Return what the upright lines are, besides the user's own."""
    edge, limit = (":", "!") if symbols is ASCII else ("┊", "╎")
    turns = [
        f"{millions(each.tokens_per_day)} {each.below.value} {symbols.then} {each.above.value}"
        for each in advice.edges
    ]
    cheapest = advice.costs.cheapest
    if cheapest is None:
        return [Content("the machine's speed is unknown: it has no line, and nothing crosses")]
    said = ", ".join(turns) if turns else f"{cheapest.value} is always the cheapest"
    found = [Content.assemble((f"{edge} ", "$muted"), said)]
    text = f"capacity {millions(advice.capacity or 0.0)} tokens/day"
    return [*found, Content.assemble((f"{limit} ", "$warning"), text)]
