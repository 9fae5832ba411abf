"""The last package of an engagement: which one it is, and where, as far as anybody knows.

The ledger keeps a package's name, its run and the sum of its SHA256SUMS, and no directory. So a
place is known of what was written from here, and of what lies where the screens were opened.
"""

import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

_RECORDED = re.compile(r"(\S+) of (\S+), SHA256SUMS (\S+)")
_SUMS = "SHA256SUMS"
_MOST_BYTES = 1_000_000
"""Of a file of sums that is read; a package has some twenty lines in it."""


class Packed:
    """What was written from here, by engagement, while the ledger tells of no later one."""

    def __init__(self) -> None:
        self._made: dict[str, Mapping[str, Any]] = {}
        self._before: dict[str, str] = {}
        """What the ledger said when it was written: it may be read once more after that."""

    def wrote(self, slug: str, data: Mapping[str, Any], recorded: str) -> None:
        """Note a package that was just written.

        Args:
            slug: The engagement.
            data: What `fathom package --json` printed.
            recorded: What the ledger said of the last package before.
        """
        self._made[slug], self._before[slug] = data, recorded

    def read(self, slug: str, recorded: str) -> None:
        """Take what the ledger says now: a later package makes ours an old one."""
        made = self._made.get(slug)
        if made is None:
            return
        if recorded == _said(made):
            self._before[slug] = recorded
        elif recorded != self._before[slug]:
            del self._made[slug]

    def of(self, slug: str) -> Mapping[str, Any] | None:
        """Return the one written from here; None where none was, or another one is the last."""
        return self._made.get(slug)

    def place(self, slug: str) -> Path | None:
        """Return where that one is: its archive, else its directory."""
        made = self._made.get(slug) or {}
        found = made.get("archive") or made.get("directory")
        return Path(str(found)) if found else None


def _said(made: Mapping[str, Any]) -> str:
    """Return what the ledger says of a package."""
    return f"{made.get('package')} of {made.get('run')}, SHA256SUMS {made.get('sums_sha256')}"


def recorded_parts(said: str) -> tuple[str, str, str] | None:
    """Return name, run and sum of the sums as the ledger has them; None for anything else."""
    found = _RECORDED.fullmatch(said)
    return (found[1], found[2], found[3]) if found is not None else None


def package_here(said: str, folder: Path) -> Path | None:
    """Return the package the ledger tells of if it lies in a directory; None where it does not.

    Its SHA256SUMS has to have the recorded sum: one of the same name may be an older one.
    """
    parts = recorded_parts(said)
    if parts is None or "/" in parts[0]:
        return None
    sums = folder / parts[0] / _SUMS
    try:
        if sums.stat().st_size > _MOST_BYTES:
            return None
        digest = sha256(sums.read_bytes()).hexdigest()
    except OSError:
        return None
    return sums.parent if digest == parts[2] else None
