"""The deployment checklist: what is ticked by which check, and how to do what is open."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from textual.content import Content

from fathom_tui.screens.deploy_way import no_answer, way
from fathom_tui.screens.pane import wrapped
from fathom_tui.screens.symbols import Symbols
from fathom_tui.screens.words import clean

if TYPE_CHECKING:
    from fathom_tui.screens.deploy_asked import Answered


def checklist(
    answer: "Answered | None", run: str, symbols: Symbols, width: int, *, asking: bool
) -> list[Content]:
    """Return the deployment checklist of a version's run: what is open first in each section."""
    if not run:
        return [Content.styled("no run, so there is no checklist", "$muted")]
    if answer is None or (answer.problem and asking):
        return [Content.styled(f"{symbols.running} gathering it from {clean(run)} ...", "$muted")]
    if answer.problem:
        return no_answer(answer, symbols, width)
    items = [item for item in answer.data if isinstance(item, Mapping)]
    done = sum(item.get("done") is True for item in items)
    style = "$success" if done == len(items) else "$warning"
    head = Content.assemble(
        (f"{done} of {len(items)} ticked", f"{style} bold"),
        ("  a tick names the check that verified it", "$muted"),
    )
    found = wrapped(head, width)
    for section in dict.fromkeys(str(item.get("section", "")) for item in items):
        found += [Content(""), Content.styled(clean(section), "bold $accent")]
        for item in items:
            if str(item.get("section", "")) == section:
                found += _item(item, symbols, width)
    return found


def _item(item: Mapping[str, Any], symbols: Symbols, width: int) -> list[Content]:
    done = item.get("done") is True
    mark, style = (symbols.done, "$success") if done else (symbols.waiting, "$warning")
    text = Content.assemble(
        (f"{mark} ", style), (clean(item.get("text", "")), "" if done else "bold")
    )
    found = wrapped(text, width, indent=2)
    if done:
        by = Content.styled(f"  {clean(item.get('evidence') or '')}", "$muted")
        return found + wrapped(by, width, indent=2)
    return found + way(clean(item.get("how") or ""), symbols, width)
