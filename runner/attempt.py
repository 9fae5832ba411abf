"""One pass over a run's stages: keep what stands, do what is missing, judge the gates."""

import json
import platform
import signal
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Protocol

from fathom_tui.deployment import deployment_id, went_live
from fathom_tui.errors import (
    EnvironmentProblem,
    ExitCode,
    FathomError,
    GateRefused,
    StageCrashed,
    UsageError,
)
from fathom_tui.figures import Figure, Kind
from fathom_tui.gates import Gate
from fathom_tui.recipe import Plan
from fathom_tui.runner.alarm import taken_back
from fathom_tui.runner.estimates import expected_seconds
from fathom_tui.runner.pipeline import input_hash, lifted, may_keep, sources
from fathom_tui.runner.records import Recorded, checked, deployed, withdrawal
from fathom_tui.runner.rollout import Rollouts
from fathom_tui.runner.stage import Job
from fathom_tui.runner.supervise import Child, Ended
from fathom_tui.runs import RunView, StageView
from fathom_tui.stages import STAGES, RunState, Stage, StageState
from fathom_tui.store import Home, Store, utc_now
from fathom_tui.store.journal import read

_TICK_S = 0.2
_PROGRESS_S = 0.25
"""Least seconds between two progress events of a stage: enough for eyes, little for the journal."""
_BY_A_LIBRARY = ("SIGABRT", "SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE")


class Cancelled(Exception):  # noqa: N818  # not an error: somebody asked for it
    """The run was cancelled."""


class Stopped(Exception):  # noqa: N818  # not an error: somebody asked for it
    """The agent was asked to end, or its home is gone."""


class Tell(Protocol):
    """Puts an event into the run's journal and folds it into the view."""

    def __call__(self, kind: str, data: Mapping[str, Any], *, durable: bool = True) -> None: ...


class Attempt:
    """One pass over a run's stages."""

    def __init__(
        self,
        home: Home,
        view: RunView,
        before: Mapping[str, StageView],
        *,
        tell: Tell,
        watch: Callable[[str], None],
    ) -> None:
        """Prepare a pass.

        Args:
            home: Where everything lives.
            view: The run; `tell` keeps it up to date.
            before: The stages as earlier attempts left them.
            tell: Puts an event into the run's journal.
            watch: Called with the stage's name before each stage and several times a second
                while one is under way; raises `Cancelled` or `Stopped`.

        Raises:
            UsageError: The run's plan is not one this program knows.
        """
        self._home = home
        self._store = Store(home)
        self._view = view
        self._before = before
        self._tell = tell
        self._watch = watch
        self._plan = Plan.from_json(view.config)
        self._results: dict[str, Mapping[str, Any]] = {}
        self._progress_at = 0.0

    def run(self) -> RunState:
        """Work through the stages.

        Raises:
            FathomError: A stage failed or a gate refused.
            Cancelled, Stopped: Somebody asked.
        """
        waived = self._waived()
        run_dir = self._home.run(self._view.id)
        for stage in STAGES:
            self._watch(stage.name)
            wanted = input_hash(stage, self._plan, self._results)
            earlier = self._before[stage.name]
            if may_keep(earlier, wanted, self._view, run_dir):
                self._keep(stage, earlier, wanted, waived)
            else:
                self._perform(stage, wanted, waived)
            view = self._view.stages[stage.name]
            self._results[stage.name] = view.result
            refusals = lifted(view.gates, waived)
            if refusals:
                raise _refusal(self._view.id, refusals)
        return RunState.DONE

    def _waived(self) -> set[str]:
        """Return the gates of this run that somebody waived, from the journal itself."""
        events = read(self._home.engagement_journal(self._view.engagement))[0]
        return {
            str(event.data["gate"])
            for event in events
            if event.kind == "waiver" and event.data["run"] == self._view.id
        }

    def _keep(self, stage: Stage, earlier: StageView, wanted: str, waived: set[str]) -> None:
        self._tell("stage_kept", {"stage": stage.name, "input_hash": wanted})
        if earlier.state is StageState.REFUSED:
            # Its refusal may have been waived since: the verdicts are told again, then judged.
            self._tell("stage_started", {"stage": stage.name, "input_hash": wanted})
            for gate in earlier.gates:
                self._tell("gate", {"stage": stage.name, "gate": gate.to_json()})
            state = StageState.REFUSED if lifted(earlier.gates, waived) else StageState.DONE
            self._finished(stage, state, earlier.seconds or 0.0, wanted, earlier.result)
        # The agent may have been killed between the stage's end and this record.
        found = self._to_record(stage.name, earlier.result, earlier.seconds or 0.0)
        if found and not self._is_recorded(*found[-1]):
            self._record(found)

    def _perform(self, stage: Stage, wanted: str, waived: set[str]) -> None:
        expected = expected_seconds(
            stage.name,
            self._plan,
            self._results,
            self._history(stage.name),
            converted=any(self._home.cache.glob("models/*/complete.json")),
        )
        started = {
            "stage": stage.name,
            "input_hash": wanted,
            "expected_seconds": round(expected, 1),
        }
        self._tell("stage_started", started)
        begun = time.monotonic()
        try:
            if stage.name == "evaluate":
                self._note_test_opening()
            if stage.name == "deploy":
                self._settle()
            result = self._ask(stage)
        except BaseException as error:
            self._unfinished(stage, error, time.monotonic() - begun, wanted)
            raise
        seconds = time.monotonic() - begun
        refusals = lifted(self._view.stages[stage.name].gates, waived)
        state = StageState.REFUSED if refusals else StageState.DONE
        self._measure(stage.name, f"{stage.name}.seconds", seconds, "s")
        self._finished(stage, state, seconds, wanted, result)
        self._record(self._to_record(stage.name, result, seconds))
        if result.get("rolled_back"):
            self._alarm(stage.name, result)
        elif stage.name == "anchors":
            self._rollouts("anchors").retire_others(self._plan.target)

    def _finished(
        self,
        stage: Stage,
        state: StageState,
        seconds: float,
        wanted: str,
        result: Mapping[str, Any],
    ) -> None:
        data = {"stage": stage.name, "state": state, "seconds": seconds, "input_hash": wanted}
        self._tell("stage_finished", {**data, "result": dict(result)})

    def _unfinished(self, stage: Stage, error: BaseException, seconds: float, wanted: str) -> None:
        state = StageState.FAILED
        said = {"message": f"{type(error).__name__}: {error}", "fix": ""}
        if isinstance(error, Cancelled | Stopped):
            state, said["message"] = StageState.CANCELLED, type(error).__name__.lower()
        elif isinstance(error, FathomError):
            refused = error.exit_code is ExitCode.REFUSED
            state = StageState.REFUSED if refused else StageState.FAILED
            said = {"message": error.message, "fix": error.fix}
        data = {"stage": stage.name, "state": state, "seconds": seconds, "input_hash": wanted}
        self._tell("stage_finished", {**data, "result": {}, "error": said})

    def _ask(self, stage: Stage) -> Mapping[str, Any]:
        """Run the stage's child; `train` again with smaller micro-batches after a memory kill."""
        plan = self._plan
        while True:
            child = Child(self._job(stage, plan))
            try:
                answer = self._listen(stage, child)
            except BaseException:
                child.end()
                raise
            if answer is not None:
                return answer
            plan = self._smaller(stage, plan)

    def _smaller(self, stage: Stage, plan: Plan) -> Plan:
        """Return the plan to try after a memory kill.

        Raises:
            EnvironmentProblem: Nothing smaller can be tried.
        """
        smaller = smaller_micro_batch(plan) if stage.name == "train" else None
        if smaller is None:
            rows = f" with a micro-batch of {plan.micro_batch}" if stage.name == "train" else ""
            raise EnvironmentProblem(
                f"Stage {stage.name} ran out of memory{rows}.",
                fix="Stop other programs, or choose a smaller model or max_length; "
                f"then: fathom resume {self._view.id}",
            )
        note = f"out of memory: again with a micro-batch of {smaller}, batch {plan.batch} as before"
        self._tell("note", {"stage": stage.name, "text": note})
        return plan.with_changes(micro_batch=smaller)

    def _job(self, stage: Stage, plan: Plan) -> Job:
        return Job(
            run=self._view.id,
            stage=stage.name,
            run_dir=self._home.run(self._view.id),
            cache=self._home.cache,
            serving=self._home.data / "serving" / self._view.engagement,
            engagement=self._view.engagement,
            plan=plan,
            results=self._results,
        )

    def _listen(self, stage: Stage, child: Child) -> Mapping[str, Any] | None:
        """Return the stage's result, or None when it ran out of memory.

        Raises:
            FathomError: The stage failed, with its own message.
        """
        result: Mapping[str, Any] | None = None
        failure: Mapping[str, Any] | None = None
        out_of_memory = False
        while True:
            for line in child.lines(_TICK_S):
                kind, data = line["kind"], line["data"]
                if kind == "result":
                    result = data["result"]
                elif kind == "failed":
                    failure = data
                elif kind == "out_of_memory":
                    out_of_memory = True
                else:
                    self._relay(stage, kind, data)
            ended = child.ended()
            if ended is not None:
                break
            self._watch(stage.name)
        if failure is not None:
            raise _as_error(failure)
        if result is not None and ended.code == 0:
            return result
        if out_of_memory or (ended.code == -signal.SIGKILL and ended.oom_kills > 0):
            return None
        raise self._crash(stage, child, ended)

    def _relay(self, stage: Stage, kind: str, data: Mapping[str, Any]) -> None:
        now = time.monotonic()
        if kind == "progress":
            if now - self._progress_at < _PROGRESS_S and data["done"] < data["total"]:
                return
            self._progress_at = now
        if kind == "measured":
            data = {**data, "hardware": hardware_id()}
        elif kind == "artifact":
            data = {**data, "inputs": sources(stage, self._view)}
        self._tell(kind, data, durable=kind not in ("progress", "metric"))

    def _crash(self, stage: Stage, child: Child, ended: Ended) -> FathomError:
        words = child.last_words()
        if words:
            self._tell("note", {"stage": stage.name, "text": words})
        return StageCrashed(
            f"The process of stage {stage.name} {_how(ended.code)} without an answer.",
            fix=f"Read {child.error_log}; then: fathom resume {self._view.id}",
        )

    def _history(self, stage: str) -> list[float]:
        """Return this stage's seconds in earlier runs of this engagement on this machine."""
        try:
            measured = self._store.measured(f"{stage}.seconds")
        except FathomError as error:
            # An estimate is not worth a run: the journals are the truth, the tables can wait.
            self._tell("note", {"stage": stage, "text": f"no history for an estimate: {error}"})
            return []
        return [
            float(row["figure"]["value"])
            for row in measured
            if row["hardware"] == hardware_id()
            and str(row["run"]).rsplit("-", 1)[0] == self._view.engagement
        ]

    def _measure(self, stage: str, name: str, value: float, unit: str) -> None:
        figure = Figure(
            value=value,
            unit=unit,
            kind=Kind.MEASURED_HERE,
            source=f"run {self._view.id}, stage {stage}",
            as_of=utc_now()[:10],
        )
        data = {"stage": stage, "name": name, "figure": figure.to_json()}
        self._tell("measured", {**data, "hardware": hardware_id()})

    def _note_test_opening(self) -> None:
        sha256 = self._results["data"]["sha256"]["test"]
        data = {"run": self._view.id, "split_sha256": sha256}
        self._store.record(self._view.engagement, "test_opened", data)

    def _settle(self) -> None:
        """Finish what a release by hand left open before this run goes live."""
        self._rollouts("deploy").settle_open()

    def _rollouts(self, stage: str) -> Rollouts:
        def say(text: str) -> None:
            self._tell("note", {"stage": stage, "text": text})

        return Rollouts(self._store, self._view.engagement, say=say)

    def _alarm(self, stage: str, result: Mapping[str, Any]) -> None:
        """Tell people that the version was taken back."""
        name = deployment_id(self._view.engagement, str(self._results["deploy"]["version"]))
        counts = {"passed": int(result["passed"]), "total": int(result["total"])}
        slug, reason = self._view.engagement, withdrawal(result)
        for text in taken_back(self._store, slug, name, reason, **counts):
            self._tell("note", {"stage": stage, "text": text})

    def _record(self, events: Recorded) -> None:
        for kind, data in events:
            self._store.record(self._view.engagement, kind, data)

    def _to_record(self, stage: str, result: Mapping[str, Any], seconds: float) -> Recorded:
        """Return what of a stage's result concerns the engagement beyond this run."""
        if stage == "evaluate":
            by = f"run {self._view.id}"
            return [("decision", {"what": result["verdict"], "why": result["headline"], "by": by})]
        if stage not in ("deploy", "anchors"):
            return []
        rows = self._deployments()
        if stage == "deploy":
            new = deployed(self._view.engagement, self._view.id, result)
            return [("deployment", event) for event in went_live(rows, new)]
        slug, deploy = self._view.engagement, self._results["deploy"]
        return checked(slug, self._view.id, rows, deploy, result, seconds)

    def _deployments(self) -> list[Mapping[str, Any]]:
        events = read(self._home.engagement_journal(self._view.engagement))[0]
        return [event.data for event in events if event.kind == "deployment"]

    def _is_recorded(self, kind: str, data: Mapping[str, Any]) -> bool:
        events = read(self._home.engagement_journal(self._view.engagement))[0]
        wanted = json.loads(json.dumps(data))
        return any(event.kind == kind and event.data == wanted for event in events)


def smaller_micro_batch(plan: Plan) -> int | None:
    """Return the next micro-batch to try: at most half, and it divides the batch; None at one."""
    halves = range(plan.micro_batch // 2, 0, -1)
    return next((rows for rows in halves if plan.batch % rows == 0), None)


@cache
def hardware_id() -> str:
    """Return a short name of what measurements were taken on."""
    from fathom_tui.sources import host, nvml

    gpus = nvml.gpus().devices
    if gpus:
        return f"{len(gpus)} x {gpus[0].name}"
    cpu = host.cpu()
    return f"{cpu.cores} cores {cpu.model or platform.machine()}"


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:  # a real-time signal
        name = f"signal {-code}"
    if name in _BY_A_LIBRARY:
        return f"was ended by {name} (a library met what it cannot handle, often a broken file)"
    return f"was killed by {name}"


def _refusal(run_id: str, refusals: list[Gate]) -> FathomError:
    first = refusals[0]
    fix = first.fix
    if first.waivable:
        fix += (
            f" Or take responsibility: fathom waive {run_id} {first.name} --by NAME --reason TEXT"
        )
    return GateRefused(f"Gate {first.name} refused: {first.reason}", fix=fix.strip())


def _as_error(failure: Mapping[str, Any]) -> FathomError:
    """Return a child's error as one of our own, with its exit code."""
    kinds: list[type[FathomError]] = [UsageError, EnvironmentProblem]
    for kind in [*kinds, *FathomError.__subclasses__()]:
        if kind.exit_code == failure["exit_code"]:
            return kind(failure["message"], fix=failure["fix"])
    return EnvironmentProblem(failure["message"], fix=failure["fix"])
