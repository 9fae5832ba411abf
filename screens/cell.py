"""The dialog of a cell of the matrix: every term, and the way to the sources."""

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from fathom_tui.screens import terms
from fathom_tui.screens.origins import Named
from fathom_tui.screens.pane import Pane
from fathom_tui.screens.symbols import Symbols


class CellDialog(ModalScreen[None]):
    """One model on one device.

    Args:
        met: The two, and what was computed.
        figures: The numbers with their origins.
        symbols: What the terminal can show.
    """

    CSS_PATH = "../assets/styles/dialogs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "leave", "Close"),
        Binding("e", "sources", "Sources"),
    ]

    def __init__(self, met: terms.Meeting, figures: Sequence[Named], symbols: Symbols) -> None:
        super().__init__()
        self._met, self._figures, self._symbols = met, figures, symbols

    def compose(self) -> ComposeResult:
        """Lay out one scrolling text."""
        with Vertical(classes="dialog wide tall"):
            yield Static(terms.title(self._met), classes="dialog-title", markup=False)
            yield Pane(id="terms")
            yield Static("j k scroll   e sources   escape close", classes="dialog-keys")

    def on_mount(self) -> None:
        """Write the text."""
        pane = self.query_one(Pane)
        pane.draw(partial(terms.lines, self._met, self._symbols))
        pane.focus()

    def action_sources(self) -> None:
        """Show where the numbers are from."""
        from fathom_tui.screens.sources import SourcesDialog

        self.app.push_screen(SourcesDialog(terms.title(self._met), self._figures))

    def action_leave(self) -> None:
        """Close."""
        self.dismiss(None)
