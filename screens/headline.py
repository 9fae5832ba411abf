"""Two lines over a run: how it stands, and the one thing to know about it now."""

from collections.abc import Sequence
from datetime import datetime

from textual.content import Content

from fathom_tui.gates import Gate, Outcome
from fathom_tui.runs import RunView, StageView
from fathom_tui.screens import scores
from fathom_tui.screens.stages import elapsed
from fathom_tui.screens.symbols import Symbols, of_state
from fathom_tui.screens.verdicts import Waivers, counts
from fathom_tui.screens.words import clean, duration, plural
from fathom_tui.stages import RunState, StageState


def lines(
    view: RunView,
    state: RunState,
    waivers: Waivers,
    symbols: Symbols,
    now: datetime,
    width: int,
) -> Sequence[Content]:
    """Return the two lines.

    Args:
        view: The run.
        state: How it really stands: without an agent nothing is running.
        waivers: What people waived in this run.
        symbols: What the terminal can show.
        now: UTC.
        width: Cells of the widest line.
    """
    news = _news(view, state, waivers, symbols, now)
    return [
        _standing(view, state, waivers, symbols, now).truncate(width, ellipsis=True),
        news.truncate(width, ellipsis=True),
    ]


def unwaived(view: RunView, waivers: Waivers) -> list[Gate]:
    """Return the refusals that a person may waive and nobody has."""
    return [
        gate
        for stage in view.stages.values()
        for gate in stage.gates
        if gate.outcome is Outcome.REFUSE and gate.waivable and gate.name not in waivers
    ]


def _standing(
    view: RunView, state: RunState, waivers: Waivers, symbols: Symbols, now: datetime
) -> Content:
    symbol, style = of_state(symbols, state)
    done = sum(stage.state is StageState.DONE for stage in view.stages.values())
    seconds = sum(elapsed(stage, now) for stage in view.stages.values())
    about = [f"{done} of {len(view.stages)} stages", duration(seconds)]
    if view.attempts > 1:
        about.append(f"attempt {view.attempts}")
    warned, refused = counts(view)
    return Content.assemble(
        (f"{symbol} ", style),
        (clean(view.id), "bold"),
        " ",
        (state.value, style),
        (f"   {'   '.join(about)}", "$muted"),
        *((f"   {symbols.warned} {plural(warned, 'warning')}", "$warning"),) * bool(warned),
        *((f"   {symbols.refused} {refused} refused", "$error"),) * bool(refused),
        *((f"   {len(waivers)} waived", "$warning"),) * bool(waivers),
    )


def _news(
    view: RunView, state: RunState, waivers: Waivers, symbols: Symbols, now: datetime
) -> Content:
    match state:
        case RunState.REFUSED:
            return _refusal(view, waivers, symbols)
        case RunState.FAILED:
            return _trouble(view.error or "A stage failed.", view.fix, symbols)
        case RunState.INTERRUPTED:
            return Content("The agent went away under way. Nothing is lost: R goes on from here.")
        case RunState.CANCELLED:
            return Content("Cancelled. R goes on at the first unfinished stage.")
        case RunState.QUEUED:
            return Content.styled("Waiting for the agent.", "$muted")
        case RunState.DONE:
            return scores.said(view.result, symbols)
    return Content.styled(_under_way(view.current, now), "$muted")


def _under_way(stage: StageView | None, now: datetime) -> str:
    if stage is None:
        return "between two stages"
    so_far = elapsed(stage, now)
    if stage.total > 0 and stage.done > 0:
        left: float | None = so_far * (stage.total - stage.done) / stage.done
    else:
        left = stage.expected_seconds - so_far if stage.expected_seconds else None
    said = f", about {duration(left)} left" if left is not None and left >= 1 else ""
    return f"{stage.name}{said}. It goes on when you quit."


def _refusal(view: RunView, waivers: Waivers, symbols: Symbols) -> Content:
    left = unwaived(view, waivers)
    if left:
        gate = left[0]
        return Content.assemble(
            (f"{clean(gate.name)}: ", "$error"), clean(gate.reason), ("  w waives it", "$muted")
        )
    if waivers:
        return Content("Every refused gate that can be is waived: R goes on.")
    return _trouble(view.error or "A gate refused.", view.fix, symbols)


def _trouble(message: str, fix: str, symbols: Symbols) -> Content:
    way_out = f" {symbols.then} {clean(fix)}" if fix else ""
    return Content.assemble((clean(message), "$error"), way_out)
