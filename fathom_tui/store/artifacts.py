"""What a file or a directory holds, as one hash and one size."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What stands in the ledger for a file or a directory."""

    sha256: str
    """Of a file: of its bytes. Of a directory: of the sorted relative paths, each with the
    hash of its file; links count with their target, empty directories not at all."""
    bytes: int
    """Sum of the sizes of all files."""


def content(path: Path) -> Content:
    """Hash a file (streamed) or a directory.

    Raises:
        FileNotFoundError: There is nothing at `path`.
    """
    if not path.is_dir():
        return _file(path)
    digest = hashlib.sha256()
    size = 0
    for relative in sorted(_files(path, ""), key=os.fsencode):
        inner = _entry(path / relative)
        digest.update(os.fsencode(relative) + b"\0" + inner.sha256.encode() + b"\n")
        size += inner.bytes
    return Content(sha256=digest.hexdigest(), bytes=size)


def difference(path: Path, expected: Content) -> str:
    """Return how `path` differs from what was recorded; empty when it does not."""
    if not path.exists():
        return "is missing"
    if path.is_file() and path.stat().st_size != expected.bytes:
        # Seen without reading gigabytes.
        return f"has {path.stat().st_size} bytes, recorded were {expected.bytes}"
    found = content(path)
    if found.bytes != expected.bytes:
        return f"has {found.bytes} bytes, recorded were {expected.bytes}"
    if found.sha256 != expected.sha256:
        return f"has sha256 {found.sha256[:12]}…, recorded was {expected.sha256[:12]}…"
    return ""


def _file(path: Path) -> Content:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Content(sha256=digest, bytes=os.fstat(file.fileno()).st_size)


def _entry(path: Path) -> Content:
    if path.is_symlink():
        target = os.fsencode(os.readlink(path))
        return Content(sha256=hashlib.sha256(b"link\0" + target).hexdigest(), bytes=0)
    return _file(path)


def _files(directory: Path, prefix: str) -> Iterator[str]:
    """Yield the relative paths of files and links; links to directories are not followed."""
    for entry in os.scandir(directory):
        if entry.is_dir(follow_symlinks=False):
            yield from _files(directory / entry.name, f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name
