"""`fathom doctor`: what this machine has and lacks, each with its fix."""

import argparse
import sys

from fathom_tui import doctor
from fathom_tui.commands.output import add_json_flag, console, narrate, print_json, printable
from fathom_tui.doctor import Diagnosis, State
from fathom_tui.errors import ExitCode
from fathom_tui.machine import Machine
from fathom_tui.recipe import EMBEDDED
from fathom_tui.sources import host, installed, nvml, services
from fathom_tui.store.paths import Home

EPILOG = """\
exit codes: 0 when the terminal app has all it needs (rows python, packages-base and home),
4 when it has not. What only training, serving or the demo need does not change the exit code.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog = EPILOG
    add_json_flag(parser)
    parser.add_argument(
        "--deep",
        action="store_true",
        help="load the model, generate, attach LoRA and train one step, in a child process",
    )
    parser.add_argument(
        "--model",
        metavar="DIRECTORY",
        default=EMBEDDED,
        help="with --deep: a Hugging Face directory instead of the embedded model",
    )


def run(arguments: argparse.Namespace) -> int:
    """Look at the machine, judge it, and print the list."""
    found = doctor.examine(look())
    if arguments.deep or arguments.model != EMBEDDED:
        found = _with_tried_steps(found, arguments.model)
    if arguments.json:
        print_json([diagnosis.to_json() for diagnosis in found])
    else:
        _print_table(found)
    return ExitCode.DONE if doctor.usable(found) else ExitCode.ENVIRONMENT


def look() -> Machine:
    """Read everything about this machine that needs no model."""
    home = Home.from_env()
    directories = (home.data, home.config, home.state, home.cache)
    return Machine(
        python=sys.version_info[:3],
        executable=sys.executable,
        cpu=host.cpu(),
        memory=host.memory(),
        disk=host.disk(home.data),
        gpus=nvml.gpus(),
        torch=installed.torch_build(),
        packages=installed.packages(),
        embedded_model=installed.has_embedded_model(),
        ollama=services.ollama(),
        systemd=services.systemd(),
        terminal=host.terminal(),
        unwritable=host.unwritable(directories),
        home=str(home.data),
        origin=installed.origin(),
    )


def _with_tried_steps(found: list[Diagnosis], model: str) -> list[Diagnosis]:
    absent = [d for d in found if d.check == "torch" and d.state is State.MISSING]
    if absent:
        narrate("torch is not installed, so the five steps cannot be tried.")
        return found
    from fathom_tui.runner.doctor import attempt

    home = Home.from_env().prepare()
    narrate("Trying the five steps in a child process: up to a minute.")
    tried = {diagnosis.check: diagnosis for diagnosis in attempt(model, home.cache)}
    return [tried.get(diagnosis.check, diagnosis) for diagnosis in found]


def _print_table(found: list[Diagnosis]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1), pad_edge=False)
    table.add_column("Check", no_wrap=True)
    table.add_column("State", no_wrap=True)
    table.add_column("What was found, and what to do", overflow="fold")
    for diagnosis in found:
        lines = [diagnosis.detail]
        if diagnosis.fix:
            lines.append(f"→ {diagnosis.fix}")
        state = Text(diagnosis.state.value, style=_STYLES[diagnosis.state])
        table.add_row(diagnosis.check, state, printable("\n".join(lines)))
    console().print(table)
    if not doctor.usable(found):
        narrate("The terminal app cannot run here; see the rows marked missing.")


_STYLES = {State.OK: "", State.WARNING: "yellow", State.MISSING: "red"}
