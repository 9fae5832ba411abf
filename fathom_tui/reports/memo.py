"""The one-page memo to whoever pays: situation, three options, recommendation, risk.

Source of the structure: book, ch. 1 (April 2026).
"""

from collections.abc import Sequence

from fathom_tui import cautions
from fathom_tui.advice import Advice
from fathom_tui.economics import Way, millions
from fathom_tui.reports import capacity, together, wording
from fathom_tui.reports.chart import crossover_chart, description
from fathom_tui.reports.document import (
    Block,
    Cite,
    Document,
    Heading,
    Items,
    Paragraph,
    Picture,
    Piece,
    Strong,
    Table,
    Text,
    Tone,
    joined,
)
from fathom_tui.reports.options import options
from fathom_tui.reports.risk import risk
from fathom_tui.reports.subject import Subject


def memo(subject: Subject) -> Document:
    """Return the memo of an engagement; up to four workloads fit on one A4 page."""
    blocks: list[Block] = [
        Paragraph(text=_bottom_line(subject), tone=Tone.VERDICT),
        Heading(text="Situation"),
        *_situation(subject),
        Heading(text="Three options"),
        *options(subject),
        _picture(subject),
        Heading(text="Recommendation"),
        *_recommendation(subject),
        Heading(text="Risk"),
        *risk(subject),
        Paragraph(text=(wording.used_setting(subject),), tone=Tone.SMALL),
    ]
    return Document(
        title=f"{subject.name}: cloud, hybrid or local?",
        subtitle=f"Memo · {wording.long_date(subject.date)} · figures in "
        f"{subject.currency.unit}, at today's volume unless said otherwise",
        blocks=tuple(blocks),
    )


def _bottom_line(subject: Subject) -> Text:
    if len(subject.advices) == 1:
        advice = subject.main
        label = advice.ruling.verdict.value.capitalize()
        return (
            Strong(f"Recommended: {label}. "),
            " ".join(
                text
                for text in [
                    wording.verdict(advice),
                    cautions.too_fast(advice),
                    wording.cost_verdict(advice, subject),
                    *(wording.cheaper(subject), capacity.room(subject)),
                ]
                if text
            ),
        )
    lines = (_together_line(subject), wording.cheaper(subject), capacity.room(subject))
    return (
        Strong(f"Recommended: {_split(subject.advices)}. "),
        " ".join(filter(None, lines)),
    )


def _split(advices: Sequence[Advice]) -> str:
    """Return `local for triage, cloud for digest`."""
    parts = []
    for way in Way:
        names = [a.workload.name for a in advices if a.ruling.verdict is way]
        if names:
            parts.append(f"{way.value} for {joined(names)}")
    return "; ".join(parts)


def _together_line(subject: Subject) -> str:
    advices = subject.advices
    ways, cloud = [a.ruling.verdict for a in advices], [Way.CLOUD] * len(advices)
    sum_, bill = together.month(advices, ways), together.month(advices, cloud)
    if sum_ is None or bill is None:
        return ""  # the capacity says why
    kept, spared = together.compliance(advices, ways), together.compliance(advices, cloud)
    said = ", compliance included" if spared else ""
    text = (
        f"That is {subject.money(sum_ + kept)} a month for all of them, against "
        f"{subject.money(bill + spared)} with every one at the API{said}."
    )
    apart = [
        f"{advice.workload.name} ({cheapest.value})"
        for advice, way, cheapest in zip(advices, ways, _cheapest(subject), strict=True)
        if cheapest is not None and cheapest is not way
    ]
    if apart:
        text += f" On cost alone another way would be cheaper for {joined(apart)}."
    return text


def _cheapest(subject: Subject) -> list[Way | None]:
    """Return the cheapest way of each workload while the others go as recommended."""
    advices = subject.advices
    ways = [advice.ruling.verdict for advice in advices]
    return [together.cheapest_for(advices, ways, index) for index in range(len(advices))]


def _situation(subject: Subject) -> list[Block]:
    if len(subject.advices) > 1:
        return [
            Paragraph(text=_several(subject)),
            _workloads(subject),
            Paragraph(text=(_UNDER_WORKLOADS,), tone=Tone.SMALL),
        ]
    advice = subject.main
    costs, price = advice.costs, advice.setting.price
    under = wording.regulations(advice)
    text: list[Piece] = [
        f"The workload “{advice.workload.name}” takes {wording.volume(advice)}; "
        + (f"the data falls under {under}. " if under else "no regulation applies. "),
        "At list price ",
        f"{price.name} costs ",
        Strong(f"{subject.money(costs.cloud)} a month"),
        Cite(wording.api_note(price, advice)),
        "; the cheapest API in the table, ",
        f"{advice.cheapest.price.name}, would be {subject.money(advice.cheapest.month)}",
        Cite(wording.api_note(advice.cheapest.price, advice)),
        f"{' with compliance on top,' if costs.compliance else ''} if its answers are good enough.",
    ]
    if costs.compliance:
        text += [
            " Keeping regulated data in a cloud adds ",
            Strong(f"{subject.money(costs.compliance)} a month"),
            " that a local machine saves"
            if advice.workload.personal
            else " that a local machine saves, and a hybrid as well",
            Cite(wording.compliance_note(subject)),
            ".",
        ]
    return [Paragraph(text=tuple(text))]


_UNDER_WORKLOADS = (
    "“Costs say”: the cheapest way while the others go as recommended; what they pay for already "
    "is not paid twice. Sums of a row are those of the workload alone."
)


def _several(subject: Subject) -> Text:
    advice = subject.main
    price, other = advice.setting.price, advice.cheapest.price
    regulated = any(each.costs.compliance for each in subject.advices)
    text: list[Piece] = [
        f"{len(subject.advices)} workloads, each against {price.name}",
        Cite(wording.api_note(price, advice)),
        " and the same machines for them all. The cheapest API in the table is ",
        other.name,
        Cite(wording.api_note(other, advice)),
        ".",
    ]
    if regulated:
        money = subject.money(max(each.costs.compliance for each in subject.advices))
        text += [
            f" Keeping regulated data in a cloud adds {money} a month, once",
            Cite(wording.compliance_note(subject)),
            ".",
        ]
    return tuple(text)


def _workloads(subject: Subject) -> Table:
    header = (
        "Workload", "Rule", "Costs say", "Tokens/day", "API", "Hybrid", "Local", "Cheapest API",
    )  # fmt: skip
    rows = [
        _workload(advice, cheapest, subject)
        for advice, cheapest in zip(subject.advices, _cheapest(subject), strict=True)
    ]
    count, advices = len(subject.advices), subject.advices
    tokens = sum(advice.workload.tokens_per_day for advice in advices)
    total = (
        *("All together", "", "", millions(tokens)),
        *(subject.money(together.month(advices, [way] * count)) for way in Way),
        subject.money(sum(advice.cheapest.month for advice in advices)),
    )
    return Table(
        header=tuple((name,) for name in header),
        rows=tuple(tuple((cell,) for cell in row) for row in (*rows, total)),
        words=3,
        total=True,
    )


def _workload(advice: Advice, cheapest: Way | None, subject: Subject) -> tuple[str, ...]:
    costs, rule = advice.costs, advice.ruling.rule
    under = wording.regulations(advice)
    sums = (costs.cloud_optimised, costs.hybrid, costs.local, advice.cheapest.month)
    return (
        advice.workload.name + (f" ({under})" if under else ""),
        f"{rule.number}: {advice.ruling.verdict.value}",
        cheapest.value if cheapest else "unknown",
        millions(advice.workload.tokens_per_day),
        *(subject.money(value) for value in sums),
    )


def _picture(subject: Subject) -> Picture:
    advice = subject.main
    return Picture(
        svg=crossover_chart(advice, subject.currency),
        alt=f"{advice.workload.name}: {description(advice, subject.currency)}",
        width=0.92 if len(subject.advices) == 1 else 0.72,
    )


def _recommendation(subject: Subject) -> list[Block]:
    if len(subject.advices) == 1:
        advice = subject.main
        found = [Paragraph(text=_reasons(advice, subject))]
        changing = [wording.sentence(text) for text in wording.changes(advice, subject)]
        return [*found, Items(items=tuple((text,) for text in changing))] if changing else [*found]
    items: list[Text] = [
        (
            Strong(f"{advice.workload.name}: {advice.ruling.verdict.value}. "),
            _short(advice, cheapest, subject),
        )
        for advice, cheapest in zip(subject.advices, _cheapest(subject), strict=True)
    ]
    if grown := capacity.outgrown(subject):
        items.append((grown,))
    return [Items(items=tuple(items))]


def _short(advice: Advice, cheapest: Way | None, subject: Subject) -> str:
    text = wording.verdict(advice)
    if cheapest not in (None, advice.ruling.verdict):
        text += f" {_dearer(advice, cheapest, subject)}"
    if fast := cautions.too_fast(advice):
        text += f" {fast}"
    months, later = advice.ruling.growth_months, advice.ruling.growth_verdict
    if months is None or later is None:
        return text
    return f"{text} Growth changes the rule's verdict to {later.value} in {months:.1f} months."


def _dearer(advice: Advice, cheapest: Way, subject: Subject) -> str:
    """Say what the rule's way costs more, with the others as recommended, and why it may be it."""
    advices, index = subject.advices, subject.advices.index(advice)
    ways = [each.ruling.verdict for each in advices]
    other = [cheapest if n == index else way for n, way in enumerate(ways)]
    sums = [
        (together.month(advices, tried) or 0.0) + together.compliance(advices, tried)
        for tried in (ways, other)
    ]
    return (
        f"On cost alone {cheapest.value} would be {subject.money(sums[0] - sums[1])} a month "
        f"cheaper. {advice.ruling.rule.line}"
    )


def _reasons(advice: Advice, subject: Subject) -> Text:
    rule = advice.ruling
    pieces: list[Piece] = [
        f"Rule {rule.rule.number} says ",
        Strong(rule.verdict.value),
        Cite(wording.rules_note()),
        "; the costs say " if advice.costs.cheapest else "; what the costs say is ",
        Strong(advice.costs.cheapest.value if advice.costs.cheapest else "unknown"),
        f". Confidence: {wording.confidence(advice)}. ",
    ]
    if why := advice.follow(subject.currency):
        pieces.append(f"{why} ")
    if crossings := wording.crossings(advice):
        pieces.append(f"{crossings} ")
    if grown := capacity.outgrown(subject):
        pieces.append(f"{grown} ")
    label, why = advice.ownership
    pieces.append(f"Own or rent (rule 6): {label}; {why}. ")
    if wording.changes(advice, subject):
        pieces.append("What would change the answer:")
    return tuple(pieces)
