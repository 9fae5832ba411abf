"""`fathom versions`: what is kept of an engagement, what is live, and removing old ones."""

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fathom_tui.commands.ledger import ledger
from fathom_tui.commands.output import add_json_flag, console, narrate, print_json
from fathom_tui.errors import CouldNotCheck, ExitCode

if TYPE_CHECKING:
    from fathom_tui.runner.rollout import Rollouts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the engagement and what to remove."""
    parser.add_argument("engagement", metavar="ENGAGEMENT")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--remove", metavar="VERSION", help="delete one that is not live")
    what.add_argument(
        "--prune",
        action="store_true",
        help="delete all but the live one, the one before it and the last three",
    )
    add_json_flag(parser)


def run(arguments: argparse.Namespace) -> int:
    """Remove what was named, then list."""
    from fathom_tui.runner.rollout import Rollouts

    with ledger() as store:
        rollouts = Rollouts(store, arguments.engagement, say=narrate)
        if arguments.remove is not None:
            rollouts.remove(arguments.remove)
            narrate(f"{arguments.remove} is removed.")
        elif arguments.prune:
            gone = rollouts.prune()
            narrate(f"Removed: {', '.join(gone)}." if gone else "There is nothing old to remove.")
        rows = rollouts.rows()
        said = {name: _asked(rollouts, name) for name in {str(row["target"]) for row in rows}}
    if arguments.json:
        print_json([_as_json(row, said[str(row["target"])]) for row in rows])
    elif rows:
        _print(rows, said)
    else:
        narrate(f"Nothing of {arguments.engagement} was deployed yet. The last stages of a run do.")
    return ExitCode.DONE


Said = Mapping[str, Any]
"""What a target says itself: live, versions and whether it answers; or error."""


def _asked(rollouts: "Rollouts", name: str) -> Said:
    target = rollouts.target(name)
    try:
        found = {"live": target.live, "versions": target.versions, "error": None}
        return {**found, "answering": target.url is not None}
    except CouldNotCheck as error:
        return {"live": None, "versions": [], "error": error.message, "answering": False}


def _as_json(row: Mapping[str, Any], said: Said) -> dict[str, Any]:
    names = ("id", "version", "state", "target", "run", "url", "sha256", "previous")
    known = said["error"] is None
    return {
        **{name: row.get(name) for name in names},
        "at": row["at"],
        "reason": row.get("reason"),
        "live": said["answering"] and row["version"] == said["live"] if known else None,
        "answering": said["answering"],
        "kept": row["version"] in said["versions"] if known else None,
        "error": said["error"],
    }


def _print(rows: Sequence[Mapping[str, Any]], said: Mapping[str, Said]) -> None:
    from rich.table import Table

    table = Table("Version", "Target", "Ledger", "Server", "Run", "Since", box=None, pad_edge=False)
    for row in rows:
        table.add_row(
            str(row["version"]), str(row["target"]), str(row["state"]).replace("_", " "),
            _server(str(row["version"]), said[str(row["target"])]),
            str(row["run"]), str(row["at"])[:16].replace("T", " "),
        )  # fmt: skip
    console().print(table)
    for found in said.values():
        if found["error"]:
            narrate(f"note: {found['error']}")


def _server(version: str, said: Said) -> str:
    if said["error"] is not None:
        return "not reached"
    if version == said["live"]:
        return "live" if said["answering"] else "stopped"
    return "kept" if version in said["versions"] else "not there"
