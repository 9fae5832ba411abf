"""A user's own rows of the catalog: `catalog.toml` in the config directory.

[[gpus]]
id = "rtx-3090"                # a known id: its fields are laid over ours
price_used_low = 650
price_used_high = 720
source = "local dealer"        # where these figures are from; always needed
as_of = 2026-11-20
kind = "community"
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fathom_tui.catalog import TABLES, problem
from fathom_tui.errors import UsageError

FILE = "catalog.toml"
_HEADER = re.compile(r"""\s*\[\[?\s*["']?([A-Za-z0-9_-]+)["']?\s*(\.?)""")
"""A table's name, and a dot where the header is of a part of a row."""


def read(config: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the user's rows by table, checked; empty where there is no such file.

    Args:
        config: The config directory.

    Raises:
        UsageError: The file cannot be read, is no TOML, or has a row that cannot be used; it
            names the file, the key and the line.
    """
    path = config / FILE
    if not path.exists():
        return {}
    text = _text(path)
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}.", fix=f"Correct {path}.") from error
    return {table: _rows(path, text, table, rows) for table, rows in tables.items()}


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}.", fix=f"chmod u+r {path}"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path} is not UTF-8: byte {error.start}.", fix="Save the file as UTF-8."
        ) from error


def _rows(path: Path, text: str, table: str, rows: Any) -> list[dict[str, Any]]:
    at = f"{path}, line {line_of(text, table)}"
    if table not in TABLES:
        raise UsageError(
            f"{at}: {table!r} is no table of the catalog.",
            fix=f"The tables are {', '.join(TABLES)}.",
        )
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise UsageError(
            f"{at}: {table!r} is not a list of rows.", fix=f"Begin each row with [[{table}]]."
        )
    for index, row in enumerate(rows):
        _check(path, text, table, index, row)
    return rows


def _check(path: Path, text: str, table: str, index: int, row: Mapping[str, Any]) -> None:
    wrong = problem(table, row)
    if wrong is None:
        return
    line = line_of(text, table, index, wrong.key)
    raise UsageError(
        f"{path}, line {line}: {table} {str(row.get('id', '?'))[:80]!r}: {wrong.key} {wrong.says}.",
        fix=f"Correct line {line} of {path}.",
    )


def line_of(text: str, table: str, index: int = 0, key: str = "") -> int:
    """Return the line, from 1, of a key in the nth row of a table; else that of the row itself.

    Lines are searched as text, because the parser keeps no positions. A key inside another is
    given with dots; its last part is looked for.
    """
    lines = text.splitlines()
    start, end = _span(lines, table, index)
    last = re.escape(key.rpartition(".")[2])
    if key:
        wanted = re.compile(rf"""(^|[\s,{{.]|\[)["']?{last}["']?\s*(=|\.|\])""")
        for number in range(start, end):
            if wanted.search(lines[number].partition("#")[0]):
                return number + 1
    return start + 1


def _span(lines: list[str], table: str, index: int) -> tuple[int, int]:
    """Return the first line of a row and the one after its last; counted from 0."""
    headers = [
        (number, found[1], found[2])
        for number, line in enumerate(lines)
        if (found := _HEADER.match(line))
    ]
    # `[[gpus.rentals]]` and `[models.architecture]` belong to the row above them.
    begins = [number for number, name, inner in headers if name == table and not inner]
    if index < len(begins):
        start = begins[index]
        later = (number for number, name, inner in headers if name != table or not inner)
        return start, next((number for number in later if number > start), len(lines))
    inline = re.compile(rf"""\s*["']?{re.escape(table)}["']?\s*(=|\.)""")
    return next((number for number, line in enumerate(lines) if inline.match(line)), 0), len(lines)
