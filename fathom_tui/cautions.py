"""What a verdict leaves to be thought of: each point once, with the numbers it is about."""

from collections.abc import Iterator
from dataclasses import dataclass

from fathom_tui.advice import Advice, answered_here
from fathom_tui.catalog import stale
from fathom_tui.currency import Currency
from fathom_tui.economics import Way, local_cost, machines_for, millions
from fathom_tui.setting import REQUEST_TOKENS
from fathom_tui.workload import FAST_MS

MANY = 5
"""Requests at once above which a server for many is wanted (book, ch. 2, April 2026)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caution:
    """One point."""

    about: str
    """prices, capacity, growth, peak, latency, not-personal, regulation or batch."""
    short: str
    """A few words, for where several workloads share a line."""
    text: str


def cautions(advice: Advice, currency: Currency) -> Iterator[Caution]:
    """Yield every point that holds, the gravest first."""
    yield from _prices(advice)
    yield from _capacity(advice, currency)
    yield from _growth(advice, currency)
    yield from _peak(advice)
    yield from _latency(advice)
    yield from _regulation(advice)
    yield from _batch(advice)


def _prices(advice: Advice) -> Iterator[Caution]:
    today, price = advice.setting.today, advice.setting.price
    if today is not None and stale(price, today):
        yield Caution(
            about="prices",
            short="old prices",
            text=f"The prices of {price.name} are of {price.origin.as_of}, more than 90 days old: "
            "compare with today's (--snapshot current).",
        )


def _capacity(advice: Advice, currency: Currency) -> Iterator[Caution]:
    name, volume = advice.setting.machine.name, millions(advice.workload.tokens_per_day)
    if advice.capacity is None:
        yield Caution(
            about="capacity",
            short="unknown capacity",
            text=f"How many tokens/day {name} answers is unknown, so nobody knows whether one is "
            f"enough for {volume}: a hybrid and local have no sum.",
        )
    elif advice.within_capacity is False:
        market, count = advice.setting.market, advice.costs.machines
        share = f"{market.operations_further:.0%}"
        yield Caution(
            about="capacity",
            short=f"{count} machines",
            text=f"{name} answers at most {millions(advice.capacity)} tokens/day, not {volume}: "
            f"the costs are those of {count} such machines. Operations are "
            f"{currency.show(market.operations_gbp)} for the first and {share} of that for each "
            "further one (assumed: operations_further).",
        )


def _growth(advice: Advice, currency: Currency) -> Iterator[Caution]:
    if text := outgrown(advice, currency):
        yield Caution(about="growth", short=f"outgrown in month {advice.outgrown_month}", text=text)


def outgrown(advice: Advice, currency: Currency) -> str:
    """Say in which month growth exceeds the machines of the verdict; empty where it does not."""
    month, market = advice.outgrown_month, advice.setting.market
    if month is None or advice.costs.machines is None:
        return ""
    verdict = advice.ruling.verdict
    work = "the hybrid's local share" if verdict is Way.HYBRID else "the work"
    count = machines_of(advice)
    if verdict is Way.CLOUD:
        work = "on a machine of your own, the work"
    return (
        f"Growing {advice.workload.growth:.0%} a month, {work} is more than {answered(count)} in "
        f"month {month}, before the write-off of {market.months:g} months is over; the sums are "
        f"for today's volume. {further(advice, count, currency)}"
    )


def machines_of(advice: Advice) -> int:
    """Return the machines that the verdict's sum is for; local's where it needs none."""
    share = answered_here(advice.ruling.verdict, advice.setting.market)
    return machines_for(advice.workload.tokens_per_day * share, advice.capacity) or 1


def answered(count: int) -> str:
    """Return `one machine answers`."""
    return "one machine answers" if count == 1 else f"{count} machines answer"


def further(advice: Advice, count: int, currency: Currency) -> str:
    """Say what one more machine costs."""
    machine, market = advice.setting.machine, advice.setting.market
    now, then = (local_cost(machine, market, n).machine for n in (count, count + 1))
    return (
        f"One more costs {currency.show(machine.price_gbp)} and {currency.show(then - now)} a "
        "month."
    )


def _peak(advice: Advice) -> Iterator[Caution]:
    peak, name, held = advice.workload.peak, advice.setting.machine.name, advice.setting.held
    if peak <= 1:
        return
    if held is None or held < peak:
        yield Caution(
            about="peak",
            short=f"{peak:,} at once may be too many",
            text=f"{peak:,} requests at once: {_too_many(name, peak, held)}",
        )
    if peak > MANY:
        yield Caution(
            about="peak",
            short="a server for many at once",
            text=f"{peak:,} requests at once: serve with vLLM rather than Ollama. Half of the "
            "capacity is kept for the peak, which moves the break-even towards the API.",
        )


def _too_many(name: str, peak: int, held: int | None) -> str:
    each = f"of {REQUEST_TOKENS:,} tokens each"
    if held is None:
        return f"how many {each} {name} holds is unknown."
    if not held:
        return f"{name} has no memory for the model and one request {each}."
    return (
        f"{name} holds {held:,} {each} in memory, so the rest waits, or it takes "
        f"{-(-peak // held):,} of it. The sums count machines by tokens a day only."
    )


def _latency(advice: Advice) -> Iterator[Caution]:
    limit = advice.workload.latency_ms
    if limit is None or limit >= FAST_MS:
        return
    if text := too_fast(advice):
        yield Caution(about="latency", short=f"no API promises {limit:g} ms", text=text)
    yield Caution(
        about="latency",
        short=f"{limit:g} ms ask for a model of your own",
        text=f"{limit:g} ms to the first token asks for a model of your own: the base model first, "
        "then prompt, RAG, fine-tuning.",
    )


def too_fast(advice: Advice) -> str:
    """Say that the API's part of a verdict cannot keep the limit; empty where it can.

    Source: guide, section 10: below 200 ms one hosts the model oneself, whatever the volume.
    """
    limit, verdict = advice.workload.latency_ms, advice.ruling.verdict
    if limit is None or limit >= FAST_MS or verdict is Way.LOCAL:
        return ""
    part = "what a hybrid leaves to the API" if verdict is Way.HYBRID else "the API"
    return (
        f"The rules do not ask about latency: {limit:g} ms to the first token are less than the "
        f"{FAST_MS:g} an API can promise, so {part} cannot keep the limit. What must be that fast "
        "has to be answered locally, whatever the volume."
    )


def _regulation(advice: Advice) -> Iterator[Caution]:
    if not advice.workload.regulated:
        return
    if not advice.workload.personal:
        yield Caution(
            about="not-personal",
            short="a hybrid is open",
            text="The part of the data that is not personal may stay in a cloud: hybrid.",
        )
    yield Caution(
        about="regulation",
        short="an impact assessment stays",
        text="A local model leaves an impact assessment and model-risk work to do; the share of "
        "the compliance cost that it saves is an assumption.",
    )


def _batch(advice: Advice) -> Iterator[Caution]:
    if not advice.workload.batchable:
        yield Caution(
            about="batch",
            short="batching would halve the bill",
            text="Could answers wait 24 hours? Batching halves the API's bill.",
        )
