"""A contract of several fields from the columns of a data file, one field a column."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fathom_tui.contract import Contract, Field, read_number
from fathom_tui.datasets.formats import infer_contract
from fathom_tui.datasets.records import Table, read_table
from fathom_tui.errors import DatasetError


def contract_of_columns(path: Path, columns: Sequence[str], *, input: str = "text") -> Contract:
    """Return the contract "a JSON object with these columns as its fields".

    A column of numbers (or blanks) becomes a number, any other a choice of its values.

    Args:
        path: CSV, JSON Lines or JSON with a column for each field.
        columns: The fields, in the order they are answered.
        input: Column of the message.

    Raises:
        DatasetError: The file cannot be read, a column is missing, or holds free text or one
            value only.
    """
    table = read_table(path)
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise DatasetError(
            f"{path} has no column {', '.join(map(repr, missing))}.",
            fix=f"There are: {', '.join(table.columns)}.",
        )
    return Contract(
        kind="json", fields=tuple(_field(table, path, column, input) for column in columns)
    )


def _field(table: Table, path: Path, column: str, input: str) -> Field:
    cells = [record.cells.get(column) for record in table.records]
    if all(_is_number(cell) for cell in cells) and any(not _is_blank(cell) for cell in cells):
        return Field(name=column, kind="number", nullable=any(map(_is_blank, cells)))
    choices = infer_contract(path, input, column).fields[0].choices
    return Field(name=column, kind="choice", choices=choices)


def _is_blank(cell: Any) -> bool:
    return cell is None or (isinstance(cell, str) and cell.strip() in ("", "null"))


def _is_number(cell: Any) -> bool:
    if not isinstance(cell, str):
        return cell is None or (isinstance(cell, int | float) and not isinstance(cell, bool))
    try:
        read_number(cell)
    except ValueError:
        return False
    return True
