"""`fathom runs`: the runs with the state of their stages, or one of them in detail."""

import argparse
from typing import TYPE_CHECKING, Any

from fathom_tui.commands.ledger import ledger
from fathom_tui.commands.output import (
    add_json_flag,
    console,
    duration,
    narrate,
    print_json,
    printable,
)
from fathom_tui.errors import ExitCode
from fathom_tui.store import RunRow, Store

if TYPE_CHECKING:
    from fathom_tui.gates import Gate
    from fathom_tui.runs import RunView, StageView

EPILOG = """\
--json prints a list, newest run first; with --run one object with the gates, artifacts and the
result of the comparison as well:
  [{"id", "engagement", "state", "created_at", "finished_at",
    "stages": [{"name", "state", "seconds", "verdict"}]}]
state:    queued running done refused failed cancelled interrupted (a stage: pending, too)
seconds:  null until the stage ended    verdict: pass, warn, refuse, or null before any gate spoke
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be asked for."""
    parser.epilog = EPILOG
    which = parser.add_mutually_exclusive_group()
    which.add_argument("engagement", metavar="ENGAGEMENT", nargs="?", help="only its runs")
    which.add_argument("--run", metavar="RUN", help="one run in detail")
    add_json_flag(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the list, or one run."""
    with ledger() as store:
        if arguments.run is not None:
            return _one(store, arguments)
        return _all(store, arguments)


def _all(store: Store, arguments: argparse.Namespace) -> int:
    if arguments.engagement is not None:
        store.engagement(arguments.engagement)  # says so where there is none of that name
    rows = _with_waiting(store, store.runs(arguments.engagement))
    if arguments.json:
        print_json([row.to_json() for row in rows])
    elif rows:
        _print_list(rows)
    else:
        narrate("There is no run yet. Try: fathom demo, or: fathom run ENGAGEMENT")
    return ExitCode.DONE


def _with_waiting(store: Store, rows: list[RunRow]) -> list[RunRow]:
    """Return the runs, those that wait for the agent as queued: they ended before."""
    from dataclasses import replace

    from fathom_tui.store.requests import waiting

    asked = waiting(store.home)
    return [replace(row, state="queued") if row.id in asked else row for row in rows]


def _print_list(rows: list[RunRow]) -> None:
    from rich.table import Table

    table = Table("Run", "State", "Stages", "Stage time", "Created (UTC)", box=None, pad_edge=False)
    for row in rows:
        seconds = sum(stage.seconds or 0 for stage in row.stages)
        created = row.created_at[:16].replace("T", " ")
        table.add_row(row.id, row.state, _where(row), duration(seconds), created)
    console().print(table)


def _where(row: RunRow) -> str:
    """Say how far a run is: "6 of 12 done, train running"."""
    done = sum(stage.state == "done" for stage in row.stages)
    now = next((s for s in row.stages if s.state not in ("done", "pending")), None)
    return f"{done} of {len(row.stages)} done" + (f", {now.name} {now.state}" if now else "")


def _one(store: Store, arguments: argparse.Namespace) -> int:
    view = store.run_view(arguments.run)
    waivers = store.waivers(view.engagement, view.id)
    if arguments.json:
        print_json(_detail(view, waivers))
    else:
        _print_one(view, waivers)
    return ExitCode.DONE


def _detail(view: "RunView", waivers: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": view.id,
        "engagement": view.engagement,
        "state": view.state.value,
        "created_at": view.created_at,
        "finished_at": view.finished_at,
        "attempts": view.attempts,
        "error": view.error,
        "fix": view.fix,
        "stages": [_stage(stage) for stage in view.stages.values()],
        "artifacts": {
            a.name: {"path": a.path, "sha256": a.sha256, "bytes": a.bytes}
            for a in view.artifacts.values()
        },
        "waivers": waivers,
        "result": dict(view.result),
    }


def _stage(stage: "StageView") -> dict[str, Any]:
    return {
        "name": stage.name,
        "state": stage.state.value,
        "seconds": stage.seconds,
        "verdict": stage.verdict.value if stage.verdict else None,
        "gates": [gate.to_json() for gate in stage.gates],
        "error": stage.error,
        "fix": stage.fix,
    }


def _print_one(view: "RunView", waivers: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table("Stage", "State", "Time", "Verdict", "Why", box=None, pad_edge=False)
    waived = {waiver["gate"] for waiver in waivers}
    for stage in view.stages.values():
        verdict = stage.verdict.value if stage.verdict else ""
        why = "\n".join(_reasons(stage, waived))
        table.add_row(
            stage.name, stage.state.value, duration(stage.seconds), verdict, printable(why)
        )
    out = console()
    out.print(f"{view.id}: {view.state.value}, attempt {view.attempts}, of {view.engagement}")
    out.print(table)
    for waiver in waivers:
        out.print(printable(f"waived: {waiver['gate']}, by {waiver['by']}: {waiver['reason']}"))
    if view.error:
        out.print(printable("\n".join(filter(None, (view.error, view.fix)))))
    _print_scores(view)


def _print_scores(view: "RunView") -> None:
    """Print the comparison again, as at the end of the run."""
    from fathom_tui.commands.follow import score_tables

    out = console()
    for scores in score_tables(view, out):
        out.print()
        out.print(scores)
    if view.result:
        out.print(printable(f"\nverdict: {view.result['headline']}"))


def _reasons(stage: "StageView", waived: set[str]) -> list[str]:
    lines = [_reason(gate, waived) for gate in stage.gates if gate.outcome.value != "pass"]
    return [*lines, *filter(None, (stage.error, stage.fix))]


def _reason(gate: "Gate", waived: set[str]) -> str:
    lifted = " (waived)" if gate.name in waived else ""
    way_out = f" → {gate.fix}" if gate.fix else ""
    return f"{gate.outcome.value} {gate.name}{lifted}: {gate.reason}{way_out}"
