"""Checks that somebody asked for: one after the other, each by the command that a timer uses."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import NamedTuple

from fathom_tui.screens import errand
from fathom_tui.screens.errand import Ended, carry_out

COMMAND = (*errand.COMMAND, "health")
"""What makes a check; the engagement and `--json` follow."""
LONGEST_S = 900.0
"""A check that has not ended by then is stopped: others wait for it."""
_LONGEST_PROBLEM = 400
"""Characters of what a failed command said."""


class Checks:
    """A queue of engagements to be checked, one at a time: they share one machine.

    The command keeps its outcome in the ledger; from here only what went wrong is told. It has a
    session of its own, so a check under way is finished when the screens are left meanwhile.

    Args:
        changed: Called on the event loop with the engagement whose check begins or ended.
        command: What to run.
    """

    def __init__(self, changed: Callable[[str], None], command: Sequence[str] = COMMAND) -> None:
        self.command = command
        self.current = ""
        """Short name of the engagement that is checked now."""
        self.waiting: deque[str] = deque()
        self.problems: dict[str, str] = {}
        """Why the last check of an engagement could not be made."""
        self._changed = changed
        self._began = 0.0

    def add(self, slug: str) -> bool:
        """Queue an engagement and say whether it was not there yet."""
        if slug == self.current or slug in self.waiting:
            return False
        self.waiting.append(slug)
        return True

    def seconds(self, slug: str) -> float | None:
        """Return for how long an engagement has been being checked; None while it is not."""
        return monotonic() - self._began if slug and slug == self.current else None

    async def work_off(self) -> None:
        """Make every check of the queue, also those that are added meanwhile.

        Returns at once where that is being done already.
        """
        while self.waiting and not self.current:
            slug = self.waiting.popleft()
            self.current, self._began = slug, monotonic()
            self.problems.pop(slug, None)
            self._changed(slug)
            try:
                problem = await check([*self.command, slug, "--json"])
            finally:
                self.current = ""
            if problem:
                self.problems[slug] = problem
            self._changed(slug)


async def check(command: Sequence[str]) -> str:
    """Run a check to its end and return why nothing was found out; blank where something was.

    Whatever the state is, a check that could begin prints a JSON list of one. What it could not
    even ask of the ledger is not kept there, so an unknown state is told here as well.
    """
    ended = await carry_out(command, longest_s=LONGEST_S)
    if ended.stopped:
        return f"It had not ended after {LONGEST_S / 60:.0f} minutes and was stopped."
    found = outcome(ended.data)
    if found is None:
        return _last_words(ended)
    return " ".join(found.reasons) if found.state == "unknown" else ""


class Outcome(NamedTuple):
    """What a check printed."""

    state: str
    reasons: tuple[str, ...]


def outcome(found: object) -> Outcome | None:
    """Read what a check printed: a list of one; None where it is something else."""
    entry = found[0] if isinstance(found, list) and found else None
    if not isinstance(entry, Mapping) or not isinstance(entry.get("state"), str):
        return None
    reasons = entry.get("reasons")
    kept = reasons if isinstance(reasons, list) else ()
    return Outcome(entry["state"], tuple(str(reason) for reason in kept))


def _last_words(ended: Ended) -> str:
    """Return what a command said at its end, in one line."""
    lines = [line.strip() for line in ended.complaint.splitlines() if line.strip()]
    said = " ".join(lines[-2:])[-_LONGEST_PROBLEM:]
    if ended.code < 0:
        return f"The command was ended by signal {-ended.code}. {said}".strip()
    return said or ended.problem or f"The command ended with {ended.code} and said nothing."
