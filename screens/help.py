"""Every key that works on a screen, read from the bindings themselves, and what symbols mean."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from fathom_tui.screens.pane import Pane, wrapped
from fathom_tui.screens.symbols import Symbols

_SECTIONS = ("On this screen", "In the table or text with the cursor", "Everywhere")
_KEY = 18
_TEXTUALS = ("copy_text", "scroll_left", "scroll_right", "page_left", "page_right")
"""Textual's own actions that do nothing here worth a line."""


class HelpScreen(ModalScreen[None]):
    """The keys of the screen below."""

    CSS_PATH = "../assets/styles/dialogs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,f1,enter", "leave", "Close")
    ]

    def __init__(self, screen: Screen[Any], symbols: Symbols) -> None:
        super().__init__()
        # Read now: once this dialog is open the screen below has no active bindings.
        self._keys = keys_of(screen)
        self._symbols = symbols

    def compose(self) -> ComposeResult:
        """Lay out one scrolling text."""
        with Vertical(classes="dialog tall"):
            yield Static("Keys and symbols", classes="dialog-title")
            yield Pane(id="help")
            yield Static("j k scroll   escape close", classes="dialog-keys")

    def on_mount(self) -> None:
        """Write the text."""
        pane = self.query_one(Pane)
        pane.draw(self._lines)
        pane.focus()

    def action_leave(self) -> None:
        """Close."""
        self.dismiss(None)

    def _lines(self, width: int) -> Sequence[Content]:
        found: list[Content] = []
        for section in _SECTIONS:
            entries = [entry for entry in self._keys if entry[0] == section]
            if entries:
                found += [Content.styled(section, "$muted")]
                found += [line for entry in entries for line in _entry(entry, width)]
                found += [Content("")]
        return [*found, Content.styled("Symbols", "$muted"), *_legend(self._symbols)]


def keys_of(screen: Screen[Any]) -> list[tuple[str, str, str]]:
    """Return (section, keys, meaning) of every binding that a screen answers to."""
    found: dict[tuple[str, str], tuple[list[str], str]] = {}
    for node, binding, _, tooltip in screen.active_bindings.values():
        if not binding.description or binding.system:
            continue
        if binding.action.removeprefix("screen.") in _TEXTUALS:
            continue
        section = _section(screen, node)
        keys, _ = found.get((section, binding.action), ([], ""))
        keys.append(screen.app.get_key_display(binding))
        # Ours come after Textual's and say it in our words.
        found[section, binding.action] = keys, tooltip or binding.description
    return [
        (section, " ".join(dict.fromkeys(keys)), meaning)
        for (section, _), (keys, meaning) in found.items()
    ]


def _section(screen: Screen[Any], node: object) -> str:
    if node is screen:
        return _SECTIONS[0]
    return _SECTIONS[2] if node is screen.app else _SECTIONS[1]


def _entry(entry: tuple[str, str, str], width: int) -> list[Content]:
    _, keys, meaning = entry
    text = Content.assemble((f"  {keys:<{_KEY}}", "$accent"), meaning)
    return wrapped(text, width, indent=_KEY + 2)


def _legend(symbols: Symbols) -> Iterator[Content]:
    meanings = (
        (symbols.done, "$success", "done, passed"),
        (symbols.warned, "$warning", "done with warnings, or warned"),
        (symbols.refused, "$error", "refused by a gate, or failed"),
        (symbols.running, "$accent", "under way"),
        (symbols.waiting, "$muted", "waits for the agent"),
        (symbols.stopped, "$warning", "cancelled or interrupted; R goes on"),
        (symbols.pending, "$muted", "not begun"),
        ("?", "$secondary", "could not be found out, or is too old to count"),
    )
    for symbol, style, meaning in meanings:
        yield Content.assemble((f"  {symbol:<{_KEY}}", style), meaning)
