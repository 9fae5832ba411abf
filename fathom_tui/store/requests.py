"""Asking the agent: files renamed into its inbox. Nothing here waits for an answer."""

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fathom_tui.errors import EnvironmentProblem, UsageError
from fathom_tui.recipe import Plan
from fathom_tui.stages import RunState
from fathom_tui.store.ledger import Store
from fathom_tui.store.paths import Home, check_run_id
from fathom_tui.store.private import open_private, sync_directory
from fathom_tui.store.purged import refuse_purged, refuse_without_data

START, CANCEL, RESUME, STOP = "start", "cancel", "resume", "stop"
_NEEDS = {START: ("engagement", "plan", "created_by"), CANCEL: (), RESUME: (), STOP: ()}
"""What a request's data cannot do without, by kind."""
_START_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One thing asked of the agent."""

    kind: str
    run: str
    data: Mapping[str, Any]
    path: Path
    """The file it came in; removed once it is done."""

    @property
    def asked_ns(self) -> int:
        """When it was asked, in nanoseconds since 1970; 0 where the file's name does not say."""
        stamp = self.path.name.partition("-")[0]
        return int(stamp) if stamp.isascii() and stamp.isdigit() else 0


def start_run(
    home: Home, slug: str, *, changes: Mapping[str, Any] | None = None, created_by: str
) -> str:
    """Reserve a run of an engagement and ask for it; return its id.

    Args:
        home: Where everything lives.
        slug: The engagement.
        changes: Settings of the plan that differ from the engagement's.
        created_by: Who asked, for the ledger.

    Raises:
        NotFound: There is no such engagement.
        UsageError: A setting is unknown or out of range, or the data was purged.
    """
    store = Store(home)
    plan = {**store.engagement(slug).config, **(changes or {})}
    # Says now what would fail later.
    refuse_without_data(store, slug, Plan.from_json(plan).dataset)
    run_id = store.reserve_run(slug)
    data = {"engagement": slug, "plan": plan, "created_by": created_by}
    _drop(home, START, run_id, data)
    return run_id


def cancel(home: Home, run_id: str) -> None:
    """Ask for a run to be stopped.

    Without an agent a run that waits goes on waiting until one comes and cancels it.

    Raises:
        UsageError: The run has already ended.
    """
    state = live_state(home, run_id)
    if state not in (RunState.QUEUED, RunState.RUNNING):
        raise UsageError(
            f"Run {run_id} is {state.value}: there is nothing to cancel.", fix="fathom runs"
        )
    _drop(home, CANCEL, run_id, {})


def resume(home: Home, run_id: str) -> None:
    """Ask for a run to go on at its first unfinished stage.

    A run that was asked for before and waits for an agent needs no second request, only an agent.

    Raises:
        UsageError: The run is done or under way, or its data was purged.
    """
    state = live_state(home, run_id)
    refuse_purged(Store(home), run_id, "there is nothing to go on with")
    if state is RunState.QUEUED and agent_alive(home) is None:
        return
    if state in (RunState.DONE, RunState.RUNNING, RunState.QUEUED):
        raise UsageError(
            f"Run {run_id} is {state.value}: there is nothing to resume.",
            fix=f"fathom logs {run_id} -f" if state is not RunState.DONE else "fathom runs",
        )
    _drop(home, RESUME, run_id, {})


def stop_agent(home: Home) -> None:
    """Ask the agent to end; a run under way is interrupted and can be resumed."""
    _drop(home, STOP, "", {})


def live_state(home: Home, run_id: str) -> RunState:
    """Return a run's state as it really is: without an agent nothing is running.

    Raises:
        NotFound: There is no such run.
    """
    if run_id in waiting(home):
        return RunState.QUEUED
    state = Store(home).run_view(run_id).state
    if state in (RunState.QUEUED, RunState.RUNNING) and agent_alive(home) is None:
        return RunState.INTERRUPTED
    return state


def waiting(home: Home) -> set[str]:
    """Return the runs that the agent was asked to start or go on with and has not taken yet."""
    return {request.run for request in requests(home) if request.kind in (START, RESUME)}


def requests(home: Home) -> list[Request]:
    """Return what has been asked and not yet done, oldest first."""
    found = []
    for path in sorted(home.inbox.glob("*.json")):
        try:
            found.append(_request(path))
        except FileNotFoundError:
            continue  # the agent was quicker
        except (OSError, ValueError, UsageError):
            set_aside(path)
    return found


def _request(path: Path) -> Request:
    """Read a request.

    Raises:
        FileNotFoundError: It has been taken meanwhile.
        ValueError: It is not a request.
        UsageError: It names something that cannot be a run.
    """
    data = json.loads(path.read_text("utf-8"))
    if not isinstance(data, dict) or not {"kind", "run", "data"} <= set(data):
        raise ValueError("not a request")
    kind, run, details = data["kind"], data["run"], data["data"]
    if kind not in _NEEDS or not isinstance(run, str) or not isinstance(details, dict):
        raise ValueError("not a request")
    if not all(name in details for name in _NEEDS[kind]):
        raise ValueError("not a whole request")
    if kind != STOP:
        check_run_id(run)
    return Request(kind=kind, run=run, data=details, path=path)


def set_aside(path: Path) -> Path:
    """Keep a request that nobody can carry out where nobody takes it again; return its new name."""
    aside = path.with_suffix(".unreadable")
    with suppress(FileNotFoundError):  # somebody else saw it too
        path.rename(aside)
    return aside


def agent_alive(home: Home) -> dict[str, Any] | None:
    """Return the running agent's heartbeat, or None when no agent holds the lock.

    Raises:
        EnvironmentProblem: The lock is there, but not to be read.
    """
    try:
        stream = home.agent_lock.open("r")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unusable(home.agent_lock, error) from error
    with stream:
        try:
            # Shared: those who look at the same moment do not take one another for the agent.
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _heartbeat(home)
    return None


def _heartbeat(home: Home) -> dict[str, Any]:
    unknown = {"pid": None, "run": None, "stage": None}
    try:
        beat = json.loads(home.agent_file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return unknown  # it has only just started
    return {**unknown, **beat} if isinstance(beat, dict) else unknown


def ensure_agent(home: Home) -> int | None:
    """Start a detached agent unless one is alive; return its process id when known.

    Raises:
        EnvironmentProblem: The agent did not come up.
    """
    home.prepare()
    with _starting(home):
        alive = agent_alive(home)
        if alive is not None:
            return alive.get("pid")
        process = _spawn_agent(home)
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            if agent_alive(home) is not None or process.poll() == 0:
                return process.pid
            if process.poll() is not None:
                break
            time.sleep(0.02)
    raise EnvironmentProblem(
        f"The agent did not start (exit {process.poll()}).", fix=f"Read {home.agent_log}"
    )


def _spawn_agent(home: Home) -> subprocess.Popen[bytes]:
    try:
        log = open_private(home.agent_log, os.O_WRONLY | os.O_APPEND)
    except OSError as error:
        raise _unusable(home.agent_log, error) from error
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "fathom_tui.runner"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, **_fixed_environment(home)},
            cwd="/",
        )
    finally:
        os.close(log)
    # Whoever starts it may live on, as the screens do: somebody has to take note of its end.
    threading.Thread(target=process.wait, name="fathom-agent-end", daemon=True).start()
    return process


def _fixed_environment(home: Home) -> dict[str, str]:
    # A detached agent starts elsewhere: what it finds must not depend on the directory.
    fixed = {}
    if os.environ.get("FATHOM_HOME"):
        fixed["FATHOM_HOME"] = str(home.data.parent)
    if os.environ.get("PYTHONPATH"):
        parts = os.environ["PYTHONPATH"].split(os.pathsep)
        fixed["PYTHONPATH"] = os.pathsep.join(os.path.abspath(part) for part in parts)
    return fixed


@contextmanager
def _starting(home: Home) -> Iterator[None]:
    """Let one process at a time start the agent."""
    path = home.state / "agent.starting"
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _unusable(path: Path, error: OSError) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"{path} cannot be opened: {error.strerror}.",
        fix="Point FATHOM_HOME at a directory you can write to.",
    )


def _drop(home: Home, kind: str, run_id: str, data: Mapping[str, Any]) -> None:
    if run_id:
        check_run_id(run_id)
    home.prepare()
    name = f"{time.time_ns():020d}-{kind}-{uuid.uuid4().hex[:8]}"
    draft = home.inbox / f"{name}.part"
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump({"kind": kind, "run": run_id, "data": dict(data)}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        draft.rename(home.inbox / f"{name}.json")
        sync_directory(home.inbox)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise EnvironmentProblem(
            f"The agent cannot be asked: {home.inbox} cannot be written ({error.strerror}).",
            fix=f"Free space or rights on that disk: df -h {home.inbox}",
        ) from error
