"""`fathom run`: an engagement's stages, in the agent or in this terminal."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fathom_tui.commands.output import add_json_flag, narrate, print_json
from fathom_tui.errors import DatasetError, ExitCode

if TYPE_CHECKING:
    from fathom_tui.recipe import Plan
    from fathom_tui.runs import RunView
    from fathom_tui.store.paths import Home

EPILOG = """\
The agent works through the stages in the background and outlives this terminal:
  fathom logs RUN -f     follow the journal      fathom cancel RUN   stop it
  fathom runs            see all runs            fathom resume RUN   go on with it
With --foreground the stages run in this terminal and end with it.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the engagement and how to run it."""
    parser.epilog = EPILOG
    parser.add_argument("engagement", metavar="ENGAGEMENT")
    parser.add_argument("--foreground", action="store_true", help="run here, until the end")
    parser.add_argument("--test", metavar="FILE", help="a fixed test file instead of a share")
    parser.add_argument("--quick", action="store_true", help="256 training rows, one epoch: a look")
    parser.add_argument("--target", help="where it is served: llama-cpp (default), ollama, vllm")
    add_json_flag(parser)


def run(arguments: argparse.Namespace) -> int:
    """Start the run, and with --foreground work through it."""
    from fathom_tui.recipe import Plan, quick
    from fathom_tui.store import Home, Store
    from fathom_tui.store.requests import ensure_agent, start_run

    home = Home.from_env()
    changes: dict[str, Any] = {}
    if arguments.test is not None:
        changes["test"] = _existing(arguments.test)
    if arguments.target is not None:
        changes["target"] = arguments.target
    if arguments.quick or changes:
        plan = Plan.from_json({**Store(home).engagement(arguments.engagement).config, **changes})
        if arguments.test is not None:
            _check_rows(changes["test"], plan)
        changes = quick(plan).to_json() if arguments.quick else changes
    if arguments.foreground:
        return _foreground(home, arguments, changes)
    run_id = start_run(home, arguments.engagement, changes=changes, created_by="fathom run")
    ensure_agent(home)
    if arguments.json:
        print_json({"run": run_id, "state": "queued"})
    narrate(f"Run {run_id} is with the agent. Follow it: fathom logs {run_id} -f")
    return ExitCode.DONE


def _foreground(home: "Home", arguments: argparse.Namespace, changes: dict[str, Any]) -> int:
    from fathom_tui.commands.follow import EXIT_CODES, print_result
    from fathom_tui.runner.agent import Agent
    from fathom_tui.store.requests import ensure_agent, requests, start_run
    from fathom_tui.summary import summary

    with Agent(home, observer=narrate_event) as agent:
        run_id = start_run(home, arguments.engagement, changes=changes, created_by="fathom run")
        narrate(f"Run {run_id}")
        view: RunView = agent.work_on(run_id)
    waiting = sorted({request.run for request in requests(home) if request.run})
    if waiting:
        # Whoever asked for them meanwhile saw an agent at work and started none.
        ensure_agent(home)
        narrate(f"Goes on in the background: {', '.join(waiting)}")
    print_result(view, home)
    if arguments.json:
        print_json(summary(view, home.run(run_id)))
    return EXIT_CODES[view.state]


def narrate_event(event: Any) -> None:
    """Say on stderr what an event means to a person; progress and metrics are passed over."""
    from fathom_tui.narration import tell

    if event.kind not in ("progress", "metric", "measured"):
        text = tell(event)
        if text:
            narrate(text)


def _existing(path: str) -> str:
    # The functions of os.path say no where those of Path raise: `~nobody`, a name too long.
    file = str(Path(os.path.expanduser(path)).absolute())
    if not os.path.isfile(file):
        raise DatasetError(f"There is no test file {path}.", fix="Check the path after --test.")
    return file


def _check_rows(path: str, plan: "Plan") -> None:
    """Read a test file once, so that a faulty row is named now and not minutes into the run."""
    from fathom_tui.datasets.formats import read_dataset

    columns = {"input": plan.input, "output": plan.output, "stratum": plan.stratum}
    read_dataset(Path(path), plan.contract, **columns)
