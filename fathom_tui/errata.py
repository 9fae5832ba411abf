"""Where a source is wrong, or two disagree: the claim, the sum that corrects it, and why.

The rows are in `assets/catalog/errata.toml`. Nothing in a row has to be believed: each sum is an
expression over plain numbers, `evaluate` works it out again, and a test does so for every row.
"""

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

from fathom_tui.errors import UsageError
from fathom_tui.figures import Figure, Kind

FILE = "errata.toml"
LONGEST = 400
"""Characters of an expression; the longest row needs about 120."""


class Area(StrEnum):
    """What a row is about, in reading order."""

    MONEY = "money"
    MEMORY = "memory"
    STATISTICS = "statistics"
    PROCEDURE = "procedure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One of the texts the rows are about."""

    id: str
    """How `source` begins: `book`, `guide`, ..."""
    name: str
    dated: str
    """ISO date or month the text gives for itself; empty where it gives none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """One number worked out again."""

    label: str
    """What the number is; empty where a row has one sum that needs no name."""
    arithmetic: str
    """An expression that `evaluate` accepts."""
    value: float
    digits: int
    """Decimals the value is given with; the expression agrees when rounded to them."""
    unit: str
    said: float | None = None
    """The source's number for the same thing; None where it gives none."""

    def agrees(self) -> bool:
        """Say whether the expression gives the value at the digits shown."""
        half_a_digit = 0.5 * 10.0**-self.digits
        # A little more than half: 0.125 at two digits may be shown as 0.12 or 0.13.
        return abs(evaluate(self.arithmetic) - self.value) <= half_a_digit * (1 + 1e-9)

    def text(self) -> str:
        """Return the number as it is shown, with all its digits."""
        return f"{self.value:,.{self.digits}f} {self.unit}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """One of the figures that contradict each other."""

    label: str
    figure: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Erratum:
    """One row: what a source says and what is so."""

    id: str
    area: Area
    source: str
    """Document and part, for example `book, ch. 1 (April 2026)`."""
    says: str
    explanation: str
    conflict: bool
    """Whether two statements contradict each other, rather than one being a wrong sum."""
    sums: tuple[Sum, ...]
    quotes: tuple[Quote, ...]
    """For a conflict: the statements, as figures where they are numbers."""
    as_of: str
    """ISO date on which the row was worked out."""
    kind: Kind

    def figure(self, entry: Sum) -> Figure:
        """Return one of the row's numbers with its origin."""
        return Figure(
            value=entry.value,
            unit=entry.unit,
            kind=self.kind,
            source=f"{entry.arithmetic} (corrects {self.source})",
            as_of=self.as_of,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the documented shape."""
        return {
            "id": self.id,
            "area": self.area.value,
            "source": self.source,
            "says": self.says,
            "explanation": self.explanation,
            "conflict": self.conflict,
            "sums": [self._sum_json(entry) for entry in self.sums],
            "quotes": [{"label": q.label, "figure": q.figure.to_json()} for q in self.quotes],
            "as_of": self.as_of,
            "kind": self.kind.value,
        }

    def _sum_json(self, entry: Sum) -> dict[str, Any]:
        return {
            "label": entry.label,
            "arithmetic": entry.arithmetic,
            "said": self._said(entry),
            "figure": self.figure(entry).to_json(),
        }

    def _said(self, entry: Sum) -> dict[str, Any] | None:
        """Return the source's own number for the same thing; None where it gives none."""
        if entry.said is None:
            return None
        found = Figure(
            value=entry.said,
            unit=entry.unit,
            kind=Kind.COMMUNITY,
            source=f"{self.source}, where it is wrong",
            as_of=self.as_of,
        )
        return found.to_json()


@dataclass(frozen=True, slots=True, kw_only=True)
class Errata:
    """The whole file."""

    documents: tuple[Document, ...]
    rows: tuple[Erratum, ...]


@cache
def load() -> tuple[Erratum, ...]:
    """Return every row, in the order of the file."""
    return _file().rows


def documents() -> tuple[Document, ...]:
    """Return the texts that the rows are about."""
    return _file().documents


@cache
def _file() -> Errata:
    text = files("fathom_tui.assets").joinpath("catalog", FILE).read_text("utf-8")
    return parse(text, FILE)


def parse(text: str, name: str) -> Errata:
    """Read errata from TOML.

    Args:
        text: The file's text.
        name: The file's name, for messages.

    Raises:
        UsageError: It is not TOML; or a row has an unknown key, lacks one, or has a value of a
            wrong type. The message names the row and the key.
    """
    import tomllib

    try:
        # Decimals keep the digits a value is given with: 4.80 is not 4.8.
        data = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name}: {error}.", fix="Mend the file at that place.") from error
    top = _Table(name, data)
    read = tuple(_document(table) for table in top.tables("document"))
    rows = tuple(_row(table, {entry.id for entry in read}) for table in top.tables("errata"))
    top.end()
    _unique(name, [row.id for row in rows])
    return Errata(documents=read, rows=rows)


def _unique(name: str, ids: list[str]) -> None:
    for row in ids:
        if ids.count(row) > 1:
            raise UsageError(f"{name}: two rows have the id {row!r}.", fix="Rename one of them.")


class _Table:
    """A TOML table that is read key by key; what is left at the end is an error."""

    def __init__(self, where: str, data: Mapping[str, Any]) -> None:
        self.where = where
        self._left = dict(data)

    def wrong(self, key: str, what: str, fix: str) -> UsageError:
        return UsageError(f"{self.where}: key {key!r} {what}.", fix=fix)

    def text(self, key: str, *, default: str | None = None) -> str:
        value = self._left.pop(key, default)
        if not isinstance(value, str) or (default is None and not value.strip()):
            raise self.wrong(key, _found(value), "Give it a text.")
        return value

    def number(self, key: str) -> Decimal | None:
        value = self._left.pop(key, None)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise self.wrong(key, _found(value), "Give it a number.")
        if not Decimal(value).is_finite():
            raise self.wrong(key, _found(value), "Give it a finite number.")
        return Decimal(value)

    def flag(self, key: str) -> bool:
        value = self._left.pop(key, False)
        if not isinstance(value, bool):
            raise self.wrong(key, _found(value), "Give it true or false.")
        return value

    def tables(self, key: str) -> "list[_Table]":
        value = self._left.pop(key, [])
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise self.wrong(key, _found(value), f"Write it as [[{key}]].")
        return [
            _Table(f"{self.where}: {key} {entry.get('id', number)!r}", entry)
            for number, entry in enumerate(value, 1)
        ]

    def has(self, key: str) -> bool:
        return key in self._left

    def end(self) -> None:
        for key in self._left:
            raise self.wrong(key, "is not known", "Remove it, or correct its name.")


def _found(value: object) -> str:
    return "is missing" if value is None else f"is {str(value)[:60]!r}"


def _document(table: _Table) -> Document:
    read = Document(
        id=table.text("id"), name=table.text("name"), dated=table.text("dated", default="")
    )
    table.end()
    return read


def _row(table: _Table, known: set[str]) -> Erratum:
    as_of, source = _date(table), table.text("source")
    _check_sources(table, source, known)
    row = Erratum(
        id=table.text("id"),
        area=_one_of(table, "area", Area),
        source=source,
        says=table.text("says"),
        explanation=table.text("explanation"),
        conflict=table.flag("conflict"),
        sums=_sums(table),
        quotes=tuple(_quote(entry) for entry in table.tables("quotes")),
        as_of=as_of,
        kind=_one_of(table, "kind", Kind),
    )
    table.end()
    if not (row.sums or row.conflict):
        raise table.wrong("arithmetic", "is missing", "Give it, or say conflict = true.")
    return row


def _check_sources(table: _Table, source: str, known: set[str]) -> None:
    for part in source.split("; "):
        if part.split(",")[0].split(" (")[0] not in known:
            raise table.wrong(
                "source", f"is {source!r}", f"Begin with one of: {', '.join(sorted(known))}."
            )


def _sums(table: _Table) -> tuple[Sum, ...]:
    own = (_sum(table),) if table.has("arithmetic") else ()
    listed = table.tables("sums")
    read = tuple(_sum(entry) for entry in listed)
    for entry in listed:
        entry.end()
    return own + read


def _sum(table: _Table) -> Sum:
    value = table.number("value")
    if value is None:
        raise table.wrong("value", "is missing", "Give the result of the arithmetic.")
    said = table.number("said")
    exponent = value.as_tuple().exponent
    return Sum(
        label=table.text("label", default=""),
        arithmetic=table.text("arithmetic"),
        value=float(value),
        digits=max(0, -exponent) if isinstance(exponent, int) else 0,
        unit=table.text("unit", default=""),
        said=None if said is None else float(said),
    )


def _quote(table: _Table) -> Quote:
    value = table.number("value")
    read = Quote(
        label=table.text("label"),
        figure=Figure(
            value=None if value is None else float(value),
            unit=table.text("unit", default=""),
            kind=_one_of(table, "kind", Kind),
            source=table.text("source"),
            as_of=_date(table),
        ),
    )
    table.end()
    return read


def _date(table: _Table) -> str:
    text = table.text("as_of")
    try:
        date.fromisoformat(text)
    except ValueError as error:
        raise table.wrong("as_of", f"is {text!r}", "Write a date as YYYY-MM-DD.") from error
    return text


E = TypeVar("E", bound=StrEnum)


def _one_of(table: _Table, key: str, choices: type[E]) -> E:
    text = table.text(key)
    try:
        return choices(text)
    except ValueError as error:
        known = ", ".join(choice.value for choice in choices)
        raise table.wrong(key, f"is {text!r}", f"Choose one of: {known}.") from error


_BINARY: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: math.pow,
}
_SIGN: Mapping[type[ast.unaryop], Callable[[float], float]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
_FUNCTIONS: Mapping[str, Callable[..., float]] = {
    "sqrt": math.sqrt,
    "log": math.log,
    "ceil": math.ceil,
    "floor": math.floor,
    "round": lambda value, digits=0.0: round(value, int(digits)),
}
_ARGUMENTS = {"round": (1, 2)}
"""How many arguments a function takes, where it is not one."""
_WRITTEN = re.compile(r"(?:\d[\d_]*|e[+-]?\d|" + "|".join(_FUNCTIONS) + r"|[-+*/().,\s])+")
"""What a sum is written with: no keyword gets as far as the parser, which warns about some."""


def evaluate(expression: str) -> float:
    """Return what an expression over numbers comes to.

    Numbers, `+ - * / **`, parentheses, and sqrt, log (natural), ceil, floor and round; names,
    attributes and everything else of the language are refused, so that a row of a data file can
    only ever be a sum.

    Raises:
        UsageError: The expression is something else, is too long, or has no finite real value.
    """
    if len(expression) > LONGEST:
        raise _refused(expression, f"is longer than {LONGEST} characters")
    if not _WRITTEN.fullmatch(expression):
        raise _refused(expression, "is not a sum")
    try:
        # Deep nesting is refused by the parser as a syntax or a memory error.
        body = ast.parse(expression.strip(), mode="eval").body
        value = float(_value(body))
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise _refused(expression, f"cannot be worked out: {error}") from error
    except (ZeroDivisionError, OverflowError) as error:
        raise _refused(expression, f"has no value: {error}") from error
    if not math.isfinite(value):
        raise _refused(expression, "has no finite value")
    return value


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _BINARY:
            return _BINARY[type(sign)](_value(left), _value(right))
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _SIGN:
            return _SIGN[type(sign)](_value(operand))
        case ast.Call(func=ast.Name(id=name), args=[*given], keywords=[]) if name in _FUNCTIONS:
            return _call(name, given)
    raise ValueError(f"{ast.unparse(node)[:40]!r} is no part of a sum")


def _call(name: str, given: list[ast.expr]) -> float:
    if len(given) not in _ARGUMENTS.get(name, (1,)):
        raise ValueError(f"{name} with {len(given)} arguments")
    return _FUNCTIONS[name](*map(_value, given))


def _refused(expression: str, what: str) -> UsageError:
    return UsageError(
        f"The arithmetic {expression[:60]!r} {what}.",
        fix="Use numbers, + - * / **, parentheses, sqrt, log, ceil, floor and round.",
    )
