"""From records to cases: columns, prompt/completion, chat messages, Alpaca and ShareGPT.

Whatever the shape, a case is one message and one answer that the contract accepts.
"""

import difflib
import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fathom_tui.contract import LABEL, Contract, Field, Value, field_hint, read_number
from fathom_tui.datasets.cases import Case, case_ids
from fathom_tui.datasets.conversations import Exchange, last_exchange
from fathom_tui.datasets.records import Faults, Record, Syntax, Table, read_table
from fathom_tui.errors import DatasetError

Shape = Literal["columns", "messages", "prompt-completion", "alpaca", "sharegpt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A data file, read and found to keep the contract."""

    path: Path
    syntax: Syntax
    shape: Shape
    columns: tuple[str, ...]
    sha256: str
    """Of the file's bytes as they were parsed."""
    cases: tuple[Case, ...]
    notes: tuple[str, ...]
    """What was left out of the rows, one sentence each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    line: int
    input: str
    answer: object
    """Text, a plain JSON value, or a mapping of contract fields."""
    stratum: str = ""
    left_out: tuple[str, ...] = ()


def read_dataset(
    path: Path, contract: Contract, *, input: str = "text", output: str = "", stratum: str = ""
) -> Dataset:
    """Read a data file and check every row against the contract.

    Args:
        path: CSV, JSON Lines or JSON; the shape of the rows is recognised from the columns.
        contract: What the answers must look like.
        input: Column of the message; not used by the chat and instruction shapes.
        output: Column of the answer; empty where each contract field is a column.
        stratum: Column that says where a row comes from; empty when there is none.

    Raises:
        DatasetError: The file cannot be read, a column is missing, or rows are faulty; names
            file, line and value.
    """
    table = read_table(path)
    fields = () if contract.kind == "label" else tuple(field.name for field in contract.fields)
    shape = _shape(table, input, output)
    rows = _rows(table, shape, input=input, output=output, fields=fields, stratum=stratum)
    faults = Faults(path)
    answers = []
    for row in rows:
        try:
            answers.append(_values(contract, row.answer))
        except ValueError as error:
            faults.add(row.line, str(error))
    faults.raise_if_any("Correct these rows, or create the engagement with their values allowed.")
    outputs = [contract.render(values) for values in answers]
    ids = case_ids((row.input, text) for row, text in zip(rows, outputs, strict=True))
    return Dataset(
        path=path,
        syntax=table.syntax,
        shape=shape,
        columns=table.columns,
        sha256=table.sha256,
        cases=tuple(
            Case(
                id=id_,
                input=row.input,
                values=values,
                output=text,
                stratum=row.stratum,
                line=row.line,
            )
            for id_, row, values, text in zip(ids, rows, answers, outputs, strict=True)
        ),
        notes=_notes(rows),
    )


def infer_contract(path: Path, input: str = "text", output: str = "") -> Contract:
    """Return the label contract that the distinct answers of a data file make.

    Raises:
        DatasetError: The answers are one class only, free text, JSON objects, or one label in
            several spellings.
    """
    table = read_table(path)
    rows = _rows(table, _shape(table, input, output), input=input, output=output)
    faults = Faults(path)
    lines: dict[str, list[int]] = {}
    for row in rows:
        try:
            lines.setdefault(_label(row.answer), []).append(row.line)
        except ValueError as error:
            faults.add(row.line, str(error))
    faults.raise_if_any("A label is one line of text; describe JSON answers in a contract file.")
    _check_labels(path, lines)
    return Contract.of_labels(tuple(sorted(lines)))


def _check_labels(path: Path, lines: Mapping[str, Sequence[int]]) -> None:
    rows = sum(map(len, lines.values()))
    if len(lines) < 2:
        raise DatasetError(
            f"{path}: all {rows} rows have the label {next(iter(lines))!r}: "
            "there is nothing to decide.",
            fix="Give data with at least two classes, or name another column with --output.",
        )
    if rows >= 20 and 2 * len(lines) > rows:
        raise DatasetError(
            f"{path}: {len(lines)} different labels in {rows} rows: free text, not classes.",
            fix="Name the column of the label with --output.",
        )
    spellings: dict[str, list[str]] = {}
    for label in lines:
        spellings.setdefault(" ".join(label.casefold().split()), []).append(label)
    for variants in spellings.values():
        if len(variants) > 1:
            shown = ", ".join(f"{v!r} (line {lines[v][0]}, {len(lines[v])} rows)" for v in variants)
            raise DatasetError(
                f"{path}: one label in {len(variants)} spellings: {shown}.",
                fix="Write the label the same way in every row.",
            )


# Shapes


def _shape(table: Table, input: str, output: str) -> Shape:
    names = set(table.columns)
    # Alpaca's own column names are also the likeliest names of plain columns, so it is Alpaca
    # only where nothing else was asked for.
    alpaca = {"instruction", "output"} <= names and output in ("", "output")
    if alpaca and (input == "input" or input not in names):
        return "alpaca"
    if input in names:
        return "columns"
    if "messages" in names:
        return "messages"
    if "conversations" in names:
        return "sharegpt"
    if {"prompt", "completion"} <= names:
        return "prompt-completion"
    raise _no_column(table, input, "--input")


def _no_column(table: Table, name: str, option: str) -> DatasetError:
    close = difflib.get_close_matches(name, table.columns, n=1)
    guess = f" Did you mean {close[0]!r}?" if close else ""
    return DatasetError(
        f"{table.path} has no column {name!r}.{guess}",
        fix=f"Name one with {option}; there are: {', '.join(table.columns)}.",
    )


def _rows(
    table: Table,
    shape: Shape,
    *,
    input: str,
    output: str,
    fields: tuple[str, ...] = (),
    stratum: str = "",
) -> list[_Row]:
    if stratum and stratum not in table.columns:
        raise _no_column(table, stratum, "--stratum")
    if shape == "columns":
        read = _columns_reader(table, input, output, fields)
    elif shape == "alpaca":
        read = _alpaca_reader(table)
    else:
        read = _READERS[shape]
    faults = Faults(table.path)
    rows = []
    for record in table.records:
        try:
            text, answer, left_out = read(record.cells)
            rows.append(
                _Row(
                    line=record.line,
                    input=_input(text),
                    answer=answer,
                    stratum=_stratum(record, stratum),
                    left_out=left_out,
                )
            )
        except ValueError as error:
            faults.add(record.line, str(error))
    faults.raise_if_any("Correct or remove these rows.")
    return rows


_Read = Callable[[Mapping[str, Any]], Exchange]


def _columns_reader(table: Table, input: str, output: str, fields: tuple[str, ...]) -> _Read:
    by_field = bool(fields) and set(fields) <= set(table.columns)
    output = output or LABEL
    if fields and not by_field and output not in table.columns:
        missing = [name for name in fields if name not in table.columns]
        raise DatasetError(
            f"{table.path} has no column for the contract's fields {', '.join(missing)}.",
            fix="Rename the columns, or name one that holds the whole answer as JSON with "
            f"--output; there are: {', '.join(table.columns)}.",
        )
    if not by_field and output not in table.columns:
        raise _no_column(table, output, "--output")

    def read(cells: Mapping[str, Any]) -> Exchange:
        wanted = (input, *fields) if by_field else (input, output)
        for name in wanted:
            if name not in cells:
                raise ValueError(f"the row has no {name!r}")
        answer = {name: cells[name] for name in fields} if by_field else cells[output]
        return cells[input], answer, ()

    return read


def _alpaca_reader(table: Table) -> _Read:
    instructions = {str(record.cells.get("instruction")) for record in table.records}
    # The same instruction in every row says nothing about the row: the recipe's replaces it.
    constant = len(instructions) == 1 and all(
        str(record.cells.get("input") or "").strip() for record in table.records
    )

    def read(cells: Mapping[str, Any]) -> Exchange:
        for name in ("instruction", "output"):
            if name not in cells:
                raise ValueError(f"the row has no {name!r}")
        parts = [cells["instruction"], cells.get("input") or ""]
        if not all(isinstance(part, str) for part in parts):
            raise ValueError("instruction and input have to be text")
        if constant:
            return parts[1], cells["output"], ("the instruction, the same in every row",)
        return "\n\n".join(part for part in parts if part.strip()), cells["output"], ()

    return read


def _read_messages(cells: Mapping[str, Any]) -> Exchange:
    return last_exchange(cells.get("messages"), role="role", content="content")


def _read_sharegpt(cells: Mapping[str, Any]) -> Exchange:
    return last_exchange(cells.get("conversations"), role="from", content="value")


def _read_prompt(cells: Mapping[str, Any]) -> Exchange:
    prompt, completion = cells.get("prompt"), cells.get("completion")
    if isinstance(prompt, list) and isinstance(completion, list):
        return last_exchange(prompt + completion, role="role", content="content")
    return prompt, completion, ()


_READERS: Mapping[str, _Read] = {
    "messages": _read_messages,
    "sharegpt": _read_sharegpt,
    "prompt-completion": _read_prompt,
}


def _notes(rows: Sequence[_Row]) -> tuple[str, ...]:
    counts: dict[str, int] = {}
    for row in rows:
        for what in row.left_out:
            counts[what] = counts.get(what, 0) + 1
    return tuple(f"Left out in {count} rows: {what}." for what, count in counts.items())


# Texts and values


def _input(text: object) -> str:
    if not isinstance(text, str):
        raise ValueError(f"the input is a JSON {type(text).__name__}, not text")
    if not text.strip():
        raise ValueError("the input is empty")
    return _writable(text.strip())


def _writable(text: str) -> str:
    # JSON escapes can spell what a UTF-8 file cannot hold.
    if "\0" in text:
        raise ValueError("a NUL character stands in the text")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"\\u{ord(text[error.start]):04x} is half a character (a lone surrogate)"
        ) from error
    return text


def _stratum(record: Record, column: str) -> str:
    value = record.cells.get(column) if column else None
    return "" if value is None else _writable(str(value).strip())


def _label(answer: object) -> str:
    """Return the label that a cell holds; JSON's true and 3 are the labels `true` and `3`."""
    if isinstance(answer, bool | int):
        answer = json.dumps(answer)
    if not isinstance(answer, str):
        raise ValueError(f"the label is a JSON {type(answer).__name__}, not text")
    label = _writable(answer.strip())
    if not label:
        raise ValueError("the label is empty")
    if "\n" in label:
        raise ValueError(f"the label {_short(label)} spans lines")
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in label):
        raise ValueError(f"the label {_short(label)} holds control characters")
    if label.startswith("{"):
        raise ValueError(f"the label {_short(label)} is a JSON object")
    return label


def _values(contract: Contract, answer: object) -> dict[str, Value]:
    if contract.kind == "label":
        return {LABEL: _value(contract.fields[0], answer)}
    if isinstance(answer, str):
        try:
            answer = json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"the answer {_short(answer)} is not JSON") from error
    if not isinstance(answer, dict):
        raise ValueError(f"the answer {_short(answer)} is not a JSON object")
    names = [field.name for field in contract.fields]
    for name in [*names, *answer]:
        if name not in answer or name not in names:
            what = "lacks" if name in names else "has a surplus"
            raise ValueError(f"the answer {what} {name!r}")
    return {field.name: _value(field, answer[field.name]) for field in contract.fields}


def _value(field: Field, cell: object) -> Value:
    """Return a cell as a value that the field accepts.

    Raises:
        ValueError: It is not one of the choices, no plain decimal number, or null.
    """
    if field.kind == "choice":
        value: Value = _label(cell)
    elif isinstance(cell, str):
        value = read_number(cell)
    elif cell is None or (isinstance(cell, int | float) and not isinstance(cell, bool)):
        # Through its text, so that a number the contract cannot write is found here.
        value = read_number(json.dumps(cell))
    else:
        raise ValueError(f"{field.name} is a JSON {type(cell).__name__}, not a number")
    if field.accepts(value):
        return value
    if value is None:
        raise ValueError(f"{field.name} is empty, and the contract does not allow null")
    raise ValueError(f"{field.name} is {_short(value)}; allowed: {_cut(field_hint(field), 300)}")


def _short(value: object) -> str:
    return _cut(repr(value), 80)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
