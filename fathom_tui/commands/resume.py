"""`fathom resume`: go on with a run at its first unfinished stage."""

import argparse
from typing import TYPE_CHECKING

from fathom_tui.commands.output import narrate
from fathom_tui.errors import ExitCode

if TYPE_CHECKING:
    from fathom_tui.store import Store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the run and whether to wait for it."""
    parser.add_argument("run_id", metavar="RUN", help="for example acme-triage-3")
    parser.add_argument("--follow", action="store_true", help="show progress until it ends")


def run(arguments: argparse.Namespace) -> int:
    """Drop the request and make sure that an agent takes it."""
    from fathom_tui.store import Home, Store
    from fathom_tui.store.requests import ensure_agent, resume

    home = Home.from_env()
    still = _still_refused(Store(home), arguments.run_id)
    resume(home, arguments.run_id)
    ensure_agent(home)
    for gate in still:
        narrate(f"Gate {gate} is not waived: it refuses again unless what it judged has changed.")
    if not arguments.follow:
        narrate(f"Run {arguments.run_id} is with the agent: fathom logs {arguments.run_id} -f")
        return ExitCode.DONE
    from fathom_tui.commands.follow import EXIT_CODES, follow, print_result

    view = follow(home, arguments.run_id)
    print_result(view, home)
    return EXIT_CODES[view.state]


def _still_refused(store: "Store", run_id: str) -> list[str]:
    """Return the gates that stopped the run and that nobody has waived."""
    from fathom_tui.gates import Outcome
    from fathom_tui.store.requests import waiting

    if run_id in waiting(store.home):
        return []  # nothing of it is written yet
    view = store.run_view(run_id)
    waived = {waiver["gate"] for waiver in store.waivers(view.engagement, run_id)}
    gates = (gate for stage in view.stages.values() for gate in stage.gates)
    return [g.name for g in gates if g.outcome is Outcome.REFUSE and g.name not in waived]
