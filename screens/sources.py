"""Where numbers are from: the source, date and kind of each, for the key `e` of every screen."""

from collections.abc import Sequence
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from fathom_tui.figures import Figure, Kind
from fathom_tui.screens.grid import Column, Grid, Row
from fathom_tui.screens.pane import Pane, wrapped
from fathom_tui.screens.symbols import Symbols
from fathom_tui.screens.words import clean

if TYPE_CHECKING:
    from fathom_tui.screens.app import FathomApp

STALE_DAYS = 90
"""Figures older than this are flagged."""

COLUMNS = (
    Column(title="number"),
    Column(title="value", width=22, align="right"),
    Column(title="kind", width=18, from_width=84),
    Column(title=" as of", width=13),
)

MEANINGS = {
    Kind.MEASURED_HERE: "measured on this machine",
    Kind.MEASURED_BY_SOURCE: "measured by the source named",
    Kind.VENDOR: "stated by who makes or sells it",
    Kind.COMMUNITY: "quoted by users; expect some tens of per cent either way",
    Kind.COMPUTED: "computed by this program from the figures around it",
    Kind.ASSUMED: "assumed; nobody has measured it for you",
}


class SourcesDialog(ModalScreen[None]):
    """A list of numbers; below it, where the one under the cursor is from.

    Args:
        title: What the numbers are about.
        figures: What each number is called, and the number.
        at: The one to begin with.
    """

    CSS_PATH = "../assets/styles/dialogs.tcss"
    DEFAULT_CSS = """
    SourcesDialog #figures { height: 1fr; background: $panel; }
    SourcesDialog #origin { height: 7; border-top: solid $rule; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,e,enter", "leave", "Close")]

    def __init__(self, title: str, figures: Sequence[tuple[str, Figure]], *, at: int = 0) -> None:
        super().__init__()
        self._heading = title
        self._figures = figures
        self._at = at

    @property
    def today(self) -> date:
        """The day that ages are counted to."""
        return cast("FathomApp", self.app).now().date()

    def compose(self) -> ComposeResult:
        """Lay out the list above the origin."""
        with Vertical(classes="dialog wide tall"):
            yield Static(self._heading, classes="dialog-title", markup=False)
            yield Grid(*COLUMNS, id="figures")
            yield Pane(id="origin")
            yield Static("j k choose   escape close", classes="dialog-keys")

    def on_mount(self) -> None:
        """Show the numbers."""
        symbols = cast("FathomApp", self.app).symbols
        grid = self.query_one(Grid)
        grid.fill(
            [
                Row(key=str(index), cells=_cells(name, figure, self.today, symbols))
                for index, (name, figure) in enumerate(self._figures)
            ]
        )
        grid.cursor = self._at
        grid.focus()
        self.show()

    @on(Grid.Moved)
    def show(self) -> None:
        """Say where the number under the cursor is from."""
        key = self.query_one(Grid).key
        if key is not None:
            name, figure = self._figures[int(key)]
            symbols = cast("FathomApp", self.app).symbols
            self.query_one(Pane).draw(partial(origin, name, figure, self.today, symbols))

    @on(Grid.Chosen)
    def action_leave(self) -> None:
        """Close."""
        self.dismiss(None)


def age_days(figure: Figure, today: date) -> int:
    """Return the days since a figure's source said so; never negative."""
    return max(0, (today - date.fromisoformat(figure.as_of)).days)


def origin(name: str, figure: Figure, today: date, symbols: Symbols, width: int) -> list[Content]:
    """Return where a number is from, as lines."""
    age = age_days(figure, today)
    when = Content(f"{figure.as_of}, {age:,} days ago")
    if age > STALE_DAYS:
        when = Content.assemble((f"{symbols.warned} ", "bold $warning"), when)
    entries = (
        ("number", Content.assemble(clean(name), ": ", (clean(figure), "bold"))),
        ("source", Content(clean(figure.source))),
        ("date", when),
        ("kind", Content(f"{figure.kind.value}: {MEANINGS[figure.kind]}")),
    )
    found: list[Content] = []
    for label, text in entries:
        found += wrapped(Content.styled(f"{label:<9}", "$muted") + text, width, indent=9)
    return found


def _cells(name: str, figure: Figure, today: date, symbols: Symbols) -> tuple[Content, ...]:
    old = age_days(figure, today) > STALE_DAYS
    return (
        Content(clean(name)),
        Content(clean(figure)),
        Content.styled(figure.kind.value, "$muted"),
        Content.assemble(f" {figure.as_of}", (f" {symbols.warned}" if old else "", "$warning")),
    )
