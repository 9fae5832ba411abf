"""The questions that the store asks its tables."""

import json
from typing import TYPE_CHECKING, Any

from fathom_tui.store.rows import EngagementRow, RunRow, StageRow
from fathom_tui.store.tables import COLUMNS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def engagements(connection: "DuckDBPyConnection") -> list[EngagementRow]:
    runs: dict[str, list[tuple[str, str]]] = {}
    for run_id, engagement, state in connection.execute(
        "SELECT id, engagement, state FROM runs ORDER BY created_at, length(id), id"
    ).fetchall():
        runs.setdefault(engagement, []).append((run_id, state))
    rows = connection.execute(
        "SELECT slug, name, created_at, config FROM engagements ORDER BY created_at, slug"
    ).fetchall()
    return [
        EngagementRow(
            slug=slug,
            name=name,
            created_at=created_at,
            config=json.loads(config) or {},
            runs=len(runs.get(slug, ())),
            last_run=runs[slug][-1][0] if slug in runs else None,
            last_state=runs[slug][-1][1] if slug in runs else None,
        )
        for slug, name, created_at, config in rows
    ]


def runs(connection: "DuckDBPyConnection") -> list[RunRow]:
    stages: dict[str, list[StageRow]] = {}
    for run_id, name, state, seconds, verdict in connection.execute(
        "SELECT run, name, state, seconds, verdict FROM stages ORDER BY run, position"
    ).fetchall():
        stages.setdefault(run_id, []).append(
            StageRow(name=name, state=state, seconds=seconds, verdict=verdict)
        )
    rows = connection.execute(
        "SELECT id, engagement, state, created_at, finished_at FROM runs "
        "ORDER BY created_at DESC, length(id) DESC, id DESC"
    ).fetchall()
    return [
        RunRow(
            id=run_id,
            engagement=engagement,
            state=state,
            created_at=created_at,
            finished_at=finished_at,
            stages=stages.get(run_id, []),
        )
        for run_id, engagement, state, created_at, finished_at in rows
    ]


def events(connection: "DuckDBPyConnection", table: str, slug: str | None) -> list[dict[str, Any]]:
    """Return events as they were recorded, with engagement, seq and at, in journal order."""
    where, values = ("", []) if slug is None else ("WHERE engagement = ?", [slug])
    rows = connection.execute(
        f'SELECT engagement, seq, "at", data FROM {table} {where} ORDER BY engagement, seq',
        values,
    ).fetchall()
    return [
        {**json.loads(data), "engagement": engagement, "seq": seq, "at": at}
        for engagement, seq, at, data in rows
    ]


def recent_checks(
    connection: "DuckDBPyConnection", limit: int, slug: str | None
) -> list[dict[str, Any]]:
    """Return the last checks of each engagement, in journal order.

    The newest one as it was recorded, of the others what a history shows: reading all of them
    whole takes four times as long.
    """
    where, values = ("", []) if slug is None else ("WHERE engagement = ?", [slug])
    rows = connection.execute(
        f"""
        WITH last AS (
            SELECT *, row_number() OVER (PARTITION BY engagement ORDER BY seq DESC) AS back
            FROM checks {where} QUALIFY back <= ?
        )
        SELECT engagement, seq, "at", deployment, passed, total,
            json_extract_string(data, '$.state'),
            TRY_CAST(json_extract_string(data, '$.latency_s') AS DOUBLE),
            CASE WHEN back = 1 THEN data END
        FROM last ORDER BY engagement, seq
        """,
        [*values, limit],
    ).fetchall()
    names = ("engagement", "seq", "at", "deployment", "passed", "total", "state", "latency_s")
    return [
        {**(json.loads(whole) if whole else {}), **dict(zip(names, columns, strict=True))}
        for *columns, whole in rows
    ]


def measured(connection: "DuckDBPyConnection") -> list[dict[str, Any]]:
    rows = connection.execute(
        "SELECT m.run, m.stage, m.name, m.figure, m.hardware FROM measured m "
        "JOIN runs r ON r.id = m.run ORDER BY r.created_at, m.run, m.position"
    ).fetchall()
    return [
        {
            "run": run,
            "stage": stage,
            "name": name,
            "figure": json.loads(figure),
            "hardware": json.loads(hardware),
        }
        for run, stage, name, figure, hardware in rows
    ]


def artifacts(connection: "DuckDBPyConnection", run_id: str) -> list[dict[str, Any]]:
    rows = connection.execute(
        "SELECT name, stage, path, sha256, bytes, inputs FROM artifacts WHERE run = ? "
        "ORDER BY stage, name",
        [run_id],
    ).fetchall()
    return [
        {
            "name": name,
            "stage": stage,
            "path": path,
            "sha256": sha256,
            "bytes": size,
            "inputs": json.loads(inputs),
        }
        for name, stage, path, sha256, size, inputs in rows
    ]


def counts(connection: "DuckDBPyConnection") -> dict[str, int]:
    counts = {}
    for table in COLUMNS:
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        counts[table] = int(row[0]) if row else 0
    return counts
