"""Deployment events that can be used: a journal is a file, and a hand or a program may write in it.

A row that lacks what every reader relies on is left out, and a note says which one it was.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

Row = TypeVar("Row", bound=Mapping[str, Any])

NEEDED = ("id", "run", "target", "version", "state")
"""Fields of a deployment that are never blank; each is a text."""


def whole_deployments(path: Path, rows: Iterable[Row]) -> tuple[list[Row], list[str]]:
    """Return the rows that can be used, and a note on each of the others.

    Args:
        path: The journal that they are from; named in the notes.
        rows: Deployment events with their `seq`.
    """
    whole, notes = [], []
    for row in rows:
        unusable = [name for name in NEEDED if not _is_text(row.get(name))]
        if unusable:
            notes.append(
                f"{path}, event {row.get('seq')}: a deployment without a usable "
                f"{', '.join(unusable)}; it is left out."
            )
        else:
            whole.append(row)
    return whole, notes


def _is_text(value: object) -> bool:
    """Say whether a value is a text with something in it that can be printed."""
    if not isinstance(value, str) or not value.strip():
        return False
    try:
        value.encode()
    except UnicodeEncodeError:  # half a character
        return False
    return True
