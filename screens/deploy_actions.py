"""What is done to an engagement's versions from here: one thing at a time for each engagement."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

from fathom_tui.screens.errand import COMMAND, Ended, carry_out


@dataclass(slots=True, kw_only=True)
class Action:
    """One command, from when it was asked for."""

    slug: str
    doing: str
    """What is done, as a sentence begins: `Rolling back to v2`."""
    arguments: Sequence[str]
    """After `fathom`."""
    began: float = field(default_factory=monotonic)
    """By the monotonic clock, in seconds."""
    seconds: float = 0.0
    """How long it took; 0 while it is under way."""
    lines: list[str] = field(default_factory=list)
    """What it said meanwhile."""
    ended: Ended | None = None
    """None while it is under way."""

    @property
    def elapsed_s(self) -> float:
        """Return for how long it has been going on, or took."""
        return self.seconds if self.ended is not None else monotonic() - self.began


class Actions:
    """The last action on each engagement.

    Args:
        changed: Called on the event loop with an action that began, said something or ended.
        command: The program that acts.
    """

    def __init__(self, changed: Callable[[Action], None], command: Sequence[str] = COMMAND) -> None:
        self.command = command
        self.last: dict[str, Action] = {}
        self._changed = changed

    def under_way(self, slug: str) -> Action | None:
        """Return what is being done to an engagement; None where nothing is."""
        action = self.last.get(slug)
        return action if action is not None and action.ended is None else None

    @property
    def any_under_way(self) -> bool:
        """Say whether anything is being done."""
        return any(action.ended is None for action in self.last.values())

    def begin(self, action: Action) -> bool:
        """Note an action and say whether it may begin: not while another one is under way."""
        if self.under_way(action.slug) is not None:
            return False
        self.last[action.slug] = action
        return True

    async def carry_out(self, action: Action) -> None:
        """Carry out an action that was begun."""

        def say(lines: Sequence[str]) -> None:
            action.lines += lines
            self._changed(action)

        self._changed(action)
        ended = await carry_out([*self.command, *action.arguments], say)
        action.seconds = monotonic() - action.began
        action.ended = ended
        self._changed(action)
