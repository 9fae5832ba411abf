"""Files and folders that appear whole or not at all, also when the disk is full."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fathom_tui.errors import EnvironmentProblem

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SHORT_WRITE = "requested and"
"""How numpy's tofile words a write that the disk cut short; it leaves out the number."""


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """Give a name to write to; what was written takes the target's place when all went well.

    Args:
        target: A file, or a folder. What stood there before stays until then.

    Raises:
        EnvironmentProblem: The disk, a quota or a limit of file size is in the way.
    """
    draft = target.with_name(target.name + ".part")
    remove(draft)
    try:
        yield draft
        if draft.is_dir():
            remove(target)  # a folder cannot replace one that holds something
        os.replace(draft, target)
    except BaseException as error:
        remove(draft)
        problem = _disk_problem(error)
        if problem is None:
            raise
        free = shutil.disk_usage(target.parent).free
        raise EnvironmentProblem(
            f"{target} could not be written: {problem} ({free / 1e6:.0f} MB are free).",
            fix=f"Free some space at {target.parent}, then resume the run.",
        ) from error


def remove(path: Path) -> None:
    """Delete a file or a folder; what is not there needs no deleting."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _disk_problem(error: BaseException) -> str | None:
    """Return what the system said of the disk, also where a library has wrapped it."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _FULL:
            return os.strerror(seen.errno)
        if isinstance(seen, OSError) and _SHORT_WRITE in str(seen):
            return f"a write came out short, {seen}"
        seen = seen.__cause__ or seen.__context__
    # safetensors writes in Rust, and leaves the number in the text.
    for number in _FULL:
        if f"os error {number}" in str(error):
            return os.strerror(number)
    return None
