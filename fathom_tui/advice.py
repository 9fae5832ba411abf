"""The whole answer to one workload: the rule's verdict, the costs', and what would change them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fathom_tui import economics, rules
from fathom_tui.catalog import find, stale
from fathom_tui.catalog_types import ApiPrice
from fathom_tui.currency import Currency
from fathom_tui.economics import Costs, Crossover, Way, millions
from fathom_tui.errors import UsageError
from fathom_tui.figures import Figure, Kind
from fathom_tui.payback import RentOrBuy, rent_or_buy
from fathom_tui.questions import ASKED, Questions
from fathom_tui.rules import Ownership, Ruling
from fathom_tui.setting import Setting
from fathom_tui.technique import Technique, technique
from fathom_tui.workload import FAST_MS, Workload

POUNDS = Currency(code="gbp", per_gbp=1.0)

QUOTED_LOCAL_GBP = (180.0, 350.0, 700.0)
"""What 2 x RTX 4090 cost a month: the sum of purchase and electricity, and the range that is
quoted for the same machine (book, ch. 1, April 2026)."""

DECLINES = (0.4, 0.6)
"""Shares by which API prices have fallen a year since 2023 (book, ch. 1, April 2026)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """The cheapest API that is good enough, beside the one compared with."""

    price: ApiPrice
    month: float
    """Pounds a month at full price."""
    crossover: Crossover | None
    """Where the machine would cost less than it."""


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
    """Where the machine costs less than the API at full price."""
    crossover_optimised: Crossover | None
    """The same against the API with the discounts that the workload allows."""
    hybrid_from: float | None
    """Tokens a day above which a hybrid costs less than the API."""
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

    @property
    def agrees(self) -> bool:
        """Whether the rule and the costs say the same."""
        return self.ruling.verdict is self.costs.cheapest

    @property
    def within_capacity(self) -> bool | None:
        """Whether the machine can answer the workload; None where its speed is unknown."""
        return None if self.capacity is None else self.workload.tokens_per_day <= self.capacity

    def disagreement(self, currency: Currency = POUNDS) -> str:
        """Say why the rule and the costs differ; empty where they agree."""
        if self.agrees:
            return ""
        rule, cost = self.ruling.verdict, self.costs.cheapest
        volume = millions(self.workload.tokens_per_day)
        text = (
            f"The rule says {rule.value}; the cheapest at {volume} tokens/day is {cost.value}: "
            f"{currency.show(self.costs.compared[cost])} a month against "
            f"{currency.show(self.costs.compared[rule])}."
        )
        edge = next((e for e in self.edges if rule in (e.below, e.above)), None)
        if edge is None:
            return f"{text} No volume makes {rule.value} the cheapest way."
        side = "above" if edge.above is rule else "below"
        turn = millions(edge.tokens_per_day)
        return f"{text} {rule.value.capitalize()} costs least only {side} {turn}."

    def agreement(self, currency: Currency = POUNDS) -> str:
        """Say how the rule and the costs stand to each other, and what a cheaper API would cost."""
        said = self.disagreement(currency) or (
            f"The costs agree: of cloud, hybrid and local, {self.costs.cheapest.value} costs least "
            f"against {self.setting.price.name}."
        )
        least, other = self.costs.compared[self.costs.cheapest], self.cheapest
        if other.price.id == self.setting.price.id or other.month + self.costs.compliance >= least:
            return said
        return f"{said} {other.price.name} would cost {currency.show(other.month)}, if it will do."

    def warnings(self) -> tuple[str, ...]:
        """Return what the verdict leaves to be thought of."""
        return tuple(_warnings(self))

    def to_json(self, currency: Currency = POUNDS) -> dict[str, Any]:
        """Return the one object that `fathom advise --json` prints."""
        return {
            "workload": self.workload.to_json(),
            "verdict": self.ruling.verdict.value,
            "rule": self.ruling.rule.number,
            "cost_verdict": self.costs.cheapest.value,
            "agree": self.agrees,
            "disagreement": self.disagreement(currency),
            "also": list(self.ruling.also),
            "path": [node.to_json() for node in self.ruling.path],
            "flips": _flips(self),
            "confidence": self.ruling.confidence,
            "say": self.ruling.rule.aloud,
            "ownership": {
                "label": self.ownership.label,
                "why": self.ownership.why,
                "rent_or_buy": _sum_of_rule_6(self),
            },
            "technique": self.technique.to_json(),
            "cheapest_api": _alternative(self, currency),
            "monthly": {name: figure.to_json() for name, figure in monthly(self, currency).items()},
            "crossover": _crossover(self.crossover, self),
            "crossover_optimised": _crossover(self.crossover_optimised, self),
            "hybrid_from": tokens_figure(
                self.hybrid_from, self, "hybrid against the API"
            ).to_json(),
            "cost_edges": [
                {
                    "tokens_per_day": tokens_figure(
                        edge.tokens_per_day, self, "where two ways cost the same"
                    ).to_json(),
                    "below": edge.below.value,
                    "above": edge.above.value,
                }
                for edge in self.edges
            ],
            "cost_growth_months": _months_figure(self.cost_months, self).to_json(),
            "price_decline": [
                {
                    "years": years,
                    "yearly_fall": share,
                    "crossover": tokens_figure(
                        tokens, self, f"prices {share:.0%} lower every year"
                    ).to_json(),
                }
                for years, share, tokens in declining(self)
            ],
            "capacity": tokens_figure(self.capacity, self, _CAPACITY_SOURCE).to_json(),
            "machines": self.costs.machines,
            "warnings": list(self.warnings()),
        }


def advise(workload: Workload, setting: Setting) -> Advice:
    """Return the whole answer for a workload."""
    market, machine = setting.market, setting.machine
    full = economics.blended_usd(setting.price, workload.input_share)
    best = economics.optimised_usd(setting.price, workload, market)
    limit = economics.capacity(machine, workload.peak)
    found = economics.costs(workload, setting.price, machine, market)
    edges = cost_edges(workload, setting)
    fixed = economics.local_cost(machine, market).machine
    return Advice(
        workload=workload,
        setting=setting,
        ruling=rules.decide(workload),
        costs=found,
        edges=edges,
        crossover=economics.crossover(fixed, full, market, capacity=limit),
        crossover_optimised=economics.crossover(fixed, best, market, capacity=limit),
        hybrid_from=economics.hybrid_crossover(best, machine, market),
        cheapest=_cheapest(workload, setting, fixed, limit),
        ownership=rules.ownership(workload.gpu_hours, datacentre=setting.datacentre),
        rent_or_buy=_rent_or_buy(workload, setting),
        technique=technique(questions(workload, setting, found)),
        capacity=limit,
        cost_months=_cost_months(workload, edges),
    )


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


def verdicts(workload: Workload, setting: Setting) -> tuple[Way, Way]:
    """Return the rule's and the costs' verdicts alone; what a sweep asks for every point."""
    found = economics.costs(workload, setting.price, setting.machine, setting.market)
    return rules.verdict_of(workload), found.cheapest


def cost_edges(workload: Workload, setting: Setting) -> tuple[Edge, ...]:
    """Return the volumes at which the cheapest way changes, lowest first, up to one machine's.

    Every way's cost is a straight line over volume until a second machine is needed, so the
    cheapest changes only where two lines cross.
    """
    market = setting.market
    limit = economics.capacity(setting.machine, workload.peak)

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
        if limit is not None and tokens > limit:
            break
        below, above = at(tokens * 0.999).cheapest, at(tokens * 1.001).cheapest
        if below is not above:
            edges.append(Edge(tokens_per_day=tokens, below=below, above=above))
    return tuple(edges)


def _lines(at: Callable[[float], Costs]) -> tuple[dict[Way, float], dict[Way, float]]:
    """Return each way's cost at no volume, and its rise for a token a day."""
    zero, one = at(0.0).compared, at(1e6).compared
    return zero, {way: (one[way] - zero[way]) / 1e6 for way in Way}


def _cheapest(
    workload: Workload, setting: Setting, fixed: float, limit: float | None
) -> Alternative:
    price = economics.cheapest_api(setting.prices, workload.input_share, grades=setting.grades)
    usd = economics.blended_usd(price, workload.input_share)
    return Alternative(
        price=price,
        month=economics.api_gbp(workload.tokens_per_day, usd, setting.market),
        crossover=economics.crossover(fixed, usd, setting.market, capacity=limit),
    )


def _cost_months(workload: Workload, edges: Sequence[Edge]) -> float | None:
    above = [e.tokens_per_day for e in edges if e.tokens_per_day > workload.tokens_per_day]
    if not above or workload.growth <= 0:
        return None
    return economics.months_until(workload.tokens_per_day, above[0], workload.growth)


def quoted_crossovers(setting: Setting, input_share: float) -> list[Crossover]:
    """Return where the quoted monthly costs of 2 x RTX 4090 cross the API's full price."""
    usd = economics.blended_usd(setting.price, input_share)
    limit = economics.capacity(setting.machine)
    found = (
        economics.crossover(fixed, usd, setting.market, capacity=limit)
        for fixed in QUOTED_LOCAL_GBP
    )
    return [crossover for crossover in found if crossover is not None]


def declining(advice: Advice, years: int = 3) -> list[tuple[int, float, float | None]]:
    """Return the crossover as API prices fall: (years from now, share a year, tokens a day)."""
    setting, found = advice.setting, []
    fixed = economics.local_cost(setting.machine, setting.market).machine
    for share in DECLINES:
        for year in range(1, years + 1):
            price = economics.declined(setting.price, share, year)
            usd = economics.blended_usd(price, advice.workload.input_share)
            crossing = economics.crossover(fixed, usd, setting.market)
            found.append((year, share, crossing.tokens_per_day if crossing else None))
    return found


def monthly(advice: Advice, currency: Currency = POUNDS) -> dict[str, Figure]:
    """Return the costs a month as figures, in the order they are shown."""
    costs, price = advice.costs, advice.setting.price
    terms = costs.local_terms
    usd = economics.blended_usd(price, advice.workload.input_share)
    days = f"{advice.workload.tokens_per_day:,.0f} tokens/day x 30 days"
    sums = {
        "cloud": (
            costs.cloud,
            f"{days} at ${usd:.4g} per 1M ({price.name}, {price.origin.source})",
        ),
        "cloud_optimised": (costs.cloud_optimised, f"{price.name} with batch and cache discounts"),
        "hybrid": (costs.hybrid, "the machine, the router, and the rest of the tokens at the API"),
        "local": (costs.local, "hardware + electricity + operations + tuning"),
        "local_hardware": (terms.hardware, f"{advice.setting.machine.name}, written off"),
        "local_electricity": (terms.electricity, "watts x hours x price of a kWh"),
        "local_operations": (terms.operations, "assumption"),
        "local_tuning": (terms.tuning, "a fine-tuning, spread over the months until the next"),
        "compliance": (costs.compliance, "added to cloud and hybrid where the data is regulated"),
        "cheapest_api": (advice.cheapest.month, advice.cheapest.price.name),
    }
    return {
        name: Figure(
            value=round(currency.of(value), 2),
            unit=f"{currency.unit}/month",
            kind=Kind.ASSUMED if source == "assumption" else Kind.COMPUTED,
            source=source,
            as_of=price.origin.as_of,
        )
        for name, (value, source) in sums.items()
    }


def tokens_figure(value: float | None, advice: Advice, source: str) -> Figure:
    """Return tokens a day as a figure."""
    return Figure(
        value=None if value is None else round(value),
        unit="tokens/day",
        kind=Kind.COMPUTED,
        source=source,
        as_of=advice.setting.price.origin.as_of,
    )


_CAPACITY_SOURCE = "one machine around the clock, the reference model on each of its cards"

_NEEDS_HOURS = ("own_month", "rent_month", "payback_months", "cheaper", "rule", "why")


def _sum_of_rule_6(advice: Advice) -> dict[str, Any] | None:
    """Return the sum of renting and owning; without hours only what needs none."""
    if advice.rent_or_buy is None:
        return None
    found = advice.rent_or_buy.to_json(advice.setting.price.origin.as_of)
    if advice.workload.gpu_hours is not None:
        return found
    return {name: value for name, value in found.items() if name not in _NEEDS_HOURS}


def _months_figure(value: float | None, advice: Advice) -> Figure:
    return Figure(
        value=None if value is None else round(value, 1),
        unit="months",
        kind=Kind.COMPUTED,
        source="until growth makes another way the cheapest",
        as_of=advice.setting.price.origin.as_of,
    )


def _crossover(found: Crossover | None, advice: Advice) -> dict[str, Any] | None:
    if found is None:
        return None
    source = f"£{found.fixed_gbp:,.0f} a month against ${found.usd_per_million:.4g} per 1M"
    return {
        "tokens_per_day": tokens_figure(found.tokens_per_day, advice, source).to_json(),
        "within_capacity": found.reachable,
    }


def _alternative(advice: Advice, currency: Currency) -> dict[str, Any]:
    found = advice.cheapest
    return {
        "id": found.price.id,
        "name": found.price.name,
        "month": monthly(advice, currency)["cheapest_api"].to_json(),
        "crossover": _crossover(found.crossover, advice),
    }


def _flips(advice: Advice) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [flip.to_json() for flip in advice.ruling.flips]
    months, verdict = advice.ruling.growth_months, advice.ruling.growth_verdict
    if months is not None and verdict is not None:
        found.append(
            {"input": "months", "from": 0, "to": round(months, 1), "verdict": verdict.value}
        )
    return found


def _warnings(advice: Advice) -> list[str]:
    workload, found = advice.workload, []
    today, price = advice.setting.today, advice.setting.price
    if today is not None and stale(price, today):
        found.append(
            f"The prices of {price.name} are of {price.origin.as_of}, more than 90 days old: "
            "compare with today's (--snapshot current)."
        )
    name, volume = advice.setting.machine.name, millions(workload.tokens_per_day)
    if advice.within_capacity is False:
        found.append(
            f"{name} answers at most {millions(advice.capacity or 0)} tokens/day, not {volume}: "
            f"the costs are those of {advice.costs.machines} such machines."
        )
    elif advice.within_capacity is None:
        found.append(
            f"How many tokens/day {name} answers is unknown, so nobody knows whether one is enough "
            f"for {volume}: the costs are those of one."
        )
    if workload.peak > 5:
        found.append(
            f"{workload.peak} requests at once: serve with vLLM rather than Ollama, and expect the "
            "break-even to move towards the API."
        )
    if workload.latency_ms is not None and workload.latency_ms < FAST_MS:
        found.append(
            f"{workload.latency_ms:g} ms to the first token asks for a model of your own: the base "
            "model first, then prompt, RAG, fine-tuning."
        )
    if workload.regulated and not workload.personal:
        found.append("The part of the data that is not personal may stay in a cloud: hybrid.")
    if workload.regulated:
        found.append(
            "A local model leaves an impact assessment and model-risk work to do; the share of the "
            "compliance cost that it saves is an assumption."
        )
    if not workload.batchable:
        found.append("Could answers wait 24 hours? Batching halves the API's bill.")
    return found
