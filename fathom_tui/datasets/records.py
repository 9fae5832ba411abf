"""From the bytes of a data file to its records, each with the line it starts on."""

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fathom_tui.errors import DatasetError

Syntax = Literal["csv", "jsonl", "json"]

SHOWN = 5
"""Faulty rows named in one error; the rest are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One row as the file has it."""

    line: int
    """1-based line on which it starts."""
    cells: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A data file, parsed."""

    path: Path
    syntax: Syntax
    columns: tuple[str, ...]
    """Column names in the order they are first met."""
    records: tuple[Record, ...]
    sha256: str
    """Of the bytes that were parsed."""


class Faults:
    """Collects what is wrong with single rows, so that one reading names them all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: list[str] = []

    def add(self, line: int, what: str) -> None:
        """Note one fault; `what` starts in lower case and has no full stop."""
        self._found.append(f"{self._path}:{line}: {what}.")

    def raise_if_any(self, fix: str) -> None:
        """Raise one error for all faults noted.

        Raises:
            DatasetError: There is at least one.
        """
        if not self._found:
            return
        more = len(self._found) - SHOWN
        lines = self._found[:SHOWN] + ([f"… and {more} more rows."] if more > 0 else [])
        raise DatasetError("\n".join(lines), fix=fix)


def read_table(path: Path) -> Table:
    """Read a CSV, JSON Lines or JSON file.

    Raises:
        DatasetError: The file is missing, empty, not UTF-8 text, or a row does not parse; the
            message names file and line.
    """
    content = _bytes(path)
    text = _text(path, content)
    syntax = _syntax(path, text)
    records = _READERS[syntax](path, text)
    if not records:
        raise DatasetError(f"{path} has no rows.", fix="Give a file with at least one example.")
    columns = dict.fromkeys(name for record in records for name in record.cells)
    return Table(
        path=path,
        syntax=syntax,
        columns=tuple(columns),
        records=tuple(records),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _bytes(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DatasetError(f"There is no file {path}.", fix="Check the path.") from error
    except IsADirectoryError as error:
        raise DatasetError(f"{path} is a directory.", fix="Name one data file in it.") from error
    except OSError as error:
        raise DatasetError(
            f"{path} cannot be read: {error.strerror}.", fix="Check the path and its permissions."
        ) from error
    if not content.strip():
        raise DatasetError(f"{path} is empty.", fix="Give a file with at least one example.")
    for magic, name in _MAGIC.items():
        if content.startswith(magic):
            raise DatasetError(
                f"{path} is {name}, not text.", fix="Export it as CSV or JSON Lines."
            )
    return content


_MAGIC = {
    b"PAR1": "a Parquet file",
    b"PK\x03\x04": "a spreadsheet or ZIP archive",
    b"\x1f\x8b": "gzip-compressed",
    b"ARROW1": "an Arrow file",
}
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def _text(path: Path, content: bytes) -> str:
    if content.startswith(_UTF_16):
        raise DatasetError(
            f"{path} is UTF-16 text.",
            fix=f"Run: iconv -f UTF-16 -t UTF-8 {path} > utf8-{path.name}",
        )
    nul = content.find(b"\0")
    if nul >= 0:
        raise DatasetError(
            f"{path}:{_line(content, nul)}: a NUL byte stands in the text.",
            fix="The file is damaged or not text; export it again as UTF-8.",
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # utf-8-sig counts from behind the mark it skips.
        start = error.start + (3 if content.startswith(b"\xef\xbb\xbf") else 0)
        raise DatasetError(
            f"{path}:{_line(content, start)}: byte 0x{content[start]:02x} is not UTF-8.",
            fix=f"If it is Windows text, run: iconv -f CP1252 -t UTF-8 {path} > utf8-{path.name}",
        ) from error


def _line(content: bytes, offset: int) -> int:
    return content.count(b"\n", 0, offset) + 1


def _syntax(path: Path, text: str) -> Syntax:
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return "csv"
    start = text.lstrip()[:1]
    if start == "[":
        return "json"
    return "jsonl" if start == "{" or suffix in (".jsonl", ".ndjson", ".json") else "csv"


def _csv_records(path: Path, text: str) -> list[Record]:
    faults = Faults(path)
    records: list[Record] = []
    header: list[str] | None = None
    for line, cells in _csv_rows(path, text):
        if header is None:
            header = _header(path, line, cells)
        elif len(cells) != len(header):
            faults.add(line, f"{len(cells)} cells, but the header names {len(header)} columns")
        else:
            records.append(Record(line=line, cells=dict(zip(header, cells, strict=True))))
    faults.raise_if_any("Put cells that hold the separator or a line break in double quotes.")
    return records


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    # newline="" leaves line breaks inside quoted cells as they are, and does not take the
    # Unicode line separators inside a message for the end of a row.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    start = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:
        raise DatasetError(
            f"{path}:{start}: the row that starts here is not CSV: {error}.",
            fix='Look for a double quote that is not closed; inside a cell it is written "".',
        ) from error


def _delimiter(text: str) -> str:
    """Return what separates the header's names: the comma unless another occurs more often."""
    header = text.lstrip("\n\r").split("\n", 1)[0]
    return max(",;\t", key=header.count)


def _header(path: Path, line: int, cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DatasetError(
            f"{path}:{line}: the header names {repeated[0]!r} twice.",
            fix="Give every column its own name.",
        )
    return names


def _jsonl_records(path: Path, text: str) -> list[Record]:
    faults = Faults(path)
    records = []
    # Not splitlines(): a U+2028 inside a message does not end a row.
    for line, row in enumerate(text.split("\n"), 1):
        if row.strip():
            try:
                records.append(Record(line=line, cells=_object(json.loads(row))))
            except (ValueError, RecursionError) as error:
                faults.add(line, _broken(error))
    faults.raise_if_any('Each line has to be one JSON object, like {"text": …, "label": …}.')
    return records


def _json_records(path: Path, text: str) -> list[Record]:
    """Read `[{…}, {…}]` item by item, because only then the line of an item is known."""
    decoder = json.JSONDecoder()
    records: list[Record] = []
    at, line, counted = _after_blanks(text, text.index("[") + 1), 1, 0
    while text[at : at + 1] != "]":
        line, counted = line + text.count("\n", counted, at), at
        try:
            value, at = decoder.raw_decode(text, at)
            records.append(Record(line=line, cells=_object(value)))
            at = _after_comma(text, at)
        except (ValueError, RecursionError) as error:
            where = error.lineno if isinstance(error, json.JSONDecodeError) else line
            raise DatasetError(
                f"{path}:{where}: {_broken(error)}.", fix="The file has to be an array of objects."
            ) from error
    if text[at + 1 :].strip():
        raise DatasetError(
            f"{path}:{line}: something follows the array that ends here or later.",
            fix="The file has to be one array of objects; JSON Lines have no brackets around them.",
        )
    return records


def _after_blanks(text: str, at: int) -> int:
    while text[at : at + 1] in _JSON_BLANKS and at < len(text):
        at += 1
    return at


def _after_comma(text: str, at: int) -> int:
    at = _after_blanks(text, at)
    if text[at : at + 1] == ",":
        return _after_blanks(text, at + 1)
    if text[at : at + 1] == "]":
        return at
    raise ValueError("the item that starts here is followed by neither a comma nor ]")


_JSON_BLANKS = (" ", "\t", "\n", "\r")


def _object(value: object) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    raise ValueError(f"a JSON {type(value).__name__} stands where an object is expected")


def _broken(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"broken JSON at column {error.colno}: {error.msg}"
    if isinstance(error, RecursionError):
        return "the JSON is nested too deeply"
    return str(error)


_READERS = {"csv": _csv_records, "jsonl": _jsonl_records, "json": _json_records}
