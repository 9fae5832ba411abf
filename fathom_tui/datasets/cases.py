"""One row of a dataset, and the files that hold a split."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from fathom_tui.contract import Value
from fathom_tui.errors import DatasetError


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One message and the answer it should get."""

    id: str
    """From the content (`case_ids`), so that it does not depend on where the row stands."""
    input: str
    values: Mapping[str, Value]
    """The answer, field by field."""
    output: str
    """The answer as the contract writes it: the training target."""
    stratum: str = ""
    """Where the row comes from (channel, month, routine or edge); empty when the data has none."""
    line: int = 0
    """1-based line of the data file on which the row starts."""

    def to_json(self) -> dict[str, Any]:
        """Return the case as one line of a split file."""
        return {
            "id": self.id,
            "input": self.input,
            "values": dict(self.values),
            "output": self.output,
            "stratum": self.stratum,
            "line": self.line,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read a line of a split file.

        Raises:
            KeyError: A field is missing.
        """
        return cls(
            id=data["id"],
            input=data["input"],
            values=dict(data["values"]),
            output=data["output"],
            stratum=data["stratum"],
            line=data["line"],
        )


def case_ids(contents: Iterable[tuple[str, str]]) -> list[str]:
    """Return an id for each (input, output): 12 hexadecimal digits, `-2` on for repeats."""
    seen: dict[str, int] = {}
    ids = []
    for text, output in contents:
        digest = hashlib.sha256(json.dumps([text, output]).encode()).hexdigest()[:12]
        seen[digest] = seen.get(digest, 0) + 1
        ids.append(digest if seen[digest] == 1 else f"{digest}-{seen[digest]}")
    return ids


def write_split(path: Path, cases: Sequence[Case]) -> str:
    """Write a split file, readable by its owner only, and return its sha256.

    The file appears whole or not at all.
    """
    lines = [json.dumps(case.to_json(), ensure_ascii=False) + "\n" for case in cases]
    content = "".join(lines).encode()
    write_private(path, content)
    return hashlib.sha256(content).hexdigest()


def read_split(path: Path, *, sha256: str | None = None) -> list[Case]:
    """Read a split file.

    Args:
        path: A file that `write_split` wrote.
        sha256: What the manifest says; the file is refused when it differs.

    Raises:
        DatasetError: The file is missing, was changed, or is not a split file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(
            f"The split {path} cannot be read: {error.strerror}.", fix="Run the data stage again."
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and found != sha256:
        raise DatasetError(
            f"The split {path} was changed after it was locked: its sha256 is {found[:12]}…, "
            f"the manifest says {sha256[:12]}….",
            fix="Run the data stage again; scores from a changed split mean nothing.",
        )
    lines = enumerate(content.split(b"\n"), 1)
    return [_case(path, number, line) for number, line in lines if line]


def _case(path: Path, number: int, line: bytes) -> Case:
    try:
        return Case.from_json(json.loads(line))
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{path}:{number} is not a case of a split: {error!r}.",
            fix="Run the data stage again.",
        ) from error


def write_private(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 whatever the umask, by renaming a finished one into place."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
