"""A line to narrow lists with: `/` opens it, enter keeps what was typed, escape clears it."""

from collections.abc import Iterable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Label


def matches(text: str, words: Iterable[str]) -> bool:
    """Say whether every word occurs in a text; `a|b` is either.

    Args:
        text: Where to look, in lower case.
        words: What was typed, split at spaces.
    """
    return all(any(part in text for part in word.split("|") if part) for word in words)


class Field(Input):
    """The field of the line."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "give_up", "Clear the filter", show=False),
        Binding("down", "submit", "Back to the table", show=False),
    ]

    class GivenUp(Message):
        """Nothing is to be narrowed."""

    def action_give_up(self) -> None:
        """Clear the filter."""
        self.post_message(self.GivenUp())


class Search(Horizontal):
    """The line; seen while it is typed into and while it narrows something.

    Args:
        hint: Shown while nothing is typed.
    """

    DEFAULT_CSS = """
    Search { height: 1; padding: 0 1; background: $panel; display: none; }
    Search.-open { display: block; }
    Search > Label { width: auto; color: $accent; text-style: bold; }
    Search > Input { width: 1fr; background: $panel; }
    Search > #found-count { color: $muted; text-style: none; }
    """

    class Changed(Message):
        """Other words are there."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Left(Message):
        """The table is to have the focus again."""

    def __init__(self, hint: str) -> None:
        super().__init__(id="search")
        self._hint = hint

    def compose(self) -> ComposeResult:
        """Lay out the field between its mark and the count."""
        yield Label("/ ", markup=False)
        yield Field(id="wanted", placeholder=self._hint, compact=True)
        yield Label("", id="found-count", markup=False)

    @property
    def text(self) -> str:
        """What is typed."""
        return self.query_one(Field).value

    @property
    def words(self) -> list[str]:
        """The words in lower case."""
        return self.text.lower().split()

    def open(self) -> None:
        """Let it be typed into."""
        self.add_class("-open")
        self.query_one(Field).focus()

    def clear(self) -> None:
        """Narrow nothing, and go back to the table."""
        self.query_one(Field).value = ""
        self._leave()

    def tell(self, count: str) -> None:
        """Say how much was found."""
        self.query_one("#found-count", Label).update(Content(f" {count}"))

    @on(Input.Changed)
    def changed(self, event: Input.Changed) -> None:
        """Tell who narrows."""
        event.stop()
        self.post_message(self.Changed(event.value))

    @on(Input.Submitted)
    def kept(self, event: Input.Submitted) -> None:
        """Keep the words, and go back to the table."""
        event.stop()
        self._leave()

    @on(Field.GivenUp)
    def given_up(self) -> None:
        """Clear the words."""
        self.clear()

    def _leave(self) -> None:
        self.set_class(bool(self.text.strip()), "-open")
        self.post_message(self.Left())
