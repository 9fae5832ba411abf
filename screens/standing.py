"""How a run really stands: its journal says how far it came, the agent whether it goes on."""

from collections.abc import Collection, Mapping
from typing import Any

from fathom_tui.stages import RunState

UNDER_WAY = (RunState.RUNNING, RunState.QUEUED)
RESUMABLE = (RunState.REFUSED, RunState.FAILED, RunState.CANCELLED, RunState.INTERRUPTED)


def standing(
    state: RunState,
    run_id: str,
    heartbeat: Mapping[str, Any] | None,
    waiting: Collection[str] = (),
) -> RunState:
    """Return a run's state; without an agent that works on it nothing is running.

    Args:
        state: What its journal says.
        run_id: The run.
        heartbeat: What the agent does, {run, queued, …}; None when there is none.
        waiting: Runs that the agent has been asked for and has not begun.
    """
    if run_id in waiting or run_id in (heartbeat or {}).get("queued", ()):
        return RunState.QUEUED
    # A heartbeat without a run is an agent between two of them.
    worked_on = heartbeat is not None and heartbeat.get("run") in (None, run_id)
    return RunState.INTERRUPTED if state in UNDER_WAY and not worked_on else state
