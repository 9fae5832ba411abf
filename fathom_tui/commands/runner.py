"""`fathom runner`: the agent that works through the runs, and the units that keep all at work."""

import argparse
import time
from typing import TYPE_CHECKING

from fathom_tui.commands.output import add_json_flag, narrate
from fathom_tui.errors import EnvironmentProblem, ExitCode

if TYPE_CHECKING:
    from fathom_tui.store.paths import Home

EPILOG = """\
Units: `install` writes the agent, a server for each engagement that was deployed and a daily check
of their anchors, and starts them; they come back after a reboot. As yourself they end with your
last session unless you linger (status says so); with --system they run as an account of their own,
sandboxed, and need root. --dry-run shows them, with --directory DIR in files.
"""
_STOP_S = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare start, stop, status, run, and what has to do with units."""
    parser.epilog = EPILOG
    verbs = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    verbs.add_parser("start", help="start it in the background, unless it is there")
    verbs.add_parser("stop", help="end it; a run under way can be resumed")
    status = verbs.add_parser("status", help="say what it is doing; exit 3 when there is none")
    verbs.add_parser("run", help="be the agent, in this terminal, until interrupted")
    add_json_flag(status)
    _add_install(verbs.add_parser("install", help="install units, and start them"))
    uninstall = verbs.add_parser("uninstall", help="stop and remove our units; data stays")
    logs = verbs.add_parser("logs", help="print what agent, servers and checks said")
    logs.add_argument("-n", dest="lines", type=int, default=100, metavar="N", help="last N lines")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as they say more")
    for verb in (status, uninstall, logs):
        verb.add_argument("--system", action="store_true", help="the system's units")
    verbs.add_parser("check-gpu", help="exit 4 when no GPU can be used from here")


def _add_install(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--system", action="store_true", help="for the machine, by root, sandboxed")
    parser.add_argument(
        "--account", metavar="NAME", help="who system services run as (default: fathom)"
    )
    parser.add_argument("--target", metavar="TARGET", help="llama-cpp, ollama or vllm")
    parser.add_argument(
        "--engagement",
        dest="engagements",
        action="append",
        default=[],
        metavar="SLUG",
        help="gets a server; repeat for more (default: every one that was deployed)",
    )
    device = parser.add_mutually_exclusive_group()
    device.add_argument("--gpu", action="store_true", default=None, help="services use the GPU")
    device.add_argument("--cpu", action="store_true", help="they do not (default: where is none)")
    parser.add_argument(
        "--lora",
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="with vllm: an adapter beside the model; repeat for more",
    )
    parser.add_argument("--dry-run", action="store_true", help="install nothing, show the files")
    parser.add_argument("--directory", metavar="DIR", help="with --dry-run: write them there")
    parser.add_argument("--launchd", action="store_true", help="property lists for macOS instead")


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked of the agent."""
    if arguments.action in ("install", "uninstall", "logs", "check-gpu"):
        from fathom_tui.commands import runner_units

        return runner_units.ACTIONS[arguments.action](arguments)
    if arguments.action == "status":
        from fathom_tui.commands.runner_status import status

        return status(system=arguments.system, as_json=arguments.json)
    from fathom_tui.store import Home

    home = Home.from_env()
    if arguments.action == "start":
        return _start(home)
    return _run(home) if arguments.action == "run" else _stop(home)


def _start(home: "Home") -> int:
    from fathom_tui.commands.runner_units import start_unit
    from fathom_tui.store.requests import agent_alive, ensure_agent

    if agent_alive(home) is None and start_unit(home):
        narrate("The agent is at work, as a unit.")
        return ExitCode.DONE
    narrate(f"The agent is at work (process {ensure_agent(home) or 'starting'}).")
    return ExitCode.DONE


def _run(home: "Home") -> int:
    from fathom_tui.commands.run import narrate_event
    from fathom_tui.runner.agent import Agent
    from fathom_tui.runner.notify import Notify

    notify = Notify.from_env()
    with Agent(home, idle_s=None, observer=narrate_event, notify=notify) as agent:
        narrate("The agent is at work. Ctrl-C ends it; a run under way can be resumed.")
        agent.serve()
    return ExitCode.DONE


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
