"""Recent inputs of a served model, as somebody logged them: texts alone, without answers."""

import os
from pathlib import Path

from fathom_tui.datasets.records import Table, read_table
from fathom_tui.errors import DatasetError

_COLUMNS = ("input", "text", "prompt", "message", "question")
"""Names that are looked for where the engagement's own column is not there."""


def read_inputs(path: Path, column: str | None = None) -> list[str]:
    """Return the texts of a file: CSV, JSON Lines or JSON by column, `.txt` line by line.

    Args:
        path: The file.
        column: The engagement's input column; None where it has none.

    Raises:
        DatasetError: The file cannot be read, has no such column, or no text in it; or it is a
            pipe or a device, which may never end.
    """
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise DatasetError(
            f"{path} is no regular file.", fix="Write the inputs to a file first, and name that."
        )
    texts = _lines(path) if path.suffix.lower() == ".txt" else _cells(path, column)
    texts = [text.strip() for text in texts if text.strip()]
    if not texts:
        raise DatasetError(f"{path} has no inputs.", fix="Give a file with one input a row.")
    return texts


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise DatasetError(
            f"{path} cannot be read: {error.strerror}.", fix="Check the path."
        ) from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 text: {error}.", fix="Convert it.") from error


def _cells(path: Path, column: str | None) -> list[str]:
    table = read_table(path)
    name = _column(table, column)
    found = [record.cells.get(name) for record in table.records]
    return [value for value in found if isinstance(value, str)]


def _column(table: Table, column: str | None) -> str:
    wanted = [*([column] if column else []), *_COLUMNS]
    name = next((name for name in wanted if name in table.columns), None)
    if name is None:
        raise DatasetError(
            f"{table.path} has the columns {', '.join(table.columns)}; none of them is an input.",
            fix=f"Name the column {wanted[0]}, or give a .txt file with one input a line.",
        )
    return name
