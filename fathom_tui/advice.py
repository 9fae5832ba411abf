"""The whole answer to one workload: the rule's verdict, the costs', and what would change them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fathom_tui import crossing, economics, rules
from fathom_tui.catalog import find
from fathom_tui.catalog_types import ApiPrice, Origin
from fathom_tui.crossing import Crossover
from fathom_tui.currency import Currency
from fathom_tui.economics import Costs, Way
from fathom_tui.errors import UsageError
from fathom_tui.figures import Figure, Kind
from fathom_tui.payback import RentOrBuy, rent_or_buy
from fathom_tui.questions import ASKED, Questions
from fathom_tui.rules import Ownership, Ruling
from fathom_tui.setting import Setting
from fathom_tui.technique import Technique, technique
from fathom_tui.workload import Workload

POUNDS = Currency(code="gbp", per_gbp=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """The cheapest API that is good enough, beside the one compared with."""

    price: ApiPrice
    month: float
    """Pounds a month at full price."""
    crossover: Crossover | None
    """Where the machine would cost less than it; None as in `Advice.crossover`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A volume at which another way becomes the cheapest."""

    tokens_per_day: float
    below: Way
    above: Way


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """The answer."""

    workload: Workload
    setting: Setting
    ruling: Ruling
    costs: Costs
    edges: tuple[Edge, ...]
    """Where the cheapest way changes, by volume, lowest first."""
    crossover: Crossover | None
    """Where the machine, untuned, costs less than the API at full price; None where the API is free
    or the machine's speed is unknown."""
    crossover_optimised: Crossover | None
    """The same against the API with the discounts that the workload allows."""
    hybrid_from: float | None
    """Tokens a day above which a hybrid costs less than the API; None as in `crossover`."""
    cheapest: Alternative
    ownership: Ownership
    rent_or_buy: RentOrBuy | None
    """The sum behind rule 6; None where no rent of the device is known."""
    technique: Technique
    """What is to be done about the work, as far as its questions are answered."""
    capacity: float | None
    """Tokens a day the machine can answer; None is unknown."""
    cost_months: float | None
    """Months until growth changes the cheapest way; None where it never does."""
    outgrown_month: int | None
    """The month in which growth exceeds the machines that the sums are for; None where it does not
    before they are written off, or where it is unknown how much one answers."""

    @property
    def agrees(self) -> bool | None:
        """Whether the rule and the costs say the same; None where the costs cannot be compared."""
        cheapest = self.costs.cheapest
        return None if cheapest is None else self.ruling.verdict is cheapest

    @property
    def within_capacity(self) -> bool | None:
        """Whether the machine can answer the workload; None where its speed is unknown."""
        return None if self.capacity is None else self.workload.tokens_per_day <= self.capacity

    @property
    def confidence(self) -> str:
        """How sure the verdict is: the rule's own confidence, and whether the costs back it."""
        from fathom_tui.cautions import too_fast

        said = self.ruling.confidence
        if self.agrees is None:
            said += "; by the rule alone, as the costs cannot be compared"
        return f"{said}; the latency limit is not in it" if too_fast(self) else said

    @property
    def next_edge(self) -> Edge | None:
        """The next volume, from today's up, at which another way becomes the cheapest."""
        above = (e for e in self.edges if e.tokens_per_day > self.workload.tokens_per_day)
        return next(above, None)

    @property
    def price_compared(self) -> str:
        """Which of the API's prices the costs are compared at, in words."""
        found = self.costs
        return "with discounts" if found.cloud_optimised < found.cloud else "at full price"

    def disagreement(self, currency: Currency = POUNDS) -> str:
        """Say why the rule and the costs differ, or cannot be compared; empty where they agree."""
        from fathom_tui.agreement import disagreement

        return disagreement(self, currency)

    def agreement(self, currency: Currency = POUNDS) -> str:
        """Say how the rule and the costs stand to each other, and what a cheaper API would cost."""
        from fathom_tui.agreement import agreement

        return agreement(self, currency)

    def follow(self, currency: Currency = POUNDS) -> str:
        """Say why the two differ, and which of them to follow; empty where they agree."""
        from fathom_tui.agreement import follow

        return follow(self, currency)

    def warnings(self, currency: Currency = POUNDS) -> tuple[str, ...]:
        """Return what the verdict leaves to be thought of."""
        from fathom_tui.cautions import cautions

        return tuple(found.text for found in cautions(self, currency))

    def to_json(self, currency: Currency = POUNDS) -> dict[str, Any]:
        """Return the one object that `fathom advise --json` prints."""
        from fathom_tui.advice_json import advice_json

        return advice_json(self, currency)


def advise(workload: Workload, setting: Setting) -> Advice:
    """Return the whole answer for a workload."""
    market, machine = setting.market, setting.machine
    full = economics.blended_usd(setting.price, workload.input_share)
    best = economics.optimised_usd(setting.price, workload, market)
    found = economics.costs(workload, setting.price, machine, market)
    edges = cost_edges(workload, setting)
    ruling = rules.decide(workload)
    return Advice(
        workload=workload,
        setting=setting,
        ruling=ruling,
        costs=found,
        edges=edges,
        crossover=crossing.machine_crossover(machine, full, market, peak=workload.peak),
        crossover_optimised=crossing.machine_crossover(machine, best, market, peak=workload.peak),
        hybrid_from=crossing.hybrid_crossover(best, machine, market),
        cheapest=_cheapest(workload, setting),
        ownership=rules.ownership(workload.gpu_hours, datacentre=setting.datacentre),
        rent_or_buy=_rent_or_buy(workload, setting),
        technique=technique(questions(workload, setting, found)),
        capacity=economics.capacity(machine, workload.peak),
        cost_months=_cost_months(workload, edges),
        outgrown_month=_outgrown(workload, setting, ruling.verdict),
    )


def answered_here(way: Way, market: economics.Market) -> float:
    """Return the share of the tokens that the machines answer; all of them where none is bought.

    A machine that is not recommended is looked at as the one of the local way.
    """
    return market.local_share if way is Way.HYBRID else 1.0


def _outgrown(workload: Workload, setting: Setting, verdict: Way) -> int | None:
    limit = economics.capacity(setting.machine, workload.peak)
    if limit is None:
        return None
    load = workload.tokens_per_day * answered_here(verdict, setting.market) / limit
    count = economics.machines_for(load, 1.0) or 1
    return economics.month_over([load], [workload.growth], count, setting.market.months)


def _rent_or_buy(workload: Workload, setting: Setting) -> RentOrBuy | None:
    if setting.rent_usd_per_hour is None:
        return None
    market, machine = setting.market, setting.machine
    return rent_or_buy(
        hours_per_day=workload.gpu_hours or 0.0,
        price_gbp=machine.price_gbp,
        months=market.months,
        rent_usd_per_hour=setting.rent_usd_per_hour,
        watts=machine.watts,
        gbp_per_kwh=market.gbp_per_kwh,
        usd_per_gbp=market.usd_per_gbp,
        h100_class=setting.datacentre,
    )


def questions(workload: Workload, setting: Setting, found: Costs) -> Questions:
    """Return the questions of the technique, as far as a workload answers them.

    What the workload says elsewhere is not asked again: regulation, latency, and the API's bill.

    Raises:
        UsageError: An answer is to no question, or the task is none of the catalog's.
    """
    unknown = sorted(set(workload.answers) - set(ASKED))
    if unknown:
        raise UsageError(
            f"{', '.join(unknown)} is no question of the technique.",
            fix=f"Questions: {', '.join(ASKED)}.",
        )
    known: dict[str, Any] = {
        "private": True if workload.regulated and workload.personal else None,
        "latency_ms": workload.latency_ms,
        "monthly_api_usd": found.cloud_optimised * setting.market.usd_per_gbp,
        **workload.answers,
    }
    for name in _WHOLE & set(known):
        known[name] = int(known[name])
    task = (
        find(setting.tasks, workload.task, "task", "fathom catalog tasks")
        if workload.task
        else None
    )
    return Questions(task=task, **known)


_WHOLE = {"prompt_tokens", "examples", "preference_pairs"}
"""Questions whose answer is a whole number."""


def verdicts(workload: Workload, setting: Setting) -> tuple[Way, Way | None]:
    """Return the rule's and the costs' verdicts alone; what a sweep asks for every point.

    The costs have none where the machine's speed is unknown.
    """
    found = economics.costs(workload, setting.price, setting.machine, setting.market)
    return rules.verdict_of(workload), found.cheapest


def cost_edges(workload: Workload, setting: Setting) -> tuple[Edge, ...]:
    """Return the volumes at which the cheapest way changes, lowest first, up to one machine's.

    Every way's cost is a straight line over volume until a second machine is needed, so the
    cheapest changes only where two lines cross. None is known where the machine's speed is not.
    """
    market = setting.market
    limit = economics.capacity(setting.machine, workload.peak)
    if limit is None:
        return ()

    def at(tokens: float) -> Costs:
        return economics.costs(
            workload, setting.price, setting.machine, market, tokens_per_day=tokens
        )

    zero, slope = _lines(at)
    crossings = sorted(
        (zero[b] - zero[a]) / (slope[a] - slope[b])
        for a in Way
        for b in Way
        if slope[a] > slope[b] and zero[b] > zero[a]
    )
    edges = []
    for tokens in crossings:
        if tokens > limit:
            break
        below, above = at(tokens * 0.999).cheapest, at(tokens * 1.001).cheapest
        if below is not None and above is not None and below is not above:
            edges.append(Edge(tokens_per_day=tokens, below=below, above=above))
    return tuple(edges)


def _lines(at: Callable[[float], Costs]) -> tuple[dict[Way, float], dict[Way, float]]:
    """Return each way's cost at no volume, and its rise for a token a day."""
    zero, one = at(0.0).compared, at(1e6).compared
    return zero, {way: (one[way] - zero[way]) / 1e6 for way in Way}


def _cheapest(workload: Workload, setting: Setting) -> Alternative:
    price = economics.cheapest_api(setting.prices, workload.input_share, grades=setting.grades)
    usd, market = economics.blended_usd(price, workload.input_share), setting.market
    return Alternative(
        price=price,
        month=economics.api_gbp(workload.tokens_per_day, usd, market),
        crossover=crossing.machine_crossover(setting.machine, usd, market, peak=workload.peak),
    )


def _cost_months(workload: Workload, edges: Sequence[Edge]) -> float | None:
    above = [e.tokens_per_day for e in edges if e.tokens_per_day > workload.tokens_per_day]
    if not above or workload.growth <= 0:
        return None
    return economics.months_until(workload.tokens_per_day, above[0], workload.growth)


def monthly(advice: Advice, currency: Currency = POUNDS) -> dict[str, Figure]:
    """Return the costs a month as figures, in the order they are shown; an unknown one is None."""
    costs, price, cheap = advice.costs, advice.setting.price, advice.cheapest.price
    known = costs.machines is not None
    terms = costs.local_terms
    operations = advice.setting.origins.get("operations_gbp", _ASSUMED)

    def of_price(value: float | None, source: str, origin: Origin = price.origin) -> Figure:
        return _month(value, source, Kind.COMPUTED, origin.as_of, currency)

    def term(value: float, source: str) -> Figure:
        return of_price(value if known else None, source)

    return {
        "cloud": of_price(costs.cloud, _bill(advice, price)),
        "cloud_optimised": of_price(
            costs.cloud_optimised, f"{price.name} with batch and cache discounts"
        ),
        "hybrid": of_price(
            costs.hybrid, "the machine, the router, and the rest of the tokens at the API"
        ),
        "local": of_price(costs.local, "hardware + electricity + operations + tuning"),
        "local_hardware": term(terms.hardware, f"{advice.setting.machine.name}, written off"),
        "local_electricity": term(terms.electricity, "watts x hours x price of a kWh"),
        "local_operations": _month(
            terms.operations if known else None,
            f"operations_gbp: {operations.source}",
            Kind.ASSUMED,
            operations.as_of or price.origin.as_of,
            currency,
        ),
        "local_tuning": term(terms.tuning, "a fine-tuning, spread over the months until the next"),
        "compliance": of_price(costs.compliance, compliance_falls_on(advice)),
        "cheapest_api": of_price(advice.cheapest.month, _bill(advice, cheap), cheap.origin),
    }


_ASSUMED = Origin(source="an assumption", as_of="", kind=Kind.ASSUMED)


def _bill(advice: Advice, price: ApiPrice) -> str:
    usd = economics.blended_usd(price, advice.workload.input_share)
    return (
        f"{advice.workload.tokens_per_day:,.0f} tokens/day x 30 days at ${usd:.4g} per 1M "
        f"({price.name}, {price.origin.source})"
    )


def _month(value: float | None, source: str, kind: Kind, as_of: str, currency: Currency) -> Figure:
    return Figure(
        value=None if value is None else round(currency.of(value), 2),
        unit=f"{currency.unit}/month",
        kind=kind,
        source=source,
        as_of=as_of,
    )


def compliance_falls_on(advice: Advice) -> str:
    """Say which ways pay for regulated data in a cloud."""
    if advice.workload.personal:
        return "added to cloud and hybrid where the data is regulated"
    return "added to cloud only: a hybrid keeps what is regulated on the machine"


def tokens_figure(value: float | None, advice: Advice, source: str) -> Figure:
    """Return tokens a day as a figure."""
    return Figure(
        value=None if value is None else round(value),
        unit="tokens/day",
        kind=Kind.COMPUTED,
        source=source,
        as_of=advice.setting.price.origin.as_of,
    )
