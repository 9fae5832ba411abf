"""Reading one run's journals as they grow; used in a thread, one look at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fathom_tui.errors import StoreError
from fathom_tui.events import Event
from fathom_tui.store.paths import Home


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What a look at a run's journals found."""

    run: str
    events: tuple[Event, ...]
    """New events; from number 1 when the journal was replaced."""
    waivers: Mapping[str, Mapping[str, Any]]
    """All waivers of the run so far, by gate."""


class Watch:
    """The ends of a run's journal and of its engagement's, as far as they were read."""

    def __init__(self, home: Home, run_id: str) -> None:
        self.run = run_id
        self._path = home.run_journal(run_id)
        self._engagement = home.engagement_journal(run_id.rpartition("-")[0])
        self._offset = 0
        self._waiver_offset = 0
        self._waivers: dict[str, Mapping[str, Any]] = {}
        self._damage: tuple[int, StoreError] | None = None
        """Size of the journal when it was found damaged, and what was found."""

    def look(self) -> Growth:
        """Return what was appended since the last look; costs two `stat`s when nothing was.

        Raises:
            StoreError: A line is damaged.
        """
        from fathom_tui.store import journal

        events = self._new_events()
        said, self._waiver_offset = journal.tail(self._engagement, self._waiver_offset)
        for event in said:
            if event.kind == "waiver" and event.data["run"] == self.run:
                self._waivers[event.data["gate"]] = dict(event.data)
        return Growth(run=self.run, events=tuple(events), waivers=dict(self._waivers))

    def _new_events(self) -> list[Event]:
        from fathom_tui.store import journal

        # A damaged journal is not read again and again: it may be large.
        if self._damage is not None and self._damage[0] == self._path.stat().st_size:
            raise self._damage[1]
        try:
            events, self._offset = journal.tail(self._path, self._offset)
        except StoreError as error:
            self._damage = (self._path.stat().st_size, error)
            raise
        return events
