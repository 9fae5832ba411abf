"""The risks of a memo: the crossover under falling API prices, and what else is open.

Source of the fall: book, ch. 1 (April 2026).
"""

from fathom_tui.advice import Advice
from fathom_tui.cautions import Caution, cautions
from fathom_tui.crossing import DECLINES, declining
from fathom_tui.economics import millions
from fathom_tui.reports import wording
from fathom_tui.reports.document import (
    Block,
    Cite,
    Items,
    Paragraph,
    Strong,
    Table,
    Text,
    Tone,
    joined,
)
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
    found = declining(advice.setting, advice.workload.input_share, YEARS)
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
        return "unknown" if advice.capacity is None else "never"
    over = advice.capacity is not None and tokens > advice.capacity
    return f"{millions(tokens)} †" if over else millions(tokens)


def _under_declines(advice: Advice) -> str:
    limit = advice.capacity
    if limit is None:
        return f"How much {advice.setting.machine.name} can answer is unknown."
    volumes = [
        tokens
        for _, _, tokens in declining(advice.setting, advice.workload.input_share, YEARS)
        if tokens is not None
    ]
    if max(volumes, default=0.0) <= limit:
        return ""
    return (
        f"† More than the {millions(limit)} tokens/day that one machine can answer: at those "
        "prices one never pays."
    )


def _dangers(subject: Subject) -> list[str]:
    """Return what else is open; of several workloads what concerns single ones in a few words."""
    each = {advice.workload.name: _open(advice, subject) for advice in subject.advices}
    common = [
        found
        for found in dict.fromkeys(found for listed in each.values() for found in listed)
        if all(found in listed for listed in each.values())
    ]
    single: dict[str, list[str]] = {}
    for name, listed in each.items():
        for one in listed:
            if one not in common:
                single.setdefault(one.short, []).append(name)
    found = [line.text for line in common]
    if single:
        said = "; ".join(f"{short} ({joined(names)})" for short, names in single.items())
        found.append(f"Of single workloads, each in the audit summary: {said}.")
    old = wording.old_prices(subject)
    return [*found, *filter(None, [old])]


def _open(advice: Advice, subject: Subject) -> list[Caution]:
    """Return what the verdict leaves open but for the machines, of which the memo speaks before."""
    return [
        found
        for found in cautions(advice, subject.currency)
        if found.about not in ("capacity", "growth", "prices")
    ]
