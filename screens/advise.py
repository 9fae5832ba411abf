"""Cloud, hybrid or local for a workload: inputs, the rules, the verdict, and the crossover."""

import gc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget

from fathom_tui.errors import EnvironmentProblem, UsageError
from fathom_tui.screens.adjust import Adjust
from fathom_tui.screens.crossover import Crossover
from fathom_tui.screens.pane import Pane
from fathom_tui.screens.shelf import Shelf
from fathom_tui.screens.shell import Shell
from fathom_tui.screens.slider import Sliders
from fathom_tui.screens.tabs import PanelTabs, activate
from fathom_tui.screens.words import clean

if TYPE_CHECKING:
    # Loaded by the first look, after the first frame.
    from fathom_tui.advice import Advice
    from fathom_tui.catalog import Catalog
    from fathom_tui.catalog_types import ApiPrice
    from fathom_tui.currency import Currency
    from fathom_tui.figures import Figure
    from fathom_tui.setting import Setting
    from fathom_tui.store.ledger import Store
    from fathom_tui.workload import Workload

SIDE = (("tree", "Decision"), ("answer", "Verdict"), ("crossover", "Crossover"))
"""Panels that share a place where there is no room for all."""
PANELS = ("inputs", *(panel for panel, _ in SIDE))


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviseNews:
    """What a look found."""

    catalog: "Catalog"
    """The same object for as long as the user's own rows are the same."""
    devices: tuple[str, ...]
    """Ids of the devices that can be compared with."""
    engagements: tuple[tuple[str, str], ...]
    """(short name, name), the newest first."""


class KeptWorkload(NamedTuple):
    """A workload of an engagement."""

    engagement: str
    workload: "Workload"


class AdviseScreen(Shell[AdviseNews]):
    """Inputs that answer at once."""

    MODE = "advise"
    CSS_PATH = "../assets/styles/advise.tcss"
    AUTO_FOCUS = "#sliders"
    INTERVAL_S = 2.0
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (130, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (34, "-tall")]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "sources", "Sources", tooltip="Source, date and kind of every number"),
        Binding("s", "save", "Save", tooltip="Save the workload into an engagement"),
        Binding("o", "open", "Open", tooltip="Open a workload of an engagement"),
        Binding("z", "zoom", "Zoom", tooltip="Show one panel alone, and back"),
        Binding("tab", "turn(1)", "Next panel", show=False),
        Binding("shift+tab", "turn(-1)", "Previous panel", show=False),
        Binding("escape", "inputs", "Back to the inputs", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.advice: Advice | None = None
        """The answer that is shown; None until the catalog has been read."""
        self.currency: Currency | None = None
        self._work = "workload"
        self._engagement = ""
        self._offer: Offer | None = None
        self._catalog: Catalog | None = None
        self._devices: tuple[str, ...] = ()
        self._engagements: tuple[tuple[str, str], ...] = ()
        self._newest: tuple[ApiPrice, ...] = ()
        """The newest installed prices, once they were asked for."""
        self._setting: tuple[tuple[object, ...], Setting] | None = None

    def body(self) -> Iterator[Widget]:
        """Lay out the verdict's line, the inputs, and the panels beside them."""
        symbols = self.fathom.symbols
        yield Still(id="verdict-line")
        with Container(id="desk"):
            yield Adjust(symbols, self.fathom.places, id="inputs", classes="panel")
            yield PanelTabs(SIDE)
            yield Pane(id="tree", classes="panel side")
            yield Pane(id="answer", classes="panel side")
            yield Crossover(symbols, id="crossover", classes="panel side")

    def on_mount(self) -> None:
        """Name the panels."""
        self.query_one("#inputs").border_title = "Workload"
        for panel, title in SIDE:
            self.query_one(f"#{panel}").border_title = title
        self._activate("tree")

    def on_unmount(self) -> None:
        """Give back what was kept from the search for garbage."""
        gc.unfreeze()

    # Looking.

    def read(self) -> AdviseNews:
        """Read the catalog if the user's rows changed, and the list of engagements."""
        if self._offer is None:
            self._offer = Offer(self.fathom.home.config)
        catalog, devices = self._offer.look()
        rows = self.fathom.store.engagements()
        return AdviseNews(
            catalog=catalog,
            devices=devices,
            engagements=tuple((row.slug, row.name) for row in reversed(rows)),
        )

    def receive(self, news: AdviseNews) -> None:
        """Answer anew where the catalog is another one."""
        from fathom_tui.screens import inputs

        self._engagements = news.engagements
        if news.catalog is self._catalog:
            return
        first = self._catalog is None
        self._catalog, self._devices, self._setting = news.catalog, news.devices, None
        self._fill(inputs.values_of(inputs.START) if first else self.sliders.values)
        if first:
            # What is loaded by now stays: looking through it for garbage, every twenty keys or
            # so, costs one of them 50 ms.
            gc.freeze()

    @property
    def sliders(self) -> Sliders:
        """The inputs."""
        return self.query_one(Sliders)

    # Answering.

    def _fill(self, values: Mapping[str, Any]) -> None:
        """Show these values; names that the catalog lacks give way to the first there is."""
        from fathom_tui.screens import inputs

        catalog = self._priced(values)
        known = {price.id for price in catalog.prices}
        given = dict(values)
        if given["against"] not in known:
            given["against"] = _nearest(given["against"], catalog)
        if given["gpu"] not in self._devices:
            given["gpu"] = self._devices[0]
        self.sliders.fill(inputs.entries(catalog, self._devices), given)
        self.query_one(Adjust).explain()
        self._answer()

    def _priced(self, values: Mapping[str, Any]) -> "Catalog":
        from fathom_tui.screens.inputs import INSTALLED

        assert self._catalog is not None
        newest = values["prices"] == INSTALLED and self._newest
        return replace(self._catalog, prices=self._newest) if newest else self._catalog

    def _set_up(self, values: Mapping[str, Any]) -> "Setting":
        """Return what the workload is judged against; made anew only where its inputs changed."""
        from fathom_tui.screens.inputs import OF_SETTING
        from fathom_tui.setting import setting

        made_of = tuple(values[name] for name in sorted(OF_SETTING))
        if self._setting is None or self._setting[0] != made_of:
            made = setting(
                self._priced(values),
                input_share=values["input_share"],
                against=values["against"],
                gpu=values["gpu"],
            )
            self._setting = made_of, made
        return self._setting[1]

    def _answer(self) -> None:
        """Compute the whole answer and show it."""
        from fathom_tui.advice import advise
        from fathom_tui.currency import currency
        from fathom_tui.screens.inputs import workload_of

        values = self.sliders.values
        try:
            setting = self._set_up(values)
            self.advice = advise(workload_of(values, self._work), setting)
            self.currency = currency(values["currency"], usd_per_gbp=setting.market.usd_per_gbp)
        except UsageError as error:
            self.complain(error, work="answer")
            return
        self.succeed("answer")
        self._show()

    def _show(self) -> None:
        from fathom_tui.screens import answer, decision, inputs

        advice, currency, symbols = self.advice, self.currency, self.fathom.symbols
        if advice is None or currency is None:
            return
        today = self.fathom.now().date()
        self.query_one("#verdict-line", Pane).draw(
            partial(answer.headline, advice, currency, symbols)
        )
        tree, verdict = self.query_one("#tree", Pane), self.query_one("#answer", Pane)
        tree.draw(
            lambda width: _settled(decision.lines(advice, symbols, width, tree.size.height), tree)
        )
        verdict.draw(
            lambda width: _settled(
                answer.lines(advice, currency, symbols, today, self._roomy, width), verdict
            )
        )
        self.query_one(Crossover).show(advice, currency)
        self.sliders.redraw()
        title = "Workload" if self._work == inputs.START.name else self._work
        if self._engagement:
            title = f"{title} · {self._engagement}"
        panel = self.query_one("#inputs")
        if panel.border_title != clean(title):
            panel.border_title = clean(title)
        self.offer(True)

    @property
    def _roomy(self) -> bool:
        """Whether all panels are shown at once."""
        return self.has_class("-wide") and self.has_class("-tall")

    @on(Sliders.Changed)
    def changed(self, event: Sliders.Changed) -> None:
        """Answer anew."""
        from fathom_tui.screens.inputs import BOOK, INSTALLED

        if event.key != "prices":
            self._answer()
        elif event.value == BOOK or self._newest:
            self._fill(self.sliders.values)
        elif event.value == INSTALLED:
            self.sliders.redraw()
            self.ask(partial(_newest_prices, self.fathom.home.cache), self._priced_anew)

    def _priced_anew(self, found: "tuple[ApiPrice, ...] | EnvironmentProblem") -> None:
        from fathom_tui.screens.inputs import BOOK

        if isinstance(found, EnvironmentProblem):
            self.complain(found, work="prices")
            self.sliders.put("prices", BOOK)
            return
        self.succeed("prices")
        self._newest = found
        self._setting = None
        self._fill(self.sliders.values)

    @on(Sliders.Listed)
    def listed(self, event: Sliders.Listed) -> None:
        """Offer the list of an input."""
        from fathom_tui.screens.pick import Pick

        entry = event.entry

        def chosen(id_: str | None) -> None:
            if id_ is not None:
                self.sliders.put(entry.key, id_)

        now = self.sliders.values[entry.key]
        self.app.push_screen(Pick(entry.title, entry.options, chosen=now), chosen)

    # Panels.

    def action_turn(self, step: int) -> None:
        """Go to the next panel, or the one before."""
        here = next((p for p in PANELS if self.query_one(f"#{p}").has_focus_within), "inputs")
        self.action_panel(PANELS[(PANELS.index(here) + step) % len(PANELS)])

    def action_panel(self, panel: str) -> None:
        """Go to a panel."""
        self._activate(panel)
        # At once: over a slow line the next Tab may already be here.
        self.set_focus(self.sliders if panel == "inputs" else self.query_one(f"#{panel}"))

    def action_inputs(self) -> None:
        """Show all panels, and go to the inputs."""
        self.query_one("#desk").remove_class("-zoomed")
        self.set_focus(self.sliders)

    def action_zoom(self) -> None:
        """Show the panel with the cursor alone, or all again."""
        self.query_one("#desk").toggle_class("-zoomed")

    def on_descendant_focus(self) -> None:
        """Remember the panel for zooming."""
        for panel in PANELS:
            if self.query_one(f"#{panel}").has_focus_within:
                self._activate(panel)

    def _activate(self, panel: str) -> None:
        activate(self, panel, PANELS, SIDE)

    # Asking.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what needs an answer."""
        return (
            True if self.advice is not None or action not in ("sources", "save", "open") else None
        )

    def action_sources(self) -> None:
        """Show where the numbers are from, beginning with what the cursor is on."""
        from fathom_tui.screens.sources import SourcesDialog

        if self.advice is None or self.currency is None or self._catalog is None:
            return
        figures = figures_of(self.advice, self.currency, self._catalog)
        entry = self.sliders.entry if self.sliders.has_focus else None
        wanted = _FIRST_FIGURE.get(entry.key if entry is not None else "", "")
        at = next((n for n, (name, _) in enumerate(figures) if name.startswith(wanted)), 0)
        title = "Where the numbers are from"
        self.app.push_screen(SourcesDialog(title, figures, at=at if wanted else 0))

    def action_save(self) -> None:
        """Ask where to, then record the workload."""
        from fathom_tui.screens.keep import KeepForm, Kept

        if self.advice is None:
            return
        if not self._engagements:
            self.notify("There is no engagement yet: press 1 and n on a panel beside the inputs.")
            return
        workload = self.advice.workload

        def answered(kept: Kept | None) -> None:
            if kept is not None:
                named = replace(workload, name=kept.name)
                self.ask(
                    partial(_keep, self.fathom.store, kept.engagement, named),
                    lambda _: self._kept(kept),
                )

        self.app.push_screen(KeepForm(self._work, self._engagements, self._engagement), answered)

    def _kept(self, kept: tuple[str, str]) -> None:
        self._engagement, self._work = kept
        self.notify(f"{clean(self._work)} is saved in {clean(self._engagement)}.")
        self._answer()

    def action_open(self) -> None:
        """Read what the engagements have, then offer it."""
        slugs = [slug for slug, _ in self._engagements]
        self.ask(partial(_kept_workloads, self.fathom.store, slugs), self._offer_kept)

    def _offer_kept(self, kept: Sequence[KeptWorkload]) -> None:
        from fathom_tui.economics import millions
        from fathom_tui.screens.pick import Pick
        from fathom_tui.screens.slider import Option

        if not kept:
            self.notify("No engagement has a workload yet: s saves this one.")
            return
        options = [
            Option(
                str(index),
                f"{each.engagement}: {each.workload.name}",
                f"{millions(each.workload.tokens_per_day)} tokens/day",
            )
            for index, each in enumerate(kept)
        ]

        def chosen(index: str | None) -> None:
            if index is not None:
                self._take(kept[int(index)])

        self.app.push_screen(Pick("Open a workload", options), chosen)

    def _take(self, kept: KeptWorkload) -> None:
        from fathom_tui.screens.inputs import values_of

        values = self.sliders.values
        others = {key: values[key] for key in ("against", "gpu", "prices", "currency")}
        self._engagement, self._work = kept.engagement, kept.workload.name
        self._fill(values_of(kept.workload, others))


_STEP = 32
"""Lines by which text grows that is longer than its panel."""


def _settled(lines: list[Content], pane: Pane) -> list[Content]:
    """Fill up with empty lines: another number of lines would lay out the whole screen anew."""
    height = max(1, pane.size.height)
    wanted = height if len(lines) <= height else -(-len(lines) // _STEP) * _STEP
    return lines + [Content("")] * (wanted - len(lines))


class Still(Pane, can_focus=False):
    """Text that needs no cursor."""


class Offer:
    """The catalog with the user's own rows, and the devices in it that can be compared with."""

    def __init__(self, config: Path) -> None:
        self._shelf = Shelf(config)
        self._held: tuple[Catalog, tuple[str, ...]] | None = None

    def look(self) -> "tuple[Catalog, tuple[str, ...]]":
        """Return the catalog and the ids of those devices; read again when the catalog changes.

        Raises:
            UsageError: A row of the user's cannot be used; names file, line and key.
        """
        from fathom_tui.screens.inputs import usable
        from fathom_tui.setting import REFERENCE_API

        found = self._shelf.look()
        if self._held is None or self._held[0] is not found:
            self._held = found, usable(found, REFERENCE_API)
        return self._held


def _newest_prices(cache: Path) -> "tuple[ApiPrice, ...] | EnvironmentProblem":
    from fathom_tui.sources.prices import current_prices

    try:
        return current_prices(cache)
    except EnvironmentProblem as problem:
        return problem


def _nearest(wanted: str, catalog: "Catalog") -> str:
    """Return the id of the price that a name stands for; the first one where it is unknown."""
    try:
        return catalog.price(wanted).id
    except UsageError:
        return catalog.prices[0].id


def _keep(store: "Store", slug: str, workload: "Workload") -> None:
    from fathom_tui.store.workloads import keep_workload

    keep_workload(store, slug, workload)


def _kept_workloads(store: "Store", slugs: Sequence[str]) -> list[KeptWorkload]:
    from fathom_tui.store.workloads import workloads

    return [KeptWorkload(slug, kept) for slug in slugs for kept in workloads(store, slug)]


_FIRST_FIGURE = {
    "against": "price of",
    "prices": "price of",
    "gpu": "device ",
    "currency": "assumed: exchange",
}
"""With which figure the sources begin, by the input under the cursor."""

_SUMS = {
    "cloud": "cloud, full price",
    "cloud_optimised": "cloud, with discounts",
    "hybrid": "hybrid",
    "local": "local",
    "local_hardware": "local: hardware",
    "local_electricity": "local: electricity",
    "local_operations": "local: operations",
    "local_tuning": "local: tuning",
    "compliance": "compliance",
    "cheapest_api": "cheapest API",
}
_PRICE = (("input_usd", "input"), ("output_usd", "output"), ("cached_input_usd", "cached"))
_DEVICE = (
    ("price_new_low", "GBP", "new, from"),
    ("price_new_high", "GBP", "new, up to"),
    ("price_used_low", "GBP", "used, from"),
    ("price_used_high", "GBP", "used, up to"),
    ("watts", "W", "power"),
    ("bandwidth_gb_s", "GB/s", "bandwidth"),
    ("bf16_tflops", "TFLOPS", "BF16"),
)


def figures_of(
    advice: "Advice", currency: "Currency", catalog: "Catalog"
) -> list[tuple[str, "Figure"]]:
    """Return every number of an answer: sums, volumes, prices, the device, the assumptions."""
    from fathom_tui.advice import monthly, tokens_figure
    from fathom_tui.economics import Market

    setting = advice.setting
    price, gpu = setting.price, setting.gpu
    found = [(_SUMS[name], figure) for name, figure in monthly(advice, currency).items()]
    if advice.crossover is not None:
        found.append(
            (
                "machine against full price",
                tokens_figure(advice.crossover.tokens_per_day, advice, "fixed sum / price a token"),
            )
        )
    found.append(
        ("hybrid from", tokens_figure(advice.hybrid_from, advice, "hybrid against the API"))
    )
    speed = f"estimated speed of {setting.machine.name}, low end"
    found.append(("capacity", tokens_figure(advice.capacity, advice, speed)))
    for field, what in (
        ("input_usd", "input"),
        ("output_usd", "output"),
        ("cached_input_usd", "cached"),
    ):
        if getattr(price, field) is not None:
            found.append((f"price of {price.name}, {what}", price.figure(field, "USD/1M")))
    for field, unit, what in _DEVICE:
        if getattr(gpu, field) is not None:
            found.append((f"device {what}: {gpu.name}", gpu.figure(field, unit)))
    for name in Market.__dataclass_fields__:
        row = catalog.assumption(name)
        found.append((f"assumed: {row.name.lower()}", row.figure("value", row.unit)))
    return found
