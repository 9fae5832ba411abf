"""How a run really stands, from its journal and its agent."""

import pytest

from fathom_tui.screens.standing import standing
from fathom_tui.stages import RunState

RUNNING, QUEUED, DONE = RunState.RUNNING, RunState.QUEUED, RunState.DONE


@pytest.mark.parametrize(
    ("state", "heartbeat", "waiting", "really"),
    [
        (RUNNING, {"run": "a-1"}, (), RUNNING),
        (RUNNING, {"run": None}, (), RUNNING),
        (RUNNING, {"run": "b-1"}, (), RunState.INTERRUPTED),
        (RUNNING, None, (), RunState.INTERRUPTED),
        (QUEUED, {"run": "b-1", "queued": ["a-1"]}, (), QUEUED),
        (QUEUED, None, (), RunState.INTERRUPTED),
        (QUEUED, None, ("a-1",), QUEUED),
        (RunState.REFUSED, {"run": "b-1"}, ("a-1",), QUEUED),
        (DONE, None, (), DONE),
        (DONE, {"run": "b-1"}, (), DONE),
    ],
)
def test_standing(
    state: RunState,
    heartbeat: dict[str, object] | None,
    waiting: tuple[str, ...],
    really: RunState,
) -> None:
    assert standing(state, "a-1", heartbeat, waiting) is really
