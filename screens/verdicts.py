"""What the gates said: the selected stage's in full, and every warning of the others."""

from collections.abc import Mapping
from typing import Any

from textual.content import Content

from fathom_tui.gates import Gate, Outcome
from fathom_tui.runs import RunView, StageView
from fathom_tui.screens.pane import wrapped
from fathom_tui.screens.symbols import Symbols, of_outcome
from fathom_tui.screens.words import clean
from fathom_tui.stages import STAGES

Waivers = Mapping[str, Mapping[str, Any]]
"""By gate: {by, reason}."""

_ABOUT = {stage.name: stage.about for stage in STAGES}


def lines(
    view: RunView, chosen: str, waivers: Waivers, symbols: Symbols, width: int
) -> list[Content]:
    """Return the verdicts as lines.

    Args:
        view: The run.
        chosen: Name of the stage under the cursor.
        waivers: What people waived in this run.
        symbols: What the terminal can show.
        width: Cells of the widest line.
    """
    stage = view.stages.get(chosen)
    found = _of_stage(stage, waivers, symbols, width) if stage is not None else []
    others = [
        gate
        for other in view.stages.values()
        for gate in other.gates
        if other.name != chosen and gate.outcome is not Outcome.PASS
    ]
    if others:
        found += [Content(""), Content.styled("in other stages", "$muted")]
    for gate in others:
        found += gate_lines(gate, waivers, symbols, width)
    return found


def counts(view: RunView) -> tuple[int, int]:
    """Return how many gates of a run warned and how many refused."""
    outcomes = [gate.outcome for stage in view.stages.values() for gate in stage.gates]
    return outcomes.count(Outcome.WARN), outcomes.count(Outcome.REFUSE)


def _of_stage(stage: StageView, waivers: Waivers, symbols: Symbols, width: int) -> list[Content]:
    about = Content.assemble((stage.name, "bold"), (f"  {_ABOUT.get(stage.name, '')}", "$muted"))
    found = wrapped(about, width, indent=2)
    refusals = [gate.reason for gate in stage.gates if gate.outcome is Outcome.REFUSE]
    if stage.error and not any(reason in stage.error for reason in refusals):
        found += wrapped(_marked(symbols.refused, clean(stage.error), "$error"), width, indent=2)
        found += _fix(stage.fix, symbols, width) if stage.fix else []
    worst_first = sorted(stage.gates, key=lambda g: list(Outcome).index(g.outcome), reverse=True)
    for gate in worst_first:
        found += gate_lines(gate, waivers, symbols, width)
    if not stage.gates and not stage.error:
        found.append(Content.styled("no verdict yet", "$muted"))
    return found


def gate_lines(gate: Gate, waivers: Waivers, symbols: Symbols, width: int) -> list[Content]:
    """Return one verdict, with who waived it and why, or the way out."""
    symbol, style = of_outcome(symbols, gate.outcome)
    passed = gate.outcome is Outcome.PASS
    text = Content.assemble(
        (f"{symbol} ", style),
        (clean(gate.name), "$muted" if passed else f"{style} bold"),
        "  ",
        (clean(gate.reason), "$muted" if passed else ""),
    )
    found = wrapped(text, width, indent=2)
    waiver = waivers.get(gate.name)
    if waiver is not None:
        said = f"waived by {clean(waiver['by'])}: {clean(waiver['reason'])}"
        found += wrapped(Content.styled(f"  {said}", "$warning"), width, indent=4)
    elif gate.fix and not passed:
        found += _fix(gate.fix, symbols, width)
    return found


def _fix(fix: str, symbols: Symbols, width: int) -> list[Content]:
    text = Content.assemble((f"  {symbols.then} ", "$accent"), clean(fix))
    return wrapped(text, width, indent=4)


def _marked(symbol: str, text: str, style: str) -> Content:
    return Content.assemble((f"{symbol} ", style), (text, style))
