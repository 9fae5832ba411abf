"""Whether the machines that the sums are for can answer the work, today and as it grows."""

from collections.abc import Sequence

from fathom_tui import cautions
from fathom_tui.advice import Advice
from fathom_tui.economics import Way, millions, month_over
from fathom_tui.reports import together
from fathom_tui.reports.document import joined
from fathom_tui.reports.subject import Subject


def room(subject: Subject) -> str:
    """Say how many machines the work needs; empty where it is known that one is enough."""
    advices, name = subject.advices, subject.setting.machine.name
    taken = together.load(advices)
    if taken is None:
        return (
            f"The costs cannot be compared: how much {name} can answer is unknown, so nobody knows "
            "whether one is enough, and what needs a machine has no sum."
        )
    if taken <= 1:
        return ""
    counts = {way: together.machines(advices, [way] * len(advices)) for way in Way}
    needed = f"{counts[Way.LOCAL]} machines would be needed"
    if counts[Way.HYBRID] != counts[Way.LOCAL]:
        needed += f", {counts[Way.HYBRID]} for a hybrid"
    return f"{_limit(advices, name, taken)}: {needed}, and the sums are for as many."


def bought(way: Way, subject: Subject) -> str:
    """Name what a way needs: how many machines, and whether that is known to be enough."""
    advices, name = subject.advices, subject.setting.machine.name
    if together.load(advices) is None:
        return f"one {name} (enough? unknown)"
    count = together.machines(advices, [way] * len(advices))
    return name if count == 1 else f"{count} machines, each {name}"


def _limit(advices: Sequence[Advice], name: str, taken: float) -> str:
    if len(advices) > 1:
        return f"All together take {taken:.3g} times what one {name} answers"
    return f"One {name} answers at most {millions(advices[0].capacity or 0)} tokens/day"


def outgrown(subject: Subject) -> str:
    """Say in which month growth exceeds the machines recommended; empty where it does not.

    Where none is recommended it is about those of the full local option.
    """
    advices = subject.advices
    if len(advices) == 1:
        return cautions.outgrown(subject.main, subject.currency)
    ways = [advice.ruling.verdict for advice in advices]
    if not together.uses_machine(ways):
        ways = [Way.LOCAL] * len(advices)
    count, loads = together.machines(advices, ways), together.loads(advices, ways)
    if count is None or loads is None:
        return ""
    growths, market = [a.workload.growth for a in advices], subject.setting.market
    month = month_over(loads, growths, count, market.months)
    if month is None:
        return ""
    grown = joined(list(dict.fromkeys(f"{growth:.0%}" for growth in growths if growth > 0)))
    return (
        f"Growing {grown} a month, the work is more than {cautions.answered(count)} in month "
        f"{month}, before the write-off of {market.months:g} months is over; the sums are for "
        f"today's volume. {cautions.further(subject.main, count, subject.currency)}"
    )
