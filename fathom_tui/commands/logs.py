"""`fathom logs`: a run's journal as lines that people read."""

import argparse
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from fathom_tui.commands.ledger import ledger
from fathom_tui.commands.output import narrate, printable
from fathom_tui.errors import CouldNotCheck, ExitCode
from fathom_tui.events import Event
from fathom_tui.narration import tell
from fathom_tui.runs import RunView, apply
from fathom_tui.stages import RunState
from fathom_tui.store import Home
from fathom_tui.store.journal import tail
from fathom_tui.store.requests import agent_alive, waiting

POLL_S = 0.25
PATIENCE_S = 10.0
"""How long a run may be without an agent: one that was just asked for needs a moment to start."""

EPILOG = """\
Times are UTC. Ctrl-C ends the following, not the run. --json prints the events themselves, one
a line: {"v", "seq", "at", "mono", "kind", "data"}.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be asked for."""
    parser.epilog = EPILOG
    parser.add_argument("run_id", metavar="RUN", help="for example acme-triage-3")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the run ends")
    parser.add_argument("--all", action="store_true", help="progress within stages as well")
    parser.add_argument("--json", action="store_true", help="print events as JSON, one a line")


def run(arguments: argparse.Namespace) -> int:
    """Print the journal so far, and what comes if asked to."""
    with ledger() as store:
        store.run_view(arguments.run_id)  # says so where there is no such run, or it is damaged
        home = store.home
    view = RunView()
    offset = _print_news(home.run_journal(arguments.run_id), 0, view, arguments)
    if arguments.follow:
        _follow(home, arguments, view, offset)
    return ExitCode.DONE


def _print_news(path: Path, offset: int, view: RunView, arguments: argparse.Namespace) -> int:
    """Print what was appended since the offset, fold it into the view, return the new offset."""
    events, offset = tail(path, offset)
    # A journal that was replaced is read from its start; what was seen stays seen.
    news = [event for event in events if event.seq > view.seq]
    for event in news:
        apply(view, event)
    _print(news, arguments)
    return offset


def _print(events: Iterable[Event], arguments: argparse.Namespace) -> None:
    for event in events:
        if arguments.json:
            print(json.dumps(event.to_json()))
        elif arguments.all or event.kind != "progress":
            print(printable(tell(event)))
    if sys.stdout is not None:
        sys.stdout.flush()  # whoever reads a pipe follows too


def _follow(home: Home, arguments: argparse.Namespace, view: RunView, offset: int) -> None:
    path = home.run_journal(arguments.run_id)
    alone_since: float | None = None
    while True:
        # Looked for first: a request is taken away only once the journal says that work goes on.
        asked_for = arguments.run_id in waiting(home)
        seen = offset
        offset = _print_news(path, offset, view, arguments)
        if view.finished_at is not None and not asked_for:
            break
        if offset != seen or agent_alive(home) is not None:
            alone_since = None
        elif alone_since is None:
            alone_since = time.monotonic()
        elif time.monotonic() - alone_since > PATIENCE_S:
            state = RunState.QUEUED if asked_for else view.state
            raise CouldNotCheck(
                f"Nobody works on {arguments.run_id}: it is {state.value}, "
                "but no agent is running.",
                fix=f"fathom resume {arguments.run_id}",
            )
        time.sleep(POLL_S)
    narrate(f"{arguments.run_id} {view.state.value}.")
