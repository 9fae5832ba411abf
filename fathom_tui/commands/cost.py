"""`fathom cost`: when a machine of one's own has paid for itself, against any API."""

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from fathom_tui.commands.assumptions import (
    add_setting_flags,
    chosen_currency,
    make_setting,
    read_catalog,
)
from fathom_tui.commands.output import (
    add_json_flag,
    console,
    print_json,
    printable,
    sources_table,
)
from fathom_tui.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from fathom_tui.break_even import BreakEven, Case
    from fathom_tui.catalog import Catalog
    from fathom_tui.crossing import Crossover
    from fathom_tui.currency import Currency
    from fathom_tui.economics import Machine
    from fathom_tui.figures import Figure
    from fathom_tui.setting import Setting

EPILOG = """\
Two ways to ask:
  --queries-per-day N   the guide's break-even calculator: 2,000 input and 500 output tokens a
                        request at $10 and $30 per 1M, $4,000 GPU, $1,500 server, $200 training,
                        40 h of data work at $100, $30 of electricity a month
  --tokens-per-day N    the book's comparison: 80 % input, Claude Sonnet 4, 2 x RTX 4090
--against MODEL replaces the prices only. Sums are in dollars, as APIs and the guide's calculator
have them, unless --currency says otherwise. Where the speed of a device is unknown nobody knows how
many it takes: what a machine costs, and all that follows from it, is unknown then.

--json prints {"api_month_usd", "local_month_usd", "upfront_usd", "break_even_months",
  "year_1_savings_usd", "year_3_savings_usd", "crossover_tokens_per_day",
  "crossover_within_capacity", "capacity_tokens_per_day", "crossovers", "assumptions"}; each number
a figure {"value", "unit", "kind", "source", "as_of"}, always in dollars; "crossovers" are those of
the sums quoted for 2 x RTX 4090: [{"local_month_gbp", "tokens_per_day", "within_capacity"}], none
for another device. local_month_usd is the running cost: what was paid at the start is in
upfront_usd. The crossover spreads it over the months of use.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the volume and what it is compared with."""
    parser.epilog = EPILOG
    volume = parser.add_mutually_exclusive_group(required=True)
    volume.add_argument("--queries-per-day", metavar="N", help="requests: 1000, 10k")
    volume.add_argument("--tokens-per-day", metavar="N", help="input and output: 8M")
    parser.add_argument("--input-share", metavar="F", help="0 to 1, with --tokens-per-day (0.8)")
    add_setting_flags(parser, currency="usd")
    add_json_flag(parser)


def run(arguments: argparse.Namespace) -> int:
    """Answer in the terms that were asked for."""
    catalog = read_catalog(arguments)
    share = _input_share(arguments)
    setting = make_setting(arguments, catalog, input_share=share)
    if arguments.queries_per_day is not None:
        case, known = _queries(arguments, catalog, setting)
        crossing = None
    else:
        case, crossing, known = _tokens(arguments, catalog, setting, share)
    from fathom_tui.break_even import break_even

    answer = break_even(case)
    figures = _figures(answer, crossing, setting)
    if arguments.json:
        print_json(_json(figures, crossing, setting, share, known))
    else:
        currency = chosen_currency(arguments, setting)
        _print(figures, answer, crossing, setting, currency)
        _print_quoted(crossing, setting, share, currency)
        console().print("", sources_table(known), sep="\n")
    return ExitCode.DONE


def _input_share(arguments: argparse.Namespace) -> float:
    from fathom_tui.quantities import parse_share

    if arguments.input_share is None:
        return 0.8
    if arguments.queries_per_day is not None:
        raise UsageError(
            "--input-share goes with --tokens-per-day; a request has its own two token counts.",
            fix="Leave it out, or ask with --tokens-per-day.",
        )
    return parse_share(arguments.input_share, name="--input-share")


def _queries(
    arguments: argparse.Namespace, catalog: "Catalog", setting: "Setting"
) -> "tuple[Case, dict[str, Figure]]":
    from fathom_tui.break_even import ASSUMED, band, case_of_queries
    from fathom_tui.quantities import parse_quantity

    queries = parse_quantity(
        arguments.queries_per_day, name="--queries-per-day", above=0, high=1e12
    )
    known = {}
    for name, row in ASSUMED.items():
        assumption = catalog.assumption(row)
        known[name] = assumption.figure("value", assumption.unit)
    values = {name: float(figure.value or 0.0) for name, figure in known.items()}
    if arguments.against:
        price = setting.price
        values |= {"input_usd": price.input_usd, "output_usd": price.output_usd}
        known["input_usd"] = price.figure("input_usd", "USD per 1M tokens")
        known["output_usd"] = price.figure("output_usd", "USD per 1M tokens")
    case = case_of_queries(queries, values)
    if not arguments.json:
        console().print(f"{queries:,.0f} requests a day: {band(queries)}.")
    return case, known


def _tokens(
    arguments: argparse.Namespace, catalog: "Catalog", setting: "Setting", share: float
) -> "tuple[Case, Crossover | None, dict[str, Figure]]":
    from fathom_tui.break_even import Case
    from fathom_tui.crossing import machine_crossover
    from fathom_tui.economics import (
        blended_usd,
        capacity,
        local_cost,
        machines_for,
    )
    from fathom_tui.quantities import parse_quantity
    from fathom_tui.setting import assumptions
    from fathom_tui.workload import MOST_TOKENS

    tokens = parse_quantity(
        arguments.tokens_per_day, name="--tokens-per-day", above=0, high=MOST_TOKENS
    )
    market, machine = setting.market, setting.machine
    usd = blended_usd(setting.price, share)
    limit = capacity(machine)
    machines = machines_for(tokens, limit)
    upfront = running = None
    if machines is not None:
        terms = local_cost(machine, market, machines)
        upfront = machines * machine.price_gbp * market.usd_per_gbp
        running = (terms.electricity + terms.operations) * market.usd_per_gbp
    case = Case(
        api_usd_per_day=tokens / 1e6 * usd, upfront_usd=upfront, local_usd_per_month=running
    )
    if not arguments.json:
        _say_machines(machine, machines, limit)
    crossing = machine_crossover(machine, usd, market)
    known = assumptions(setting, catalog)
    return case, crossing, {name: known[name] for name in _USED}


_USED = (
    "input_usd", "output_usd", "machine_price_gbp", "machine_watts", "usd_per_gbp",
    "gbp_per_kwh", "months", "utilisation", "operations_gbp", "operations_further",
)  # fmt: skip
"""What the comparison with tokens rests on; a fine-tuning is not in it."""


def _say_machines(machine: "Machine", machines: int | None, limit: float | None) -> None:
    """Say how many machines the volume needs, and what is not in the sum."""
    from fathom_tui.economics import millions

    name = printable(machine.name)
    if limit is None:
        said = (
            f"The API and {name} cannot be compared: its speed is unknown, so nobody knows how "
            "many it takes."
        )
    else:
        said = f"{machines:,} x ({name}): one answers up to {millions(limit)} tokens/day."
    console().print(f"{said} Without a fine-tuning: fathom payback fine-tune adds one.")


def _figures(
    answer: "BreakEven", crossing: "Crossover | None", setting: "Setting"
) -> "dict[str, Figure]":
    def computed(value: float | None, unit: str, source: str) -> "Figure":
        return _computed(None if value is None else round(value, 4), unit, source, setting)

    return {
        "api_month_usd": computed(answer.api_month, "USD/month", "a day x 30"),
        "local_month_usd": computed(answer.local_month, "USD/month", "running cost"),
        "upfront_usd": computed(answer.upfront, "USD", "paid at the start"),
        "break_even_months": computed(answer.months, "months", "upfront / (API - local) a month"),
        "year_1_savings_usd": computed(answer.year_1, "USD", "365 days - upfront - 12 months"),
        "year_3_savings_usd": computed(
            answer.year_3, "USD", "3 x (365 days - 12 months) - upfront"
        ),
        "crossover_tokens_per_day": computed(
            None if crossing is None else round(crossing.tokens_per_day),
            "tokens/day",
            "the machine's cost a month, purchase spread over its months, against the API",
        ),
    }


def _json(
    figures: "Mapping[str, Figure]",
    crossing: "Crossover | None",
    setting: "Setting",
    share: float,
    known: "Mapping[str, Figure]",
) -> dict[str, object]:
    found: dict[str, object] = {name: figure.to_json() for name, figure in figures.items()}
    if crossing is None:
        found["crossover_tokens_per_day"] = None
    found["crossover_within_capacity"] = None if crossing is None else crossing.reachable
    limit = None if crossing is None else crossing.capacity
    found["capacity_tokens_per_day"] = _computed(
        None if limit is None else round(limit), "tokens/day", "one machine's speed", setting
    ).to_json()
    found["crossovers"] = [
        {
            "local_month_gbp": _quoted(quoted).to_json(),
            "tokens_per_day": _computed(
                round(quoted.tokens_per_day), "tokens/day", "that sum against the API", setting
            ).to_json(),
            "within_capacity": quoted.reachable,
        }
        for quoted in _quoted_crossovers(crossing, setting, share)
    ]
    found["assumptions"] = {name: figure.to_json() for name, figure in known.items()}
    return found


def _quoted_crossovers(
    crossing: "Crossover | None", setting: "Setting", share: float
) -> "list[Crossover]":
    """Return where the sums quoted for 2 x RTX 4090 cross the API; none for another device."""
    from fathom_tui.crossing import quoted_crossovers
    from fathom_tui.setting import REFERENCE_MACHINE

    if crossing is None or setting.gpu.id != REFERENCE_MACHINE:
        return []
    return quoted_crossovers(setting, share)


def _quoted(crossing: "Crossover") -> "Figure":
    from fathom_tui.figures import Figure, Kind

    return Figure(
        value=crossing.fixed_gbp,
        unit="GBP/month",
        kind=Kind.COMMUNITY,
        source="book, ch. 1 (April 2026), for 2 x RTX 4090",
        as_of="2026-04-01",
    )


def _computed(value: float | None, unit: str, source: str, setting: "Setting") -> "Figure":
    from fathom_tui.figures import Figure, Kind

    as_of = setting.price.origin.as_of
    return Figure(value=value, unit=unit, kind=Kind.COMPUTED, source=source, as_of=as_of)


_NAMES = {
    "api_month_usd": "API, a month",
    "local_month_usd": "local, running, a month",
    "upfront_usd": "paid at the start",
    "break_even_months": "paid back after",
    "year_1_savings_usd": "saved in the first year",
    "year_3_savings_usd": "saved in three years",
    "crossover_tokens_per_day": "crossover",
}


def _print(
    figures: "Mapping[str, Figure]",
    answer: "BreakEven",
    crossing: "Crossover | None",
    setting: "Setting",
    currency: "Currency",
) -> None:
    say, rate = console().print, setting.market.usd_per_gbp
    for name, figure in figures.items():
        label = f"{_NAMES[name]:<24}"
        if name == "crossover_tokens_per_day":
            _print_crossover(label, crossing, answer, currency)
        elif name == "break_even_months" and answer.months is None and answer.known:
            say(f"{label} never: the API costs less each month")
        else:
            say(f"{label} {_amount(figure, currency, rate)}")


def _print_crossover(
    label: str, crossing: "Crossover | None", answer: "BreakEven", currency: "Currency"
) -> None:
    if crossing is not None:
        machine = currency.show(crossing.fixed_gbp)
        console().print(f"{label} {crossing.sentence()}")
        console().print(f"{'':<24} (the API costs {machine} a month there, as one machine does)")
    elif not answer.known:
        console().print(f"{label} unknown")


def _print_quoted(
    crossing: "Crossover | None", setting: "Setting", share: float, currency: "Currency"
) -> None:
    """Print the crossovers of the sums that are quoted for the book's machine, in pounds."""
    quoted = _quoted_crossovers(crossing, setting, share)
    if not quoted:
        return
    console().print("The book quotes three sums a month for 2 x RTX 4090; they cross the API at:")
    for each in quoted:
        own = f"£{each.fixed_gbp:,.0f}"
        said = own if currency.code == "gbp" else f"{own} = {currency.show(each.fixed_gbp)}"
        console().print(f"  {said:<22} {each.sentence()}")


def _amount(figure: "Figure", currency: "Currency", usd_per_gbp: float) -> str:
    if figure.value is None:
        return "unknown"
    if figure.unit.startswith("USD"):
        return currency.show(figure.value / usd_per_gbp)
    return f"{figure.value:,.1f} {figure.unit}"
