"""The schema: every older one is brought up to date, a newer one is refused."""

from pathlib import Path

import duckdb
import pytest

from fathom_tui.errors import ExitCode, StoreError
from fathom_tui.store import Home, Store
from fathom_tui.store.migrations import LATEST, MIGRATIONS, migrate, schema_version
from fathom_tui.store.tables import COLUMNS
from tests.store.conftest import WriteRun


def database_of_version(home: Home, version: int) -> None:
    """Make an older program's ledger, with a row that no journal has."""
    with duckdb.connect(str(home.database)) as connection:
        migrate(connection, target=version)
        if version:
            connection.execute("INSERT INTO engagements VALUES ('left-over', 'x', 'x', '{}')")


def columns(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    found = connection.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ? "
        "ORDER BY column_index",
        [table],
    ).fetchall()
    return {str(name): str(kind) for name, kind in found}


def test_migrations_are_numbered_without_a_gap_and_named_after_their_number() -> None:
    assert [step.version for step in MIGRATIONS] == list(range(1, LATEST + 1))
    assert all(step.name.startswith(f"{step.version:03d}_") for step in MIGRATIONS)


def test_migrated_tables_have_the_columns_that_rows_are_written_to() -> None:
    with duckdb.connect() as connection:
        assert migrate(connection)

        assert schema_version(connection) == LATEST
        assert {table: columns(connection, table) for table in COLUMNS} == COLUMNS
        assert not migrate(connection)


@pytest.mark.parametrize("version", range(LATEST))
def test_a_ledger_of_every_older_version_gets_all_rows_from_the_journals(
    store: Store, acme: str, write_run: WriteRun, version: int
) -> None:
    run_id = write_run(acme)
    database_of_version(store.home, version)

    assert store.test_openings(acme) == 1
    assert [row.id for row in store.runs()] == [run_id]
    assert [row.slug for row in store.engagements()] == [acme]
    assert store.rebuild() == Store(store.home).rebuild()
    assert store.notes == []


def test_a_newer_schema_is_refused_by_every_operation_and_left_alone(
    store: Store, acme: str, tmp_path: Path
) -> None:
    store.engagements()
    with duckdb.connect(str(store.home.database)) as connection:
        connection.execute("UPDATE meta SET value = '9' WHERE key = 'schema'")
    before = store.home.database.read_bytes()

    for operation in (store.rebuild, lambda: store.export(tmp_path), Store(store.home).runs):
        with pytest.raises(StoreError, match=f"version 9, this program knows {LATEST}") as refused:
            operation()
        assert "Upgrade" in refused.value.fix
        assert refused.value.exit_code is ExitCode.STORE

    assert store.home.database.read_bytes() == before
