"""`fathom engagement`: create, list and show engagements, and keep the promises on their data."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fathom_tui.commands.ledger import ledger
from fathom_tui.commands.output import add_json_flag, console, narrate, print_json, printable
from fathom_tui.commands.retention import (
    add_retention_arguments,
    kept_until,
    print_promise,
    purge,
    retain,
)
from fathom_tui.errors import ExitCode, UsageError
from fathom_tui.store import EngagementRow, RunRow, Store
from fathom_tui.workload import Workload

EPILOG = """\
examples:
  fathom engagement create "Acme triage" --data tickets.csv --input text --output category
  fathom engagement create "Acme triage" --config acme.toml
  fathom engagement create "Acme" --advice-only
  fathom engagement show acme-triage
  fathom engagement retain acme-triage --days 30
  fathom engagement purge acme-triage --by "Ann Lee" --reason "end of the project" --dry-run
"""
CREATE_EPILOG = """\
The file of --config holds the same settings and more, under their names in the recipe: dataset,
test, input, output, stratum, model, instruction, threshold, epochs, rank, seed and so on, and
a table [contract] where an answer is more than one label. What is given here wins over the file.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions."""
    parser.epilog = EPILOG
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser(
        "create",
        help="begin one from a data file",
        epilog=CREATE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_create_arguments(create)
    add_json_flag(create)
    add_json_flag(actions.add_parser("list", help="list all of them", allow_abbrev=False))
    show = actions.add_parser("show", help="show one, with its runs", allow_abbrev=False)
    show.add_argument("engagement", metavar="ENGAGEMENT", help="its short name")
    add_json_flag(show)
    add_retention_arguments(actions)


def _add_create_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="what people call it")
    parser.add_argument("--slug", help="short name, if not the one made from NAME")
    parser.add_argument("--data", dest="dataset", metavar="FILE", help="CSV, JSON Lines or JSON")
    parser.add_argument(
        "--advice-only", action="store_true", help="no data yet: for workloads and reports"
    )
    parser.add_argument("--test", metavar="FILE", help="a fixed test file, never trained on")
    parser.add_argument("--input", metavar="COLUMN", help="column of the message (text)")
    parser.add_argument("--output", metavar="COLUMN", help="column of the answer (label)")
    parser.add_argument("--stratum", metavar="COLUMN", help="column of routine, edge, adversarial")
    parser.add_argument("--config", metavar="FILE.toml", type=Path, help="settings from a file")
    parser.add_argument("--model", metavar="DIRECTORY", help="Hugging Face directory (embedded)")
    parser.add_argument("--instruction", metavar="TEXT", help="what the model is told to do")
    parser.add_argument("--threshold", metavar="F", type=float, help="score that is good enough")


def run(arguments: argparse.Namespace) -> int:
    """Do one of the actions."""
    with ledger() as store:
        return _ACTIONS[arguments.action](store, arguments)


_FLAGS = (
    *("dataset", "test", "input", "output", "stratum"),
    *("model", "instruction", "threshold"),
)


def _create(store: Store, arguments: argparse.Namespace) -> int:
    from fathom_tui.engagement import check_name, configure, read_settings

    name = check_name(arguments.name)
    settings = read_settings(arguments.config) if arguments.config else {}
    given = {flag: getattr(arguments, flag) for flag in _FLAGS}
    settings |= {flag: value for flag, value in given.items() if value is not None}
    if arguments.advice_only and settings:
        raise UsageError(
            f"--advice-only goes without data, and {', '.join(sorted(settings))} was given.",
            fix="Leave one of them out.",
        )
    config = {} if arguments.advice_only else configure(settings)
    slug = store.create_engagement(name, config, arguments.slug)
    if arguments.json:
        print_json({"slug": slug, "name": name, "config": config})
    else:
        advise = f"fathom advise --tokens-per-day 2M --engagement {slug}"
        narrate(
            f"Engagement {slug} is there. "
            f"Next: {advise if arguments.advice_only else f'fathom run {slug}'}"
        )
    return ExitCode.DONE


def _list(store: Store, arguments: argparse.Namespace) -> int:
    rows = store.engagements()
    if arguments.json:
        until = store.fact("retention_until")
        print_json([row.to_json() | {"retention_until": until.get(row.slug)} for row in rows])
    elif rows:
        _print_list(rows, kept_until(store))
    else:
        narrate("There is no engagement yet. Try: fathom demo, or: fathom engagement create --help")
    return ExitCode.DONE


def _print_list(rows: list[EngagementRow], until: Mapping[str, str]) -> None:
    from rich.table import Table

    titles = ["Engagement", "Name", "Runs", "Last run", "Created"]
    table = Table(*titles, *(["Keep until"] if until else []), box=None, pad_edge=False)
    for row in rows:
        last = f"{row.last_run} {row.last_state}" if row.last_run else ""
        cells = (row.slug, printable(row.name), str(row.runs), last, row.created_at[:10])
        table.add_row(*cells, *([until.get(row.slug, "")] if until else []))
    console().print(table)


def _show(store: Store, arguments: argparse.Namespace) -> int:
    row = store.engagement(arguments.engagement)
    runs = store.runs(row.slug)
    waivers = store.waivers(row.slug)
    if arguments.json:
        print_json(_everything(store, row, runs, waivers))
    else:
        from fathom_tui.store.workloads import workloads

        _print_one(row, runs, waivers, store.test_openings(row.slug), workloads(store, row.slug))
        print_promise(store, row.slug)
    return ExitCode.DONE


def _everything(
    store: Store, row: EngagementRow, runs: list[RunRow], waivers: list[dict[str, Any]]
) -> dict[str, Any]:
    slug = row.slug
    return row.to_json() | {
        "run_list": [run.to_json() for run in runs],
        "facts": store.facts(slug),
        "decisions": store.decisions(slug),
        "waivers": waivers,
        "deployments": store.deployments(slug),
        "retention_until": store.fact("retention_until").get(slug),
        "purges": store.purges(slug),
        "test_openings": store.test_openings(slug),
    }


def _print_one(
    row: EngagementRow,
    runs: list[RunRow],
    waivers: list[dict[str, Any]],
    openings: int,
    kept: list[Workload],
) -> None:
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("Engagement", f"{printable(row.name)} ({row.slug}), since {row.created_at[:10]}")
    for name, value in row.config.items():
        table.add_row(name, printable(_setting(value)))
    for workload in kept:
        volume = f"{workload.tokens_per_day:,.0f} tokens/day"
        table.add_row("workload", printable(f"{workload.name}: {volume}"))
    table.add_row("test split opened", f"{openings} times")
    for waiver in waivers:
        said = f"{waiver['gate']} of {waiver['run']}, by {waiver['by']}: {waiver['reason']}"
        table.add_row("waiver", printable(said))
    for run in runs:
        table.add_row("run", f"{run.id} {run.state}, {run.created_at[:16].replace('T', ' ')} UTC")
    console().print(table)
    if not runs and row.config:
        narrate(f"No run yet. Next: fathom run {row.slug}")
    elif not runs:
        narrate(f"It has no data, so nothing can run. Next: fathom advise --engagement {row.slug}")


def _setting(value: object) -> str:
    if isinstance(value, Mapping):  # only the contract is one
        return "; ".join(
            f"{field['name']}: {', '.join(field['choices']) or field['kind']}"
            for field in value.get("fields", ())
        )
    return str(value)


_ACTIONS = {
    "create": _create,
    "list": _list,
    "show": _show,
    "retain": retain,
    "purge": purge,
}
