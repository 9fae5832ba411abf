"""Whether the machines that the sums are for can answer the work, today and as it grows."""

import math
from collections.abc import Sequence

from fathom_tui.advice import Advice
from fathom_tui.economics import Way, millions
from fathom_tui.reports import together
from fathom_tui.reports.document import joined
from fathom_tui.reports.subject import Subject

_MOST_MONTHS = 600
"""Ours: nobody plans for more than fifty years, whatever the months of the write-off."""


def room(subject: Subject) -> str:
    """Say how many machines the work needs; empty where it is known that one is enough."""
    advices, name = subject.advices, subject.setting.machine.name
    taken = together.load(advices)
    if taken is None:
        return (
            f"How much {name} can answer is unknown, so nobody knows whether one is enough; the "
            "sums are for one."
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
    ways = [advice.ruling.verdict for advice in advices]
    if not together.uses_machine(ways):
        ways = [Way.LOCAL] * len(advices)
    count = together.machines(advices, ways)
    month = _month(advices, ways, count)
    if month is None:
        return ""
    grown = [f"{a.workload.growth:.0%}" for a in advices if a.workload.growth > 0]
    answered = "one machine answers" if count == 1 else f"{count} machines answer"
    work = "the hybrid's local share" if set(ways) == {Way.HYBRID} else "the work"
    return (
        f"Growing {joined(list(dict.fromkeys(grown)))} a month, {work} is more than {answered} in "
        f"month {month}, before the write-off of {subject.setting.market.months:g} months is over; "
        "the sums have no further machine."
    )


def _month(advices: Sequence[Advice], ways: Sequence[Way], count: int) -> int | None:
    """Return the first month at the end of which the work is more than so many machines answer."""
    loads = together.loads(advices, ways)
    if loads is None or all(advice.workload.growth <= 0 for advice in advices):
        return None
    months = min(math.floor(advices[0].setting.market.months), _MOST_MONTHS)
    for month in range(1, months + 1):
        loads = [
            load * (1 + advice.workload.growth) for load, advice in zip(loads, advices, strict=True)
        ]
        if sum(loads) > count:
            return month
    return None
