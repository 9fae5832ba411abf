"""Lifting a refused gate: who does it, and why. Both are printed in every report."""

from collections.abc import Mapping
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Static

from fathom_tui.gates import Gate
from fathom_tui.screens.words import clean

Waiver = Mapping[str, str]
"""{gate, by, reason}."""


class WaiveForm(ModalScreen[Waiver | None]):
    """One refused gate, a name and a reason."""

    CSS_PATH = "../assets/styles/dialogs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Leave")]

    def __init__(self, gate: Gate, *, others: int = 0) -> None:
        super().__init__()
        self._gate = gate
        self._others = others
        """Refused gates that will have to be waived as well."""

    def compose(self) -> ComposeResult:
        """Show the gate's reason above the two fields."""
        more = f"  ({self._others} more to waive after it)" if self._others else ""
        with Vertical(classes="dialog"):
            yield Static(f"Waive {self._gate.name}{more}", classes="dialog-title", markup=False)
            yield Static(clean(self._gate.reason), classes="dialog-text", markup=False)
            yield Static(clean(self._gate.fix), classes="dialog-text muted", markup=False)
            with Horizontal(classes="field"):
                yield Label("Your name")
                yield Input(id="by", compact=True)
            with Horizontal(classes="field"):
                yield Label("Why it is right")
                yield Input(id="reason", compact=True)
            yield Static("", id="problem", classes="problem", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Do not waive", id="no", compact=True)
                yield Button("Waive it", id="yes", disabled=True, compact=True)
            yield Static("tab next   escape leave", classes="dialog-keys")

    def on_mount(self) -> None:
        """Begin with the name."""
        self.query_one("#by").focus()

    @on(Input.Changed)
    def changed(self) -> None:
        """Offer the button once nothing is missing."""
        missing = self._missing()
        self.query_one("#yes", Button).disabled = bool(missing)
        self.query_one("#problem", Static).update("")

    @on(Input.Submitted)
    def submitted(self, event: Input.Submitted) -> None:
        """Go on to the next field, or waive from the last one."""
        if event.input.id == "by":
            self.query_one("#reason").focus()
        else:
            self._waive()

    @on(Button.Pressed)
    def pressed(self, event: Button.Pressed) -> None:
        """Waive, or leave."""
        if event.button.id == "yes":
            self._waive()
        else:
            self.dismiss(None)

    def action_leave(self) -> None:
        """Leave the gate as it is."""
        self.dismiss(None)

    def _value(self, name: str) -> str:
        return self.query_one(f"#{name}", Input).value.strip()

    def _missing(self) -> list[str]:
        words = {"by": "a name", "reason": "a reason"}
        return [word for name, word in words.items() if not self._value(name)]

    def _waive(self) -> None:
        missing = self._missing()
        if missing:
            said = f"A waiver needs {' and '.join(missing)}."
            self.query_one("#problem", Static).update(said)
            return
        self.dismiss(
            {"gate": self._gate.name, "by": self._value("by"), "reason": self._value("reason")}
        )
