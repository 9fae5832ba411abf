"""One line above a table: what its cells show, the shown one marked, and what for."""

from collections.abc import Sequence

from textual.app import RenderResult
from textual.content import Content
from textual.events import Click
from textual.reactive import reactive
from textual.widget import Widget


class Views(Widget):
    """The names of the views, and at the right what they are computed for.

    Args:
        names: (value, title) of each view.
    """

    DEFAULT_CSS = "Views { height: 1; padding: 0 1; }"

    active: reactive[str] = reactive("")
    settings: reactive[Content] = reactive(Content(""))

    def __init__(self, names: Sequence[tuple[str, str]]) -> None:
        super().__init__(id="views")
        self._names = names

    def render(self) -> RenderResult:
        """Draw the names on one line; the settings give way where it is too narrow."""
        line = Content("")
        for value, title in self._names:
            shown = f"[{title}]" if value == self.active else f" {title} "
            line += Content.styled(shown, "bold $accent" if value == self.active else "$muted")
        room = max(0, self.size.width - line.cell_length - 1)
        right = self.settings.truncate(room, ellipsis=True)
        return line + Content(" ") + right.pad_left(max(0, room - right.cell_length))

    async def on_click(self, event: Click) -> None:
        """Show the view whose name was clicked."""
        at = event.get_content_offset(self)
        end = 0
        for value, title in self._names:
            end += len(title) + 2
            if at is not None and at.x < end:
                await self.run_action(f"screen.show({str(value)!r})")
                return
