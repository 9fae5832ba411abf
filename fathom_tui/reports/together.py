"""Several workloads as one bill: one machine and one router serve them all."""

from collections.abc import Sequence

from fathom_tui.advice import Advice
from fathom_tui.economics import Way


def month(advices: Sequence[Advice], ways: Sequence[Way]) -> float:
    """Return pounds a month if each workload goes its way, compliance left out.

    For one workload it is that way's own cost. The machine and the router are paid once, a
    fine-tuning for every workload that is answered by the machine alone.
    """
    first = advices[0]
    terms, market = first.costs.local_terms, first.setting.market
    total = terms.machine if uses_machine(ways) else 0.0
    total += market.router_gbp if Way.HYBRID in ways else 0.0
    total += terms.tuning * sum(way is Way.LOCAL for way in ways)
    share = {Way.CLOUD: 1.0, Way.HYBRID: 1 - market.local_share, Way.LOCAL: 0.0}
    return total + sum(
        share[way] * advice.costs.cloud_optimised for advice, way in zip(advices, ways, strict=True)
    )


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
    """Return pounds that are paid at the start: the machine, and the fine-tunings assumed."""
    first = advices[0]
    machine = first.setting.machine.price_gbp if uses_machine(ways) else 0.0
    return machine + first.setting.market.tuning_gbp * sum(way is Way.LOCAL for way in ways)


def first_year(advices: Sequence[Advice], ways: Sequence[Way]) -> float:
    """Return the cash of the first twelve months at today's volume, compliance included.

    What is bought is paid in full, so the monthly parts that write it off are taken out again.
    """
    terms = advices[0].costs.local_terms
    written_off = terms.hardware if uses_machine(ways) else 0.0
    written_off += terms.tuning * sum(way is Way.LOCAL for way in ways)
    running = month(advices, ways) - written_off + compliance(advices, ways)
    return to_buy(advices, ways) + 12 * running


def load(advices: Sequence[Advice]) -> float | None:
    """Return the share of the machine's capacity that all workloads take; None is unknown."""
    shares = [
        advice.workload.tokens_per_day / advice.capacity if advice.capacity else None
        for advice in advices
    ]
    known = [share for share in shares if share is not None]
    return sum(known) if len(known) == len(shares) else None


def uses_machine(ways: Sequence[Way]) -> bool:
    """Return whether any workload needs the machine."""
    return any(way is not Way.CLOUD for way in ways)
