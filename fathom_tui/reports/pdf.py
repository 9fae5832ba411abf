"""A report as PDF on A4, set by Typst.

Typst comes as one wheel with its own fonts and needs nothing of the system; it is given data, not
markup, so no name can break out of its place; equal input gives equal bytes; its PDF is tagged for
screen readers; and its licence is this program's own (Apache-2.0).
"""

import json
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any

from fathom_tui.errors import EnvironmentProblem
from fathom_tui.reports.document import (
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
    Typed,
    plain,
)

SIZES_PT = (10.0, 9.6, 9.2, 8.8, 8.4, 8.0)
"""Sizes of the text that are tried, the largest first, until a report fits its pages."""
FREE_PT = 9.6
"""Size of the text of a report that takes the pages it needs."""


def to_pdf(document: Document, date: str, *, pages: int | None = None) -> bytes:
    """Return a report as PDF.

    Args:
        document: The report.
        date: ISO date; also the file's own.
        pages: Pages that the report should fit; the text gets smaller for it, and where even the
            last of `SIZES_PT` is too large the report takes more. None asks for none of that.

    Raises:
        EnvironmentProblem: Typst is not installed.
    """
    sizes = SIZES_PT if pages is not None else ()
    fitting = (pt for pt in sizes if page_count(document, date, pt) <= (pages or 0))
    size = next(fitting, FREE_PT)
    made: bytes = _typst().compile(
        _template(),
        font_paths=_fonts(),
        sys_inputs=_inputs(document, date, size),
        timestamp=datetime.fromisoformat(date).replace(tzinfo=UTC),
    )
    return made


def page_count(document: Document, date: str, size_pt: float = SIZES_PT[0]) -> int:
    """Return how many pages a report takes at a size of text.

    Raises:
        EnvironmentProblem: Typst is not installed.
    """
    found = _typst().query(
        _template(),
        "<pages>",
        field="value",
        one=True,
        font_paths=_fonts(),
        sys_inputs=_inputs(document, date, size_pt),
    )
    return int(json.loads(found))


def _typst() -> Any:
    try:
        import typst
    except ModuleNotFoundError as error:
        raise EnvironmentProblem(
            "A PDF needs the Python package typst, which is not installed.",
            fix="pip install 'fathom-tui[report]', or use --format html and print that.",
        ) from error
    return typst


@cache
def _fonts() -> Any:
    """Return Typst's own fonts, and the system's for writing that those lack."""
    return _typst().Fonts(include_system_fonts=True, include_embedded_fonts=True)


def _template() -> bytes:
    return resources.files("fathom_tui.assets").joinpath("reports/report.typ").read_bytes()


def _inputs(document: Document, date: str, size_pt: float) -> dict[str, str]:
    notes = document.notes
    data = {
        "title": plain(document.title),
        "subtitle": plain(document.subtitle),
        "date": [int(part) for part in date.split("-")],
        "blocks": [_block(block, notes) for block in document.blocks],
        "notes": [plain(note.sentence()) for note in notes],
    }
    return {"report": json.dumps(data), "size": str(size_pt)}


def _block(block: Block, notes: tuple[Note, ...]) -> dict[str, Any]:
    match block:
        case Heading():
            return {"kind": "heading", "level": block.level, "text": plain(block.text)}
        case Paragraph():
            return {
                "kind": "paragraph",
                "tone": block.tone.value,
                "text": _line(block.text, notes),
            }
        case Items():
            return {"kind": "items", "items": [_line(item, notes) for item in block.items]}
        case Table():
            rows = [[_line(cell, notes) for cell in row] for row in block.rows]
            header = [_line(cell, notes) for cell in block.header]
            return {
                "kind": "table",
                "header": header,
                "rows": rows,
                "words": block.words,
                "wide": list(block.wide),
                "total": block.total,
            }
        case Picture():
            return {
                "kind": "picture",
                "svg": block.svg,
                "alt": plain(block.alt),
                "width": block.width,
            }
        case Code():
            lines = [plain(line) for line in block.text.split("\n")]
            return {"kind": "code", "text": "\n".join(lines)}


def _line(text: Text, notes: tuple[Note, ...]) -> list[list[Any]]:
    """Return pieces as pairs of a kind and a value."""
    pieces: list[list[Any]] = []
    for piece in text:
        match piece:
            case Strong(text=inner):
                pieces.append(["strong", plain(inner)])
            case Cite(note=note):
                pieces.append(["cite", notes.index(note) + 1])
            case Linked(text=inner) | Typed(text=inner):
                pieces.append(["text", plain(inner)])
            case _:
                pieces.append(["text", plain(piece)])
    return pieces
