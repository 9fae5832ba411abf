"""Sentences and footnotes that memo, email and audit share."""

from datetime import date as day

from fathom_tui.advice import Advice
from fathom_tui.catalog import stale
from fathom_tui.catalog_types import ApiPrice, Assumption, Origin
from fathom_tui.crossing import Crossover
from fathom_tui.economics import Way, blended_usd, millions
from fathom_tui.figures import Figure, Kind
from fathom_tui.reports import together
from fathom_tui.reports.document import Note, joined
from fathom_tui.reports.subject import GIVEN, Subject, note
from fathom_tui.technique_rules import TUNING

BOOK = Origin(source="book, ch. 1 (April 2026)", as_of="2026-04-01", kind=Kind.COMMUNITY)
NAMES = {Way.CLOUD: "cloud API", Way.HYBRID: "hybrid", Way.LOCAL: "local machine"}


def long_date(iso: str) -> str:
    """Return 22 November 2026."""
    found = day.fromisoformat(iso)
    return f"{found.day} {found:%B %Y}"


def regulations(advice: Advice) -> str:
    """Return GDPR and FCA; empty where none applies."""
    return joined([name.upper() for name in advice.workload.regulations])


def volume(advice: Advice) -> str:
    """Return the workload's tokens a day, mix and growth."""
    workload = advice.workload
    text = f"{millions(workload.tokens_per_day)} tokens/day ({workload.input_share:.0%} input)"
    if workload.growth:
        way = "growing" if workload.growth > 0 else "shrinking"
        text += f", {way} {abs(workload.growth):.0%} a month"
    return text


def verdict(advice: Advice) -> str:
    """Return the recommendation in a sentence; regulated data is local, whatever it costs."""
    rule = advice.ruling.rule
    if not advice.workload.regulated:
        return f"{rule.aloud} (Rule {rule.number}: {_lower(rule.title)}.)"
    if advice.workload.personal:
        room = "A hybrid is open only to data that is not personal."
    else:
        room = "As the data is not personal, a hybrid is open to it as well."
    return (
        f"The data falls under {regulations(advice)}, so a model on a machine of our own is what "
        f"we can defend (rule {rule.number}). {room}"
    )


def cost_verdict(advice: Advice, subject: Subject) -> str:
    """Say whether the costs agree with the rule, and why not where they do not."""
    way = advice.costs.cheapest
    if way is None:
        return ""  # the capacity says why
    if advice.agrees:
        sum_ = subject.money(advice.costs.compared[way])
        return f"The costs agree: {way.value} is the cheapest way, at {sum_} a month."
    return f"The costs disagree. {advice.disagreement(subject.currency)}"


def cheaper(subject: Subject) -> str:
    """Name the cheapest API beside a verdict that costs more than it; empty where none does."""
    found = [advice for advice in subject.advices if _is_cheaper(advice)]
    if not found:
        return ""
    name = joined(list(dict.fromkeys(advice.cheapest.price.name for advice in found)))
    if len(subject.advices) == 1:
        sum_ = subject.money(found[0].cheapest.month)
        premium = found[0].costs.compliance
        kept = f" and {subject.money(premium)} for compliance" if premium else ""
        return (
            f"But {name}, the cheapest API in the table, would cost {sum_} a month{kept}, which is "
            "less, if its answers are good enough."
        )
    sums = joined(
        [f"{advice.workload.name} ({subject.money(advice.cheapest.month)})" for advice in found]
    )
    return (
        f"The cheapest API in the table, {name}, would cost less for {sums}, if the answers are "
        "good enough."
    )


def _is_cheaper(advice: Advice) -> bool:
    """Return whether the cheapest API at list price costs less than the rule's verdict."""
    month = advice.cheapest.month + advice.costs.compliance
    asked = advice.costs.compared.get(advice.ruling.verdict)
    return asked is not None and month < asked


def used_setting(subject: Subject) -> str:
    """Name the device, the API and the assumptions changed; a workload keeps none of them."""
    setting, machine = subject.setting, subject.setting.machine
    given = [row for row in subject.assumptions.values() if row.origin.source == GIVEN]
    changed = joined([f"{row.name} {_amount(row)}" for row in given]) or "none"
    return (
        f"Computed for {machine.name} at {subject.money(machine.price_gbp)} against "
        f"{setting.price.name} (prices of {long_date(setting.price.origin.as_of)}); assumptions "
        f"changed: {changed}. The workload does not keep these: they were chosen for this memo."
    )


def _amount(row: Assumption) -> str:
    origin = row.origin
    return str(
        Figure(
            value=row.value,
            unit=row.unit,
            kind=origin.kind,
            source=origin.source,
            as_of=origin.as_of,
        )
    )


def confidence(advice: Advice) -> str:
    """Return `firm (no volume changes it)`."""
    word, _, why = advice.confidence.partition(": ")
    return f"{word} ({why})" if why else word


def changes(advice: Advice, subject: Subject) -> list[str]:
    """Say what would change the answer, the nearest first."""
    ruling, found = advice.ruling, []
    if ruling.growth_months is not None and ruling.growth_verdict is not None:
        found.append(
            f"in {ruling.growth_months:.1f} months, at {advice.workload.growth:.0%} growth a "
            f"month, the rule's verdict becomes {ruling.growth_verdict.value}"
        )
    edge = advice.next_edge
    if advice.cost_months and edge is not None:
        found.append(
            f"in {advice.cost_months:.1f} months the same growth makes {edge.above.value} the "
            f"cheapest way, at {millions(edge.tokens_per_day)} tokens/day"
        )
    found += [f"{flip.sentence()} the rule says {flip.verdict.value}" for flip in ruling.flips]
    if not advice.cost_months:
        found += [
            f"on cost, {edge.above.value} is the cheapest way above "
            f"{millions(edge.tokens_per_day)} tokens/day"
            for edge in advice.edges
        ]
    return found


def api_note(price: ApiPrice, advice: Advice) -> Note:
    """Return where an API's price is from."""
    blended = blended_usd(price, advice.workload.input_share)
    pound = _usd(advice.setting.market.usd_per_gbp)
    return note(
        f"{price.name}: {_usd(price.input_usd)} per 1M input and {_usd(price.output_usd)} per 1M "
        f"output tokens, {_usd(blended)} at this mix; £1 = {pound}",
        price.origin,
    )


def _usd(value: float) -> str:
    return f"${value:.2f}" if round(value, 2) == round(value, 4) else f"${value:.4g}"


def beats(found: Crossover, name: str, capacity: float | None) -> str:
    """Say from which volume the machine costs less than an API, if it can answer that much."""
    if found.reachable is False:
        return (
            f"cheaper than {name} at no volume that it can answer (the sums cross at "
            f"{millions(found.tokens_per_day)}, it answers {millions(capacity or 0)})"
        )
    return f"cheaper than {name} from {millions(found.tokens_per_day)} tokens/day"


def crossings(advice: Advice) -> str:
    """Say where the machine beats the API compared with, and the cheapest one."""
    pairs = [
        (advice.crossover, advice.setting.price),
        (advice.cheapest.crossover, advice.cheapest.price),
    ]
    if advice.capacity is None:
        return f"Where a machine beats {advice.setting.price.name} is unknown, as its speed is."
    parts = [
        beats(found, price.name, advice.capacity) for found, price in pairs if found is not None
    ]
    if not parts:
        return ""
    return f"One machine{untuned(advice)} is {joined(list(dict.fromkeys(parts)))}."


def tuned_later(advice: Advice, subject: Subject) -> str:
    """Say why full local has a fine-tune though none is to be done now; empty where one is."""
    terms = advice.costs.local_terms
    if not terms.tuning or advice.costs.machines is None or advice.technique.choice in TUNING:
        return ""
    return (
        "it is kept although the work starts with "
        f"{_lower(advice.technique.answer)}: a machine alone has to be taught what a hybrid leaves "
        f"to the API. Without it full local is {subject.money(terms.machine)} a month"
    )


def untuned(advice: Advice) -> str:
    """Return what a crossover of the machine leaves out."""
    return " without a fine-tune" if advice.costs.local_terms.tuning else ""


def machine_notes(subject: Subject) -> tuple[Note, ...]:
    """Return where the machine's price, its electricity and its operations are from."""
    machine, market = subject.setting.machine, subject.setting.market
    local = [Way.LOCAL] * len(subject.advices)
    terms, used = together.terms(subject.advices, local), subject.assumptions
    count = together.machines(subject.advices, local) or 1
    several, each = (f"{count} times ", " each") if count > 1 else ("", "")
    operations = used["operations_gbp"]
    further = (
        f", and {market.operations_further:.0%} of that for each further one, "
        f"{subject.money(terms.operations)} for {count}"
        if count > 1
        else ""
    )
    span = (
        f" (range {subject.money(operations.low)} to {subject.money(operations.high)})"
        if operations.low is not None and operations.high is not None
        else ""
    )
    return (
        subject.note(
            "machine_price_gbp",
            f"{several}{machine.name}: {subject.money(machine.price_gbp)}{each} over "
            f"{market.months:g} months, {subject.money(terms.hardware)} a month",
        ),
        subject.note(
            "gbp_per_kwh",
            f"Electricity: {several}{machine.watts:,.0f} W for {market.utilisation:.0%} of the "
            f"month at £{market.gbp_per_kwh:g}/kWh, {subject.money(terms.electricity)} a month",
        ),
        subject.note(
            "operations_gbp",
            f"Operations: {subject.money(market.operations_gbp)} a month{span}{further}; people, "
            "space and spares, which no source itemises",
        ),
    )


def compliance_note(subject: Subject) -> Note:
    """Return where the cost of regulated data in a cloud is from."""
    market, row = subject.setting.market, subject.assumptions["compliance_gbp"]
    high = f" to {subject.money(row.high)}" if row.high is not None else ""
    return subject.note(
        "compliance_gbp",
        f"Compliance of regulated data in a cloud: {subject.money(market.compliance_gbp)}{high} a "
        f"month; {market.compliance_avoided:.0%} of it is taken as saved by a local machine (our "
        "guess: an impact assessment and model-risk work remain)",
    )


def rules_note() -> Note:
    """Return where the rules are from."""
    return note(
        "Six rules: below 1M tokens/day cloud, 1M to 10M hybrid, above 10M local; regulated data "
        "local at any volume",
        BOOK,
    )


def old_prices(subject: Subject) -> str:
    """Say that the prices are old; empty where they are not."""
    price, today = subject.setting.price, day.fromisoformat(subject.date)
    if not stale(price, today):
        return ""
    age = (today - day.fromisoformat(price.origin.as_of)).days
    return (
        f"The API prices are of {long_date(price.origin.as_of)}, {age} days before this report, "
        "and may have fallen since."
    )


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def sentence(text: str) -> str:
    """Return text as a sentence: a capital first, a full stop last."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")
