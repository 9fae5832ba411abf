"""Files and directories that only their owner can read, whatever the umask says."""

import os
from pathlib import Path

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600


def make_directory(path: Path) -> None:
    """Create a directory (mode 0700) with its parents; one that exists keeps its mode."""
    if path.is_dir():
        return
    if not path.parent.exists():
        make_directory(path.parent)
    try:
        path.mkdir(DIRECTORY_MODE)
    except FileExistsError:
        # Another process was faster; anything but a directory is an error of its own.
        if not path.is_dir():
            raise
        return
    path.chmod(DIRECTORY_MODE)


def open_private(path: Path, flags: int) -> int:
    """Open a file, created with mode 0600 where missing; returns the descriptor."""
    existed = path.exists()
    descriptor = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    if not existed:
        os.fchmod(descriptor, FILE_MODE)
    return descriptor


def write_fully(descriptor: int, data: bytes) -> None:
    """Write every byte: one `write` may take only some of them when the disk fills up."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_directory(path: Path) -> None:
    """Make a new name in this directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
