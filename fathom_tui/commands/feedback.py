"""`fathom feedback`: what people say of a served model's answers, kept in the ledger."""

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fathom_tui.commands.output import add_json_flag, narrate, print_json, printable
from fathom_tui.errors import ExitCode, NotFound, UsageError

if TYPE_CHECKING:
    from fathom_tui.store.paths import Home

VERDICTS = ("good", "bad")
LONGEST_NOTE = 2000
"""Characters. Our choice: a page, which is as much as anybody reads in a list."""
EPILOG = """\
It is kept for the version that is live. --expected says what the answer ought to have been; such
rows are worth adding to the data of the next run.

--json prints what was recorded; with --list
  {"engagement", "good", "bad", "feedback": [{"at", "deployment", "verdict", "by", "note",
    "expected"}]}

examples:
  fathom feedback acme-triage bad --by Ann --note "calls a lost card a stolen one" --expected lost
  fathom feedback acme-triage --list
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the engagement and what is said of it."""
    parser.epilog = EPILOG
    parser.add_argument("engagement", metavar="ENGAGEMENT")
    parser.add_argument("verdict", metavar="good|bad", nargs="?", choices=VERDICTS)
    parser.add_argument("--by", metavar="NAME", help="who says it")
    parser.add_argument("--note", metavar="TEXT", help="what was good or bad")
    parser.add_argument("--expected", metavar="TEXT", help="what the answer ought to have been")
    parser.add_argument("--list", action="store_true", help="show what was said so far")
    add_json_flag(parser)


def run(arguments: argparse.Namespace) -> int:
    """Record one word of feedback, or list what there is."""
    from fathom_tui.store.paths import Home

    home = Home.from_env()
    if arguments.list:
        return _list(home, arguments)
    data = _given(arguments)
    _record(home, arguments, data)
    return ExitCode.DONE


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.verdict is None:
        raise UsageError(
            "Good or bad: which of them is not said.",
            fix=f"fathom feedback {arguments.engagement} good|bad --by NAME",
        )
    by = (arguments.by or "").strip()
    if not by:
        raise UsageError("Feedback needs a person's name.", fix="Add --by NAME.")
    note = (arguments.note or "").strip()
    if len(note) > LONGEST_NOTE:
        raise UsageError(
            f"The note has {len(note):,} characters; {LONGEST_NOTE:,} are the most.",
            fix="Shorten it, or keep the long text in a file and name that.",
        )
    data = {"verdict": arguments.verdict, "by": by, "note": note}
    return data | ({"expected": arguments.expected} if arguments.expected is not None else {})


def _record(home: "Home", arguments: argparse.Namespace, said: Mapping[str, Any]) -> None:
    from fathom_tui.store.ledger import Store
    from fathom_tui.store.live import watched

    live = watched(home, arguments.engagement).live
    if live is None:
        raise NotFound(
            f"Nothing of {arguments.engagement} is live, so there is nothing to speak of.",
            fix=f"fathom versions {arguments.engagement}",
        )
    data = {"deployment": live["id"], **said}
    Store(home).record(arguments.engagement, "feedback", data)
    if arguments.json:
        print_json(data)
    narrate(f"Kept: {data['by']} finds {data['deployment']} {data['verdict']}.")


def _list(home: "Home", arguments: argparse.Namespace) -> int:
    from fathom_tui.store.live import feedback

    if arguments.verdict is not None or arguments.by is not None:
        raise UsageError("--list only shows what was said.", fix="Leave out the rest.")
    rows = feedback(home, arguments.engagement)
    good = sum(row.get("verdict") == "good" for row in rows)
    if arguments.json:
        counts = {"engagement": arguments.engagement, "good": good, "bad": len(rows) - good}
        print_json({**counts, "feedback": [_shown(row) for row in rows]})
        return ExitCode.DONE
    for row in rows:
        print(printable(_line(row)))
    narrate(_sum(rows, good))
    return ExitCode.DONE


_SHOWN = ("at", "deployment", "verdict", "by", "note", "expected")


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row.get(name) for name in _SHOWN}


def _line(row: Mapping[str, Any]) -> str:
    when = str(row["at"])[:16].replace("T", " ")
    text = f"{when}  {row.get('deployment')}  {row.get('verdict')!s:<4}  {row.get('by')}"
    note = f"  {row['note']}" if row.get("note") else ""
    expected = f"  (expected: {row['expected']})" if row.get("expected") else ""
    return " ".join((text + note + expected).splitlines())  # one row each, whatever was typed


def _sum(rows: Sequence[Mapping[str, Any]], good: int) -> str:
    if not rows:
        return "Nobody has said anything yet."
    from fathom_tui.proportions import wilson

    share = wilson(good, len(rows))
    return (
        f"{good} of {len(rows)} good (95 %: {share.low:.2f}–{share.high:.2f}); people speak up "
        "when something is wrong, so the share says less than its change."
    )
