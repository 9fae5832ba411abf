"""The stages of a run as rows: symbol, name, state, time, and what is going on."""

from collections.abc import Collection
from datetime import datetime

from textual.content import Content

from fathom_tui.gates import Gate, Outcome
from fathom_tui.runs import RunView, StageView
from fathom_tui.screens.grid import Column, Row
from fathom_tui.screens.symbols import Symbols, of_state
from fathom_tui.screens.words import clean, clock, duration, plural, since
from fathom_tui.stages import STAGES, StageState

COLUMNS = (
    Column(width=1),
    Column(title="stage", width=9),
    Column(title="state", width=9),
    Column(title="time", width=13, align="right"),
    Column(title=""),
)
_ABOUT = {stage.name: stage.about for stage in STAGES}
_BAR = 8


def rows(
    view: RunView,
    symbols: Symbols,
    now: datetime,
    waived: Collection[str],
    *,
    stopped: bool = False,
) -> list[Row]:
    """Return a row for each stage.

    Args:
        view: The run.
        symbols: What the terminal can show.
        now: The time that a running stage is measured to, UTC.
        waived: Names of gates that a person waived.
        stopped: Whether the stage under way is so no longer: its agent has gone.
    """
    return [_row(stage, symbols, now, waived, stopped) for stage in view.stages.values()]


def elapsed(stage: StageView, now: datetime) -> float:
    """Return the seconds a stage took or has taken so far."""
    if stage.seconds is not None:
        return stage.seconds
    return since(stage.started_at, now) if stage.state is StageState.RUNNING else 0.0


def _row(
    stage: StageView, symbols: Symbols, now: datetime, waived: Collection[str], stopped: bool
) -> Row:
    symbol, style = of_state(symbols, stage.state, stage.verdict)
    state = str(stage.state)
    if stopped and stage.state is StageState.RUNNING:
        symbol, style = of_state(symbols, "interrupted")
        state = "stopped"
    quiet = stage.state is StageState.PENDING
    cells = (
        Content.styled(symbol, style),
        Content.styled(clean(stage.name), "$muted" if quiet else ""),
        Content.styled(state, "$muted" if quiet else style),
        Content.styled(_time(stage, now), "$muted" if quiet else ""),
        _doing(stage, symbols, now, waived),
    )
    return Row(key=stage.name, cells=cells)


def _time(stage: StageView, now: datetime) -> str:
    if stage.state is not StageState.RUNNING:
        return duration(stage.seconds)
    so_far = clock(elapsed(stage, now))
    expected = stage.expected_seconds
    return f"{so_far} of ~{clock(expected)}" if expected else so_far


def _doing(stage: StageView, symbols: Symbols, now: datetime, waived: Collection[str]) -> Content:
    match stage.state:
        case StageState.PENDING:
            return Content.styled(_ABOUT.get(stage.name, ""), "$muted")
        case StageState.RUNNING:
            return _progress(stage, symbols, now)
        case StageState.DONE:
            return _verdict(stage, waived)
    refusal = next((g for g in stage.gates if g.outcome is Outcome.REFUSE), None)
    said = stage.error or (refusal.reason if refusal else "")
    return Content.styled(clean(said), "$error")


def _progress(stage: StageView, symbols: Symbols, now: datetime) -> Content:
    note = clean(stage.note)
    if stage.total > 0:
        share = stage.done / stage.total
        note = note or f"{stage.done:g} of {stage.total:g}"
    elif stage.expected_seconds:
        share = elapsed(stage, now) / stage.expected_seconds
    else:
        return Content(note)
    full = round(_BAR * min(1.0, max(0.0, share)))
    return Content.assemble(
        (symbols.full * full, "$accent"), (symbols.empty * (_BAR - full), "$rule"), f" {note}"
    )


def _verdict(stage: StageView, waived: Collection[str]) -> Content:
    odd = [gate for gate in stage.gates if gate.outcome is not Outcome.PASS]
    if not odd:
        return (
            Content.styled(plural(len(stage.gates), "gate") + " passed", "$muted")
            if (stage.gates)
            else Content("")
        )
    more = f" (+{len(odd) - 1})" if len(odd) > 1 else ""
    worst = max(odd, key=lambda gate: gate.outcome is Outcome.REFUSE)
    return Content.styled(f"{_short(worst, waived)}{more}", "$warning")


def _short(gate: Gate, waived: Collection[str]) -> str:
    lifted = "waived " if gate.name in waived else ""
    return f"{lifted}{clean(gate.name)}: {clean(gate.reason)}"
