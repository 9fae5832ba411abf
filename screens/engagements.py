"""The engagements: what there is, how it stands, and the way to a new one."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget

from fathom_tui.screens.grid import Column, Grid, Row
from fathom_tui.screens.pane import Pane, wrapped
from fathom_tui.screens.shell import Shell
from fathom_tui.screens.symbols import Symbols, of_state
from fathom_tui.screens.words import clean, plural

if TYPE_CHECKING:
    # What only a list of engagements needs is loaded with it, after the first frame.
    from fathom_tui.store.rows import EngagementRow

COLUMNS = (
    Column(title="engagement"),
    Column(title="data", width=18),
    Column(title="answer", width=40, from_width=120),
    Column(title="model", width=12, from_width=76),
    Column(title="runs", width=4, align="right"),
    Column(title="last run", width=16),
)
_SHORT_LIST = 6
"""Labels shown before the rest is only counted."""


class EngagementsScreen(Shell["Sequence[EngagementRow]"]):
    """A list of engagements with the settings of the one under the cursor."""

    MODE = "engagements"
    CSS_PATH = "../assets/styles/engagements.tcss"
    AUTO_FOCUS = "#engagements"
    INTERVAL_S = 2.0
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "create", "New", tooltip="Create an engagement from a data file"),
        Binding("r", "start", "Run", tooltip="Start a run of the engagement"),
        Binding(
            "o",
            "open",
            "Open",
            key_display="enter",
            tooltip="Show its last run, or start the first",
        ),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._rows: dict[str, EngagementRow] = {}
        self._read_once = False
        self._created = ""
        """The engagement just made: the cursor goes to it as soon as it is listed."""

    def body(self) -> Iterator[Widget]:
        """Lay out the list, the settings below it, and what to say when there is none."""
        with Container(id="list"):
            yield Grid(*COLUMNS, id="engagements", classes="panel")
            yield Pane(id="settings", classes="panel")
        yield Pane(id="nothing")

    def on_mount(self) -> None:
        """Name the panels."""
        self.query_one("#engagements").border_title = "Engagements"
        self.query_one("#settings").border_title = "Settings"

    def read(self) -> "Sequence[EngagementRow]":
        """Read the list; opens the ledger only when a journal has changed."""
        return self.fathom.store.engagements()

    def receive(self, news: "Sequence[EngagementRow]") -> None:
        """Show the list, the newest first."""
        self._rows = {row.slug: row for row in reversed(news)}
        self._read_once = True
        self.set_class(not self._rows, "-nothing")
        symbols = self.fathom.symbols
        grid = self.query_one("#engagements", Grid)
        grid.fill([_row(row, symbols, self.heartbeat) for row in self._rows.values()])
        if self._created in self._rows:
            grid.show(self._created)
            self._created = ""
        if not self._rows:
            self.query_one("#nothing", Pane).draw(welcome)
        self._show_settings()
        self.offer(bool(self._rows))

    @property
    def chosen(self) -> "EngagementRow | None":
        """The engagement under the cursor."""
        return self._rows.get(self.query_one("#engagements", Grid).key or "")

    @on(Grid.Moved, "#engagements")
    def moved(self) -> None:
        """Show the settings of another one."""
        self._show_settings()

    @on(Grid.Chosen, "#engagements")
    def opened(self) -> None:
        """Enter opens what the cursor is on."""
        self.action_open()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what needs an engagement."""
        return True if self._rows or action not in ("start", "open") else None

    def action_open(self) -> None:
        """Show the last run of the engagement; offer one where there is none."""
        row = self.chosen
        if row is not None and row.last_run:
            self.fathom.show_run(row.last_run)
        elif row is not None:
            self.action_start()

    def action_create(self) -> None:
        """Open the form."""
        from fathom_tui.screens.create import Created, CreateForm

        def done(created: Created | None) -> None:
            if created is None:
                return
            self.ask(
                partial(
                    self.fathom.store.create_engagement,
                    created.name,
                    created.config,
                    created.slug,
                ),
                self._show_created,
            )

        self.app.push_screen(CreateForm(taken=frozenset(self._rows)), done)

    def action_start(self) -> None:
        """Ask how much, then ask the agent."""
        from fathom_tui.screens.start import Extent, StartForm

        row = self.chosen
        if row is None:
            return

        def answered(extent: Extent | None) -> None:
            if extent is not None:
                changes = quick_changes(row.config) if extent == "quick" else {}
                self.ask(partial(self.fathom.agent.start, row.slug, changes), self.fathom.show_run)

        self.app.push_screen(StartForm(clean(row.name)), answered)

    def _show_created(self, slug: str) -> None:
        self._created = slug
        self.notify(f"{slug} is there. Press r to start its first run.")

    def _show_settings(self) -> None:
        row = self.chosen
        self.query_one("#settings", Pane).draw(
            partial(settings, row) if row is not None else lambda width: ()
        )


def quick_changes(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings in which a quick look differs from the engagement's own."""
    from fathom_tui.recipe import Plan, quick

    full = Plan.from_json(config)
    whole, small = full.to_json(), quick(full).to_json()
    return {name: value for name, value in small.items() if value != whole[name]}


def answer(config: Mapping[str, Any]) -> str:
    """Return what an engagement's answers are: "8 labels", or the fields."""
    contract = config.get("contract") or {}
    fields = contract.get("fields") or ()
    if contract.get("kind") == "label" and fields:
        return plural(len(fields[0].get("choices") or ()), "label")
    return ", ".join(clean(field.get("name", "")) for field in fields)


def settings(row: "EngagementRow", width: int) -> list[Content]:
    """Return an engagement's settings as lines."""
    found: list[Content] = []
    for name, value in _entries(row):
        text = Content.assemble((f"{name:<13}", "$muted"), clean(value))
        found += wrapped(text, width, indent=13)
    return found


def welcome(width: int) -> list[Content]:
    """Return what to do where there is no engagement."""
    paragraphs = (
        Content.styled("No engagement yet", "bold"),
        Content(""),
        Content(
            "An engagement is a data file and what it is for: messages with the answers that "
            "a model should learn to give. Fathom checks the data, measures what needs no "
            "training, trains a model, and says whether it is worth serving."
        ),
        Content(""),
        Content.assemble(
            "  ", ("n", "bold $accent"), "            create one from a CSV or JSON file"
        ),
        Content.assemble(
            "  ", ("fathom demo", "bold $accent"), "  on the command line: see it all done"
        ),
        Content.assemble("  ", ("", ""), "             on an embedded model, without a GPU"),
        Content.assemble("  ", ("?", "bold $accent"), "            every key"),
    )
    return [line for text in paragraphs for line in wrapped(text, width)]


def _entries(row: "EngagementRow") -> Iterator[tuple[str, str]]:
    config = row.config
    yield "short name", row.slug
    yield "data", str(config.get("dataset", ""))
    if config.get("test"):
        yield "test", str(config["test"])
    yield "model", _model(config, whole=True)
    for field in (config.get("contract") or {}).get("fields") or ():
        choices = list(field.get("choices") or ())
        more = (
            f" and {len(choices) - 2 * _SHORT_LIST} more" if len(choices) > 2 * _SHORT_LIST else ""
        )
        shown = ", ".join(map(str, choices[: 2 * _SHORT_LIST])) + more
        yield str(field.get("name", "")), shown or "a number"
    yield "instruction", str(config.get("instruction", ""))
    for name in ("threshold", "epochs", "rank", "seed"):
        if config.get(name) is not None:
            yield name, str(config[name])
    yield "created", row.created_at[:16].replace("T", " ") + " UTC"


def _model(config: Mapping[str, Any], *, whole: bool = False) -> str:
    from fathom_tui.recipe import EMBEDDED

    model = str(config.get("model") or EMBEDDED)
    if model == EMBEDDED:
        return "embedded" + (" (SmolLM2-135M-Instruct)" if whole else "")
    return model if whole else Path(model).name


def _row(row: "EngagementRow", symbols: Symbols, heartbeat: Mapping[str, Any] | None) -> Row:
    from fathom_tui.screens.standing import standing
    from fathom_tui.stages import RunState

    last = Content.styled("not run yet", "$muted")
    if row.last_run and row.last_state:
        state = standing(RunState(row.last_state), row.last_run, heartbeat)
        symbol, style = of_state(symbols, state)
        number = row.last_run.rpartition("-")[2]
        last = Content.assemble((f"{symbol} ", style), (state.value, style), f" #{number}")
    cells = (
        Content(clean(row.name)),
        Content(clean(Path(str(row.config.get("dataset", ""))).name)),
        Content(answer(row.config)),
        Content(clean(_model(row.config))),
        Content(str(row.runs)),
        last,
    )
    return Row(key=row.slug, cells=cells)
