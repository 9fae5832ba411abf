"""The risks of a memo: the crossover under falling API prices, and what else is open.

Source of the fall: book, ch. 1 (April 2026).
"""

import math
from dataclasses import replace

from fathom_tui.advice import DECLINES, Advice, declining
from fathom_tui.economics import millions
from fathom_tui.reports import wording
from fathom_tui.reports.document import Block, Cite, Items, Paragraph, Strong, Table, Text, Tone
from fathom_tui.reports.subject import Subject, note

YEARS = 3
"""How far ahead falling prices are shown."""


def risk(subject: Subject) -> list[Block]:
    """Return what may turn out otherwise: prices that fall, and what the verdicts leave open."""
    advice = subject.main
    low, high = (f"{share:.0%}" for share in DECLINES)
    fall = note(f"API prices have fallen {low} to {high} a year since 2023", wording.BOOK)
    name = f", at the mix of {advice.workload.name}," if len(subject.advices) > 1 else ""
    text: Text = (
        Strong("API prices fall. "),
        f"By {low} to {high} a year since 2023",
        Cite(fall),
        f"; then the volume from which the machine{wording.untuned(advice)} beats "
        f"{advice.setting.price.name}{name} moves:",
    )
    blocks: list[Block] = [Paragraph(text=text), _declines(advice)]
    if under := _under_declines(advice):
        blocks.append(Paragraph(text=(under,), tone=Tone.SMALL))
    dangers = _dangers(subject)
    if not dangers:
        return blocks
    if len(subject.advices) > 1:  # a list would take a second page
        return [*blocks, Paragraph(text=(" ".join(dangers),))]
    return [*blocks, Items(items=tuple((line,) for line in dangers))]


def _declines(advice: Advice) -> Table:
    today = advice.crossover.tokens_per_day if advice.crossover else None
    rows: list[tuple[Text, ...]] = []
    found = declining(advice, YEARS)
    for share in DECLINES:
        later = [tokens for _, rate, tokens in found if rate == share]
        cells = [_reach(tokens, advice) for tokens in (today, *later)]
        rows.append(((f"Prices fall {share:.0%} a year",), *((cell,) for cell in cells)))
    growth = advice.workload.growth
    if growth:
        volumes = [
            advice.workload.tokens_per_day * (1 + growth) ** (12 * year)
            for year in range(YEARS + 1)
        ]
        cells = [millions(tokens) for tokens in volumes]
        rows.append(
            (
                (f"This workload, at {growth:.0%} growth a month",),
                *((cell,) for cell in cells),
            )
        )
    header = ("Tokens/day", "today", *(f"in {year} y" for year in range(1, YEARS + 1)))
    return Table(header=tuple((name,) for name in header), rows=tuple(rows))


def _reach(tokens: float | None, advice: Advice) -> str:
    if tokens is None:
        return "never"
    over = advice.capacity is not None and tokens > advice.capacity
    return f"{millions(tokens)} †" if over else millions(tokens)


def _under_declines(advice: Advice) -> str:
    limit = advice.capacity
    if limit is None:
        return f"How much {advice.setting.machine.name} can answer is unknown."
    volumes = [tokens for _, _, tokens in declining(advice, YEARS) if tokens is not None]
    if max(volumes, default=0.0) <= limit:
        return ""
    return (
        f"† More than the {millions(limit)} tokens/day that one machine can answer: at those "
        "prices one never pays."
    )


def _dangers(subject: Subject) -> list[str]:
    """Return what else is open; with several workloads what concerns one of them is counted."""
    advices = subject.advices
    found: list[str] = []
    each = [_warnings(advice) for advice in advices]
    lines = dict.fromkeys(line for warnings in each for line in warnings)
    common = [line for line in lines if all(line in warnings for warnings in each)]
    single = len(lines) - len(common)
    if single:
        more = "points concern single workloads" if single > 1 else "point concerns one workload"
        found.append(f"{single} more {more}: see the audit summary.")
    old = wording.old_prices(subject)
    return [*common, *found, *filter(None, [old])]


def _warnings(advice: Advice) -> tuple[str, ...]:
    """Return what the verdict leaves open but for the capacity, of which the memo speaks before."""
    return replace(advice, capacity=math.inf).warnings()
