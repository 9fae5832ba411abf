"""Every verdict of the run that made a version, with who waived what and why."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from fathom_tui.gates import Outcome
from fathom_tui.screens.pane import wrapped
from fathom_tui.screens.symbols import Symbols
from fathom_tui.screens.verdicts import Waivers, gate_lines
from fathom_tui.screens.words import clean

if TYPE_CHECKING:
    from fathom_tui.check_events import Recorded
    from fathom_tui.runs import RunView


def gates(
    view: "RunView | None", lost: str, waivers: Waivers, symbols: Symbols, width: int
) -> list[Content]:
    """Return every verdict of the run that made a version, the worst first.

    Args:
        view: The run; None where it cannot be read.
        lost: Why it cannot.
        waivers: What people waived in it.
        symbols: What the terminal can show.
        width: Cells of the widest line.
    """
    if view is None:
        why = lost or "The ledger does not say which run made it."
        return wrapped(Content.styled(f"? {clean(why)}", "$warning"), width, indent=2)
    spoken = [gate for stage in view.stages.values() for gate in stage.gates]
    if not spoken:
        return [Content.styled(f"{clean(view.id)} has no verdict", "$muted")]
    found = [_tally(view, [gate.outcome for gate in spoken], len(waivers))]
    worst_first = sorted(spoken, key=lambda gate: list(Outcome).index(gate.outcome), reverse=True)
    for gate in worst_first:
        found += gate_lines(gate, waivers, symbols, width)
    return found


def _tally(view: "RunView", outcomes: Sequence[Outcome], waived: int) -> Content:
    counts = {outcome: outcomes.count(outcome) for outcome in reversed(Outcome)}
    words = {Outcome.REFUSE: "refused", Outcome.WARN: "warned", Outcome.PASS: "passed"}
    styles = {Outcome.REFUSE: "$error", Outcome.WARN: "$warning", Outcome.PASS: "$success"}
    parts = [
        Content.styled(f"{count} {words[outcome]}", styles[outcome])
        for outcome, count in counts.items()
        if count
    ]
    if waived:
        parts.append(Content.styled(f"{waived} waived", "$warning"))
    return Content.assemble((clean(view.id), "bold"), "  ") + Content("  ").join(parts)


def waivers_of(rows: "Sequence[Recorded]", run: str) -> Waivers:
    """Return what was waived in a run, by gate."""
    return {
        str(row["gate"]): {"by": row.get("by", "?"), "reason": row.get("reason", "")}
        for row in rows
        if row.get("run") == run and row.get("gate")
    }
