"""What every screen has: the masthead, the keys, and a look at what is new that never blocks."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from textual import work
from textual.app import ComposeResult
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget

from fathom_tui.errors import CouldNotCheck, FathomError
from fathom_tui.screens.keys import Keys
from fathom_tui.screens.masthead import Masthead
from fathom_tui.screens.words import clean
from fathom_tui.store.paths import Home

if TYPE_CHECKING:
    from fathom_tui.screens.app import FathomApp

News = TypeVar("News")

FIRST_LOOK_S = 0.05
"""Until a new screen looks. Loading DuckDB stops all threads for 100 ms, also the one that
writes the first frame."""


class Shell(Screen[None], Generic[News]):
    """A screen that looks at the disk in a thread and shows what it found.

    The thread reads and posts; only the event loop changes widgets. The next look is planned
    when the last one has been shown, so a slow disk makes looks rarer, never more at once.
    """

    MODE: ClassVar[str]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (32, "-tall")]
    INTERVAL_S: ClassVar[float] = 1.0

    class Seen(Message):
        """A look is over."""

        def __init__(
            self, heartbeat: Mapping[str, Any] | None, news: Any, problem: FathomError | None
        ) -> None:
            super().__init__()
            self.heartbeat = heartbeat
            self.news = news
            self.problem = problem

    class Answered(Message):
        """What was asked for is done, or could not be."""

        def __init__(
            self, value: Any, problem: FathomError | None, then: Callable[[Any], None]
        ) -> None:
            super().__init__()
            self.value = value
            self.problem = problem
            self.then = then

    def __init__(self) -> None:
        super().__init__()
        self.heartbeat: Mapping[str, Any] | None = None
        self._timer: Timer | None = None
        self._looking = False
        self._wanted = False
        self._shown = False
        self._possible: tuple[object, ...] = ()
        self._problems: dict[str, str] = {}
        """The last problem of each kind of work, for as long as it lasts."""

    @property
    def fathom(self) -> "FathomApp":
        """The app, with its own type."""
        return cast("FathomApp", self.app)

    @property
    def interval_s(self) -> float:
        """Seconds until the next look."""
        return self.INTERVAL_S

    def body(self) -> Iterator[Widget]:
        """Return the widgets between masthead and keys."""
        raise NotImplementedError

    def read(self) -> News:
        """Look at the disk; runs in a thread and touches no widget."""
        raise NotImplementedError

    def receive(self, news: News) -> None:
        """Show what a look found."""
        raise NotImplementedError

    def complain(self, problem: FathomError, *, work: str = "look") -> None:
        """Show a problem in the words of the command line; a lasting one is said once."""
        if self._problems.get(work) == problem.message or problem.message in self.fathom.noted:
            return
        self._problems[work] = problem.message
        self.notify(
            clean(problem.fix), title=clean(problem.message), severity="error", markup=False
        )

    def succeed(self, work: str = "look") -> None:
        """Note that a kind of work goes well: its next problem is news."""
        self._problems.pop(work, None)

    def tell_notes(self) -> None:
        """Show what the ledger has to say: that it was made again, or cannot read a journal."""
        for note in self.fathom.store.notes:
            if note not in self.fathom.noted:
                self.fathom.noted.add(note)
                if note not in self._problems.values():
                    self.notify(clean(note), severity="warning", markup=False)

    def compose(self) -> ComposeResult:
        """Lay out masthead, body and keys."""
        yield Masthead(self.fathom.places, self.MODE, self.fathom.symbols)
        yield from self.body()
        yield Keys()

    def look(self) -> None:
        """Look now, or once more when the look under way is over."""
        if self._looking:
            self._wanted = True
            return
        if self._timer is not None:
            self._timer.stop()
        self._looking = True
        self._look()

    @work(thread=True, group="look")
    def _look(self) -> None:
        heartbeat: Mapping[str, Any] | None = None
        news: News | None = None
        problem: FathomError | None = None
        try:
            heartbeat = self.fathom.agent.heartbeat()
            news = self.read()
        except FathomError as error:
            problem = error
        except OSError as error:
            problem = _unreadable(error, self.fathom.home)
        self.post_message(self.Seen(heartbeat, news, problem))

    def on_shell_seen(self, seen: Seen) -> None:
        """Show the news and plan the next look."""
        self._looking = False
        self.heartbeat = seen.heartbeat
        self.fathom.heartbeat = seen.heartbeat
        self.query_one(Masthead).tell(seen.heartbeat)
        if seen.problem is not None:
            self.complain(seen.problem)
        else:
            self.succeed()
            self.receive(seen.news)
        self.tell_notes()
        if self._wanted:
            self._wanted = False
            self.look()
        elif self._shown:
            self._timer = self.set_timer(self.interval_s, self.look)

    @work(thread=True, group="ask")
    def ask(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Do something that may wait for a lock, in a thread; then show its outcome.

        Args:
            work: Touches no widget.
            then: Called on the event loop with what `work` returned, unless it failed.
        """
        try:
            value, problem = work(), None
        except FathomError as error:
            value, problem = None, error
        except OSError as error:
            value, problem = None, _unreadable(error, self.fathom.home)
        self.post_message(self.Answered(value, problem, then))

    def on_shell_answered(self, answer: Answered) -> None:
        """Show the outcome and look at what it changed."""
        if answer.problem is not None:
            self.succeed("ask")  # asked for again, it is answered again
            self.complain(answer.problem, work="ask")
        else:
            answer.then(answer.value)
        self.look()

    def offer(self, *possible: object) -> None:
        """Grey out keys anew where what is possible has changed: it redraws the whole line."""
        if possible != self._possible:
            self._possible = possible
            self.refresh_bindings()

    def on_screen_resume(self) -> None:
        """Look as soon as the first frame is out."""
        if self._shown:
            return  # Textual tells it twice where the mode is new
        self._shown = True
        if "store" in vars(self.fathom):  # the ledger is loaded already
            self.call_after_refresh(self.look)
        else:
            self.call_after_refresh(self.set_timer, FIRST_LOOK_S, self.look)

    def on_screen_suspend(self) -> None:
        """Stand still while another screen is shown."""
        self._shown = False
        if self._timer is not None:
            self._timer.stop()


def _unreadable(error: OSError, home: Home) -> CouldNotCheck:
    return CouldNotCheck(
        f"{error.filename or home.data} cannot be used: {error.strerror}.",
        fix="fathom store check",
    )
