"""A fair queue between processes: one passes at a time, in turn, and says who it is.

Two locks, `queue` and `room`. Whoever waits for the room holds the queue, so a process that
leaves the room and comes straight back cannot overtake the one that waits at the door. Both
locks block in the kernel: with polling instead, two of four writers starved for as long as
the other two were busy, while blocking kept the longest wait of four at 0.1 s.
"""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fathom_tui.errors import EnvironmentProblem, StoreError
from fathom_tui.store.holders import describe_process
from fathom_tui.store.private import make_directory, open_private

TIMEOUT_S = 10.0
_SIGNATURE = 256
"""Bytes in which a holder says who it is."""


class Turnstile:
    """One place that processes and threads pass one at a time.

    Args:
        directory: Where the lock files are.
        name: Which turnstile: those with different names are independent.
        timeout_s: Longest wait in seconds.
    """

    def __init__(self, directory: Path, *, name: str = "store", timeout_s: float = TIMEOUT_S):
        self._queue = directory / f"{name}.queue"
        self._room = directory / f"{name}.room"
        self._timeout_s = timeout_s

    @contextmanager
    def passing(self) -> Iterator[float]:
        """Wait for the turn and hold the room inside the `with` block.

        Yields:
            The deadline on the monotonic clock by which all waiting has to end.

        Raises:
            StoreError: The turn did not come in time; names the holder.
            EnvironmentProblem: The lock files cannot be created.
        """
        deadline = time.monotonic() + self._timeout_s
        queue = self._locked(self._queue, deadline)
        try:
            room = self._locked(self._room, deadline)
        finally:
            _unlock(queue)
        try:
            _sign(room)
            yield deadline
        finally:
            _unlock(room)

    def _locked(self, path: Path, deadline: float) -> int:
        try:
            make_directory(path.parent)
            descriptor = open_private(path, os.O_RDWR)
        except OSError as error:
            raise EnvironmentProblem(
                f"The lock file {path} cannot be opened: {error.strerror}.",
                fix="Point FATHOM_HOME at a directory you can write to.",
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not _Wait(descriptor).until(deadline):
                raise self._too_long() from None
        return descriptor

    def _too_long(self) -> StoreError:
        return StoreError(
            f"The ledger was busy for {self._timeout_s:g} s: {self._holder()} holds it.",
            fix="Wait until that process is done, or end it, and try again.",
        )

    def _holder(self) -> str:
        """Return who signed the room last."""
        signature = self._room.read_text("utf-8", "replace").strip()
        return signature or "another process"


class _Wait:
    """A blocking `flock` with a time limit.

    The kernel has no `flock` with a timeout and a signal would reach the main thread only, so
    a thread blocks on behalf of the caller. A caller that gives up leaves the descriptor to
    that thread, which closes it (and so unlocks) when the lock comes after all.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._guard = threading.Lock()
        self._came = threading.Event()
        self._abandoned = False
        threading.Thread(target=self._block, name="fathom-turnstile", daemon=True).start()

    def until(self, deadline: float) -> bool:
        """Return whether the lock came in time."""
        try:
            self._came.wait(max(0.0, deadline - time.monotonic()))
        finally:
            # Also on Ctrl-C: nobody may be left holding a lock without knowing it.
            with self._guard:
                came = self._came.is_set()
                self._abandoned = not came
        return came

    def _block(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        with self._guard:
            if self._abandoned:
                os.close(self._descriptor)
            else:
                self._came.set()


def _sign(room: int) -> None:
    """Leave pid and command for those who wait; they read it when their time is up."""
    # Padded to one length: cutting the file first costs 3 ms at every passing.
    os.pwrite(room, describe_process(os.getpid()).encode()[:_SIGNATURE].ljust(_SIGNATURE), 0)


def _unlock(descriptor: int) -> None:
    # Unlocked by name: a child forked meanwhile shares the lock until it ends.
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)
