"""One stage's child under watch: its lines, its end, and how to end it."""

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fathom_tui.errors import EnvironmentProblem
from fathom_tui.runner.stage import Job

GRACE_S = 5.0
"""Seconds between SIGTERM and SIGKILL."""
_LINE_LIMIT = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a child ended."""

    code: int
    """Exit code; negative is the signal that killed it."""
    oom_kills: int
    """Processes the kernel killed for memory while it ran, anywhere on this machine."""


class Child:
    """A stage's process and the pipe it reports through."""

    def __init__(self, job: Job) -> None:
        """Start the child; a child left over from another life of the run is ended first."""
        job.dir.mkdir(mode=0o700, exist_ok=True)
        end_holder(job.run_dir)
        order = job.dir / "order.json"
        job.write(order)
        order.chmod(0o600)
        self._oom_before = _oom_kills()
        reading, writing = os.pipe()
        try:
            self._process = self._spawn(job, order, writing)
        finally:
            os.close(writing)
        os.set_blocking(reading, False)
        self._pipe = reading
        self._open = True
        self._rest = b""

    def _spawn(self, job: Job, order: Path, writing: int) -> subprocess.Popen[bytes]:
        with (job.dir / "stdout.log").open("ab") as out, (job.dir / "stderr.log").open("ab") as err:
            return subprocess.Popen(
                [
                    sys.executable, "-P", "-m", "fathom_tui.runner.child",
                    str(order), str(writing), str(os.getpid()),
                ],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                pass_fds=(writing,),
                start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def lines(self, wait_s: float) -> Iterator[dict[str, Any]]:
        """Yield what the child said within `wait_s` seconds; returns at once when there is news."""
        if not self._open:
            time.sleep(0 if self._process.poll() is not None else wait_s)
            return
        ready, _, _ = select.select([self._pipe], [], [], wait_s)
        if not ready:
            return
        while True:
            try:
                block = os.read(self._pipe, 1 << 16)
            except BlockingIOError:
                break
            if not block:
                self._open = False
                os.close(self._pipe)
                break
            self._rest += block
        *whole, self._rest = self._rest.split(b"\n")
        for line in whole:
            if len(line) < _LINE_LIMIT:
                yield json.loads(line)

    def ended(self) -> Ended | None:
        """Return how it ended once its pipe is empty and the process is gone, else None."""
        if self._open or self._process.poll() is None:
            return None
        return Ended(code=self._process.returncode, oom_kills=_oom_kills() - self._oom_before)

    def end(self) -> None:
        """Terminate it, and kill it after a grace period; returns when it is gone."""
        _signal(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            _signal(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._open:
            self._open = False
            os.close(self._pipe)


def end_holder(run_dir: Path) -> None:
    """End whoever holds the run's lock: a child that outlived its agent.

    Raises:
        EnvironmentProblem: It does not end.
    """
    path = run_dir / "lock"
    if not path.exists():
        return
    with path.open("r") as stream:
        deadline = time.monotonic() + 2 * GRACE_S
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                stream.seek(0)
                holder = stream.read().strip()
            if holder.isdigit():
                late = time.monotonic() > deadline - GRACE_S
                _signal(int(holder), signal.SIGKILL if late else signal.SIGTERM)
            if time.monotonic() > deadline:
                raise EnvironmentProblem(
                    f"Process {holder or 'unknown'} holds {path} and does not end.",
                    fix=f"End it by hand: kill -9 {holder}",
                )
            time.sleep(0.1)


def last_words(path: Path, limit: int = 2_000) -> str:
    """Return the end of a log file, for the journal."""
    if not path.exists():
        return ""
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - limit))
        return stream.read().decode("utf-8", errors="replace").strip()


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it ended by itself


def _oom_kills() -> int:
    # The kernel's own count tells a memory kill from any other SIGKILL.
    try:
        text = Path("/proc/vmstat").read_text("ascii")
    except OSError:
        return 0
    return next(
        (int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill ")), 0
    )
