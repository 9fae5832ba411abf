"""An advice as lines in a terminal: the verdict first, then the path, the costs and the flips."""

from collections.abc import Iterable

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fathom_tui.advice import DECLINES, Advice, declining
from fathom_tui.commands.output import printable
from fathom_tui.currency import Currency
from fathom_tui.economics import millions
from fathom_tui.questions import ASKED


def show(console: Console, advice: Advice, currency: Currency) -> None:
    """Print an advice."""
    _head(console, advice, currency)
    _section(console, "Path", _path(advice))
    volume = millions(advice.workload.tokens_per_day)
    _section(console, f"A month at {volume} tokens/day", _costs(advice, currency))
    _section(console, "What would change the answer", _flips(advice))
    _section(console, "What to do about the work", _technique(advice))
    _section(console, "Keep in mind", [("!", text) for text in advice.warnings()])
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
    for text in (
        f"Say: {rule.aloud}",
        f"Confidence: {advice.ruling.confidence}.",
        advice.agreement(currency),
    ):
        console.print(Padding(text, (0, 0, 0, 2), expand=False))
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


def _costs(advice: Advice, currency: Currency) -> Iterable[tuple[str, str, str]]:
    costs, setting = advice.costs, advice.setting
    terms = costs.local_terms
    yield "cloud", currency.show(costs.cloud), f"{setting.price.name} at full price"
    if costs.cloud_optimised != costs.cloud:
        yield "cloud", currency.show(costs.cloud_optimised), "with batch and cache discounts"
    share = f"{setting.market.local_share:.0%} local, the rest at the API"
    yield "hybrid", currency.show(costs.hybrid), share
    sums = " + ".join(
        f"{name} {currency.show(value)}"
        for name, value in (
            ("hardware", terms.hardware),
            ("electricity", terms.electricity),
            ("operations", terms.operations),
            ("tuning", terms.tuning),
        )
    )
    times = f"{costs.machines} machines of " if costs.machines > 1 else ""
    yield "local", currency.show(costs.local), f"{times}{setting.machine.name}: {sums}"
    if costs.compliance:
        note = "compliance, added to cloud and hybrid before they are compared"
        yield "regulated", currency.show(costs.compliance), note
    found = advice.cheapest
    yield "cheapest API", currency.show(found.month), f"{found.price.name} at full price"


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
    later = [tokens for years, _, tokens in declining(advice) if years == _YEARS and tokens]
    said = " to ".join(millions(tokens) for tokens in sorted(later))
    shares = " to ".join(f"{share:.0%}" for share in DECLINES)
    limit = advice.capacity
    beyond = limit is not None and max(later, default=0.0) > limit
    note = f"; one machine answers {millions(limit)}" if limit is not None and beyond else ""
    return f"in {_YEARS} years, if it falls by {shares} a year: {said} tokens/day{note}"


_YEARS = 3


def _flips(advice: Advice) -> Iterable[tuple[str, str]]:
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
    if advice.cost_months is not None:
        yield "cost", f"in {advice.cost_months:.1f} months growth makes another way the cheapest"
    if advice.crossover is not None:
        yield "cost", f"the machine alone crosses {name}: {advice.crossover.sentence()}"
    other = advice.cheapest.crossover
    if other is not None:
        yield "cost", f"and {advice.cheapest.price.name}: {other.sentence()}"
    if advice.crossover is not None:
        yield "cost", f"{name} {_declining(advice)}"
