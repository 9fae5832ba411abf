"""What is kept of each Ollama version in the serving folder: `vN.spec.json`.

It is written before the server is asked, without the manifest's digest, and again with it once the
server has the version: a create that was cut is known as such, and is taken up under its number.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from fathom_tui.datasets.cases import write_private
from fathom_tui.runner.numbers import number
from fathom_tui.serving import ServingSpec

KEY = "ollama"
"""Where in the file, beside the spec, stands what only this target writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One version."""

    version: str
    spec: ServingSpec
    server: str
    """Address of the server it was made on."""
    digest: str | None = None
    """Of its manifest, in hex; None while the create is not known to be finished."""
    removed: bool = False
    """Kept then all the same: a number is not given twice."""

    def made_of(self, spec: ServingSpec) -> bool:
        """Say whether the spec makes the same model: the server decides on threads."""
        return replace(self.spec, threads=0) == replace(spec, threads=0)


def read_records(root: Path) -> dict[str, Record]:
    """Return what was recorded, by version, oldest first."""
    found = [
        record for path in root.glob("v*.spec.json") if (record := _read(path, path.name[:-10]))
    ]
    found.sort(key=lambda record: number(record.version) or 0)
    return {record.version: record for record in found}


def write_record(root: Path, record: Record) -> None:
    """Keep a record, whole or not at all."""
    about = {"server": record.server, "digest": record.digest, "removed": record.removed}
    data = {**record.spec.to_json(), KEY: about}
    path = root / f"{record.version}.spec.json"
    write_private(path, json.dumps(data, ensure_ascii=False, indent=1).encode())


def _read(path: Path, version: str) -> Record | None:
    """Read a record; None for another target's, and for a damaged one: its number stays taken."""
    try:
        data = json.loads(path.read_text("utf-8"))
        about = data[KEY]
        digest = about["digest"]
        return Record(
            version=version,
            spec=ServingSpec.from_json(data),
            server=str(about["server"]),
            digest=None if digest is None else str(digest),
            removed=bool(about["removed"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
