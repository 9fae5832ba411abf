"""The runs as rows: how each one stands, its id, and how long ago it was made."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from textual.content import Content

from fathom_tui.screens.grid import Column, Row
from fathom_tui.screens.standing import standing
from fathom_tui.screens.symbols import Symbols, of_state
from fathom_tui.screens.words import ago, clean
from fathom_tui.stages import RunState

if TYPE_CHECKING:
    from fathom_tui.store.rows import RunRow

COLUMNS = (
    Column(width=1),
    Column(cut="middle"),
    Column(width=6, align="right", from_width=24),
)


def rows(
    listed: "Sequence[RunRow]",
    known: Mapping[str, RunState],
    waiting: Collection[str],
    heartbeat: Mapping[str, Any] | None,
    symbols: Symbols,
    now: datetime,
) -> list[Row]:
    """Return a row for each run.

    Args:
        listed: Runs of the ledger, newest first.
        known: States of runs that are known better than from the ledger.
        waiting: Runs asked for; those that the ledger does not have yet come first.
        heartbeat: What the agent does; None when there is none.
        symbols: What the terminal can show.
        now: UTC.
    """
    ids = {row.id for row in listed}
    found = [_row(run_id, RunState.QUEUED, "", symbols) for run_id in sorted(set(waiting) - ids)]
    for row in listed:
        state = standing(RunState(row.state), row.id, heartbeat, waiting)
        age = ago(row.created_at, now)
        found.append(_row(row.id, known.get(row.id, state), age, symbols))
    return found


def _row(run_id: str, state: RunState, age: str, symbols: Symbols) -> Row:
    symbol, style = of_state(symbols, state)
    cells = (
        Content.styled(symbol, style),
        Content(clean(run_id)),
        Content.styled(age, "$muted"),
    )
    return Row(key=run_id, cells=cells)
