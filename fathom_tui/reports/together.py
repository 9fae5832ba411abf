"""Several workloads as one bill: the same machines and one router serve them all."""

import math
from collections.abc import Sequence

from fathom_tui.advice import Advice
from fathom_tui.economics import LocalCost, Way, local_cost


def month(advices: Sequence[Advice], ways: Sequence[Way]) -> float:
    """Return pounds a month if each workload goes its way, compliance left out.

    For one workload it is that way's own cost. The machines and the router are paid once, a
    fine-tuning for every workload that is answered by a machine alone.
    """
    cost, market = terms(advices, ways), advices[0].setting.market
    total = cost.machine if uses_machine(ways) else 0.0
    total += market.router_gbp if Way.HYBRID in ways else 0.0
    total += cost.tuning * sum(way is Way.LOCAL for way in ways)
    share = {Way.CLOUD: 1.0, Way.HYBRID: 1 - market.local_share, Way.LOCAL: 0.0}
    return total + sum(
        share[way] * advice.costs.cloud_optimised for advice, way in zip(advices, ways, strict=True)
    )


def machines(advices: Sequence[Advice], ways: Sequence[Way]) -> int:
    """Return the whole machines that answer what each way leaves to them.

    1 where it is unknown how much one answers.
    """
    return max(1, math.ceil(sum(loads(advices, ways) or ())))


def terms(advices: Sequence[Advice], ways: Sequence[Way]) -> LocalCost:
    """Return what those machines cost a month, with one fine-tuning."""
    setting = advices[0].setting
    return local_cost(setting.machine, setting.market, machines(advices, ways))


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


def to_buy(advices: Sequence[Advice], ways: Sequence[Way]) -> float:
    """Return pounds that are paid at the start: the machines, and the fine-tunings assumed."""
    setting = advices[0].setting
    count = machines(advices, ways) if uses_machine(ways) else 0
    tunings = sum(way is Way.LOCAL for way in ways)
    return count * setting.machine.price_gbp + tunings * setting.market.tuning_gbp


def first_year(advices: Sequence[Advice], ways: Sequence[Way]) -> float:
    """Return the cash of the first twelve months at today's volume, compliance included.

    What is bought is paid in full, so the monthly parts that write it off are taken out again.
    """
    cost = terms(advices, ways)
    written_off = cost.hardware if uses_machine(ways) else 0.0
    written_off += cost.tuning * sum(way is Way.LOCAL for way in ways)
    running = month(advices, ways) - written_off + compliance(advices, ways)
    return to_buy(advices, ways) + 12 * running


def load(advices: Sequence[Advice]) -> float | None:
    """Return the share of one machine's capacity that all workloads take; None is unknown."""
    found = loads(advices, [Way.LOCAL] * len(advices))
    return None if found is None else sum(found)


def uses_machine(ways: Sequence[Way]) -> bool:
    """Return whether any workload needs the machine."""
    return any(way is not Way.CLOUD for way in ways)
