"""Pictures of the screens at two sizes; `pytest --snapshot-update` accepts new ones.

They hold the layout still. What the screens say and do is tested elsewhere.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from fathom_tui.screens.app import FathomApp
from fathom_tui.store.paths import Home
from tests.screens import story
from tests.screens.looking import NARROW, WIDE, Listener, opened, settle

Compare = Callable[..., bool]
SIZES = pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "140x40"])


def after(*keys: str) -> Callable[[Pilot[None]], Awaitable[None]]:
    """Return what brings the screen to rest, then presses keys."""

    async def bring(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await pilot.press(*keys)
        await settle(pilot)
        for field in pilot.app.screen.query(Input):
            field.cursor_blink = False
        await pilot.pause()

    return bring


@pytest.fixture
def three_runs(home: Home, agent: Listener) -> FathomApp:
    """Return the app on a home with a refused, a finished and a running run."""
    slug = story.engagement(home)
    story.refusal(home, slug, began=story.BEGAN - timedelta(days=1))
    story.finished(home, slug)
    live = story.training(home, slug, began=story.BEGAN + timedelta(minutes=40))
    story.engagement(home, "Banking 77", dataset="/srv/data/train.csv")
    agent.beat = story.heartbeat(live)
    return opened(home, agent, now=live.now)


@SIZES
def test_no_engagement(
    home: Home, agent: Listener, size: tuple[int, int], snap_compare: Compare
) -> None:
    assert snap_compare(opened(home, agent), terminal_size=size, run_before=after())


@SIZES
def test_engagements(three_runs: FathomApp, size: tuple[int, int], snap_compare: Compare) -> None:
    assert snap_compare(three_runs, terminal_size=size, run_before=after())


@SIZES
@pytest.mark.parametrize(
    ("state", "keys"),
    [("running", ()), ("done", ("j",)), ("refused", ("j", "j"))],
    ids=["running", "done", "refused"],
)
def test_runs(
    three_runs: FathomApp,
    size: tuple[int, int],
    state: str,
    keys: tuple[str, ...],
    snap_compare: Compare,
) -> None:
    async def bring(pilot: Pilot[None]) -> None:
        await after("2")(pilot)
        for key in keys:
            await after(key)(pilot)

    assert snap_compare(three_runs, terminal_size=size, run_before=bring)


@pytest.mark.parametrize(
    "keys",
    [("n",), ("r",), ("2", "c"), ("2", "question_mark")],
    ids=["create", "start", "cancel", "help"],
)
def test_dialogs(three_runs: FathomApp, keys: tuple[str, ...], snap_compare: Compare) -> None:
    async def bring(pilot: Pilot[Any]) -> None:
        for key in keys:
            await after(key)(pilot)

    assert snap_compare(three_runs, terminal_size=NARROW, run_before=bring)
