"""What a report is about: an engagement's advice, and where each of its numbers is from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fathom_tui.advice import Advice
from fathom_tui.catalog import Catalog
from fathom_tui.catalog_types import Assumption, Gpu, Origin, Service
from fathom_tui.currency import Currency
from fathom_tui.economics import Machine, Market
from fathom_tui.errors import UsageError
from fathom_tui.figures import Kind
from fathom_tui.reports.document import Note
from fathom_tui.setting import REFERENCE_MACHINE, Setting

GIVEN = "given for this report"
"""The source of a value that differs from the catalog's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An engagement on its way to a reader."""

    name: str
    slug: str
    date: str
    """ISO date of the report."""
    advices: tuple[Advice, ...]
    """One for each workload, at least one; all against the same API and device."""
    currency: Currency
    assumptions: Mapping[str, Assumption]
    """By id, with the values that were used: the fields of `Market`, and the machine's."""
    tuning: Service | None = None
    """What a fine-tuning costs where it is bought."""

    @property
    def main(self) -> Advice:
        """The advice for the largest workload."""
        return max(self.advices, key=lambda advice: advice.workload.tokens_per_day)

    @property
    def setting(self) -> Setting:
        """What everything is compared with."""
        return self.main.setting

    def money(self, gbp: float | None) -> str:
        """Return pounds in the currency of the report; None is unknown, and says so."""
        return "unknown" if gbp is None else self.currency.show(gbp)

    def note(self, id_: str, text: str) -> Note:
        """Return a footnote with the source of an assumption."""
        return note(text, self.assumptions[id_].origin)


def note(text: str, origin: Origin) -> Note:
    """Return a footnote with a row's source."""
    return Note(text=text, source=origin.source, as_of=origin.as_of, kind=origin.kind)


def check_subject(advices: Sequence[Advice], slug: str) -> None:
    """Refuse an engagement about which there is nothing to report.

    Raises:
        UsageError: It has no workload.
    """
    if not advices:
        raise UsageError(
            f"{slug} has no workload to report on.",
            fix=f"fathom advise --tokens-per-day 2M --name NAME --engagement {slug}",
        )


def used_assumptions(catalog: Catalog, setting: Setting, date: str) -> dict[str, Assumption]:
    """Return every assumption with the value used; one that differs from its row was given.

    Args:
        catalog: The rows with their sources.
        setting: What the advice was computed with.
        date: ISO date on which a changed value was given.
    """
    given = Origin(source=GIVEN, as_of=date, kind=Kind.ASSUMED)

    def used(row: Assumption, value: float) -> Assumption:
        if value == row.value:
            return row
        return replace(row, value=value, low=None, high=None, origin=given, note="")

    found = {
        name: used(catalog.assumption(name), getattr(setting.market, name))
        for name in Market.__dataclass_fields__
    }
    return found | {
        row.id: used(row, value) for row, value in _machine_rows(catalog, setting, given)
    }


def _machine_rows(
    catalog: Catalog, setting: Setting, given: Origin
) -> tuple[tuple[Assumption, float], ...]:
    """Return the machine's price and draw as assumptions, with the values used."""
    gpu, machine = setting.gpu, setting.machine
    if gpu.id == REFERENCE_MACHINE:
        price = catalog.assumption("pair_price_gbp")
        watts = catalog.assumption("pair_watts")
    else:
        price = Assumption(
            id="",
            name="",
            value=machine.price_gbp,
            unit="GBP",
            origin=_price_origin(gpu, machine) or given,
        )
        watts = Assumption(
            id="", name="", value=machine.watts, unit="W", origin=gpu.origin_of("watts")
        )
    return (
        (replace(price, id="machine_price_gbp", name=f"Price of {gpu.name}"), machine.price_gbp),
        (replace(watts, id="machine_watts", name=f"{gpu.name} at work"), machine.watts),
    )


def _price_origin(gpu: Gpu, machine: Machine) -> Origin | None:
    """Return where the price is from if it is the middle of one of the catalog's ranges."""
    for field, low, high in (
        ("price_new_low", gpu.price_new_low, gpu.price_new_high),
        ("price_used_low", gpu.price_used_low, gpu.price_used_high),
    ):
        if low is not None and high is not None and (low + high) / 2 == machine.price_gbp:
            return gpu.origin_of(field)
    return None
