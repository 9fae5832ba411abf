"""`fathom cancel`: ask the agent to stop a run."""

import argparse

from fathom_tui.commands.output import narrate
from fathom_tui.errors import ExitCode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the run."""
    parser.add_argument("run_id", metavar="RUN", help="for example acme-triage-3")


def run(arguments: argparse.Namespace) -> int:
    """Drop the request; the agent ends the stage under way, or the waiting, within seconds."""
    from fathom_tui.store import Home
    from fathom_tui.store.requests import cancel, ensure_agent

    home = Home.from_env()
    cancel(home, arguments.run_id)
    ensure_agent(home)  # a run may wait for one that has ended
    narrate(
        f"Run {arguments.run_id} is being cancelled. What it has finished is kept: "
        f"fathom resume {arguments.run_id}"
    )
    return ExitCode.DONE
