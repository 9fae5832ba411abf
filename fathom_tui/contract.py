"""What an answer must look like: one of a set of labels, or a JSON object with typed fields.

One contract serves every side: it writes the training targets, constrains decoding (as a GBNF
grammar for llama.cpp), reads answers back, and says early that an answer can no longer be valid.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from fathom_tui.errors import UsageError

Value = str | int | float | None
Values = Mapping[str, Value]

LABEL = "label"
"""The field name of a contract whose whole answer is one label."""

_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_NUMBER_PREFIX = re.compile(r"null|nul?|n|-?\d*(\.\d*)?")
_NUMBER = re.compile(r"-?\d{1,9}(\.\d{1,4})?")


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
        if self.kind == "choice" and len(set(self.choices)) < 2:
            raise UsageError(
                f"Field {self.name!r} has {len(set(self.choices))} distinct values: "
                "there is nothing to decide.",
                fix="Give data with at least two classes.",
            )

    def accepts(self, value: object) -> bool:
        """Say whether a value is allowed in this field."""
        if self.kind == "choice":
            return isinstance(value, str) and value in self.choices
        if value is None:
            return self.nullable
        return (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """The shape of every answer of an engagement."""

    kind: Literal["label", "json"]
    fields: tuple[Field, ...]

    @classmethod
    def of_labels(cls, labels: tuple[str, ...]) -> Self:
        """Return the contract "answer with exactly one of these labels".

        Raises:
            UsageError: Fewer than two labels, or one that is empty or spans lines.
        """
        for label in labels:
            if not label.strip() or "\n" in label or label != label.strip():
                raise UsageError(
                    f"The label {label!r} is empty, has outer blanks or spans lines.",
                    fix="Clean the label column.",
                )
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
        text = answer.strip()
        if self.kind == "label":
            return {LABEL: text} if text in self.fields[0].choices else None
        try:
            value = json.loads(text)
        except ValueError:
            return None
        if not isinstance(value, dict) or set(value) != {field.name for field in self.fields}:
            return None
        if not all(field.accepts(value[field.name]) for field in self.fields):
            return None
        return {field.name: value[field.name] for field in self.fields}

    def may_become_valid(self, partial: str) -> bool:
        """Say whether an unfinished answer can still become valid; lets a caller stop early."""
        text = partial.lstrip()
        if not text:
            return len(partial) < 8
        if self.kind == "label":
            return any(label.startswith(text.rstrip()) for label in self.fields[0].choices)
        return text.startswith("{") and "}" not in text.rstrip()[:-1]

    def forced_after(self, partial: str) -> str:
        """Return the text that every canonical answer beginning with `partial` goes on with.

        Empty when there is a choice at this point, when the answer is complete, or when no
        canonical answer begins like this.
        """
        rest, forced = partial, ""
        for piece in self._pieces():
            if isinstance(piece, Field) and piece.kind == "number":
                number = _NUMBER_PREFIX.match(rest)
                rest = rest[number.end() :] if number else rest
                if not rest:  # a number goes on until the text after it begins
                    return forced
                continue
            ends = [piece] if isinstance(piece, str) else _spellings(piece)
            whole = [end for end in ends if rest.startswith(end)]
            if whole:
                rest = rest[len(max(whole, key=len)) :]
                continue
            open_ends = [end for end in ends if end.startswith(rest)]
            if not open_ends:
                return ""
            forced += _common_prefix(open_ends)[len(rest) :]
            if len(open_ends) > 1:
                return forced
            rest = ""
        return forced

    def _pieces(self) -> list["str | Field"]:
        if self.kind == "label":
            return [self.fields[0]]
        pieces: list[str | Field] = []
        for position, field in enumerate(self.fields):
            opening = ("{" if position == 0 else ", ") + json.dumps(field.name) + ": "
            if field.kind == "choice":
                pieces += [opening + '"', field, '"']
            else:
                pieces += [opening, field]
        return [*_joined(pieces), "}"] if pieces[-1] != '"' else [*_joined(pieces[:-1]), '"}']

    def grammar(self) -> str:
        """Return a GBNF grammar that accepts exactly the canonical answers."""
        if self.kind == "label":
            return "root ::= " + _alternatives(self.fields[0].choices)
        parts = []
        for position, field in enumerate(self.fields):
            opening = ("{" if position == 0 else ", ") + json.dumps(field.name) + ": "
            parts.append(_quote(opening))
            parts.append(_rule(field))
        return f'root ::= {" ".join(parts)} "}}"\n' + _NUMBER_RULE

    def describe(self) -> str:
        """Return the sentence a prompt uses to say what to answer."""
        if self.kind == "label":
            return "Answer with exactly one of: " + ", ".join(self.fields[0].choices) + "."
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
                    choices=tuple(field.get("choices", ())),
                    nullable=bool(field.get("nullable", False)),
                )
                for field in data["fields"]
            )
            kind = data["kind"]
        except (KeyError, TypeError) as error:
            raise UsageError(
                f"The contract lacks {error}.",
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
        ValueError: The text is neither blank, `null` nor a decimal number.
    """
    text = text.strip()
    if text in ("", "null"):
        return None
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a number like 45 or 45.50")
    return _plain(float(text))  # type: ignore[return-value]  # a float stays a number


def _joined(pieces: list["str | Field"]) -> list["str | Field"]:
    joined: list[str | Field] = []
    for piece in pieces:
        if joined and isinstance(piece, str) and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


def _spellings(field: Field) -> list[str]:
    return [json.dumps(choice, ensure_ascii=False)[1:-1] for choice in field.choices]


def _common_prefix(texts: list[str]) -> str:
    first, last = min(texts), max(texts)
    length = next(
        (i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b),
        min(len(first), len(last)),
    )
    return first[:length]


def _plain(value: Value) -> Value:
    # 45.0 and 45 are one amount; the model should see one spelling of it.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _alternatives(texts: tuple[str, ...]) -> str:
    return " | ".join(_quote(text) for text in texts)


def _rule(field: Field) -> str:
    if field.kind == "choice":
        return (
            "("
            + _alternatives(tuple(json.dumps(c, ensure_ascii=False) for c in field.choices))
            + ")"
        )
    return '(number | "null")' if field.nullable else "number"


_NUMBER_RULE = (
    'number ::= "-"? [0-9] [0-9]? [0-9]? [0-9]? [0-9]? [0-9]? [0-9]? ("." [0-9] [0-9]?)?\n'
)
