"""From events to rows: what an engagement's and a run's journal mean as tables.

Rows of a run come from the same fold as the screens (`fathom_tui.runs`).
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fathom_tui.errors import StoreError
from fathom_tui.events import Event
from fathom_tui.store.tables import ENGAGEMENT_TABLES, TABLE_OF_KIND, Rows, row

if TYPE_CHECKING:
    from fathom_tui.runs import RunView


def folded(path: Path, events: Iterable[Event]) -> "RunView":
    """Return the view of a run from all events of its journal.

    Raises:
        StoreError: An event lacks what its kind needs.
    """
    # 10 ms to import, and needed only when a run's journal has changed.
    from fathom_tui.runs import RunView, apply

    view = RunView()
    for event in events:
        try:
            apply(view, event)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(
                f"{path}, event {event.seq} ({event.kind}) cannot be understood: {error!r}.",
                fix="Upgrade Fathom if a newer one wrote it, else restore the file from a backup.",
            ) from error
    return view


def engagement_rows(slug: str, events: Iterable[Event]) -> Rows:
    """Return the rows of an engagement's events; kinds it does not know have none."""
    rows: Rows = {table: [] for table in ENGAGEMENT_TABLES}
    for event in events:
        table = TABLE_OF_KIND.get(event.kind)
        if table is None:
            continue
        values = {
            **event.data,
            "engagement": slug,
            "slug": slug,
            "seq": event.seq,
            "at": event.at,
            "created_at": event.at,
            "data": event.data,
        }
        rows[table].append(row(table, values))
    return rows


def run_rows(run_id: str, view: "RunView") -> Rows:
    """Return the rows of a run's fold."""
    return {
        "runs": [_run_row(run_id, view)],
        "stages": list(_stage_rows(run_id, view)),
        "gates": list(_gate_rows(run_id, view)),
        **metric_rows(run_id, view.metrics),
        "measured": [
            row("measured", {**_figure(item), **item, "run": run_id, "position": position})
            for position, item in enumerate(view.measured)
        ],
        "artifacts": [
            row(
                "artifacts",
                {
                    "run": run_id,
                    "name": artifact.name,
                    "stage": artifact.stage,
                    "path": artifact.path,
                    "sha256": artifact.sha256,
                    "bytes": artifact.bytes,
                    "inputs": artifact.inputs,
                },
            )
            for artifact in view.artifacts.values()
        ],
    }


def metric_rows(
    run_id: str, metrics: Iterable[Mapping[str, Any]], *, first_position: int = 0
) -> Rows:
    """Return the rows of a run's training metrics."""
    rows = [
        row("metrics", {**metric, "run": run_id, "position": position, "data": metric})
        for position, metric in enumerate(metrics, first_position)
    ]
    return {"metrics": rows}


def added_metrics(
    kept: list[Mapping[str, Any]], events: Iterable[Event], *, complete: bool
) -> list[Mapping[str, Any]] | None:
    """Return the metrics that events put behind those kept; None where they do more than that.

    Args:
        kept: The last metrics so far, in order.
        events: What follows; each a metric or something that changes no row.
        complete: Whether `kept` is all metrics so far.
    """
    from fathom_tui.runs import RunView, apply

    view = RunView(metrics=list(kept))
    stages = len(view.stages)
    for event in events:
        before = len(view.metrics)
        try:
            if event.kind == "metric" and not complete and event.data["step"] <= kept[0]["step"]:
                return None
            apply(view, event)
        except (KeyError, TypeError):
            # A malformed event: folding the whole journal says which.
            return None
        if len(view.metrics) != before + (event.kind == "metric"):
            return None
    return view.metrics[len(kept) :] if len(view.stages) == stages else None


def _run_row(run_id: str, view: "RunView") -> dict[str, Any]:
    return row(
        "runs",
        {
            "id": run_id,
            "engagement": view.engagement,
            "state": view.state.value,
            "created_at": view.created_at,
            "finished_at": view.finished_at,
            "attempts": view.attempts,
            "config": view.config,
            "result": view.result,
            "error": view.error,
            "fix": view.fix,
        },
    )


def _stage_rows(run_id: str, view: "RunView") -> Iterator[dict[str, Any]]:
    for position, stage in enumerate(view.stages.values()):
        verdict = stage.verdict
        yield row(
            "stages",
            {
                "run": run_id,
                "position": position,
                "name": stage.name,
                "state": stage.state.value,
                "started_at": stage.started_at,
                "seconds": stage.seconds,
                "verdict": verdict.value if verdict else None,
                "input_hash": stage.input_hash,
                "result": stage.result,
                "error": stage.error,
                "fix": stage.fix,
            },
        )


def _gate_rows(run_id: str, view: "RunView") -> Iterator[dict[str, Any]]:
    for stage in view.stages.values():
        for position, gate in enumerate(stage.gates):
            yield row(
                "gates",
                {**gate.to_json(), "run": run_id, "stage": stage.name, "position": position},
            )


def _figure(item: Mapping[str, Any]) -> Mapping[str, Any]:
    figure = item.get("figure")
    return figure if isinstance(figure, dict) else {}
