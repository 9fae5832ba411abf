"""How the rule's verdict and the costs' stand to each other, and which of them to follow."""

from collections.abc import Mapping

from fathom_tui.advice import Advice
from fathom_tui.cautions import too_fast
from fathom_tui.currency import Currency
from fathom_tui.economics import MONTH_DAYS, Way, api_gbp, millions, optimised_usd

_DO: Mapping[Way, str] = {
    Way.CLOUD: "stay on the API and fix its bill first",
    Way.HYBRID: "let a machine answer the easy majority",
    Way.LOCAL: "let a machine answer all of it",
}
_WORTH: Mapping[Way, str] = {
    Way.CLOUD: "buying and running nothing",
    Way.HYBRID: "keeping most of the data in the house",
    Way.LOCAL: "keeping all of the data in the house",
}


def disagreement(advice: Advice, currency: Currency) -> str:
    """Say why rule and costs differ, or that they cannot be compared; empty where they agree."""
    rule, cost = advice.ruling.verdict, advice.costs.cheapest
    if cost is None:
        return not_compared(advice, currency)
    if cost is rule:
        return ""
    volume = millions(advice.workload.tokens_per_day)
    text = (
        f"The rule says {rule.value}; the cheapest at {volume} tokens/day is {cost.value}: "
        f"{currency.show(advice.costs.compared[cost])} a month against "
        f"{currency.show(advice.costs.compared[rule])}."
    )
    edge = next((e for e in advice.edges if rule in (e.below, e.above)), None)
    if edge is None:
        return f"{text} No volume makes {rule.value} the cheapest way."
    side = "above" if edge.above is rule else "below"
    turn = millions(edge.tokens_per_day)
    return f"{text} {rule.value.capitalize()} costs least only {side} {turn}."


def not_compared(advice: Advice, currency: Currency) -> str:
    """Say that nobody knows what the machine's ways cost."""
    name, costs = advice.setting.machine.name, advice.costs
    bill = currency.show(costs.compared[Way.CLOUD])
    return (
        f"The costs cannot be compared: the speed of {name} is unknown, so nobody knows how many "
        f"it takes for {millions(advice.workload.tokens_per_day)} tokens/day. The cloud costs "
        f"{bill} a month."
    )


def agreement(advice: Advice, currency: Currency) -> str:
    """Say how rule and costs stand to each other, and what a cheaper API would cost."""
    costs, other = advice.costs, advice.cheapest
    said = disagreement(advice, currency) or (
        f"The costs agree: of cloud, hybrid and local, {advice.ruling.verdict.value} costs least "
        f"against {advice.setting.price.name} {advice.price_compared}."
    )
    # Where a sum is unknown the API compared with is the only bound there is.
    least = min(costs.compared.values())
    if other.price.id == advice.setting.price.id or other.month + costs.compliance >= least:
        return said
    kept = f" and {currency.show(costs.compliance)} of compliance" if costs.compliance else ""
    return (
        f"{said} {other.price.name} would cost {currency.show(other.month)}{kept}, if it will do."
    )


def follow(advice: Advice, currency: Currency) -> str:
    """Say why the rule's line is where it is, where the costs' is, and which to follow.

    Empty where they agree. Source of the way on: the memo of the book, ch. 1 (April 2026), which
    fixes the bill at once, builds the hybrid beside it and leaves all-local to compliance.
    """
    rule, cost = advice.ruling.verdict, advice.costs.cheapest
    if advice.agrees is not False or cost is None:
        return ""
    parts = [advice.ruling.rule.line, _hybrid_sum(advice, currency)]
    if too_fast(advice):
        parts.append("The latency limit decides before either of them.")
    elif advice.workload.regulated:
        parts.append("Follow the rule: what an auditor refuses has no price here.")
    else:
        compared = advice.costs.compared
        more = currency.show(compared[rule] - compared[cost])
        soon = _soon(advice, rule)
        parts.append(
            f"For money alone follow the costs: {_DO[cost]}. Follow the rule where {_WORTH[rule]} "
            f"is worth {more} a month{soon}."
        )
    return " ".join(filter(None, parts))


def _hybrid_sum(advice: Advice, currency: Currency) -> str:
    """Return the arithmetic of the volume from which a hybrid pays, where the rule is about it."""
    if advice.ruling.verdict is not Way.HYBRID or advice.hybrid_from is None:
        return ""
    market, show = advice.setting.market, currency.show
    usd = optimised_usd(advice.setting.price, advice.workload, market)
    million = api_gbp(1e6, usd, market)
    machine, router = advice.costs.hybrid_terms.machine, market.router_gbp
    return (
        f"By the sum a hybrid pays from ({show(machine)} machine + {show(router)} router) / "
        f"({market.local_share:.0%} of {show(million)}, {MONTH_DAYS} days of 1M tokens) = "
        f"{millions(advice.hybrid_from)} tokens/day."
    )


def _soon(advice: Advice, rule: Way) -> str:
    edge, months = advice.next_edge, advice.cost_months
    if edge is None or months is None or edge.above is not rule:
        return ""
    return f", or to be ready when growth makes {rule.value} the cheapest, in {months:.1f} months"
