"""`fathom runner`: the agent that works through the runs."""

import argparse
import time
from typing import TYPE_CHECKING

from fathom_tui.commands.output import add_json_flag, narrate, print_json
from fathom_tui.errors import EnvironmentProblem, ExitCode

if TYPE_CHECKING:
    from fathom_tui.store.paths import Home

_STOP_S = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare start, stop, status and run."""
    verbs = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    verbs.add_parser("start", help="start it in the background, unless it is there")
    verbs.add_parser("stop", help="end it; a run under way can be resumed")
    status = verbs.add_parser("status", help="say what it is doing; exit 3 when there is none")
    verbs.add_parser("run", help="be the agent, in this terminal, until interrupted")
    add_json_flag(status)


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked of the agent."""
    from fathom_tui.store import Home

    home = Home.from_env()
    if arguments.action == "start":
        from fathom_tui.store.requests import ensure_agent

        narrate(f"The agent is at work (process {ensure_agent(home) or 'starting'}).")
        return ExitCode.DONE
    if arguments.action == "run":
        from fathom_tui.commands.run import narrate_event
        from fathom_tui.runner.agent import Agent

        with Agent(home, idle_s=None, observer=narrate_event) as agent:
            narrate("The agent is at work. Ctrl-C ends it; a run under way can be resumed.")
            agent.serve()
        return ExitCode.DONE
    if arguments.action == "stop":
        return _stop(home)
    return _status(home, as_json=arguments.json)


def _stop(home: "Home") -> int:
    from fathom_tui.store.requests import agent_alive, stop_agent

    if agent_alive(home) is None:
        narrate("There is no agent.")
        return ExitCode.DONE
    stop_agent(home)
    deadline = time.monotonic() + _STOP_S
    while agent_alive(home) is not None:
        if time.monotonic() > deadline:
            raise EnvironmentProblem(
                f"The agent has not ended within {_STOP_S:.0f} s.", fix="fathom runner status"
            )
        time.sleep(0.05)
    narrate("The agent has ended.")
    return ExitCode.DONE


def _status(home: "Home", *, as_json: bool) -> int:
    from fathom_tui.store.requests import agent_alive

    beat = agent_alive(home)
    if as_json:
        print_json(beat)
    elif beat is None:
        narrate("There is no agent. It starts with the next run, or with: fathom runner start")
    elif beat["run"] is None:
        narrate(f"The agent (process {beat['pid']}) waits for work.")
    else:
        narrate(f"The agent (process {beat['pid']}) is at {beat['stage']} of {beat['run']}.")
    return ExitCode.DONE if beat is not None else ExitCode.COULD_NOT_CHECK
