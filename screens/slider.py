"""Inputs that the arrow keys move: numbers on a scale, yes or no, several of a few, one of many."""

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Click, Key, Paste
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from fathom_tui.errors import UsageError
from fathom_tui.screens.pane import Pane
from fathom_tui.screens.symbols import ASCII, Symbols
from fathom_tui.screens.words import clean

LABEL, VALUE = 11, 11
"""Cells of the two columns beside a track."""
_STARTS_A_NUMBER = frozenset("0123456789.")
_LONGEST = 24
"""Characters of an exact value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(ABC):
    """One input: its key in the values, its label, and what it means."""

    key: str
    label: str
    hint: str
    """One sentence, shown while the cursor is on it."""
    keys: ClassVar[str]
    """What the keys do here."""

    @abstractmethod
    def moved(self, value: Any, steps: int, *, coarse: bool = False) -> Any:
        """Return the value so many steps to the right; negative is to the left."""

    @abstractmethod
    def shown(self, value: Any) -> str:
        """Return the value as people write it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(Entry):
    """A number that steps through the stops of a scale and may stand anywhere between."""

    stops: tuple[float, ...]
    coarse: int
    """Stops of a large step."""
    show: Callable[[Any], str]
    read: Callable[[str], Any]
    """From what was typed; raises `UsageError`."""
    blank: int | None = None
    """Where "no value" stands: 0 before the first stop, -1 after the last, None nowhere."""
    keys: ClassVar[str] = "← → step  [ ] leap  0-9 or enter exact"

    def moved(self, value: Any, steps: int, *, coarse: bool = False) -> Any:
        """Return the stop so many steps away; the end of the scale stops it."""
        places = self._places
        steps *= self.coarse if coarse else 1
        if value is None:
            target = places.index(None) + steps
        else:
            first, past = self._around(value)
            target = (past - 1 if steps > 0 else first) + steps
        found = places[max(0, min(target, len(places) - 1))]
        beyond = value is not None and found is not None and (found - value) * steps < 0
        return value if beyond else found

    def shown(self, value: Any) -> str:
        """Return the value with its unit."""
        return self.show(value)

    def fraction(self, value: Any) -> float:
        """Return where the value stands on the scale, 0 to 1."""
        places = self._places
        if value is None:
            return float(places.index(None)) / (len(places) - 1)
        first, past = self._around(value)
        if first < past:
            return first / (len(places) - 1)
        low, high = self._numbers(first)
        if low is None or high is None:
            return 0.0 if low is None else 1.0
        between: float = (value - low) / (high - low)
        return (first - 1 + between) / (len(places) - 1)

    def at(self, fraction: float) -> Any:
        """Return the stop nearest to a place on the scale."""
        places = self._places
        return places[round(max(0.0, min(1.0, fraction)) * (len(places) - 1))]

    @property
    def _places(self) -> tuple[float | None, ...]:
        if self.blank is None:
            return self.stops
        return (None, *self.stops) if self.blank == 0 else (*self.stops, None)

    def _around(self, value: float) -> tuple[int, int]:
        """Return the place of the first stop that is not below, and of the first that is above."""
        before = int(self.blank == 0)
        return (
            bisect_left(self.stops, value) + before,
            bisect_right(self.stops, value) + before,
        )

    def _numbers(self, place: int) -> tuple[float | None, float | None]:
        index = place - int(self.blank == 0)
        low = self.stops[index - 1] if index > 0 else None
        return low, self.stops[index] if index < len(self.stops) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch(Entry):
    """Yes or no."""

    keys: ClassVar[str] = "← no  → yes  space change"

    def moved(self, value: Any, steps: int, *, coarse: bool = False) -> Any:
        """Right is yes."""
        return steps > 0

    def shown(self, value: Any) -> str:
        """Return yes or no."""
        return "yes" if value else "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags(Entry):
    """Any of a few names."""

    names: tuple[str, ...]
    keys: ClassVar[str] = "← → choose  space on or off"

    def moved(self, value: Any, steps: int, *, coarse: bool = False) -> Any:
        """Stay: the arrows choose a name, they change none."""
        return value

    def shown(self, value: Any) -> str:
        """Return the names that are on."""
        return ", ".join(value) or "none"

    def flipped(self, value: Sequence[str], index: int) -> tuple[str, ...]:
        """Return the names with one of them turned on or off, in their own order."""
        on = set(value) ^ {self.names[index]}
        return tuple(name for name in self.names if name in on)


class Option(NamedTuple):
    """One of many."""

    id: str
    name: str
    note: str = ""
    """Shown beside the name where all are listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Entry):
    """One of many."""

    title: str
    """The question above the list."""
    options: tuple[Option, ...]
    coarse: int = 5
    keys: ClassVar[str] = "← → another one  enter the list"

    def moved(self, value: Any, steps: int, *, coarse: bool = False) -> Any:
        """Return the option so many places further."""
        ids = [option.id for option in self.options]
        place = ids.index(value) if value in ids else 0
        return ids[max(0, min(place + steps * (self.coarse if coarse else 1), len(ids) - 1))]

    def shown(self, value: Any) -> str:
        """Return the option's name."""
        return next((o.name for o in self.options if o.id == value), str(value))


class Sliders(Pane, inherit_bindings=False):
    """A line for each input, with a cursor; the values are changed by keys or the mouse.

    Keys are taken as they come and in their order, also what is typed: over a slow line several
    arrive at once, and none of "8M" may be lost on its way to another widget.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Input above", show=False),
        Binding("down,j", "move(1)", "Input below", show=False),
        Binding("home,g", "edge(0)", "First input", show=False),
        Binding("end,G", "edge(-1)", "Last input", show=False),
        Binding("left,h", "step(-1)", "Less", show=False),
        Binding("right,l", "step(1)", "More", show=False),
        Binding("shift+left,left_square_bracket,H", "leap(-1)", "Much less", show=False),
        Binding("shift+right,right_square_bracket,L", "leap(1)", "Much more", show=False),
        Binding("enter", "edit", "Type an exact value (or a digit), or choose", show=False),
        Binding("space", "flip", "Turn on or off", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"sliders--cursor", "sliders--cursor-blurred"}
    DEFAULT_CSS = """
    Sliders {
        & > .sliders--cursor { background: $block-cursor-background; }
        & > .sliders--cursor-blurred { background: $panel; }
    }
    """

    cursor: reactive[int] = reactive(0, init=False, repaint=False)

    class Moved(Message):
        """The cursor stands on another input, or something was typed."""

        def can_replace(self, message: Message) -> bool:
            """One for several."""
            return isinstance(message, Sliders.Moved)

    class Changed(Message):
        """A value is another one."""

        def __init__(self, key: str, value: Any) -> None:
            super().__init__()
            self.key = key
            self.value = value

        def can_replace(self, message: Message) -> bool:
            """The last one of several for the same input."""
            return isinstance(message, Sliders.Changed) and message.key == self.key

    class Listed(Message):
        """A list to choose from is wanted."""

        def __init__(self, entry: Choice) -> None:
            super().__init__()
            self.entry = entry

    class Passed(Message):
        """Tab was pressed on what was typed, which may have been meant otherwise."""

        def __init__(self, typed: str) -> None:
            super().__init__()
            self.typed = typed

    def __init__(self, symbols: Symbols, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._symbols = symbols
        self._flag = 0
        self.entries: Sequence[Entry] = ()
        self.values: dict[str, Any] = {}
        self.typed: str | None = None
        """An exact value while it is typed; None while none is."""

    def fill(self, entries: Sequence[Entry], values: Mapping[str, Any]) -> None:
        """Show these inputs with these values; tells nobody."""
        self.entries, self.values = entries, dict(values)
        self.redraw()

    def put(self, key: str, value: Any) -> None:
        """Change one value and tell who listens, unless it is the same; they call `redraw`."""
        if self.values[key] != value:
            self.values[key] = value
            # A message that the parent sends would not bubble beyond it.
            self.post_message(self.Changed(key, value).set_sender(self))

    def redraw(self) -> None:
        """Show the values and the cursor as they are.

        Who listens calls it with what else has to change: drawn at once, the line alone would
        be a frame of its own and put off the rest by another.
        """
        self.draw(self._rows)
        self.refresh()

    @property
    def entry(self) -> Entry | None:
        """The input under the cursor."""
        return self.entries[self.cursor] if self.cursor < len(self.entries) else None

    def validate_cursor(self, cursor: int) -> int:
        """Keep the cursor on an input."""
        return max(0, min(cursor, len(self.entries) - 1))

    def watch_cursor(self) -> None:
        """Keep the cursor in sight and tell who listens; they call `redraw`."""
        self.typed = None
        first, height = self.scroll_offset.y, max(1, self.scrollable_content_region.height)
        if not first <= self.cursor < first + height:
            self.scroll_to(y=max(0, self.cursor - height // 2), animate=False)
        self.post_message(self.Moved())

    def action_move(self, rows: int) -> None:
        """Go to another input."""
        self.cursor += rows

    def action_edge(self, index: int) -> None:
        """Go to the first or the last input."""
        self.cursor = index % max(1, len(self.entries))

    def action_step(self, steps: int) -> None:
        """Change the value by a step."""
        self._step(steps, coarse=False)

    def action_leap(self, steps: int) -> None:
        """Change the value by a large step."""
        self._step(steps, coarse=True)

    def _step(self, steps: int, *, coarse: bool) -> None:
        entry = self.entry
        if isinstance(entry, Flags):
            self._flag = max(0, min(self._flag + steps, len(entry.names) - 1))
            self.redraw()
        elif entry is not None:
            self.put(entry.key, entry.moved(self.values[entry.key], steps, coarse=coarse))

    def action_edit(self) -> None:
        """Begin an exact value or ask for the list; what is on or off changes at once."""
        entry = self.entry
        if isinstance(entry, Number):
            self._type("")
        elif isinstance(entry, Choice):
            self.post_message(self.Listed(entry))
        else:
            self.action_flip()

    def action_flip(self) -> None:
        """Turn on or off what can be."""
        entry = self.entry
        if isinstance(entry, Flags):
            self.put(entry.key, entry.flipped(self.values[entry.key], self._flag))
        elif isinstance(entry, Switch):
            self.put(entry.key, not self.values[entry.key])

    async def on_key(self, event: Key) -> None:
        """Take a key at once; a binding would take it later than what follows is typed."""
        taken = True
        if self.typed is not None:
            taken = self._key_while_typing(event, self.typed)
        elif isinstance(self.entry, Number) and event.character in _STARTS_A_NUMBER:
            self._type(event.character or "")
        elif event.key in self._bindings.key_to_bindings:
            for binding in self._bindings.key_to_bindings[event.key]:
                await self.run_action(binding.action)
        else:
            taken = False
        if taken:
            event.stop()
            event.prevent_default()

    def _key_while_typing(self, event: Key, typed: str) -> bool:
        if event.key in ("enter", "up", "down"):
            self._commit(typed)
        elif event.key == "escape":
            self._type(None)
        elif event.key == "tab":
            self.post_message(self.Passed(typed))
        elif event.key == "backspace":
            self._type(typed[:-1])
        elif event.key == "ctrl+u":
            self._type("")
        elif event.is_printable and event.character:
            self._type((typed + event.character)[:_LONGEST])
        else:
            return event.key in self._bindings.key_to_bindings
        return True

    def on_paste(self, event: Paste) -> None:
        """Type what is pasted, as far as it is one line."""
        if isinstance(self.entry, Number):
            event.stop()
            line = "".join(event.text.splitlines()[:1]).strip()
            self._type(clean((self.typed or "") + line)[:_LONGEST])

    def on_blur(self) -> None:
        """Leave the value as it was when the cursor goes elsewhere; show that it is there."""
        self.typed = None
        self.redraw()

    def on_focus(self) -> None:
        """Show where the cursor is."""
        self.post_message(self.Moved())

    def _type(self, typed: str | None) -> None:
        self.typed = typed
        self.post_message(self.Moved())

    def _commit(self, typed: str) -> None:
        """Set what was typed, if it can be; nothing leaves the value as it was."""
        entry = self.entry
        if not isinstance(entry, Number):
            return
        if typed.strip():
            try:
                value = entry.read(typed)
            except UsageError:
                return  # what is wrong is told while one types
            self.put(entry.key, value)
        self._type(None)

    def commit(self) -> None:
        """Set what was typed, if anything was and it can be."""
        if self.typed is not None:
            self._commit(self.typed)

    def on_click(self, event: Click) -> None:
        """Go to the input under the mouse; on its track, set the value."""
        at = event.get_content_offset(self)
        row = at.y + self.scroll_offset.y if at is not None else len(self.entries)
        if at is None or row >= len(self.entries):
            return
        again, self.cursor = row == self.cursor, row
        entry, x = self.entries[row], at.x - LABEL - 1
        track = self._track(self._lines_width)
        if isinstance(entry, Number) and 0 <= x < track:
            self.put(entry.key, entry.at(x / max(1, track - 1)))
        elif isinstance(entry, Flags):
            self._flag = max(0, min(x // 6, len(entry.names) - 1))
            self.action_flip()
        elif again:
            self.action_edit()

    def render_line(self, y: int) -> Strip:
        """Draw one line; the one with the cursor stands out."""
        index = y + self.scroll_offset.y
        if index != self.cursor or index >= len(self._lines):
            return super().render_line(y)
        name = "sliders--cursor" if self.has_focus else "sliders--cursor-blurred"
        style = self.visual_style + self.get_visual_style(name)
        width = self.scrollable_content_region.width
        strip = Strip(self._lines[index].render_segments(style))
        return strip.adjust_cell_length(width, style.rich_style)

    @property
    def _lines_width(self) -> int:
        return self.scrollable_content_region.width

    def _track(self, width: int) -> int:
        return max(4, width - LABEL - VALUE - 2)

    def _rows(self, width: int) -> list[Content]:
        return [self._row(index, entry, width) for index, entry in enumerate(self.entries)]

    def _row(self, index: int, entry: Entry, width: int) -> Content:
        here = index == self.cursor
        label = Content.styled(f"{entry.label:<{LABEL}} ", "bold" if here else "$muted")
        value = self.values[entry.key]
        if here and self.typed is not None:
            drawn = Content.assemble((self.typed, "bold"), (" ", "reverse"))
        elif isinstance(entry, Number):
            track = self._drawn_track(entry.fraction(value), self._track(width))
            drawn = track + Content.styled(f" {entry.shown(value)}", "bold" if here else "")
        elif isinstance(entry, Flags):
            drawn = self._drawn_flags(entry, value, here)
        elif isinstance(entry, Switch):
            drawn = self._drawn_switch(bool(value))
        else:
            name = Content(entry.shown(value)).truncate(max(4, width - LABEL - 5), ellipsis=True)
            left, right = ("<", ">") if self._symbols is ASCII else ("‹", "›")
            drawn = Content.assemble((f"{left} ", "$accent"), name, (f" {right}", "$accent"))
            drawn = drawn.stylize("bold") if here else drawn
        return (label + drawn).truncate(width, ellipsis=True)

    def _drawn_track(self, fraction: float, width: int) -> Content:
        symbols = self._symbols
        at = round(max(0.0, min(1.0, fraction)) * (width - 1))
        return Content.assemble(
            (symbols.full * at, "$accent"),
            (symbols.running, "bold $accent"),
            (symbols.empty * (width - 1 - at), "$rule"),
        )

    def _drawn_switch(self, on: bool) -> Content:
        symbols = self._symbols
        chosen, other = "bold $accent", "$muted"
        left = (f"{symbols.pending if on else symbols.running} no", other if on else chosen)
        right = (
            (f"{symbols.running} yes", "bold $accent")
            if on
            else (f"{symbols.pending} yes", "$muted")
        )
        return Content.assemble(left, "   ", right)

    def _drawn_flags(self, entry: Flags, value: Sequence[str], here: bool) -> Content:
        drawn = Content("")
        for index, name in enumerate(entry.names):
            on, at = name in value, here and index == self._flag
            style = "bold $accent" if on else "$muted"
            mark = self._symbols.done if on else self._symbols.pending
            drawn += Content.assemble((mark, style), (name, f"{style} {'reverse' if at else ''}"))
            drawn += Content(" " * max(1, 5 - len(name)))
        return drawn
