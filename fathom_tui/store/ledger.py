"""The store: what the rest of the program asks and tells, one short transaction each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fathom_tui.errors import EnvironmentProblem, NotFound, StoreError, UsageError
from fathom_tui.events import Event
from fathom_tui.store import journal, queries
from fathom_tui.store.database import Database, Session
from fathom_tui.store.paths import Home, check_slug, slugify
from fathom_tui.store.private import DIRECTORY_MODE, sync_directory
from fathom_tui.store.projections import folded
from fathom_tui.store.replay import Source, sources
from fathom_tui.store.rows import EngagementRow, Finding, RunRow, Watching
from fathom_tui.store.turnstile import TIMEOUT_S, Turnstile
from fathom_tui.store.whole import whole_deployments

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from fathom_tui.runs import RunView

Answer = TypeVar("Answer")

REQUIRED = {
    "fact": ("key", "value"),
    "decision": ("what", "why", "by"),
    "waiver": ("run", "gate", "by", "reason"),
    "deployment": ("id", "run", "target", "version", "state"),
    "check": ("deployment", "passed", "total"),
    "test_opened": ("run", "split_sha256"),
    "feedback": ("deployment", "verdict", "by"),
    "alert": ("deployment", "state", "before", "reasons"),
    "purge": ("by", "files", "bytes", "certificate"),
}
"""What an engagement's event cannot do without, by kind."""
_NEVER_BLANK = ("by", "reason", "why", "gate", "key")


class Store:
    """The ledger of one home.

    Nothing is kept open between calls. Answers are kept for as long as no journal changes,
    so that a screen that asks every second opens the database only when there is news.

    Args:
        home: Where everything lives.
        timeout_s: Longest wait for other processes, in seconds.
    """

    def __init__(self, home: Home, *, timeout_s: float = TIMEOUT_S) -> None:
        self.home = home
        self._timeout_s = timeout_s
        self._database = Database(home, timeout_s=timeout_s)
        self._kept: dict[object, tuple[list[Source], list[Any]]] = {}

    @property
    def notes(self) -> list[str]:
        """What a person should know: a ledger made again, a journal that cannot be read."""
        return self._database.notes

    # Telling: a line in a journal. The tables follow when somebody asks, so an event is safe
    # even while another program holds the database.

    def create_engagement(
        self, name: str, config: Mapping[str, Any], slug: str | None = None
    ) -> str:
        """Begin an engagement and return its slug.

        Raises:
            UsageError: The slug is not a safe name or is taken.
        """
        slug = check_slug(slug) if slug is not None else slugify(name)
        self.home.prepare()
        with self._writing(slug) as writer:
            if writer.seq:
                raise UsageError(
                    f"There is an engagement {slug!r} already.",
                    fix="Choose another short name, or go on with that one.",
                )
            writer.append(
                "engagement_created", {"slug": slug, "name": name, "config": dict(config)}
            )
        sync_directory(self.home.engagements)
        return slug

    def record(self, slug: str, kind: str, data: Mapping[str, Any]) -> Event:
        """Append an event to an engagement's journal and return it.

        Raises:
            NotFound: There is no such engagement.
            UsageError: The kind is not one of `REQUIRED`, or a field is missing or blank.
            StoreError: Another process held the journal for too long.
        """
        _check_event(kind, data)
        self._known(slug)
        with self._writing(slug) as writer:
            if not writer.seq:
                # Its creation was cut short: there is a file, but no engagement.
                raise self._no_engagement(slug)
            return writer.append(kind, data)

    def reserve_run(self, slug: str) -> str:
        """Make the directory of the engagement's next run and return the run's id.

        Raises:
            NotFound: There is no such engagement.
        """
        self._known(slug)
        self.home.prepare()
        number = 1 + max(self._run_numbers(slug), default=0)
        while True:
            run_id = f"{slug}-{number}"
            directory = self.home.run(run_id)
            try:
                directory.mkdir(DIRECTORY_MODE)
            except FileExistsError:
                number += 1
                continue
            except OSError as error:
                raise EnvironmentProblem(
                    f"The run's directory {directory} cannot be created: {error.strerror}.",
                    fix=f"Free space or rights on that disk: df -h {self.home.runs}",
                ) from error
            directory.chmod(DIRECTORY_MODE)
            sync_directory(self.home.runs)
            return run_id

    # Asking.

    def engagements(self) -> list[EngagementRow]:
        """Return all engagements, the oldest first."""
        return self._ask("engagements", lambda session: queries.engagements(session.connection))

    def engagement(self, slug: str) -> EngagementRow:
        """Return one engagement.

        Raises:
            NotFound: There is none of that name; names those that come close.
            StoreError: It is there, but its journal is damaged and gave the tables nothing.
        """
        check_slug(slug)
        rows = self.engagements()
        found = next((row for row in rows if row.slug == slug), None)
        path = self.home.engagement_journal(slug)
        if found is None and path.exists():
            journal.read(path)  # says which line is damaged
            raise StoreError(
                f"{path} does not hold the event that made the engagement {slug!r}.",
                fix="Restore the file from a backup: fathom store check",
            )
        if found is None:
            raise _not_found("engagement", slug, [row.slug for row in rows])
        return found

    def runs(self, engagement: str | None = None) -> list[RunRow]:
        """Return the runs, newest first; of one engagement if given."""
        rows = self._ask("runs", lambda session: queries.runs(session.connection))
        return [row for row in rows if engagement is None or row.engagement == engagement]

    def run_view(self, run_id: str) -> "RunView":
        """Return a run folded straight from its journal.

        Raises:
            NotFound: There is no such run; names those that come close.
            StoreError: Its journal is damaged.
        """
        path = self.home.run_journal(run_id)
        try:
            events, _, _ = journal.read(path)
        except FileNotFoundError:
            names = [s.owner for s in sources(self.home) if s.name.startswith("runs/")]
            raise _not_found("run", run_id, names) from None
        return folded(path, events)

    def facts(self, slug: str) -> list[dict[str, Any]]:
        """Return what is known of an engagement: the latest value of each key."""
        return list({row["key"]: row for row in self._events("facts", slug)}.values())

    def fact(self, key: str) -> dict[str, Any]:
        """Return the latest value of one fact by engagement, of those that have it."""
        rows = self._events("facts", None)
        return {row["engagement"]: row["value"] for row in rows if row["key"] == key}

    def decisions(self, slug: str) -> list[dict[str, Any]]:
        """Return the decisions, oldest first."""
        return self._events("decisions", slug)

    def waivers(self, slug: str, run: str | None = None) -> list[dict[str, Any]]:
        """Return the waivers, oldest first; of one run if given."""
        rows = self._events("waivers", slug)
        return [row for row in rows if run is None or row.get("run") == run]

    def deployments(self, slug: str | None = None) -> list[dict[str, Any]]:
        """Return each deployment as it was last recorded, the oldest first."""
        return _latest(self._whole(self._events("deployments", slug)))

    def checks(self, slug: str | None = None) -> list[dict[str, Any]]:
        """Return the anchor checks, oldest first."""
        return sorted(self._events("checks", slug), key=_when)

    def recent_checks(self, limit: int, slug: str | None = None) -> list[dict[str, Any]]:
        """Return the last `limit` anchor checks of each engagement, in the order they were made.

        The newest one of an engagement is whole; the others have seq, at, deployment, passed,
        total, state and latency_s. The order is the journal's: a clock that was set back does
        not change it.
        """
        if slug is not None:
            self._known(slug)
        return self._ask(
            ("recent_checks", limit, slug),
            lambda session: queries.recent_checks(session.connection, limit, slug),
            needs=f"engagements/{slug}" if slug is not None else None,
        )

    def watched(self, limit: int) -> Watching:
        """Return what there is to know of every deployment, as of one moment.

        Asked at once it takes a third of the time: the tables are brought up to date once.

        Args:
            limit: Checks of each engagement, as `recent_checks` has them.
        """
        (answer,) = self._ask(
            ("watched", limit), lambda session: [self._watching(session.connection, limit)]
        )
        return answer

    def feedback(self, slug: str | None = None) -> list[dict[str, Any]]:
        """Return what people said of the answers, oldest first."""
        return sorted(self._events("feedback", slug), key=_when)

    def alerts(self, slug: str | None = None) -> list[dict[str, Any]]:
        """Return the alerts and recoveries, oldest first."""
        return sorted(self._events("alerts", slug), key=_when)

    def purges(self, slug: str | None = None) -> list[dict[str, Any]]:
        """Return the deletions of training data, oldest first."""
        return sorted(self._events("purges", slug), key=_when)

    def test_openings(self, slug: str) -> int:
        """Return how often the engagement's test split was read."""
        return len(self._events("test_openings", slug))

    def measured(self, name: str | None = None) -> list[dict[str, Any]]:
        """Return what runs measured here: run, stage, name, figure, hardware."""
        rows = self._ask("measured", lambda session: queries.measured(session.connection))
        return [row for row in rows if name is None or row["name"] == name]

    def artifacts(self, run_id: str) -> list[dict[str, Any]]:
        """Return a run's artifacts: name, stage, path, sha256, bytes, inputs."""
        self.home.run(run_id)
        return self._ask(
            ("artifacts", run_id),
            lambda session: queries.artifacts(session.connection, run_id),
            needs=f"runs/{run_id}",
        )

    # Keeping.

    def check(self) -> list[Finding]:
        """Look at every journal, table and artifact; reads all of them."""
        from fathom_tui.store.findings import check

        return check(self.home, self._database)

    def rebuild(self) -> dict[str, int]:
        """Make the database from the journals alone and return the rows of each table."""
        self._kept.clear()
        return self._database.transact(
            lambda session: queries.counts(self._sound(session, None).connection), fresh=True
        )

    def export(self, path: Path, fmt: str = "parquet") -> list[Path]:
        """Write each table to a file below `path` and return the files.

        Args:
            path: A directory; made if missing.
            fmt: `parquet`, `csv` or `jsonl`.

        Raises:
            UsageError: Another format, or `path` is a file.
        """
        from fathom_tui.store.export import export

        return export(self._database, path, fmt)

    def _events(self, table: str, slug: str | None) -> list[dict[str, Any]]:
        if slug is not None:
            self._known(slug)
        return self._ask(
            (table, slug),
            lambda session: queries.events(session.connection, table, slug),
            needs=f"engagements/{slug}" if slug is not None else None,
        )

    def _watching(self, connection: "DuckDBPyConnection", limit: int) -> Watching:
        return Watching(
            slugs=[row.slug for row in queries.engagements(connection)],
            deployments=_latest(self._whole(queries.events(connection, "deployments", None))),
            checks=queries.recent_checks(connection, limit, None),
            alerts=sorted(queries.events(connection, "alerts", None), key=_when),
        )

    def _whole(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Leave out deployments that cannot be used; note each of them once."""
        found: list[dict[str, Any]] = []
        for slug, own in groupby(rows, key=lambda row: str(row["engagement"])):
            usable, notes = whole_deployments(self.home.engagement_journal(slug), own)
            found += usable
            self.notes.extend(note for note in notes if note not in self.notes)
        return found

    def _ask(
        self, key: object, work: Callable[[Session], list[Answer]], *, needs: str | None = None
    ) -> list[Answer]:
        """Return the answer, kept from the last time if no journal changed since."""
        # Each answer is kept with what it was made from: threads share a store.
        present = sources(self.home)
        seen, answer = self._kept.get(key, (None, []))
        if seen != present:
            answer = self._database.transact(lambda session: work(self._sound(session, needs)))
            self._kept[key] = (present, answer)
        return list(answer)

    def _sound(self, session: Session, needs: str | None) -> Session:
        """Refuse an answer that rests on a damaged journal; note the other damage."""
        if needs is not None and needs in session.damaged:
            raise session.damaged[needs]
        for error in session.damaged.values():
            if error.message not in self.notes:
                self.notes.append(error.message)
        return session

    def _known(self, slug: str) -> None:
        if not self.home.engagement_journal(slug).exists():
            raise self._no_engagement(slug)

    def _no_engagement(self, slug: str) -> NotFound:
        names = [s.owner for s in sources(self.home) if s.name.startswith("engagements/")]
        return _not_found("engagement", slug, [name for name in names if name != slug])

    @contextmanager
    def _writing(self, slug: str) -> Iterator[journal.Journal]:
        """Hold the engagement's lock and its journal."""
        turnstile = Turnstile(
            self.home.turnstile, name=f"engagement-{slug}", timeout_s=self._timeout_s
        )
        with (
            turnstile.passing(),
            journal.Journal(self.home.engagement_journal(slug)) as writer,
        ):
            yield writer

    def _run_numbers(self, slug: str) -> Iterator[int]:
        for path in self.home.runs.glob(f"{slug}-*"):
            number = path.name[len(slug) + 1 :]
            if number.isascii() and number.isdigit():
                yield int(number)


def _check_event(kind: str, data: Mapping[str, Any]) -> None:
    if kind not in REQUIRED:
        raise UsageError(
            f"{kind!r} is not an event of an engagement.", fix=f"One of: {', '.join(REQUIRED)}."
        )
    missing = [name for name in REQUIRED[kind] if name not in data]
    missing += [name for name in _NEVER_BLANK if name in data and not str(data[name]).strip()]
    if missing:
        raise UsageError(
            f"A {kind} needs {', '.join(REQUIRED[kind])}, but {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing or blank.",
            fix="Give each of them a value.",
        )


def _not_found(what: str, name: str, names: Sequence[str]) -> NotFound:
    import difflib
    import shlex

    close = difflib.get_close_matches(name, names, n=3, cutoff=0.7)
    if close:
        fix = f"Did you mean {' or '.join(close)}?"
    elif what == "engagement":
        make = f"fathom engagement create {shlex.quote(name)} --advice-only (or --data FILE ...)"
        there = ", ".join(sorted(names)[:10])
        fix = f"Name one of: {there}, or make it: {make}" if names else f"Make it: {make}"
    elif names:
        fix = f"There is: {', '.join(sorted(names)[:10])}."
    else:
        fix = f"There is no {what} yet."
    return NotFound(f"There is no {what} {name!r}.", fix=fix)


def _latest(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    latest = {(row["engagement"], row["id"]): row for row in rows}
    return sorted(latest.values(), key=_when)


def _when(row: Mapping[str, Any]) -> str:
    return str(row["at"])
