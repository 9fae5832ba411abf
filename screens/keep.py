"""Keeping a workload with an engagement: which one, and under what name."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from fathom_tui.engagement import check_name
from fathom_tui.errors import UsageError
from fathom_tui.screens.grid import Column, Grid, Row
from fathom_tui.screens.words import clean


class Kept(NamedTuple):
    """Where a workload goes."""

    engagement: str
    """Its short name."""
    name: str
    """The workload's own."""


class KeepForm(ModalScreen[Kept | None]):
    """A name above the list of engagements.

    Args:
        name: The workload's name so far.
        engagements: (short name, name) of each; at least one.
        chosen: Short name of the engagement to begin with.
    """

    CSS_PATH = "../assets/styles/dialogs.tcss"
    DEFAULT_CSS = """
    KeepForm #slugs { height: auto; margin-top: 1; background: $panel; }
    KeepForm Grid > .grid--cursor-blurred {
        background: $block-cursor-background; color: $block-cursor-foreground; text-style: bold;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Leave"),
        Binding("up", "move(-1)", "Up", show=False),
        Binding("down", "move(1)", "Down", show=False),
    ]

    def __init__(self, name: str, engagements: Sequence[tuple[str, str]], chosen: str = "") -> None:
        super().__init__()
        self._work, self._engagements, self._chosen = name, engagements, chosen

    def compose(self) -> ComposeResult:
        """Lay out a field above the list."""
        with Vertical(classes="dialog"):
            yield Static("Save this workload", classes="dialog-title")
            with Horizontal(classes="field"):
                yield Label("Workload")
                yield Input(self._work, id="name", compact=True, select_on_focus=True)
            yield Grid(Column(), Column(width=26, align="right"), id="slugs", titled=False)
            yield Static("", id="problem", classes="problem", markup=False)
            yield Static(
                "↑ ↓ engagement   enter save (the same name replaces)   escape leave",
                classes="dialog-keys",
            )

    def on_mount(self) -> None:
        """List the engagements; typing goes to the name."""
        grid = self.query_one(Grid)
        grid.can_focus = False
        grid.styles.height = min(12, len(self._engagements))
        grid.fill(
            [
                Row(key=slug, cells=(Content(clean(name)), Content.styled(slug, "$muted")))
                for slug, name in self._engagements
            ]
        )
        grid.show(self._chosen)
        self.query_one(Input).focus()

    def action_move(self, rows: int) -> None:
        """Choose another engagement."""
        self.query_one(Grid).action_move(rows)

    @on(Input.Submitted)
    @on(Grid.Chosen)
    def save(self) -> None:
        """Answer, unless the name cannot be used."""
        slug = self.query_one(Grid).key
        try:
            name = check_name(self.query_one(Input).value)
        except UsageError as error:
            self.query_one("#problem", Static).update(clean(error))
            return
        if slug is not None:
            self.dismiss(Kept(slug, name))

    def action_leave(self) -> None:
        """Save nothing."""
        self.dismiss(None)
