"""Starting a run: all of it, or a quick look that shows every stage and gate."""

from typing import ClassVar, Literal

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Static

Extent = Literal["full", "quick"]


class StartForm(ModalScreen[Extent | None]):
    """Full, quick, or not now."""

    CSS_PATH = "../assets/styles/dialogs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "choose('full')", "Full"),
        Binding("u", "choose('quick')", "Quick"),
        Binding("escape,n,q", "choose(None)", "Not now"),
        Binding("right,l", "app.focus_next", "Next"),
        Binding("left,h", "app.focus_previous", "Previous"),
    ]

    def __init__(self, name: str) -> None:
        super().__init__()
        self._engagement = name

    def compose(self) -> ComposeResult:
        """Offer both with what they mean."""
        with Vertical(classes="dialog"):
            yield Static(f"Start a run of {self._engagement}", classes="dialog-title", markup=False)
            yield Static(
                "Full: every row, as the engagement says.\n"
                "Quick: 256 training rows, one pass, 64 test cases. Every stage and gate runs; "
                "the scores are a first look.\n"
                "The agent does the work in the background: it goes on when you quit.",
                classes="dialog-text",
            )
            with Horizontal(classes="buttons"):
                yield Button("Full run", id="full", compact=True)
                yield Button("Quick look", id="quick", compact=True)
                yield Button("Not now", id="none", compact=True)
            yield Static("f full   u quick   escape not now", classes="dialog-keys")

    def on_mount(self) -> None:
        """Stand on the full run."""
        self.query_one("#full").focus()

    @on(Button.Pressed, "#full")
    def full(self) -> None:
        """Run all of it."""
        self.dismiss("full")

    @on(Button.Pressed, "#quick")
    def quick(self) -> None:
        """Run a small part."""
        self.dismiss("quick")

    @on(Button.Pressed, "#none")
    def not_now(self) -> None:
        """Start nothing."""
        self.dismiss(None)

    def action_choose(self, extent: Extent | None) -> None:
        """Answer with a key."""
        self.dismiss(extent)
