"""`fathom rollback`: the version before, or a named one, is live again."""

import argparse

from fathom_tui.commands.deploy import tell
from fathom_tui.commands.ledger import ledger
from fathom_tui.commands.output import add_json_flag, narrate
from fathom_tui.errors import ExitCode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the engagement and the version."""
    parser.add_argument("engagement", metavar="ENGAGEMENT")
    parser.add_argument("--to", metavar="VERSION", help="for example v2 (default: the one before)")
    add_json_flag(parser)


def run(arguments: argparse.Namespace) -> int:
    """Activate it, with its anchors."""
    from fathom_tui.runner.rollout import Rollouts

    with ledger() as store:
        done = Rollouts(store, arguments.engagement, say=narrate).roll_back(arguments.to)
    tell(done, as_json=arguments.json)
    return ExitCode.DONE
