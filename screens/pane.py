"""Text that is laid out again at every width, and scrolls with the keys of a table."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Resize
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

Draw = Callable[[int], Sequence[Content]]
"""From a width in cells to lines no longer than that."""


def wrapped(text: Content, width: int, *, indent: int = 0) -> list[Content]:
    """Return the lines of a paragraph; all but the first are indented.

    Args:
        text: One paragraph.
        width: Cells of the widest line.
        indent: Cells in front of the second and later lines.
    """
    if text.cell_length <= width:
        return [text]
    first, *_ = text.wrap(max(2, width))
    rest = text[len(first.plain) :]
    while rest.plain.startswith(" "):
        rest = rest[1:]
    later = rest.wrap(max(2, width - indent)) if rest else []
    return [first, *(line.pad_left(indent) for line in later)]


class Pane(ScrollView, can_focus=True):
    """Lines that a function draws for the width there is."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll_up", "Up", show=False),
        Binding("down,j", "scroll_down", "Down", show=False),
        Binding("home,g", "scroll_home", "First", show=False),
        Binding("end,G", "scroll_end", "Last", show=False),
        Binding("pageup,ctrl+b", "page_up", "Page up", show=False),
        Binding("pagedown,ctrl+f", "page_down", "Page down", show=False),
    ]
    DEFAULT_CSS = """
    Pane { overflow-x: hidden; scrollbar-size-vertical: 1; }
    """

    def __init__(
        self, *, id: str | None = None, classes: str | None = None, follow: bool = False
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._draw: Draw = lambda width: ()
        self._lines: Sequence[Content] = ()
        self._follow = follow
        """Whether the last line stays in sight for as long as nobody scrolls up."""
        self._at_end = True
        self._scrolls = False

    @property
    def text(self) -> str:
        """What is shown, without styles."""
        return "\n".join(line.plain for line in self._lines)

    def draw(self, draw: Draw) -> None:
        """Show what this function draws, now and at other widths."""
        self._draw = draw
        self._lay_out()

    def _lay_out(self) -> None:
        room = self.region.shrink(self.styles.gutter)
        if room.width <= 0:
            return
        lines = self._drawn(room.width, room.height)
        if len(lines) == len(self._lines) and all(
            a.is_same(b) for a, b in zip(lines, self._lines, strict=True)
        ):
            self._stay()
            return
        self._lines = lines
        self.virtual_size = Size(room.width, len(lines))
        self._stay()
        self.refresh()

    def _drawn(self, width: int, height: int) -> Sequence[Content]:
        """Draw beside the scrollbar where there will be one: it takes a column of the text."""
        narrow = max(1, width - self.styles.scrollbar_size_vertical)
        if not self._scrolls:
            lines = self._draw(width)
            self._scrolls = len(lines) > height
            return self._draw(narrow) if self._scrolls else lines
        lines = self._draw(narrow)
        self._scrolls = len(lines) > height
        return lines if self._scrolls else self._draw(width)

    def _stay(self) -> None:
        if self._follow and self._at_end:
            self.scroll_to(y=len(self._lines), animate=False, immediate=True, force=True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Note whether the end is in sight: who scrolls up wants to read."""
        super().watch_scroll_y(old_value, new_value)
        self._at_end = new_value >= self.max_scroll_y

    def on_resize(self, event: Resize) -> None:
        """Lay out for the new width."""
        self._lay_out()

    def render_line(self, y: int) -> Strip:
        """Draw one line of the visible part."""
        width = self.scrollable_content_region.width
        style = self.visual_style
        index = y + self.scroll_offset.y
        if index >= len(self._lines):
            return Strip.blank(width, style.rich_style)
        strip = Strip(self._lines[index].render_segments(style))
        return strip.adjust_cell_length(width, style.rich_style)
