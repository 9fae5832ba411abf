"""The schema's history: numbered steps, forward only.

The tables are projections, so no step moves rows: after any step the journals are folded
again. A database with a newer schema than this program knows is refused, not guessed at.
No table has a primary key: rows are unique because a journal's rows are replaced as a whole,
and DuckDB checks keys inside a transaction too eagerly for a delete followed by an insert.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fathom_tui.errors import StoreError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step from the schema before it."""

    version: int
    """The schema's version after this step."""
    name: str
    sql: str


MIGRATIONS = (
    Migration(
        version=1,
        name="001_ledger",
        sql="""
        CREATE TABLE applied (
            journal VARCHAR, seq BIGINT, size BIGINT, mtime_ns BIGINT, inode BIGINT
        );
        CREATE TABLE engagements (
            slug VARCHAR, name VARCHAR, created_at VARCHAR, config JSON
        );
        CREATE TABLE facts (
            engagement VARCHAR, seq BIGINT, "at" VARCHAR, key VARCHAR, value JSON, data JSON
        );
        CREATE TABLE decisions (
            engagement VARCHAR, seq BIGINT, "at" VARCHAR,
            what VARCHAR, why VARCHAR, "by" VARCHAR, data JSON
        );
        CREATE TABLE waivers (
            engagement VARCHAR, seq BIGINT, "at" VARCHAR,
            run VARCHAR, gate VARCHAR, "by" VARCHAR, reason VARCHAR, data JSON
        );
        CREATE TABLE deployments (
            engagement VARCHAR, seq BIGINT, "at" VARCHAR,
            id VARCHAR, run VARCHAR, target VARCHAR, version VARCHAR, alias VARCHAR,
            url VARCHAR, state VARCHAR, artifact VARCHAR, sha256 VARCHAR, data JSON
        );
        CREATE TABLE checks (
            engagement VARCHAR, seq BIGINT, "at" VARCHAR,
            deployment VARCHAR, run VARCHAR, passed BIGINT, total BIGINT,
            failures JSON, seconds DOUBLE, data JSON
        );
        CREATE TABLE runs (
            id VARCHAR, engagement VARCHAR, state VARCHAR, created_at VARCHAR,
            finished_at VARCHAR, attempts BIGINT, config JSON, result JSON,
            error VARCHAR, fix VARCHAR
        );
        CREATE TABLE stages (
            run VARCHAR, position BIGINT, name VARCHAR, state VARCHAR, started_at VARCHAR,
            seconds DOUBLE, verdict VARCHAR, input_hash VARCHAR, result JSON,
            error VARCHAR, fix VARCHAR
        );
        CREATE TABLE gates (
            run VARCHAR, stage VARCHAR, position BIGINT, name VARCHAR, outcome VARCHAR,
            reason VARCHAR, fix VARCHAR, evidence JSON, waivable BOOLEAN
        );
        CREATE TABLE metrics (
            run VARCHAR, position BIGINT, stage VARCHAR, step BIGINT, epoch DOUBLE,
            train_loss DOUBLE, validation_loss DOUBLE, data JSON
        );
        CREATE TABLE measured (
            run VARCHAR, position BIGINT, stage VARCHAR, name VARCHAR,
            value DOUBLE, unit VARCHAR, figure JSON, hardware JSON
        );
        CREATE TABLE artifacts (
            run VARCHAR, name VARCHAR, stage VARCHAR, path VARCHAR,
            sha256 VARCHAR, bytes BIGINT
        );
        """,
    ),
    Migration(
        version=2,
        name="002_test_openings_and_inputs",
        sql="""
        CREATE TABLE test_openings (
            engagement VARCHAR, seq BIGINT, "at" VARCHAR,
            run VARCHAR, split_sha256 VARCHAR, data JSON
        );
        ALTER TABLE artifacts ADD COLUMN inputs JSON;
        ALTER TABLE applied ADD COLUMN "offset" BIGINT;
        ALTER TABLE applied ADD COLUMN last VARCHAR;
        """,
    ),
    Migration(
        version=3,
        name="003_feedback_alerts_purges",
        sql="""
        CREATE TABLE feedback (
            engagement VARCHAR, seq BIGINT, "at" VARCHAR,
            deployment VARCHAR, verdict VARCHAR, "by" VARCHAR, note VARCHAR, data JSON
        );
        CREATE TABLE alerts (
            engagement VARCHAR, seq BIGINT, "at" VARCHAR,
            deployment VARCHAR, state VARCHAR, "before" VARCHAR, reasons JSON, data JSON
        );
        CREATE TABLE purges (
            engagement VARCHAR, seq BIGINT, "at" VARCHAR,
            "by" VARCHAR, files BIGINT, bytes BIGINT, certificate VARCHAR, data JSON
        );
        """,
    ),
)

LATEST = MIGRATIONS[-1].version


def schema_version(connection: "DuckDBPyConnection") -> int:
    """Return the version of the schema; 0 for an empty database."""
    from fathom_tui.store.engine import duckdb

    try:
        row = _schema_row(connection)
    except duckdb.CatalogException:
        # Asking for the table first would cost every opening a query more.
        return 0
    return int(row[0]) if row else 0


def _schema_row(connection: "DuckDBPyConnection") -> tuple[str] | None:
    return connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()


def refuse_newer(version: int) -> None:
    """Do nothing for a schema this program knows.

    Raises:
        StoreError: The schema is newer than this program.
    """
    if version > LATEST:
        raise StoreError(
            f"The ledger has schema version {version}, this program knows {LATEST}.",
            fix="Upgrade Fathom: pip install --upgrade fathom-tui",
        )


def migrate(connection: "DuckDBPyConnection", *, target: int = LATEST) -> bool:
    """Bring the schema to `target`, in one transaction of its own.

    Returns:
        Whether a step was needed.

    Raises:
        StoreError: The schema is newer than this program.
    """
    version = schema_version(connection)
    refuse_newer(version)
    steps = [step for step in MIGRATIONS if version < step.version <= target]
    if not steps:
        return False
    connection.execute("BEGIN")
    connection.execute("CREATE TABLE IF NOT EXISTS meta (key VARCHAR, value VARCHAR)")
    for step in steps:
        connection.execute(step.sql)
    # Every journal is folded again into the tables as they are now.
    tables = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE NOT temporary"
    ).fetchall()
    for (table,) in tables:
        connection.execute(f'DELETE FROM "{table}"')
    connection.execute("INSERT INTO meta VALUES ('schema', ?)", [str(steps[-1].version)])
    connection.execute("COMMIT")
    return True
