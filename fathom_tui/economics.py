"""What a workload costs each way: an API, a machine of one's own, or a part on each.

A month has 30 days, as in the sources. API prices are in US dollars and machines in pounds, as
they are sold; `Market.usd_per_gbp` joins them, and every sum here is in pounds a month.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from fathom_tui.catalog import Catalog
from fathom_tui.catalog_types import ApiPrice
from fathom_tui.errors import UsageError
from fathom_tui.workload import Workload

MONTH_DAYS = 30
SECONDS_A_DAY = 86_400


class Way(StrEnum):
    """Where the work is done; also the verdict."""

    CLOUD = "cloud"
    HYBRID = "hybrid"
    LOCAL = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine of one's own and what it costs."""

    name: str
    price_gbp: float
    """Purchase, once."""
    watts: float
    """Sustained draw while it works."""
    tokens_per_s: float | None = None
    """Input and output together, at the workload's mix; None is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """Every assumption of the cost model, each a row of the catalog that a user can change."""

    usd_per_gbp: float
    gbp_per_kwh: float
    months: float
    """Months over which the machine is written off."""
    utilisation: float
    """Share of the month the machine draws its sustained power, 0 to 1."""
    operations_gbp: float
    """People, space and spares a month: the sources' unnamed part of a local machine's cost."""
    operations_further: float
    """Share of that which each machine after the first adds, 0 to 1."""
    tuning_gbp: float
    """A fine-tuning, once."""
    tuning_months: float
    """Months until it is done again."""
    router_gbp: float
    """The classifier of a hybrid, a month."""
    local_share: float
    """Share of the tokens that a hybrid answers locally, 0 to 1."""
    batch_discount: float
    """Share taken off for answers within 24 hours."""
    cache_discount: float
    """Share taken off cached input."""
    compliance_gbp: float
    """What regulated data in a cloud costs a month besides the bill."""
    compliance_avoided: float
    """Share of that which a local machine saves, 0 to 1."""

    @classmethod
    def of(cls, catalog: Catalog, **changes: float) -> Self:
        """Return the catalog's assumptions with some changed.

        Raises:
            UsageError: A change is negative or no number, or a share is above one.
        """
        values = {name: catalog.assumption(name).value for name in cls.__dataclass_fields__}
        for name, value in changes.items():
            _check(name, value)
        return cls(**{**values, **changes})


_SHARES = (
    "utilisation", "operations_further", "local_share", "batch_discount", "cache_discount",
    "compliance_avoided",
)  # fmt: skip
_NOT_ZERO = ("usd_per_gbp", "months", "tuning_months")


def _check(name: str, value: float) -> None:
    most = 1.0 if name in _SHARES else 1e12
    if not math.isfinite(value) or not 0 <= value <= most or (name in _NOT_ZERO and not value):
        least = "more than 0" if name in _NOT_ZERO else "0"
        raise UsageError(f"{name} is {value!r}.", fix=f"Give {least} to {most:,g}.")


def blended_usd(price: ApiPrice, input_share: float) -> float:
    """Return dollars for a million tokens at a mix, without discounts."""
    return input_share * price.input_usd + (1 - input_share) * price.output_usd


def optimised_usd(price: ApiPrice, workload: Workload, market: Market) -> float:
    """Return dollars for a million tokens after batching, where possible, and prompt caching.

    A cache takes its discount off input that hits it, never off output; what writing the cache
    costs is not in it. Batch takes its share off the whole.
    """
    cached = price.cached_input_usd
    if cached is None:
        cached = price.input_usd * (1 - market.cache_discount)
    hits = workload.cache_hits
    paid = hits * cached + (1 - hits) * price.input_usd
    total = workload.input_share * paid + workload.output_share * price.output_usd
    return total * (1 - market.batch_discount) if workload.batchable else total


def api_gbp(tokens_per_day: float, usd_per_million: float, market: Market) -> float:
    """Return an API's bill a month."""
    return tokens_per_day * MONTH_DAYS / 1e6 * usd_per_million / market.usd_per_gbp


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCost:
    """A machine's cost a month, term by term."""

    hardware: float
    electricity: float
    operations: float
    tuning: float

    @property
    def machine(self) -> float:
        """Without the fine-tuning."""
        return self.hardware + self.electricity + self.operations

    @property
    def total(self) -> float:
        return self.machine + self.tuning


def local_cost(machine: Machine, market: Market, machines: int = 1) -> LocalCost:
    """Return what machines cost a month, whatever they answer.

    A hybrid's machine needs no tuning: what the base model cannot do goes to the API. A machine
    alone has to be taught the rest. Operations of the first machine are whole, each further one
    adds `operations_further` of them.
    """
    hours = SECONDS_A_DAY / 3600 * MONTH_DAYS * market.utilisation
    return LocalCost(
        hardware=machines * machine.price_gbp / market.months,
        electricity=machines * machine.watts / 1000 * hours * market.gbp_per_kwh,
        operations=market.operations_gbp * (1 + (machines - 1) * market.operations_further),
        tuning=market.tuning_gbp / market.tuning_months,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Pounds a month for one workload each way."""

    cloud: float
    """The API at full price."""
    cloud_optimised: float
    """The API with the batch and cache discounts that the workload allows."""
    hybrid: float | None
    """None where it is unknown how much a machine answers, and so how many it takes."""
    local: float | None
    """The same."""
    local_terms: LocalCost
    """Of `machines`; of one where it is unknown how many it takes, which is nobody's sum then."""
    hybrid_terms: LocalCost
    """The machines of a hybrid, in the same way; its tuning is not paid."""
    hybrid_api: float
    """The part of a hybrid that stays at the API, with the discounts."""
    machines: int | None
    """Whole machines that all tokens need; None is unknown."""
    hybrid_machines: int | None
    """Whole machines that a hybrid's local share needs; None is unknown."""
    compliance: float
    """What regulated data in a cloud costs besides."""
    compared: dict[Way, float]
    """What is compared: compliance included, the API at the price it can be had for. A way of which
    the sum is unknown is not in it."""
    cheapest: Way | None
    """None where not all ways can be compared."""


def costs(
    workload: Workload,
    price: ApiPrice,
    machine: Machine,
    market: Market,
    *,
    tokens_per_day: float | None = None,
) -> Costs:
    """Return what a workload costs each way.

    Args:
        workload: What is to be answered.
        price: The API compared with.
        machine: The machine compared with.
        market: The assumptions.
        tokens_per_day: A volume in place of the workload's own, for curves.
    """
    tokens = workload.tokens_per_day if tokens_per_day is None else tokens_per_day
    full = api_gbp(tokens, blended_usd(price, workload.input_share), market)
    best = api_gbp(tokens, optimised_usd(price, workload, market), market)
    limit = capacity(machine, workload.peak)
    machines = machines_for(tokens, limit)
    terms = local_cost(machine, market, machines or 1)
    hybrid_machines = machines_for(tokens * market.local_share, limit)
    part = local_cost(machine, market, hybrid_machines or 1)
    rest = (1 - market.local_share) * best
    premium = market.compliance_gbp * market.compliance_avoided if workload.regulated else 0.0
    kept = premium if workload.personal else 0.0
    ways = {Way.CLOUD: best + premium}
    hybrid = part.machine + market.router_gbp + rest
    if machines is not None:
        ways |= {Way.HYBRID: hybrid + kept, Way.LOCAL: terms.total}
    return Costs(
        cloud=full,
        cloud_optimised=best,
        hybrid=None if machines is None else hybrid,
        local=None if machines is None else terms.total,
        local_terms=terms,
        hybrid_terms=part,
        hybrid_api=rest,
        machines=machines,
        hybrid_machines=hybrid_machines,
        compliance=premium,
        compared=ways,
        cheapest=None if machines is None else min(ways, key=lambda way: ways[way]),
    )


def capacity(machine: Machine, peak: int = 1) -> float | None:
    """Return the tokens a day a machine can answer, around the clock; None is unknown.

    Work does not come evenly: with several requests at once at the busiest moment half of the
    day's capacity is left to wait for it.
    """
    if machine.tokens_per_s is None:
        return None
    share = 1.0 if peak <= 1 else _BURSTY
    return machine.tokens_per_s * SECONDS_A_DAY * share


def machines_for(tokens_per_day: float, limit: float | None) -> int | None:
    """Return the whole machines that so many tokens a day need, of which one answers `limit`.

    At least 1; None where it is unknown how much one answers.
    """
    return max(1, math.ceil(tokens_per_day / limit)) if limit else None


_BURSTY = 0.5
"""Assumed; a machine that is busy all day cannot take a peak."""


def mixed_rate(prefill: float, decode: float, input_share: float) -> float:
    """Return tokens a second at a mix: input is read at one rate, output written at another.

    Args:
        prefill: Input tokens a second.
        decode: Output tokens a second.
        input_share: 0 to 1.
    """
    return 1.0 / (input_share / prefill + (1 - input_share) / decode)


def months_until(start: float, goal: float, growth: float) -> float | None:
    """Return the months until a volume has grown to another; None where it never does.

    0 where it is there already. Source: compound growth, ln(goal / start) / ln(1 + growth).
    """
    if goal <= start:
        return 0.0
    if growth <= 0:
        return None
    return math.log(goal / start) / math.log1p(growth)


def month_over(
    loads: Sequence[float], growths: Sequence[float], count: int, months: float
) -> int | None:
    """Return the first month at the end of which the work is more than so many machines answer.

    Args:
        loads: Each workload's share of one machine's capacity today.
        growths: Each one's growth a month, as a share.
        count: Machines.
        months: How far to look; not beyond fifty years, which nobody plans for.

    Source: compound growth. None where it never is, as far as is looked.
    """
    if all(growth <= 0 for growth in growths):
        return None
    grown = list(loads)
    for month in range(1, min(math.floor(months), 600) + 1):
        grown = [load * (1 + growth) for load, growth in zip(grown, growths, strict=True)]
        if sum(grown) > count:
            return month
    return None


def declined(price: ApiPrice, yearly: float, years: float) -> ApiPrice:
    """Return an API's price after years of falling by the same share a year.

    Args:
        price: Today's.
        yearly: Share a year, 0 to 1; 0.4 to 0.6 since 2023 (book, ch. 1, April 2026).
        years: How long.
    """
    factor = (1 - yearly) ** years
    cached = price.cached_input_usd
    return replace(
        price,
        input_usd=price.input_usd * factor,
        output_usd=price.output_usd * factor,
        cached_input_usd=None if cached is None else cached * factor,
    )


def cheapest_api(
    prices: Sequence[ApiPrice], input_share: float, *, grades: Sequence[str] = ()
) -> ApiPrice:
    """Return the API with the lowest blended price.

    Args:
        prices: At least one.
        input_share: The mix.
        grades: Grades that are good enough; none means all.
    """
    adequate = [price for price in prices if not grades or price.grade in grades]
    return min(adequate or prices, key=lambda price: blended_usd(price, input_share))


def millions(tokens: float) -> str:
    """Return tokens as people say them: 46.9M, 900K, 2B; at most three digits."""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        # 999,950 would be 1000K: the next letter begins where rounding would need four digits.
        if tokens >= size * 0.9995:
            return f"{float(f'{tokens / size:.3g}'):g}{letter}"
    return f"{tokens:.0f}"
