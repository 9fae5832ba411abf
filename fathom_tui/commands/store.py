"""`fathom store`: check the ledger, make it again from the journals, export its tables."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from fathom_tui.commands.output import add_json_flag, narrate, print_json, printable
from fathom_tui.errors import ExitCode

if TYPE_CHECKING:
    from fathom_tui.store import Store

_ABOUT = {
    "check": "read every journal, table and artifact; exit code 1 when something is broken",
    "rebuild": "make the database again from the journals",
    "export": "write each table to a file",
}
_MARKS = {"ok": "ok     ", "warning": "WARNING", "broken": "BROKEN "}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the three verbs."""
    verbs = parser.add_subparsers(dest="store_verb", required=True, metavar="check|rebuild|export")
    check, rebuild, export = (
        verbs.add_parser(verb, help=about, description=f"{about.capitalize()}.", allow_abbrev=False)
        for verb, about in _ABOUT.items()
    )
    export.add_argument("path", type=Path, help="directory to write to")
    export.add_argument(
        "--format",
        choices=("parquet", "csv", "jsonl"),
        default="parquet",
        help="of the files (default: %(default)s)",
    )
    for verb in (check, rebuild, export):
        add_json_flag(verb)


def run(arguments: argparse.Namespace) -> int:
    """Carry out the verb; `check` returns 1 when something is broken."""
    from fathom_tui.store import Home, Store

    store = Store(Home.from_env())
    verb = {"check": _check, "rebuild": _rebuild, "export": _export}[arguments.store_verb]
    code = verb(store, arguments)
    for note in store.notes:
        narrate(f"note: {note}")
    return code


def _check(store: "Store", arguments: argparse.Namespace) -> ExitCode:
    findings = store.check()
    counts = {
        state: sum(finding.state == state for finding in findings)
        for state in ("ok", "warning", "broken")
    }
    if arguments.json:
        print_json({**counts, "findings": [finding.to_json() for finding in findings]})
    for finding in [] if arguments.json else findings:
        print(printable(f"{_MARKS[finding.state]}  {finding.subject}: {finding.detail}"))
    summary = ", ".join(f"{count} {state}" for state, count in counts.items())
    narrate(f"{len(findings)} checked: {summary}")
    return ExitCode.REFUSED if counts["broken"] else ExitCode.DONE


def _rebuild(store: "Store", arguments: argparse.Namespace) -> ExitCode:
    counts = store.rebuild()
    if arguments.json:
        print_json({"rows": counts})
    for table, count in ({} if arguments.json else counts).items():
        print(f"{count:8d}  {table}")
    narrate(f"{store.home.database} was made again from the journals")
    return ExitCode.DONE


def _export(store: "Store", arguments: argparse.Namespace) -> ExitCode:
    files = store.export(arguments.path, arguments.format)
    if arguments.json:
        print_json({"files": [str(path) for path in files]})
    for path in [] if arguments.json else files:
        print(path)
    narrate(f"{len(files)} tables written to {arguments.path}")
    return ExitCode.DONE
