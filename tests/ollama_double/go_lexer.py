"""Go template source into text and actions (Go 1.24, text/template/parse/lex.go)."""

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)
    | (?P<number>[+-]?\d+(?:\.\d+)?)
    | (?P<field>\.[A-Za-z_]\w*)
    | (?P<variable>\$\w*)
    | (?P<word>[A-Za-z_]\w*)
    | (?P<sign>:=|[=|(),.])
    )""",
    re.VERBOSE,
)


class TemplateError(ValueError):
    """The template cannot be parsed, or fails on its values."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word of an action."""

    kind: str
    """`string`, `number`, `field`, `variable`, `word` or `sign`."""
    text: str
    spaced: bool
    """Whether white space comes before it: `.A .B` is two operands, `.A.B` a chain."""


Piece = str | list[Token]


def pieces(source: str) -> list[Piece]:
    """Return literal texts and the tokens of actions, in order; trim markers are applied.

    Raises:
        TemplateError: An action or a comment is not closed, or holds a strange character.
    """
    found: list[Piece] = []
    place, trim = 0, False
    while True:
        start = source.find("{{", place)
        text = source[place:] if start < 0 else source[place:start]
        if trim:
            text = text.lstrip(" \t\r\n")
        if start < 0:
            return [*found, text] if text else found
        inside = start + 2
        if re.match(r"-[ \t\r\n]", source[inside:]):
            text, inside = text.rstrip(" \t\r\n"), inside + 2
        if text:
            found.append(text)
        tokens, place, trim = _action(source, inside)
        if tokens:
            found.append(tokens)


def _action(source: str, place: int) -> tuple[list[Token], int, bool]:
    """Return an action's tokens (none for a comment), where it ends, and whether it trims."""
    if source.startswith("/*", place):
        end = source.find("*/", place)
        closed = re.match(r"(\s-)?\}\}", source[end + 2 :]) if end >= 0 else None
        if closed is None:
            raise TemplateError(f"template: :{_line(source, place)}: unclosed comment")
        return [], end + 2 + closed.end(), bool(closed.group(1))
    tokens: list[Token] = []
    while True:
        closed = re.match(r"\s*?(\s-)?\}\}", source[place:])
        if closed:
            return tokens, place + closed.end(), bool(closed.group(1))
        match = _TOKEN.match(source, place)
        if match is None:
            rest = source[place:].strip()
            what = f"unexpected {rest[0]!r} in command" if rest else "unclosed action"
            raise TemplateError(f"template: :{_line(source, place)}: {what}")
        kind = str(match.lastgroup)
        tokens.append(Token(kind, match.group(kind), match.start(kind) > place))
        place = match.end()


def _line(source: str, place: int) -> int:
    return source.count("\n", 0, place) + 1
