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
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fathom_tui.errors import EnvironmentProblem
from fathom_tui.runner.stage import Job
from fathom_tui.store.private import open_private

GOOD_NEIGHBOUR = {"GOMP_SPINCOUNT": "20000"}
"""What a process of llama.cpp is told; what the user has set stays.

Its threads spin while they wait for each other. Beside another busy process that costs sevenfold
(7.1 s an answer of the 135M model instead of 1.0 s on two cores); spinning for a bounded time
costs a tenth on an idle machine.
"""
_FEW_ARENAS = {"MALLOC_ARENA_MAX": "2"}
"""What every stage is told: freed memory is found again, not kept by the arenas of idle threads.

No trim threshold beside it: setting one fixes glibc's mmap threshold at 128 KiB, every tensor is
then mapped and unmapped, and a training step took 1.6 times as long, a third of it in the kernel.
"""
_TORCH_STAGES = ("train", "merge")
_REPEATABLE = {"PYTHONHASHSEED": "0"}
"""What a stage of torch is told: PEFT writes a set into adapter_config.json, and two equal adapters
had two sha256. A server that `deploy` leaves behind must not inherit it."""
_QUIET_END = {"GGML_NO_BACKTRACE": "1"}
"""Else llama.cpp, when it aborts, starts a debugger and buries its own last words."""

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
        """Start the child; a child left over from another life of the run is ended first.

        Raises:
            EnvironmentProblem: The one left over does not end.
        """
        job.dir.mkdir(mode=0o700, exist_ok=True)
        end_holder(job.run_dir)
        order = job.dir / "order.json"
        job.write(order)
        order.chmod(0o600)
        self.error_log = job.dir / "stderr.log"
        """What it writes to stderr, behind what earlier attempts wrote."""
        self._said_before = _size(self.error_log)
        self._oom_before = _oom_kills()
        self._pipe, writing = os.pipe()
        self._open = True
        self._rest = b""
        try:
            self._process = self._spawn(job, order, writing)
        except BaseException:
            self._close()
            raise
        finally:
            os.close(writing)
        os.set_blocking(self._pipe, False)

    def _spawn(self, job: Job, order: Path, writing: int) -> subprocess.Popen[bytes]:
        out = open_private(job.dir / "stdout.log", os.O_WRONLY | os.O_APPEND)
        err = open_private(self.error_log, os.O_WRONLY | os.O_APPEND)
        try:
            return subprocess.Popen(
                [
                    sys.executable, "-P", "-m", "fathom_tui.runner.child",
                    str(order), str(writing), str(os.getpid()),
                ],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                pass_fds=(writing,),
                env=_environment(job.stage),
                start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(out)
            os.close(err)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def lines(self, wait_s: float) -> Iterator[dict[str, Any]]:
        """Yield what the child said within `wait_s` seconds; returns at once when there is news."""
        if not self._open:
            # It has said everything and is about to end: that is news too.
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(wait_s)
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
                self._close()
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
        # With what it started in its own session; a server that outlives it has another.
        _signal_group(self._process, signal.SIGTERM)
        try:
            self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            _signal_group(self._process, signal.SIGKILL)
            self._process.wait()
        self._close()

    def last_words(self, limit: int = 2_000) -> str:
        """Return the end of what this child, and no earlier one, wrote to stderr."""
        if not self.error_log.exists():
            return ""
        with self.error_log.open("rb") as stream:
            stream.seek(max(self._said_before, _size(self.error_log) - limit))
            return stream.read().decode("utf-8", errors="replace").strip()

    def _close(self) -> None:
        if self._open:
            self._open = False
            os.close(self._pipe)


def _environment(stage: str) -> dict[str, str]:
    if stage in _TORCH_STAGES:
        return {**_FEW_ARENAS, **os.environ, **_REPEATABLE}
    return {**_FEW_ARENAS, **GOOD_NEIGHBOUR, **os.environ, **_QUIET_END}


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
            if holder.isdigit() and _is_stage(int(holder)):
                late = time.monotonic() > deadline - GRACE_S
                _signal(int(holder), signal.SIGKILL if late else signal.SIGTERM)
            if time.monotonic() > deadline:
                raise EnvironmentProblem(
                    f"Process {holder or 'unknown'} holds {path} and does not end.",
                    fix=f"End it by hand: kill -9 {holder}",
                )
            time.sleep(0.1)


def _is_stage(pid: int) -> bool:
    """Say whether a process is a stage's child, as far as can be known.

    A holder that has not signed yet leaves its predecessor's number in the lock, and numbers are
    used again: nobody else's process may be ended for it.
    """
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return not Path("/proc/self").exists()  # where there is no /proc, the number has to do
    return b"fathom_tui.runner.child" in command


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if process.poll() is not None:
        return  # its number may be somebody else's by now
    with suppress(ProcessLookupError):  # it ended by itself
        os.killpg(process.pid, number)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it ended by itself
        os.kill(pid, number)


def _oom_kills() -> int:
    # The kernel's own count tells a memory kill from any other SIGKILL.
    try:
        text = Path("/proc/vmstat").read_text("ascii")
    except OSError:
        return 0
    return next(
        (int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill ")), 0
    )
