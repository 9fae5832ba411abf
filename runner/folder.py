"""Holding a serving folder, so that two processes never change it at once."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def held(root: Path, *, name: str = "lock", wait: bool = True) -> Iterator[None]:
    """Hold a lock in a serving folder, which is made if it is not there.

    Args:
        root: The folder.
        name: The lock's file in it.
        wait: Whether to wait for whoever holds it.

    Raises:
        BlockingIOError: Somebody holds it, and `wait` is false.
    """
    root.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    root.mkdir(exist_ok=True, mode=0o700)
    descriptor = os.open(root / name, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
