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
        heartbeat: What the agent does; None when there is none.
        waiting: Runs that the agent has been asked for and has not begun.
    """
    if run_id in waiting:
        return RunState.QUEUED
    if state in UNDER_WAY:
        # A heartbeat without a run is an agent between two of them.
        if heartbeat is None or heartbeat.get("run") not in (None, run_id):
            return RunState.INTERRUPTED
    return state
