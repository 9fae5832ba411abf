"""An advice as the one JSON object of `fathom advise --json`; its help lists the fields."""

from typing import Any

from fathom_tui.advice import (
    Advice,
    Edge,
    compliance_falls_on,
    monthly,
    tokens_figure,
)
from fathom_tui.crossing import Crossover, declining
from fathom_tui.currency import Currency
from fathom_tui.economics import Way
from fathom_tui.figures import Figure, Kind

_CAPACITY = "one machine around the clock, the reference model on each of its cards"
_FALL = "book, ch. 1 (April 2026): API prices since 2023"
_NEEDS_HOURS = ("own_month", "rent_month", "payback_months", "cheaper", "rule", "why")


def advice_json(advice: Advice, currency: Currency) -> dict[str, Any]:
    """Return the whole object; a sum or a volume that is unknown has the value null."""
    costs, ruling = advice.costs, advice.ruling
    return {
        "workload": advice.workload.to_json(),
        "verdict": ruling.verdict.value,
        "rule": ruling.rule.number,
        "cost_verdict": costs.cheapest.value if costs.cheapest else None,
        "agree": advice.agrees,
        "disagreement": advice.disagreement(currency),
        "follow": advice.follow(currency),
        "also": list(ruling.also),
        "path": [node.to_json() for node in ruling.path],
        "flips": _flips(advice),
        "confidence": advice.confidence,
        "say": ruling.rule.aloud,
        "ownership": {
            "label": advice.ownership.label,
            "why": advice.ownership.why,
            "rent_or_buy": _sum_of_rule_6(advice),
        },
        "technique": advice.technique.to_json(),
        "cheapest_api": _alternative(advice, currency),
        "monthly": {name: found.to_json() for name, found in monthly(advice, currency).items()},
        "compared": {way.value: _compared(advice, way, currency).to_json() for way in Way},
        **_volumes(advice),
        "machines": costs.machines,
        "warnings": list(advice.warnings(currency)),
    }


def _volumes(advice: Advice) -> dict[str, Any]:
    """Return every volume and month at which something changes."""
    hybrid = tokens_figure(advice.hybrid_from, advice, "hybrid against the API")
    growth = _months(advice.cost_months, "until growth makes another way the cheapest", advice)
    outgrown = _months(
        advice.outgrown_month, "until growth exceeds what the machines answer", advice
    )
    return {
        "crossover": _crossover(advice.crossover, advice),
        "crossover_optimised": _crossover(advice.crossover_optimised, advice),
        "hybrid_from": hybrid.to_json(),
        "cost_edges": [_edge(edge, advice) for edge in advice.edges],
        "cost_growth_months": growth.to_json(),
        "outgrown_month": outgrown.to_json(),
        "price_decline": _declines(advice),
        "capacity": tokens_figure(advice.capacity, advice, _CAPACITY).to_json(),
    }


def _compared(advice: Advice, way: Way, currency: Currency) -> Figure:
    """Return what stands in the comparison of costs: discounts and compliance in it."""
    value = advice.costs.compared.get(way)
    said = f"; compliance {compliance_falls_on(advice)}" if advice.costs.compliance else ""
    return Figure(
        value=None if value is None else round(currency.of(value), 2),
        unit=f"{currency.unit}/month",
        kind=Kind.COMPUTED,
        source=f"API {advice.price_compared}{said}",
        as_of=advice.setting.price.origin.as_of,
    )


def _edge(edge: Edge, advice: Advice) -> dict[str, Any]:
    turn = tokens_figure(edge.tokens_per_day, advice, "where two ways cost the same")
    return {
        "tokens_per_day": turn.to_json(),
        "below": edge.below.value,
        "above": edge.above.value,
    }


def _declines(advice: Advice) -> list[dict[str, Any]]:
    as_of = advice.setting.price.origin.as_of
    found = []
    for years, share, tokens in declining(advice.setting, advice.workload.input_share):
        fall = Figure(
            value=share, unit="share/year", kind=Kind.COMMUNITY, source=_FALL, as_of=as_of
        )
        crossing = tokens_figure(tokens, advice, f"prices {share:.0%} lower every year")
        found.append(
            {"years": years, "yearly_fall": fall.to_json(), "crossover": crossing.to_json()}
        )
    return found


def _sum_of_rule_6(advice: Advice) -> dict[str, Any] | None:
    """Return the sum of renting and owning; without hours only what needs none."""
    if advice.rent_or_buy is None:
        return None
    found = advice.rent_or_buy.to_json(advice.setting.price.origin.as_of)
    if advice.workload.gpu_hours is not None:
        return found
    return {name: value for name, value in found.items() if name not in _NEEDS_HOURS}


def _months(value: float | None, source: str, advice: Advice) -> Figure:
    return Figure(
        value=None if value is None else round(value, 1),
        unit="months",
        kind=Kind.COMPUTED,
        source=source,
        as_of=advice.setting.price.origin.as_of,
    )


def _crossover(found: Crossover | None, advice: Advice) -> dict[str, Any] | None:
    if found is None:
        return None
    source = f"£{found.fixed_gbp:,.0f} a month against ${found.usd_per_million:.4g} per 1M"
    return {
        "tokens_per_day": tokens_figure(found.tokens_per_day, advice, source).to_json(),
        "within_capacity": found.reachable,
    }


def _alternative(advice: Advice, currency: Currency) -> dict[str, Any]:
    found = advice.cheapest
    return {
        "id": found.price.id,
        "name": found.price.name,
        "month": monthly(advice, currency)["cheapest_api"].to_json(),
        "crossover": _crossover(found.crossover, advice),
    }


def _flips(advice: Advice) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [flip.to_json() for flip in advice.ruling.flips]
    months, verdict = advice.ruling.growth_months, advice.ruling.growth_verdict
    if months is not None and verdict is not None:
        found.append(
            {"input": "months", "from": 0, "to": round(months, 1), "verdict": verdict.value}
        )
    return found
