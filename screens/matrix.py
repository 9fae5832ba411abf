"""A table in two directions: row heads and column heads stay, cells are drawn where they are seen.

A cell is asked for when its line is drawn, so changing what the cells say costs what is in
sight, not what there is.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, Literal, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click, MouseScrollLeft, MouseScrollRight, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from fathom_tui.screens.grid import Column

Tone = Literal["good", "tight", "bad", "unknown"]
_GAP = 2
"""Cells between the row heads and the first column."""


class Cell(NamedTuple):
    """What stands where a row and a column meet; its text begins with a symbol of its tone."""

    text: str
    tone: Tone


class Head(NamedTuple):
    """A row's head."""

    key: str
    texts: tuple[str, ...]
    """One for each fixed column."""


class Place(NamedTuple):
    """Where the cursor is."""

    row: str
    column: str


class Matrix(ScrollView, can_focus=True):
    """Cells under column heads and beside row heads, with a cursor.

    Args:
        fixed: Columns of the row heads; all have a width.
        lines: Lines of the column heads, three or more.
        noun: What the columns are, in the plural.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1, 0)", "Up", show=False),
        Binding("down,j", "move(1, 0)", "Down", show=False),
        Binding("left,h", "move(0, -1)", "Left", show=False),
        Binding("right,l", "move(0, 1)", "Right", show=False),
        Binding("pageup,ctrl+b", "page(-1, 0)", "Page up", show=False),
        Binding("pagedown,ctrl+f", "page(1, 0)", "Page down", show=False),
        Binding("shift+left,H", "page(0, -1)", "Page left", show=False),
        Binding("shift+right,L", "page(0, 1)", "Page right", show=False),
        Binding("g", "edge(-1, 0)", "First row", show=False),
        Binding("G", "edge(1, 0)", "Last row", show=False),
        Binding("home,0", "edge(0, -1)", "First column", show=False),
        Binding("end,dollar_sign", "edge(0, 1)", "Last column", show=False),
        Binding("enter", "choose", "Everything about the cell", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "matrix--title",
        "matrix--here",
        "matrix--row",
        "matrix--cursor",
        "matrix--cursor-blurred",
        "matrix--good",
        "matrix--tight",
        "matrix--bad",
        "matrix--unknown",
    }
    DEFAULT_CSS = """
    Matrix {
        overflow-x: hidden;
        scrollbar-size-vertical: 1;
        & > .matrix--title { color: $muted; }
        & > .matrix--here { color: $accent; text-style: bold; }
        & > .matrix--row { background: $panel; }
        & > .matrix--cursor { background: $accent; color: $background; text-style: bold; }
        & > .matrix--cursor-blurred { background: $rule; text-style: bold; }
        & > .matrix--good { color: $success; }
        & > .matrix--tight { color: $warning; }
        & > .matrix--bad { color: $error 60%; }
        & > .matrix--unknown { color: $muted; }
    }
    """

    class Moved(Message):
        """The cursor stands on another cell."""

        def __init__(self, place: Place) -> None:
            super().__init__()
            self.place = place

    class Chosen(Moved):
        """Enter was pressed, or the cell clicked twice."""

    def __init__(
        self,
        fixed: Sequence[Column],
        lines: int,
        noun: str,
        *,
        id: str | None = None,
        classes: str = "",
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._fixed = fixed
        self._top = lines
        self._noun = noun
        self._legend = ""
        self.rows: Sequence[Head] = ()
        self.columns: Sequence[str] = ()
        self._head: Callable[[str], Sequence[str]] = lambda column: ()
        self._cell: Callable[[str, str], Cell] = lambda row, column: Cell("", "unknown")
        self._width = 10
        self._row = self._column = 0
        """Where the cursor is."""
        self._left = 0
        """The first column in sight."""
        self._wanted = Place("", "")
        """Where somebody put the cursor; it goes back there when its row or column comes back."""

    @property
    def place(self) -> Place | None:
        """The cell under the cursor; None where there is none."""
        if self._row >= len(self.rows) or self._column >= len(self.columns):
            return None
        return Place(self.rows[self._row].key, self.columns[self._column])

    def fill(
        self,
        rows: Sequence[Head],
        columns: Sequence[str],
        head: Callable[[str], Sequence[str]],
        cell: Callable[[str, str], Cell],
        width: int,
        legend: str = "",
    ) -> None:
        """Show these; the cursor stays on its row and column, or goes to the first one.

        Args:
            rows: Heads from top to bottom.
            columns: Keys from left to right.
            head: From a column's key to the lines of its head.
            cell: From the keys of a row and a column to what stands there. Both are asked only
                for what is in sight, and again at every repaint: they should remember.
            width: Cells of a column, with the gap after it.
            legend: What the cells say, in the corner.
        """
        before = self.place
        self.rows, self.columns, self._width = rows, columns, width
        self._legend = legend
        self._head, self._cell = head, cell
        self._row = _where([row.key for row in rows], self._wanted.row)
        self._column = _where(columns, self._wanted.column)
        self.virtual_size = Size(self.size.width, len(rows) + self._top)
        self._show_cursor()
        self.refresh()
        self._tell(before)

    def show(self, row: str, column: str) -> None:
        """Put the cursor on a cell; where a key is not there, on the first."""
        self.go_to(_where([head.key for head in self.rows], row), _where(self.columns, column))

    def go_to(self, row: int, column: int) -> None:
        """Put the cursor on a cell; the edges stop it."""
        before, left, above = self.place, self._left, self.scroll_offset.y
        gone = self._row
        self._row = max(0, min(row, len(self.rows) - 1))
        self._column = max(0, min(column, len(self.columns) - 1))
        if self.place is None or before == self.place:
            return
        self._wanted = self.place
        self._show_cursor()
        if left != self._left:
            self.refresh()
        elif above == self.scroll_offset.y:
            self._refresh_line(gone)
            self._refresh_line(self._row)
        # The column under the cursor is marked in its head.
        self.refresh(Region(0, 0, self.size.width, self._top))
        self._tell(before)

    def _tell(self, before: Place | None) -> None:
        if self.place is not None and self.place != before:
            self.post_message(self.Moved(self.place))

    def action_move(self, rows: int, columns: int) -> None:
        """Move the cursor."""
        self.go_to(self._row + rows, self._column + columns)

    def action_page(self, rows: int, columns: int) -> None:
        """Move the cursor by what is in sight."""
        self.go_to(
            self._row + rows * max(1, self._body_height - 1),
            self._column + columns * max(1, self._seen_columns - 1),
        )

    def action_edge(self, rows: int, columns: int) -> None:
        """Move the cursor to an edge."""
        many = max(len(self.rows), len(self.columns))
        self.go_to(self._row + rows * many, self._column + columns * many)

    def action_choose(self) -> None:
        """Tell that the cell under the cursor is wanted."""
        if self.place is not None:
            self.post_message(self.Chosen(self.place))

    def on_click(self, event: Click) -> None:
        """Put the cursor where the mouse is; a second click opens the cell."""
        at = event.get_content_offset(self)
        if at is None:
            return
        row = self._row if at.y < self._top else at.y - self._top + self.scroll_offset.y
        within = at.x - self._fixed_width
        column = self._column if within < 0 else self._left + within // self._width
        if row >= len(self.rows) or column >= len(self.columns):
            return
        if (row, column) == (self._row, self._column) and event.chain > 1:
            self.action_choose()
        self.go_to(row, column)

    def on_mouse_scroll_left(self, event: MouseScrollLeft) -> None:
        """Move to the column before."""
        self.action_move(0, -1)

    def on_mouse_scroll_right(self, event: MouseScrollRight) -> None:
        """Move to the next column."""
        self.action_move(0, 1)

    def on_resize(self, event: Resize) -> None:
        """Keep the cursor in sight."""
        self.virtual_size = Size(self.size.width, len(self.rows) + self._top)
        self._show_cursor()

    # Drawing.

    def render_line(self, y: int) -> Strip:
        """Draw one line of the visible part."""
        width = self.scrollable_content_region.width
        base = self.rich_style
        index = y - self._top + self.scroll_offset.y
        if y < self._top:
            segments = self._head_line(y, base)
        elif index < len(self.rows):
            segments = self._row_line(index, base)
        else:
            return Strip.blank(width, base)
        return Strip(segments).adjust_cell_length(width, base)

    def _head_line(self, line: int, base: Style) -> Iterator[Segment]:
        title = base + self._style("title")
        if line == self._top - 1:
            yield Segment(self._joined([column.title for column in self._fixed]), title)
        else:
            yield Segment(fit(self._corner(line), self._fixed_width), title)
        for index, column in self._seen():
            style = base + self._style("here") if index == self._column else title
            yield Segment(fit(self._head(column)[line], self._width - 1) + " ", style)

    def _corner(self, line: int) -> str:
        if line == 1:
            return self._legend
        first, last = self._left + 1, min(len(self.columns), self._left + self._seen_columns)
        if line or not self.columns:
            return ""
        return f"{first} to {last} of {len(self.columns)} {self._noun}"

    def _row_line(self, index: int, base: Style) -> Iterator[Segment]:
        row, marked = self.rows[index], index == self._row
        if marked:
            base += self._style("row")
        style = base + self._style("here") if marked else base
        yield Segment(self._joined(row.texts), style)
        for at, column in self._seen():
            text, tone = self._cell(row.key, column)
            style = base + self._style(tone)
            if marked and at == self._column:
                style += self._style("cursor" if self.has_focus else "cursor-blurred")
            yield Segment(fit(text, self._width - 1), style)
            yield Segment(" ", base)

    def _joined(self, texts: Sequence[str]) -> str:
        fitted = [
            fit(text, column.width or 0, right=column.align == "right")
            for text, column in zip(texts, self._fixed, strict=True)
            if self.size.width >= column.from_width
        ]
        return " ".join(fitted) + " " * _GAP

    def _seen(self) -> Iterator[tuple[int, str]]:
        stop = self._left + self._seen_columns
        return enumerate(self.columns[self._left : stop], self._left)

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"matrix--{name}", partial=True)

    @property
    def _fixed_width(self) -> int:
        shown = [c.width or 0 for c in self._fixed if self.size.width >= c.from_width]
        return sum(shown) + len(shown) - 1 + _GAP

    @property
    def _seen_columns(self) -> int:
        room = self.scrollable_content_region.width - self._fixed_width + 1
        return max(1, room // self._width)

    @property
    def _body_height(self) -> int:
        return max(1, self.scrollable_content_region.height - self._top)

    def _refresh_line(self, index: int) -> None:
        y = index - self.scroll_offset.y + self._top
        if self._top <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    def _show_cursor(self) -> None:
        seen = self._seen_columns
        self._left = max(0, min(self._left, len(self.columns) - seen))
        self._left = min(max(self._left, self._column - seen + 1), max(0, self._column))
        # The heads hide the first lines of what is scrolled to.
        first, height = self.scroll_offset.y, self._body_height
        if self._row < first:
            self._scroll(self._row)
        elif self._row >= first + height:
            self._scroll(self._row - height + 1)

    def _scroll(self, y: int) -> None:
        # Forced, because before the first layout there is no scrollbar that would allow it.
        self.scroll_to(y=y, animate=False, force=True)


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Return text of exactly so many cells; one that is too long ends in an ellipsis.

    Args:
        text: One line.
        width: Cells.
        right: Whether the padding is at the left.
    """
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, max(0, width - 1)) + "…" * min(1, width)
    return " " * (width - length) + text if right else text + " " * (width - length)


def _where(keys: Sequence[str], key: str) -> int:
    return keys.index(key) if key in keys else 0
