"""The paragraph that goes into an email: the answer, the sums, and what would change it."""

from fathom_tui import cautions
from fathom_tui.advice import Advice
from fathom_tui.economics import Way, millions
from fathom_tui.reports import capacity, together, wording
from fathom_tui.reports.document import Document, Paragraph, joined
from fathom_tui.reports.subject import Subject


def email(subject: Subject) -> Document:
    """Return the paragraph; its title is the email's subject line."""
    price = subject.setting.price
    sentences = [
        *(_one(subject) if len(subject.advices) == 1 else _several(subject)),
        *filter(None, (capacity.room(subject), capacity.outgrown(subject))),
        f"The API prices are {price.name}'s of {wording.long_date(price.origin.as_of)} "
        f"({price.origin.source}); the machine's operations, "
        f"{subject.money(subject.setting.market.operations_gbp)} a month, are an assumption.",
    ]
    return Document(
        title=f"{subject.name}: {_headline(subject)}",
        subtitle=wording.long_date(subject.date),
        blocks=(Paragraph(text=(" ".join(sentences),)),),
    )


def _headline(subject: Subject) -> str:
    verdicts = [advice.ruling.verdict.value for advice in subject.advices]
    ways = joined(list(dict.fromkeys(verdicts)))
    tokens = sum(advice.workload.tokens_per_day for advice in subject.advices)
    return f"{ways} for {millions(tokens)} tokens/day"


def _one(subject: Subject) -> list[str]:
    advice, costs = subject.main, subject.main.costs
    sums = (
        f"At {wording.volume(advice)}, {subject.setting.price.name} costs "
        f"{subject.money(costs.cloud)} a month at list price, a hybrid "
        f"{subject.money(costs.hybrid)} and "
        f"{capacity.bought(Way.LOCAL, subject)} alone {subject.money(costs.local)}"
    )
    if costs.compliance:
        sums += (
            f"; keeping the data in a cloud adds about {subject.money(costs.compliance)} for "
            f"{wording.regulations(advice)}"
        )
    found = [
        f"We recommend {advice.ruling.verdict.value}. {wording.verdict(advice)}",
        f"{sums}.",
        *filter(
            None,
            [
                cautions.too_fast(advice),
                wording.cost_verdict(advice, subject),
                advice.follow(subject.currency),
                wording.cheaper(subject),
            ],
        ),
    ]
    changes = wording.changes(advice, subject)
    if changes:
        found.append(f"What would change this: {changes[0]}.")
    return found


def _several(subject: Subject) -> list[str]:
    advices = subject.advices
    ways = [advice.ruling.verdict for advice in advices]
    parts = [
        _short(advice, together.cheapest_for(advices, ways, index))
        for index, advice in enumerate(advices)
    ]
    cloud = [Way.CLOUD] * len(advices)
    return [
        f"We recommend {joined(parts)}.",
        _together(subject, ways, cloud),
        *filter(None, [wording.cheaper(subject)]),
    ]


def _short(advice: Advice, cheapest: Way | None) -> str:
    volume, verdict = millions(advice.workload.tokens_per_day), advice.ruling.verdict
    text = f"{verdict.value} for {advice.workload.name} ({volume} tokens/day"
    if cheapest in (None, verdict):
        return f"{text})"
    return f"{text}; on cost {cheapest.value})"


def _together(subject: Subject, ways: list[Way], cloud: list[Way]) -> str:
    here, there = _month(subject, ways), _month(subject, cloud)
    if here is None:
        return f"Everything at the API is {subject.money(there)} a month."
    return (
        f"Together that is {subject.money(here)} a month, against {subject.money(there)} with "
        "everything at the API."
    )


def _month(subject: Subject, ways: list[Way]) -> float | None:
    found = together.month(subject.advices, ways)
    return None if found is None else found + together.compliance(subject.advices, ways)
