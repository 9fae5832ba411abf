"""A report as GitHub-flavoured Markdown."""

import re
from collections.abc import Mapping

from fathom_tui.reports.document import (
    URL,
    Block,
    Cite,
    Code,
    Document,
    Heading,
    Items,
    Linked,
    Note,
    Paragraph,
    Picture,
    Strong,
    Table,
    Text,
    Tone,
    Typed,
    plain,
)

# The last two are what would make a link of a bare web address.
_SPECIAL = re.compile(r"[\\`*_\[\]<>|~&]|:(?=//)|(?i:(?<=www))\.")
# What would begin a heading, a list or a rule at the start of a line.
_OPENING = re.compile(r"^(?:(\d+)([.)])(?=\s|$)|()([#+=-]))")


def to_markdown(document: Document, pictures: Mapping[str, str] | None = None) -> str:
    """Return a report as Markdown.

    Args:
        document: The report.
        pictures: Where the SVG of each picture was written, by its alternative text; a picture
            without a place is shown as its text.
    """
    notes = document.notes
    parts = [f"# {quoted(document.title)}", quoted(document.subtitle)]
    parts += [_block(block, notes, pictures or {}) for block in document.blocks]
    if notes:
        parts.append("\n".join(f"[^{n}]: {_note(note)}" for n, note in enumerate(notes, 1)))
    return "\n\n".join(parts) + "\n"


def quoted(text: str) -> str:
    """Return text on one line in which nothing is markup or a link."""
    return _at_start(_escaped(text))


def line(text: Text) -> str:
    """Return pieces of text, none of them a note, on one line."""
    return _line(text, ())


def _note(note: Note) -> str:
    text, source, rest = note.parts()
    return _at_start(f"{_escaped(text)}{_linked(source)}{_escaped(rest)}")


def _at_start(line: str) -> str:
    return _OPENING.sub(r"\g<1>\g<3>\\\2\4", line.strip())


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", plain(text))


def _linked(text: str) -> str:
    clean = plain(text)
    parts, end = [], 0
    for found in URL.finditer(clean):
        parts += [_escaped(clean[end : found.start()]), f"<{found[0]}>"]
        end = found.end()
    return "".join([*parts, _escaped(clean[end:])])


def _block(block: Block, notes: tuple[Note, ...], pictures: Mapping[str, str]) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {quoted(block.text)}"
        case Paragraph():
            text = _line(block.text, notes)
            return f"> {text}" if block.tone in (Tone.VERDICT, Tone.WARNING) else text
        case Items():
            return "\n".join(f"- {_line(item, notes)}" for item in block.items)
        case Table():
            return _table(block, notes)
        case Picture():
            place = pictures.get(block.alt)
            alt = quoted(block.alt)
            return f"![{alt}](<{place}>)" if place else f"*Chart: {alt}*"
        case Code():
            return _code(block)


def _code(block: Code) -> str:
    """Return a fenced block; the fence is longer than any run of its own sign inside."""
    text = "\n".join(plain(line) for line in block.text.split("\n"))
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{block.language}\n{text}\n{fence}"


def _line(text: Text, notes: tuple[Note, ...]) -> str:
    return _at_start(_cell(text, notes))


def _cell(text: Text, notes: tuple[Note, ...]) -> str:
    parts = []
    for piece in text:
        match piece:
            case Strong(text=inner):
                # Stars hold no space at their inner side.
                said = _escaped(inner)
                parts.append(f"**{said.strip()}**" + (" " if said.endswith(" ") else ""))
            case Typed(text=inner):
                parts.append(_span(inner))
            case Linked(text=inner):
                parts.append(_linked(inner))
            case Cite(note=note):
                parts.append(f"[^{notes.index(note) + 1}]")
            case _:
                parts.append(_escaped(piece))
    return "".join(parts).strip()


def _span(text: str) -> str:
    """Return code within a line; its fence is longer than any run of its own sign inside."""
    said = plain(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", said)), default=0))
    room = " " if said.startswith("`") or said.endswith("`") else ""
    return f"{fence}{room}{said}{room}{fence}"


def _table(table: Table, notes: tuple[Note, ...]) -> str:
    rules = ["---" if column < table.words else "---:" for column in range(len(table.header))]
    rows = [[_in_table(cell, notes) for cell in row] for row in table.rows]
    if table.total and rows:
        rows[-1] = [
            cell if not cell or cell.startswith("**") else f"**{cell}**" for cell in rows[-1]
        ]
    lines = [[_in_table(cell, notes) for cell in table.header], rules, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _in_table(cell: Text, notes: tuple[Note, ...]) -> str:
    # A bar ends a cell, within code too, unless it is escaped.
    return re.sub(r"(?<!\\)\|", r"\|", _cell(cell, notes))
