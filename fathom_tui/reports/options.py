"""The three options of a memo: optimise the cloud, hybrid, full local.

Source of the options and their weeks: book, ch. 1 (April 2026).
"""

from collections.abc import Sequence
from dataclasses import replace

from fathom_tui import economics
from fathom_tui.advice import Advice
from fathom_tui.economics import Way
from fathom_tui.reports import capacity, together, wording
from fathom_tui.reports.document import (
    Block,
    Cite,
    Note,
    Paragraph,
    Piece,
    Strong,
    Table,
    Text,
    Tone,
)
from fathom_tui.reports.subject import Subject, note

WEEKS = {
    Way.CLOUD: "1 week",
    Way.HYBRID: "4–6\N{NO-BREAK SPACE}weeks",
    Way.LOCAL: "6–10\N{NO-BREAK SPACE}weeks",
}


def options(subject: Subject) -> list[Block]:
    """Return the table of the three options, the recommended mix, and what the sums contain."""
    return [_table(subject), Paragraph(text=_under(subject), tone=Tone.SMALL)]


def _table(subject: Subject) -> Table:
    regulated = any(advice.costs.compliance for advice in subject.advices)
    header: list[Text] = [
        ("Option",), ("Ready in", Cite(_weeks_note())), ("To buy",), ("A month",),
    ]  # fmt: skip
    if regulated:
        header.append(("+ compliance",))
    header.append(("First year, cash",))
    rows = [
        _option(_name(way, subject), [way] * len(subject.advices), subject, regulated)
        for way in Way
    ]
    ways = mix(subject)
    if ways:
        rows.append(_option((Strong("Recommended"), ": the mix"), ways, subject, regulated))
    return Table(header=tuple(header), rows=tuple(rows), words=2, total=bool(ways))


def mix(subject: Subject) -> list[Way]:
    """Return the recommended way of each workload; empty where all go the same."""
    ways = [advice.ruling.verdict for advice in subject.advices]
    return ways if len(set(ways)) > 1 else []


def _option(name: Text, ways: Sequence[Way], subject: Subject, regulated: bool) -> tuple[Text, ...]:
    advices = subject.advices
    buy = together.to_buy(advices, ways)
    weeks = WEEKS[max(ways, key=list(Way).index)]
    sums = [together.month(advices, ways)]
    if regulated:
        sums.append(together.compliance(advices, ways))
    sums.append(together.first_year(advices, ways))
    return (
        name,
        (weeks,),
        ("nothing" if buy == 0 else subject.money(buy),),
        *((subject.money(value),) for value in sums),
    )


def _name(way: Way, subject: Subject) -> Text:
    setting = subject.setting
    market = setting.market
    if way is Way.CLOUD:
        return (Strong("Optimise the cloud"), f": {setting.price.name}, billing fixed first")
    if way is Way.HYBRID:
        shares = (
            f": {market.local_share:.0%} on {capacity.bought(way, subject)}, the rest at the API"
        )
        split = subject.note(
            "local_share",
            f"A router sends {market.local_share:.0%} of the tokens to the local model and costs "
            f"{subject.money(market.router_gbp)} a month"
            f"{_sum('; together ', subject, [way] * _count(subject))}",
        )
        return (Strong("Hybrid"), shares, Cite(split))
    cites = [Cite(found) for found in wording.machine_notes(subject)]
    pieces: list[Piece] = [Strong("Full local"), f": {capacity.bought(way, subject)}"]
    for n, cite in enumerate(cites):
        pieces += [cite] if n == 0 else [" ", cite]
    return tuple(pieces)


def _count(subject: Subject) -> int:
    return len(subject.advices)


def _sum(lead: str, subject: Subject, ways: Sequence[Way]) -> str:
    """Return `machine £500 + router £12 + API £78` after a lead; empty where a part is unknown."""
    found = together.parts(subject.advices, ways)
    if found is None:
        return ""
    return lead + " + ".join(f"{name} {subject.money(value)}" for name, value in found.items())


def _under(subject: Subject) -> Text:
    market, tuning = subject.setting.market, subject.tuning
    pieces: list[Piece] = [
        "“A month” has the purchase spread over its life; “first year, cash” has it in full"
    ]
    if any(advice.costs.compliance for advice in subject.advices):
        pieces.append(", and compliance with it")
    pieces.append(". ")
    if ways := mix(subject):
        monthly = subject.money(together.month(subject.advices, ways))
        pieces.append(f"The recommended mix{_sum(', a month: ', subject, ways)} = {monthly}. ")
    if market.tuning_gbp:
        money = subject.money(market.tuning_gbp)
        pieces += [
            f"Full local contains a fine-tune of {money} every {market.tuning_months:g} months",
            Cite(subject.note("tuning_gbp", f"A fine-tune: {money}")),
            f"; {wording.tuned_later(subject.main, subject)}. " if _kept(subject) else ". ",
        ]
    if tuning is not None:
        money = f"{subject.money(tuning.gbp_low)} to {subject.money(tuning.gbp_high)}"
        verb = "Bought as a service it is" if market.tuning_gbp else "Where full local needs a "
        verb += " " if market.tuning_gbp else "fine-tune, add "
        pieces += [
            f"{verb}{money} once",
            Cite(note(f"{tuning.name} as a service: {money}", tuning.origin)),
            ". ",
        ]
    pieces.append(_billing(subject))
    return tuple(pieces)


def _kept(subject: Subject) -> bool:
    """Whether one workload's fine-tune has to be accounted for; several have a table to do it."""
    return _count(subject) == 1 and bool(wording.tuned_later(subject.main, subject))


def _billing(subject: Subject) -> str:
    """Say what fixing the bill brings, or would bring if the work could wait."""
    waits = [advice for advice in subject.advices if not advice.workload.batchable]
    cloud = sum(advice.costs.cloud_optimised for advice in subject.advices)
    full = sum(advice.costs.cloud for advice in subject.advices)
    if not waits:
        return f"Batch and cache take the API's bill from {subject.money(full)} to " + (
            f"{subject.money(cloud)}."
        )
    bill = sum(_batched(advice) for advice in subject.advices)
    return (
        f"If every answer could wait 24 hours, batching would take the API's bill to "
        f"{subject.money(bill)}."
    )


def _batched(advice: Advice) -> float:
    workload = replace(advice.workload, batchable=True)
    setting = advice.setting
    return economics.costs(workload, setting.price, setting.machine, setting.market).cloud_optimised


def _weeks_note() -> Note:
    return note("Weeks until each option stands", wording.BOOK)
