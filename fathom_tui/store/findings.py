"""`fathom store check`: is every journal whole, every table its fold, every artifact there?"""

import json
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fathom_tui.errors import StoreError
from fathom_tui.events import Event
from fathom_tui.runs import Artifact
from fathom_tui.store import journal
from fathom_tui.store.artifacts import Content, difference
from fathom_tui.store.database import Database, Session
from fathom_tui.store.paths import Home
from fathom_tui.store.projections import folded
from fathom_tui.store.purged import covers, purged
from fathom_tui.store.replay import Source, applied_journals, rows_of, sources
from fathom_tui.store.rows import Finding, FindingState
from fathom_tui.store.tables import COLUMNS, ENGAGEMENT_TABLES, RUN_TABLES

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


_FIRST = "engagement_created"


def check(home: Home, database: Database) -> list[Finding]:
    """Look at everything; nothing is changed but tables that were behind their journals."""
    present = sources(home)
    return [
        *(_journal(source) for source in present),
        *_begun(home),
        *_purges_cut_short(home),
        *_tables(database),
        *(finding for source in present for finding in _artifacts(home, source)),
        *_modes(home, present),
    ]


def _journal(source: Source) -> Finding:
    try:
        events, _, notes = journal.read(source.path)
        if source.tables is RUN_TABLES:
            rows_of(source, events)
    except StoreError as error:
        return _broken(source.name, error.message)
    if source.tables is ENGAGEMENT_TABLES and not any(e.kind == _FIRST for e in events):
        lost = "does not hold the event that made the engagement: restore it from a backup"
        return _broken(source.name, f"{lost}. {' '.join(notes)}".strip())
    if notes:
        return _warning(source.name, notes[0])
    return _ok(source.name, f"{len(events)} events, numbered without a gap")


def _begun(home: Home) -> Iterator[Finding]:
    """Warn of runs that were reserved and never begun."""
    for directory in sorted(home.runs.glob("*")):
        if directory.is_dir() and not (directory / "journal.jsonl").exists():
            yield _warning(f"runs/{directory.name}", "has no journal: reserved and never begun")


def _purges_cut_short(home: Home) -> Iterator[Finding]:
    for plan in sorted(home.engagements.glob("*/purge-*.plan.json")):
        slug = plan.parent.name
        yield _warning(
            f"engagements/{slug}",
            "a purge was begun and not finished; repeat it: "
            f"fathom engagement purge {slug} --by NAME --reason TEXT",
        )


def _tables(database: Database) -> list[Finding]:
    noted = len(database.notes)
    try:
        findings = database.transact(_compare)
    except StoreError as error:
        return [_broken("fathom.duckdb", error.message)]
    return [*(_warning("fathom.duckdb", note) for note in database.notes[noted:]), *findings]


def _compare(session: Session) -> list[Finding]:
    """Compare each journal's rows with a fresh fold of the events that were applied."""
    findings = []
    applied = applied_journals(session.connection)
    compared = 0
    for source in sources(session.home):
        if source.name in session.damaged or source.name not in applied:
            continue
        events, _, _ = journal.read(source.path)
        # A writer may have gone on since: only what was applied can be compared.
        fresh = rows_of(source, _up_to(events, applied[source.name].seq))
        compared += sum(len(rows) for rows in fresh.values())
        for table, rows in fresh.items():
            stored = _stored(session.connection, table, source)
            if _canonical(rows) != _canonical(stored):
                findings.append(
                    _broken(
                        f"fathom.duckdb, table {table}",
                        f"{len(stored)} rows of {source.name} differ from the {len(rows)} that "
                        "its journal gives; fathom store rebuild makes them again",
                    )
                )
    findings += _ownerless(session.connection, {*applied, *session.damaged})
    return findings or [_ok("fathom.duckdb", f"{compared} rows equal the fold of the journals")]


def _up_to(events: Iterable[Event], seq: int) -> list[Event]:
    return [event for event in events if event.seq <= seq]


def _stored(connection: "DuckDBPyConnection", table: str, source: Source) -> list[dict[str, Any]]:
    names = list(COLUMNS[table])
    columns = ", ".join(f'"{name}"' for name in names)
    found = connection.execute(
        f'SELECT {columns} FROM {table} WHERE "{source.tables[table]}" = ?', [source.owner]
    ).fetchall()
    return [dict(zip(names, row, strict=True)) for row in found]


def _canonical(rows: Iterable[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


def _ownerless(connection: "DuckDBPyConnection", journals: set[str]) -> list[Finding]:
    findings = []
    for table in COLUMNS:
        kind = "runs" if table in RUN_TABLES else "engagements"
        column = RUN_TABLES.get(table) or ENGAGEMENT_TABLES[table]
        owners = connection.execute(f'SELECT DISTINCT "{column}" FROM {table}').fetchall()
        strangers = sorted(str(o) for (o,) in owners if f"{kind}/{o}" not in journals)
        if strangers:
            findings.append(
                _broken(
                    f"fathom.duckdb, table {table}",
                    f"has rows of {', '.join(strangers[:5])}, which have no journal; "
                    "fathom store rebuild removes them",
                )
            )
    return findings


def _artifacts(home: Home, source: Source) -> Iterator[Finding]:
    if source.tables is not RUN_TABLES:
        return
    try:
        view = folded(source.path, journal.read(source.path)[0])
    except StoreError:
        # Reported with the journal itself.
        return
    gone = purged(home, view.engagement) if view.engagement else {}
    for artifact in view.artifacts.values():
        found = _artifact(home.run(source.owner), source, artifact)
        date = covers(gone, f"{source.name}/{artifact.path}")
        path = home.run(source.owner) / artifact.path
        if date is not None and found.state is FindingState.BROKEN and not path.exists():
            found = _ok(found.subject, f"{artifact.path} was purged on {date}")
        yield found


def _artifact(directory: Path, source: Source, artifact: Artifact) -> Finding:
    subject = f"{source.name}, artifact {artifact.name}"
    path = directory / artifact.path
    if not path.resolve().is_relative_to(directory.resolve()):
        return _broken(subject, f"{artifact.path} lies outside the run's directory")
    try:
        wrong = difference(path, Content(sha256=artifact.sha256, bytes=artifact.bytes))
    except OSError as error:
        return _broken(subject, f"{artifact.path} cannot be read: {error.strerror}")
    if wrong:
        return _broken(subject, f"{artifact.path} {wrong}")
    return _ok(subject, f"{artifact.path}, {artifact.bytes} bytes, sha256 as recorded")


def _modes(home: Home, present: Iterable[Source]) -> Iterator[Finding]:
    """Warn of what other users of this machine can read."""
    directories = (home.data, home.state, home.engagements, home.runs, home.inbox)
    for path in (*directories, home.database, *(source.path for source in present)):
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0
        if mode & 0o077:
            yield _warning(str(path), f"is open to others (mode {mode:04o}): chmod go= '{path}'")


def _ok(subject: str, detail: str) -> Finding:
    return Finding(subject=subject, state=FindingState.OK, detail=detail)


def _warning(subject: str, detail: str) -> Finding:
    return Finding(subject=subject, state=FindingState.WARNING, detail=detail)


def _broken(subject: str, detail: str) -> Finding:
    return Finding(subject=subject, state=FindingState.BROKEN, detail=detail)
