"""What is deployed of every engagement: versions, what proves them, and the way back."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Resize
from textual.timer import Timer
from textual.widget import Widget

from fathom_tui.errors import CouldNotCheck
from fathom_tui.screens import deploy_dialogs, deploy_outcome, deploy_rows
from fathom_tui.screens.deploy_actions import Action, Actions
from fathom_tui.screens.deploy_asked import UNITS, Question, Questions
from fathom_tui.screens.deploy_dialogs import Proposal, Refusal
from fathom_tui.screens.deploy_dock import Dock, Done, name
from fathom_tui.screens.deploy_packed import Packed
from fathom_tui.screens.deploy_subject import Subject, subject
from fathom_tui.screens.errand import COMMAND
from fathom_tui.screens.grid import Grid, Row
from fathom_tui.screens.pane import Pane, wrapped
from fathom_tui.screens.shell import Shell
from fathom_tui.screens.words import ago, clean, plural

if TYPE_CHECKING:
    # Loaded by the first look, after the first frame.
    from fathom_tui.screens.deploy_read import DeployNews, Entry, Reader, Record

ACTING_S = 1.0
TOLD_S = 3.0
"""For how long a refusal or a good end covers what is below; a problem stays longer."""
REST_S = 0.4
"""For how long the cursor rests before somebody is asked about what it stands on."""


class DeployScreen(Shell["DeployNews"]):
    """Engagements and their versions, with everything that speaks for and against one."""

    MODE = "deploy"
    CSS_PATH = "../assets/styles/deploy.tcss"
    AUTO_FOCUS = "#versions"
    INTERVAL_S = 5.0
    COMMAND: ClassVar[Sequence[str]] = COMMAND
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "b", "back", "Roll back", tooltip="Make the version under the cursor live (asks first)"
        ),
        Binding("d", "deploy", "Deploy", tooltip="Deploy the last accepted run (asks first)"),
        Binding("r", "ask_again", "Ask server", tooltip="Ask server, units and checklist again"),
        Binding("e", "details", "Details", tooltip="Everything about the version"),
        Binding("x", "remove", "Remove the version under the cursor (asks first)", show=False),
        Binding("p", "pack", "Write the delivery package", show=False),
        Binding("v", "verify", "Verify a package as its receiver will", show=False),
        Binding("z", "zoom", "Show one panel alone, and back", show=False),
        Binding("tab,l", "step(1)", "Next panel", show=False),
        Binding("shift+tab,h", "step(-1)", "Previous panel", show=False),
        Binding("escape", "home", "Back to the versions", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.actions = Actions(self._acted, self.COMMAND)
        self._slug = ""
        """The engagement under the cursor."""
        self._entries: dict[str, Entry] = {}
        self._record: Record | None = None
        self._about: Subject | None = None
        """What is shown; None before the first look."""
        self._accords: dict[str, str] = {}
        """How ledger and server stand, by engagement that was looked at."""
        self._packed = Packed()
        """What was packed from here."""
        self._verified: dict[str, Action] = {}
        self._rest: Timer | None = None

    @cached_property
    def questions(self) -> Questions:
        """What is asked of others."""
        return Questions(self._show, self.fathom.now, self.COMMAND)

    @cached_property
    def _reader(self) -> "Reader":
        from fathom_tui.screens.deploy_read import Reader

        return Reader(self.fathom.store)

    def body(self) -> Iterator[Widget]:
        """Lay out what is live, the panels, and what to say where nothing can be."""
        yield Headline(id="headline")
        yield Dock()
        yield Pane(id="nothing")

    @property
    def dock(self) -> Dock:
        """The panels."""
        return self.query_one(Dock)

    # Looking.

    @property
    def interval_s(self) -> float:
        """Look more often while something is done: its seconds tick."""
        return ACTING_S if self.actions.any_under_way else self.INTERVAL_S

    def read(self) -> "DeployNews":
        """Read what the ledger holds of deployments, runs, checks and waivers."""
        return self._reader.look(self._slug)

    def receive(self, news: "DeployNews") -> None:
        """Show what was found."""
        self._entries = {entry.slug: entry for entry in news.entries}
        if news.problem is not None:
            self.complain(news.problem, work="record")
        else:
            self.succeed("record")
        if self._slug not in self._entries:
            self._slug = next(iter(self._entries), "")
        if news.record is not None:
            self._record = news.record
            self._packed.read(news.record.slug, news.record.packaged)
        if self._entries and self.has_class("-nothing"):
            self.call_after_refresh(self.query_one("#versions").focus)
        self.set_class(not self._entries, "-nothing")
        if not self._entries:
            self.query_one("#nothing", Pane).draw(_welcome)
        self._show()
        self._ask()

    # Showing.

    def _show(self) -> None:
        if not self._entries and self._about is None:
            return
        slug, symbols = self._slug, self.fathom.symbols
        versions, benches = self.query_one("#versions", Grid), self.query_one("#benches", Grid)
        record = self._record if self._record and self._record.slug == slug else None
        answer = self.questions.answers.get(Question("server", slug))
        found = subject(slug, self._entries.get(slug), record, answer, versions.key or "")
        self._about = found
        self._accords[slug] = found.standing.accord
        benches.fill([self._entry_row(entry) for entry in self._entries.values()])
        if benches.key != slug:
            benches.show(slug)
        width = versions.scrollable_content_region.width or self.size.width
        asking, now = self.questions.asks(found.server), self.fathom.now()
        versions.fill(
            [deploy_rows.version_row(row, symbols, now, width, asking=asking) for row in found.rows]
        )
        if found.chosen is not None and versions.key != found.chosen.version:
            versions.show(found.chosen.version)
        name(benches, plural(len(self._entries), "engagement"))
        name(versions, clean(f"{plural(len(found.rows), 'version')} of {slug}"))
        self._show_one()

    def _entry_row(self, entry: "Entry") -> Row:
        return deploy_rows.entry_row(
            entry,
            self.fathom.symbols,
            busy=self.actions.under_way(entry.slug) is not None,
            accord=self._accords.get(entry.slug, "not asked"),
        )

    def _show_one(self) -> None:
        """Show the version under the cursor, and the lines above all."""
        about, symbols = self._about, self.fathom.symbols
        if about is None:
            return
        first = partial(deploy_rows.headline, about.slug, about.standing, symbols)
        second = partial(
            deploy_rows.second_line,
            about.standing,
            self.actions.under_way(about.slug),
            self._unanswered(about),
            deploy_rows.next_step(about.standing, about.undeployed, symbols),
            self._asked(about),
            symbols,
        )
        self.query_one(Headline).draw(lambda width: [first(width), second(width)])
        done = Done(
            last=self.actions.last.get(about.slug),
            package=self._packed.of(about.slug),
            verified=self._verified.get(about.slug),
        )
        self.dock.show(about, self.questions, done, symbols)
        self.offer(*self._possible_actions().values())

    def _asked(self, about: Subject) -> str:
        """Return when the server was asked, in words."""
        if self.questions.asks(about.server):
            return "asking the server ..."
        answer = self.questions.answers.get(about.server)
        if answer is None or not about.rows:
            return ""
        old = ago(answer.at.isoformat(), self.fathom.now())
        return "server asked just now" if old == "now" else f"server asked {old} ago"

    def _unanswered(self, about: Subject) -> tuple[str, str]:
        """Return why the server's versions are not known, and the way out."""
        answer = self.questions.answers.get(about.server)
        if answer is None or answer.server is not None or self.questions.asks(about.server):
            return "", ""
        return answer.problem or "The server's answer cannot be understood.", answer.fix

    @on(Grid.Moved, "#benches")
    def _turned(self) -> None:
        """Show another engagement."""
        key = self.query_one("#benches", Grid).key
        if key is not None and key != self._slug:
            self._slug = key
            self._show()
            self.look()

    def _under_cursor(self) -> Subject | None:
        """Return what the cursors stand on now: a key may be quicker than the news of a move."""
        if self._about is not None and self._entries:
            self._turned()
            self._show()
        return self._about if self._entries else None

    @on(Grid.Moved, "#versions")
    def _moved(self, moved: Grid.Moved) -> None:
        """Show another version."""
        about = self._about
        if about is not None and (about.chosen is None or about.chosen.version != moved.key):
            self._show()
            self._ask_soon()

    def on_resize(self, event: Resize) -> None:
        """Give the rows what the new width has room for."""
        self.call_after_refresh(self._show)

    # Asking others.

    def _ask_soon(self) -> None:
        """Ask what is not known of what the cursor stands on, once it rests."""
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(REST_S, self._ask)

    def _ask(self) -> None:
        if self._shown:
            wanted = self._looked_at()
            self._put([each for each in wanted if not self.questions.is_answered(*each)])

    def action_ask_again(self) -> None:
        """Ask the server, and what is seen of units and checklist."""
        self._put([each for each in self._looked_at() if not self.questions.asks(each[0])])
        self.look()

    def _looked_at(self) -> list[tuple[Question, object]]:
        """Return what somebody looks at, the most wanted one last."""
        about = self._about
        record = about.record if about is not None else None
        if about is None or record is None:
            return []
        found: list[tuple[Question, object]] = []
        if self.dock.shows("units"):
            found.append((UNITS, None))
        if about.run and self.dock.shows("checklist"):
            found.append((about.checklist, (record.signature, len(record.waivers))))
        if record.events:
            found.append((about.server, record.signature))
        return found

    def _put(self, wanted: Sequence[tuple[Question, object]]) -> None:
        idle = [self.questions.add(question, about) for question, about in wanted]
        if any(idle):
            self._work_off()

    @work(group="questions")
    async def _work_off(self) -> None:
        await self.questions.work_off()

    # Panels.

    def action_step(self, step: int) -> None:
        """Go to the next panel, or the one before."""
        self.dock.step(step)
        self._ask_soon()

    def action_panel(self, panel: str) -> None:
        """Go to a panel."""
        self.dock.go_to(panel)
        self._ask_soon()

    @on(Grid.Chosen, "#versions")
    def action_details(self) -> None:
        """Show everything about the version under the cursor."""
        self.dock.go_to("details")
        self.dock.pane("details").scroll_home(animate=False)

    @on(Grid.Chosen, "#benches")
    def _to_versions(self) -> None:
        self.dock.go_to("versions")

    def action_zoom(self) -> None:
        """Show the panel with the cursor alone, or all again."""
        self.dock.toggle_class("-zoomed")

    def action_home(self) -> None:
        """Show all panels, with the cursor on the versions."""
        self.dock.remove_class("-zoomed")
        self.dock.go_to("versions")

    # Acting.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what makes no sense for this version."""
        return True if self._possible_actions().get(action, True) else None

    def _possible_actions(self) -> dict[str, bool]:
        about = self._about
        if about is None:
            return dict.fromkeys(("back", "deploy", "ask_again", "details"), True)
        on_version = about.chosen is not None
        return {
            "back": on_version,
            "deploy": about.entry is not None and bool(about.entry.accepted),
            "ask_again": about.entry is not None,
            "details": on_version,
            "remove": on_version,
            "pack": bool(about.run),
            "verify": about.entry is not None,
        }

    def action_back(self) -> None:
        """Ask, then make the version under the cursor live."""
        self._propose(deploy_dialogs.back)

    def action_deploy(self) -> None:
        """Ask, then deploy the last accepted run."""
        self._propose(deploy_dialogs.deploy)

    def action_remove(self) -> None:
        """Ask, then remove the version under the cursor."""
        self._propose(deploy_dialogs.remove)

    def action_pack(self) -> None:
        """Ask where to, then write the package of the version under the cursor."""
        self._propose(deploy_dialogs.pack)

    def action_verify(self) -> None:
        """Ask which one, then verify a package as its receiver will."""
        self._propose(lambda about: deploy_dialogs.verify(about, self._last_package(about)))

    def _last_package(self, about: Subject) -> Path | None:
        """Return where the last package is; None where that is not known."""
        here = about.record.packaged_at if about.record is not None else None
        return self._packed.place(about.slug) or here

    def _propose(self, make: Callable[[Subject], Proposal | Refusal | None]) -> None:
        """Ask what has to be asked; refuse while something is being done."""
        about = self._under_cursor()
        if about is None or self._is_busy(about.slug):
            return
        if about.record is None:
            self._refuse("It is still being read. Press the key again.", about.slug)
            return
        proposal = make(about)
        if isinstance(proposal, Refusal):
            self._refuse(proposal.why, proposal.title)
        elif proposal is not None:

            def answered(answer: Any) -> None:
                action = proposal.action(answer)
                if action is not None:
                    self._act(action)

            self.app.clear_notifications()  # they would cover the buttons
            self.app.push_screen(proposal.dialog, answered)

    def _refuse(self, why: str, title: str) -> None:
        self.notify(
            clean(why), title=clean(title), severity="warning", timeout=TOLD_S, markup=False
        )

    def _is_busy(self, slug: str) -> bool:
        """Say that something is being done already, if it is."""
        action = self.actions.under_way(slug)
        if action is not None:
            self._refuse(f"{action.doing} is still under way. Wait for its end.", slug)
        return action is not None

    def _act(self, action: Action) -> None:
        if not self.actions.begin(action):
            self._is_busy(action.slug)
            return
        self.fathom.errands[id(action)] = f"{action.doing} ({action.slug})"
        self.dock.activate("action")
        self._carry_out(action)

    @work(group="actions")
    async def _carry_out(self, action: Action) -> None:
        await self.actions.carry_out(action)

    def _acted(self, action: Action) -> None:
        """Show what an action says; at its end read and ask anew."""
        if action.ended is not None:
            self._conclude(action)
        self._show()
        if self._shown:
            self.look()

    def _conclude(self, action: Action) -> None:
        ended, said = action.ended, deploy_outcome.summary(action)
        self.fathom.errands.pop(id(action), None)
        if ended is None:
            return
        if "verify" in action.arguments[:2]:
            self._verified[action.slug] = action
        elif action.arguments[0] == "package" and isinstance(ended.data, dict):
            record = self._record if self._record and self._record.slug == action.slug else None
            self._packed.wrote(action.slug, ended.data, record.packaged if record else "")
            self._verified.pop(action.slug, None)
        if deploy_outcome.is_good(action):
            self.notify(clean(said), title=clean(action.doing), timeout=TOLD_S, markup=False)
        else:
            self.succeed(action.slug)  # asked for again, it is answered again
            self.complain(CouldNotCheck(said, fix=ended.fix), work=action.slug)
        # Whatever happened, the server may have changed.
        self.questions.answers.pop(Question("server", action.slug), None)


class Headline(Pane, can_focus=False):
    """What is live, and what goes on."""


def _welcome(width: int) -> list[Content]:
    paragraphs = (
        Content.styled("Nothing to deploy yet", "bold"),
        Content(""),
        Content(
            "Here are the versions of every model that was deployed: which one is live, as the "
            "ledger and as the server say, what proves it, and the way back to the one before. "
            "An engagement appears once a run of it has an accepted file."
        ),
        Content(""),
        Content.assemble(
            "  ", ("1", "bold $accent"), "            choose an engagement; r runs it"
        ),
        Content.assemble("  ", ("2", "bold $accent"), "            look at the runs there are"),
        Content.assemble(
            "  ", ("fathom demo", "bold $accent"), "  on the command line: data to served model"
        ),
    )
    return [line for text in paragraphs for line in wrapped(text, width)]
