"""Where the sources are wrong: each claim, what the arithmetic gives, and the arithmetic itself."""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget

from fathom_tui.screens.grid import Column, Grid, Row
from fathom_tui.screens.pane import Pane, wrapped
from fathom_tui.screens.search import Search, matches
from fathom_tui.screens.shell import Shell
from fathom_tui.screens.symbols import ASCII, Symbols
from fathom_tui.screens.words import clean, plural

if TYPE_CHECKING:
    # Loaded by the first look, after the first frame.
    from fathom_tui.errata import Erratum, Sum
    from fathom_tui.figures import Figure

COLUMNS = (
    Column(title="about", width=10),
    Column(title="source", width=28, from_width=110),
    Column(title="the source says"),
    Column(title="the arithmetic gives", width=26),
)
_INDENT = 11
_OPERATOR = re.compile(r"(?<=[\d)]) ?(\*\*|[-+*/]) ?")
"""An operator between two numbers; a sign or the one in 1e-6 is none."""


class ErrataScreen(Shell["tuple[Erratum, ...]"]):
    """A list of corrections; below it, the sums of the one under the cursor."""

    MODE = "errata"
    CSS_PATH = "../assets/styles/errata.tcss"
    AUTO_FOCUS = "#errata"
    INTERVAL_S = 5.0
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Filter", key_display="/", tooltip="Narrow the list by words"),
        Binding("e", "sources", "Sources", tooltip="Source, date and kind of the numbers"),
        Binding("tab,shift+tab", "turn", "Between list and sums", show=False),
        Binding("escape", "clear", "Show all again", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._all: tuple[Erratum, ...] = ()
        self._by_id: dict[str, Erratum] = {}

    def body(self) -> Iterator[Widget]:
        """Lay out the list above the sums."""
        with Container(id="corrections"):
            yield Search("words of a claim, a source, an area")
            yield Grid(*COLUMNS, id="errata", classes="panel")
            yield Pane(id="sums", classes="panel")

    def on_mount(self) -> None:
        """Name the panels."""
        self.query_one("#errata").border_title = "Errata"
        self.query_one("#sums").border_title = "Arithmetic"

    def read(self) -> "tuple[Erratum, ...]":
        """Read the corrections; they are kept once read."""
        from fathom_tui.errata import load

        return load()

    def receive(self, news: "tuple[Erratum, ...]") -> None:
        """Show the list."""
        if news is not self._all:
            self._all, self._by_id = news, {row.id: row for row in news}
            self._narrow()

    @property
    def chosen(self) -> "Erratum | None":
        """The correction under the cursor."""
        return self._by_id.get(self.query_one("#errata", Grid).key or "")

    @on(Search.Changed)
    def _narrow(self) -> None:
        words = self.query_one(Search).words
        found = [row for row in self._all if matches(_searched(row), words)]
        self.query_one("#errata", Grid).fill([_row(row) for row in found])
        self.query_one(Search).tell(f"{len(found)} of {len(self._all)}")
        self.query_one("#errata").border_title = f"Errata: {plural(len(found), 'correction')}"
        self._show()
        self.offer(bool(found))

    @on(Grid.Moved, "#errata")
    def _show(self) -> None:
        row = self.chosen
        self.query_one("#sums", Pane).scroll_home(animate=False)
        self.query_one("#sums", Pane).draw(
            partial(lines, row, self.fathom.symbols) if row is not None else _none_found
        )

    @on(Search.Left)
    @on(Grid.Chosen, "#errata")
    def back(self, event: Search.Left | Grid.Chosen) -> None:
        """Go to the list, or from it to the sums."""
        self.query_one("#errata" if isinstance(event, Search.Left) else "#sums").focus()

    def action_search(self) -> None:
        """Open the filter."""
        self.query_one(Search).open()

    def action_clear(self) -> None:
        """Show all again."""
        self.query_one(Search).clear()

    def action_turn(self) -> None:
        """Go from the list to the sums, or back."""
        here = self.query_one("#errata").has_focus
        self.query_one("#sums" if here else "#errata").focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what needs a correction."""
        if action == "sources":
            # Before the first look there is no list to ask.
            return True if self._all and self.chosen is not None else None
        return True

    def action_sources(self) -> None:
        """Show where the numbers are from."""
        from fathom_tui.screens.sources import SourcesDialog

        row = self.chosen
        if row is not None:
            self.app.push_screen(SourcesDialog(clean(row.says), figures(row)))


def lines(row: "Erratum", symbols: Symbols, width: int) -> list[Content]:
    """Return a correction: the claim, every sum, and why."""
    found: list[Content] = []
    found += _entry("says", Content.styled(clean(row.says), "bold"), width)
    found += _entry("source", Content(clean(row.source)), width)
    found += _entry("why", Content(clean(row.explanation)), width)
    for entry in row.sums:
        found += [Content(""), *_sum(entry, symbols, width)]
    if row.quotes:
        found.append(Content(""))
    for quote in row.quotes:
        known = f"{quote.figure}  " if quote.figure.value is not None else ""
        text = Content.assemble((known, "bold"), f"{clean(quote.label)}, ")
        text += Content.styled(clean(quote.figure.source), "$muted")
        found += _entry("one says" if quote is row.quotes[0] else "another", text, width)
    return found


def _sum(entry: "Sum", symbols: Symbols, width: int) -> Iterator[Content]:
    # Worked out again for who reads it; the tests do so for every row.
    agrees = entry.agrees()
    symbol, style = (symbols.done, "$success") if agrees else (symbols.warned, "$warning")
    if entry.label:
        yield from _entry("sum", Content(clean(entry.label)), width)
    yield from _entry("" if entry.label else "sum", _spelled(entry.arithmetic, symbols), width)
    result = Content.assemble(
        ("= ", "$muted"), (entry.text(), "bold $accent"), (f" {symbol}", style)
    )
    yield from _entry("", result + _said(entry), width)


def _said(entry: "Sum") -> Content:
    """Return the source's number; one that agrees is no error."""
    if entry.said is None:
        return Content("")
    said = f"{entry.said:,.{entry.digits}f} {entry.unit}".rstrip()
    wrong = said != entry.text()
    return Content.assemble(("   the source: ", "$muted"), (said, "$error" if wrong else ""))


def _spelled(arithmetic: str, symbols: Symbols) -> Content:
    """Return an expression as people write it, where the terminal can."""
    spaced = _OPERATOR.sub(r" \1 ", clean(arithmetic))
    spaced = spaced.replace("**", "^")
    return Content(spaced.replace("*", "×") if symbols is not ASCII else spaced)


def _entry(label: str, text: Content, width: int) -> list[Content]:
    return wrapped(Content.styled(f"{label:<{_INDENT}}", "$muted") + text, width, indent=_INDENT)


def _none_found(width: int) -> Sequence[Content]:
    return wrapped(
        Content.styled("No correction has these words. escape shows all.", "$muted"), width
    )


def figures(row: "Erratum") -> "list[tuple[str, Figure]]":
    """Return every number of a correction with its origin."""
    sums = [(clean(entry.label) or "arithmetic", row.figure(entry)) for entry in row.sums]
    return [*sums, *((clean(quote.label), quote.figure) for quote in row.quotes)]


def _searched(row: "Erratum") -> str:
    return " ".join((row.id, row.area.value, row.source, row.says, row.explanation)).lower()


def _row(row: "Erratum") -> Row:
    if row.sums:
        gives = row.sums[0].text()
        more = len(row.sums) - 1
        result = Content.assemble((gives, "bold"), (f"  +{more}" if more else "", "$muted"))
    else:
        result = Content.styled("they conflict", "$warning")
    return Row(
        key=row.id,
        cells=(
            Content.styled(row.area.value, "$muted"),
            Content.styled(clean(row.source), "$muted"),
            Content(clean(row.says)),
            result,
        ),
    )
