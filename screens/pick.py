"""One of many from a list; typing narrows it."""

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from fathom_tui.screens.grid import Column, Grid, Row
from fathom_tui.screens.slider import Option
from fathom_tui.screens.words import clean


class Pick(ModalScreen[str | None]):
    """A list with a field above it; the answer is the id of an option, None for none.

    Args:
        title: What is chosen.
        options: At least one.
        chosen: Id of the option to begin with.
    """

    CSS_PATH = "../assets/styles/dialogs.tcss"
    DEFAULT_CSS = """
    Pick #options { height: auto; max-height: 16; min-height: 3; background: $panel; }
    Pick Grid > .grid--cursor-blurred {
        background: $block-cursor-background; color: $block-cursor-foreground; text-style: bold;
    }
    Pick #wanted { margin-bottom: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Leave"),
        Binding("up", "move(-1)", "Up", show=False),
        Binding("down", "move(1)", "Down", show=False),
        Binding("pageup", "move(-10)", "Page up", show=False),
        Binding("pagedown", "move(10)", "Page down", show=False),
    ]

    def __init__(self, title: str, options: Sequence[Option], *, chosen: str = "") -> None:
        super().__init__()
        self._heading, self._options, self._chosen = title, options, chosen

    def compose(self) -> ComposeResult:
        """Lay out a field above the list."""
        with Vertical(classes="dialog"):
            yield Static(self._heading, classes="dialog-title", markup=False)
            yield Input(id="wanted", placeholder="type to narrow the list", compact=True)
            yield Grid(Column(), Column(width=26, align="right"), id="options", titled=False)
            yield Static("↑ ↓ choose   enter take   escape leave", classes="dialog-keys")

    def on_mount(self) -> None:
        """Show all, with the cursor on the one there is."""
        grid = self.query_one(Grid)
        grid.can_focus = False
        grid.styles.height = min(16, len(self._options))
        self._narrow("")
        grid.show(self._chosen)
        self.query_one(Input).focus()

    @on(Input.Changed)
    def changed(self, event: Input.Changed) -> None:
        """Narrow the list."""
        self._narrow(event.value)

    def _narrow(self, text: str) -> None:
        words = text.lower().split()
        self.query_one(Grid).fill(
            [
                Row(
                    key=option.id,
                    cells=(
                        Content(clean(option.name)),
                        Content.styled(clean(option.note), "$muted"),
                    ),
                )
                for option in self._options
                if all(word in f"{option.id} {option.name}".lower() for word in words)
            ]
        )

    def action_move(self, rows: int) -> None:
        """Move the cursor of the list."""
        self.query_one(Grid).action_move(rows)

    @on(Input.Submitted)
    @on(Grid.Chosen)
    def take(self) -> None:
        """Answer with the option under the cursor."""
        key = self.query_one(Grid).key
        if key is not None:
            self.dismiss(key)

    def action_leave(self) -> None:
        """Choose none."""
        self.dismiss(None)
