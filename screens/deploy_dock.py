"""The panels of the Deploy screen: which are shown, and which of them has the cursor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget

from fathom_tui.screens import (
    deploy_checklist,
    deploy_details,
    deploy_gates,
    deploy_outcome,
    deploy_units,
)
from fathom_tui.screens.deploy_actions import Action
from fathom_tui.screens.deploy_asked import UNITS, Questions
from fathom_tui.screens.deploy_rows import ENTRY_COLUMNS, VERSION_COLUMNS
from fathom_tui.screens.deploy_subject import Subject
from fathom_tui.screens.grid import Grid
from fathom_tui.screens.pane import Draw, Pane, wrapped
from fathom_tui.screens.symbols import Symbols
from fathom_tui.screens.tabs import PanelTabs, activate
from fathom_tui.screens.words import clean

LOWER = (
    ("details", "Details"),
    ("gates", "Gates"),
    ("checklist", "Checklist"),
    ("units", "Units"),
    ("package", "Package"),
    ("action", "Action"),
)
"""Panels that share a place on a narrow terminal."""
PANELS = ("benches", "versions", *(panel for panel, _ in LOWER))


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What was done to an engagement from here."""

    last: Action | None = None
    """Under way, or the last one."""
    package: Mapping[str, Any] | None = None
    """The last one, as the command that wrote it told it."""
    verified: Action | None = None
    """The last verification."""


class Dock(Container):
    """All panels; the styles decide which stand side by side."""

    def __init__(self) -> None:
        super().__init__(id="dock")

    def compose(self) -> ComposeResult:
        """Lay out the panels in the order in which the grid of the styles takes them."""
        yield Grid(*ENTRY_COLUMNS, id="benches", classes="panel")
        yield Grid(*VERSION_COLUMNS, id="versions", classes="panel")
        yield PanelTabs(LOWER)
        for panel in ("details", "gates", "checklist", "units"):
            yield Pane(id=panel, classes="panel lower")
        yield Pane(id="action", classes="panel lower", follow=True)
        yield Pane(id="package", classes="panel lower")

    def on_mount(self) -> None:
        """Name the panels."""
        for panel, title in LOWER:
            self.query_one(f"#{panel}").border_title = title
        self.activate("details")

    @property
    def active(self) -> str:
        """The panel that is seen on a narrow terminal."""
        return self.query_one(PanelTabs).active

    def show(self, about: Subject, questions: Questions, done: Done, symbols: Symbols) -> None:
        """Draw everything about the version under the cursor; only what changed is repainted."""
        record, row, run = about.record, about.chosen, about.run
        name(self.pane("details"), clean(f"Details of {row.version}") if row else "Details")
        name(self.pane("gates"), clean(f"Gates of {run}") if run else "Gates")
        for panel, draw in (
            ("details", _details(about, symbols)),
            ("gates", _gates(about, symbols)),
            (
                "checklist",
                partial(
                    deploy_checklist.checklist,
                    questions.answers.get(about.checklist),
                    run,
                    symbols,
                    asking=questions.asks(about.checklist),
                ),
            ),
            (
                "units",
                partial(
                    deploy_units.units,
                    questions.answers.get(UNITS),
                    about.slug,
                    symbols,
                    asking=questions.asks(UNITS),
                ),
            ),
            (
                "package",
                partial(
                    deploy_outcome.package,
                    done.package,
                    record.packaged if record is not None else "",
                    record.packaged_at if record is not None else None,
                    done.verified,
                    symbols,
                ),
            ),
        ):
            self.pane(panel).draw(draw)
        self.show_action(done.last, symbols)

    def show_action(self, action: Action | None, symbols: Symbols) -> None:
        """Draw what is being done, or was."""
        self.screen.set_class(action is not None, "-acted")
        self.pane("action").draw(partial(deploy_outcome.lines, action, symbols))

    def shows(self, panel: str) -> bool:
        """Say whether a panel can be seen."""
        return bool(self.query_one(f"#{panel}").display)

    def pane(self, panel: str) -> Pane:
        """Return a panel of text."""
        return self.query_one(f"#{panel}", Pane)

    def on_descendant_focus(self) -> None:
        """Remember the panel for zooming."""
        focused = self.screen.focused
        if focused is not None and focused.id in PANELS:
            self.activate(focused.id)

    def step(self, step: int) -> None:
        """Go to the next panel, or the one before."""
        focused = self.screen.focused.id if self.screen.focused is not None else None
        position = PANELS.index(focused) if focused in PANELS else -1
        self.go_to(PANELS[(position + step) % len(PANELS)])

    def go_to(self, panel: str) -> None:
        """Go to a panel."""
        self.activate(panel)
        self.query_one(f"#{panel}").focus()

    def activate(self, panel: str) -> None:
        """Make a panel the one that zooms, and the one that is seen on a narrow terminal."""
        activate(self, panel, PANELS, LOWER)


def name(panel: Widget, title: str) -> None:
    """Give a panel its title; the same one again would paint it again."""
    if panel.border_title != title:
        panel.border_title = title


def _details(about: Subject, symbols: Symbols) -> Draw:
    if about.chosen is None or about.record is None:
        return partial(_no_version, about)
    return partial(deploy_details.details, about.chosen, about.record, symbols)


def _no_version(about: Subject, width: int) -> Sequence[Content]:
    if about.entry is None or not about.entry.accepted or about.record is None:
        return ()
    text = Content.assemble(
        (clean(about.entry.accepted), "bold"), " was accepted and nothing is deployed yet. Press ",
        ("d", "$accent bold"), " to serve its file.",
    )  # fmt: skip
    return wrapped(text, width)


def _gates(about: Subject, symbols: Symbols) -> Draw:
    record, run = about.record, about.run
    if record is None:
        return lambda width: ()
    waived = deploy_gates.waivers_of(record.waivers, run)
    lost = record.lost.get(run, "")
    return partial(deploy_gates.gates, record.views.get(run), lost, waived, symbols)
