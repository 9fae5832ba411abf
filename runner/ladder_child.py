"""The ladder in a process of its own: a work order in, one JSON line for each file out.

python -m fathom_tui.runner.ladder_child WORK_ORDER PIPE_DESCRIPTOR PARENT_PID
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TextIO

from fathom_tui.errors import (
    EnvironmentProblem,
    ExitCode,
    FathomError,
    Interrupted,
    StageCrashed,
    UsageError,
)
from fathom_tui.ladder import Rung
from fathom_tui.runner.child import die_with_parent
from fathom_tui.runner.held_out import chunk_length, held_out_text, splits, training_text
from fathom_tui.runner.ladder import Ladder
from fathom_tui.runner.quantize import file_name
from fathom_tui.runner.quantized import effective_bits
from fathom_tui.runner.stage import Job
from fathom_tui.runner.supervise import GOOD_NEIGHBOUR

LEAST_BITS = 15.9
"""Bits per weight below which a file has been quantised before; norms are wider, never narrower."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be measured."""

    f16: Path
    scratch: Path
    """A folder for what is needed meanwhile."""
    folder: Path
    """Where quantised files are written."""
    keep: bool
    """Whether the quantised files stay there."""
    types: tuple[str, ...]
    threads: int
    job: Path | None
    """Work order of a stage of the run whose texts are read; None where `text` is given."""
    text: Path | None
    imatrix: bool
    imatrix_text: Path | None
    """Training text; None where it is the run's training rows."""

    def to_json(self) -> dict[str, Any]:
        """Return the order as it stands in its file."""
        paths = {name: getattr(self, name) for name in _PATHS}
        return {
            **{name: None if path is None else str(path) for name, path in paths.items()},
            "keep": self.keep,
            "types": list(self.types),
            "threads": self.threads,
            "imatrix": self.imatrix,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        values = {**data, "types": tuple(data["types"])}
        for name in _PATHS:
            values[name] = None if data[name] is None else Path(data[name])
        return cls(**values)


_PATHS = ("f16", "scratch", "folder", "job", "text", "imatrix_text")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The whole ladder."""

    rungs: tuple[Rung, ...]
    """The 16-bit file first, then as asked."""
    n_ctx: int
    """Tokens of a chunk."""


def measure(work: Work, tell: Callable[[str], None] = lambda note: None) -> Measured:
    """Measure a ladder in a child process.

    Args:
        work: What is to be measured; `folder` exists.
        tell: Called with what is being done.

    Raises:
        FathomError: What the child says went wrong; a crash of llama.cpp is one, too.
    """
    rungs: list[Rung] = []
    n_ctx = 0
    for line in _lines(work):
        if line["kind"] == "note":
            tell(str(line["text"]))
        elif line["kind"] == "rung":
            rungs.append(Rung.from_json(line["rung"]))
            n_ctx = int(line["n_ctx"])
        elif line["kind"] == "failed":
            raise _as_error(line)
    return Measured(rungs=tuple(rungs), n_ctx=n_ctx)


def _lines(work: Work) -> Iterator[dict[str, Any]]:
    order, log = work.scratch / "ladder.json", work.scratch / "ladder.log"
    order.write_text(json.dumps(work.to_json()), "utf-8")
    with log.open("wb") as said, _spawned(order, said) as (process, pipe):
        for line in pipe:
            yield json.loads(line)
        code = process.wait()
    if code != ExitCode.DONE:
        raise _crash(work, code, log.read_text("utf-8", "replace")[-2_000:])


@contextmanager
def _spawned(order: Path, said: Any) -> Iterator[tuple[subprocess.Popen[bytes], TextIO]]:
    reading, writing = os.pipe()
    try:
        process = subprocess.Popen(
            [
                sys.executable, "-P", "-m", "fathom_tui.runner.ladder_child",
                str(order), str(writing), str(os.getpid()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            pass_fds=(writing,),
            env={**GOOD_NEIGHBOUR, **os.environ, "GGML_NO_BACKTRACE": "1"},
            start_new_session=True,
        )  # fmt: skip
    finally:
        os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        try:
            yield process, pipe
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def _crash(work: Work, code: int, said: str) -> FathomError:
    how = f"ended with code {code}" if code >= 0 else f"was ended by {_signal_name(-code)}"
    lines = said.strip().splitlines()
    return StageCrashed(
        f"The process that quantises {work.f16} {how}" + (f": {lines[-1][:200]}" if lines else "."),
        fix="Check the file (fathom fit FILE), and that enough memory is free.",
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _as_error(line: Mapping[str, Any]) -> FathomError:
    kinds: list[type[FathomError]] = [UsageError, EnvironmentProblem, *FathomError.__subclasses__()]
    kind = next((k for k in kinds if k.exit_code == line["exit_code"]), EnvironmentProblem)
    return kind(str(line["message"]), fix=str(line["fix"]))


def main(arguments: list[str]) -> int:
    """Measure what the order says; return the exit code."""
    order, descriptor, parent = Path(arguments[0]), int(arguments[1]), int(arguments[2])
    die_with_parent(parent)
    os.umask(0o077)
    work = Work.from_json(json.loads(order.read_text("utf-8")))
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:

        def send(kind: str, **data: Any) -> None:
            stream.write(json.dumps({"kind": kind, **data}) + "\n")
            stream.flush()

        try:
            _measure(work, send)
        except FathomError as error:
            code = int(error.exit_code)
            send("failed", message=error.message, fix=error.fix, exit_code=code)
        except MemoryError:
            problem = EnvironmentProblem("There is not enough memory.", fix="Stop other programs.")
            code = int(problem.exit_code)
            send("failed", message=problem.message, fix=problem.fix, exit_code=code)
    return ExitCode.DONE


def _measure(work: Work, send: Callable[..., None]) -> None:
    bits, _, _ = effective_bits(work.f16, "F16")
    if bits < LEAST_BITS:
        raise UsageError(
            f"{work.f16} holds {bits:.2f} bits a weight: it has been quantised before.",
            fix="Name the 16-bit GGUF that it was made from.",
        )
    job = None if work.job is None else Job.read(work.job)
    importance = _importance(work, job, send)
    with Ladder(
        work.f16, work.scratch, threads=work.threads, importance=importance, pace=True
    ) as ladder:
        send("note", text="F16: reading the text")
        send("rung", rung=ladder.read(_text(work, job)).to_json(), n_ctx=ladder.n_ctx)
        for name in work.types:
            send("note", text=f"{name}: quantising, reading the text")
            target = work.folder / _name(work, name)
            rung = ladder.climb(target, name)
            if not work.keep:
                target.unlink()
            send("rung", rung=rung.to_json(), n_ctx=ladder.n_ctx)


def _name(work: Work, type_: str) -> str:
    return f"{work.f16.stem}.{type_.lower()}.gguf" if work.keep else file_name(type_)


def _text(work: Work, job: Job | None) -> Callable[[Callable[[str], int]], tuple[str, int]]:
    if job is not None and work.text is None:
        return lambda count: held_out_text(*splits(job), count)
    if work.text is None:
        raise UsageError("No text was given to judge by.", fix="Add --text FILE.")
    text = _read(work.text)
    return lambda count: (text, chunk_length(count(text)))


def _importance(work: Work, job: Job | None, send: Callable[..., None]) -> Any:
    if not work.imatrix:
        return None
    from fathom_tui.runner.imatrix import importance

    if work.imatrix_text is not None:
        text = _read(work.imatrix_text)
    elif job is not None:
        text = training_text(job)
    else:
        raise UsageError(
            "An importance matrix needs training text.", fix="Add --imatrix FILE, not of --text."
        )
    send("note", text="importance matrix: reading the training text")
    found, tokens = importance(work.f16, text, threads=work.threads)
    send("note", text=f"importance matrix over {tokens} tokens, {len(found)} matrices")
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}.", fix="Name a text in UTF-8.") from error


if __name__ == "__main__":
    try:
        code = main(sys.argv[1:])
    except KeyboardInterrupt:
        code = Interrupted.exit_code
    # llama.cpp frees its threads at length; the answer is already in the pipe.
    sys.stderr.flush()
    os._exit(code)
