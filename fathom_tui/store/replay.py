"""Keeping the tables up to date: fold what journals have gained since the last time.

An engagement's events stand alone, so new ones are added. A run's fold depends on all its
events, so its rows are replaced, but for the metrics and the progress of a run under way:
those make up nearly all lines of a journal, and folding 20,000 again takes 0.3 s.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fathom_tui.errors import StoreError, UsageError
from fathom_tui.events import Event
from fathom_tui.store import journal
from fathom_tui.store.paths import Home, check_run_id, check_slug
from fathom_tui.store.projections import (
    added_metrics,
    engagement_rows,
    folded,
    metric_rows,
    run_rows,
)
from fathom_tui.store.tables import ENGAGEMENT_TABLES, RUN_TABLES, Rows, insert

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_QUIET = {"progress", "note", "metric"}
"""Kinds that change no row of a run but add to its metrics."""
_BATCH = 100
"""How many journals are written at once."""
_METRICS_KEPT = 8
"""How many metrics a new one is compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One journal on disk, as `stat` sees it."""

    name: str
    """`engagements/<slug>` or `runs/<id>`."""
    path: Path
    size: int
    mtime_ns: int
    inode: int

    @property
    def owner(self) -> str:
        """The slug or the run's id."""
        return self.name.partition("/")[2]

    @property
    def tables(self) -> Mapping[str, str]:
        """The tables it fills, with the column that names the owner."""
        return RUN_TABLES if self.name.startswith("runs/") else ENGAGEMENT_TABLES


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """How far a journal has been folded into the tables."""

    seq: int
    size: int
    mtime_ns: int
    inode: int
    offset: int
    """Byte behind the last line applied."""
    last: str
    """Times of the last event applied: a file that has another there is another journal."""

    def is_current(self, source: Source) -> bool:
        """Say whether the journal is as it was when it was applied."""
        return (self.size, self.mtime_ns, self.inode) == (
            source.size,
            source.mtime_ns,
            source.inode,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """What a journal gives the tables since the last time."""

    source: Source
    rows: Rows
    replaces: bool
    """Whether these are all rows of the journal, or come on top of those before."""
    seq: int
    offset: int
    last: str

    def applied_row(self) -> dict[str, Any]:
        return {
            "journal": self.source.name,
            "seq": self.seq,
            "size": self.source.size,
            "mtime_ns": self.source.mtime_ns,
            "inode": self.source.inode,
            "offset": self.offset,
            "last": self.last,
        }


def sources(home: Home) -> list[Source]:
    """Return every journal of this home; costs a `stat` each and opens nothing."""
    return [
        *_journals(home.engagements, "engagements", check_slug),
        *_journals(home.runs, "runs", check_run_id),
    ]


def applied_journals(connection: "DuckDBPyConnection") -> dict[str, Applied]:
    """Return how far each journal has been folded into the tables."""
    found = connection.execute(
        'SELECT journal, seq, size, mtime_ns, inode, "offset", last FROM applied'
    ).fetchall()
    return {
        name: Applied(seq=seq, size=size, mtime_ns=mtime_ns, inode=inode, offset=offset, last=last)
        for name, seq, size, mtime_ns, inode, offset, last in found
    }


def rows_of(source: Source, events: Iterable[Event]) -> Rows:
    """Return the rows that a journal's events give.

    Raises:
        StoreError: An event of a run cannot be folded.
    """
    if source.tables is ENGAGEMENT_TABLES:
        return engagement_rows(source.owner, events)
    return run_rows(source.owner, folded(source.path, events))


def replay(connection: "DuckDBPyConnection", home: Home) -> dict[str, StoreError]:
    """Fold newer events into the tables, inside the transaction under way.

    Returns:
        The damaged journals and what is wrong with each. Their rows stay as they were, so
        one bad file does not hide every other run.
    """
    applied = applied_journals(connection)
    damaged: dict[str, StoreError] = {}
    changes: list[_Change] = []
    for source in sources(home):
        before = applied.pop(source.name, None)
        if before is not None and before.is_current(source):
            continue
        try:
            changes.append(_change(connection, source, before))
        except StoreError as error:
            damaged[source.name] = error
        if len(changes) == _BATCH:
            _write(connection, changes)
            changes.clear()
    _write(connection, changes)
    _forget(connection, list(applied))
    return damaged


def _journals(directory: Path, kind: str, check: Callable[[str], str]) -> Iterator[Source]:
    try:
        names = sorted(entry.name for entry in os.scandir(directory))
    except FileNotFoundError:
        return
    for name in names:
        path = directory / name / "journal.jsonl"
        try:
            check(name)
            status = path.stat()
        except (UsageError, FileNotFoundError, NotADirectoryError):
            # Not one of ours, or reserved and not yet begun.
            continue
        yield Source(
            name=f"{kind}/{name}",
            path=path,
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            inode=status.st_ino,
        )


def _change(connection: "DuckDBPyConnection", source: Source, before: Applied | None) -> _Change:
    if before is not None and _goes_on(source, before):
        added = _addition(connection, source, before)
        if added is not None:
            return added
    events, offset, _ = journal.read(source.path)
    return _Change(
        source=source,
        rows=rows_of(source, events),
        replaces=True,
        seq=events[-1].seq if events else 0,
        offset=offset,
        last=_times(events[-1]) if events else "",
    )


def _goes_on(source: Source, before: Applied) -> bool:
    """Say whether the file still holds what was applied, and more behind it."""
    if not before.offset or source.inode != before.inode or source.size <= before.size:
        return False
    # Numbers of deleted files are used again: only the line itself proves it is the same one.
    last = journal.last_event(source.path, before.offset)
    return last is not None and (last.seq, _times(last)) == (before.seq, before.last)


def _times(event: Event) -> str:
    return f"{event.at} {event.mono!r}"


def _addition(connection: "DuckDBPyConnection", source: Source, before: Applied) -> _Change | None:
    """Return what new events add; None where everything has to be folded again."""
    events, offset, _ = journal.read(source.path, after_seq=before.seq, offset=before.offset)
    if source.tables is ENGAGEMENT_TABLES:
        rows: Rows | None = engagement_rows(source.owner, events)
    else:
        rows = _metrics_added(connection, source.owner, events)
    if rows is None:
        return None
    return _Change(
        source=source,
        rows=rows,
        replaces=False,
        seq=events[-1].seq if events else before.seq,
        offset=offset,
        last=_times(events[-1]) if events else before.last,
    )


def _metrics_added(
    connection: "DuckDBPyConnection", run_id: str, events: list[Event]
) -> Rows | None:
    """Return the rows of events that only add metrics; None where they do more."""
    if any(event.kind not in _QUIET for event in events):
        return None
    last = connection.execute(
        "SELECT position, data FROM metrics WHERE run = ? ORDER BY position DESC LIMIT ?",
        [run_id, _METRICS_KEPT],
    ).fetchall()
    kept = [json.loads(data) for _, data in reversed(last)]
    added = added_metrics(kept, events, complete=len(kept) < _METRICS_KEPT)
    if added is None:
        return None
    return metric_rows(run_id, added, first_position=last[0][0] + 1 if last else 0)


def _write(connection: "DuckDBPyConnection", changes: list[_Change]) -> None:
    """Write many journals' rows with few statements: each costs a millisecond."""
    if not changes:
        return
    _forget(connection, [change.source.name for change in changes if change.replaces])
    rows: Rows = {}
    for change in changes:
        for table, found in change.rows.items():
            rows.setdefault(table, []).extend(found)
    insert(connection, rows)
    names = [change.source.name for change in changes]
    connection.execute("DELETE FROM applied WHERE journal IN (SELECT unnest(?))", [names])
    insert(connection, {"applied": [change.applied_row() for change in changes]})


def _forget(connection: "DuckDBPyConnection", names: list[str]) -> None:
    for kind, tables in (("runs", RUN_TABLES), ("engagements", ENGAGEMENT_TABLES)):
        owners = [name.partition("/")[2] for name in names if name.startswith(f"{kind}/")]
        if not owners:
            continue
        for table, column in tables.items():
            connection.execute(
                f'DELETE FROM {table} WHERE "{column}" IN (SELECT unnest(?))', [owners]
            )
    if names:
        connection.execute("DELETE FROM applied WHERE journal IN (SELECT unnest(?))", [names])
