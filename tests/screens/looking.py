"""Helpers to open the screens in a test and to look at what they show."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Static
from textual.widgets._footer import FooterKey

from fathom_tui.screens.agent import Agent
from fathom_tui.screens.app import FathomApp
from fathom_tui.screens.grid import Grid
from fathom_tui.screens.keys import Keys
from fathom_tui.screens.pane import Pane
from fathom_tui.screens.shell import Shell
from fathom_tui.store.paths import Home
from tests.screens import story

NARROW, WIDE = (80, 24), (140, 40)
NOW = story.BEGAN + timedelta(minutes=50)


class Listener(Agent):
    """Notes what it is asked for and starts nothing: a real agent would load models."""

    def __init__(self) -> None:
        self.beat: Mapping[str, Any] | None = None
        self.asked: list[tuple[str, object]] = []

    def heartbeat(self) -> Mapping[str, Any] | None:
        return self.beat

    def start(self, slug: str, changes: Mapping[str, Any]) -> str:
        self.asked.append(("start", (slug, dict(changes))))
        return f"{slug}-1"

    def cancel(self, run_id: str) -> None:
        self.asked.append(("cancel", run_id))

    def resume(self, run_id: str) -> None:
        self.asked.append(("resume", run_id))


def opened(home: Home, agent: Agent, *, run: str | None = None, now: datetime = NOW) -> FathomApp:
    """Return the app with a clock that stands still."""
    return FathomApp(home, open_run=run, agent=agent, now=lambda: now)


async def settle(pilot: Pilot[None]) -> None:
    """Wait until the screen has looked at the disk anew and shown what it found."""
    screen = pilot.app.screen
    for _ in range(3):
        await pilot.pause()
        if isinstance(screen, Shell):
            screen.look()
        await pilot.app.workers.wait_for_complete()
    await pilot.pause()
    # The keys are made anew after a refresh, which a busy machine puts off.
    for _ in range(40):
        if _keys_are_current(screen):
            return
        await pilot.pause(0.05)


def _keys_are_current(screen: Screen[Any]) -> bool:
    for footer in screen.query(Keys):
        shown = [(key.key, not key.has_class("-disabled")) for key in footer.query(FooterKey)]
        wanted = [
            (binding.key, enabled)
            for _, binding, enabled, _ in screen.active_bindings.values()
            if binding.show
        ]
        if sorted(shown) != sorted(set(wanted) & set(shown)) or not shown:
            return False
    return True


def cells(pilot: Pilot[None], grid: str, key: str) -> list[str]:
    """Return a row's cells as text."""
    rows = {row.key: row for row in pilot.app.screen.query_one(f"#{grid}", Grid).rows}
    return [cell.plain for cell in rows[key].cells]


def keys(pilot: Pilot[None], grid: str) -> list[str]:
    """Return the keys of a table's rows."""
    return [row.key for row in pilot.app.screen.query_one(f"#{grid}", Grid).rows]


def text(pilot: Pilot[None], pane: str) -> str:
    """Return what a panel says."""
    return pilot.app.screen.query_one(f"#{pane}", Pane).text


def label(pilot: Pilot[None], name: str) -> str:
    """Return what a line of a dialog says."""
    return str(pilot.app.screen.query_one(f"#{name}", Static).visual)


async def type_in(pilot: Pilot[None], words: str) -> None:
    """Type words into the field with the cursor."""
    names = {" ": "space", ".": "full_stop", "/": "slash", "-": "minus", "_": "underscore"}
    names[","] = "comma"
    await pilot.press(*(names.get(letter, letter) for letter in words))


def toasts(pilot: Pilot[None]) -> list[str]:
    """Return what the app has told in passing."""
    return [f"{n.title} {n.message}".strip() for n in pilot.app._notifications]
