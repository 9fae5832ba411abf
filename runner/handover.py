"""One server, two who may want to restart it: the process that runs it in the foreground, and
whoever activates a version.

A foreground process (a unit's, most often) holds a lock for its lifetime. Whoever activates then
starts no server: it leaves a request beside the versions, and the foreground process starts anew.
Nobody signals anybody, so that it works between units that cannot see each other's processes.
"""

import fcntl
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fathom_tui.datasets.cases import write_private
from fathom_tui.errors import UsageError

_LOCK = "foreground.lock"
_REQUEST = "handover.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who runs the server in the foreground."""

    pid: int | None
    """None where it does not say."""
    unit: str
    """Its unit's name; empty where no unit runs it."""
    scope: str
    """`user` or `system`; empty without a unit."""

    def describe(self) -> str:
        """Return who it is, as a message says it."""
        return f"the unit {self.unit}" if self.unit else f"process {self.pid} in the foreground"

    def how_to_stop(self) -> str:
        """Return the command that ends it."""
        if not self.unit:
            return f"kill {self.pid}"
        return f"systemctl {'--user ' if self.scope == 'user' else ''}stop {self.unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How the server is to be started anew."""

    token: str
    """Names the request, so that its answer is not taken for another's."""
    n_ctx: int
    threads: int


def holder(root: Path) -> Holder | None:
    """Return who runs the server of this folder in the foreground, or None."""
    try:
        stream = (root / _LOCK).open("r", encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _holder(stream.read())
    return None


@contextmanager
def hold(root: Path, *, unit: str, scope: str) -> Iterator[None]:
    """Be the one who runs the server of this folder.

    Raises:
        UsageError: Somebody else is.
    """
    descriptor = os.open(root / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = holder(root)
            who, fix = (other.describe(), other.how_to_stop()) if other else ("another process", "")
            raise UsageError(f"{root.name} is served by {who} already.", fix=fix) from None
        said = json.dumps({"pid": os.getpid(), "unit": unit, "scope": scope}).encode()
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, said, 0)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def asking(root: Path, *, n_ctx: int, threads: int) -> Iterator[Wish]:
    """Ask for a new start for as long as the block lasts; its caller holds the folder's lock."""
    wish = Wish(token=uuid.uuid4().hex, n_ctx=n_ctx, threads=threads)
    data = {"token": wish.token, "n_ctx": n_ctx, "threads": threads}
    write_private(root / _REQUEST, json.dumps(data).encode())
    try:
        yield wish
    finally:
        (root / _REQUEST).unlink(missing_ok=True)


def wish(root: Path) -> Wish | None:
    """Return what is asked for now; None without a request, or when nobody waits for its answer."""
    try:
        data: dict[str, Any] = json.loads((root / _REQUEST).read_text("utf-8"))
        found = Wish(
            token=str(data["token"]), n_ctx=int(data["n_ctx"]), threads=int(data["threads"])
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # half written, or damaged: whoever asked will say that nothing came
    return found if _somebody_waits(root) else None


@contextmanager
def unless_held(root: Path) -> Iterator[bool]:
    """Hold the folder's lock for the block where it is free; say whether it was."""
    descriptor = os.open(root / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


def _somebody_waits(root: Path) -> bool:
    """Say whether the folder's lock is held: who asks holds it, and loses it by dying."""
    with unless_held(root) as free:
        return not free


def _holder(text: str) -> Holder:
    try:
        data = json.loads(text)
        return Holder(pid=int(data["pid"]), unit=str(data["unit"]), scope=str(data["scope"]))
    except (ValueError, KeyError, TypeError):
        return Holder(pid=None, unit="", scope="")  # it has only just begun
