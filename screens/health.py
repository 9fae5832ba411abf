"""How every served model is: one table, the worst first, and the way to what is wrong."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.events import Resize
from textual.widget import Widget

from fathom_tui.errors import CouldNotCheck
from fathom_tui.screens import health_detail, health_look, health_next, health_rows
from fathom_tui.screens.dials import turned
from fathom_tui.screens.grid import Grid, Row
from fathom_tui.screens.health_checks import COMMAND, Checks
from fathom_tui.screens.health_record import Record
from fathom_tui.screens.health_words import age
from fathom_tui.screens.pane import Pane
from fathom_tui.screens.search import Search, matches
from fathom_tui.screens.shell import Shell
from fathom_tui.screens.words import clean, plural

if TYPE_CHECKING:
    # Loaded by the first look, after the first frame.
    from fathom_tui.watching import Order, Watched

CHECKING_S = 1.0


class HealthScreen(Shell[health_look.News]):
    """The operator's home: a table of all engagements, and everything about one of them."""

    MODE = "health"
    CSS_PATH = "../assets/styles/health.tcss"
    AUTO_FOCUS = "#watched"
    INTERVAL_S = 5.0
    CHECK: ClassVar[Sequence[str]] = COMMAND
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "check", "Check now", tooltip="Ask the served model its anchors now"),
        Binding("R", "check_all", "Check all that are listed and serve, one by one", show=False),
        Binding("o", "open", "Open", key_display="enter", tooltip="Failing anchors and history"),
        Binding("escape", "close", "Back", key_display="esc", tooltip="Back to the list"),
        Binding("slash", "search", "Filter", key_display="/", tooltip="Narrow the list by words"),
        Binding("s", "sort(1)", "Sort", tooltip="Worst first, by name, oldest check, slowest"),
        Binding("S", "sort(-1)", "The order before", show=False),
        Binding("right,l,n", "turn(1)", "The next engagement, while one is open", show=False),
        Binding("left,h,p", "turn(-1)", "The engagement before", show=False),
        Binding("tab,shift+tab", "step", "Between the panels", show=False),
        Binding("escape", "clear", "Show all engagements again", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.checks = Checks(self._check_changed, self.CHECK)
        self._rows: dict[str, Watched] = {}
        self._order: Order | None = None
        """None is the worst first."""
        self._record: Record | None = None
        self._open = ""
        """Short name of the engagement that is open; "" while the list is shown."""
        self._counted = ""
        """What the filter says it found."""
        self._story_lines = 0
        """Where the history begins when all is in one column."""
        self._read_once = False

    def body(self) -> Iterator[Widget]:
        """Lay out the summary, the list with what is wrong below it, and one model alone."""
        yield Summary(id="summary")
        with Container(id="ward"):
            yield Search("words of a name, a state, a version, a target")
            yield Grid(*health_rows.columns(0), id="watched", classes="panel")
            with Container(id="below"):
                yield Pane(id="why", classes="panel")
                yield Pane(id="course", classes="panel")
            with Container(id="patient"):
                yield Pane(id="story", classes="panel")
                yield Pane(id="around", classes="panel")
        yield Pane(id="nothing")

    def on_mount(self) -> None:
        """Name the panels."""
        self.query_one("#watched").border_title = "Health"
        self.query_one("#course").border_title = "Last checks"
        self.query_one("#around").border_title = "History"

    # Looking.

    @property
    def interval_s(self) -> float:
        """Look more often while a check is under way: its seconds tick."""
        return CHECKING_S if self.checks.current else self.INTERVAL_S

    def read(self) -> health_look.News:
        """Read what the ledger holds of deployments, checks and alerts."""
        return health_look.look(self.fathom.store, self._open, self.fathom.now())

    def receive(self, news: health_look.News) -> None:
        """Show what was found."""
        self._rows = {row.slug: row for row in news.rows}
        self._read_once = True
        if news.record is not None or not self._open:
            self._record = news.record
        if news.problem is not None:
            self.complain(news.problem, work="record")
        if self._open and self._open not in self._rows:
            self.action_close()
        self.set_class(not self._rows, "-nothing")
        if not self._rows:
            self.query_one("#nothing", Pane).draw(health_next.welcome)
        self._show()

    @property
    def chosen(self) -> "Watched | None":
        """The engagement under the cursor."""
        return self._rows.get(self.query_one("#watched", Grid).key or "")

    # Showing.

    @on(Search.Changed)
    def _show(self) -> None:
        """Show the engagements that are wanted, in the order that is wanted."""
        if not self._read_once:
            return
        from fathom_tui.watching import Order, ordered

        words = self.query_one(Search).words
        order = self._order or Order.WORST
        found = [row for row in self._rows.values() if matches(health_rows.searched(row), words)]
        grid = self.query_one("#watched", Grid)
        grid.columns = health_rows.columns(self.size.width)
        grid.fill([self._row(row) for row in ordered(found, order)])
        shown = f"{len(found)} of {len(self._rows)}"
        if words and shown != self._counted:
            # Telling it lays out the whole screen again.
            self._counted = shown
            self.query_one(Search).tell(shown)
        _name(grid, f"{plural(len(self._rows), 'engagement')}, {order.value}")
        self._summarise()
        self._show_one()
        self._offer()

    def _row(self, row: "Watched") -> Row:
        from fathom_tui.check_events import moment
        from fathom_tui.watching import AHEAD_S

        at = moment(row.alert.get("at")) if row.alert is not None else None
        old = age((self.fathom.now() - at).total_seconds() if at else None, AHEAD_S)
        return health_rows.row(
            row,
            self.fathom.symbols,
            self.size.width,
            alert_age=old,
            running_s=self.checks.seconds(row.slug),
            waits=row.slug in self.checks.waiting,
        )

    def _summarise(self) -> None:
        rows, checks = list(self._rows.values()), self.checks
        self.query_one(Summary).draw(
            lambda width: [
                health_rows.summary(
                    rows, self.fathom.symbols, checks.current, checks.waiting, width
                )
            ]
        )

    @on(Grid.Moved, "#watched")
    def _show_one(self) -> None:
        """Show what there is to say of the engagement under the cursor."""
        row, why, course = self.chosen, self._pane("why"), self._pane("course")
        if row is None:
            _name(why, "Nothing chosen")
            why.draw(health_next.none_found)
            course.draw(lambda width: ())
            return
        symbols, problem = self.fathom.symbols, self.checks.problems.get(row.slug, "")
        _name(why, clean(f"{row.slug} {row.version}".strip()))
        why.draw(partial(health_detail.brief, row, problem, symbols))
        course.draw(partial(health_detail.course, row, row.history, symbols))
        if self._open:
            self._show_open(row, problem)

    def _show_open(self, row: "Watched", problem: str) -> None:
        symbols, now = self.fathom.symbols, self.fathom.now()
        record = self._record if self._record and self._record.slug == row.slug else None
        draw_story = partial(health_detail.story, row, problem, symbols)
        draw_around = partial(health_detail.around, row, record, symbols, now)

        def draw(width: int) -> list[Content]:
            told = draw_story(width)
            self._story_lines = len(told) + 1
            return told if self._is_wide else [*told, Content(""), *draw_around(width)]

        _name(self._pane("story"), clean(f"{row.slug} {row.version}".strip()))
        self._pane("story").draw(draw)
        self._pane("around").draw(draw_around)

    def _pane(self, name: str) -> Pane:
        return self.query_one(f"#{name}", Pane)

    @property
    def _is_wide(self) -> bool:
        return self.size.width >= health_rows.WIDE

    def on_resize(self, event: Resize) -> None:
        """Give the rows what the new width has room for."""
        self.call_after_refresh(self._show)

    # Opening.

    @on(Grid.Chosen, "#watched")
    def action_open(self) -> None:
        """Show one engagement alone."""
        row = self.chosen
        if row is None:
            return
        self._open = row.slug
        self.add_class("-open")
        self._show_one()
        story = self.query_one("#story", Pane)
        story.scroll_home(animate=False)
        story.focus()
        self._offer()
        self.look()

    def action_close(self) -> None:
        """Go back to the list."""
        self._open, self._record = "", None
        self.remove_class("-open")
        self.query_one("#watched").focus()
        self._offer()

    def action_clear(self) -> None:
        """Show all engagements again."""
        self.query_one(Search).clear()

    def action_turn(self, rows: int) -> None:
        """While one engagement is open, go to the next one or the one before."""
        if self._open:
            self.query_one("#watched", Grid).action_move(rows)
            self.action_open()

    def action_step(self) -> None:
        """Go to the other panel; in one column, to its other half."""
        if self._open and not self._is_wide:
            story = self._pane("story")
            story.scroll_to(y=0 if story.scroll_y else self._story_lines, animate=False)
            return
        first, second = ("story", "around") if self._open else ("watched", "why")
        self.query_one(f"#{second if self.query_one(f'#{first}').has_focus else first}").focus()

    # Narrowing and sorting.

    def action_search(self) -> None:
        """Open the filter."""
        self.query_one(Search).open()

    @on(Search.Left)
    def _searched_enough(self) -> None:
        self.query_one("#watched").focus()

    def action_sort(self, steps: int) -> None:
        """Choose another order."""
        from fathom_tui.watching import Order

        self._order = turned(list(Order), self._order or Order.WORST, steps)
        self._show()

    # Checking.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what makes no sense for this engagement, hide what is for another view."""
        if action in ("open", "search", "sort", "clear", "check_all") and self._open:
            return False
        if action in ("close", "turn") and not self._open:
            return False
        return True if self._possible_actions().get(action, True) else None

    def _possible_actions(self) -> dict[str, bool]:
        if not self._read_once:
            # There is no table to ask yet, and drawing the keys twice takes its time.
            return dict.fromkeys(("check", "open", "search", "sort"), True)
        row = self.chosen
        return {
            "check": row is not None and row.deployment is not None,
            "open": row is not None,
            "search": bool(self._rows),
            "sort": bool(self._rows),
        }

    def _offer(self) -> None:
        self.offer(*self._possible_actions().values(), bool(self._open))

    def action_check(self) -> None:
        """Check the engagement under the cursor."""
        row = self.chosen
        if row is not None and row.deployment is not None:
            self._ask_for([row.slug])

    def action_check_all(self) -> None:
        """Check all that are listed and serve."""
        listed = [self._rows[row.key] for row in self.query_one("#watched", Grid).rows]
        self._ask_for([row.slug for row in listed if row.condition.state])

    def _ask_for(self, slugs: Sequence[str]) -> None:
        self.succeed("check")  # asked for again, it is answered again
        if any([self.checks.add(slug) for slug in slugs]):
            self._show()
            self._work_off()

    @work(group="checks")
    async def _work_off(self) -> None:
        await self.checks.work_off()

    def _check_changed(self, slug: str) -> None:
        """Show that a check began or ended; what it found is in the ledger."""
        problem = self.checks.problems.get(slug)
        if problem is not None:
            # Of many in a row the first is told; each has its own in the table.
            told = CouldNotCheck("The check could not be made.", fix=f"{slug}: {problem}")
            self.complain(told, work="check")
        self._show()
        if self._shown:
            self.look()


class Summary(Pane, can_focus=False):
    """The line above the table."""


def _name(panel: Widget, title: str) -> None:
    """Give a panel its title; the same one again would paint it again."""
    if panel.border_title != title:
        panel.border_title = title
