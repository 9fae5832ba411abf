"""Engagements to report on, with every number fixed: a change of the catalog changes none."""

from dataclasses import replace
from types import MappingProxyType

from fathom_tui.advice import POUNDS, advise
from fathom_tui.catalog_types import Assumption, Service
from fathom_tui.currency import Currency
from fathom_tui.economics import Market
from fathom_tui.reports.subject import Subject
from fathom_tui.setting import Setting
from fathom_tui.workload import Workload
from tests.advising import BOOK, MACHINE, MARKET, SETTING

DATE = "2026-04-20"


def assumption(id_: str, value: float, unit: str = "") -> Assumption:
    return Assumption(id=id_, name=id_, origin=BOOK, value=value, unit=unit)


ASSUMPTIONS = MappingProxyType(
    {name: assumption(name, getattr(MARKET, name)) for name in Market.__dataclass_fields__}
    | {
        "machine_price_gbp": assumption("machine_price_gbp", MACHINE.price_gbp, "GBP"),
        "machine_watts": assumption("machine_watts", MACHINE.watts, "W"),
    }
)
TUNING = Service(
    id="fine-tuning",
    name="Fine-tuning",
    origin=BOOK,
    gbp_low=4_500,
    gbp_high=15_000,
    gives="a tuned model",
)


def subject(
    *workloads: Workload,
    name: str = "Acme support",
    setting: Setting = SETTING,
    currency: Currency = POUNDS,
    date: str = DATE,
) -> Subject:
    """Return an engagement with these workloads."""
    return Subject(
        name=name,
        slug="acme",
        date=date,
        advices=tuple(advise(workload, setting) for workload in workloads),
        currency=currency,
        assumptions=ASSUMPTIONS,
        tuning=TUNING,
    )


TRIAGE = Workload(
    name="triage", tokens_per_day=2e6, growth=0.15, regulations=("gdpr", "fca"), gpu_hours=2
)
SUPPORT = Workload(name="support", tokens_per_day=8e6, growth=0.15)
SUMMARIES = Workload(name="summaries", tokens_per_day=2e6)
SEARCH = Workload(name="search", tokens_per_day=5e5, latency_ms=150, peak=8)
CONTRACTS = Workload(
    name="contracts", tokens_per_day=90e6, input_share=0.94, batchable=True, cache_hits=0.4
)

PRIYA = subject(TRIAGE, name="Priya's ticket triage")
UNREGULATED = subject(SUPPORT)
FOUR = subject(TRIAGE, SUPPORT, SEARCH, CONTRACTS, name="Northwind Bank")

UNMEASURED = replace(SETTING, machine=replace(MACHINE, tokens_per_s=None))
"""A machine of which nobody knows how much it can answer."""
