"""`fathom runner status`: the agent, the units, lingering and the daily check."""

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fathom_tui.commands.output import narrate, print_json
from fathom_tui.errors import EnvironmentProblem, ExitCode

if TYPE_CHECKING:
    from fathom_tui.runner.systemd import UnitState


_HEALTH = {
    1: "the last check was a warning: fathom health",
    2: "the last check was critical: fathom health",
    3: "the last check could not be made: fathom health",
}


def status(*, system: bool, as_json: bool) -> int:
    """Print what the agent does and how the units stand; 3 when there is no agent."""
    from fathom_tui.runner.install import home_for, installed
    from fathom_tui.runner.systemd import Systemd
    from fathom_tui.store.requests import agent_alive

    scope = "system" if system else "user"
    try:
        beat = agent_alive(home_for(scope))
    except EnvironmentProblem as error:
        if not system:
            raise
        narrate(str(error))  # its home is not for everybody to read; its units are
        beat = None
    systemd = Systemd(scope)
    names = installed(systemd)
    states, problem = _states(systemd, names)
    if as_json:
        print_json(_data(scope, beat, names, states, problem))
    else:
        _tell_agent(beat)
        _tell_units(scope, names, states, problem)
    return ExitCode.DONE if beat is not None else ExitCode.COULD_NOT_CHECK


def _states(systemd: Any, names: list[str]) -> tuple[list["UnitState"], str]:
    """Return how units stand, or why that is not known."""
    try:
        return systemd.states(names), ""
    except EnvironmentProblem as error:
        return [], str(error)


def _data(
    scope: str,
    beat: dict[str, Any] | None,
    names: list[str],
    states: list["UnitState"],
    problem: str,
) -> dict[str, Any] | None:
    if not names:
        return beat
    found: dict[str, Any] = {"pid": None, "run": None, "stage": None, **(beat or {})}
    found["units"] = [asdict(state) for state in states]
    found["units_problem"] = problem or None
    found["lingers"] = _lingers(scope)
    return found


def _lingers(scope: str) -> bool | None:
    from fathom_tui.runner.systemd import lingers, user_name

    return lingers(user_name()) if scope == "user" else None


def _tell_agent(beat: dict[str, Any] | None) -> None:
    if beat is None:
        narrate("There is no agent. It starts with the next run, or with: fathom runner start")
    elif beat["run"] is None:
        narrate(f"The agent (process {beat['pid']}) waits for work.")
    else:
        narrate(f"The agent (process {beat['pid']}) is at {beat['stage']} of {beat['run']}.")


def _tell_units(scope: str, names: list[str], states: list["UnitState"], problem: str) -> None:
    if not names:
        return
    if problem:
        narrate(f"{len(names)} units are installed, and how they stand is not known: {problem}")
    for state in states:
        narrate(describe(state))
    for line in linger_lines(scope):
        narrate(line)


def describe(state: "UnitState") -> str:
    """Return a unit in a line: its state, what it says, restarts, and a timer's runs."""
    parts = [f"{state.active} ({state.sub})" if state.sub else state.active]
    if state.active == "failed":
        parts.append(_why(state))
    if state.status and state.active in ("active", "activating"):
        parts.append(state.status)
    if state.restarts:
        parts.append(f"{state.restarts} restarts")
    if state.name.endswith(".timer"):
        parts.append(f"last run {_when(state.last_run)}, next {_when(state.next_run)}")
    elif state.enabled == "disabled":
        parts.append("does not start at boot")
    return f"  {state.name}: {', '.join(parts)}"


def _why(state: "UnitState") -> str:
    from fathom_tui.units import HEALTH

    if state.name == HEALTH and state.result == "exit-code":
        return _HEALTH.get(state.exit_code, f"ended with code {state.exit_code}")
    return f"because of {state.result}"


def linger_lines(scope: str) -> list[str]:
    """Return what a person has to know of services that end with the session."""
    from fathom_tui.runner.systemd import user_name

    if scope != "user" or _lingers(scope):
        return []
    return [
        f"The services of {user_name()} end with the last session and do not start at boot. "
        f"For that: sudo loginctl enable-linger {user_name()}"
    ]


def _when(seconds: int | None) -> str:
    if seconds is None:
        return "never"
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")
