"""`fathom resume`: go on with a run at its first unfinished stage."""

import argparse

from fathom_tui.commands.output import narrate
from fathom_tui.errors import ExitCode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the run and whether to wait for it."""
    parser.add_argument("run_id", metavar="RUN", help="for example acme-triage-3")
    parser.add_argument("--follow", action="store_true", help="show progress until it ends")


def run(arguments: argparse.Namespace) -> int:
    """Drop the request and make sure that an agent takes it."""
    from fathom_tui.store import Home
    from fathom_tui.store.requests import ensure_agent, resume

    home = Home.from_env()
    resume(home, arguments.run_id)
    ensure_agent(home)
    if not arguments.follow:
        narrate(f"Run {arguments.run_id} goes on: fathom logs {arguments.run_id} -f")
        return ExitCode.DONE
    from fathom_tui.commands.follow import EXIT_CODES, follow, print_result

    view = follow(home, arguments.run_id)
    print_result(view, home)
    return EXIT_CODES[view.state]
