"""`fathom engagement retain` and `purge`: until when data may be kept, and its deletion."""

import argparse
import sys
from typing import TYPE_CHECKING

from fathom_tui.commands.output import add_json_flag, narrate, print_json, printable
from fathom_tui.errors import ExitCode, UsageError
from fathom_tui.store import Store

if TYPE_CHECKING:
    from fathom_tui.reports.certificate import Certificate

PURGE_EPILOG = """\
Deleted are the rows in every run's directory: splits, evaluation cases with their answers, prompt
examples, checkpoints, logs, anchors of the run. Kept are the ledger's journals, the weights
(adapter, merged model, GGUF) and what a served version needs. The client's own file stays where it
is unless --also-original is given. The certificate, as Markdown and as JSON, names every file with
its sha256; a purge that was cut short is repeated with the same command and loses none of them.
After it no delivery package can be made of these runs: make it first (fathom package).

--json prints the certificate: {"engagement", "number", "by", "reason", "planned_at", "done_at",
"retention_until", "count", "bytes", "files": [{"path", "sha256", "bytes", "run"}], "removed",
"kept", "limits", "certificate": path or null}.
"""


def add_retention_arguments(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the two actions."""
    _add_retain_arguments(
        actions.add_parser("retain", help="until when its data may be kept", allow_abbrev=False)
    )
    _add_purge_arguments(
        actions.add_parser(
            "purge",
            help="delete its data, with a certificate",
            epilog=PURGE_EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
    )


def _add_retain_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("engagement", metavar="ENGAGEMENT", help="its short name")
    until = parser.add_mutually_exclusive_group(required=True)
    until.add_argument("--until", metavar="YYYY-MM-DD", help="last day on which it may be kept")
    until.add_argument("--days", metavar="N", type=int, help="the same, counted from today")
    add_json_flag(parser)


def _add_purge_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("engagement", metavar="ENGAGEMENT", help="its short name")
    parser.add_argument("--by", metavar="NAME", required=True, help="who deletes it")
    parser.add_argument("--reason", metavar="TEXT", required=True, help="why")
    parser.add_argument(
        "--also-original", action="store_true", help="the client's own data file as well"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would go, delete nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask again")
    add_json_flag(parser)


def kept_until(store: Store) -> dict[str, str]:
    """Return each engagement's retention date with what has become of it."""
    from fathom_tui.store.journal import utc_now

    today = utc_now()[:10]
    until = {slug: str(date) for slug, date in store.fact("retention_until").items()}
    said = {slug: f"{date} (overdue)" if date < today else date for slug, date in until.items()}
    return said | {str(row["engagement"]): f"purged {row['at'][:10]}" for row in store.purges()}


def print_promise(store: Store, slug: str) -> None:
    """Print until when the data may be kept, and every deletion."""
    purges, until = store.purges(slug), kept_until(store).get(slug)
    if until is not None and not purges:
        narrate(f"Its data may be kept until: {until}")
    for row in purges:
        where = store.home.data / str(row["certificate"])
        narrate(f"Purged on {str(row['at'])[:10]} by {row['by']}: {row['files']} files, {where}")


def retain(store: Store, arguments: argparse.Namespace) -> int:
    """Record the last day on which the data may be kept."""
    slug = store.engagement(arguments.engagement).slug
    date = _date(arguments)
    store.record(slug, "fact", {"key": "retention_until", "value": date})
    if arguments.json:
        print_json({"engagement": slug, "retention_until": date})
    narrate(f"The data of {slug} may be kept until {date}. Then:")
    narrate(f"  fathom engagement purge {slug} --by NAME --reason TEXT")
    return ExitCode.DONE


def _date(arguments: argparse.Namespace) -> str:
    """Return the last day of keeping as an ISO date.

    Raises:
        UsageError: It is no date, or it lies in the past.
    """
    from datetime import UTC, date, datetime, timedelta

    today = datetime.now(UTC).date()
    try:
        until = (
            date.fromisoformat(arguments.until)
            if arguments.until is not None
            else today + timedelta(days=arguments.days)
        )
    except (ValueError, OverflowError) as error:
        given = arguments.until if arguments.until is not None else arguments.days
        raise UsageError(
            f"{given!r} gives no date: {error}.", fix=f"For example --until {today}, or --days 30."
        ) from error
    if until < today:
        raise UsageError(
            f"{until} lies in the past (today is {today}, UTC).",
            fix="If the time is over: "
            f"fathom engagement purge {arguments.engagement} --by NAME --reason TEXT",
        )
    return until.isoformat()


def purge(store: Store, arguments: argparse.Namespace) -> int:
    """Delete the data, or say what would be deleted."""
    from fathom_tui.store.purge import purging

    for flag, text in (("--by", arguments.by), ("--reason", arguments.reason)):
        if not text.strip():
            raise UsageError(f"{flag} is blank.", fix="A deletion needs a name and a reason.")
    slug = store.engagement(arguments.engagement).slug
    with purging(store.home, slug):
        return _purge(store, slug, arguments)


def _purge(store: Store, slug: str, arguments: argparse.Namespace) -> int:
    from fathom_tui.store.purge import purge as delete
    from fathom_tui.store.purge_plan import plan_purge

    plan = plan_purge(
        store,
        slug,
        by=arguments.by.strip(),
        reason=arguments.reason.strip(),
        also_original=arguments.also_original,
    )
    if not plan.files or arguments.dry_run:
        return _say_plan(plan, as_json=arguments.json)
    if not arguments.yes:
        _ask_again(plan)
    done, report = delete(store, plan)
    if arguments.json:
        print_json(done.to_json() | {"certificate": str(report)})
    narrate(f"{_count(done)} of {slug} are deleted.")
    narrate(f"Certificate: {report} (and the same as .json)")
    return ExitCode.DONE


def _count(plan: "Certificate") -> str:
    files = "1 file" if len(plan.files) == 1 else f"{len(plan.files):,} files"
    return f"{files} with {plan.bytes / 1e6:,.1f} MB"


def _say_plan(plan: "Certificate", *, as_json: bool) -> int:
    """Print what would be deleted, and what not."""
    if as_json:
        print_json(plan.to_json() | {"certificate": None})
        return ExitCode.DONE
    for found in plan.files:
        print(printable(f"{found.bytes:>14,}  {found.path}"))
    for text in plan.kept:
        narrate(f"kept: {text}")
    if plan.files:
        narrate(f"{_count(plan)} would be deleted; nothing was.")
    else:
        narrate(f"Nothing of {plan.slug} is left to delete.")
    return ExitCode.DONE


def _ask_again(plan: "Certificate") -> None:
    """Let a person type the engagement's name, as nothing brings the files back.

    Raises:
        UsageError: Nobody is there to be asked, or they typed something else.
    """
    if not sys.stdin.isatty():
        raise UsageError(
            f"{_count(plan)} of {plan.slug} would be deleted for good.",
            fix="Look at them with --dry-run, then give --yes.",
        )
    for found in plan.files:
        if not found.run:
            narrate(f"original, to be deleted: {found.path}")
    for text in plan.kept:
        narrate(f"kept: {text}")
    narrate(f"{_count(plan)} of {plan.slug} will be deleted for good. No package can be made then.")
    print(f"Type {plan.slug} to go on: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != plan.slug:
        raise UsageError("Nothing was deleted: the name was not typed.", fix="")
