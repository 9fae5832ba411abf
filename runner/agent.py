"""The agent: works through runs one at a time, and is the only writer of their journals.

It takes requests from the inbox, starts each stage in a child, turns the child's lines into
events, judges the gates, and survives whatever happens to a child. It ends when idle, when asked,
or when its root is gone.
"""

import fcntl
import json
import os
import platform
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from fathom_tui.errors import (
    CouldNotCheck,
    EnvironmentProblem,
    ExitCode,
    FathomError,
    GateRefused,
    StageCrashed,
    StoreError,
    UsageError,
)
from fathom_tui.events import Event
from fathom_tui.figures import Figure, Kind
from fathom_tui.gates import Gate
from fathom_tui.recipe import Plan
from fathom_tui.runner.estimates import expected_seconds
from fathom_tui.runner.pipeline import input_hash, lifted, may_keep
from fathom_tui.runner.stage import Job
from fathom_tui.runner.supervise import Child, Ended, last_words
from fathom_tui.runs import RunView, apply, fold
from fathom_tui.stages import STAGES, RunState, Stage, StageState
from fathom_tui.store import Home, Journal, Store, utc_now
from fathom_tui.store.journal import read
from fathom_tui.store.requests import CANCEL, RESUME, START, STOP, Request, requests

IDLE_S = 60.0
_TICK_S = 0.2
_BEAT_S = 2.0
_PROGRESS_S = 0.25
"""Least seconds between two progress events of a stage: enough for eyes, little for the journal."""

Observer = Callable[[Event], None]


class Cancelled(Exception):  # noqa: N818  # not an error: somebody asked for it
    """The run was cancelled."""


class Stopped(Exception):  # noqa: N818  # not an error: somebody asked for it
    """The agent was asked to end, or its root is gone."""


class Agent:
    """The one agent of a home."""

    def __init__(
        self, home: Home, *, idle_s: float | None = IDLE_S, observer: Observer | None = None
    ) -> None:
        """Prepare an agent; `serve` or `work_on` starts it.

        Args:
            home: Where everything lives.
            idle_s: Seconds without work after which it ends; None means never.
            observer: Called with every event of a run, after it is in the journal.
        """
        self._home = home.prepare()
        self._store = Store(home)
        self._idle_s = idle_s
        self._observer = observer
        self._queue: deque[str] = deque()
        self._cancelled: set[str] = set()
        self._stopping = False
        self._lock = -1
        self._beaten = 0.0
        self._started_at = utc_now()
        self._current: tuple[str, str] | None = None

    def __enter__(self) -> "Agent":
        """Become the agent.

        Raises:
            UsageError: Another agent is at work in this home.
        """
        self._lock = os.open(self._home.agent_lock, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise UsageError(
                f"An agent is already at work in {self._home.data} ({_holder(self._home)}).",
                fix="fathom runner status; fathom runner stop",
            ) from None
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        self._beat(force=True)
        self._close_abandoned()
        return self

    def __exit__(self, *_: object) -> None:
        self._home.agent_file.unlink(missing_ok=True)
        os.close(self._lock)

    def serve(self) -> None:
        """Work until idle, asked to end, or the root is gone."""
        idle_since = time.monotonic()
        try:
            while not self._stopping:
                self._take_requests()
                if self._queue:
                    self._work(self._queue.popleft())
                    idle_since = time.monotonic()
                    continue
                if self._idle_s is not None and time.monotonic() - idle_since > self._idle_s:
                    return
                self._beat()
                time.sleep(_TICK_S)
        except Stopped:
            return

    def work_on(self, run_id: str) -> RunView:
        """Work until one run has ended, then return it; other requests wait."""
        try:
            while not self._stopping:
                self._take_requests(only=run_id)
                if run_id in self._queue:
                    self._queue.remove(run_id)
                    self._work(run_id)
                    break
                time.sleep(_TICK_S)
        except Stopped:
            pass  # what the run came to is in its journal
        return self._store.run_view(run_id)

    # Requests.

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _take_requests(self, only: str | None = None) -> None:
        if not self._home.inbox.is_dir():
            self._stopping = True
            raise Stopped(f"{self._home.inbox} is gone")
        for request in requests(self._home):
            if only is not None and request.run not in (only, ""):
                continue
            self._take(request)
            request.path.unlink(missing_ok=True)

    def _take(self, request: Request) -> None:
        if request.kind == START:
            self._create(request)
            self._queue.append(request.run)
        elif request.kind == RESUME and request.run not in self._queue:
            self._queue.append(request.run)
        elif request.kind == CANCEL:
            self._cancel(request.run)
        elif request.kind == STOP:
            self._stopping = True

    def _create(self, request: Request) -> None:
        """Write the run's first event, unless an earlier life of the agent already has."""
        with self._journal(request.run) as journal:
            if journal.seq == 0:
                data = {
                    "run": request.run,
                    "engagement": request.data["engagement"],
                    "config": request.data["plan"],
                    "created_by": request.data["created_by"],
                }
                self._tell(journal, None, "run_created", data)

    def _cancel(self, run_id: str) -> None:
        if run_id in self._queue:
            self._queue.remove(run_id)
            with self._journal(run_id) as journal:
                self._tell(
                    journal, None, "run_finished", {"state": RunState.CANCELLED, "seconds": 0.0}
                )
        elif self._current is not None and self._current[0] == run_id:
            self._cancelled.add(run_id)

    # Runs.

    def _close_abandoned(self) -> None:
        """Say of runs that an earlier agent left under way that they were interrupted."""
        waiting = {request.run for request in requests(self._home)}
        for path in sorted(self._home.runs.glob("*/journal.jsonl")):
            view = fold(read(path)[0])
            if view.id and view.state is RunState.RUNNING and view.id not in waiting:
                error = {
                    "message": "The agent ended while this run was under way.",
                    "fix": f"fathom resume {view.id}",
                }
                with Journal(path) as journal:
                    data = {"state": RunState.INTERRUPTED, "seconds": 0.0, "error": error}
                    self._tell(journal, None, "run_finished", data)

    def _work(self, run_id: str) -> None:
        with self._journal(run_id) as journal:
            view = fold(read(journal.path)[0])
            begun = time.monotonic()
            before = {name: stage for name, stage in view.stages.items()}
            number = view.attempts + 1
            self._tell(journal, view, "attempt", {"number": number, "pid": os.getpid()})
            state, error = self._attempt(journal, view, before)
            data: dict[str, Any] = {"state": state, "seconds": time.monotonic() - begun}
            if error:
                data["error"] = error
            self._tell(journal, view, "run_finished", data)
        self._current = None
        self._cancelled.discard(run_id)
        if state is RunState.INTERRUPTED:
            raise Stopped

    def _attempt(
        self, journal: Journal, view: RunView, before: Mapping[str, Any]
    ) -> tuple[RunState, dict[str, str]]:
        try:
            return _Attempt(self, journal, view, before).run(), {}
        except Cancelled:
            return RunState.CANCELLED, {}
        except Stopped:
            return RunState.INTERRUPTED, {
                "message": "The agent was stopped while this run was under way.",
                "fix": f"fathom resume {view.id}",
            }
        except FathomError as error:
            refused = error.exit_code is ExitCode.REFUSED
            state = RunState.REFUSED if refused else RunState.FAILED
            return state, {"message": error.message, "fix": error.fix}

    def _journal(self, run_id: str) -> Journal:
        return Journal(self._home.run_journal(run_id))

    def _tell(
        self,
        journal: Journal,
        view: RunView | None,
        kind: str,
        data: Mapping[str, Any],
        *,
        durable: bool = True,
    ) -> None:
        event = journal.append(kind, data, durable=durable)
        if view is not None:
            apply(view, event)
        if self._observer is not None:
            self._observer(event)

    def watch(self, run_id: str, stage: str) -> None:
        """Do what must go on while a child works: requests, heartbeat, the root.

        Raises:
            Cancelled: Somebody cancelled this run.
            Stopped: The agent is to end, or its root is gone.
        """
        self._current = (run_id, stage)
        self._take_requests()
        if run_id in self._cancelled:
            raise Cancelled
        if self._stopping:
            raise Stopped
        self._beat()

    def _beat(self, *, force: bool = False) -> None:
        now = time.monotonic()
        if not force and now - self._beaten < _BEAT_S:
            return
        self._beaten = now
        run, stage = self._current or (None, None)
        beat = {
            "pid": os.getpid(),
            "started_at": self._started_at,
            "run": run,
            "stage": stage,
            "queued": list(self._queue),
            "at": utc_now(),
        }
        draft = self._home.agent_file.with_suffix(".part")
        try:
            draft.write_text(json.dumps(beat), "utf-8")
            draft.rename(self._home.agent_file)
        except FileNotFoundError as error:
            self._stopping = True
            raise Stopped(f"{self._home.state} is gone") from error


class _Attempt:
    """One pass over a run's stages."""

    def __init__(
        self, agent: Agent, journal: Journal, view: RunView, before: Mapping[str, Any]
    ) -> None:
        self._agent = agent
        self._home: Home = agent._home
        self._store: Store = agent._store
        self._journal = journal
        self._view = view
        self._before = before
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
        for stage in STAGES:
            wanted = input_hash(stage, self._plan, self._results)
            earlier = self._before[stage.name]
            run_dir = self._home.run(self._view.id)
            if may_keep(earlier, wanted, self._view, run_dir):
                self._keep(stage, earlier, wanted)
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

    def _tell(self, kind: str, data: Mapping[str, Any], *, durable: bool = True) -> None:
        self._agent._tell(self._journal, self._view, kind, data, durable=durable)

    def _keep(self, stage: Stage, earlier: Any, wanted: str) -> None:
        self._tell("stage_kept", {"stage": stage.name, "input_hash": wanted})
        if earlier.state is StageState.REFUSED:
            # Its refusal may have been waived since: the verdicts are told again, then judged.
            self._tell("stage_started", {"stage": stage.name, "input_hash": wanted})
            for gate in earlier.gates:
                self._tell("gate", {"stage": stage.name, "gate": gate.to_json()})
            self._finished(stage, StageState.DONE, earlier.seconds or 0.0, wanted, earlier.result)

    def _perform(self, stage: Stage, wanted: str, waived: set[str]) -> None:
        history = self._history(stage.name)
        expected = expected_seconds(stage.name, self._plan, self._results, history)
        started = {
            "stage": stage.name,
            "input_hash": wanted,
            "expected_seconds": round(expected, 1),
        }
        self._tell("stage_started", started)
        if stage.name == "evaluate":
            self._note_test_opening()
        begun = time.monotonic()
        try:
            result = self._ask(stage)
        except BaseException as error:
            self._unfinished(stage, error, time.monotonic() - begun, wanted)
            raise
        seconds = time.monotonic() - begun
        refusals = lifted(self._view.stages[stage.name].gates, waived)
        state = StageState.REFUSED if refusals else StageState.DONE
        self._measure(stage.name, f"{stage.name}.seconds", seconds, "s")
        self._finished(stage, state, seconds, wanted, result)
        self._record(stage.name, result, seconds)

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
        if isinstance(error, Cancelled | Stopped):
            state = StageState.CANCELLED
        elif isinstance(error, FathomError) and error.exit_code is ExitCode.REFUSED:
            state = StageState.REFUSED
        said = (
            {"message": error.message, "fix": error.fix}
            if isinstance(error, FathomError)
            else {"message": type(error).__name__.lower(), "fix": ""}
        )
        data = {"stage": stage.name, "state": state, "seconds": seconds, "input_hash": wanted}
        self._tell("stage_finished", {**data, "result": {}, "error": said})

    def _ask(self, stage: Stage) -> Mapping[str, Any]:
        """Run the stage's child; after a memory kill once more with smaller micro-batches."""
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
            smaller = plan.micro_batch // 2
            if stage.name != "train" or smaller < 1:
                raise EnvironmentProblem(
                    f"Stage {stage.name} ran out of memory with a micro-batch of "
                    f"{plan.micro_batch}.",
                    fix="Stop other programs, or choose a smaller model or max_length.",
                )
            plan = plan.with_changes(micro_batch=smaller)
            note = f"out of memory: again with a micro-batch of {smaller}, batch {plan.batch} as before"
            self._tell("note", {"stage": stage.name, "text": note})

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
                    self._relay(kind, data)
            ended = child.ended()
            if ended is not None:
                break
            self._agent.watch(self._view.id, stage.name)
        if failure is not None:
            raise _as_error(failure)
        if result is not None and ended.code == 0:
            return result
        if out_of_memory or (ended.code == -signal.SIGKILL and ended.oom_kills > 0):
            return None
        raise self._crash(stage, ended)

    def _relay(self, kind: str, data: Mapping[str, Any]) -> None:
        now = time.monotonic()
        if kind == "progress":
            if now - self._progress_at < _PROGRESS_S and data["done"] < data["total"]:
                return
            self._progress_at = now
        if kind == "measured":
            data = {**data, "hardware": hardware_id()}
        self._tell(kind, data, durable=kind not in ("progress", "metric"))

    def _crash(self, stage: Stage, ended: Ended) -> FathomError:
        log = self._home.run(self._view.id) / stage.name / "stderr.log"
        words = last_words(log)
        if words:
            self._tell("note", {"stage": stage.name, "text": words})
        how = (
            f"was killed by {signal.Signals(-ended.code).name}"
            if ended.code < 0
            else f"ended with code {ended.code}"
        )
        return StageCrashed(
            f"The process of stage {stage.name} {how} without an answer.",
            fix=f"Read {log}; then: fathom resume {self._view.id}",
        )

    def _history(self, stage: str) -> list[float]:
        """Return this stage's seconds in earlier runs of this engagement on this machine."""
        try:
            measured = self._store.measured(f"{stage}.seconds")
        except StoreError as error:
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

    def _record(self, stage: str, result: Mapping[str, Any], seconds: float) -> None:
        """Tell the engagement what concerns it beyond this run."""
        slug, run = self._view.engagement, self._view.id
        if stage == "evaluate":
            decision = {"what": result["verdict"], "why": result["headline"], "by": f"run {run}"}
            self._store.record(slug, "decision", decision)
        elif stage == "deploy":
            deployment = {
                "id": f"{slug}:{result['version']}",
                "run": run,
                "target": result["target"],
                "version": result["version"],
                "alias": result["alias"],
                "url": result["url"],
                "state": "serving",
                "artifact": "quantised",
                "sha256": result["sha256"],
            }
            self._store.record(slug, "deployment", deployment)
        elif stage == "anchors":
            version = self._results["deploy"]["version"]
            check = {
                "deployment": f"{slug}:{version}",
                "run": run,
                "passed": result["passed"],
                "total": result["total"],
                "failures": [failure["id"] for failure in result["failures"]],
                "seconds": seconds,
            }
            self._store.record(slug, "check", check)


def hardware_id() -> str:
    """Return a short name of what measurements were taken on."""
    from fathom_tui.sources import host, nvml

    gpus = nvml.gpus().devices
    if gpus:
        return f"{len(gpus)} x {gpus[0].name}"
    cpu = host.cpu()
    return f"{cpu.cores} cores {cpu.model or platform.machine()}"


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
    kind = _BY_CODE.get(failure["exit_code"], EnvironmentProblem)
    return kind(failure["message"], fix=failure["fix"])


_BY_CODE: dict[int, type[FathomError]] = {
    kind.exit_code: kind
    for kind in (GateRefused, UsageError, CouldNotCheck, EnvironmentProblem, StoreError)
}


def _holder(home: Home) -> str:
    try:
        return f"process {json.loads(home.agent_file.read_text('utf-8'))['pid']}"
    except (OSError, ValueError, KeyError):
        return "process unknown"


def main() -> int:
    """Be a detached agent until idle."""
    try:
        with Agent(Home.from_env()) as agent:
            agent.serve()
    except FathomError as error:
        print(f"error: {error}", file=sys.stderr)
        return int(error.exit_code)
    return ExitCode.DONE
