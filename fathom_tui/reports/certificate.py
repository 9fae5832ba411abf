"""The deletion certificate: who deleted what, when and why, and what a deletion cannot reach."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from fathom_tui.reports.document import (
    Block,
    Code,
    Document,
    Heading,
    Items,
    Paragraph,
    Strong,
    Table,
    Text,
    Tone,
)

FORMAT = 1

LIMITS = (
    "Deleted means that the files are gone from the file system. Their blocks were not "
    "overwritten: a solid-state disk or a file system that copies on write keeps old blocks where "
    "no program reaches them. Only encryption of the whole disk, or its destruction, covers that.",
    "Backups, snapshots, and copies that people made elsewhere were not touched, delivery packages "
    "with their test messages among them.",
    "The model's weights (adapter, merged model, GGUF) are kept: they belong to the client. What a "
    "model has learnt by heart from its training data is in its weights.",
)
"""What holds for every deletion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """One file that is gone."""

    path: str
    """Below Fathom's data directory, or the whole path of an original elsewhere."""
    sha256: str
    """Of its content; of a link, of what it named."""
    bytes: int
    run: str = ""
    """The run it belonged to; empty for an original."""

    def to_json(self) -> dict[str, Any]:
        """Return the file as it stands in plan and certificate."""
        return {"path": self.path, "sha256": self.sha256, "bytes": self.bytes, "run": self.run}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read a file of a plan.

        Raises:
            KeyError, TypeError, ValueError: It is none.
        """
        return cls(
            path=str(data["path"]),
            sha256=str(data["sha256"]),
            bytes=int(data["bytes"]),
            run=str(data["run"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A deletion as it is confirmed in writing."""

    slug: str
    title: str
    number: int
    """Counts the deletions of this engagement from 1."""
    by: str
    reason: str
    planned_at: str
    """UTC, before the first file was deleted."""
    done_at: str
    """UTC, after the last one; empty while it is a plan."""
    retention_until: str | None
    """ISO date that was agreed; None where none was."""
    files: tuple[Deleted, ...]
    removed: tuple[str, ...] = ()
    """Directories and files below the data directory of which nothing is left."""
    kept: tuple[str, ...] = ()
    """What of the data still exists here, a sentence each."""

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(found.bytes for found in self.files)

    def to_json(self) -> dict[str, Any]:
        """Return the certificate as a file for programs."""
        return {
            "format": FORMAT,
            "engagement": {"slug": self.slug, "name": self.title},
            "number": self.number,
            "by": self.by,
            "reason": self.reason,
            "planned_at": self.planned_at,
            "done_at": self.done_at,
            "retention_until": self.retention_until,
            "count": len(self.files),
            "bytes": self.bytes,
            "files": [found.to_json() for found in self.files],
            "removed": list(self.removed),
            "kept": list(self.kept),
            "limits": list(LIMITS),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read a plan or a certificate.

        Raises:
            KeyError, TypeError, ValueError: It is none, or of a newer layout.
        """
        if data["format"] != FORMAT:
            raise ValueError(f"layout {data['format']!r}; this program knows {FORMAT}")
        until = data["retention_until"]
        return cls(
            slug=str(data["engagement"]["slug"]),
            title=str(data["engagement"]["name"]),
            number=int(data["number"]),
            by=str(data["by"]),
            reason=str(data["reason"]),
            planned_at=str(data["planned_at"]),
            done_at=str(data["done_at"]),
            retention_until=None if until is None else str(until),
            files=tuple(Deleted.from_json(each) for each in data["files"]),
            removed=tuple(str(each) for each in data["removed"]),
            kept=tuple(str(each) for each in data["kept"]),
        )


def certificate(found: Certificate) -> Document:
    """Return the certificate as a document."""
    facts: tuple[Text, ...] = (
        (Strong("Engagement: "), f"{found.title} ({found.slug})"),
        (Strong("Deleted by: "), found.by),
        (Strong("Reason: "), found.reason),
        (Strong("Begun: "), _utc(found.planned_at)),
        (Strong("Finished: "), _utc(found.done_at)),
        (Strong("Agreed retention until: "), found.retention_until or "no date was recorded"),
        (Strong("Files: "), f"{len(found.files):,}, {found.bytes:,} bytes"),
    )
    kept: tuple[Text, ...] = tuple((text,) for text in found.kept)
    return Document(
        title=f"Deletion certificate {found.number}: {found.title}",
        subtitle="Training data of a machine-learning engagement",
        blocks=(
            Items(items=facts),
            Paragraph(
                text=("The files below, named with their sha256, were deleted.",),
                tone=Tone.VERDICT,
            ),
            Heading(text="What this certificate does not cover"),
            Items(items=tuple((text,) for text in LIMITS)),
            Heading(text="What is kept, and why"),
            *([Items(items=kept)] if kept else [Paragraph(text=("Nothing.",))]),
            Heading(text="Files by run"),
            _sums(found.files),
            Heading(text="Every file"),
            *_listed(found.files),
        ),
    )


def _utc(at: str) -> str:
    return f"{at[:19].replace('T', ' ')} UTC" if at else "not yet"


def _sums(files: Sequence[Deleted]) -> Table:
    runs = dict.fromkeys(found.run for found in files)
    rows = []
    for run in runs:
        sizes = [found.bytes for found in files if found.run == run]
        rows.append(((run or "originals",), (f"{len(sizes):,}",), (f"{sum(sizes):,}",)))
    rows.append((("together",), (f"{len(files):,}",), (f"{sum(f.bytes for f in files):,}",)))
    header: tuple[Text, ...] = (("Run",), ("Files",), ("Bytes",))
    return Table(header=header, rows=tuple(rows), total=True)


def _listed(files: Sequence[Deleted]) -> list[Block]:
    if not files:
        return [Paragraph(text=("None was there any more.",))]
    lines = [f"{found.sha256}  {found.path}  ({found.bytes:,} bytes)" for found in files]
    return [Code(text="\n".join(lines))]
