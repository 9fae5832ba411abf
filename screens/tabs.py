"""On a narrow terminal: which of the panels below is shown."""

from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len
from textual.app import RenderResult
from textual.content import Content
from textual.events import Click
from textual.reactive import reactive
from textual.screen import Screen
from textual.widget import Widget


def activate(
    parent: Widget | Screen[Any],
    panel: str,
    panels: Sequence[str],
    sharing: Sequence[tuple[str, str]],
) -> None:
    """Make a panel the one that zooms, and the one that is seen on a narrow terminal.

    Args:
        parent: What holds the panels.
        panel: The id of the panel.
        panels: The ids of all panels.
        sharing: (id, title) of those that share a place on a narrow terminal.
    """
    for other in panels:
        parent.query_one(f"#{other}").set_class(other == panel, "-active")
    if panel in dict(sharing):
        parent.query_one(PanelTabs).active = panel
        for other, _ in sharing:
            parent.query_one(f"#{other}").set_class(other == panel, "-shown")


class PanelTabs(Widget):
    """The names of the panels, the shown one marked."""

    active: reactive[str] = reactive("")
    subject: reactive[str] = reactive("")
    """What the panels are about; shown before their names."""

    def __init__(self, names: Sequence[tuple[str, str]]) -> None:
        super().__init__(id="tabs")
        self._names = names
        """(id of the panel, its title)."""

    def render(self) -> RenderResult:
        """Draw the names on one line."""
        line = Content.styled(self._lead, "bold")
        for panel, title in self._names:
            shown = f"[{title}]" if panel == self.active else f" {title} "
            line += Content.styled(shown, "bold $accent" if panel == self.active else "$muted")
            line += Content(" ")
        return line + Content.styled(" tab next   z zoom", "$muted")

    @property
    def _lead(self) -> str:
        return f"{self.subject}  " if self.subject else ""

    async def on_click(self, event: Click) -> None:
        """Show the panel whose name was clicked."""
        at = event.get_content_offset(self)
        end = cell_len(self._lead)
        if at is not None and at.x < end:
            return
        for panel, title in self._names:
            end += len(title) + 3
            if at is not None and at.x < end:
                await self.run_action(f"screen.panel({panel!r})")
                return
