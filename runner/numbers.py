"""The numbers of an engagement's versions: `v1`, `v2` …; none is ever given twice.

Every target keeps what it has of a version under its name in the serving folder, so whatever is
called `vN` there, or `vN.` and more, says that the number is taken. `vN.removed` says it of a
version that is gone: clients, journals and certificates go on naming it.
"""

import re
from collections.abc import Iterable
from pathlib import Path

_VERSION = re.compile(r"v([1-9][0-9]{0,8})", re.ASCII)


def number(version: str) -> int | None:
    """Return N of `vN`; None for anything else."""
    found = _VERSION.fullmatch(version)
    return None if found is None else int(found[1])


def next_version(root: Path, others: Iterable[str] = ()) -> str:
    """Return the version after every one that left a trace, of any target.

    Args:
        root: The serving folder; it need not exist.
        others: Versions that a server has, whatever the folder knows of them.
    """
    taken = (number(name) or 0 for name in (*_traces(root), *others))
    return f"v{max(taken, default=0) + 1}"


def retire(root: Path, version: str) -> None:
    """Keep the number of a version that is about to be removed."""
    (root / f"{version}.removed").touch(mode=0o600)


def remember(root: Path, versions: Iterable[str]) -> None:
    """Keep the numbers of versions that the ledger knows, where the folder has lost their traces.

    Args:
        root: The serving folder; it exists.
        versions: What the ledger names; what is no `vN` is left out.
    """
    for version in set(versions) - _traces(root):
        if number(version) is not None:
            retire(root, version)


def beside(root: Path, version: str) -> list[Path]:
    """Return what is kept beside a version's model, but for the trace that keeps its number."""
    found = sorted(root.glob(f"{version}.*"))
    return [path for path in found if path.suffix not in (".gguf", ".removed")]


def _traces(root: Path) -> set[str]:
    """Return what stands before the first point in each name that may be a version's."""
    return {path.name.split(".")[0] for path in root.glob("v*")}
