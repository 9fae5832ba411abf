"""A stage's process: dies with the agent, holds the run's lock, answers through a pipe.

python -m fathom_tui.runner.child WORK_ORDER PIPE_DESCRIPTOR AGENT_PID
"""

import ctypes
import fcntl
import importlib
import os
import signal
import sys
import traceback
from pathlib import Path

from fathom_tui.errors import ExitCode, FathomError
from fathom_tui.runner.stage import Job, PipeReport
from fathom_tui.stages import STAGE_NAMES

_PR_SET_PDEATHSIG = 1
"""prctl(2): the signal this process gets when its parent ends."""


def main(arguments: list[str]) -> int:
    """Run one stage and report its result; return the exit code."""
    order, descriptor, agent = Path(arguments[0]), int(arguments[1]), int(arguments[2])
    die_with_parent(agent)
    os.umask(0o077)
    job = Job.read(order)
    if job.stage not in STAGE_NAMES:
        raise ValueError(f"no stage named {job.stage!r}")
    with hold_lock(job.run_dir), os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        report = PipeReport(job, stream)
        return _run(job, report)


def _run(job: Job, report: PipeReport) -> int:
    from fathom_tui.runner.score import peak_memory_bytes

    try:
        module = importlib.import_module(f"fathom_tui.runner.{job.stage}")
        result = module.run(job, report)
        report.measured(f"{job.stage}.peak_memory", peak_memory_bytes() / 1e9, "GB")
        report.send("result", result=result)
    except FathomError as error:
        report.send("failed", message=error.message, fix=error.fix, exit_code=int(error.exit_code))
        return int(error.exit_code)
    except MemoryError:
        return _out_of_memory(job, report)
    except RuntimeError as error:
        # torch names both its CUDA and its CPU allocator's refusal in the message only.
        if "out of memory" in str(error).lower() or "can't allocate memory" in str(error).lower():
            return _out_of_memory(job, report)
        return _unexpected(job, report, error)
    except Exception as error:
        return _unexpected(job, report, error)
    return ExitCode.DONE


def _unexpected(job: Job, report: PipeReport, error: Exception) -> int:
    traceback.print_exc()
    report.send(
        "failed",
        message=f"Stage {job.stage} stopped with {type(error).__name__}: {error}",
        fix=f"Read {job.dir / 'stderr.log'}",
        exit_code=int(ExitCode.ENVIRONMENT),
    )
    return ExitCode.ENVIRONMENT


def _out_of_memory(job: Job, report: PipeReport) -> int:
    traceback.print_exc()
    report.send("out_of_memory", stage=job.stage)
    return ExitCode.ENVIRONMENT


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when its parent ends; end now if it already has."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(ExitCode.INTERRUPTED)


class hold_lock:  # noqa: N801  # reads as a statement
    """Hold the run's lock for this process's life, so that two trainers never share a folder."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / "lock"

    def __enter__(self) -> None:
        self._descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"{os.getpid()}\n".encode())

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    # llama.cpp and torch free their threads at length; the answer is already in the pipe.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
