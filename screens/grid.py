"""A table with a cursor: fixed columns and one that takes the rest.

Textual's DataTable measures every cell and repaints rows whole; this one knows its widths, so
a ticking second costs one line on the wire. It moves with the arrow keys and as vim does.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Click, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip


class Column(NamedTuple):
    """One column."""

    title: str = ""
    width: int | None = None
    """Cells; None takes what the others leave."""
    align: Literal["left", "right"] = "left"
    cut: Literal["end", "middle"] = "end"
    """Where text that is too long loses characters; a run's number is at its end."""
    from_width: int = 0
    """Shown where the table is at least so many cells wide."""
    wide: tuple[int, int] | None = None
    """(cells of the table from which on, width then); None where the width stays."""

    def cells(self, width: int) -> int:
        """Return its width in a table of so many cells; 0 for what the others leave."""
        if self.wide is not None and width >= self.wide[0]:
            return self.wide[1]
        return self.width or 0


class Row(NamedTuple):
    """One line: a key that stays the same over updates, and a cell for each column."""

    key: str
    cells: tuple[Content, ...]


_END = 4
"""Characters kept after a cut in the middle."""


class Grid(ScrollView, can_focus=True):
    """Rows under a title line, with a cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("home,g", "edge(-1)", "First", show=False),
        Binding("end,G", "edge(1)", "Last", show=False),
        Binding("pageup,ctrl+b", "page(-1)", "Page up", show=False),
        Binding("pagedown,ctrl+f", "page(1)", "Page down", show=False),
        Binding("enter", "choose", "Open", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"grid--title", "grid--cursor", "grid--cursor-blurred"}
    DEFAULT_CSS = """
    Grid {
        overflow-x: hidden;
        scrollbar-size-vertical: 1;
        & > .grid--title { color: $text-muted; }
        & > .grid--cursor {
            background: $block-cursor-background; color: $block-cursor-foreground;
            text-style: bold;
        }
        & > .grid--cursor-blurred { background: $panel; }
    }
    """

    cursor: reactive[int] = reactive(0, init=False)

    class Moved(Message):
        """The cursor stands on another row."""

        def __init__(self, grid: "Grid", key: str) -> None:
            super().__init__()
            self.grid = grid
            self.key = key

        @property
        def control(self) -> "Grid":
            """The table, so that handlers can select by its id."""
            return self.grid

    class Chosen(Moved):
        """Enter was pressed, or the row clicked twice."""

    def __init__(
        self,
        *columns: Column,
        id: str | None = None,
        classes: str | None = None,
        titled: bool = True,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.columns = columns
        self.rows: list[Row] = []
        self._top = int(titled)

    @property
    def key(self) -> str | None:
        """The key of the row under the cursor; None while there is no row."""
        return self.rows[self.cursor].key if self.cursor < len(self.rows) else None

    def fill(self, rows: Sequence[Row]) -> None:
        """Show these rows; the cursor stays on its row and only lines that changed repaint."""
        before, key = self.rows, self.key
        self.rows = list(rows)
        keys = [row.key for row in rows]
        if [row.key for row in before] == keys:
            for index, (old, new) in enumerate(zip(before, rows, strict=True)):
                if not _same(old, new):
                    self._refresh_row(index)
            return
        self.virtual_size = Size(self.size.width, len(rows) + self._top)
        position = keys.index(key) if key in keys else min(self.cursor, max(0, len(rows) - 1))
        self.set_reactive(Grid.cursor, position)
        self.refresh()
        self._show_cursor()
        if self.key is not None and self.key != key:
            self.post_message(self.Moved(self, self.key))

    def show(self, key: str) -> None:
        """Put the cursor on a row if it is there."""
        for index, row in enumerate(self.rows):
            if row.key == key:
                self.cursor = index

    def validate_cursor(self, cursor: int) -> int:
        """Keep the cursor on a row."""
        return max(0, min(cursor, len(self.rows) - 1))

    def watch_cursor(self, before: int, after: int) -> None:
        """Repaint both rows and tell who listens."""
        self._refresh_row(before)
        self._refresh_row(after)
        self._show_cursor()
        if self.key is not None:
            self.post_message(self.Moved(self, self.key))

    def action_move(self, rows: int) -> None:
        """Move the cursor by so many rows."""
        self.cursor += rows

    def action_page(self, pages: int) -> None:
        """Move the cursor by a screenful."""
        self.cursor += pages * max(1, self._body_height - 1)

    def action_edge(self, direction: int) -> None:
        """Move the cursor to the first or the last row."""
        self.cursor = 0 if direction < 0 else len(self.rows) - 1

    def action_choose(self) -> None:
        """Tell that the row under the cursor is wanted."""
        if self.key is not None:
            self.post_message(self.Chosen(self, self.key))

    def on_click(self, event: Click) -> None:
        """Put the cursor where the mouse is; a second click opens the row."""
        at = event.get_content_offset(self)
        if at is None or at.y < self._top:
            return
        row = at.y - self._top + self.scroll_offset.y
        if row >= len(self.rows):
            return
        if row == self.cursor and event.chain > 1:
            self.action_choose()
        self.cursor = row

    def on_resize(self, event: Resize) -> None:
        """Give the flexible column its new width."""
        self.virtual_size = Size(self.size.width, len(self.rows) + self._top)
        self._show_cursor()

    def render_line(self, y: int) -> Strip:
        """Draw one line of the visible part."""
        width = self.scrollable_content_region.width
        index = y - self._top + self.scroll_offset.y
        if y < self._top:
            cells = [Content(column.title) for column in self.columns]
            return self._strip(cells, width, "grid--title")
        if index >= len(self.rows):
            return Strip.blank(width, self.visual_style.rich_style)
        marked = index == self.cursor
        name = "grid--cursor" if self.has_focus else "grid--cursor-blurred"
        return self._strip(list(self.rows[index].cells), width, name if marked else None)

    def _strip(self, cells: list[Content], width: int, component: str | None) -> Strip:
        style = self.visual_style
        if component is not None:
            style += self.get_visual_style(component)
        shown = [
            (cell, column, column.cells(width))
            for cell, column in zip(cells, self.columns, strict=True)
            if width >= column.from_width
        ]
        rest = width - sum(fixed for _, _, fixed in shown) - len(shown) + 1
        fitted = [_fit(cell, column, fixed or rest) for cell, column, fixed in shown]
        line = Content(" ").join(fitted)
        return Strip(line.render_segments(style)).adjust_cell_length(width, style.rich_style)

    @property
    def _body_height(self) -> int:
        return max(1, self.scrollable_content_region.height - self._top)

    def _refresh_row(self, index: int) -> None:
        y = index - self.scroll_offset.y + self._top
        if self._top <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    def _show_cursor(self) -> None:
        # The title line hides the first line of what is scrolled to.
        first, height = self.scroll_offset.y, self._body_height
        if self.cursor < first:
            self.scroll_to(y=self.cursor, animate=False, force=True)
        elif self.cursor >= first + height:
            self.scroll_to(y=self.cursor - height + 1, animate=False, force=True)


def _same(old: Row, new: Row) -> bool:
    return all(a.is_same(b) for a, b in zip(old.cells, new.cells, strict=True))


def _fit(cell: Content, column: Column, width: int) -> Content:
    if width <= 0:
        return Content("")
    if column.cut == "middle" and cell.cell_length > width > 2 * _END:
        cell = cell[: width - _END - 1] + Content("…") + cell[len(cell.plain) - _END :]
    cell = cell.truncate(width, ellipsis=True)
    missing = width - cell.cell_length
    return cell.pad_left(missing) if column.align == "right" else cell.pad_right(missing)
