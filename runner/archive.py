"""A package as one file, `.tar.zst`: written the same way every time, read without trusting it.

The first member is the manifest. It says how large every other member is, and nothing is read
beyond that: a small file cannot unpack to a disk full. Headers are read one by one and by
themselves, because a tar reader that follows extended headers takes as much memory as they claim.
"""

import io
import json
import os
import shutil
import tarfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from fathom_tui.errors import EnvironmentProblem, UsageError
from fathom_tui.package import CHECKSUMS, FORMAT, MANIFEST
from fathom_tui.runner.package_verify import IGNORED, is_inside

ENDING = ".tar.zst"
_LEVEL = 3
"""Weights hardly get smaller, and higher levels only take time."""
_BLOCK = 1 << 20
_RECORD = tarfile.BLOCKSIZE
_SMALL = 4 << 20
"""Most bytes of the manifest, and of SHA256SUMS, which the manifest cannot list."""
_MOST_WINDOW = 1 << 27
"""Most memory a stream may ask the decompressor for; level 19 asks for 8 MiB."""
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE)
_LONGEST_NAME = 1024
"""Bytes of a member's name: longer ones than 100 stand in a header of their own."""
_LONGEST_PART = 255
"""Bytes between two slashes that file systems take (NAME_MAX of Linux, limits.h)."""
_LARGEST = 2**63 - 1
"""Bytes of the largest file that there can be (off_t)."""


def write(archive: Path, directory: Path, names: Sequence[str], *, at: str) -> None:
    """Write files of a directory, in this order, into an archive; it appears whole or not at all.

    Args:
        archive: The file to write.
        directory: The package.
        names: Its files, the manifest first.
        at: ISO time that every member gets, so that equal packages are equal files.

    Raises:
        EnvironmentProblem: zstandard is not installed, or the disk is full.
    """
    zstandard = zstandard_library()
    when = int(datetime.fromisoformat(at).timestamp())
    draft = archive.with_name(f".{archive.name}.{os.getpid()}")
    try:
        with (
            draft.open("xb") as raw,
            zstandard.ZstdCompressor(level=_LEVEL).stream_writer(raw, closefd=False) as packed,
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.GNU_FORMAT) as tar,
        ):
            for name in names:
                _add(tar, directory, name, f"{directory.name}/{name}", when)
        with draft.open("rb+") as whole:
            os.fsync(whole.fileno())
        draft.replace(archive)
    except OSError as error:
        raise EnvironmentProblem(
            f"{archive} cannot be written: {error.strerror}.",
            fix=f"Free some space: df -h {archive.parent}; or leave it out with --no-archive.",
        ) from error
    finally:
        draft.unlink(missing_ok=True)


def _add(tar: tarfile.TarFile, directory: Path, name: str, member: str, when: int) -> None:
    path = directory / name
    found = tarfile.TarInfo(member)
    found.size, found.mtime, found.mode = path.stat().st_size, when, 0o644
    with path.open("rb") as file:
        tar.addfile(found, file)


def zstandard_library() -> Any:
    """Return the library.

    Raises:
        EnvironmentProblem: It is not installed.
    """
    try:
        import zstandard
    except ModuleNotFoundError as error:
        raise EnvironmentProblem(
            "An archive needs the Python package zstandard, which is not installed.",
            fix="pip install zstandard; or leave the archive out with --no-archive.",
        ) from error
    return zstandard


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    """Relative to the package's directory."""
    bytes: int


def unpack(archive: Path, into: Path) -> Path:
    """Unpack an archive into an empty directory and return the package's directory in it.

    Nothing but the files of the manifest is written, each of exactly the size it states.

    Raises:
        UsageError: It is no package, was cut short, or holds what no package holds: a link, a
            name that leads out of it, a file that the manifest lacks, more than it states.
        EnvironmentProblem: zstandard is not installed, the file cannot be read, or the disk has
            no room for what the manifest states.
    """
    zstandard = zstandard_library()
    try:
        with archive.open("rb") as raw:
            settings = zstandard.ZstdDecompressor(max_window_size=_MOST_WINDOW)
            with settings.stream_reader(raw, closefd=False) as stream:
                return _Reader(archive, stream, into).read()
    except zstandard.ZstdError as error:
        raise _no_package(archive, f"it is damaged or no zstd file ({error})") from error
    except OSError as error:
        raise EnvironmentProblem(
            f"{archive} cannot be unpacked: {error.strerror}.",
            fix=f"Look at the file and at the free space: df -h {into}",
        ) from error


class _Reader:
    """One pass over an archive."""

    def __init__(self, archive: Path, stream: BinaryIO, into: Path) -> None:
        self._archive = archive
        self._stream = stream
        self._into = into

    def read(self) -> Path:
        first, top = self._first()
        if first.name != MANIFEST or first.bytes > _SMALL:
            raise self._refused(f"its first file is not {MANIFEST}")
        sizes = self._sizes(self._body(first))
        self._require_room(sum(sizes.values()))
        root = self._into / top
        root.mkdir(mode=0o700)
        (root / MANIFEST).write_bytes(self._manifest)
        missing = dict(sizes)
        while (member := self._next(top)) is not None:
            self._check(member, missing)
            self._write(root / member.name, member)
            missing.pop(member.name)
        if missing:
            raise self._refused(f"{sorted(missing)[0]!r} is missing")
        self._nothing_behind()
        return root

    def _first(self) -> tuple[_Member, str]:
        header = self._header()
        if header is None:
            raise self._refused("it is empty")
        top, _, name = header.name.partition("/")
        return _Member(name, header.size), self._safe(top)

    def _next(self, top: str) -> _Member | None:
        header = self._header()
        if header is None:
            return None
        directory, _, name = header.name.partition("/")
        if directory != top:
            raise self._refused(f"{header.name!r} lies outside the package's directory")
        return _Member(self._safe(name), header.size)

    def _header(self) -> tarfile.TarInfo | None:
        """Read one header and the long name before it, where there is one; None at the end."""
        found = self._one_header()
        if found is None or found.type != tarfile.GNUTYPE_LONGNAME:
            return self._of_a_file(found)
        if not 0 < found.size <= _LONGEST_NAME:
            raise self._refused("a name is too long")
        name = self._body(_Member("", found.size)).rstrip(b"\0")
        found = self._of_a_file(self._one_header())
        if found is not None:
            found.name = name.decode("utf-8", "replace")
        return found

    def _one_header(self) -> tarfile.TarInfo | None:
        """Read one header, which holds no more than itself; None at the end."""
        block = self._exactly(_RECORD)
        if block == bytes(_RECORD):
            return None
        try:
            return tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except (tarfile.TarError, UnicodeError) as error:
            raise self._refused(f"a header is damaged ({error})") from error

    def _of_a_file(self, found: tarfile.TarInfo | None) -> tarfile.TarInfo | None:
        if found is None:
            return None
        if found.type not in _PLAIN:
            raise self._refused(f"{found.name!r} is a link or another thing that is no file")
        if found.size < 0:
            raise self._refused(f"{found.name!r} has a negative size")
        return found

    def _safe(self, name: str) -> str:
        if not is_inside(name) or name.split("/")[0] in IGNORED:
            raise self._refused(f"{name!r} leads out of the package")
        if any(len(part.encode("utf-8", "replace")) > _LONGEST_PART for part in name.split("/")):
            raise self._refused(f"the name {name[:80]!r}… is too long")
        return name

    def _check(self, member: _Member, missing: Mapping[str, int]) -> None:
        if member.name not in missing:
            raise self._refused(f"{member.name!r} is not in its manifest, or stands in it twice")
        stated = missing[member.name]
        fits = member.bytes <= _SMALL if member.name == CHECKSUMS else member.bytes == stated
        if not fits:
            raise self._refused(
                f"{member.name!r} has {member.bytes} bytes, the manifest says {stated}"
            )

    def _sizes(self, text: bytes) -> dict[str, int]:
        """Return what the manifest allows: each file's size."""
        self._manifest = text
        try:
            data = json.loads(text)
            if data["format"] != FORMAT:
                raise ValueError(f"its format is {data['format']!r}")
            sizes = {self._safe(str(row["path"])): int(row["bytes"]) for row in data["files"]}
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise self._refused(f"its manifest cannot be understood ({error!r})") from error
        if any(not 0 <= size <= _LARGEST for size in sizes.values()) or MANIFEST in sizes:
            raise self._refused("its manifest states what cannot be")
        clash = _clash({*sizes, MANIFEST, CHECKSUMS})
        if clash:
            raise self._refused(f"{clash!r} is a file and a directory at once")
        return {**sizes, CHECKSUMS: 0}

    def _require_room(self, need: int) -> None:
        free = shutil.disk_usage(self._into).free
        if need > free:
            raise EnvironmentProblem(
                f"{self._archive} unpacks to {need / 1e9:,.2f} GB, and {self._into} has "
                f"{free / 1e9:,.2f} GB free.",
                fix="Set TMPDIR to a directory with more room.",
            )

    def _body(self, member: _Member) -> bytes:
        data = self._exactly(member.bytes)
        self._exactly(-member.bytes % _RECORD)
        return data

    def _write(self, path: Path, member: _Member) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        rest = member.bytes
        with path.open("xb") as file:
            while rest:
                block = self._exactly(min(rest, _BLOCK))
                file.write(block)
                rest -= len(block)
        self._exactly(-member.bytes % _RECORD)

    def _exactly(self, size: int) -> bytes:
        found = io.BytesIO()
        while found.tell() < size:
            block = self._stream.read(size - found.tell())
            if not block:
                raise self._refused("it was cut short")
            found.write(block)
        return found.getvalue()

    def _nothing_behind(self) -> None:
        """Look at what follows the last file: the rest of tar's last record, which is zero."""
        rest = self._stream.read(2 * tarfile.RECORDSIZE)
        if len(rest) >= 2 * tarfile.RECORDSIZE or rest.strip(b"\0"):
            raise self._refused("more follows behind its last file")

    def _refused(self, why: str) -> UsageError:
        return _no_package(self._archive, why)


def _clash(names: Collection[str]) -> str:
    """Return a name that others need as a directory; "" where there is none."""
    parents = {str(parent) for name in names for parent in PurePosixPath(name).parents}
    return next(iter(sorted(parents.intersection(names))), "")


def _no_package(archive: Path, why: str) -> UsageError:
    return UsageError(
        f"{archive} is not a delivery package: {why}.",
        fix="Ask for it again, and compare its sha256 with the one you were told.",
    )
