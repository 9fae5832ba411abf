"""The audit summary: every verdict with its way there, and every assumption with its source."""

from dataclasses import dataclass

from fathom_tui.advice import Advice
from fathom_tui.catalog_types import Assumption
from fathom_tui.economics import millions
from fathom_tui.figures import Figure
from fathom_tui.reports import wording
from fathom_tui.reports.chart import crossover_chart, description
from fathom_tui.reports.document import (
    Block,
    Cite,
    Document,
    Heading,
    Items,
    Linked,
    Paragraph,
    Picture,
    Strong,
    Table,
    Text,
    Tone,
)
from fathom_tui.reports.subject import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How a run of the engagement ended."""

    run: str
    state: str
    verdict: str | None
    """None where it did not get that far."""
    headline: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waived:
    """A refusal that a person lifted."""

    run: str
    gate: str
    by: str
    reason: str
    on: str
    """ISO date."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the ledger holds beside the workloads."""

    trials: tuple[Trial, ...] = ()
    waived: tuple[Waived, ...] = ()
    test_openings: int = 0
    """How often the test split was read."""


def audit(subject: Subject, evidence: Evidence) -> Document:
    """Return the audit summary of an engagement."""
    blocks: list[Block] = [Heading(text="Verdicts"), _verdicts(subject)]
    if old := wording.old_prices(subject):
        blocks.append(Paragraph(text=(old,), tone=Tone.WARNING))
    for advice in subject.advices:
        blocks += _workload(advice, subject)
    blocks += _runs(evidence)
    blocks += _waivers(evidence)
    blocks += [Heading(text="Assumptions"), _assumptions(subject)]
    return Document(
        title=f"{subject.name}: audit summary",
        subtitle=f"{wording.long_date(subject.date)} · engagement {subject.slug} · figures in "
        f"{subject.currency.unit} a month",
        blocks=tuple(blocks),
    )


def _verdicts(subject: Subject) -> Table:
    price = subject.setting.price
    header: tuple[Text, ...] = (
        ("Workload",),
        ("Rule", Cite(wording.rules_note())),
        ("Costs, alone" if len(subject.advices) > 1 else "Costs",),
        ("Agree",),
        ("Tokens/day",),
        (price.name, Cite(wording.api_note(price, subject.main))),
        ("optimised",),
        ("Hybrid",),
        ("Local", *(Cite(found) for found in wording.machine_notes(subject)[:1])),
    )
    return Table(
        header=header, rows=tuple(_verdict(each, subject) for each in subject.advices), words=4
    )


def _verdict(advice: Advice, subject: Subject) -> tuple[Text, ...]:
    costs, ruling = advice.costs, advice.ruling
    sums = (costs.cloud, costs.cloud_optimised, costs.hybrid, costs.local)
    return (
        (advice.workload.name,),
        (f"{ruling.rule.number}: ", Strong(ruling.verdict.value)),
        (Strong(costs.cheapest.value if costs.cheapest else "unknown"),),
        (_AGREE[advice.agrees],),
        (millions(advice.workload.tokens_per_day),),
        *((subject.money(value),) for value in sums),
    )


_AGREE = {True: "yes", False: "no", None: "unknown"}


def _workload(advice: Advice, subject: Subject) -> list[Block]:
    ruling = advice.ruling
    path = "; ".join(f"{node.condition} → {'yes' if node.holds else 'no'}" for node in ruling.path)
    others = ", ".join(str(number) for number in ruling.also)
    label, why = advice.ownership
    items: list[Text] = [
        (Strong("Input: "), _input(advice)),
        (Strong("Path: "), f"{path}. Rules that also hold: {others}."),
        (Strong("Say: "), wording.verdict(advice)),
        (Strong("Confidence: "), f"{wording.confidence(advice)}."),
        (Strong("Costs: "), _costs(advice, subject)),
        (Strong("Cheapest API: "), *_cheapest(advice, subject)),
        (Strong("Crossover: "), wording.crossings(advice) or "an API is free; there is none."),
        (Strong("Capacity: "), _capacity(advice)),
        (Strong("Own or rent (rule 6): "), f"{label}; {why}."),
        (Strong("Technique: "), _technique(advice)),
    ]
    changes = wording.changes(advice, subject)
    if changes:
        items.append((Strong("What would change it: "), f"{'; '.join(changes)}."))
    blocks: list[Block] = [Heading(text=advice.workload.name), Items(items=tuple(items))]
    if found := advice.warnings(subject.currency):
        blocks.append(Paragraph(text=(" ".join(found),), tone=Tone.WARNING))
    alt = f"{advice.workload.name}: {description(advice, subject.currency)}"
    return [*blocks, Picture(svg=crossover_chart(advice, subject.currency), alt=alt)]


def _costs(advice: Advice, subject: Subject) -> str:
    said = (
        wording.cost_verdict(advice, subject) or advice.disagreement(subject.currency),
        advice.follow(subject.currency),
    )
    return " ".join(filter(None, said))


def _input(advice: Advice) -> str:
    workload = advice.workload
    latency = "none" if workload.latency_ms is None else f"{workload.latency_ms:g} ms"
    hours = "unknown" if workload.gpu_hours is None else f"{workload.gpu_hours:g} a day"
    under = wording.regulations(advice) or "none"
    kind = ""
    if workload.regulated:
        kind = " (personal data)" if workload.personal else " (no personal data)"
    return (
        f"{wording.volume(advice)}; peak {workload.peak:g} at once; latency limit {latency}; "
        f"regulation {under}{kind}; {'may' if workload.batchable else 'may not'} wait 24 hours; "
        f"{workload.cache_hits:.0%} of the input cached; GPU hours {hours}."
    )


def _cheapest(advice: Advice, subject: Subject) -> Text:
    found = advice.cheapest
    return (
        f"{found.price.name}, {subject.money(found.month)} a month at list price",
        Cite(wording.api_note(found.price, advice)),
        f"{', compliance on top' if advice.costs.compliance else ''}, if its answers are good "
        "enough.",
    )


def _capacity(advice: Advice) -> str:
    if advice.capacity is None:
        return (
            f"how much {advice.setting.machine.name} can answer is unknown, so nobody knows "
            "whether one is enough."
        )
    text = f"one {advice.setting.machine.name} answers {millions(advice.capacity)} tokens/day"
    count = advice.costs.machines or 1
    return f"{text}; the costs of full local are those of {count}." if count > 1 else f"{text}."


def _technique(advice: Advice) -> str:
    """Say what to try, as far as the questions are answered."""
    found = advice.technique
    text = " ".join([f"{found.answer}.", *found.why, f"Next: {found.next}"])
    count = len(found.unknown)
    if not count:
        return text
    questions = "1 question" if count == 1 else f"{count} questions"
    return f"{text} {questions} not yet answered could change this."


def _runs(evidence: Evidence) -> list[Block]:
    if not evidence.trials:
        return [Heading(text="Runs"), Paragraph(text=("No run yet: nothing was measured.",))]
    header: tuple[Text, ...] = (("Run",), ("State",), ("Verdict",), ("What it says",))
    rows: tuple[tuple[Text, ...], ...] = tuple(
        (
            (trial.run,),
            (trial.state,),
            (Strong(trial.verdict) if trial.verdict else "none",),
            (trial.headline or "",),
        )
        for trial in evidence.trials
    )
    times = "once" if evidence.test_openings == 1 else f"{evidence.test_openings} times"
    return [
        Heading(text="Runs"),
        Table(header=header, rows=rows, words=4, wide=(3,)),
        Paragraph(text=(f"The test split was opened {times}.",), tone=Tone.SMALL),
    ]


def _waivers(evidence: Evidence) -> list[Block]:
    if not evidence.waived:
        return [Heading(text="Waivers"), Paragraph(text=("None: no refusal was lifted.",))]
    items: tuple[Text, ...] = tuple(
        (
            Strong(waived.gate),
            f" of {waived.run}, lifted by {waived.by} on {waived.on}: {waived.reason}",
        )
        for waived in evidence.waived
    )
    return [Heading(text="Waivers"), Items(items=items)]


def _assumptions(subject: Subject) -> Table:
    header: tuple[Text, ...] = (
        ("Assumption",), ("Kind",), ("Source",), ("As of",), ("Value",),
    )  # fmt: skip
    rows = tuple(_assumption(row) for row in subject.assumptions.values())
    return Table(header=header, rows=rows, words=4, wide=(0, 2))


def _assumption(row: Assumption) -> tuple[Text, ...]:
    origin = row.origin
    value = Figure(
        value=row.value, unit=row.unit, kind=origin.kind, source=origin.source, as_of=origin.as_of
    )
    cells = (row.name, origin.kind.value, Linked(origin.source), origin.as_of, str(value))
    return tuple((cell,) for cell in cells)
