"""An advice as lines in a terminal: the verdict first, then the path, the costs and the flips."""

from collections.abc import Iterable

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fathom_tui.advice import Advice, compliance_falls_on
from fathom_tui.cautions import too_fast
from fathom_tui.commands.output import printable
from fathom_tui.crossing import DECLINES, declining
from fathom_tui.currency import Currency
from fathom_tui.economics import LocalCost, Way, millions
from fathom_tui.questions import ASKED
from fathom_tui.technique_rules import TUNING


def show(console: Console, advice: Advice, currency: Currency) -> None:
    """Print an advice."""
    _head(console, advice, currency)
    _section(console, "Path", _path(advice))
    volume = millions(advice.workload.tokens_per_day)
    _section(console, f"A month at {volume} tokens/day", _costs(advice, currency))
    _section(console, "What would change the answer", _flips(advice, currency))
    _section(console, "What to do about the work", _technique(advice))
    _section(console, "Keep in mind", _warnings(advice, currency))
    origin = advice.setting.price.origin
    console.print(
        f"Prices: {origin.source}, {origin.as_of}. Every assumption: fathom catalog assumptions; "
        "change one with --assume NAME=VALUE.",
        style="dim",
    )


def _head(console: Console, advice: Advice, currency: Currency) -> None:
    rule = advice.ruling.rule
    name = printable(advice.workload.name)
    title = Text.assemble((f"{advice.ruling.verdict.value.upper()}", "bold"), f"  {name}")
    console.print(title.append(f"  ·  rule {rule.number}: {rule.title}"))
    but = too_fast(advice)
    for text in (
        f"Say: {rule.aloud}",
        f"But: {but}" if but else "",
        f"Confidence: {advice.confidence}.",
        advice.agreement(currency),
        advice.follow(currency),
    ):
        if text:
            console.print(Padding(Text(printable(text)), (0, 0, 0, 2), expand=False))
    console.print()


def _section(console: Console, title: str, rows: Iterable[tuple[str, ...]]) -> None:
    """Print rows in columns under a title; nothing where there is none."""
    found = list(rows)
    if not found:
        return
    console.print(title, style="bold")
    table = Table.grid(padding=(0, 2))
    for place in range(len(found[0])):
        money = len(found[0]) == 3 and place == 1
        table.add_column(justify="right" if money else "left", no_wrap=money)
    for row in found:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console.print(Padding(table, (0, 0, 1, 2), expand=False))


def _path(advice: Advice) -> Iterable[tuple[str, str]]:
    for node in advice.ruling.path:
        yield (
            ("yes", f"{node.condition}  → rule {node.rule}")
            if node.holds
            else (
                "no",
                node.condition,
            )
        )
    label, why = advice.ownership
    found = advice.rent_or_buy
    if found is not None and advice.workload.gpu_hours is not None:
        why = f"{why}. The sum: {found.why}"
    elif found is not None and found.break_even_hours_day is not None and found.reachable:
        why = f"{why}. By the sum, owning costs less from {found.break_even_hours_day:.1f} h/day"
    also = [number for number in advice.ruling.also if number != 6]
    if also:
        yield "also", "rule " + " and rule ".join(map(str, also))
    yield "own?", f"rule 6: {label}; {why}"


def _warnings(advice: Advice, currency: Currency) -> Iterable[tuple[str, str]]:
    said = too_fast(advice)  # at the top already
    for text in advice.warnings(currency):
        if text != said:
            yield "!", text


def _costs(advice: Advice, currency: Currency) -> Iterable[tuple[str, str, str]]:
    """Say what each way costs as it is compared, and what its sum is made of."""
    for way, note in (
        (Way.CLOUD, _cloud_note(advice, currency)),
        (Way.HYBRID, _hybrid_note(advice, currency)),
        (Way.LOCAL, _local_note(advice, currency)),
    ):
        sum_ = advice.costs.compared.get(way)
        yield way.value, "unknown" if sum_ is None else currency.show(sum_), note
    found, premium = advice.cheapest, advice.costs.compliance
    note = f"{found.price.name} at full price"
    if premium:
        note += f"; compliance, {currency.show(premium)}, comes on top"
    yield "cheapest API", currency.show(found.month), note
    if premium:
        yield "", "", f"compliance {currency.show(premium)}: {compliance_falls_on(advice)}"
    if text := _untuned(advice, currency):
        yield "", "", text


def _cloud_note(advice: Advice, currency: Currency) -> str:
    costs, name = advice.costs, advice.setting.price.name
    bill = f"{name} {advice.price_compared}"
    if costs.cloud_optimised < costs.cloud:
        bill += f" (batch, cache; {currency.show(costs.cloud)} in full)"
    if not costs.compliance:
        return bill
    return f"{bill} {currency.show(costs.cloud_optimised)}{_kept(advice, Way.CLOUD, currency)}"


def _kept(advice: Advice, way: Way, currency: Currency) -> str:
    """Return the compliance in a way's sum."""
    costs = advice.costs
    own = costs.hybrid if way is Way.HYBRID else costs.cloud_optimised
    extra = costs.compared.get(way, 0.0) - (own or 0.0)
    return f" + compliance {currency.show(extra)}" if extra > 0 else ""


def _hybrid_note(advice: Advice, currency: Currency) -> str:
    costs, market = advice.costs, advice.setting.market
    share = f"{market.local_share:.0%} local, the rest at the API"
    if costs.hybrid is None:
        return f"{share}; {_unknown(advice)}"
    terms = _terms(costs.hybrid_terms, currency)
    count = costs.hybrid_machines or 1
    share += f", {count} machines" if count > 1 else ""
    return (
        f"{share}: {terms} + router {currency.show(market.router_gbp)} + API "
        f"{currency.show(costs.hybrid_api)}{_kept(advice, Way.HYBRID, currency)}"
    )


def _local_note(advice: Advice, currency: Currency) -> str:
    costs, name = advice.costs, advice.setting.machine.name
    if costs.machines is None:
        return f"{name}; {_unknown(advice)}"
    terms = costs.local_terms
    times = f"{costs.machines} machines of " if costs.machines > 1 else ""
    tuning = f" + tuning {currency.show(terms.tuning)}" if terms.tuning else ""
    return f"{times}{name}: {_terms(terms, currency)}{tuning}"


def _unknown(advice: Advice) -> str:
    return f"the speed of {advice.setting.machine.name} is unknown, and so how many it takes"


def _terms(terms: LocalCost, currency: Currency) -> str:
    sums = (
        ("hardware", terms.hardware),
        ("electricity", terms.electricity),
        ("operations", terms.operations),
    )
    return " + ".join(f"{name} {currency.show(value)}" for name, value in sums)


def _untuned(advice: Advice, currency: Currency) -> str:
    """Say why a machine alone has a tuning in its sum though none is to be done now."""
    costs = advice.costs
    if costs.machines is None or not costs.local_terms.tuning or advice.technique.choice in TUNING:
        return ""
    why = (
        "only local pays for tuning: alone, a machine has to be taught what a hybrid leaves to the "
        "API"
    )
    if Way.LOCAL not in (advice.ruling.verdict, costs.cheapest):
        return why
    return (
        f"{why}. It is kept although the work below starts untuned; where the base model is good "
        f"enough, local is {currency.show(costs.local_terms.machine)} (--assume tuning_gbp=0)"
    )


def _technique(advice: Advice) -> Iterable[tuple[str, str]]:
    found = advice.technique
    yield found.choice.value, found.answer
    for text in found.why:
        yield "", text
    if found.next:
        yield "next", found.next
    if found.unknown:
        name = found.unknown[0]
        yield "ask", f"{ASKED[name]} (--answer {name}=...)"


def _declining(advice: Advice) -> str:
    """Say where the crossover goes as API prices fall."""
    found = declining(advice.setting, advice.workload.input_share, _YEARS)
    later = [tokens for years, _, tokens in found if years == _YEARS and tokens]
    said = " to ".join(millions(tokens) for tokens in sorted(later))
    shares = " to ".join(f"{share:.0%}" for share in DECLINES)
    limit = advice.capacity
    beyond = limit is not None and max(later, default=0.0) > limit
    note = f"; one machine answers {millions(limit)}" if limit is not None and beyond else ""
    return f"in {_YEARS} years, if it falls by {shares} a year: {said} tokens/day{note}"


_YEARS = 3


def _flips(advice: Advice, currency: Currency) -> Iterable[tuple[str, str]]:
    ruling, name = advice.ruling, advice.setting.price.name
    for flip in ruling.flips:
        yield flip.verdict.value, flip.sentence()
    if ruling.growth_months is not None and ruling.growth_verdict is not None:
        growth = f"{advice.workload.growth:.0%} growth a month"
        yield ruling.growth_verdict.value, f"in {ruling.growth_months:.1f} months, at {growth}"
    for edge in advice.edges:
        turn = millions(edge.tokens_per_day)
        yield (
            "cost",
            f"{edge.below.value} is cheapest below {turn} tokens/day, {edge.above.value} above",
        )
    edge_ahead = advice.next_edge
    if advice.cost_months is not None and edge_ahead is not None:
        way = edge_ahead.above.value
        yield "cost", f"in {advice.cost_months:.1f} months growth makes {way} the cheapest"
    yield from _crossings(advice, name, currency)


def _crossings(advice: Advice, name: str, currency: Currency) -> Iterable[tuple[str, str]]:
    """Say where the machine alone costs less than an API, and what is in its sum."""
    if advice.capacity is None:
        yield "cost", f"where a machine crosses {name} is unknown, as its speed is"
        return
    found, best = advice.crossover, advice.crossover_optimised
    if found is None:
        return
    yield (
        "cost",
        f"the machine alone, {currency.show(found.fixed_gbp)} with operations and without tuning, "
        f"crosses {name} at full price: {found.sentence()}",
    )
    if best is not None and best.tokens_per_day > found.tokens_per_day:
        yield "cost", f"with batch and cache discounts: {best.sentence()}"
    other, cheap = advice.cheapest.crossover, advice.cheapest.price
    if other is not None and cheap.id != advice.setting.price.id:
        yield "cost", f"{cheap.name} at full price: {other.sentence()}"
    yield "cost", f"{name} {_declining(advice)}"
