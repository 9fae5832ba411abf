"""The panels of the Runs screen: which are shown, and one run drawn on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from textual import on
from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content

from fathom_tui.runs import RunView, StageView
from fathom_tui.screens import run_list, scores, stages, verdicts
from fathom_tui.screens.account import Account
from fathom_tui.screens.grid import Grid
from fathom_tui.screens.loss import Loss
from fathom_tui.screens.pane import Pane
from fathom_tui.screens.symbols import Symbols
from fathom_tui.screens.tabs import PanelTabs, activate
from fathom_tui.stages import RunState

LOWER = (("gates", "Gates"), ("loss", "Loss"), ("result", "Result"), ("journal", "Journal"))
"""Panels that share a place on a narrow terminal."""
PANELS = ("runs", "stages", *(panel for panel, _ in LOWER))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A run as it is shown."""

    view: RunView
    state: RunState
    """How it really stands."""
    waivers: verdicts.Waivers
    until: datetime
    """The time that a stage under way is measured to."""
    account: Account

    @property
    def compared(self) -> bool:
        """Whether there is a comparison to show."""
        return bool(self.view.result.get("scores"))


class Board(Container):
    """All panels; the styles decide which stand side by side."""

    def __init__(self, symbols: Symbols) -> None:
        super().__init__(id="board")
        self._symbols = symbols
        self._shown: Shown | None = None

    def compose(self) -> ComposeResult:
        """Lay out the panels in the order of the Tab key."""
        yield Grid(*run_list.COLUMNS, id="runs", classes="panel", titled=False)
        yield Grid(*stages.COLUMNS, id="stages", classes="panel", titled=False)
        yield PanelTabs(LOWER)
        yield Pane(id="gates", classes="panel lower")
        yield Loss(self._symbols, id="loss", classes="panel lower")
        yield Pane(id="result", classes="panel lower")
        yield Pane(id="journal", classes="panel lower", follow=True)

    def on_mount(self) -> None:
        """Name the panels."""
        for panel, title in (("runs", "Runs"), ("stages", "Stages"), *LOWER):
            self.query_one(f"#{panel}").border_title = title
        self.activate("gates")

    def show(self, shown: Shown) -> None:
        """Draw a run; only what changed is repainted."""
        self._shown = shown
        self.screen.set_class(shown.compared, "-compared")
        self._show_stages(shown)
        self._show_gates()
        self.query_one("#loss", Loss).show(shown.view.id, shown.view.metrics)
        self.query_one("#result", Pane).draw(partial(_result, shown.view, self._symbols))
        self.query_one("#journal", Pane).draw(shown.account.lines)

    def follow(self, current: StageView | None, panel: str) -> None:
        """Put the cursor on the stage under way, and show the panel that tells about it."""
        if current is not None:
            self.query_one("#stages", Grid).show(current.name)
        self.activate(panel)

    @property
    def stage(self) -> str | None:
        """The stage under the cursor."""
        return self.query_one("#stages", Grid).key

    @on(Grid.Moved, "#stages")
    def stage_chosen(self) -> None:
        """Show another stage's gates."""
        self._show_gates()

    def on_descendant_focus(self) -> None:
        """Remember the panel for zooming."""
        focused = self.screen.focused
        if focused is not None and focused.id in PANELS:
            self.activate(focused.id)

    def step(self, step: int) -> None:
        """Go to the next panel, or the one before."""
        focused = self.screen.focused.id if self.screen.focused is not None else None
        compared = self._shown is not None and self._shown.compared
        shown = [panel for panel in PANELS if panel != "result" or compared]
        position = shown.index(focused) if focused in shown else -1
        self.go_to(shown[(position + step) % len(shown)])

    def go_to(self, panel: str) -> None:
        """Go to a panel."""
        self.activate(panel)
        self.query_one(f"#{panel}").focus()

    def activate(self, panel: str) -> None:
        """Make a panel the one that zooms, and the one that is seen on a narrow terminal."""
        activate(self, panel, PANELS, LOWER)

    def _show_stages(self, shown: Shown) -> None:
        stopped = shown.state is RunState.INTERRUPTED
        rows = stages.rows(shown.view, self._symbols, shown.until, shown.waivers, stopped=stopped)
        self.query_one("#stages", Grid).fill(rows)

    def _show_gates(self) -> None:
        shown = self._shown
        if shown is not None:
            lines = partial(
                verdicts.lines, shown.view, self.stage or "preflight", shown.waivers, self._symbols
            )
            self.query_one("#gates", Pane).draw(lines)


def panel_for(view: RunView, state: RunState) -> str:
    """Return the panel that tells most about a run as it stands."""
    if state in (RunState.REFUSED, RunState.FAILED):
        return "gates"
    if view.result.get("scores"):
        return "result"
    if view.current is not None and view.current.name == "train":
        return "loss"
    return "gates" if any(stage.gates for stage in view.stages.values()) else "journal"


def _result(view: RunView, symbols: Symbols, width: int) -> Sequence[Content]:
    not_yet = [Content.styled("The comparison comes when evaluate has ended.", "$muted")]
    return scores.lines(view, symbols, width) or not_yet
