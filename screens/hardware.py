"""The hardware: a matrix of devices and models that says what fits, how fast, and at what price."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget

from fathom_tui.errors import UsageError
from fathom_tui.screens import terms
from fathom_tui.screens.cells import TITLES, WIDTH, WIDTHS, Answers, Asked, Sort, View, legend
from fathom_tui.screens.dials import (
    CONTEXTS,
    START_DEVICE,
    START_MODEL,
    pounds,
    price_of,
    stepped,
    thousands,
    turned,
)
from fathom_tui.screens.grid import Column
from fathom_tui.screens.matrix import Head, Matrix
from fathom_tui.screens.pane import Pane, wrapped
from fathom_tui.screens.search import Search, matches
from fathom_tui.screens.shelf import Shelf
from fathom_tui.screens.shell import Shell
from fathom_tui.screens.symbols import Symbols
from fathom_tui.screens.views import Views
from fathom_tui.screens.words import clean

if TYPE_CHECKING:
    # Loaded by the first look, after the first frame.
    from fathom_tui.catalog import Catalog
    from fathom_tui.catalog_types import Gpu, Model

FIXED = (
    Column(title="device", width=18),
    Column(title="GiB", width=4, align="right"),
    Column(title="£ from", width=6, align="right"),
    Column(title="£ to", width=5, align="right", from_width=110),
    Column(title="$/hour", width=6, align="right", from_width=110),
)
LINES = 3
"""Of the column heads: the model's name on two lines, and what it needs."""


class HardwareScreen(Shell["Catalog"]):
    """Devices from top to bottom, models from left to right, an answer where they meet."""

    MODE = "hardware"
    CSS_PATH = "../assets/styles/hardware.tcss"
    AUTO_FOCUS = "#matrix"
    INTERVAL_S = 2.0
    VERTICAL_BREAKPOINTS = [(0, "-short"), (34, "-tall")]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Filter", key_display="/", tooltip="Narrow devices and models"),
        Binding("s", "sort(1)", "Sort", tooltip="Sort by memory, price, tokens/s, name"),
        Binding("S", "sort(-1)", "The order before", show=False),
        Binding("v", "view(1)", "View", tooltip="Answering, tokens/s, QLoRA, LoRA, full training"),
        Binding("V", "view(-1)", "The view before", show=False),
        Binding("b", "quant(1)", "The next larger quantisation", show=False),
        Binding("B", "quant(-1)", "The next smaller quantisation", show=False),
        Binding("c", "context(1)", "Twice the context", show=False),
        Binding("C", "context(-1)", "Half the context", show=False),
        Binding("e", "sources", "Sources", tooltip="Source, date and kind of every number"),
        Binding("tab,shift+tab", "turn", "Between matrix and terms", show=False),
        Binding("escape", "clear", "Show all devices and models again", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.asked = Asked()
        self.sort = Sort.MEMORY
        self._fastest_with = START_MODEL
        """The model that devices are sorted by the tokens a second of."""
        self._shelf: Shelf | None = None
        self._answers: Answers | None = None

    def body(self) -> Iterator[Widget]:
        """Lay out the views, the matrix, and what is said of the cell under the cursor."""
        yield Views(TITLES)
        yield Search("words of devices and models: 24gb 3090|4090 qwen 8b")
        with Container(id="hall"):
            yield Matrix(FIXED, LINES, "models", id="matrix", classes="panel")
            yield Pane(id="cell", classes="panel")

    # Looking.

    def read(self) -> "Catalog":
        """Read the catalog if the user's rows changed."""
        if self._shelf is None:
            self._shelf = Shelf(self.fathom.home.config)
        return self._shelf.look()

    def receive(self, news: "Catalog") -> None:
        """Show the matrix where the catalog is another one."""
        first = self._answers is None
        if self._answers is not None and news is self._answers.catalog:
            return
        self._answers = Answers(news, self.fathom.symbols)
        self._fill()
        if first:
            self.matrix.show(START_DEVICE, START_MODEL)

    @property
    def matrix(self) -> Matrix:
        """The matrix."""
        return self.query_one(Matrix)

    # Showing.

    @on(Search.Changed)
    def _fill(self) -> None:
        """Show the devices and models that are wanted, in the order that is wanted."""
        answers, asked = self._answers, self.asked
        if answers is None:
            return
        gpus, models = wanted(answers.catalog, self.query_one(Search).words)
        ordered = answers.order(gpus, self.sort, self._fastest_with, asked)
        self.matrix.fill(
            [_row(gpu) for gpu in ordered],
            [model.id for model in models],
            partial(answers.head, asked=asked),
            partial(answers.cell, asked=asked),
            WIDTHS.get(asked.view, WIDTH),
            legend(asked, self.fathom.symbols),
        )
        self._tell(len(gpus), len(models))
        self._say()

    def _tell(self, gpus: int, models: int) -> None:
        answers, asked = self._answers, self.asked
        assert answers is not None
        total = answers.catalog
        self.query_one(Search).tell(
            f"{gpus} of {len(total.gpus)} devices, {models} of {len(total.models)} models"
        )
        views = self.query_one(Views)
        views.active = asked.view.value
        of = self.sort is Sort.SPEED and self.has_class("-wide")
        views.settings = Content.assemble(
            ("b ", "$accent"),
            (clean(total.quant(asked.quant).name), "bold"),
            ("   c ", "$accent"),
            (f"{thousands(asked.context)} context", "bold"),
            ("   s ", "$accent"),
            f"{self.sort}" + (f" of {clean(self._fastest_with)}" if of else ""),
        )
        self.offer(bool(gpus and models))

    @on(Matrix.Moved)
    def _say(self) -> None:
        """Say what there is to say of the cell under the cursor."""
        pane, met = self.query_one("#cell", Pane), self._met()
        if not isinstance(met, terms.Meeting):
            pane.draw(partial(_refused, met, self.fathom.symbols))
            return
        pane.border_title = terms.title(met)
        draw = terms.lines if self.has_class("-tall") else terms.summary
        pane.draw(partial(draw, met, self.fathom.symbols))

    def _met(self) -> terms.Meeting | UsageError | None:
        place, answers = self.matrix.place, self._answers
        if place is None or answers is None:
            return None
        try:
            return terms.meeting(answers, place.row, place.column, self.asked)
        except UsageError as error:
            return error

    # Keys.

    def action_view(self, steps: int) -> None:
        """Show something else in the cells."""
        self._ask(replace(self.asked, view=turned(list(View), self.asked.view, steps)))

    def action_show(self, view: str) -> None:
        """Show this in the cells."""
        self._ask(replace(self.asked, view=View(view)))

    def action_quant(self, steps: int) -> None:
        """Choose a larger or smaller quantisation."""
        if self._answers is not None:
            quants = sorted(self._answers.catalog.quants, key=lambda quant: quant.rank)
            names = [quant.id for quant in quants]
            self._ask(replace(self.asked, quant=stepped(names, self.asked.quant, steps)))

    def action_context(self, steps: int) -> None:
        """Choose a longer or shorter context."""
        self._ask(replace(self.asked, context=stepped(CONTEXTS, self.asked.context, steps)))

    def _ask(self, asked: Asked) -> None:
        if asked != self.asked:
            self.asked = asked
            self._fill()

    def action_sort(self, steps: int) -> None:
        """Choose another order; tokens a second are those of the model under the cursor."""
        self.sort = turned(list(Sort), self.sort, steps)
        if self.matrix.place is not None:
            self._fastest_with = self.matrix.place.column
        self._fill()

    def action_search(self) -> None:
        """Open the filter."""
        self.query_one(Search).open()

    def action_clear(self) -> None:
        """Show all devices and models again."""
        self.query_one(Search).clear()

    @on(Search.Left)
    def back(self) -> None:
        """Go back to the matrix."""
        self.matrix.focus()

    def action_turn(self) -> None:
        """Go from the matrix to the terms, or back."""
        (self.query_one("#cell") if self.matrix.has_focus else self.matrix).focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what needs a cell."""
        if action == "sources":
            # Before the first look there is no matrix to ask.
            return True if self._answers is not None and self.matrix.place is not None else None
        return True

    @on(Matrix.Chosen)
    def open_terms(self) -> None:
        """Show every term of the cell."""
        from fathom_tui.screens.cell import CellDialog

        met = self._met()
        if isinstance(met, terms.Meeting) and self._answers is not None:
            figures = terms.figures(met, self._answers)
            self.app.push_screen(CellDialog(met, figures, self.fathom.symbols))

    def action_sources(self) -> None:
        """Show where the numbers are from."""
        from fathom_tui.screens.sources import SourcesDialog

        met = self._met()
        if isinstance(met, terms.Meeting) and self._answers is not None:
            figures = terms.figures(met, self._answers)
            self.app.push_screen(SourcesDialog(terms.title(met), figures))


def wanted(catalog: "Catalog", words: Sequence[str]) -> "tuple[Sequence[Gpu], Sequence[Model]]":
    """Return the devices and the models, smallest first, that words are about.

    A word narrows the devices if one has it, and the models if one has it; a word that nothing
    has leaves nothing.
    """
    gpus = {gpu.id: _device_text(gpu) for gpu in catalog.gpus}
    models = {model.id: _model_text(model) for model in catalog.models}
    of_gpus = [word for word in words if any(matches(text, [word]) for text in gpus.values())]
    of_models = [word for word in words if any(matches(text, [word]) for text in models.values())]
    if any(word not in of_gpus and word not in of_models for word in words):
        return (), ()
    found = [model for model in catalog.models if matches(models[model.id], of_models)]
    return (
        [gpu for gpu in catalog.gpus if matches(gpus[gpu.id], of_gpus)],
        sorted(found, key=lambda model: (model.parameters, model.id)),
    )


def _device_text(gpu: "Gpu") -> str:
    memory = f"{gpu.memory_gib:g}gb"
    return " ".join((gpu.id, gpu.name, gpu.vendor, gpu.form, memory, *gpu.aliases)).lower()


def _model_text(model: "Model") -> str:
    return " ".join((model.id, model.name, model.family, model.tier)).lower()


def _row(gpu: "Gpu") -> Head:
    known = price_of(gpu)
    low = pounds(known[0]) + (" u" if known[2] else "") if known is not None else ""
    rents = [rental.usd_per_hour_low for rental in gpu.rentals]
    return Head(
        gpu.id,
        (
            clean(gpu.id),
            f"{gpu.memory_gib:.3g}",
            low,
            pounds(known[1]) if known is not None else "",
            f"{min(rents):.2f}" if rents else "",
        ),
    )


def _refused(problem: UsageError | None, symbols: Symbols, width: int) -> list[Content]:
    if problem is None:
        none = "No device or no model has these words. escape shows all."
        return wrapped(Content.styled(none, "$muted"), width)
    said = Content.styled(f"{symbols.refused} {clean(problem.message)} ", "$error")
    return wrapped(said + clean(problem.fix), width)
