"""The verdict in words: big letters, what it costs each way, and what would change it."""

from collections.abc import Iterator, Sequence
from datetime import date

from textual.content import Content

from fathom_tui.advice import Advice
from fathom_tui.catalog import stale
from fathom_tui.currency import Currency
from fathom_tui.economics import Way, millions
from fathom_tui.screens import lettering
from fathom_tui.screens.pane import wrapped
from fathom_tui.screens.symbols import ASCII, Symbols
from fathom_tui.screens.words import clean

_NAME, _SUM = 11, 9
"""Cells of a way's name and of its sum."""


def headline(advice: Advice, currency: Currency, symbols: Symbols, width: int) -> list[Content]:
    """Return the verdict in three lines, its reasons beside the letters."""
    letters = lettering.big(advice.ruling.verdict.value, symbols)
    beside = (_rule(advice), _cost_verdict(advice, currency, symbols), _confidence(advice))
    return [
        (Content.styled(f"{line:<{lettering.WIDTH}}  ", "bold $accent") + text).truncate(
            width, ellipsis=True
        )
        for line, text in zip(letters, beside, strict=True)
    ]


def lines(
    advice: Advice, currency: Currency, symbols: Symbols, today: date, letters: bool, width: int
) -> list[Content]:
    """Return everything about the verdict.

    Args:
        advice: The answer.
        currency: Of the sums.
        symbols: What the terminal can show.
        today: For the age of prices.
        letters: Whether the verdict itself is shown here, in big letters.
        width: Cells of a line.
    """
    found = list(_said(advice, currency, symbols, letters, width))
    found += [Content(""), *_month(advice, currency, symbols, width)]
    found += [Content(""), *_changes(advice, symbols, width)]
    found += [Content(""), *_work(advice, symbols, width)]
    found += [Content(""), *_notes(advice, symbols, today, width)]
    return [line.truncate(width, ellipsis=True) for line in found]


def _rule(advice: Advice) -> Content:
    rule = advice.ruling.rule
    return Content.assemble((f"rule {rule.number}", "bold"), (f"  {rule.title}", "$muted"))


def _confidence(advice: Advice) -> Content:
    word, _, why = advice.confidence.partition(":")
    return Content.assemble((word, "bold"), (f":{why}", "$muted"))


def _cost_verdict(advice: Advice, currency: Currency, symbols: Symbols) -> Content:
    cheapest = advice.costs.cheapest
    if cheapest is None:
        text = "the costs cannot be compared"
        return Content.assemble((f"{symbols.warned} ", "bold $warning"), (text, "bold $warning"))
    asked = currency.show(advice.costs.compared[cheapest])
    if advice.agrees:
        return Content.assemble(
            (f"{symbols.done} ", "$success"), f"the costs agree: {asked} a month"
        )
    rule = currency.show(advice.costs.compared[advice.ruling.verdict])
    return Content.assemble(
        (f"{symbols.warned} ", "bold $warning"),
        (f"on cost: {cheapest.value}", "bold $warning"),
        f", {asked} a month, not {rule}",
    )


def _said(
    advice: Advice, currency: Currency, symbols: Symbols, letters: bool, width: int
) -> Iterator[Content]:
    if letters:
        for line in lettering.big(advice.ruling.verdict.value, symbols):
            yield Content.styled(line, "bold $accent")
        yield Content("")
        yield from wrapped(_rule(advice), width, indent=8)
        yield from wrapped(_confidence(advice), width, indent=2)
    opened, closed = ('"', '"') if symbols is ASCII else ("“", "”")
    aloud = Content.styled(f"{opened}{advice.ruling.rule.aloud}{closed}", "italic")
    yield from wrapped(aloud, width, indent=1)
    if letters:
        yield Content("")
        yield from wrapped(_cost_verdict(advice, currency, symbols), width, indent=2)
    disagreement = advice.disagreement(currency)
    if disagreement:
        yield from wrapped(Content.styled(disagreement, "$muted"), width)


def _title(text: str, note: str = "") -> Content:
    return Content.assemble((text, "bold $secondary"), (f"  {note}" if note else "", "$muted"))


def _month(advice: Advice, currency: Currency, symbols: Symbols, width: int) -> Iterator[Content]:
    costs = advice.costs
    yield _title(f"A month at {millions(advice.workload.tokens_per_day)} tokens/day")
    most = max(*costs.compared.values(), advice.cheapest.month)
    room = max(4, width - _NAME - _SUM - 2)
    notes = _notes_on_ways(advice, currency)

    def row(name: str, gbp: float, style: str, mark: str) -> Content:
        drawn = round(room * gbp / most) if most else 0
        track = Content.styled(symbols.full * drawn, style).pad_right(room - drawn)
        bold = "bold" if mark.strip() else ""
        left = Content.styled(f"{mark}{name:<{_NAME - 1}}", bold)
        return left + track + Content.styled(f" {currency.show(gbp):>{_SUM}}", bold)

    for way in Way:
        mark = symbols.done if way is costs.cheapest else " "
        if way in costs.compared:
            yield row(way.value, costs.compared[way], _STYLES[way], mark)
        else:
            yield Content(f" {way.value:<{_NAME - 1}}{'unknown':>{room + _SUM + 1}}")
        for text in notes[way]:
            yield from _note(text, width)
    yield row("cheap API", advice.cheapest.month, "$muted", " ")
    yield from _note(advice.cheapest.price.name, width)


_STYLES = {Way.CLOUD: "$secondary", Way.HYBRID: "$warning", Way.LOCAL: "$success"}


def _note(text: str, width: int) -> list[Content]:
    return wrapped(Content.styled(f"  {clean(text)}", "$muted"), width, indent=2)


def _notes_on_ways(advice: Advice, currency: Currency) -> dict[Way, list[str]]:
    """Return what each way's sum is made of."""
    costs, name = advice.costs, advice.setting.price.name
    cloud = f"{name}, full price"
    if costs.cloud_optimised < costs.cloud:
        cloud = f"{name} with discounts; {currency.show(costs.cloud)} in full"
    hybrid = f"{advice.setting.market.local_share:.0%} on the machine, the rest at the API"
    if costs.machines is None:
        unknown = "the machine's speed is unknown, and so how many it takes"
        return {Way.CLOUD: [cloud], Way.HYBRID: [hybrid], Way.LOCAL: [unknown]}
    terms = costs.local_terms
    parts = ("hardware", "electricity", "operations", "tuning")
    local = " + ".join(f"{part} {currency.show(getattr(terms, part))}" for part in parts)
    found = {Way.CLOUD: [cloud], Way.HYBRID: [hybrid], Way.LOCAL: [local]}
    for way in (Way.CLOUD, Way.HYBRID):
        own = costs.hybrid if way is Way.HYBRID else costs.cloud_optimised
        extra = costs.compared[way] - (own or 0.0)
        if extra > 0:
            found[way].append(f"of it {currency.show(extra)} for compliance")
    return found


def _changes(advice: Advice, symbols: Symbols, width: int) -> Iterator[Content]:
    yield _title("What would change it")
    for text in change_sentences(advice):
        yield from wrapped(Content.assemble((f"{symbols.then} ", "$accent"), text), width, indent=2)


def change_sentences(advice: Advice) -> Sequence[str]:
    """Return what would change the rule's verdict or the costs', a sentence each."""
    ruling, found = advice.ruling, []
    found += [f"{flip.verdict.value} {flip.sentence()}" for flip in ruling.flips]
    if ruling.growth_months is not None and ruling.growth_verdict is not None:
        found.append(
            f"in {ruling.growth_months:.1f} months, growing {advice.workload.growth:.0%} a month: "
            f"{ruling.growth_verdict.value}"
        )
    for edge in advice.edges:
        found.append(
            f"on cost, at {millions(edge.tokens_per_day)} tokens/day: {edge.below.value} becomes "
            f"{edge.above.value}"
        )
    edge_ahead = advice.next_edge
    if advice.cost_months is not None and edge_ahead is not None:
        found.append(
            f"on cost, in {advice.cost_months:.1f} months of growth: {edge_ahead.above.value}"
        )
    if advice.crossover is not None:
        found.append(
            f"the machine alone beats {clean(advice.setting.price.name)} from "
            f"{advice.crossover.sentence()}"
        )
    cheapest = advice.cheapest
    if cheapest.crossover is not None and cheapest.price.id != advice.setting.price.id:
        found.append(f"and {clean(cheapest.price.name)}: {cheapest.crossover.sentence()}")
    return found


def _work(advice: Advice, symbols: Symbols, width: int) -> Iterator[Content]:
    """Say what is to be done about the work itself, and why."""
    found = advice.technique
    yield _title("Technique")
    yield from wrapped(Content.styled(clean(found.answer), "bold"), width)
    if found.wanted is not None:
        said = f"not {found.wanted.value} yet: {'; '.join(block.reason for block in found.blocks)}"
        mark = Content.styled(f"{symbols.warned} ", "$warning")
        yield from wrapped(mark + Content(clean(said)), width, indent=2)
    elif found.reasons:
        yield from _note(found.reasons[0].text, width)
    yield from wrapped(
        Content.assemble((f"{symbols.then} ", "$accent"), clean(found.next)), width, indent=2
    )


def _notes(advice: Advice, symbols: Symbols, today: date, width: int) -> Iterator[Content]:
    for warning in advice.warnings():
        mark = Content.styled(f"{symbols.warned} ", "$warning")
        yield from wrapped(mark + Content(clean(warning)), width, indent=2)
    price = advice.setting.price
    old = (today - date.fromisoformat(price.origin.as_of)).days
    mark = Content.styled(f"{symbols.warned} ", "$warning") if stale(price, today) else Content("")
    text = f"prices of {price.origin.as_of}, {old} days old; e shows every source"
    yield from wrapped(mark + Content.styled(text, "$muted"), width, indent=2)
