"""Follow a run from its journal: live progress in a terminal, lines elsewhere; then the table."""

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fathom_tui.commands.output import duration, narrate, printable
from fathom_tui.errors import EnvironmentProblem, ExitCode
from fathom_tui.runs import RunView, StageView, apply
from fathom_tui.stages import STAGES, RunState, StageState
from fathom_tui.store.journal import tail
from fathom_tui.store.paths import Home
from fathom_tui.store.requests import agent_alive, requests
from fathom_tui.summary import facts, score_rows

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID
    from rich.table import Table

_TICK_S = 0.2
_SILENCE_S = 10.0
_ENDED = (
    RunState.DONE,
    RunState.REFUSED,
    RunState.FAILED,
    RunState.CANCELLED,
    RunState.INTERRUPTED,
)
_SYMBOLS = {"pass": "✓", "warn": "!", "refuse": "✗"}
EXIT_CODES = {
    RunState.DONE: ExitCode.DONE,
    RunState.REFUSED: ExitCode.REFUSED,
    RunState.FAILED: ExitCode.ENVIRONMENT,
    RunState.CANCELLED: ExitCode.INTERRUPTED,
    RunState.INTERRUPTED: ExitCode.INTERRUPTED,
}


def follow(home: Home, run_id: str) -> RunView:
    """Show a run's progress on stderr until it ends; return what it came to.

    Raises:
        EnvironmentProblem: The agent is gone and the run has not ended.
    """
    from rich.console import Console

    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    return (_follow_live if console.is_terminal else _follow_lines)(home, run_id, console)


def watch(home: Home, run_id: str) -> Iterator[RunView]:
    """Yield the run's view after every batch of events, and now and then between."""
    path, offset, view = home.run_journal(run_id), 0, RunView()
    quiet_since = time.monotonic()
    while True:
        # Looked for first: a request is taken away only once the journal says that work goes on.
        waiting = _waiting(home, run_id)
        events, offset = tail(path, offset)
        for event in events:
            apply(view, event)
        if view.state in _ENDED and not waiting:
            break
        if events:
            quiet_since = time.monotonic()
        yield view
        if time.monotonic() - quiet_since > _SILENCE_S and agent_alive(home) is None:
            raise EnvironmentProblem(
                f"The agent is gone and run {run_id} has not ended.", fix=f"fathom resume {run_id}"
            )
        time.sleep(_TICK_S)
    yield view


def _waiting(home: Home, run_id: str) -> bool:
    return any(request.run == run_id for request in requests(home))


class _Queue:
    """Says once of each run that goes before that it does."""

    def __init__(self, home: Home, run_id: str) -> None:
        self._home = home
        self._run_id = run_id
        self._before: object = None

    def news(self, view: RunView) -> str:
        """Return what is new for a run that waits; empty when nothing is."""
        if view.state is not RunState.QUEUED:
            return ""
        before = (agent_alive(self._home) or {}).get("run")
        if before in (None, self._run_id, self._before):
            return ""
        self._before = before
        return printable(f"{self._run_id} waits: the agent works on {before}.")


def _follow_lines(home: Home, run_id: str, console: "Console") -> RunView:
    """Print a line when a stage begins and when it ends."""
    told: set[tuple[str, str, str | None]] = set()
    queue = _Queue(home, run_id)
    for view in watch(home, run_id):  # noqa: B007  # the last view is the result
        if news := queue.news(view):
            narrate(f"  {news}")
        for stage in view.stages.values():
            key = (stage.name, stage.state.value, stage.started_at)
            if stage.state is StageState.PENDING or key in told:
                continue
            told.add(key)
            if stage.state is StageState.RUNNING:
                about = next(s.about for s in STAGES if s.name == stage.name)
                expected = f" (about {duration(stage.expected_seconds)})"
                narrate(f"  {stage.name:<10} {about}{expected if stage.expected_seconds else ''}")
            else:
                narrate(_ended_line(stage))
    return view


def _ended_line(stage: StageView) -> str:
    lines = [f"  {stage.name:<10} {stage.state.value} in {duration(stage.seconds)}"]
    lines += [
        f"             {_SYMBOLS[gate.outcome]} {gate.name}: {gate.reason}" for gate in stage.gates
    ]
    if stage.error:
        lines.append(f"             ✗ {stage.error}")
    return "\n".join(lines)


def _follow_live(home: Home, run_id: str, console: "Console") -> RunView:
    """Show one bar a stage, with the time it took, the time it should take, and what it says."""
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.fields[mark]} {task.description:<10}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[time]:<22}"),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, refresh_per_second=4) as progress:
        tasks = {
            stage.name: progress.add_task(stage.name, total=1.0, mark="·", time="", note="")
            for stage in STAGES
        }
        told: set[tuple[str, str]] = set()
        queue = _Queue(home, run_id)
        for view in watch(home, run_id):  # noqa: B007  # the last view is the result
            if news := queue.news(view):
                progress.console.print(news)
            for stage in view.stages.values():
                _show(progress, tasks[stage.name], stage)
                for gate in stage.gates:
                    if gate.outcome != "pass" and (stage.name, gate.name) not in told:
                        told.add((stage.name, gate.name))
                        text = f"{_SYMBOLS[gate.outcome]} {gate.name}: {gate.reason}"
                        progress.console.print(printable(text))
    return view


def _show(progress: "Progress", task: "TaskID", stage: StageView) -> None:
    mark = {"running": "●", "done": "✓", "refused": "✗", "failed": "✗"}.get(stage.state, "·")
    if stage.state is StageState.RUNNING:
        spent = progress.tasks[task].elapsed or 0.0
        if progress.tasks[task].fields["mark"] != "●":
            progress.reset(task, total=1.0)
            spent = 0.0
        share = stage.done / stage.total if stage.total else 0.0
        expected = f" of ~{duration(stage.expected_seconds)}" if stage.expected_seconds else ""
        progress.update(
            task,
            completed=min(share, 0.99),
            mark=mark,
            time=f"{duration(spent)}{expected}",
            note=printable(stage.note)[:48],
        )
    elif stage.state is not StageState.PENDING:
        full = 1.0 if stage.state is StageState.DONE else progress.tasks[task].completed
        progress.update(task, completed=full, mark=mark, time=duration(stage.seconds), note="")


def print_result(view: RunView, home: Home) -> None:
    """Print the comparison, what else matters, and what to type next, on stderr and stdout."""
    from rich.console import Console

    console = Console(file=sys.stderr, markup=False, highlight=False, emoji=False)
    for table in score_tables(view, console):
        console.print()
        console.print(table)
    console.print()
    for name, value in facts(view):
        console.print(f"  {name:<12} {printable(value)}", soft_wrap=True)
    if view.result:
        console.print(f"  {'verdict':<12} {printable(view.result['headline'])}", soft_wrap=True)
    console.print(f"  {'artifacts':<12} {home.run(view.id)}", soft_wrap=True)
    if view.error:
        console.print(f"\n✗ {printable(view.error)}", soft_wrap=True)
        console.print(f"  fix: {printable(view.fix)}", soft_wrap=True)


def score_tables(view: RunView, console: "Console") -> "list[Table]":
    """Return the comparison as a table, or as two where one is wider than the terminal."""
    from rich.measure import Measurement
    from rich.table import Table

    rows = score_rows(view)
    if not rows:
        return []
    fields = list(rows[-1].parts) if len(rows[-1].parts) > 1 else []

    def table(*groups: str) -> Table:
        made = Table(box=None, pad_edge=False)
        for title in ("", *groups):
            made.add_column(title, no_wrap=title != "")
        for row in rows:
            cells = {
                "score (95 %)": row.score,
                **{name: row.parts.get(name, "–") for name in fields},
                "usable free": row.free,
                "prompt tok": row.prompt_tokens,
            }
            made.add_row(row.name, *(cells[title] for title in groups))
        return made

    whole = table("score (95 %)", *fields, "usable free", "prompt tok")
    wanted = Measurement.get(console, console.options.update(width=10_000), whole).maximum
    if wanted <= console.width or not fields:
        return [whole]
    return [table("score (95 %)", "usable free", "prompt tok"), table(*fields)]
