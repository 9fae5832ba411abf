"""Pictures of the Advise screen at two sizes; `pytest --snapshot-update` accepts new ones."""

from collections.abc import Awaitable, Callable

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from fathom_tui.store.paths import Home
from tests.screens.looking import NARROW, WIDE, Listener, opened, settle

Compare = Callable[..., bool]
SIZES = pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "140x40"])
REGULATED = ("8", "upper_m", "enter", "down", "down", "1", "5", "enter", *["down"] * 3, "space")


def after(*keys: str) -> Callable[[Pilot[None]], Awaitable[None]]:
    """Return what shows the screen at rest, presses keys, and waits for what they do."""

    async def bring(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await pilot.press("3")
        await settle(pilot)
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        await settle(pilot)
        for field in pilot.app.screen.query(Input):
            field.cursor_blink = False
        await pilot.pause()

    return bring


@SIZES
def test_the_first_answer(
    home: Home, agent: Listener, size: tuple[int, int], snap_compare: Compare
) -> None:
    assert snap_compare(opened(home, agent), terminal_size=size, run_before=after())


@SIZES
def test_regulated_and_growing(
    home: Home, agent: Listener, size: tuple[int, int], snap_compare: Compare
) -> None:
    assert snap_compare(opened(home, agent), terminal_size=size, run_before=after(*REGULATED))


@pytest.mark.parametrize(
    "keys",
    [("tab", "tab"), ("shift+tab", "escape"), ("8", "x"), ("e",), ("end", "enter")],
    ids=["verdict", "crossover", "typing", "sources", "list"],
)
def test_what_a_small_terminal_shows_one_at_a_time(
    home: Home, agent: Listener, keys: tuple[str, ...], snap_compare: Compare
) -> None:
    assert snap_compare(opened(home, agent), terminal_size=NARROW, run_before=after(*keys))
