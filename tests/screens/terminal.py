"""The program on a pseudo-terminal of its own: what a pilot never meets."""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Terminal:
    """`fathom` in an 80 x 24 terminal."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.received = bytearray()
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.chdir(ROOT)
            env = {**os.environ, "FATHOM_HOME": str(home), "TERM": "xterm-256color"}
            env.pop("SSH_CONNECTION", None)
            os.execvpe(sys.executable, [sys.executable, "-m", "fathom_tui", *arguments], env)
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

    def read_until(self, text: bytes, timeout_s: float = 30.0) -> None:
        """Read until this was written."""
        deadline = time.monotonic() + timeout_s
        while text not in self.received:
            assert self._read(deadline), f"{text!r} is not in {bytes(self.received[-500:])!r}"

    def read_for(self, seconds: float) -> None:
        """Read for so long, or until the program has ended."""
        deadline = time.monotonic() + seconds
        while self._read(deadline):
            pass

    def press(self, keys: bytes) -> None:
        """Type."""
        os.write(self.descriptor, keys)

    def signal(self, number: signal.Signals) -> None:
        """Send the program a signal."""
        os.kill(self.pid, number)

    def hang_up(self) -> None:
        """Close the terminal, as a lost connection does."""
        os.close(self.descriptor)
        self.descriptor = -1

    def exit_code(self, timeout_s: float = 15.0) -> int:
        """Wait for the end and return the code; minus the signal if one killed it."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        raise TimeoutError(f"still running after {timeout_s:g} s")

    def close(self) -> None:
        """End the program if it still runs."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        if self.descriptor >= 0:
            os.close(self.descriptor)

    def _read(self, deadline: float) -> bool:
        left = max(0.0, deadline - time.monotonic())
        if not select.select([self.descriptor], [], [], left)[0]:
            return False
        try:
            data = os.read(self.descriptor, 1 << 16)
        except OSError:  # nobody has the other end open any more
            return False
        self.received += data
        return bool(data)
