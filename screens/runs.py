"""The runs: what each one does now, what its gates said, and what came of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget

from fathom_tui.errors import StoreError
from fathom_tui.events import Event
from fathom_tui.runs import RunView, apply
from fathom_tui.screens import headline, scores, stages, verdicts
from fathom_tui.screens.account import Account
from fathom_tui.screens.confirm import Confirm
from fathom_tui.screens.grid import Column, Grid, Row
from fathom_tui.screens.loss import Loss
from fathom_tui.screens.pane import Pane
from fathom_tui.screens.shell import Shell
from fathom_tui.screens.standing import RESUMABLE, UNDER_WAY, standing
from fathom_tui.screens.symbols import of_state
from fathom_tui.screens.tabs import PanelTabs
from fathom_tui.screens.watch import Growth, Watch
from fathom_tui.screens.words import ago
from fathom_tui.stages import RunState
from fathom_tui.store.rows import RunRow

LOWER = (("gates", "Gates"), ("loss", "Loss"), ("result", "Result"), ("journal", "Journal"))
"""Panels that share a place on a narrow terminal."""
PANELS = ("runs", "stages", *(panel for panel, _ in LOWER))
LIST_EVERY_S = 5.0
"""Least time between two openings of the ledger while a run is under way."""
_TELLING = {"run_created", "attempt", "stage_finished", "run_finished"}
"""Kinds of events that change the list of runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsNews:
    """What a look found."""

    rows: Sequence[RunRow] | None
    """None where the list was not asked for."""
    waiting: frozenset[str]
    """Runs that the agent has been asked for and has not begun."""
    growth: Growth | None


class RunsScreen(Shell[RunsNews]):
    """A list of runs and everything about one of them."""

    MODE = "runs"
    CSS_PATH = "../assets/styles/runs.tcss"
    AUTO_FOCUS = "#runs"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "cancel", "Cancel", tooltip="Cancel the run (asks first)"),
        Binding("R", "resume", "Resume", tooltip="Go on at the first unfinished stage"),
        Binding("w", "waive", "Waive", tooltip="Lift a refused gate, with a name and a reason"),
        Binding("z", "zoom", "Zoom", tooltip="Show one panel alone, and back"),
        Binding("tab,l", "step(1)", "Next panel", show=False),
        Binding("shift+tab,h", "step(-1)", "Previous panel", show=False),
        Binding("escape", "unzoom", "Back from zoom", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.view = RunView()
        self.waivers: verdicts.Waivers = {}
        self._rows: Sequence[RunRow] = ()
        self._waiting: frozenset[str] = frozenset()
        self._watch: Watch | None = None
        self._account = Account()
        self._list_at = 0.0
        self._read_once = False

    def body(self) -> Iterator[Widget]:
        """Lay out the panels; the styles decide which stand side by side."""
        yield Quiet(id="headline")
        with Container(id="board"):
            yield Grid(
                Column(width=1), Column(cut="middle"), Column(width=6, align="right", from_width=24),
                id="runs", classes="panel", titled=False,
            )  # fmt: skip
            yield Grid(*stages.COLUMNS, id="stages", classes="panel", titled=False)
            yield PanelTabs(LOWER)
            yield Pane(id="gates", classes="panel lower")
            yield Loss(self.fathom.symbols, id="loss", classes="panel lower")
            yield Pane(id="result", classes="panel lower")
            yield Pane(id="journal", classes="panel lower", follow=True)
        yield Pane(id="nothing")

    def on_mount(self) -> None:
        """Name the panels."""
        for panel, title in (("runs", "Runs"), ("stages", "Stages"), *LOWER):
            self.query_one(f"#{panel}").border_title = title
        self._activate("gates")

    # Looking.

    def on_screen_resume(self) -> None:
        """Show the run that another screen asked for."""
        if self.fathom.open_run is not None:
            self._select(self.fathom.open_run)
            self.fathom.open_run = None
            self._list_at = 0.0
        super().on_screen_resume()

    @property
    def state(self) -> RunState:
        """How the run under the cursor really stands."""
        if not self.view.id:
            return self.view.state
        return standing(self.view.state, self.view.id, self.heartbeat, self._waiting)

    @property
    def interval_s(self) -> float:
        """Look twice a second while something happens."""
        return 0.5 if self.state in UNDER_WAY and self._watch else 1.0

    def read(self) -> RunsNews:
        """Read what the journal of the run has gained and, now and then, the list."""
        from fathom_tui.store.requests import RESUME, START, requests

        waiting = {r.run for r in requests(self.fathom.home) if r.kind in (START, RESUME)}
        rows = None
        if monotonic() >= self._list_at:
            rows = self.fathom.store.runs()
        watch = self._watch
        growth = watch.look() if watch is not None else None
        return RunsNews(rows=rows, waiting=frozenset(waiting), growth=growth)

    def receive(self, news: RunsNews) -> None:
        """Fold the news into what is shown."""
        self._waiting = news.waiting
        if news.rows is not None:
            self._rows = news.rows
            self._read_once = True
            live = self.interval_s < 1.0
            self._list_at = monotonic() + (LIST_EVERY_S if live else 0.0)
        self._show_list()
        grown = news.growth
        if grown is not None and self._watch is not None and grown.run == self._watch.run:
            self.waivers = grown.waivers
            self._fold(grown.events)
        self._show_run()

    def _fold(self, events: Sequence[Event]) -> None:
        if not events:
            return
        if events[0].seq <= self.view.seq:  # the journal was replaced
            self.view, self._account = RunView(), Account()
        before = self.state, self.view.current
        for event in events:
            self._apply(event)
        self._account.add(events)
        if any(event.kind in _TELLING for event in events):
            self._list_at = 0.0
        self._follow(*before)

    def _apply(self, event: Event) -> None:
        try:
            apply(self.view, event)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self.complain(
                StoreError(
                    f"Event {event.seq} ({event.kind}) of {self.view.id} cannot be understood: "
                    f"{error!r}.",
                    fix="fathom store check",
                )
            )

    def _follow(self, state: RunState, current: stages.StageView | None) -> None:
        """Stay with the stage under way, and show what a new state is about."""
        now = self.view.current or _last_begun(self.view)
        grid = self.query_one("#stages", Grid)
        if now is not None and (current is None or grid.key in (None, current.name)):
            self._show_stages()
            grid.show(now.name)
        if self.state is not state or current is not self.view.current:
            self._activate(_panel_for(self.view, self.state))

    # Showing.

    def _show_list(self) -> None:
        now, symbols = self.fathom.now(), self.fathom.symbols
        listed = {row.id for row in self._rows}
        rows = []
        for run_id in sorted(self._waiting - listed):
            symbol, style = of_state(symbols, RunState.QUEUED)
            cells = (Content.styled(symbol, style), Content(run_id), Content("queued"))
            rows.append(Row(key=run_id, cells=cells))
        for row in self._rows:
            state = standing(RunState(row.state), row.id, self.heartbeat, self._waiting)
            if row.id == self.view.id:
                state = self.state
            symbol, style = of_state(symbols, state)
            when = Content.styled(ago(row.created_at, now), "$muted")
            rows.append(
                Row(key=row.id, cells=(Content.styled(symbol, style), Content(row.id), when))
            )
        grid = self.query_one("#runs", Grid)
        grid.fill(rows)
        if self._watch is not None and grid.key != self._watch.run:
            grid.show(self._watch.run)
        elif self._watch is None and grid.key is not None:
            self._select(grid.key)
            self.look()
        self.set_class(self._read_once and not rows and self._watch is None, "-nothing")
        if self.has_class("-nothing"):
            self.query_one("#nothing", Pane).draw(_nothing)

    def _show_run(self) -> None:
        view, state, symbols = self.view, self.state, self.fathom.symbols
        now = self.fathom.now()
        self.set_class(bool(view.result.get("scores")), "-compared")
        self.query_one("#headline", Pane).draw(
            partial(headline.lines, view, state, self.waivers, symbols, now)
            if view.id
            else lambda width: ()
        )
        self._show_stages()
        self._show_gates()
        self.query_one("#loss", Loss).show(view.metrics)
        self.query_one("#result", Pane).draw(self._result)
        self.query_one("#journal", Pane).draw(self._account.lines)
        self.refresh_bindings()

    def _show_stages(self) -> None:
        rows = stages.rows(self.view, self.fathom.symbols, self.fathom.now(), self.waivers)
        self.query_one("#stages", Grid).fill(rows)

    def _show_gates(self) -> None:
        chosen = self.query_one("#stages", Grid).key or "preflight"
        self.query_one("#gates", Pane).draw(
            partial(verdicts.lines, self.view, chosen, self.waivers, self.fathom.symbols)
        )

    def _result(self, width: int) -> Sequence[Content]:
        found = scores.lines(self.view, self.fathom.symbols, width)
        return found or [Content.styled("The comparison comes when evaluate has ended.", "$muted")]

    @on(Grid.Moved, "#runs")
    def run_chosen(self, moved: Grid.Moved) -> None:
        """Show another run."""
        if self._watch is None or moved.key != self._watch.run:
            self._select(moved.key)
            self.look()

    @on(Grid.Moved, "#stages")
    def stage_chosen(self) -> None:
        """Show another stage's gates."""
        self._show_gates()

    def _select(self, run_id: str) -> None:
        self._watch = Watch(self.fathom.home, run_id)
        self.view = RunView(id=run_id)
        self.waivers = {}
        self._account = Account()

    # Panels.

    def action_step(self, step: int) -> None:
        """Go to the next panel, or the one before."""
        focused = self.focused.id if self.focused is not None else None
        shown = [p for p in PANELS if p != "result" or self._has_result]
        position = shown.index(focused) if focused in shown else -1
        self.action_panel(shown[(position + step) % len(shown)])

    def action_panel(self, panel: str) -> None:
        """Go to a panel."""
        self._activate(panel)
        self.query_one(f"#{panel}").focus()

    def action_zoom(self) -> None:
        """Show the panel with the cursor alone, or all again."""
        self.query_one("#board").toggle_class("-zoomed")

    def action_unzoom(self) -> None:
        """Show all panels again."""
        self.query_one("#board").remove_class("-zoomed")

    def on_descendant_focus(self) -> None:
        """Remember the panel for zooming."""
        if self.focused is not None and self.focused.id in PANELS:
            self._activate(self.focused.id)

    @property
    def _has_result(self) -> bool:
        return bool(self.view.result.get("scores"))

    def _activate(self, panel: str) -> None:
        for other in PANELS:
            self.query_one(f"#{other}").set_class(other == panel, "-active")
        if panel in dict(LOWER):
            self.query_one(PanelTabs).active = panel
            for other, _ in LOWER:
                self.query_one(f"#{other}").set_class(other == panel, "-shown")

    # Asking.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what makes no sense for this run."""
        possible = {
            "cancel": self.state in UNDER_WAY,
            "resume": self.state in RESUMABLE,
            "waive": bool(headline.unwaived(self.view, self.waivers)),
        }
        if action in possible and not (self.view.id and possible[action]):
            return None
        return True

    def action_cancel(self) -> None:
        """Ask, then cancel."""
        run_id = self.view.id
        question = Confirm(
            f"Cancel {run_id}?",
            "The stage under way is stopped. What is finished stays; R goes on from there.",
            yes="Cancel the run",
            no="Let it go on",
        )

        def answered(yes: bool | None) -> None:
            if yes:
                self.ask(
                    partial(self.fathom.agent.cancel, run_id),
                    lambda _: self.notify(f"The agent was asked to cancel {run_id}."),
                )

        self.app.push_screen(question, answered)

    def action_resume(self) -> None:
        """Ask the agent to go on."""
        run_id = self.view.id
        self.ask(
            partial(self.fathom.agent.resume, run_id),
            lambda _: self.notify(f"The agent was asked to go on with {run_id}."),
        )

    def action_waive(self) -> None:
        """Ask for a name and a reason, then record the waiver."""
        from fathom_tui.screens.waive import WaiveForm, Waiver

        run_id, left = self.view.id, headline.unwaived(self.view, self.waivers)

        def answered(waiver: Waiver | None) -> None:
            if waiver is not None:
                self.ask(
                    partial(_record, self.fathom.store, self.view.engagement, run_id, waiver),
                    lambda _: self.notify(f"{waiver['gate']} is waived. R goes on."),
                )

        self.app.push_screen(WaiveForm(left[0], others=len(left) - 1), answered)


class Quiet(Pane, can_focus=False):
    """Text that needs no cursor."""


def _record(store: Any, slug: str, run_id: str, waiver: Mapping[str, str]) -> None:
    store.record(slug, "waiver", {"run": run_id, **waiver})


def _last_begun(view: RunView) -> stages.StageView | None:
    begun = [s for s in view.stages.values() if s.started_at is not None]
    return begun[-1] if begun else None


def _panel_for(view: RunView, state: RunState) -> str:
    """Return the panel that tells most about a run as it stands."""
    if state in (RunState.REFUSED, RunState.FAILED):
        return "gates"
    if view.result.get("scores"):
        return "result"
    if view.current is not None and view.current.name == "train":
        return "loss"
    return "gates" if any(stage.gates for stage in view.stages.values()) else "journal"


def _nothing(width: int) -> Sequence[Content]:
    return (
        Content.styled("No run yet", "bold"),
        Content(""),
        Content.assemble("Press ", ("1", "$accent"), ", choose an engagement and press "
                         , ("r", "$accent"), "."),
        Content.assemble("Or leave and type ", ("fathom demo", "bold"), ": a real model, start to end,"),
        Content("in a few minutes, without a GPU."),
    )  # fmt: skip
