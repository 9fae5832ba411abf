"""The runs: what each one does now, what its gates said, and what came of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from fathom_tui.errors import FathomError, StoreError
from fathom_tui.events import Event
from fathom_tui.runs import RunView, StageView, apply
from fathom_tui.screens import headline, run_list
from fathom_tui.screens.account import Account
from fathom_tui.screens.board import Board, Shown, panel_for
from fathom_tui.screens.grid import Grid
from fathom_tui.screens.pane import Pane, wrapped
from fathom_tui.screens.shell import Shell
from fathom_tui.screens.standing import RESUMABLE, UNDER_WAY, standing
from fathom_tui.screens.verdicts import Waivers
from fathom_tui.screens.watch import Growth, Watch
from fathom_tui.screens.words import moment
from fathom_tui.stages import RunState

if TYPE_CHECKING:
    # Loaded by the first look, after the first frame.
    from fathom_tui.store.ledger import Store
    from fathom_tui.store.rows import RunRow

LIVE_S = 0.5
LIST_EVERY_S = 5.0
"""Least time between two openings of the ledger while a run is under way."""
_TELLING = {"run_created", "attempt", "stage_finished", "run_finished"}
"""Kinds of events that change the list of runs."""
_LONG_AGO = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsNews:
    """What a look found."""

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

    class Listed(Message):
        """The ledger has answered, or could not."""

        def __init__(self, rows: "Sequence[RunRow]", problem: FathomError | None) -> None:
            super().__init__()
            self.rows = rows
            self.problem = problem

    def __init__(self) -> None:
        super().__init__()
        self.view = RunView()
        self.waivers: Waivers = {}
        self._account = Account()
        self._last_at = _LONG_AGO
        self._watch: Watch | None = None
        self._rows: Sequence[RunRow] | None = None
        self._waiting: frozenset[str] = frozenset()
        self._list_at = 0.0
        self._listing = False
        self._drawn: tuple[object, ...] = ()

    def body(self) -> Iterator[Widget]:
        """Lay out the headline, the panels, and what to say where there is no run."""
        yield Quiet(id="headline")
        yield Board(self.fathom.symbols)
        yield Pane(id="nothing")

    @property
    def board(self) -> Board:
        """The panels."""
        return self.query_one(Board)

    # Looking.

    def on_screen_resume(self) -> None:
        """Show the run that another screen asked for."""
        if self.fathom.open_run is not None:
            self._select(self.fathom.open_run)
            self.fathom.open_run = None
            self._list_at = 0.0
        # Textual calls the handler of `Shell` as well, after this one.

    @property
    def state(self) -> RunState:
        """How the run that is shown really stands."""
        if not self.view.seq:
            return RunState.QUEUED  # nothing is known of it yet
        return standing(self.view.state, self.view.id, self.heartbeat, self._waiting)

    @property
    def interval_s(self) -> float:
        """Look more often while something happens."""
        return LIVE_S if self._is_live else self.INTERVAL_S

    @property
    def _is_live(self) -> bool:
        return self._watch is not None and self.state in UNDER_WAY

    def read(self) -> RunsNews:
        """Read what the journal of the run has gained, and what the agent was asked for."""
        from fathom_tui.store.requests import RESUME, START, requests

        watch = self._watch
        asked = {r.run for r in requests(self.fathom.home) if r.kind in (START, RESUME)}
        return RunsNews(
            waiting=frozenset(asked),
            growth=watch.look() if watch is not None else None,
        )

    def receive(self, news: RunsNews) -> None:
        """Fold the news into what is shown."""
        self._waiting = news.waiting
        grown = news.growth
        if grown is not None and self._watch is not None and grown.run == self._watch.run:
            self.waivers = grown.waivers
            self._fold(grown.events)
        self._show_list()
        if self._is_live or self._standing() != self._drawn:
            self._show_run()
        if not self._listing and monotonic() >= self._list_at:
            self._listing = True
            self._list()

    @work(thread=True, group="list")
    def _list(self) -> None:
        # Apart from the look: it may wait for the ledger, and a journal needs no ledger.
        try:
            listed = self.Listed(self.fathom.store.runs(), None)
        except FathomError as error:
            listed = self.Listed((), error)
        self.post_message(listed)

    def on_runs_screen_listed(self, listed: Listed) -> None:
        """Show the list; keep the one there is where the ledger could not be read."""
        self._listing = False
        quiet = listed.problem is None and not self._is_live
        self._list_at = monotonic() + (0.0 if quiet else LIST_EVERY_S)
        if listed.problem is not None:
            self.complain(listed.problem, work="list")
            return
        self.succeed("list")
        self._rows = listed.rows
        self._show_list()

    def _fold(self, events: Sequence[Event]) -> None:
        if not events:
            return
        if events[0].seq <= self.view.seq:  # the journal was replaced
            self.view, self._account = RunView(id=self.view.id), Account()
        before = self.state, self.view.current, self.view.seq
        for event in events:
            self._apply(event)
        self._account.add(events)
        self._last_at = moment(events[-1].at) or self._last_at
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
                ),
                work="fold",
            )

    def _follow(self, state: RunState, current: StageView | None, seq: int) -> None:
        """Stay with the stage under way, and show what a new state is about."""
        now = self.view.current
        if seq and self.state is state and now is current:
            return
        self._show_run()
        behind = current is not None and self.board.stage != current.name
        stage = None if seq and behind else now or _last_begun(self.view)
        self.board.follow(stage, panel_for(self.view, self.state))

    # Showing.

    def _show_list(self) -> None:
        known = {self.view.id: self.state} if self.view.seq else {}
        rows = run_list.rows(
            self._rows or (),
            known,
            self._waiting,
            self.heartbeat,
            self.fathom.symbols,
            self.fathom.now(),
        )
        grid = self.query_one("#runs", Grid)
        grid.fill(rows)
        if self._watch is not None and grid.key != self._watch.run:
            grid.show(self._watch.run)
        elif self._watch is None and grid.key is not None:
            self._select(grid.key)
            self.look()
        nothing = self._rows is not None and not rows and self._watch is None
        self.set_class(nothing, "-nothing")
        if nothing:
            self.query_one("#nothing", Pane).draw(_nothing)

    def _standing(self) -> tuple[object, ...]:
        """Return what the drawing of a run that stands still depends on."""
        return self.view.id, self.view.seq, self.state, tuple(self.waivers)

    def _show_run(self) -> None:
        self._drawn = self._standing()
        view, state, symbols = self.view, self.state, self.fathom.symbols
        # A run that stands still is measured to its last event.
        until = self.fathom.now() if state in UNDER_WAY else self._last_at
        known = view.seq or view.id in self._waiting
        self.query_one("#headline", Pane).draw(
            partial(headline.lines, view, state, self.waivers, symbols, until) if known else _blank
        )
        self.board.show(
            Shown(view=view, state=state, waivers=self.waivers, until=until, account=self._account)
        )
        self.offer(*self._possible_actions().values())

    @on(Grid.Moved, "#runs")
    def run_chosen(self, moved: Grid.Moved) -> None:
        """Show another run."""
        if self._watch is None or moved.key != self._watch.run:
            self._select(moved.key)
            self.look()

    def _select(self, run_id: str) -> None:
        self._watch = Watch(self.fathom.home, run_id)
        self.view = RunView(id=run_id)
        self.waivers = {}
        self._account = Account()
        self._last_at = _LONG_AGO

    # Panels.

    def action_step(self, step: int) -> None:
        """Go to the next panel, or the one before."""
        self.board.step(step)

    def action_panel(self, panel: str) -> None:
        """Go to a panel."""
        self.board.go_to(panel)

    def action_zoom(self) -> None:
        """Show the panel with the cursor alone, or all again."""
        self.board.toggle_class("-zoomed")

    def action_unzoom(self) -> None:
        """Show all panels again."""
        self.board.remove_class("-zoomed")

    # Asking.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what makes no sense for this run."""
        return True if self._possible_actions().get(action, True) else None

    def _possible_actions(self) -> Mapping[str, bool]:
        state, known = self.state, bool(self.view.id)
        return {
            "cancel": known and state in UNDER_WAY,
            "resume": known and state in RESUMABLE,
            "waive": known and bool(headline.unwaived(self.view, self.waivers)),
        }

    def action_cancel(self) -> None:
        """Ask, then cancel."""
        from fathom_tui.screens.confirm import Confirm

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

        run_id, slug = self.view.id, self.view.engagement
        left = headline.unwaived(self.view, self.waivers)

        def answered(waiver: Waiver | None) -> None:
            if waiver is not None:
                self.ask(
                    partial(_record, self.fathom.store, slug, run_id, waiver),
                    lambda _: self.notify(f"{waiver['gate']} is waived. R goes on."),
                )

        self.app.push_screen(WaiveForm(left[0], others=len(left) - 1), answered)


class Quiet(Pane, can_focus=False):
    """Text that needs no cursor."""


def _record(store: "Store", slug: str, run_id: str, waiver: Mapping[str, str]) -> None:
    store.record(slug, "waiver", {"run": run_id, **waiver})


def _last_begun(view: RunView) -> StageView | None:
    begun = [stage for stage in view.stages.values() if stage.started_at is not None]
    return begun[-1] if begun else None


def _blank(width: int) -> Sequence[Content]:
    return ()


def _nothing(width: int) -> Sequence[Content]:
    paragraphs = (
        Content.styled("No run yet", "bold"),
        Content(""),
        Content.assemble(
            ("1", "bold $accent"),
            "  go to the engagements, choose one and press ",
            ("r", "bold $accent"),
        ),
        Content(""),
        Content.assemble(
            "Or leave and type ",
            ("fathom demo", "bold $accent"),
            ": a real model from data to service in a few minutes, without a GPU.",
        ),
    )
    return [line for text in paragraphs for line in wrapped(text, width)]
