"""A command carried out beside the screens: what it says is followed, and it outlives them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import IO, Any

COMMAND = (sys.executable, "-P", "-m", "fathom_tui")
"""What a verb and its arguments follow."""
_POLL_S = 0.1
_ERROR, _FIX = "error: ", "  fix: "
"""How a command tells what went wrong, on stderr."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int
    """Its exit code; minus the signal where one ended it."""
    data: Any
    """What it printed with `--json`; None where that is no JSON."""
    problem: str = ""
    """What went wrong, in its own words; empty where it said nothing of the kind."""
    fix: str = ""
    complaint: str = ""
    """All that it said on stderr."""
    stopped: bool = False
    """Whether it took longer than it was given."""


async def carry_out(
    command: Sequence[str],
    say: Callable[[Sequence[str]], None] = lambda lines: None,
    *,
    longest_s: float | None = None,
) -> Ended:
    """Run a command to its end.

    It has a session of its own and writes to files, so it goes on when the screens are left.

    Args:
        command: The program and its arguments.
        say: Called on the event loop with lines that came on stderr, but for error and fix.
        longest_s: Seconds after which it is stopped; None lets it take its time.
    """
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as told:
        try:
            process = _start(command, said, told)
        except OSError as error:
            return Ended(code=127, data=None, problem=f"{command[0]}: {error.strerror}.")
        ended = threading.Thread(target=process.wait, name="fathom-errand-end", daemon=True)
        ended.start()
        reader, began = _Lines(told), monotonic()
        while ended.is_alive():
            if longest_s is not None and monotonic() - began > longest_s:
                _stop(process)
                problem = f"It had not answered after {longest_s:.0f} s."
                return Ended(code=124, data=None, problem=problem, stopped=True)
            await asyncio.sleep(_POLL_S)
            _pass_on(reader.more(), say)
        _pass_on(reader.rest(), say)
        return _ended(process.returncode, _parsed(_all(said)), _all(told))


class _Lines:
    """Lines of a file that another process writes.

    Its position is the writer's, too, so it is read without being moved.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._descriptor = file.fileno()
        self._at = 0

    def more(self) -> list[str]:
        """Return the lines that have come to their end."""
        data = os.pread(self._descriptor, 1 << 20, self._at)
        whole = data[: data.rfind(b"\n") + 1]
        self._at += len(whole)
        return whole.decode("utf-8", "replace").splitlines()

    def rest(self) -> list[str]:
        """Return what is left, also a line without an end."""
        data = os.pread(self._descriptor, 1 << 20, self._at)
        self._at += len(data)
        return data.decode("utf-8", "replace").splitlines()


def _pass_on(lines: Sequence[str], say: Callable[[Sequence[str]], None]) -> None:
    kept = [line for line in lines if line.strip() and not line.startswith((_ERROR, _FIX))]
    if kept:
        say(kept)


def _ended(code: int, data: Any, complaint: str) -> Ended:
    lines = [line for line in complaint.splitlines() if line.strip()]
    errors = [line.removeprefix(_ERROR) for line in lines if line.startswith(_ERROR)]
    fixes = [line.removeprefix(_FIX) for line in lines if line.startswith(_FIX)]
    problem = errors[-1] if errors else ""
    if not problem and code < 0:
        problem = f"The command was ended by signal {-code}."
    elif not problem and data is None and code:
        last = lines[-1].strip() if lines else ""
        problem = last or f"The command ended with {code} and said nothing."
    fix = fixes[-1] if fixes else ""
    return Ended(code=code, data=data, problem=problem, fix=fix, complaint=complaint)


def _start(command: Sequence[str], said: IO[bytes], told: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=said, stderr=told, start_new_session=True
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    # It may have ended in this moment.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _all(file: IO[bytes]) -> str:
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode("utf-8", "replace")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
