"""The loss of training and validation while it happens."""

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.color import Color
from textual.containers import Container
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from fathom_tui.screens.symbols import Symbols

if TYPE_CHECKING:
    from textual_plotext import PlotextPlot

POINTS = 400
"""Most points of a curve; more cost time and show nothing more on a terminal."""

PLOT_EVERY_S = 1.0
"""A plot of 500 points costs 16 ms and 7 kB."""

NOT_YET = "The curves begin with the first step of training."

Curve = list[tuple[float, float]]
"""(step, loss)."""


def curves(metrics: Sequence[Mapping[str, Any]]) -> tuple[Curve, Curve]:
    """Return the training and the validation curve; a loss that was not a number has no point."""
    training = [(m["step"], m["train_loss"]) for m in metrics if _is_number(m.get("train_loss"))]
    validation = [
        (m["step"], m["validation_loss"]) for m in metrics if _is_number(m.get("validation_loss"))
    ]
    return thinned(training), validation


def thinned(curve: Curve, points: int = POINTS) -> Curve:
    """Return a curve of at most so many points: means of equal stretches."""
    if len(curve) <= points:
        return curve
    edges = [round(i * len(curve) / points) for i in range(points + 1)]
    return [_mean(curve[a:b]) for a, b in zip(edges, edges[1:], strict=False)]


def legend(training: Curve, validation: Curve, symbols: Symbols) -> Content:
    """Return the latest losses and the best one, each marked as its curve is drawn."""
    said = Content("")
    if training:
        said += Content.assemble(
            (f"{symbols.curve} train ", "$secondary"), f"{training[-1][1]:.3f}  "
        )
    if validation:
        last = validation[-1][1]
        step, best = min(validation, key=lambda point: point[1])
        said += Content.assemble(
            (f"{symbols.points} validation ", "$accent"),
            f"{last:.3f}",
            (" best yet" if best == last else f" best {best:.3f} at {step:g}", "$muted"),
        )
    return said


def ticks(first: float, last: float, most: int) -> list[int]:
    """Return round steps for an axis, at most so many."""
    span = max(1.0, last - first)
    for unit in (1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 5000, 10_000, 100_000):
        if span / unit <= most:
            return [int(first), *range(unit * (int(first) // unit + 1), int(last) + 1, unit)]
    return [int(first), int(last)]


class Loss(Container, can_focus=True):
    """A plot that is made when there is something to plot."""

    def __init__(self, symbols: Symbols, *, id: str, classes: str = "") -> None:
        super().__init__(id=id, classes=classes)
        self._symbols = symbols
        self._run = ""
        self._metrics: Sequence[Mapping[str, Any]] = ()
        self._shown: tuple[Curve, Curve] | None = None
        self._next_at = 0.0
        self._timer: Timer | None = None
        self._plot: PlotextPlot | None = None

    def compose(self) -> ComposeResult:
        """Begin with a sentence: plotext is only loaded for a plot."""
        yield Static(NOT_YET, id="legend")

    def show(self, run: str, metrics: Sequence[Mapping[str, Any]]) -> None:
        """Plot a run's metrics, a growing curve at most once a second."""
        wait_s = self._next_at - monotonic() if run == self._run else 0.0
        self._run, self._metrics = run, metrics
        if wait_s <= 0:
            self._show_now()
        elif self._timer is None:
            self._timer = self.set_timer(wait_s, self._show_now)

    def _show_now(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        drawn = curves(self._metrics)
        if drawn == self._shown:
            return
        self._shown = drawn
        self._next_at = monotonic() + PLOT_EVERY_S
        empty = not any(drawn)
        said = legend(*drawn, self._symbols)
        self.query_one("#legend", Static).update(said or NOT_YET)
        if self._plot is not None:
            self._plot.display = not empty
        if not empty:
            self._draw(*drawn)

    def on_resize(self) -> None:
        """Choose other ticks where there is more or less room."""
        if self._shown is not None and any(self._shown):
            self._draw(*self._shown)

    def _draw(self, training: Curve, validation: Curve) -> None:
        from textual_plotext import PlotextPlot

        if self._plot is None:
            self._plot = PlotextPlot()
            self.mount(self._plot)
        plt = self._plot.plt
        plt.clear_figure()
        plt.frame(False)
        muted, accent = self._colour("secondary"), self._colour("accent")
        if training:
            x, y = zip(*training, strict=True)
            plt.plot(x, y, color=muted, marker=self._symbols.plot)
        if validation:
            x, y = zip(*validation, strict=True)
            plt.plot(x, y, color=accent, marker=self._symbols.pending)
            plt.scatter(x, y, color=accent, marker=self._symbols.points)
        steps = [step for step, _ in (*training, *validation)]
        shown = ticks(min(steps), max(steps), max(1, self.size.width // 9))
        plt.xticks(shown, [f"step {shown[0]}", *map(str, shown[1:])])
        self._plot.refresh()

    def _colour(self, name: str) -> tuple[int, int, int]:
        return Color.parse(self.app.theme_variables[name]).rgb


def _mean(points: Curve) -> tuple[float, float]:
    return points[-1][0], sum(loss for _, loss in points) / len(points)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)
