"""States as symbols: nothing on the screens is said by colour alone."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fathom_tui.gates import Outcome
    from fathom_tui.stages import RunState, StageState


class Symbols(NamedTuple):
    """One character for each thing that has to be told apart."""

    done: str = "✓"
    warned: str = "!"
    refused: str = "✗"
    running: str = "●"
    waiting: str = "○"
    pending: str = "·"
    stopped: str = "■"
    full: str = "━"
    empty: str = "─"
    until: str = "–"
    """Between the ends of an interval."""
    target: str = "┊"
    then: str = "→"
    plot: str = "hd"
    """Marker of the loss plot, as plotext names it."""
    points: str = "●"
    curve: str = "▀"
    """The training curve in its legend."""


UNICODE = Symbols()
ASCII = Symbols(
    done="+",
    warned="!",
    refused="x",
    running="*",
    waiting="o",
    pending=".",
    stopped="#",
    full="=",
    empty="-",
    until="-",
    target="|",
    then="->",
    plot="dot",
    points="o",
    curve=".",
)
"""For the Linux console, whose font has few characters."""


def symbols_for(env: Mapping[str, str]) -> Symbols:
    """Return the symbols that the terminal can show."""
    return ASCII if env.get("TERM") == "linux" or env.get("FATHOM_ASCII") == "1" else UNICODE


_STATES = {
    "pending": ("pending", "$muted"),
    "queued": ("waiting", "$muted"),
    "running": ("running", "$accent"),
    "done": ("done", "$success"),
    "refused": ("refused", "$error"),
    "failed": ("refused", "$error"),
    "cancelled": ("stopped", "$warning"),
    "interrupted": ("stopped", "$warning"),
}
_OUTCOMES = {
    "pass": ("done", "$success"),
    "warn": ("warned", "$warning"),
    "refuse": ("refused", "$error"),
}


def of_state(
    symbols: Symbols, state: "StageState | RunState | str", verdict: "Outcome | None" = None
) -> tuple[str, str]:
    """Return a state's symbol and style; a stage that is done with warnings shows those."""
    if state == "done" and verdict in ("warn", "refuse"):
        # Done in spite of a refusal: a person waived it.
        return symbols.warned, "$warning"
    name, style = _STATES[str(state)]
    return getattr(symbols, name), style


def of_outcome(symbols: Symbols, outcome: "Outcome") -> tuple[str, str]:
    """Return a verdict's symbol and style."""
    name, style = _OUTCOMES[str(outcome)]
    return getattr(symbols, name), style
