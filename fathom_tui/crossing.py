"""The volume from which a fixed sum a month is less than an API's bill, and where it moves."""

from dataclasses import dataclass

from fathom_tui.economics import (
    Machine,
    Market,
    api_gbp,
    blended_usd,
    capacity,
    declined,
    local_cost,
    millions,
)
from fathom_tui.setting import Setting

QUOTED_LOCAL_GBP = (180.0, 350.0, 700.0)
"""What 2 x RTX 4090 cost a month: the sum of purchase and electricity, and the range that is
quoted for the same machine (book, ch. 1, April 2026)."""

DECLINES = (0.4, 0.6)
"""Shares by which API prices have fallen a year since 2023 (book, ch. 1, April 2026)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossover:
    """The volume from which a fixed sum a month is less than an API's bill."""

    tokens_per_day: float
    fixed_gbp: float
    usd_per_million: float
    capacity: float | None
    """Tokens a day the machine can answer; None where no machine was asked about."""

    @property
    def reachable(self) -> bool | None:
        """Whether the machine can answer that much; None where none was asked about."""
        return None if self.capacity is None else self.tokens_per_day <= self.capacity

    def sentence(self) -> str:
        """Return the crossover in words, bounded by what the machine can do."""
        if self.reachable is False:
            return f"beyond this hardware's capacity of {millions(self.capacity or 0)} tokens/day"
        return f"{millions(self.tokens_per_day)} tokens/day"


def crossover(
    fixed_gbp: float, usd_per_million: float, market: Market, *, capacity: float | None = None
) -> Crossover | None:
    """Return where a fixed sum crosses an API's bill; None where the API is free."""
    per_token = api_gbp(1.0, usd_per_million, market)
    if per_token <= 0:
        return None
    return Crossover(
        tokens_per_day=fixed_gbp / per_token,
        fixed_gbp=fixed_gbp,
        usd_per_million=usd_per_million,
        capacity=capacity,
    )


def machine_crossover(
    machine: Machine, usd_per_million: float, market: Market, *, peak: int = 1
) -> Crossover | None:
    """Return where one machine, untuned, costs less than an API's bill.

    None where the API is free, or the machine's speed is unknown: then nobody knows whether one
    machine could answer that much, and a volume would be a guess.
    """
    limit = capacity(machine, peak)
    if limit is None:
        return None
    fixed = local_cost(machine, market).machine
    return crossover(fixed, usd_per_million, market, capacity=limit)


def hybrid_crossover(usd_per_million: float, machine: Machine, market: Market) -> float | None:
    """Return the tokens a day above which a hybrid costs less than the API alone.

    None where the API is free, or the machine's speed is unknown.
    """
    per_token = api_gbp(1.0, usd_per_million, market) * market.local_share
    if per_token <= 0 or machine.tokens_per_s is None:
        return None
    return (local_cost(machine, market).machine + market.router_gbp) / per_token


def quoted_crossovers(setting: Setting, input_share: float) -> list[Crossover]:
    """Return where the quoted monthly costs of 2 x RTX 4090 cross the API's full price."""
    usd = blended_usd(setting.price, input_share)
    limit = capacity(setting.machine)
    found = (crossover(fixed, usd, setting.market, capacity=limit) for fixed in QUOTED_LOCAL_GBP)
    return [crossing for crossing in found if crossing is not None]


def declining(
    setting: Setting, input_share: float, years: int = 3
) -> list[tuple[int, float, float | None]]:
    """Return the crossover as API prices fall: (years from now, share a year, tokens a day).

    No tokens a day where the API is free or the machine's speed is unknown.
    """
    found = []
    for share in DECLINES:
        for year in range(1, years + 1):
            usd = blended_usd(declined(setting.price, share, year), input_share)
            crossing = machine_crossover(setting.machine, usd, setting.market)
            found.append((year, share, crossing.tokens_per_day if crossing else None))
    return found
