"""DuckDB for one short transaction at a time: queue, open, catch up, ask, close.

DuckDB lets one process open a file for writing and fails every other at once, so nobody keeps
it open. It holds projections only: a damaged file is moved aside and made again.

What a process does keep is an empty DuckDB in memory, to which the file is attached for the
length of a transaction: 2 ms instead of 18 to read, 8 instead of 47 to write.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from fathom_tui.errors import EnvironmentProblem, StoreError
from fathom_tui.store.holders import describe_process
from fathom_tui.store.migrations import migrate, refuse_newer, schema_version
from fathom_tui.store.paths import Home
from fathom_tui.store.private import FILE_MODE
from fathom_tui.store.replay import replay
from fathom_tui.store.turnstile import TIMEOUT_S, Turnstile

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Answer = TypeVar("Answer")

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    # The tables are small: more threads cost 10 ms at opening and gain nothing.
    "threads": 1,
    # Nothing is ever fetched: what the wheel does not hold is not used.
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
_RETRY_S = 0.05
_HELD_BY = re.compile(r"PID (\d+)")
_DAMAGE = ("not a valid DuckDB", "not read enough bytes", "orrupt", "checksum", "invalidated")


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """An open ledger that is up to date with the journals."""

    home: Home
    connection: "DuckDBPyConnection"
    damaged: dict[str, StoreError]
    """Journals that cannot be read; what the tables say of them is older than they are."""


class Database:
    """The way to the tables.

    Args:
        home: Whose tables.
        timeout_s: Longest wait for other processes, in seconds.
    """

    def __init__(self, home: Home, *, timeout_s: float = TIMEOUT_S) -> None:
        self.notes: list[str] = []
        """What a person should know about; grows."""
        self._home = home
        self._timeout_s = timeout_s
        self._turnstile = Turnstile(home.turnstile, timeout_s=timeout_s)
        self._engine: DuckDBPyConnection | None = None

    def transact(self, work: Callable[[Session], Answer], *, fresh: bool = False) -> Answer:
        """Run `work` on the tables, brought up to date first.

        Args:
            work: Asks; its answer must not refer to the connection.
            fresh: Make the database again from the journals.

        Raises:
            StoreError: Locked by another program for too long, newer than this program, or
                unusable for another reason.
        """
        from fathom_tui.store.engine import duckdb

        self._home.prepare()
        with self._turnstile.passing() as deadline:
            try:
                if fresh:
                    self._remove(deadline)
                return self._once(work, deadline)
            except duckdb.Error as error:
                if not _is_damage(error):
                    raise _refusal(self._home, error) from error
                self._set_aside(error)
            try:
                return self._once(work, deadline)
            except duckdb.Error as error:
                raise _refusal(self._home, error) from error

    def _once(self, work: Callable[[Session], Answer], deadline: float) -> Answer:
        with self._attached(deadline) as connection:
            damaged = self._catch_up(connection)
            return work(Session(home=self._home, connection=connection, damaged=damaged))

    @contextmanager
    def _attached(self, deadline: float) -> Iterator["DuckDBPyConnection"]:
        connection = self._attach(deadline)
        try:
            yield connection
            connection.execute("USE memory")
            connection.execute("DETACH ledger")
        except BaseException:
            # Rolls back and lets go of the file, whatever state the engine is in.
            connection.close()
            self._engine = None
            raise

    def _catch_up(self, connection: "DuckDBPyConnection") -> dict[str, StoreError]:
        migrate(connection)
        connection.execute("BEGIN")
        damaged = replay(connection, self._home)
        connection.execute("COMMIT")
        return damaged

    def _attach(self, deadline: float) -> "DuckDBPyConnection":
        from fathom_tui.store.engine import duckdb

        if self._engine is None:
            self._engine = duckdb.connect(":memory:", config=_CONFIG)
        created = not self._home.database.exists()
        quoted = str(self._home.database).replace("'", "''")
        while True:
            try:
                self._engine.execute(f"ATTACH '{quoted}' AS ledger")
            except duckdb.IOException as error:
                if "Could not set lock" not in str(error):
                    raise
                if time.monotonic() >= deadline:
                    raise self._locked(error) from error
                time.sleep(_RETRY_S)
            else:
                break
        if created:
            self._home.database.chmod(FILE_MODE)
        self._engine.execute("USE ledger")
        return self._engine

    def _locked(self, error: Exception) -> StoreError:
        pid = _HELD_BY.search(str(error))
        holder = describe_process(int(pid[1])) if pid else "another program"
        return StoreError(
            f"The ledger {self._home.database} was locked for {self._timeout_s:g} s by {holder}.",
            fix="Close it there (a DuckDB shell, a notebook) and try again; "
            "nothing was lost, events are in the journals.",
        )

    def _set_aside(self, error: Exception) -> None:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        database = self._home.database
        aside = database.with_name(f"{database.name}.corrupt-{stamp}")
        number = 1
        while aside.exists():
            number += 1
            aside = database.with_name(f"{database.name}.corrupt-{stamp}-{number}")
        os.replace(database, aside)
        log = database.with_name(database.name + ".wal")
        if log.exists():
            os.replace(log, aside.with_name(aside.name + ".wal"))
        self.notes.append(
            f"The ledger could not be read ({_first_line(error)}); it was moved to {aside} "
            "and made again from the journals."
        )

    def _remove(self, deadline: float) -> None:
        # Opened first: neither a newer ledger nor one in use by somebody else is removed.
        with self._attached(deadline) as connection:
            refuse_newer(schema_version(connection))
        self._home.database.unlink(missing_ok=True)
        self._home.database.with_name(self._home.database.name + ".wal").unlink(missing_ok=True)


def _is_damage(error: Exception) -> bool:
    from fathom_tui.store.engine import duckdb

    # A catalog or binder error means tables that are not ours.
    broken = (
        duckdb.CatalogException,
        duckdb.BinderException,
        duckdb.InternalException,
        duckdb.FatalException,
        duckdb.SerializationException,
    )
    return isinstance(error, broken) or any(mark in str(error) for mark in _DAMAGE)


def _refusal(home: Home, error: Exception) -> StoreError | EnvironmentProblem:
    text = _first_line(error)
    if "No space left" in text or "Permission denied" in text:
        return EnvironmentProblem(
            f"The ledger {home.database} cannot be written: {text}",
            fix=f"Free space or rights on that disk: df -h {home.data}",
        )
    if "version number" in text:
        return StoreError(
            f"The ledger {home.database} was written by a newer DuckDB: {text}",
            fix="Upgrade Fathom and DuckDB: pip install --upgrade fathom-tui duckdb",
        )
    return StoreError(
        f"The ledger {home.database} cannot be used: {text}",
        fix="Make it again from the journals: fathom store rebuild",
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
