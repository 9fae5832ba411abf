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
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

from fathom_tui.catalog import clash
from fathom_tui.catalog_rows import Problem, problem
from fathom_tui.catalog_types import TABLES
from fathom_tui.errors import UsageError

FILE = "catalog.toml"

Span = tuple[int, int]
"""From and up to which character."""


def read(config: Path, today: date | None = None) -> dict[str, list[dict[str, Any]]]:
    """Return the user's rows by table, checked; empty where there is no such file.

    Args:
        config: The config directory.
        today: No row may be dated later; None is the day it is here.

    Raises:
        UsageError: The file cannot be read, is no TOML, or has a row that cannot be used; it
            names the file, the key and the line.
    """
    path = config / FILE
    text = _text(path)
    if text is None:
        return {}
    tables, until = _parsed(path, text), today or date.today()
    return {table: _rows(path, text, table, rows, until) for table, rows in tables.items()}


def _text(path: Path) -> str | None:
    try:
        if path.exists() and not path.is_file():
            raise UsageError(
                f"{path} is {'a directory' if path.is_dir() else 'no file'}; it has to be a file.",
                fix=f"mv {shlex.quote(str(path))} {shlex.quote(f'{path}.old')}",
            )
        # An editor on Windows may begin a file with a byte order mark, which is no TOML.
        return path.read_text("utf-8-sig") if path.exists() else None
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}.",
            fix=f"chmod u+r {shlex.quote(str(path))}",
        ) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"{path}, line {line}: not UTF-8 at byte {error.start} of the file.",
            fix="Save the file as UTF-8.",
        ) from error


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        _refuse_toml(path, text, str(error))
    except RecursionError:
        _refuse_toml(path, text, "too many brackets inside each other")
    except ValueError:  # the only other one: Python reads no whole number above 4,300 digits
        _refuse_toml(path, text, "a number of thousands of digits")


_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_DATE = re.compile(r"=\s*\d{4}-\d{1,2}-\d{1,2}\b")


def _refuse_toml(path: Path, text: str, says: str) -> NoReturn:
    lines = text.rstrip().split("\n")
    found = _AT.search(says)
    if found is None:
        line = max(range(len(lines)), key=lambda number: len(lines[number])) + 1
    else:
        line = int(found[1]) if found[1] else len(lines)
    written = lines[line - 1].strip() if line <= len(lines) else ""
    dated = "A date is written 2026-11-22, and has to be one of the calendar. "
    raise UsageError(
        f"{path}, line {line}: no TOML: {_AT.sub('', says)}: {written[:80]}",
        fix=f"{dated if _DATE.search(written) else ''}Correct line {line} of {path}.",
    )


def _rows(path: Path, text: str, table: str, rows: Any, today: date) -> list[dict[str, Any]]:
    at = f"{path}, line {line_of(text, table)}"
    if table not in TABLES:
        raise UsageError(
            f"{at}: {table[:80]!r} is no table of the catalog.",
            fix=f"The tables are {', '.join(TABLES)}.",
        )
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise UsageError(
            f"{at}: {table!r} is not a list of rows.", fix=f"Begin each row with [[{table}]]."
        )
    for index, wrong in _problems(table, rows, today):
        line = line_of(text, table, index, wrong.key, wrong.item)
        name = str(rows[index].get("id", "?"))[:80]
        raise UsageError(
            f"{path}, line {line}: {table} {name!r}: {wrong.sentence()}",
            fix=f"Correct line {line} of {path}.",
        )
    return rows


def _problems(table: str, rows: list[dict[str, Any]], today: date) -> Iterator[tuple[int, Problem]]:
    for index, row in enumerate(rows):
        wrong = problem(table, row, today)
        if wrong is not None:
            yield index, wrong
    found = clash(table, rows)
    if found is not None:
        yield found


def line_of(text: str, table: str, index: int = 0, key: str = "", item: int = 0) -> int:
    """Return the line, from 1, of a key in the nth row of a table; else that of the row itself.

    Lines are searched as text, because the parser keeps no positions.

    Args:
        text: The file, which is TOML.
        table: Its table; line 1 where it has none of that name.
        index: Which row, from 0.
        key: With dots where it is inside another. Where it is not written, the line of what it
            belongs in is returned.
        item: Which entry of a list the key is in, from 0.
    """
    plain = _plain(text)
    start, end = _row(plain, table, index)
    parts = key.split(".") if key else []
    for depth, part in enumerate(parts):
        found = _part(plain, (start, end), part, inside=depth > 0)
        if not found:
            break
        start, end = found[min(item, len(found) - 1)]
    return plain.count("\n", 0, start) + 1


_QUOTED = re.compile(
    r'"""(?:\\.|[^\\])*?"""|' r"'''.*?'''|" r'"(?:\\.|[^"\\\n])*"|' r"'[^'\n]*'|#[^\n]*", re.DOTALL
)
_KEY_FOLLOWS = re.compile(r"[ \t]*[=.]")


def _plain(text: str) -> str:
    """Return the text without comments and without what strings say, each character in place."""

    def blank(found: re.Match[str]) -> str:
        quoted = found[0][0] in "\"'" and not found[0].startswith(('"""', "'''"))
        line = text[text.rfind("\n", 0, found.start()) + 1 : found.start()]
        if quoted and (_KEY_FOLLOWS.match(text, found.end()) or re.fullmatch(r"\s*\[+\s*", line)):
            return f" {found[0][1:-1]} "
        return re.sub(r"[^\n]", " ", found[0])

    return _QUOTED.sub(blank, text)


_HEADER = re.compile(r"^[ \t]*\[\[?[ \t]*([^\[\]\n]*?)[ \t]*\]", re.MULTILINE)


def _headers(plain: str, span: Span) -> list[tuple[int, str]]:
    """Return where each `[a.b]` or `[[a.b]]` begins, and its name."""
    found = _HEADER.finditer(plain, *span)
    return [(each.start(), re.sub(r"\s*\.\s*", ".", each[1])) for each in found]


def _row(plain: str, table: str, index: int) -> Span:
    """Return the span of a row: under its own header, or an entry of `table = [{...}]`."""
    headers = _headers(plain, (0, len(plain)))
    begins = [start for start, name in headers if name == table]
    if index < len(begins):
        start = begins[index]
        # `[[gpus.rentals]]` and `[models.architecture]` belong to the row above them.
        later = (at for at, name in headers if at > start and not name.startswith(f"{table}."))
        return start, next(later, len(plain))
    inline = re.search(rf"^[ \t]*({re.escape(table)})\s*[=.]", plain, re.MULTILINE)
    if inline is None:
        start = next((at for at, name in headers if name.startswith(f"{table}.")), 0)
        return start, len(plain)
    whole = (inline.start(1), len(plain))
    entries = _braces(plain, whole)
    return entries[index] if index < len(entries) else whole


def _part(plain: str, span: Span, name: str, *, inside: bool) -> list[Span]:
    """Return the spans of a key's value within a span, one for each entry of a list of tables.

    Args:
        plain: The text without strings and comments.
        span: Where to look; a header at its start is not looked at.
        name: The key.
        inside: Whether the span is a key's, which may be written `key.name`.
    """
    start, end = span
    headers = [entry for entry in _headers(plain, span) if entry[0] > start]
    own = headers[0][0] if headers else end
    before = r"[\n{,.]" if inside else r"[\n{,]"
    wanted = re.compile(rf"(?:^|{before})[ \t]*({re.escape(name)})[ \t]*(=|\.)")
    shallow = _without_inner(plain, (start, own))
    found = wanted.search(shallow, start, own)
    if found is not None:
        at = found.start(1)
        value = plain[found.end() : own]
        tables = found[2] == "=" and re.match(r"[\s\[]*\{", value) is not None
        return _braces(plain, (at, own)) if tables else [(at, own)]
    ends = [*(at for at, _ in headers[1:]), end]
    return [
        (at, until)
        for (at, header), until in zip(headers, ends, strict=False)
        if header.rpartition(".")[2] == name
    ]


def _braces(plain: str, span: Span) -> list[Span]:
    """Return each outermost `{...}` of the first value in the span; the span where there is none.

    The first begins with the span, which is the line of the key.
    """
    found: list[Span] = []
    depth = opened = lists = 0
    for at in range(*span):
        character = plain[at]
        if character == "{":
            opened = at if depth == 0 else opened
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                found.append((opened, at + 1))
                if not lists:
                    break
        elif depth == 0 and character in "[]":
            lists += 1 if character == "[" else -1
            if lists <= 0:
                break
    return found or [span]


def _without_inner(plain: str, span: Span) -> str:
    """Return the text up to the span's end with what is in inner braces blanked."""
    start, end = span
    text = list(plain[:end])
    outer = 1 if plain[start : start + 1] == "{" else 0
    depth = 0
    for at in range(start, end):
        depth -= plain[at] == "}"
        if depth > outer and plain[at] != "\n":
            text[at] = " "
        depth += plain[at] == "{"
    return "".join(text)
