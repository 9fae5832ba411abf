"""Where a package is to be written, or which one is to be verified."""

from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Static


class PathForm(ModalScreen[str | None]):
    """One path; the answer is None where nobody wants it after all.

    Args:
        title: What is asked.
        detail: What will be done with it.
        label: Before the field.
        path: To begin with; None where none can be proposed.
        yes: On the button.
        directory: Whether it has to be a directory; else a file will do, too.
        example: Shown in the field while it is empty.
    """

    CSS_PATH = "../assets/styles/dialogs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Leave")]

    def __init__(
        self, title: str, detail: str, *, label: str, path: Path | None, yes: str, directory: bool,
        example: str = "",
    ) -> None:  # fmt: skip
        super().__init__()
        self._heading, self._detail, self._label = title, detail, label
        self._path, self._yes, self._directory = str(path or ""), yes, directory
        self._example = example

    def compose(self) -> ComposeResult:
        """Lay out the field under what it is for."""
        with Vertical(classes="dialog"):
            yield Static(self._heading, classes="dialog-title", markup=False)
            yield Static(self._detail, classes="dialog-text", markup=False)
            with Horizontal(classes="field"):
                yield Label(self._label)
                yield Input(
                    self._path, self._example, id="path", compact=True, select_on_focus=False
                )
            yield Static("", id="problem", classes="problem", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Leave it", id="no", compact=True)
                yield Button(self._yes, id="yes", compact=True)
            yield Static("enter go   escape leave", classes="dialog-keys")

    def on_mount(self) -> None:
        """Begin in the field."""
        self.query_one("#path").focus()

    @on(Input.Changed)
    def changed(self) -> None:
        """What was wrong may be right now."""
        self.query_one("#problem", Static).update("")

    @on(Input.Submitted)
    def submitted(self) -> None:
        """Go."""
        self._go()

    @on(Button.Pressed)
    def pressed(self, event: Button.Pressed) -> None:
        """Go, or leave."""
        if event.button.id == "yes":
            self._go()
        else:
            self.dismiss(None)

    def action_leave(self) -> None:
        """Leave it."""
        self.dismiss(None)

    def _go(self) -> None:
        given = self.query_one("#path", Input).value.strip()
        problem = self._wrong(given)
        if problem:
            self.query_one("#problem", Static).update(problem)
            return
        self.dismiss(str(Path(given).expanduser().absolute()))

    def _wrong(self, given: str) -> str:
        """Return what is wrong with a path; empty where nothing is."""
        if not given:
            return "Give a path."
        try:
            path = Path(given).expanduser()
            found = path.is_dir() if self._directory else path.exists()
        except (OSError, ValueError, RuntimeError) as error:
            return f"That is no path: {error}."
        what = "directory" if self._directory else "package"
        return "" if found else f"There is no {what} {path}."
