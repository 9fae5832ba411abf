"""The agent: works through runs one at a time, and is the only writer of their journals.

It takes requests from the inbox, starts each stage in a child, turns the child's lines into
events, judges the gates, and survives whatever happens to a child. It ends when idle, when asked,
or when its home is gone.

A request to start or resume stays in the inbox until the run's journal says that work has begun:
whatever happens to the agent before, the next one finds it there.
"""

import fcntl
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, Self

from fathom_tui.errors import (
    EnvironmentProblem,
    ExitCode,
    FathomError,
    NotFound,
    StoreError,
    UsageError,
)
from fathom_tui.events import Event
from fathom_tui.runner.attempt import Attempt, Cancelled, Stopped
from fathom_tui.runner.notify import Notify
from fathom_tui.runner.rollout import Rollouts
from fathom_tui.runs import RunView, StageView, apply
from fathom_tui.stages import STAGE_NAMES, RunState, StageState
from fathom_tui.store import Home, Journal, Store, utc_now
from fathom_tui.store.journal import last_event, read
from fathom_tui.store.private import open_private
from fathom_tui.store.projections import folded
from fathom_tui.store.requests import (
    CANCEL,
    START,
    STOP,
    Request,
    requests,
    set_aside,
)

IDLE_S = 60.0
_TICK_S = 0.2
_BEAT_S = 2.0
_PATIENCE_S = 0.5
"""How long to ask for the agent's lock: whoever looks whether an agent lives holds it a moment."""
_LONG_START_S = 60.0
"""How long closing one run that an earlier agent left may take. Our policy."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

Observer = Callable[[Event], None]


class Agent:
    """The one agent of a home."""

    def __init__(
        self,
        home: Home,
        *,
        idle_s: float | None = IDLE_S,
        observer: Observer | None = None,
        notify: Notify | None = None,
    ) -> None:
        """Prepare an agent; `serve` or `work_on` starts it.

        Args:
            home: Where everything lives.
            idle_s: Seconds without work after which it ends; None means never.
            observer: Called with every event of a run, after it is in the journal.
            notify: Told when the agent is ready, what it is at, and that its loop turns.
        """
        self._home = home.prepare()
        self._idle_s = idle_s
        self._observer = observer
        self._notify = notify or Notify()
        self._queue: dict[str, Request] = {}
        """Runs that wait, in their order, each with the request that is still in the inbox."""
        self._only: str | None = None
        """The run that alone is worked on; None means every run asked for."""
        self._current: tuple[str, str] | None = None
        self._cancelled: set[str] = set()
        self._stopping = False
        self._lock = -1
        self._holds = False
        self._beaten = 0.0
        self._started_at = utc_now()
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        """Become the agent.

        Raises:
            UsageError: Another agent is at work in this home.
        """
        self._lock = os.open(self._home.agent_lock, os.O_CREAT | os.O_RDWR, 0o600)
        if not self._locked(_PATIENCE_S):
            os.close(self._lock)
            raise UsageError(
                f"An agent is already at work in {self._home.data} ({_holder(self._home)}).",
                fix="Leave the work to it, or end it: fathom runner status; fathom runner stop",
            )
        self._holds, became = True, time.time_ns()
        try:
            for number in _SIGNALS:
                self._handlers[number] = signal.signal(number, self._on_signal)
            with suppress(Stopped):  # the home went away: whatever comes next finds that again
                self._beat(force=True)
                self._close_abandoned()
            for request in requests(self._home):
                if request.kind == STOP and request.asked_ns < became:
                    request.path.unlink(missing_ok=True)  # meant for an agent that is gone
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._notify.stopping()
        if self._holds and self._is_here():
            self._home.agent_file.unlink(missing_ok=True)
        os.close(self._lock)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def serve(self) -> None:
        """Work until idle, asked to end, or the home is gone."""
        self._settle_releases()
        self._notify.ready(self._at())
        idle_since = time.monotonic()
        with suppress(Stopped):
            while not self._stopping:
                self._take_requests()
                if self._queue:
                    self._work(self._queue.pop(next(iter(self._queue))))
                    idle_since = time.monotonic()
                    continue
                if self._idle_s is not None and time.monotonic() - idle_since > self._idle_s:
                    if self._step_down():
                        return
                    idle_since = time.monotonic()
                self._beat()
                time.sleep(_TICK_S)

    def work_on(self, run_id: str) -> RunView:
        """Work on one run that was asked for until it has ended, and return it; others wait.

        Raises:
            EnvironmentProblem: The home is gone.
        """
        self._only = run_id
        with suppress(Stopped):  # what the run came to is in its journal
            self._take_requests()
            request = self._queue.pop(run_id, None)
            if request is not None:
                self._work(request)
        if not self._is_here():
            raise EnvironmentProblem(
                f"{self._home.data} or {self._home.state} was removed under run {run_id}.",
                fix="If it is back: fathom runs. If not, nothing is left to resume.",
            )
        return Store(self._home).run_view(run_id)

    def _locked(self, patience_s: float) -> bool:
        deadline = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if time.monotonic() > deadline:
                    return False
            time.sleep(_TICK_S / 10)

    def _step_down(self) -> bool:
        """Let go of the lock; return False when work came in at that moment and is ours again.

        Whoever asks writes the request first and then looks for an agent: a request that is not
        seen here was written by somebody who finds the lock free and starts another agent.
        """
        self._home.agent_file.unlink(missing_ok=True)
        fcntl.flock(self._lock, fcntl.LOCK_UN)
        if not requests(self._home) or not self._locked(_PATIENCE_S):
            self._holds = False
            return True
        self._beat(force=True)
        return False

    # Requests.

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _is_here(self) -> bool:
        """Say whether the home that this agent locked is still in its place."""
        try:
            same = os.path.samestat(os.stat(self._home.agent_lock), os.fstat(self._lock))
        except (FileNotFoundError, NotADirectoryError):
            return False
        return same and self._home.inbox.is_dir() and self._home.runs.is_dir()

    def _stay(self) -> None:
        """Go on only while the home is there: writing would bring back what somebody removed.

        Raises:
            Stopped: It is gone, or another one has taken its place.
        """
        if not self._is_here():
            self._stopping = True
            raise Stopped

    def _take_requests(self) -> None:
        self._stay()
        for request in requests(self._home):
            waiting = self._queue.get(request.run)
            if waiting is not None and waiting.path == request.path:
                continue
            if self._only is not None and request.run not in (self._only, ""):
                continue
            try:
                if self._take(request):
                    request.path.unlink(missing_ok=True)
            except (UsageError, StoreError) as error:
                self._refuse(request, error)

    def _take(self, request: Request) -> bool:
        """Do what is asked, or queue it; return whether nothing remains to be done.

        Raises:
            UsageError: There is no such run.
            StoreError: Its journal is damaged.
            EnvironmentProblem: Its journal cannot be written, for want of space.
        """
        if request.kind == STOP:
            self._stopping = True
        elif request.kind == CANCEL:
            self._cancel(request.run)
        elif request.run not in self._queue and self._working_on != request.run:
            self._enqueue(request)
            return False
        return True

    def _enqueue(self, request: Request) -> None:
        if request.kind == START:
            self._create(request)
        elif not self._home.run_journal(request.run).exists():
            raise NotFound(f"There is no run {request.run}.", fix="fathom runs")
        self._queue[request.run] = request

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
        request = self._queue.get(run_id)
        if request is not None:
            with self._journal(run_id) as journal:
                self._tell(
                    journal, None, "run_finished", {"state": RunState.CANCELLED, "seconds": 0.0}
                )
            request.path.unlink(missing_ok=True)
            del self._queue[run_id]
        elif self._working_on == run_id:
            self._cancelled.add(run_id)

    def _refuse(self, request: Request, error: FathomError) -> None:
        """Put a request aside that cannot be carried out; the others still can."""
        aside = set_aside(request.path)
        print(
            f"{utc_now()} {request.kind} {request.run}: {error} (the request is now {aside})",
            file=sys.stderr,
            flush=True,
        )

    # Runs.

    @property
    def _working_on(self) -> str | None:
        return self._current[0] if self._current is not None else None

    def _close_abandoned(self) -> None:
        """Say of runs that an earlier agent left under way that they were interrupted."""
        waiting = {request.run for request in requests(self._home)}
        for path in sorted(self._home.runs.glob("*/journal.jsonl")):
            last = last_event(path, path.stat().st_size)
            if path.parent.name in waiting or (last is not None and last.kind == "run_finished"):
                continue
            self._notify.extend(_LONG_START_S, f"closes {path.parent.name}")
            try:
                self._close(path)
            except StoreError as error:
                # Said again to whoever asks for that run; it must not keep the others waiting.
                _log(str(error))

    def _settle_releases(self) -> None:
        """Finish what a power cut left between two versions, unless a waiting run will."""
        waiting = {str(request.run).rpartition("-")[0] for request in requests(self._home)}
        for note in sorted(self._home.data.glob("serving/*/release.json")):
            slug = note.parent.name
            if slug in waiting:
                continue
            self._notify.extend(_LONG_START_S, f"settles a release of {slug}")
            try:
                Rollouts(Store(self._home), slug, say=_log).settle_open()
            except FathomError as error:
                # It stays announced: the next deploy, rollback or agent tries again.
                _log(f"The release of {slug} could not be settled: {error.message}")

    def _close(self, path: Path) -> None:
        with Journal(path) as journal:
            events = read(path)[0]
            view = folded(path, events)
            if view.state not in (RunState.QUEUED, RunState.RUNNING) or not view.id:
                return
            error = {
                "message": "The agent ended while this run was under way.",
                "fix": f"fathom resume {view.id}",
            }
            stage = view.current
            if stage is not None:
                begun = [event.mono for event in events if event.kind == "stage_started"][-1]
                data = {
                    "stage": stage.name,
                    "state": StageState.CANCELLED,
                    "seconds": max(0.0, events[-1].mono - begun),
                    "input_hash": stage.input_hash,
                    "result": {},
                    "error": {"message": error["message"], "fix": ""},
                }
                self._tell(journal, view, "stage_finished", data)
            data = {"state": RunState.INTERRUPTED, "seconds": 0.0, "error": error}
            self._tell(journal, view, "run_finished", data)

    def _work(self, request: Request) -> None:
        """Work on a run until it ends.

        Raises:
            Stopped: The agent is to end, or its home is gone.
            EnvironmentProblem: The journal cannot be written, for want of space.
        """
        self._current = (request.run, STAGE_NAMES[0])
        self._beat(force=True)
        try:
            state = self._go_on(request)
        except StoreError as error:
            self._refuse(request, error)
            return
        finally:
            self._current = None
            self._cancelled.discard(request.run)
        if state is RunState.INTERRUPTED:
            raise Stopped
        self._beat(force=True)

    def _go_on(self, request: Request) -> RunState:
        with self._journal(request.run) as journal:
            view = folded(journal.path, read(journal.path)[0])
            if view.state is RunState.DONE:
                request.path.unlink(missing_ok=True)
                return view.state
            begun = time.monotonic()
            before = dict(view.stages)
            attempt = {"number": view.attempts + 1, "pid": os.getpid()}
            self._tell(journal, view, "attempt", attempt)
            # Only now: until the journal knew, the request was the only trace of what was asked.
            request.path.unlink(missing_ok=True)
            state, error = self._attempt(journal, view, before)
            data: dict[str, Any] = {"state": state, "seconds": time.monotonic() - begun}
            if error:
                data["error"] = error
            self._tell(journal, view, "run_finished", data)
            return state

    def _attempt(
        self, journal: Journal, view: RunView, before: Mapping[str, StageView]
    ) -> tuple[RunState, dict[str, str]]:
        def tell(kind: str, data: Mapping[str, Any], *, durable: bool = True) -> None:
            self._tell(journal, view, kind, data, durable=durable)

        def watch(stage: str) -> None:
            self._watch(view.id, stage)

        try:
            return Attempt(self._home, view, before, tell=tell, watch=watch).run(), {}
        except Cancelled:
            return RunState.CANCELLED, {}
        except Stopped:
            return self._interrupted(view)
        except FathomError as error:
            refused = error.exit_code is ExitCode.REFUSED
            state = RunState.REFUSED if refused else RunState.FAILED
            return state, {"message": error.message, "fix": error.fix}
        except Exception as error:
            if not self._is_here():
                return self._interrupted(view)  # files went away under its hands
            traceback.print_exc()
            return RunState.FAILED, {
                "message": f"The agent met an unexpected {type(error).__name__}: {error}",
                "fix": f"Read {self._home.agent_log}; then: fathom resume {view.id}",
            }

    def _interrupted(self, view: RunView) -> tuple[RunState, dict[str, str]]:
        return RunState.INTERRUPTED, {
            "message": "The agent was stopped while this run was under way.",
            "fix": f"fathom resume {view.id}",
        }

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
            try:
                self._observer(event)
            except OSError:
                # Its terminal or pipe is gone: the same as a hang-up.
                self._observer, self._stopping = None, True

    def _watch(self, run_id: str, stage: str) -> None:
        """Do what must go on while a run is worked on: requests, heartbeat, the home.

        Raises:
            Cancelled: Somebody cancelled this run.
            Stopped: The agent is to end, or its home is gone.
        """
        moved = self._current != (run_id, stage)
        self._current = (run_id, stage)
        self._take_requests()
        if run_id in self._cancelled:
            raise Cancelled
        if self._stopping:
            raise Stopped
        self._beat(force=moved)

    def _at(self) -> str:
        """Return what the agent is at, in a line."""
        if self._current is None:
            return "waits for work"
        run, stage = self._current
        waiting = f", {len(self._queue)} more waiting" if self._queue else ""
        return f"{stage} of {run}{waiting}"

    def _beat(self, *, force: bool = False) -> None:
        self._notify.alive(self._at())
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
            with os.fdopen(open_private(draft, os.O_WRONLY | os.O_TRUNC), "w") as stream:
                json.dump(beat, stream)
            draft.rename(self._home.agent_file)
        except OSError as error:
            self._stay()
            # A disk that is full for a moment is no reason to end a training.
            print(f"{utc_now()} no heartbeat: {error}", file=sys.stderr, flush=True)


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


def _log(text: str) -> None:
    print(f"{utc_now()} {text}", file=sys.stderr, flush=True)
