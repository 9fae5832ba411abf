"""The form for a new engagement; what it says is what the command line would say."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widgets import Button, Input, Label, Static

from fathom_tui.errors import CouldNotCheck, FathomError, UsageError
from fathom_tui.recipe import EMBEDDED
from fathom_tui.screens.words import clean, plural
from fathom_tui.store.paths import slugify

PAUSE_S = 0.4
"""Typing that stops for so long is checked; a check reads the data file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """A filled-in form whose settings were found good."""

    name: str
    slug: str
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    name: str
    label: str
    hint: str = ""


_FIELDS = (
    _Field(name="name", label="Name", hint="Acme triage"),
    _Field(name="dataset", label="Data file", hint="CSV, JSON Lines or JSON"),
    _Field(name="input", label="Input column", hint="text"),
    _Field(name="output", label="Output column(s)", hint="label, or category, urgency, amount"),
    _Field(name="model", label="Model", hint="embedded, or a Hugging Face directory"),
    _Field(name="instruction", label="Instruction", hint="what the model is told to do"),
)


class CreateForm(ModalScreen[Created | None]):
    """Name, data, columns, model and instruction; checked while one types."""

    CSS_PATH = "../assets/styles/dialogs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Leave"),
        Binding("down", "app.focus_next", "Next", show=False),
        Binding("up", "app.focus_previous", "Previous", show=False),
    ]

    class Checked(Message):
        """A check is over."""

        def __init__(
            self, values: Mapping[str, str], created: Created | None, problem: FathomError | None
        ) -> None:
            super().__init__()
            self.values = values
            self.created = created
            self.problem = problem

    def __init__(self, taken: Collection[str] = ()) -> None:
        super().__init__()
        self._taken = taken
        """Short names of the engagements there are."""
        self._created: Created | None = None
        self._timer: Timer | None = None
        self._submit = False

    def compose(self) -> ComposeResult:
        """Lay out a label and a field a line, then what the check found."""
        with Vertical(classes="dialog wide"):
            yield Static("New engagement", classes="dialog-title")
            with VerticalScroll(classes="fields", can_focus=False):
                for field in _FIELDS:
                    with Horizontal(classes="field"):
                        yield Label(field.label)
                        yield Input(id=field.name, placeholder=field.hint, compact=True)
            yield Static("", id="found", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Create", id="yes", disabled=True, compact=True)
                yield Button("Not now", id="no", compact=True)
            yield Static("tab next   enter create   escape leave", classes="dialog-keys")

    def on_mount(self) -> None:
        """Begin with the name."""
        self.query_one("#name").focus()
        self._say("Fill in a name and a data file.", "muted")

    @on(Input.Changed)
    def changed(self) -> None:
        """Check once typing pauses."""
        self._created = None
        self.query_one("#yes", Button).disabled = True
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(PAUSE_S, self._check_now)

    @on(Input.Submitted)
    def submitted(self) -> None:
        """Enter creates it if the check is good, else checks at once."""
        if self._created is not None:
            self.dismiss(self._created)
        else:
            self._submit = True
            self._check_now()

    @on(Button.Pressed, "#yes")
    def create(self) -> None:
        """Hand over what was found good."""
        self.dismiss(self._created)

    @on(Button.Pressed, "#no")
    def action_leave(self) -> None:
        """Create nothing."""
        self.dismiss(None)

    def _values(self) -> dict[str, str]:
        return {field.name: self.query_one(f"#{field.name}", Input).value for field in _FIELDS}

    def _check_now(self) -> None:
        values = self._values()
        if not any(value.strip() for value in values.values()):
            self._say("Fill in a name and a data file.", "muted")
            return
        self._say("Checking…", "muted")
        self._check(values)

    @work(thread=True, exclusive=True, group="check")
    def _check(self, values: Mapping[str, str]) -> None:
        created: Created | None = None
        problem: FathomError | None = None
        try:
            created = examine(values, self._taken)
        except FathomError as error:
            problem = error
        except OSError as error:
            problem = CouldNotCheck(
                f"{error.filename} cannot be read: {error.strerror}.",
                fix="Name a file that you may read.",
            )
        self.post_message(self.Checked(values, created, problem))

    def on_create_form_checked(self, checked: Checked) -> None:
        """Show the outcome unless the form has changed since."""
        if checked.values != self._values():
            return
        self._created = checked.created
        self.query_one("#yes", Button).disabled = checked.created is None
        if checked.problem is not None:
            self._say(f"{checked.problem.message}\n{checked.problem.fix}", "problem")
            self._submit = False
        elif checked.created is not None:
            self._say(_found(checked.created), "good")
            if self._submit:
                self.dismiss(checked.created)

    def _say(self, text: str, kind: str) -> None:
        found = self.query_one("#found", Static)
        found.set_classes(kind)
        found.update("\n".join(clean(line) for line in text.splitlines()))


def examine(values: Mapping[str, str], taken: Collection[str] = ()) -> Created:
    """Return what a filled-in form makes, by the same checks as `fathom engagement create`.

    Args:
        values: What was typed, by field.
        taken: Short names that cannot be used again.

    Raises:
        UsageError: A name or setting cannot be used.
        DatasetError: The data file cannot be read or is faulty; names file and line.
    """
    from fathom_tui.engagement import check_name, configure

    name = check_name(values["name"])
    slug = slugify(name)
    if slug in taken:
        raise UsageError(
            f"There is an engagement {slug!r} already.",
            fix="Choose another name, or go on with that one.",
        )
    given = {key: value.strip() for key, value in values.items() if key != "name"}
    outputs = [column.strip() for column in given.pop("output").split(",") if column.strip()]
    chosen: dict[str, Any] = {key: value for key, value in given.items() if value}
    if chosen.get("model") == EMBEDDED:
        del chosen["model"]
    if len(outputs) == 1:
        chosen["output"] = outputs[0]
    elif outputs:
        from fathom_tui.datasets.columns import contract_of_columns

        path = Path(chosen.get("dataset", "")).expanduser()
        contract = contract_of_columns(path, outputs)
        chosen["contract"] = contract.to_json()
    return Created(name=name, slug=slug, config=configure(chosen))


def _found(created: Created) -> str:
    fields = created.config["contract"]["fields"]
    said = [
        f"{field['name']}: {plural(len(field['choices']), 'value')}"
        if field["choices"]
        else f"{field['name']}: a number"
        for field in fields
    ]
    return f"Good. Short name {created.slug}; {', '.join(said)}."
