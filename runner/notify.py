"""What a service tells systemd: ready, alive, at work on what, ending.

Plain datagrams on the socket that NOTIFY_SOCKET names; where it is not set, nothing is said.
Source: sd_notify(3), sd_watchdog_enabled(3), systemd.service(5) on NotifyAccess=.
"""

import os
import socket
import sys
import time
from collections.abc import MutableMapping
from typing import Self

_SHARE_OF_WATCHDOG = 4
"""Say `alive` at most that many times in the time allowed; sd_watchdog_enabled(3) recommends two,
and a tick of the work loop may come late."""


class Notify:
    """The line to the service manager, if there is one."""

    def __init__(self, address: str = "", *, watchdog_s: float | None = None) -> None:
        """Open a line; the address is a path, or an abstract name that starts with `@`.

        Args:
            address: Where the manager listens; empty means nobody does.
            watchdog_s: Seconds without a sign of life after which the manager ends this service;
                None means it does not watch.
        """
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._every_s = None if watchdog_s is None else watchdog_s / _SHARE_OF_WATCHDOG
        self._fed = 0.0
        self._status = ""

    @classmethod
    def from_env(cls, environment: MutableMapping[str, str] = os.environ) -> Self:
        """Take the line from the environment, so that no child finds it there.

        A watchdog that is meant for another process is not ours to feed.
        """
        address = environment.pop("NOTIFY_SOCKET", "")
        usec = environment.pop("WATCHDOG_USEC", "")
        pid = environment.pop("WATCHDOG_PID", "")
        ours = pid in ("", str(os.getpid()))
        known = usec.isascii() and usec.isdigit() and int(usec) > 0
        return cls(address, watchdog_s=int(usec) / 1e6 if ours and known else None)

    @property
    def is_heard(self) -> bool:
        """Whether a manager listens."""
        return bool(self._address)

    @property
    def every_s(self) -> float | None:
        """Seconds between two signs of life; None where nobody watches."""
        return self._every_s

    def ready(self, status: str) -> None:
        """Say that the service does its work from now on, and what it is at."""
        self._status = status
        self._fed = time.monotonic()
        self._send("READY=1", f"STATUS={status}", *(["WATCHDOG=1"] if self._every_s else []))

    def alive(self, status: str | None = None) -> None:
        """Feed the watchdog; to be called by the loop that does the work, and by nothing else.

        Args:
            status: What the service is at; None leaves it as it was said last.
        """
        if status is not None:
            self.status(status)
        now = time.monotonic()
        if self._every_s is not None and now - self._fed >= self._every_s:
            self._fed = now
            self._send("WATCHDOG=1")

    def status(self, status: str) -> None:
        """Say what the service is at, without a sign of life."""
        if status != self._status:
            self._status = status
            self._send(f"STATUS={status}")

    def extend(self, seconds: float, status: str) -> None:
        """Ask for that many seconds more until `ready` or the end."""
        self._status = status
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}", f"STATUS={status}")

    def stopping(self, status: str = "ending") -> None:
        """Say that the service is about to end."""
        self._send("STOPPING=1", f"STATUS={status}")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        # One line a variable: what a status quotes must not become another variable.
        text = "\n".join(line.replace("\n", " ") for line in lines)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                line.connect(self._address)
                line.sendall(text.encode("utf-8", errors="replace"))
        except OSError as error:
            # The work matters more than telling of it; a watchdog that hears nothing acts.
            print(f"systemd cannot be told ({error}): {lines[0]}", file=sys.stderr, flush=True)
