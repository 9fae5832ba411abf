"""What an answer must look like: one of a set of labels, or a JSON object with typed fields.

One contract serves every side: it writes the training targets, constrains decoding (as a GBNF
grammar for llama.cpp), reads answers back, and says early that an answer can no longer be valid.
"""

import json
import os.path
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from fathom_tui.errors import UsageError

Value = str | int | float | None
Values = Mapping[str, Value]

LABEL = "label"
"""The field name of a contract whose whole answer is one label."""

INTEGER_DIGITS, DECIMALS = 8, 2
"""Most digits of a number before and after its point: data, training targets and decoding agree."""

_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_WRITTEN = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_NUMBER = re.compile(rf"-?(?:0|[1-9][0-9]{{0,{INTEGER_DIGITS - 1}}})(?:\.[0-9]{{1,{DECIMALS}}})?")
_NUMBER_RULE = (
    f'number ::= "-"? ("0" | [1-9] [0-9]{{0,{INTEGER_DIGITS - 1}}}) ("." [0-9]{{1,{DECIMALS}}})?\n'
)
_BLANKS = " \t\n\r"
"""What JSON calls whitespace; `str.strip` alone would take away more than `json.loads` forgives."""
_LEADING_BLANKS = 8
"""An answer that begins with so many blanks is taken for one that never begins."""
_UNWRITABLE = frozenset(("Cc", "Cs", "Zl", "Zp"))
"""Categories of characters that end a line, control a terminal or are half a character."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One part of an answer."""

    name: str
    kind: Literal["choice", "number"]
    choices: tuple[str, ...] = ()
    """Allowed values of a choice, in the order they are shown to the model."""
    nullable: bool = False
    """True where a number may also be null."""

    def __post_init__(self) -> None:
        if not _FIELD_NAME.fullmatch(self.name):
            raise UsageError(
                f"A field is named {self.name!r}.",
                fix="Use letters, digits and underscores, at most 40, not starting with a digit.",
            )
        if self.kind not in ("choice", "number"):
            raise UsageError(
                f"Field {self.name!r} is of the kind {self.kind!r}.",
                fix='Kinds are "choice" and "number".',
            )
        if self.kind == "choice":
            self._check_choices()

    def _check_choices(self) -> None:
        for choice in self.choices:
            _check_choice(self.name, choice)
        repeated = [choice for choice, times in Counter(self.choices).items() if times > 1]
        if repeated:
            raise UsageError(
                f"Field {self.name!r} names {repeated[0]!r} twice.", fix="Name each value once."
            )
        if len(self.choices) < 2:
            raise UsageError(
                f"Field {self.name!r} has {len(self.choices)} distinct values: "
                "there is nothing to decide.",
                fix="Give data with at least two classes.",
            )
        if self.nullable:
            raise UsageError(
                f"Field {self.name!r} is a choice, which cannot be null.",
                fix='Leave nullable out, and add a value such as "none" to the choices.',
            )

    def accepts(self, value: object) -> bool:
        """Say whether a value is allowed in this field."""
        if self.kind == "choice":
            return isinstance(value, str) and value in self.choices
        if value is None:
            return self.nullable
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        # Compared before it is rounded: an int may be too large to become a float, a NaN is
        # not smaller than anything.
        return abs(value) < 10**INTEGER_DIGITS and round(value, DECIMALS) == value


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """The shape of every answer of an engagement."""

    kind: Literal["label", "json"]
    fields: tuple[Field, ...]

    def __post_init__(self) -> None:
        names = Counter(field.name for field in self.fields)
        repeated = [name for name, times in names.items() if times > 1]
        if repeated:
            raise UsageError(
                f"The contract has two fields named {repeated[0]!r}.",
                fix="Give each field its own name.",
            )
        if not self.choice_fields:
            raise UsageError(
                "The contract has no field of the kind choice: "
                "there are no classes to balance, to sample or to score.",
                fix="Add a choice field.",
            )
        if self.kind == "label" and list(names) != [LABEL]:
            raise UsageError(
                f"A label contract has the fields {', '.join(names)}.",
                fix=f'Give it one choice field named "{LABEL}", or set kind = "json".',
            )

    @classmethod
    def of_labels(cls, labels: tuple[str, ...]) -> Self:
        """Return the contract "answer with exactly one of these labels".

        Raises:
            UsageError: Fewer than two labels, or one that cannot stand on one line.
        """
        return cls(kind="label", fields=(Field(name=LABEL, kind="choice", choices=labels),))

    @property
    def choice_fields(self) -> tuple[Field, ...]:
        """The fields that plain classification can answer."""
        return tuple(field for field in self.fields if field.kind == "choice")

    def render(self, values: Values) -> str:
        """Return the one canonical answer text for these values: the training target.

        Raises:
            UsageError: A value is missing or not allowed.
        """
        for field in self.fields:
            if field.name not in values or not field.accepts(values[field.name]):
                raise UsageError(
                    f"Field {field.name!r} has the value {values.get(field.name)!r}.",
                    fix=f"Allowed: {field_hint(field)}.",
                )
        if self.kind == "label":
            return str(values[LABEL])
        return json.dumps({f.name: _plain(values[f.name]) for f in self.fields}, ensure_ascii=False)

    def parse(self, answer: str) -> dict[str, Value] | None:
        """Return the values of an answer, or None when it breaks the contract.

        JSON may come in any key order and spacing; nothing may stand around it, because a
        client that calls `json.loads` on the answer would fail.
        """
        text = answer.strip(_BLANKS)
        if self.kind == "label":
            return {LABEL: text} if text in self.fields[0].choices else None
        try:
            value = json.loads(text, object_pairs_hook=_once_each, parse_constant=_no_number)
        except (ValueError, RecursionError):
            return None
        if not isinstance(value, dict) or set(value) != {field.name for field in self.fields}:
            return None
        if not all(field.accepts(value[field.name]) for field in self.fields):
            return None
        return {field.name: value[field.name] for field in self.fields}

    def may_become_valid(self, partial: str) -> bool:
        """Say whether an unfinished answer can still become valid; lets a caller stop early.

        Never false for the beginning of a valid answer, unless that begins with many blanks;
        true for some beginnings that are lost already.
        """
        text = partial.lstrip(_BLANKS)
        if not text:
            return len(partial) < _LEADING_BLANKS
        if self.kind == "label":
            labels = self.fields[0].choices
            return text.rstrip(_BLANKS) in labels or any(x.startswith(text) for x in labels)
        if not text.startswith("{"):
            return False
        end = _object_end(text)
        return end is None or self.parse(text) is not None

    def forced_after(self, partial: str) -> str:
        """Return the text that every canonical answer beginning with `partial` goes on with.

        Canonical is what the grammar accepts. Empty when there is a choice at this point, when
        the answer is complete, or when no canonical answer begins like this.
        """
        if self.kind == "label":
            return _forced([x for x in self.fields[0].choices if x.startswith(partial)], partial)
        rest, forced = partial, ""
        for piece in self._pieces():
            if isinstance(piece, Field):
                begun = _null_or_number(piece, rest)
                if begun is None:
                    return forced
                forced, rest = forced + begun[0], begun[1]
                continue
            whole = next((end for end in piece if rest.startswith(end)), None)
            if whole is not None:
                rest = rest[len(whole) :]
                continue
            open_ends = [end for end in piece if end.startswith(rest)]
            forced += _forced(open_ends, rest)
            if len(open_ends) != 1:
                return forced
            rest = ""
        return forced

    def _pieces(self) -> list["tuple[str, ...] | Field"]:
        """Return a JSON answer in pieces: spellings, none of which begins another, or a number."""
        pieces: list[tuple[str, ...] | Field] = []
        for position, field in enumerate(self.fields):
            pieces.append((_opening(position, field),))
            pieces.append(_spellings(field) if field.kind == "choice" else field)
        return [*pieces, ("}",)]

    def grammar(self) -> str:
        """Return a GBNF grammar that accepts exactly the canonical answers.

        One order of keys and one spacing; a number in any spelling that JSON and the limits on
        digits allow, so that `45.00` need not become `45.01`.
        """
        if self.kind == "label":
            return "root ::= " + _alternatives(self.fields[0].choices)
        parts = []
        for position, field in enumerate(self.fields):
            parts.append(_quote(_opening(position, field)))
            parts.append(_rule(field))
        return f'root ::= {" ".join(parts)} "}}"\n' + _NUMBER_RULE

    def longest(self) -> str:
        """Return the canonical answer with the most characters: what a token limit must hold."""
        if self.kind == "label":
            return max(self.fields[0].choices, key=len)
        ends = []
        for position, field in enumerate(self.fields):
            number = "-" + "8" * INTEGER_DIGITS + "." + "8" * DECIMALS
            values = _spellings(field) if field.kind == "choice" else (number,)
            ends.append(_opening(position, field) + max(values, key=len))
        return "".join(ends) + "}"

    def describe(self) -> str:
        """Return the sentence a prompt uses to say what to answer."""
        if self.kind == "label":
            labels = self.fields[0].choices
            between = " | " if any("," in label for label in labels) else ", "
            return "Answer with exactly one of: " + between.join(labels) + "."
        shape = ", ".join(f'"{field.name}": {field_hint(field)}' for field in self.fields)
        return "Answer with one JSON object: {" + shape + "}."

    def to_json(self) -> dict[str, Any]:
        """Return the contract as it stands in an engagement's journal."""
        return {
            "kind": self.kind,
            "fields": [
                {
                    "name": field.name,
                    "kind": field.kind,
                    "choices": list(field.choices),
                    "nullable": field.nullable,
                }
                for field in self.fields
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read a contract from an engagement's journal or configuration file.

        Raises:
            UsageError: A field is malformed.
        """
        try:
            fields = tuple(
                Field(
                    name=field["name"],
                    kind=field["kind"],
                    choices=_texts(field.get("choices", ())),
                    nullable=bool(field.get("nullable", False)),
                )
                for field in data["fields"]
            )
            kind = data["kind"]
        except (KeyError, TypeError, AttributeError) as error:
            what = f"lacks {error}" if isinstance(error, KeyError) else "is not a contract"
            raise UsageError(
                f"The contract {what}: {str(data)[:200]}.",
                fix='Give kind = "label" or "json" and at least one field with name and kind.',
            ) from error
        if kind not in ("label", "json") or not fields:
            raise UsageError(
                f"The contract has kind {kind!r} and {len(fields)} fields.",
                fix='Give kind = "label" or "json" and at least one field.',
            )
        return cls(kind=kind, fields=fields)


def field_hint(field: Field) -> str:
    """Return the allowed values of a field as a prompt shows them."""
    if field.kind == "choice":
        return " | ".join(json.dumps(choice, ensure_ascii=False) for choice in field.choices)
    return "number or null" if field.nullable else "number"


def read_number(text: str) -> int | float | None:
    """Read a number cell of a data file; blank and `null` are None.

    Raises:
        ValueError: The text is neither blank, `null` nor a decimal number, or has more digits
            than an answer may have.
    """
    text = text.strip()
    if text in ("", "null"):
        return None
    if not _WRITTEN.fullmatch(text):
        raise ValueError(f"{_cut(text)!r} is not a number like 45 or 45.50")
    whole, _, decimals = text.lstrip("-").partition(".")
    if len(whole.lstrip("0")) > INTEGER_DIGITS or len(decimals.rstrip("0")) > DECIMALS:
        raise ValueError(
            f"{_cut(text)!r} has more than {INTEGER_DIGITS} digits before its point or "
            f"{DECIMALS} after it"
        )
    return _plain(float(text))  # type: ignore[return-value]  # a float stays a number


def _texts(choices: Any) -> tuple[str, ...]:
    if isinstance(choices, str):  # tuple() would make its letters the choices
        raise UsageError(
            f"The choices are one text, {choices!r}.", fix='Give a list: choices = ["yes", "no"].'
        )
    return tuple(choices)


def _check_choice(field: str, choice: object) -> None:
    problem = ""
    if not isinstance(choice, str):
        problem = f"is a {type(choice).__name__}, not text"
    elif not choice.strip():
        problem = "is empty"
    elif choice != choice.strip():
        problem = "has outer blanks"
    elif any(unicodedata.category(character) in _UNWRITABLE for character in choice):
        problem = "spans lines or holds control characters"
    if problem:
        raise UsageError(
            f"The value {choice!r} of field {field!r} {problem}.",
            fix="Write every value as text on one line; clean the column it comes from.",
        )


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")  # one reader takes the first, another the last
    return found


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _object_end(text: str) -> int | None:
    """Return where the first `}` outside a string stands, or None; the text begins with `{`."""
    in_string = escaped = False
    for position, character in enumerate(text):
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character == "}":
            return position
    return None


def _null_or_number(field: Field, rest: str) -> tuple[str, str] | None:
    """Return (forced text, what follows) of a number begun in `rest`; None while it is open."""
    if field.nullable and rest[:1] == "n":
        return ("null"[len(rest) :], rest[4:]) if "null".startswith(rest[:4]) else None
    number = _NUMBER.match(rest)
    if number is None:
        return None
    full = len(number[0].partition(".")[2]) == DECIMALS
    after = rest[number.end() :]
    return ("", after) if after or full else None


def _forced(ends: list[str], begun: str) -> str:
    """Return what all texts that begin with `begun` go on with."""
    return os.path.commonprefix(ends)[len(begun) :]


def _opening(position: int, field: Field) -> str:
    return ("{" if position == 0 else ", ") + json.dumps(field.name) + ": "


def _spellings(field: Field) -> tuple[str, ...]:
    return tuple(json.dumps(choice, ensure_ascii=False) for choice in field.choices)


def _plain(value: Value) -> Value:
    # 45.0 and 45 are one amount; the model should see one spelling of it.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _cut(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "…"


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _alternatives(texts: tuple[str, ...]) -> str:
    return " | ".join(_quote(text) for text in texts)


def _rule(field: Field) -> str:
    if field.kind == "choice":
        return "(" + _alternatives(_spellings(field)) + ")"
    return '(number | "null")' if field.nullable else "number"
