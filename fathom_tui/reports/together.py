"""Several workloads as one bill: the same machines and one router serve them all."""

import math
from collections.abc import Sequence

from fathom_tui.advice import Advice
from fathom_tui.economics import LocalCost, Way, local_cost


def month(advices: Sequence[Advice], ways: Sequence[Way]) -> float | None:
    """Return pounds a month if each workload goes its way, compliance left out.

    For one workload it is that way's own cost. The machines and the router are paid once, a
    fine-tuning for every workload that is answered by a machine alone. None where a machine is
    needed and it is unknown how much one answers.
    """
    found = parts(advices, ways)
    return None if found is None else sum(found.values())


def parts(advices: Sequence[Advice], ways: Sequence[Way]) -> dict[str, float] | None:
    """Return what `month` adds up, by name, parts that nobody needs left out."""
    needed, market = uses_machine(ways), advices[0].setting.market
    if needed and machines(advices, ways) is None:
        return None
    cost = terms(advices, ways)
    tunings = sum(way is Way.LOCAL for way in ways)
    share = {Way.CLOUD: 1.0, Way.HYBRID: 1 - market.local_share, Way.LOCAL: 0.0}
    found = {
        "machine": cost.machine if needed else 0.0,
        "router": market.router_gbp if Way.HYBRID in ways else 0.0,
        "fine-tune" if tunings == 1 else f"{tunings} fine-tunes": cost.tuning * tunings,
        "API": sum(
            share[way] * advice.costs.cloud_optimised
            for advice, way in zip(advices, ways, strict=True)
        ),
    }
    return {name: value for name, value in found.items() if value}


def cheapest_for(advices: Sequence[Advice], ways: Sequence[Way], index: int) -> Way | None:
    """Return the cheapest way for one workload while the others go theirs.

    What the others pay for already, a machine or compliance, costs it nothing more. None where it
    is unknown how much a machine answers.
    """
    sums = {}
    for way in Way:
        tried = [way if n == index else kept for n, kept in enumerate(ways)]
        found = month(advices, tried)
        if found is None:
            return None
        sums[way] = found + compliance(advices, tried)
    # Where two cost the same the rule's own way is none the dearer.
    return min(Way, key=lambda way: (round(sums[way], 6), way is not ways[index]))


def machines(advices: Sequence[Advice], ways: Sequence[Way]) -> int | None:
    """Return the whole machines that answer what each way leaves to them, at least 1.

    None where it is unknown how much one answers.
    """
    found = loads(advices, ways)
    return None if found is None else max(1, math.ceil(sum(found)))


def terms(advices: Sequence[Advice], ways: Sequence[Way]) -> LocalCost:
    """Return what those machines cost a month, with one fine-tuning; one's where unknown."""
    setting = advices[0].setting
    return local_cost(setting.machine, setting.market, machines(advices, ways) or 1)


def loads(advices: Sequence[Advice], ways: Sequence[Way]) -> list[float] | None:
    """Return the share of one machine's capacity that each workload takes; None is unknown."""
    share = {Way.CLOUD: 0.0, Way.HYBRID: advices[0].setting.market.local_share, Way.LOCAL: 1.0}
    found = []
    for advice, way in zip(advices, ways, strict=True):
        if not advice.capacity:
            return None
        found.append(advice.workload.tokens_per_day * share[way] / advice.capacity)
    return found


def compliance(advices: Sequence[Advice], ways: Sequence[Way]) -> float:
    """Return pounds a month for regulated data in a cloud, counted once for all workloads.

    A hybrid keeps personal data in the cloud as well, as far as it is answered there.
    """
    return max(
        (
            advice.costs.compliance
            for advice, way in zip(advices, ways, strict=True)
            if way is Way.CLOUD or (way is Way.HYBRID and advice.workload.personal)
        ),
        default=0.0,
    )


def to_buy(advices: Sequence[Advice], ways: Sequence[Way]) -> float | None:
    """Return pounds that are paid at the start: the machines, and the fine-tunings assumed.

    None where machines are needed and nobody knows how many.
    """
    setting = advices[0].setting
    count = machines(advices, ways) if uses_machine(ways) else 0
    if count is None:
        return None
    tunings = sum(way is Way.LOCAL for way in ways)
    return count * setting.machine.price_gbp + tunings * setting.market.tuning_gbp


def first_year(advices: Sequence[Advice], ways: Sequence[Way]) -> float | None:
    """Return the cash of the first twelve months at today's volume, compliance included.

    What is bought is paid in full, so the monthly parts that write it off are taken out again.
    None as in `to_buy`.
    """
    bought, monthly = to_buy(advices, ways), month(advices, ways)
    if bought is None or monthly is None:
        return None
    cost = terms(advices, ways)
    written_off = cost.hardware if uses_machine(ways) else 0.0
    written_off += cost.tuning * sum(way is Way.LOCAL for way in ways)
    return bought + 12 * (monthly - written_off + compliance(advices, ways))


def load(advices: Sequence[Advice]) -> float | None:
    """Return the share of one machine's capacity that all workloads take; None is unknown."""
    found = loads(advices, [Way.LOCAL] * len(advices))
    return None if found is None else sum(found)


def uses_machine(ways: Sequence[Way]) -> bool:
    """Return whether any workload needs the machine."""
    return any(way is not Way.CLOUD for way in ways)
