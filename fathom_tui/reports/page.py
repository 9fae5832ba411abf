"""A report as one HTML file: styles and drawings inside, no script, nothing from elsewhere."""

from html import escape
from importlib import resources
from string import Template

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
    Typed,
    plain,
)


def to_html(document: Document) -> str:
    """Return a report as a whole HTML page that prints on A4."""
    folder = resources.files("fathom_tui.assets").joinpath("reports")
    template = Template(folder.joinpath("report.html").read_text("utf-8"))
    return template.substitute(
        tab=escape(plain(document.title)),
        title=quoted(document.title),
        subtitle=quoted(document.subtitle),
        style=folder.joinpath("report.css").read_text("utf-8").strip(),
        body="\n".join(_block(block, document.notes) for block in document.blocks),
        notes=_notes(document.notes),
    )


def quoted(text: str) -> str:
    """Return text in which nothing is markup."""
    return escape(plain(text))


def linked(text: str) -> str:
    """Return text in which nothing is markup, and web addresses are links."""
    clean = plain(text)
    parts, end = [], 0
    for found in URL.finditer(clean):
        address = escape(found[0])
        parts += [escape(clean[end : found.start()]), f'<a href="{address}">{address}</a>']
        end = found.end()
    return "".join([*parts, escape(clean[end:])])


def _block(block: Block, notes: tuple[Note, ...]) -> str:
    match block:
        case Heading():
            return f"<h{block.level}>{quoted(block.text)}</h{block.level}>"
        case Paragraph():
            return f'<p class="{block.tone.value}">{_line(block.text, notes)}</p>'
        case Items():
            items = "\n".join(f"<li>{_line(item, notes)}</li>" for item in block.items)
            return f"<ul>\n{items}\n</ul>"
        case Table():
            return _table(block, notes)
        case Picture():
            return f"<figure>\n{block.svg}\n</figure>"
        case Code():
            lines = "\n".join(quoted(line) for line in block.text.split("\n"))
            return f"<pre><code>{lines}</code></pre>"


def _line(text: Text, notes: tuple[Note, ...]) -> str:
    parts = []
    for piece in text:
        match piece:
            case Strong(text=inner):
                parts.append(f"<strong>{quoted(inner)}</strong>")
            case Typed(text=inner):
                parts.append(f"<code>{quoted(inner)}</code>")
            case Linked(text=inner):
                parts.append(linked(inner))
            case Cite(note=note):
                number = notes.index(note) + 1
                parts.append(f'<sup><a href="#note-{number}">{number}</a></sup>')
            case _:
                parts.append(quoted(piece))
    return "".join(parts)


def _table(table: Table, notes: tuple[Note, ...]) -> str:
    head = _row(table.header, notes, "th", table.words)
    rows = [_row(row, notes, "td", table.words) for row in table.rows]
    if table.total and rows:
        rows[-1] = rows[-1].replace("<tr>", '<tr class="total">', 1)
    body = "\n".join(rows)
    return f"<table>\n<thead>\n{head}\n</thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _row(row: tuple[Text, ...], notes: tuple[Note, ...], tag: str, words: int) -> str:
    cells = []
    for column, cell in enumerate(row):
        scope = ' scope="col"' if tag == "th" else ""
        number = ' class="number"' if column >= words else ""
        cells.append(f"<{tag}{scope}{number}>{_line(cell, notes)}</{tag}>")
    return f"<tr>{''.join(cells)}</tr>"


def _notes(notes: tuple[Note, ...]) -> str:
    if not notes:
        return ""
    items = "\n".join(
        f'<li id="note-{number}">{_note(note)}</li>' for number, note in enumerate(notes, 1)
    )
    return f'<ol class="notes">\n{items}\n</ol>'


def _note(note: Note) -> str:
    text, source, rest = note.parts()
    return f"{quoted(text)}{linked(source)}{quoted(rest)}"
