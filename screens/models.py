"""The models: what there is in each size, under which licence, and what memory it takes."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from fathom_tui.screens import calculator, licences
from fathom_tui.screens.calculator import Calculator, Choice, Rung
from fathom_tui.screens.dials import (
    CONTEXTS,
    KV_TYPES,
    START_MODEL,
    billions,
    gigabytes,
    stepped,
    thousands,
)
from fathom_tui.screens.grid import Column, Grid, Row
from fathom_tui.screens.pane import Pane, wrapped
from fathom_tui.screens.search import Search, matches
from fathom_tui.screens.shelf import Shelf
from fathom_tui.screens.shell import Shell
from fathom_tui.screens.symbols import Symbols
from fathom_tui.screens.tabs import PanelTabs, activate
from fathom_tui.screens.words import clean, plural

if TYPE_CHECKING:
    # Loaded by the first look, after the first frame.
    from fathom_tui.catalog import Catalog
    from fathom_tui.catalog_types import Model, Retired, Tier

LOWER = (("ladder", "Quantisations"), ("memory", "Memory"), ("about", "About"))
"""Panels that share a place where there is no room for all."""
PANELS = ("models", *(panel for panel, _ in LOWER))
COLUMNS = (
    Column(title="model", cut="middle"),
    Column(title="family", width=11, from_width=96),
    Column(title="tier", width=6),
    Column(title="total", width=6, align="right"),
    Column(title="active", width=6, align="right"),
    Column(title="ctx", width=4, align="right"),
    Column(title="lang", width=4, align="right"),
    Column(title="licence", width=18, wide=(110, 29)),
)
LADDER = (
    Column(title="quant", width=7),
    Column(title="bits", width=5, align="right"),
    Column(title="file GB", width=7, align="right"),
    Column(title="smallest device", width=20),
    Column(title="use"),
)

_LINES = 8


class ModelsScreen(Shell["Catalog"]):
    """A list of models; of the one under the cursor its files, its memory and its terms."""

    MODE = "models"
    CSS_PATH = "../assets/styles/models.tcss"
    AUTO_FOCUS = "#models"
    INTERVAL_S = 2.0
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (130, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (36, "-tall")]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Filter", key_display="/", tooltip="Narrow the list by words"),
        Binding("b", "quant(1)", "Bits", tooltip="The next larger quantisation"),
        Binding("B", "quant(-1)", "The next smaller quantisation", show=False),
        Binding("c", "context(1)", "Context", tooltip="Twice the context"),
        Binding("C", "context(-1)", "Half the context", show=False),
        Binding("t", "kv_type(1)", "The next type of the KV cache", show=False),
        Binding("T", "kv_type(-1)", "The type of the KV cache before", show=False),
        Binding("e", "sources", "Sources", tooltip="Source, date and kind of every number"),
        Binding("z", "zoom", "Show one panel alone, and back", show=False),
        Binding("tab", "step(1)", "Next panel", show=False),
        Binding("shift+tab", "step(-1)", "Previous panel", show=False),
        Binding("escape", "clear", "Back from zoom; show all models again", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.choice = Choice()
        self._shelf: Shelf | None = None
        self._catalog: Catalog | None = None
        self._models: dict[str, Model] = {}
        self._tiers: dict[str, Tier] = {}
        self._calculators: dict[str, Calculator] = {}
        """Of the models that were looked at."""

    def body(self) -> Iterator[Widget]:
        """Lay out the list, and the panels about one model."""
        with Container(id="shop"):
            with Container(id="shelf"):
                yield Search("words of a name, a family, a tier, a licence, a language")
                yield Static("", id="warning")
                yield Grid(*COLUMNS, id="models", classes="panel")
            with Container(id="beside"):
                yield PanelTabs(LOWER)
                yield Grid(*LADDER, id="ladder", classes="panel lower")
                yield Pane(id="memory", classes="panel lower")
                yield Pane(id="about", classes="panel lower")

    def on_mount(self) -> None:
        """Name the panels."""
        self.query_one("#models").border_title = "Models"
        for panel, title in LOWER:
            self.query_one(f"#{panel}").border_title = title
        self._activate("ladder")

    # Looking.

    def read(self) -> "Catalog":
        """Read the catalog if the user's rows changed."""
        if self._shelf is None:
            self._shelf = Shelf(self.fathom.home.config)
        return self._shelf.look()

    def receive(self, news: "Catalog") -> None:
        """Show the models where the catalog is another one."""
        if news is self._catalog:
            return
        self._catalog = news
        self._calculators.clear()
        self._tiers = {tier.id: tier for tier in news.tiers}
        order = list(self._tiers)
        models = sorted(news.models, key=lambda model: (order.index(model.tier), model.parameters))
        first = not self._models
        self._models = {model.id: model for model in models}
        self._narrow()
        if first:
            # The table scrolls once it is laid out.
            self.call_after_refresh(self.query_one("#models", Grid).show, START_MODEL)

    @property
    def model(self) -> "Model | None":
        """The model under the cursor."""
        return self._models.get(self.query_one("#models", Grid).key or "")

    # Showing.

    @on(Search.Changed)
    def _narrow(self) -> None:
        words = self.query_one(Search).words
        tiers, symbols = self._tiers, self.fathom.symbols
        found = [m for m in self._models.values() if matches(_searched(m, tiers[m.tier]), words)]
        grid = self.query_one("#models", Grid)
        grid.fill([_row(model, tiers[model.tier], symbols) for model in found])
        marks = (
            f"{symbols.done} free use  {symbols.warned} with terms  {symbols.refused} no commerce"
        )
        grid.border_title = f"{plural(len(found), 'model')} · licence: {marks}"
        if words:
            grid.cursor = 0  # the best hit of a list in order of size is its first
        self.query_one(Search).tell(f"{len(found)} of {len(self._models)}")
        self._warn(bool(found))
        self._show()
        self.offer(bool(found))

    def _warn(self, any_found: bool) -> None:
        """Warn of a family that newer ones have replaced; say so where nothing was found."""
        symbols = self.fathom.symbols
        # Names are written with a hyphen where people type a space.
        name = "-".join(self.query_one(Search).text.split())
        row = self._catalog.retired_family(name) if self._catalog and name else None
        warning = self.query_one("#warning", Static)
        warning.set_class(row is not None or not any_found, "-said")
        if row is not None:
            warning.update(retirement(row, symbols))
        elif not any_found:
            warning.update(Content.styled("No model has these words. escape shows all.", "$muted"))

    @on(Grid.Moved, "#models")
    def _show(self) -> None:
        """Show what the panels say of the model under the cursor."""
        memory, about = self.query_one("#memory", Pane), self.query_one("#about", Pane)
        model, symbols = self.model, self.fathom.symbols
        if model is None:
            self.query_one("#ladder", Grid).fill([])
            memory.draw(lambda width: ())
            about.draw(lambda width: ())
            return
        self._show_ladder(model)
        memory.draw(partial(calculator.lines, self._calculator(model), self.choice, symbols))
        about.draw(partial(about_lines, model, self._tiers[model.tier], symbols))
        about.border_title = clean(model.name)

    def _calculator(self, model: "Model") -> Calculator:
        assert self._catalog is not None
        if model.id not in self._calculators:
            self._calculators[model.id] = Calculator(self._catalog, model)
        return self._calculators[model.id]

    def _show_ladder(self, model: "Model") -> None:
        ladder, choice = self.query_one("#ladder", Grid), self.choice
        rungs = self._calculator(model).rungs(choice)
        ladder.fill([_rung(rung, self.fathom.symbols) for rung in rungs])
        with self.prevent(Grid.Moved):
            ladder.show(choice.quant)
        self.query_one(PanelTabs).subject = clean(model.id)
        ladder.border_title = f"Quantisations of {clean(model.id)}"
        ladder.border_subtitle = f"devices: with {thousands(choice.context)} of context"
        self.query_one("#memory").border_title = f"Memory of {clean(model.id)}"

    @on(Grid.Moved, "#ladder")
    def climbed(self) -> None:
        """Compute for the quantisation under the cursor."""
        key = self.query_one("#ladder", Grid).key
        if key is not None and key != self.choice.quant:
            self.choice = replace(self.choice, quant=key)
            self._show()

    # Keys.

    def action_quant(self, steps: int) -> None:
        """Choose a larger or smaller quantisation."""
        self.query_one("#ladder", Grid).action_move(steps)

    def action_context(self, steps: int) -> None:
        """Choose a longer or shorter context."""
        self._choose(replace(self.choice, context=stepped(CONTEXTS, self.choice.context, steps)))

    def action_kv_type(self, steps: int) -> None:
        """Choose what the KV cache is stored in."""
        self._choose(replace(self.choice, kv_type=stepped(KV_TYPES, self.choice.kv_type, steps)))

    def _choose(self, choice: Choice) -> None:
        if choice != self.choice:
            self.choice = choice
            self._show()

    def action_search(self) -> None:
        """Open the filter."""
        self.query_one(Search).open()

    def action_clear(self) -> None:
        """Leave the zoom, else show all models again."""
        shop = self.query_one("#shop")
        if shop.has_class("-zoomed"):
            shop.remove_class("-zoomed")
        else:
            self.query_one(Search).clear()

    @on(Search.Left)
    def back(self) -> None:
        """Go back to the list."""
        self.query_one("#models").focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what needs a model."""
        if action == "sources":
            # Before the first look there is no list to ask.
            return True if self._models and self.model is not None else None
        return True

    def action_sources(self) -> None:
        """Show where the numbers are from."""
        from fathom_tui.screens.sources import SourcesDialog

        model = self.model
        if model is not None:
            figures = calculator.figures(self._calculator(model), self.choice)
            self.app.push_screen(SourcesDialog(clean(model.name), figures))

    # Panels.

    def action_step(self, step: int) -> None:
        """Go to the next panel, or the one before."""
        here = next((p for p in PANELS if self.query_one(f"#{p}").has_focus), "models")
        self.action_panel(PANELS[(PANELS.index(here) + step) % len(PANELS)])

    def action_panel(self, panel: str) -> None:
        """Go to a panel."""
        self._activate(panel)
        self.query_one(f"#{panel}").focus()

    def action_zoom(self) -> None:
        """Show the panel with the cursor alone, or all again."""
        self.query_one("#shop").toggle_class("-zoomed")

    def on_descendant_focus(self) -> None:
        """Remember the panel for zooming."""
        focused = self.focused
        if focused is not None and focused.id in PANELS:
            self._activate(focused.id)

    def _activate(self, panel: str) -> None:
        self.query_one("#shop").set_class(panel == "models", "-list")
        activate(self, panel, PANELS, LOWER)


def about_lines(model: "Model", tier: "Tier", symbols: Symbols, width: int) -> list[Content]:
    """Return what there is to know of a model before one chooses it."""
    found: list[Content] = []
    for label, text in _about(model, tier, symbols):
        entry = Content.styled(f"{label:<11}", "$muted") + text
        found += wrapped(entry, width, indent=11)
    # In steps of so many lines: another number of them makes Textual lay out the whole screen.
    return found + [Content("")] * (-len(found) % _LINES)


def _about(model: "Model", tier: "Tier", symbols: Symbols) -> Iterator[tuple[str, Content]]:
    yield "licence", licences.terms(model, symbols)
    yield "good at", Content(clean(", ".join(tier.good_at)))
    yield "not at", Content(clean(", ".join(tier.not_at)))
    yield "languages", Content(licences.languages(model))
    yield "made", Content(_made(model))
    yield "shape", Content(calculator.shape(model.architecture))
    if model.hub:
        yield "hub", Content(clean(model.hub))
    if model.ollama:
        yield "ollama", Content(clean(model.ollama))
    if model.note:
        yield "note", Content(clean(model.note))
    if tier.note:
        yield "tier", Content(clean(tier.note))


def _made(model: "Model") -> str:
    released = clean(model.released) or "unknown"
    return f"{clean(model.family)}, {released}" + (
        ", answers after reasoning" if model.reasoning else ""
    )


def retirement(row: "Retired", symbols: Symbols) -> Content:
    """Return the warning of a family that newer ones have replaced."""
    return Content.assemble(
        (f"{symbols.warned} {clean(row.name)} is retired: ", "bold $warning"),
        f"{clean(row.note)} Today: ",
        (clean(row.instead), "bold"),
        (f"  ({clean(row.origin.source)})", "$muted"),
    )


def _searched(model: "Model", tier: "Tier") -> str:
    names = (model.id, model.name, model.family, tier.id, tier.name, model.licence, model.hub)
    uses = "commercial" if model.commercial else "non-commercial"
    return " ".join((*names, *model.aliases, uses, licences.languages(model))).lower()


def _row(model: "Model", tier: "Tier", symbols: Symbols) -> Row:
    whole = model.active_parameters == model.parameters
    return Row(
        key=model.id,
        cells=(
            Content(clean(model.name)),
            Content.styled(clean(model.family), "$muted"),
            Content.styled(clean(tier.id).upper(), "$muted"),
            Content(billions(model.parameters)),
            Content("" if whole else billions(model.active_parameters)),
            Content(thousands(model.architecture.context)),
            Content(str(len(model.languages) or "?")),
            licences.licence(model, symbols),
        ),
    )


def _rung(rung: Rung, symbols: Symbols) -> Row:
    device = rung.device
    return Row(
        key=rung.quant.id,
        cells=(
            Content(clean(rung.quant.name)),
            Content(f"{rung.bits:.2f}"),
            Content(("" if rung.exact else "~") + gigabytes(rung.file)),
            Content(clean(device.id))
            if device is not None
            else Content.styled(f"{symbols.refused} none holds it", "$error"),
            Content.styled(clean(rung.quant.use), "$muted"),
        ),
    )
