"""Contracts made of several columns."""

from pathlib import Path

import pytest

from fathom_tui.datasets.columns import contract_of_columns
from fathom_tui.errors import DatasetError

ROWS = """text,kind,amount,note
one,a,1.50,first words
two,b,,second words
three,a,3,third words
"""


def test_columns_become_fields_of_their_kind(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(ROWS)

    contract = contract_of_columns(path, ["kind", "amount"])

    assert contract.kind == "json"
    assert [(f.name, f.kind, f.choices, f.nullable) for f in contract.fields] == [
        ("kind", "choice", ("a", "b"), False),
        ("amount", "number", (), True),
    ]


def test_a_missing_column_is_named_with_those_there_are(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(ROWS)

    with pytest.raises(DatasetError) as caught:
        contract_of_columns(path, ["kind", "urgency"])

    assert "'urgency'" in caught.value.message
    assert "text, kind, amount, note" in caught.value.fix
