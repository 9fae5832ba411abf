"""A report before it has a format: blocks of text, tables and pictures, with numbered notes."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from fathom_tui.figures import Kind

# Control characters, those that end a line or turn the writing direction, halves of characters
# and the two that XML forbids.
_UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_SPACE = re.compile(r"\s*[\n\t\r]\s*")
URL = re.compile(r"https?://[A-Za-z0-9./_~%?=&#:+@-]+[A-Za-z0-9/_~=#-]")
"""A web address that can stand in any format as it is."""


# Words with a sign that Markdown would have to escape; what ends a sentence is not part of them.
_CODED = re.compile(
    r"""[^\s(),;"\u201c\u201d]*(?:[\\`*_\[\]<>|~&]|://)(?:[^\s(),;"\u201c\u201d]*[^\s(),;:.?!"\u201c\u201d])?"""
)


def plain(text: str) -> str:
    """Return text on one line that every format can hold: what none can becomes a sign for it."""
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", _SPACE.sub(" ", text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A footnote: where a number is from."""

    text: str
    source: str
    as_of: str
    """ISO date."""
    kind: Kind

    def sentence(self) -> str:
        """Return the note as it is printed."""
        return "".join(self.parts())

    def parts(self) -> tuple[str, str, str]:
        """Return the note as it is printed: what leads to the source, the source, and the rest."""
        return (
            f"{self.text}. Source: ",
            self.source,
            f"; as of {self.as_of}; {self.kind.value}.",
        )


@dataclass(frozen=True, slots=True)
class Strong:
    """Text that stands out."""

    text: str


@dataclass(frozen=True, slots=True)
class Typed:
    """A command, an identifier or an address: shown letter by letter, and never as markup."""

    text: str


@dataclass(frozen=True, slots=True)
class Linked:
    """Where a number is from: the one text in which a web address becomes a link."""

    text: str


@dataclass(frozen=True, slots=True)
class Cite:
    """The number of a note."""

    note: Note


Piece = str | Strong | Typed | Linked | Cite
Text = tuple[Piece, ...]
"""A line of text; no piece holds markup of any format."""


class Tone(StrEnum):
    """How a paragraph is set."""

    PLAIN = "plain"
    VERDICT = "verdict"
    WARNING = "warning"
    SMALL = "small"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """The title of a section."""

    text: str
    level: int = 2
    """2 or 3; the document's title is 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """A paragraph."""

    text: Text
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """A list without numbers."""

    items: tuple[Text, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table; every row has as many cells as the header."""

    header: tuple[Text, ...]
    rows: tuple[tuple[Text, ...], ...]
    words: int = 1
    """Columns from the left that hold words; the others hold numbers and stand at the right."""
    wide: tuple[int, ...] = (0,)
    """Columns that take the room that is left, where a format has to know."""
    total: bool = False
    """Whether the last row is the sum of the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A drawing."""

    svg: str
    alt: str
    """What it shows, for people who do not see it."""
    width: float = 0.92
    """Share of the page's width, in print."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """Lines to be typed, or what a program said, exactly as they are."""

    text: str
    language: str = ""
    """As the fence of Markdown names it: `sh`, `json`, `python`; empty where it is none."""


Block = Heading | Paragraph | Items | Table | Picture | Code


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A whole report."""

    title: str
    subtitle: str
    blocks: tuple[Block, ...]

    @property
    def notes(self) -> tuple[Note, ...]:
        """The notes in the order in which they are first cited; the first has number 1."""
        cited = (piece.note for piece in self._pieces() if isinstance(piece, Cite))
        return tuple(dict.fromkeys(cited))

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The pictures in order."""
        return tuple(block for block in self.blocks if isinstance(block, Picture))

    def _pieces(self) -> Iterator[Piece]:
        for block in self.blocks:
            for text in _texts(block):
                yield from text


def _texts(block: Block) -> Iterator[Text]:
    match block:
        case Paragraph(text=text):
            yield text
        case Items(items=items):
            yield from items
        case Table(header=header, rows=rows):
            yield from header
            for row in rows:
                yield from row


def with_code(text: str, typed: Iterable[str] = ()) -> Text:
    """Return text in which commands, and words that hold signs of markup, are shown as code.

    Args:
        text: What is said.
        typed: The parts of it that are to be typed as they stand.
    """
    known = [re.escape(part) for part in sorted(typed, key=len, reverse=True) if part]
    found = re.compile("|".join([*known, _CODED.pattern]))
    pieces: list[Piece] = []
    end = 0
    for match in found.finditer(text):
        pieces += [text[end : match.start()], Typed(match[0])]
        end = match.end()
    return tuple(piece for piece in (*pieces, text[end:]) if piece)


def joined_with(between: str, pieces: Iterable[Piece]) -> Text:
    """Return pieces with the same text between each two."""
    found = [part for piece in pieces for part in (between, piece)]
    return tuple(found[1:])


def joined(parts: list[str]) -> str:
    """Return `a`, `a and b`, or `a, b and c`."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))
