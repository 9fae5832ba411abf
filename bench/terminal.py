"""A program in a terminal of its own, for measuring what it draws and what it costs."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self


class Terminal:
    """A child process on a pseudo-terminal; everything it writes is read and counted."""

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], *, columns: int = 80, lines: int = 24
    ) -> None:
        self.received = bytearray()
        self.began = time.monotonic()
        self.pid, self._descriptor = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], list(command), dict(env))
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, size)

    def read_until(self, text: bytes, timeout_s: float = 20.0) -> float:
        """Return the seconds from the start of the program until it wrote this.

        Raises:
            TimeoutError: It did not.
        """
        deadline = time.monotonic() + timeout_s
        while text not in self.received:
            if not self._read(deadline):
                raise TimeoutError(f"{text!r} was not written within {timeout_s:g} s")
        return time.monotonic() - self.began

    def read_for(self, seconds: float) -> int:
        """Read for so long and return the number of bytes."""
        before, deadline = len(self.received), time.monotonic() + seconds
        while self._read(deadline):
            pass
        return len(self.received) - before

    def press(self, keys: bytes) -> None:
        """Type."""
        os.write(self._descriptor, keys)

    def cpu_s(self) -> float:
        """Return the seconds of processor time the program has used."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.kill(self.pid, signal.SIGTERM)
        self.read_for(0.5)
        os.close(self._descriptor)
        os.waitpid(self.pid, 0)

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._descriptor], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self._descriptor, 1 << 16)
        except OSError:  # the program has ended
            return False
        self.received += data
        return bool(data)
