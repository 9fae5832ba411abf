"""`fathom tui`, and `fathom` alone in a terminal: the screens."""

import argparse
import sys

from fathom_tui.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what may be shown first."""
    parser.add_argument("--run", metavar="RUN", help="the run to show first")


def run(arguments: argparse.Namespace) -> int:
    """Open the screens and return when they are left; work goes on in the agent."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "The screens need a terminal, and there is none.", fix="Over SSH: ssh -t HOST fathom"
        )
    from fathom_tui.screens.launch import open_screens
    from fathom_tui.store.paths import Home

    return open_screens(Home.from_env(), open_run=arguments.run)
