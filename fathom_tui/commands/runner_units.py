"""`fathom runner install`, `uninstall`, `logs` and `check-gpu`."""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fathom_tui.commands.output import narrate
from fathom_tui.errors import EnvironmentProblem, ExitCode, UsageError
from fathom_tui.serving import TARGETS

if TYPE_CHECKING:
    from fathom_tui.runner.systemd import Systemd
    from fathom_tui.store.paths import Home
    from fathom_tui.units import Installation

_SETTLE_S = 30.0
"""How long `install` looks on while services start; a large model takes longer and goes on."""
_LAUNCHD = {
    "system": ("/Library/LaunchDaemons", "system"),
    "user": ("~/Library/LaunchAgents", "gui/$(id -u)"),
}
"""Where launchd finds property lists, and the domain that runs them (launchctl(1)), by scope."""


def _install(arguments: argparse.Namespace) -> int:
    from fathom_tui.runner.install import ACCOUNT, home_for, plan_installation
    from fathom_tui.runner.systemd import Systemd

    _check(arguments)
    scope = "system" if arguments.system else "user"
    home, systemd = home_for(scope), Systemd(scope)
    if not arguments.dry_run and not arguments.launchd:
        systemd.check()
    given = plan_installation(
        home,
        scope,
        target=arguments.target,
        slugs=arguments.engagements,
        gpu=_gpu(arguments),
        who=ACCOUNT if arguments.account is None else arguments.account,
        lora=[_adapter(text) for text in arguments.lora],
        missing_allowed=arguments.dry_run,
    )
    if arguments.launchd:
        return _launchd(arguments, given, home)
    if arguments.dry_run:
        _show(_texts(given), arguments.directory)
        for program in {given.ollama, given.vllm} - {""}:
            if not os.path.exists(program):
                narrate(f"{program} is not there: what the units run has to be installed first.")
        return ExitCode.DONE
    return _install_units(systemd, given, home)


def _check(arguments: argparse.Namespace) -> None:
    if arguments.target is not None and arguments.target not in TARGETS:
        raise UsageError(
            f"There is no serving target {arguments.target!r}.",
            fix="Choose " + ", ".join(TARGETS) + ".",
        )
    if arguments.directory is not None and not arguments.dry_run:
        raise UsageError(
            "--directory is for looking at the units.", fix="Add --dry-run, or leave it out."
        )
    if arguments.account is not None and not arguments.system:
        raise UsageError("--account is for --system.", fix="Your own units run as you.")


def _gpu(arguments: argparse.Namespace) -> bool:
    from fathom_tui.sources import nvml

    if arguments.gpu or arguments.cpu:
        return bool(arguments.gpu)
    return bool(nvml.gpus().devices)


def _adapter(text: str) -> tuple[str, str]:
    name, equals, directory = text.partition("=")
    if not (name and equals and directory) or "=" in directory or "," in text:
        raise UsageError(f"{text!r} is no adapter.", fix="--lora NAME=DIRECTORY")
    return name, os.path.abspath(os.path.expanduser(directory))


def _texts(given: "Installation") -> dict[str, bytes]:
    from fathom_tui.units import units

    return {unit.name: unit.text.encode("utf-8") for unit in units(given)}


def _show(files: Mapping[str, bytes], directory: str | None) -> None:
    """Print files, or write them where they can be looked at."""
    if directory is None:
        for name, data in files.items():
            print(f"### {name}\n{data.decode('utf-8')}")
        return
    target = Path(os.path.expanduser(directory))
    _write(files, target)
    narrate(f"Wrote {len(files)} files into {target}; nothing was installed.")
    if any(name.endswith(".service") for name in files):
        narrate(f"Look at them: systemd-analyze verify {target}/fathom-*")


def _write(files: Mapping[str, bytes], target: Path) -> None:
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (target / name).write_bytes(data)
    except OSError as error:
        raise EnvironmentProblem(
            f"{target} cannot be written: {error.strerror}.", fix="Choose another directory."
        ) from error


def _install_units(systemd: "Systemd", given: "Installation", home: "Home") -> int:
    from fathom_tui.commands.runner_status import describe, linger_lines
    from fathom_tui.runner.install import install, prepare, settled

    prepare(home, given)
    _make_way(systemd, given, home)
    names = install(systemd, given)
    states = settled(systemd, names, patience_s=_SETTLE_S)
    narrate(f"Installed in {systemd.directory}, working in {home.data.parent}:")
    for state in states:
        narrate(describe(state))
    for line in linger_lines(systemd.scope):
        narrate(line)
    if systemd.scope == "system":
        narrate(
            f"Commands have to run as the same account: sudo -u {given.account} "
            f"FATHOM_HOME={home.data.parent} {sys.executable} -m fathom_tui ..."
        )
    failed = [state.name for state in states if state.active == "failed"]
    if failed:
        raise EnvironmentProblem(
            f"Not running: {', '.join(failed)}.",
            fix="fathom runner logs" + (" --system" if systemd.scope == "system" else ""),
        )
    return ExitCode.DONE


def _make_way(systemd: "Systemd", given: "Installation", home: "Home") -> None:
    """End an agent that runs without a unit and waits for work, so that the unit's can start.

    Raises:
        UsageError: It is at work on a run, which installing would interrupt.
    """
    from fathom_tui.runner.install import differs
    from fathom_tui.store.requests import agent_alive
    from fathom_tui.units import AGENT, units

    beat = agent_alive(home)
    if beat is None:
        return
    (state,) = systemd.states([AGENT])
    of_unit = state.pid is not None and state.pid == beat["pid"]
    text = next(unit.text for unit in units(given) if unit.name == AGENT)
    if of_unit and not differs(systemd.directory / AGENT, text):
        return
    if beat["run"] is not None:
        raise UsageError(
            f"The agent is at work on {beat['run']}, which installing would interrupt.",
            fix=f"Wait for it (fathom logs {beat['run']} -f), or: fathom runner stop",
        )
    if not of_unit:
        _end(int(beat["pid"]), home)


def _end(pid: int, home: "Home") -> None:
    from fathom_tui.store.requests import agent_alive

    # A signal, not a request: root's files in the inbox are not for the account to read.
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _SETTLE_S
    while agent_alive(home) is not None:
        if time.monotonic() > deadline:
            raise EnvironmentProblem(
                f"The agent (process {pid}) does not end.", fix=f"kill -9 {pid}"
            )
        time.sleep(0.05)


def _launchd(arguments: argparse.Namespace, given: "Installation", home: "Home") -> int:
    from fathom_tui.launchd import plists

    files = plists(given, logs=str(home.state))
    target, domain = _LAUNCHD["system" if arguments.system else "user"]
    if arguments.dry_run:
        _show(files, arguments.directory)
        narrate(f"On macOS they belong into {target}. Look at them there: plutil -lint FILE")
        narrate(f"Start each: launchctl bootstrap {domain} {target}/FILE")
        narrate(f"End it: launchctl bootout {domain}/LABEL (the file's name without .plist)")
        return ExitCode.DONE
    if sys.platform != "darwin":
        raise EnvironmentProblem(
            "launchd is macOS's, and this is not macOS.", fix="Add --dry-run to look at the files."
        )
    home.prepare()
    _write(files, Path(target).expanduser())
    narrate(f"Wrote {len(files)} files into {target}.")
    for name in files:
        narrate(f"Start it: launchctl bootstrap {domain} {target}/{name}")
    return ExitCode.DONE


def _uninstall(arguments: argparse.Namespace) -> int:
    from fathom_tui.runner.install import installed, remove
    from fathom_tui.runner.systemd import Systemd

    systemd = Systemd("system" if arguments.system else "user")
    names = installed(systemd)
    if not names:
        narrate(f"No units of ours are in {systemd.directory}.")
        return ExitCode.DONE
    systemd.check()
    for path in remove(systemd, names):
        narrate(f"Removed {path}")
    narrate("Data, versions and the ledger stay where they are.")
    return ExitCode.DONE


def _logs(arguments: argparse.Namespace) -> int:
    from fathom_tui.runner.install import home_for, installed
    from fathom_tui.runner.systemd import Systemd

    if arguments.lines < 0:
        raise UsageError(f"There are no {arguments.lines} lines.", fix="-n 100")
    scope = "system" if arguments.system else "user"
    systemd = Systemd(scope)
    names = installed(systemd)
    if names:
        command = systemd.journal(names, lines=arguments.lines, follow=arguments.follow)
    else:
        logs = _logs_without_units(home_for(scope))
        if not logs:
            narrate("No units are installed, and nothing has run in the background.")
            return ExitCode.COULD_NOT_CHECK
        follow = ["-F"] if arguments.follow else []
        command = ["tail", "-v", "-n", str(arguments.lines), *follow, *map(str, logs)]
    try:
        return _passed_on(subprocess.run(command, stdin=subprocess.DEVNULL, check=False))
    except FileNotFoundError as error:
        raise EnvironmentProblem(
            f"This machine has no {command[0]}.", fix=f"Read {home_for(scope).agent_log}"
        ) from error


def _logs_without_units(home: "Home") -> list[Path]:
    """Return what the agent and the servers wrote that were started without a unit."""
    found = [home.agent_log, *sorted((home.data / "serving").glob("*/server.log"))]
    return [path for path in found if path.is_file()]


def _passed_on(done: subprocess.CompletedProcess[bytes]) -> int:
    return ExitCode.DONE if done.returncode == 0 else ExitCode.COULD_NOT_CHECK


def _check_gpu(arguments: argparse.Namespace) -> int:
    """Say whether a GPU can be used from inside this service, whose sandbox may hide it."""
    from fathom_tui.sources import nvml

    found = nvml.gpus()
    if found.devices:
        narrate("GPU: " + ", ".join(gpu.name for gpu in found.devices))
        return ExitCode.DONE
    if os.access("/dev/kfd", os.R_OK | os.W_OK):
        narrate("GPU: AMD, through /dev/kfd")
        return ExitCode.DONE
    hidden = f" {found.on_the_bus} on the PCI bus." if found.on_the_bus else ""
    if "INVOCATION_ID" not in os.environ:  # which systemd sets for its services
        raise EnvironmentProblem(
            f"No GPU can be used here: {found.problem}.{hidden}",
            fix="nvidia-smi says what the driver sees; fathom doctor says what is missing.",
        )
    raise EnvironmentProblem(
        f"This service was installed for a GPU and sees none: {found.problem}.{hidden}",
        fix="Outside a service: nvidia-smi. If that works, the unit's DeviceAllow= hides it; "
        "without a GPU: fathom runner install --cpu",
    )


def start_unit(home: "Home") -> bool:
    """Start the agent's unit where the user has one for this home; return whether there is one."""
    from fathom_tui.runner.install import installed
    from fathom_tui.runner.systemd import Systemd
    from fathom_tui.units import AGENT

    systemd = Systemd("user")
    if AGENT not in installed(systemd) or not _is_for(systemd.directory / AGENT, home):
        return False
    systemd.call("start", AGENT)
    return True


def _is_for(unit: Path, home: "Home") -> bool:
    from fathom_tui.unit_file import word

    wanted = f"Environment={word(f'FATHOM_HOME={home.data.parent}')}"
    said = [line for line in unit.read_text("utf-8").splitlines() if "FATHOM_HOME=" in line]
    return wanted in said if said else not os.environ.get("FATHOM_HOME")


ACTIONS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "install": _install,
    "uninstall": _uninstall,
    "logs": _logs,
    "check-gpu": _check_gpu,
}
