"""The end of a run's journal as lines that people read."""

from collections import deque
from collections.abc import Iterable, Sequence

from textual.content import Content

from fathom_tui.events import Event
from fathom_tui.narration import tell
from fathom_tui.screens.pane import wrapped
from fathom_tui.screens.words import clean

KEPT = 300
"""Events kept in sight; `fathom logs` has all."""
_TIME = slice(11, None)
"""`tell` begins with the date, which is the same on nearly every line."""
_INDENT = 21
_STYLES = {"stage_finished": "", "run_finished": "bold", "attempt": "bold"}


class Account:
    """What happened last in a run."""

    def __init__(self) -> None:
        self._told: deque[Content] = deque(maxlen=KEPT)
        self._lines: list[Content] = []
        self._width = 0

    def add(self, events: Iterable[Event]) -> None:
        """Tell more events, but for those that other panels show better."""
        for event in events:
            if not _elsewhere(event):
                self._told.append(_line(event))
                self._width = 0

    def lines(self, width: int) -> Sequence[Content]:
        """Return the lines for a width."""
        if width != self._width:
            self._width = width
            indent = _INDENT if width > 60 else 2
            self._lines = [
                line for told in self._told for line in wrapped(told, width, indent=indent)
            ]
        return self._lines


def _elsewhere(event: Event) -> bool:
    if event.kind == "gate":
        return bool(event.data["gate"]["outcome"] == "pass")
    return event.kind == "progress" or "train_loss" in event.data


def _line(event: Event) -> Content:
    told = tell(event)[_TIME]
    if event.data.get("state") == "refused" or event.kind == "run_finished":
        told = told.splitlines()[0]  # why, has been told by the gate or the stage
    first, *more = told.splitlines()
    text = " ".join([clean(first), *(clean(line).strip() for line in more)])
    return Content.assemble((text[:8], "$muted"), (text[8:], _style(event)))


def _style(event: Event) -> str:
    if event.kind == "gate":
        outcome = event.data["gate"]["outcome"]
        return {"warn": "$warning", "refuse": "$error"}.get(outcome, "$muted")
    if event.data.get("error"):
        return "$error"
    return "$muted" if event.kind in ("artifact", "measured") else _STYLES.get(event.kind, "")
