"""Asking the agent: files renamed into its inbox. Nothing here waits for an answer."""

import fcntl
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fathom_tui.errors import EnvironmentProblem, UsageError
from fathom_tui.recipe import Plan
from fathom_tui.stages import RunState
from fathom_tui.store.ledger import Store
from fathom_tui.store.paths import Home, check_run_id

START, CANCEL, RESUME, STOP = "start", "cancel", "resume", "stop"
_START_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One thing asked of the agent."""

    kind: str
    run: str
    data: Mapping[str, Any]
    path: Path
    """The file it came in; removed once it is done."""


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
        UsageError: A setting is unknown or out of range.
    """
    store = Store(home)
    plan = {**store.engagement(slug).config, **(changes or {})}
    Plan.from_json(plan)  # says now what would fail later
    run_id = store.reserve_run(slug)
    data = {"engagement": slug, "plan": plan, "created_by": created_by}
    _drop(home, START, run_id, data)
    return run_id


def cancel(home: Home, run_id: str) -> None:
    """Ask for a run to be stopped.

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

    Raises:
        UsageError: The run is done or under way.
    """
    state = live_state(home, run_id)
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
    waiting = {request.run for request in requests(home) if request.kind in (START, RESUME)}
    if run_id in waiting:
        return RunState.QUEUED
    state = Store(home).run_view(run_id).state
    if state in (RunState.QUEUED, RunState.RUNNING) and agent_alive(home) is None:
        return RunState.INTERRUPTED
    return state


def requests(home: Home) -> list[Request]:
    """Return what has been asked and not yet done, oldest first."""
    found = []
    for path in sorted(home.inbox.glob("*.json")) if home.inbox.is_dir() else []:
        try:
            data = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            continue  # the agent was quicker
        except ValueError:
            path.rename(path.with_suffix(".unreadable"))
            continue
        found.append(Request(kind=data["kind"], run=data["run"], data=data["data"], path=path))
    return found


def agent_alive(home: Home) -> dict[str, Any] | None:
    """Return the running agent's heartbeat, or None when no agent holds the lock."""
    if not home.agent_lock.exists():
        return None
    with home.agent_lock.open("r") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return _heartbeat(home)
    return None


def _heartbeat(home: Home) -> dict[str, Any]:
    try:
        beat: dict[str, Any] = json.loads(home.agent_file.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {"pid": None, "run": None, "stage": None}  # it has only just started
    return beat


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
        log = os.open(home.agent_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "fathom_tui.runner"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **_home_environment(home)},
                cwd="/",
            )
        finally:
            os.close(log)
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            if agent_alive(home) is not None:
                return process.pid
            if process.poll() not in (None, 0):
                break
            time.sleep(0.02)
    raise EnvironmentProblem(
        f"The agent did not start (exit {process.poll()}).", fix=f"Read {home.agent_log}"
    )


def _home_environment(home: Home) -> dict[str, str]:
    # A detached agent starts elsewhere: what finds the home must not depend on the directory.
    if os.environ.get("FATHOM_HOME"):
        return {"FATHOM_HOME": str(home.data.parent)}
    return {}


@contextmanager
def _starting(home: Home) -> Iterator[None]:
    """Let one process at a time start the agent."""
    descriptor = os.open(home.state / "agent.starting", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _drop(home: Home, kind: str, run_id: str, data: Mapping[str, Any]) -> None:
    if run_id:
        check_run_id(run_id)
    home.prepare()
    name = f"{time.time_ns():020d}-{kind}-{uuid.uuid4().hex[:8]}"
    draft = home.inbox / f"{name}.part"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump({"kind": kind, "run": run_id, "data": dict(data)}, stream)
        stream.flush()
        os.fsync(stream.fileno())
    draft.rename(home.inbox / f"{name}.json")
