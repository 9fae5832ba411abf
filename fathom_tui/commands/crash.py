"""What is kept of an error nobody foresaw: its traceback, in a private file."""

import os
import platform
import shlex
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from fathom_tui import __version__
from fathom_tui.errors import FathomError
from fathom_tui.store.paths import Home


def record(arguments: Sequence[str]) -> str:
    """Write the traceback of the exception being handled; return what to tell the person."""
    now = datetime.now(UTC)
    try:
        directory = Home.from_env().prepare().state
        path, descriptor = _create(directory, f"crash-{now:%Y%m%dT%H%M%S}-{os.getpid()}")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(_report(arguments, now))
    except (FathomError, OSError) as problem:
        return f"FATHOM_DEBUG=1 shows the traceback; it could not be written: {problem}"
    return f"This is a fault in Fathom. The traceback is in {path}; FATHOM_DEBUG=1 shows it here."


def _create(directory: Path, stem: str) -> tuple[Path, int]:
    """Open a new private file; the second of a process and second is numbered."""
    path, number = directory / f"{stem}.log", 1
    while True:
        try:
            return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            number += 1
            path = directory / f"{stem}-{number}.log"


def _report(arguments: Sequence[str], now: datetime) -> str:
    return (
        f"fathom {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
        f"{now.isoformat(timespec='seconds')}\n"
        f"$ fathom {shlex.join(arguments)}\n\n{traceback.format_exc()}"
    )
