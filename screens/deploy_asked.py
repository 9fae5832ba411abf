"""What only others know: the server, the service manager, the checklist. Asked one at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from fathom_tui.releases import ServerAnswer, server_answer
from fathom_tui.screens.errand import COMMAND, Ended, carry_out

LONGEST_S = 120.0
"""A question that has no answer by then is given up: others wait for it."""
_NO_AGENT = 3
"""What the status ends with where there is no agent: that is an answer."""


class Question(NamedTuple):
    """One question; equal ones have one answer."""

    kind: str
    """`server`, `units` or `checklist`."""
    slug: str = ""
    """Of the engagement; empty for the machine's units."""
    run: str = ""
    """Whose checklist."""

    def command(self, scope: str = "user") -> list[str]:
        """Return what answers it, after `fathom`."""
        if self.kind == "server":
            return ["versions", self.slug, "--json"]
        if self.kind == "checklist":
            return ["package", self.slug, "--run", self.run, "--checklist", "--json"]
        return ["runner", "status", *(["--system"] if scope == "system" else []), "--json"]


UNITS = Question("units")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answer."""

    at: datetime
    about: object
    """What the ledger held when it was asked: another one makes the answer old."""
    data: Any
    problem: str = ""
    fix: str = ""

    @property
    def server(self) -> ServerAnswer | None:
        """Return what the server said; None where there is no such answer."""
        try:
            return server_answer(self.data)
        except ValueError:
            return None


class Questions:
    """A queue of questions, the newest first: it is what somebody looks at.

    Args:
        changed: Called on the event loop when a question was taken up or answered.
        now: The clock, UTC.
        command: The program that answers.
    """

    def __init__(
        self,
        changed: Callable[[], None],
        now: Callable[[], datetime],
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.command = command
        self.answers: dict[Question, Answered] = {}
        self.current: Question | None = None
        self._waiting: dict[Question, object] = {}
        self._changed, self._now = changed, now

    def add(self, question: Question, about: object) -> bool:
        """Ask, and say whether somebody has to work the queue off.

        Questions about another engagement that wait are dropped: nobody looks at it any more.
        """
        for other in [q for q in self._waiting if q.slug and q.slug != question.slug]:
            if question.slug:
                del self._waiting[other]
        self._waiting.pop(question, None)
        self._waiting[question] = about
        return self.current is None

    def asks(self, question: Question) -> bool:
        """Say whether a question waits for its answer."""
        return question == self.current or question in self._waiting

    def is_answered(self, question: Question, about: object) -> bool:
        """Say whether there is an answer to it as things are, or will be."""
        answer = self.answers.get(question)
        return self.asks(question) or (answer is not None and answer.about == about)

    async def work_off(self) -> None:
        """Answer all questions, also those that are added meanwhile."""
        while self._waiting:
            self.current, about = self._waiting.popitem()
            self._changed()
            question = self.current
            try:
                self.answers[question] = await self._answer(question, about)
            finally:
                self.current = None
            self._changed()

    async def _answer(self, question: Question, about: object) -> Answered:
        ended = await self._put(question, "user")
        data, problem, fix = ended.data, ended.problem, ended.fix
        if question.kind == "units":
            data = {"user": ended.data, "system": (await self._put(question, "system")).data}
            if ended.code == _NO_AGENT:
                problem = fix = ""
        elif not problem and not isinstance(data, list):
            problem = "The answer cannot be understood."
        return Answered(at=self._now(), about=about, data=data, problem=problem, fix=fix)

    async def _put(self, question: Question, scope: str) -> Ended:
        return await carry_out([*self.command, *question.command(scope)], longest_s=LONGEST_S)
