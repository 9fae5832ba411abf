"""What to do about something, as the panels say it."""

from typing import TYPE_CHECKING

from textual.content import Content

from fathom_tui.screens.pane import wrapped
from fathom_tui.screens.symbols import Symbols
from fathom_tui.screens.words import clean

if TYPE_CHECKING:
    from fathom_tui.screens.deploy_asked import Answered


def way(fix: str, symbols: Symbols, width: int) -> list[Content]:
    """Return the way out as lines."""
    text = Content.assemble((f"  {symbols.then} ", "$accent"), fix)
    return wrapped(text, width, indent=4)


def no_answer(answer: "Answered", symbols: Symbols, width: int) -> list[Content]:
    """Return why there is no answer, and the way out."""
    text = Content.styled(f"{symbols.refused} {clean(answer.problem)}", "$error")
    found = wrapped(text, width, indent=2)
    return found + (way(clean(answer.fix), symbols, width) if answer.fix else [])
