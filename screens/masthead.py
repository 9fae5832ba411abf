"""The first line: where one is, where one can go, and what the agent does."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from textual.app import RenderResult
from textual.content import Content
from textual.events import Click
from textual.widget import Widget

from fathom_tui.screens.symbols import Symbols
from fathom_tui.screens.words import clean

_NAME = " Fathom"
_GAP = "   "
_NARROW_GAP = " "


class Place(NamedTuple):
    """One mode of the app: the key that shows it and what it is called."""

    mode: str
    key: str
    title: str
    short: str
    """What it is called where the line has no room for all titles."""


class Masthead(Widget):
    """Name, modes and agent on one line."""

    def __init__(self, places: Sequence[Place], here: str, symbols: Symbols) -> None:
        super().__init__()
        self._places = places
        self._here = here
        self._symbols = symbols
        self._agent: Content = Content("")

    def tell(self, heartbeat: Mapping[str, Any] | None) -> None:
        """Show what the agent does."""
        said = self._said(heartbeat)
        if not said.is_same(self._agent):
            self._agent = said
            self.refresh()

    def _said(self, heartbeat: Mapping[str, Any] | None) -> Content:
        if heartbeat is None:
            return Content.styled("no agent running ", "$muted")
        if not heartbeat.get("run"):
            return Content.styled("agent idle ", "$muted")
        run = clean(heartbeat["run"])
        stage = clean(heartbeat.get("stage") or "")
        return Content.assemble(
            (f"{self._symbols.running} ", "$accent"), run, (f"  {stage} ", "$muted")
        )

    def render(self) -> RenderResult:
        """Draw the line: short titles and the name give way before the agent does."""
        name, titles, gap = self._fitting()
        left = Content.assemble((name, "bold $accent"), gap)
        for place, title in zip(self._places, titles, strict=True):
            here = place.mode == self._here
            left += Content.assemble(
                (f"{place.key} ", "$accent"),
                (title, "bold underline" if here else "$muted"),
                gap,
            )
        room = self.size.width - left.cell_length
        right = self._agent.truncate(max(0, room), ellipsis=True)
        return left + right.pad_left(max(0, room - right.cell_length))

    def _fitting(self) -> tuple[str, list[str], str]:
        """Return the name, the titles that leave room for the agent, and what stands between."""
        full = [place.title for place in self._places]
        short = [place.short for place in self._places]
        for name, titles, gap in ((_NAME, full, _GAP), (_NAME, short, _NARROW_GAP)):
            taken = len(name + gap) + sum(len(f"1 {title}{gap}") for title in titles)
            if taken + self._agent.cell_length <= self.size.width:
                return name, titles, gap
        return "", short, _NARROW_GAP

    async def on_click(self, event: Click) -> None:
        """Show the mode that was clicked."""
        name, titles, gap = self._fitting()
        start = len(name + gap)
        for place, title in zip(self._places, titles, strict=True):
            end = start + len(place.key) + 1 + len(title)
            if start <= event.x < end:
                await self.run_action(f"app.show({place.mode!r})")
            start = end + len(gap)
