"""The truth on disk: one JSON line for each event, appended by one writer and fsynced.

A process can die at any byte. What `append` returned is there; of a line that it had not
returned yet, nothing is shown: readers pass over a torn last line and the next writer moves
it to `<journal>.torn`. A broken line anywhere else is damage and is never passed over.
"""

import fcntl
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fathom_tui.errors import EnvironmentProblem, StoreError
from fathom_tui.events import VERSION, Event
from fathom_tui.store.holders import flock_holder
from fathom_tui.store.private import (
    make_directory,
    open_private,
    sync_directory,
    write_fully,
)

_TAIL_BYTES = 64 * 1024
_EVENT_TYPES = (int, str, str, dict)
"""Of seq, at, kind and data."""


def utc_now() -> str:
    """Return the wall time in UTC, ISO 8601 with milliseconds and a trailing Z."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Journal:
    """The one writer of a journal; usable as a context manager."""

    def __init__(self, path: Path, *, now: Callable[[], str] = utc_now) -> None:
        self.path = path
        self.seq = 0
        """Number of the last event in the journal; 0 while it is empty or not open."""
        self._now = now
        self._descriptor = -1

    def open_for_append(self) -> Self:
        """Lock the journal, move a torn last line aside and find the last number.

        Raises:
            StoreError: Another process writes this journal, or its end is damaged.
            EnvironmentProblem: The file cannot be created.
        """
        if self._descriptor >= 0:
            return self
        self._descriptor = _open_locked(self.path)
        try:
            self.seq = self._mend()
        except BaseException:
            self.close()
            raise
        return self

    def append(self, kind: str, data: Mapping[str, Any], *, durable: bool = True) -> Event:
        """Write one event and return it as a reader will see it.

        Args:
            kind: One of the kinds listed in `fathom_tui.events`.
            data: JSON values; numbers that JSON does not have (NaN) become null.
            durable: False for progress and metrics: in order, but lost in a power cut.

        Raises:
            EnvironmentProblem: The disk is full or failing; the journal is as it was before.
        """
        self.open_for_append()
        event = Event(seq=self.seq + 1, at=self._now(), mono=time.monotonic(), kind=kind, data=data)
        line = _encode(event.to_json())
        end = os.lseek(self._descriptor, 0, os.SEEK_END)
        try:
            write_fully(self._descriptor, line)
            if durable:
                os.fsync(self._descriptor)
        except OSError as error:
            os.ftruncate(self._descriptor, end)
            raise EnvironmentProblem(
                f"Event {event.seq} ({kind}) could not be written to {self.path}: "
                f"{error.strerror}.",
                fix=f"Free space on that disk: df -h {self.path.parent}",
            ) from error
        self.seq = event.seq
        return Event.from_json(json.loads(line))

    def close(self) -> None:
        """Unlock and close; a second call does nothing."""
        if self._descriptor >= 0:
            # Unlocked by name: a child that inherited the descriptor must not keep the lock.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self.open_for_append()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _mend(self) -> int:
        """Move a torn last line aside and return the number of the last whole one."""
        start, tail = self._last_lines()
        whole, torn = _split_torn(tail)
        if torn:
            _set_aside(self.path, torn)
            os.ftruncate(self._descriptor, start + len(whole))
            os.fsync(self._descriptor)
        if not whole:
            return 0
        last = whole[whole.rfind(b"\n", 0, -1) + 1 :]
        try:
            return _decode(last).seq
        except ValueError as error:
            raise _damaged(self.path, _count_lines(self.path), str(error)) from error

    def _last_lines(self) -> tuple[int, bytes]:
        """Return the offset and bytes of the journal's end: at least two lines if it has them."""
        size = os.fstat(self._descriptor).st_size
        length = _TAIL_BYTES
        while True:
            start = max(0, size - length)
            tail = os.pread(self._descriptor, size - start, start)
            if start == 0 or tail.count(b"\n") >= 3:
                cut = 0 if start == 0 else tail.index(b"\n") + 1
                return start + cut, tail[cut:]
            length *= 4


def read(path: Path, *, after_seq: int = 0, offset: int = 0) -> tuple[list[Event], int, list[str]]:
    """Read a journal; a torn last line is left out with a note.

    Args:
        path: The journal.
        after_seq: Leave out events up to this number.
        offset: Byte to start at, as returned by an earlier call; events before it are then
            the ones up to `after_seq`.

    Returns:
        The events, the offset behind the last whole line, and notes for people.

    Raises:
        StoreError: A line before the last one is broken, numbers have a gap, or a line was
            written by a newer version.
    """
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    whole, torn = _split_torn(data)
    events = _decode_lines(path, whole, offset, after_seq if offset else 0)
    notes = []
    if torn:
        notes.append(
            f"{path}: the last line is torn ({len(torn)} bytes) and was left out; "
            "its writer stopped in the middle of it or is writing it now."
        )
    return [event for event in events if event.seq > after_seq], offset + len(whole), notes


def tail(path: Path, offset: int) -> tuple[list[Event], int]:
    """Return what was appended since `offset`, and the offset for the next call.

    A line that is still being written waits for the next call. When the file was cut or
    replaced, reading starts over: the first event then has number 1.

    Raises:
        StoreError: A line is broken.
    """
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return [], 0
    if size == offset:
        return [], offset
    if size < offset or not _ends_line(path, offset):
        offset = 0
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    whole, _ = _split_torn(data)
    return _decode_lines(path, whole, offset, None if offset else 0), offset + len(whole)


def last_event(path: Path, offset: int) -> Event | None:
    """Return the event whose line ends at `offset`; None where that is no line's end."""
    with path.open("rb") as file:
        file.seek(max(0, offset - _TAIL_BYTES))
        data = file.read(offset - file.tell())
    try:
        return _decode(data[data.rfind(b"\n", 0, -1) + 1 :]) if data.endswith(b"\n") else None
    except ValueError:
        return None


def _open_locked(path: Path) -> int:
    try:
        make_directory(path.parent)
        created = not path.exists()
        descriptor = open_private(path, os.O_RDWR | os.O_APPEND)
        if created:
            sync_directory(path.parent)
    except OSError as error:
        raise EnvironmentProblem(
            f"The journal {path} cannot be opened: {error.strerror}.",
            fix="Point FATHOM_HOME at a directory you can write to.",
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = flock_holder(descriptor)
        os.close(descriptor)
        raise StoreError(
            f"{path} is being written by {holder}; a journal has one writer.",
            fix="Wait until that process ends.",
        ) from error
    return descriptor


def _encode(line: Mapping[str, Any]) -> bytes:
    try:
        text = json.dumps(line, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(line), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # A file name that is not UTF-8 arrives with lone surrogates, which JSON readers refuse.
    return text.encode("utf-8", "replace") + b"\n"


def _finite(value: Any) -> Any:
    """Return the value with NaN and infinities as None: a loss that diverged is unknown."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _decode(line: bytes) -> Event:
    """Return the event of one line.

    Raises:
        ValueError: The line is not an event, or a newer one; the message says why.
    """
    try:
        event = Event.from_json(json.loads(line, parse_constant=_refuse_constant))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is JSON, but not an event ({error!r})") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if (type(event.seq), type(event.at), type(event.kind), type(event.data)) != _EVENT_TYPES:
        raise ValueError("it is JSON, but not an event")
    return event


def _refuse_constant(name: str) -> None:
    """Refuse what Python reads and JSON does not have; DuckDB would choke on it later."""
    raise ValueError(f"{name} is not JSON")


def _split_torn(data: bytes) -> tuple[bytes, bytes]:
    """Split bytes into whole lines and a torn last one (no newline, or not JSON)."""
    end = data.rfind(b"\n") + 1
    if end < len(data):
        return data[:end], data[end:]
    start = data.rfind(b"\n", 0, max(0, end - 1)) + 1
    try:
        json.loads(data[start:end] or b"0")
    except ValueError:
        return data[:start], data[start:]
    return data, b""


def _decode_lines(path: Path, data: bytes, offset: int, last_seq: int | None) -> list[Event]:
    """Decode whole lines, whose numbers go on from `last_seq` (None: from any number)."""
    events: list[Event] = []
    for index, line in enumerate(data.split(b"\n")[:-1]):
        try:
            event = _decode(line)
        except ValueError as error:
            raise _damaged(path, _line_number(path, offset) + index, str(error)) from error
        if last_seq is not None and event.seq != last_seq + 1:
            raise _damaged(
                path,
                _line_number(path, offset) + index,
                f"it has number {event.seq} where {last_seq + 1} was expected",
            )
        last_seq = event.seq
        events.append(event)
    return events


def _damaged(path: Path, line: int, why: str) -> StoreError:
    if "newer than" in why:
        return StoreError(
            f"{path}, line {line}: {why}.",
            fix=f"Upgrade Fathom: this one reads lines up to version {VERSION}.",
        )
    return StoreError(
        f"{path}, line {line} cannot be read: {why}.",
        fix=f"Restore the file from a backup, or cut it before that line "
        f"(head -n {line - 1}), which loses what came after.",
    )


def _line_number(path: Path, offset: int) -> int:
    """Return the 1-based number of the line that starts at `offset`."""
    if not offset:
        return 1
    with path.open("rb") as file:
        return file.read(offset).count(b"\n") + 1


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return file.read().count(b"\n")


def _ends_line(path: Path, offset: int) -> bool:
    """Say whether a line ends just before `offset`, as it does in a file not replaced."""
    if not offset:
        return True
    with path.open("rb") as file:
        file.seek(offset - 1)
        return file.read(1) == b"\n"


def _set_aside(path: Path, torn: bytes) -> None:
    descriptor = open_private(path.with_name(path.name + ".torn"), os.O_WRONLY | os.O_APPEND)
    try:
        write_fully(descriptor, torn if torn.endswith(b"\n") else torn + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
