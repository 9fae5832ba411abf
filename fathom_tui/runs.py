"""What a run looks like, folded from its journal; the same fold serves tables and screens."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fathom_tui.events import Event
from fathom_tui.gates import Gate, Outcome, worst
from fathom_tui.stages import STAGE_NAMES, RunState, StageState


@dataclass(slots=True, kw_only=True)
class StageView:
    """One stage as a person sees it."""

    name: str
    state: StageState = StageState.PENDING
    started_at: str | None = None
    seconds: float | None = None
    """Wall seconds of the attempt that finished it; None while it has not ended."""
    expected_seconds: float | None = None
    done: float = 0
    total: float = 0
    note: str = ""
    gates: list[Gate] = field(default_factory=list)
    error: str = ""
    fix: str = ""
    input_hash: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> Outcome | None:
        """The worst verdict of its gates; None before any gate spoke."""
        return worst(gate.outcome for gate in self.gates) if self.gates else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file or directory that a stage produced."""

    name: str
    stage: str
    path: str
    """Relative to the run's directory."""
    sha256: str
    bytes: int
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """What it was made from: names with their hashes."""


@dataclass(slots=True, kw_only=True)
class RunView:
    """One run as a person sees it."""

    id: str = ""
    engagement: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    state: RunState = RunState.QUEUED
    created_at: str = ""
    finished_at: str | None = None
    attempts: int = 0
    seq: int = 0
    """Sequence number of the last event applied."""
    stages: dict[str, StageView] = field(
        default_factory=lambda: {name: StageView(name=name) for name in STAGE_NAMES}
    )
    metrics: list[Mapping[str, Any]] = field(default_factory=list)
    """Training metrics in order: each has `step` and `train_loss` or `validation_loss`."""
    measured: list[Mapping[str, Any]] = field(default_factory=list)
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    error: str = ""
    fix: str = ""

    @property
    def current(self) -> StageView | None:
        """The stage under way, if any."""
        return next((s for s in self.stages.values() if s.state is StageState.RUNNING), None)

    @property
    def result(self) -> Mapping[str, Any]:
        """The comparison that `evaluate` reported; empty before it ended."""
        return self.stages["evaluate"].result


def apply(run: RunView, event: Event) -> None:
    """Fold one event into the view, in place; kinds it does not know are passed over."""
    if event.seq <= run.seq:
        return
    run.seq = event.seq
    fold = _FOLDS.get(event.kind)
    if fold is not None:
        fold(run, event)


def fold(events: Iterable[Event]) -> RunView:
    """Return the view of a run from all its events."""
    run = RunView()
    for event in events:
        apply(run, event)
    return run


def _stage(run: RunView, event: Event) -> StageView:
    name = event.data["stage"]
    return run.stages.setdefault(name, StageView(name=name))


def _created(run: RunView, event: Event) -> None:
    run.id = event.data["run"]
    run.engagement = event.data["engagement"]
    run.config = event.data.get("config", {})
    run.created_at = event.at


def _attempt(run: RunView, event: Event) -> None:
    run.attempts = event.data["number"]
    run.state = RunState.RUNNING
    run.finished_at = None
    run.error = run.fix = ""
    for stage in run.stages.values():
        if stage.state is not StageState.DONE:
            # The hash says later whether what it had measured still counts.
            run.stages[stage.name] = StageView(name=stage.name, input_hash=stage.input_hash)


def _stage_started(run: RunView, event: Event) -> None:
    earlier = _stage(run, event)
    stage = StageView(
        name=event.data["stage"],
        state=StageState.RUNNING,
        started_at=event.at,
        expected_seconds=event.data.get("expected_seconds"),
        input_hash=event.data.get("input_hash", ""),
    )
    run.stages[stage.name] = stage
    if stage.name == "train" and stage.input_hash != earlier.input_hash:
        run.metrics = []  # another recipe or other data; else training goes on where it was


def _progress(run: RunView, event: Event) -> None:
    stage = _stage(run, event)
    stage.done = event.data.get("done", stage.done)
    stage.total = event.data.get("total", stage.total)
    stage.note = event.data.get("note", stage.note)


def _metric(run: RunView, event: Event) -> None:
    step = event.data["step"]
    names = set(event.data) - {"stage", "step", "epoch"}
    if run.metrics and run.metrics[-1]["step"] >= step:
        # Training went back to a checkpoint: what came after it is measured again.
        run.metrics = [
            m for m in run.metrics if m["step"] < step or (m["step"] == step and not names & set(m))
        ]
    run.metrics.append(dict(event.data))


def _measured(run: RunView, event: Event) -> None:
    run.measured.append(dict(event.data))


def _gate(run: RunView, event: Event) -> None:
    _stage(run, event).gates.append(Gate.from_json(event.data["gate"]))


def _artifact(run: RunView, event: Event) -> None:
    data = event.data
    run.artifacts[data["name"]] = Artifact(
        name=data["name"],
        stage=data["stage"],
        path=data["path"],
        sha256=data["sha256"],
        bytes=data["bytes"],
        inputs=data.get("inputs") or {},
    )


def _stage_finished(run: RunView, event: Event) -> None:
    stage = _stage(run, event)
    stage.state = StageState(event.data["state"])
    stage.seconds = event.data["seconds"]
    stage.input_hash = event.data.get("input_hash", stage.input_hash)
    stage.result = event.data.get("result") or {}
    error = event.data.get("error") or {}
    stage.error, stage.fix = error.get("message", ""), error.get("fix", "")


def _run_finished(run: RunView, event: Event) -> None:
    run.state = RunState(event.data["state"])
    run.finished_at = event.at
    error = event.data.get("error") or {}
    run.error, run.fix = error.get("message", ""), error.get("fix", "")
    if run.state is RunState.CANCELLED:
        for stage in run.stages.values():
            if stage.state is StageState.RUNNING:
                stage.state = StageState.CANCELLED


_FOLDS = {
    "run_created": _created,
    "attempt": _attempt,
    "stage_started": _stage_started,
    "progress": _progress,
    "metric": _metric,
    "measured": _measured,
    "gate": _gate,
    "artifact": _artifact,
    "stage_finished": _stage_finished,
    "run_finished": _run_finished,
}
