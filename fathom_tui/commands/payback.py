"""`fathom payback`: when a fine-tune pays, whether to own a GPU, and who should do the work."""

import argparse
from collections.abc import Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from fathom_tui.commands.assumptions import read_assumptions
from fathom_tui.commands.output import (
    add_json_flag,
    console,
    print_json,
    printable,
    sources_table,
)
from fathom_tui.errors import ExitCode, UsageError
from fathom_tui.figures import Figure, Kind

if TYPE_CHECKING:
    from rich.table import Table

    from fathom_tui.build_or_buy import BuildOrBuy, Option
    from fathom_tui.catalog import Catalog
    from fathom_tui.catalog_types import Assumption, Gpu
    from fathom_tui.payback import Payback, RentOrBuy
    from fathom_tui.setting import Setting

EPILOG = """\
examples:
  fathom payback fine-tune --api-month 1050
  fathom payback rent --gpu rtx-4090 --hours 4 --resale 20%
  fathom payback team --lora-engineer yes --weeks-free 2

--json prints one object; fathom payback fine-tune|rent|team --help lists its fields.
"""
_FINE_TUNE = """\
What is left out is the guide's break-even calculator: 40 h of data work at $100, $200 training,
$5,500 for GPU and server, $30 of electricity a month. In another --currency it is converted; what
you give is in that currency already.

examples:
  fathom payback fine-tune --api-month 1050
  fathom payback fine-tune --api-month 900 --hardware 0 --serving-month 60 --currency gbp

--json prints {"currency", "terms": {"data", "training", "hardware"}, "spent", "api_month",
  "serving_month", "saved_month", "months", "why", "assumptions": {name: figure}}; each a figure
  {"value", "unit", "kind", "source", "as_of"}. "months" has the value null where it never pays.
"""
_RENT = """\
Price, power and rent are the catalog's unless given. Electricity counts while the card works;
--assume gbp_per_kwh=0 leaves it out, as the sources do.

examples:
  fathom payback rent --gpu rtx-4090 --hours 4 --resale 20%
  fathom payback rent --gpu h100 --hours 8 --price 30000 --rent 3.29 --assume gbp_per_kwh=0

--json prints {"gpu", "rent_per_hour", "electricity_per_hour", "own_month", "rent_month",
  "break_even_hours_month", "break_even_hours_day", "days_around_the_clock", "payback_months",
  "reachable", "cheaper": "own|rent", "rule": {"label", "why"}, "why", "agree", "disagreement",
  "assumptions": {name: figure}}; a figure is {"value", "unit", "kind", "source", "as_of"}.
  "agree" is null where rule 6 leaves it to the sum.
"""
_TEAM = """\
What is left out is unknown, and the answer may then be too. Costs are the catalog's services.

examples:
  fathom payback team --lora-engineer yes --weeks-free 6 --eval-harness no
  fathom payback team

--json prints {"maker": "diy|diy-plus-2-weeks|buy" or null, "path": [{"question", "answer"}],
  "why", "options": [{"id", "name", "cost": {"low", "high"}, "expected": {"low", "high"}, "rework",
  "weeks": {"low", "high"}}], "assumptions": {name: figure}}; each number a figure {"value", "unit",
  "kind", "source", "as_of"}. "expected" adds the rework that is yours to pay.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the three questions."""
    parser.epilog = EPILOG
    kinds = parser.add_subparsers(dest="question", required=True, metavar="fine-tune|rent|team")
    for name, about, epilog, flags in (
        ("fine-tune", "when a fine-tuned model has paid for itself", _FINE_TUNE, _add_fine_tune),
        ("rent", "from how many hours a GPU is cheaper to own than to rent", _RENT, _add_rent),
        ("team", "who should do it: your engineer, a service or a consultancy", _TEAM, _add_team),
    ):
        child = kinds.add_parser(
            name,
            help=about,
            description=f"{about[:1].upper()}{about[1:]}.",
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        flags(child)
        add_json_flag(child)


def _add_fine_tune(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--api-month", metavar="SUM", required=True, help="the API's bill that it replaces")
    add("--data-hours", metavar="H", help="hours of work on the data (40)")
    add("--hourly-rate", metavar="SUM", help="what such an hour costs ($100)")
    add("--training", metavar="SUM", help="all training runs together ($200)")
    add("--hardware", metavar="SUM", help="bought for it; 0 where it is there ($5,500)")
    add("--serving-month", metavar="SUM", help="electricity, rent, operations a month ($30)")
    add("--currency", default="usd", metavar="CODE", help="of every sum: usd (default), gbp, eur")
    add("--usd-per-gbp", metavar="RATE", help="dollars a pound buys (1.25)")
    add("--eur-per-gbp", metavar="RATE", help="euros a pound buys (none stated)")


def _add_rent(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--gpu", metavar="ID", required=True, help="of: fathom catalog gpus")
    add("--hours", metavar="H", required=True, help="hours a day it would be busy, 0 to 24")
    add("--rent", metavar="USD", help="an hour of it; the middle of the cheapest rent unless given")
    add("--price", metavar="GBP", help="to buy it; the middle of the catalog's unless given")
    add("--months", metavar="N", help="over which it is written off (36)")
    add("--resale", metavar="F", default="0", help="share got back then: 0.2 or 20%% (0)")
    add(
        "--assume",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="change an assumption, for example gbp_per_kwh=0.27; may be repeated",
    )
    add("--usd-per-gbp", metavar="RATE", help="dollars a pound buys (1.25)")


def _add_team(parser: argparse.ArgumentParser) -> None:
    add, yes_or_no = parser.add_argument, tuple(_YES_OR_NO)
    add("--lora-engineer", choices=yes_or_no, help="whether one has tuned a model with LoRA before")
    add("--weeks-free", metavar="N", help="weeks that engineer has free, in one piece")
    add("--eval-harness", choices=yes_or_no, help="whether there is an evaluation already")


_YES_OR_NO = {"yes": True, "no": False}


def run(arguments: argparse.Namespace) -> int:
    """Answer the question that was asked."""
    {"fine-tune": _fine_tune, "rent": _rent, "team": _team}[arguments.question](arguments)
    return ExitCode.DONE


def _catalog() -> "Catalog":
    from fathom_tui.catalog import load
    from fathom_tui.sources import overlay
    from fathom_tui.store.paths import Home

    return load(overlay.read(Home.from_env().config))


def _today() -> str:
    return date.today().isoformat()


def _given(value: float, unit: str) -> Figure:
    return Figure(value=value, unit=unit, kind=Kind.ASSUMED, source="given", as_of=_today())


def _as_json(figures: Mapping[str, Figure]) -> dict[str, Any]:
    return {name: figure.to_json() for name, figure in figures.items()}


# --- a fine-tune ----------------------------------------------------------------------------------

_DEFAULTS: Mapping[str, tuple[str, ...]] = {
    "data_hours": ("data_hours",),
    "hourly_rate": ("data_usd_per_hour",),
    "training": ("calculator_training_usd",),
    "hardware": ("calculator_gpu_usd", "calculator_server_usd"),
    "serving_month": ("calculator_electricity_usd",),
    "api_month": (),
}
"""The assumptions that stand in for a flag, added up."""
_PER = {"hourly_rate": "/hour", "serving_month": "/month", "api_month": "/month"}


def _fine_tune(arguments: argparse.Namespace) -> None:
    from fathom_tui.currency import currency
    from fathom_tui.payback import fine_tune_payback

    catalog = _catalog()
    # Only the code is checked here: a rate is wanted where a default is converted.
    unit = currency(arguments.currency, usd_per_gbp=1.0, eur_per_gbp=1.0).unit
    known = {name: _input(name, unit, arguments, catalog) for name in _DEFAULTS}
    values = {name: figure.value or 0.0 for name, figure in known.items()}
    found = fine_tune_payback(**values, currency=unit)
    if arguments.json:
        print_json(_fine_tune_json(found, known))
    else:
        _print_fine_tune(found, known)


def _input(name: str, unit: str, arguments: argparse.Namespace, catalog: "Catalog") -> Figure:
    """Return a term as it was given, or as the catalog assumes it, in the currency asked for."""
    from fathom_tui.quantities import parse_quantity

    text = getattr(arguments, name)
    if text is None:
        return _assumption(name, unit, arguments, catalog)
    value = parse_quantity(text, name=f"--{name.replace('_', '-')}", low=0)
    return _given(value, "hours" if name == "data_hours" else unit + _PER.get(name, ""))


def _assumption(name: str, unit: str, arguments: argparse.Namespace, catalog: "Catalog") -> Figure:
    rows = [catalog.assumption(row) for row in _DEFAULTS[name]]
    parts = [row.figure("value", row.unit) for row in rows]
    hours = name == "data_hours"
    if len(parts) == 1 and (hours or unit == "USD"):
        return parts[0]
    rate = 1.0 if hours or unit == "USD" else _per_usd(arguments, catalog)
    terms = " + ".join(f"{part} ({row.name})" for part, row in zip(parts, rows, strict=True))
    converted = f", at {rate:g} {unit} for 1 USD" if unit != "USD" else ""
    return Figure(
        value=sum(part.value or 0.0 for part in parts) * rate,
        unit=unit + _PER.get(name, ""),
        kind=Kind.COMPUTED,
        source=f"{terms}{converted}: {'; '.join(dict.fromkeys(part.source for part in parts))}",
        as_of=min(part.as_of for part in parts),
    )


def _per_usd(arguments: argparse.Namespace, catalog: "Catalog") -> float:
    """Return what a dollar buys of the currency."""
    from fathom_tui.currency import currency
    from fathom_tui.quantities import parse_quantity

    def rate(flag: str, text: str | None) -> float | None:
        return None if text is None else parse_quantity(text, name=flag, above=0)

    dollars = rate("--usd-per-gbp", arguments.usd_per_gbp)
    if dollars is None:
        dollars = catalog.assumption("usd_per_gbp").value
    euros = rate("--eur-per-gbp", arguments.eur_per_gbp)
    return currency(arguments.currency, usd_per_gbp=dollars, eur_per_gbp=euros).per_gbp / dollars


def _fine_tune_json(found: "Payback", known: Mapping[str, Figure]) -> dict[str, Any]:
    shown, inputs = found.to_json(_today()), _as_json(known)
    # These are inputs as they stand: each keeps the source it came with.
    shown["terms"] |= {name: inputs[name] for name in ("training", "hardware")}
    shown |= {name: inputs[name] for name in ("api_month", "serving_month")}
    return {"currency": found.currency, **shown, "assumptions": inputs}


def _print_fine_tune(found: "Payback", known: Mapping[str, Figure]) -> None:
    say = console().print
    if found.months is None:
        say(found.why)
    else:
        say(f"Paid back after {found.months:,.1f} months ({found.days:,.0f} days): {found.why}")
    hours, rate = known["data_hours"], known["hourly_rate"]
    notes = {"data": f"{hours} at {rate}"}
    once = [(term.name, _sum(term.value), notes.get(term.name, "")) for term in found.upfront]
    monthly = [("API", found.api_month), ("serving", found.serving_month)]
    say("")
    say(f"Once, {found.currency}")
    say(_lines([*once, ("together", _sum(found.spent), "")]))
    say("")
    say(f"A month, {found.currency}")
    sums = [*monthly, ("saved", found.saved_month)]
    say(_lines((name, _sum(value), "") for name, value in sums))
    say("")
    say(sources_table(known))


def _sum(value: float) -> str:
    return f"{value:,.2f}".removesuffix(".00")


# --- a GPU ----------------------------------------------------------------------------------------

_IN_THE_SUM = {"usd_per_gbp": (0.01, 100.0), "gbp_per_kwh": (0.0, 100.0), "months": (1.0, 600.0)}
"""The assumptions of the cost model that this sum has; anything outside its range is a slip."""
_DEAREST = 1e9
"""GBP; no machine costs more."""
_CHEAPEST_HOUR = 0.001
"""USD; no card is rented for less."""


def _rent(arguments: argparse.Namespace) -> None:
    from fathom_tui.payback import rent_or_buy
    from fathom_tui.quantities import parse_quantity, parse_share

    hours = parse_quantity(arguments.hours, name="--hours", low=0, high=24, unit="hours a day")
    resale = parse_share(arguments.resale, name="--resale")
    catalog = _catalog()
    setting = _setting(arguments, catalog)
    rent = _rent_figure(arguments.rent, catalog, setting.gpu)
    found = rent_or_buy(
        hours_per_day=hours,
        price_gbp=setting.machine.price_gbp,
        months=setting.market.months,
        rent_usd_per_hour=rent.value or 0.0,
        watts=setting.machine.watts,
        gbp_per_kwh=setting.market.gbp_per_kwh,
        usd_per_gbp=setting.market.usd_per_gbp,
        resale_share=resale,
        h100_class=setting.datacentre,
    )
    known = _rent_inputs(setting, catalog, hours, rent, resale)
    if arguments.json:
        print_json(_rent_json(found, setting.gpu, known))
    else:
        _print_rent(found, setting.gpu, known)


def _setting(arguments: argparse.Namespace, catalog: "Catalog") -> "Setting":
    """Return the device with its price and power, and the assumptions.

    Raises:
        UsageError: The device is unknown, or its price; or an assumption is not in this sum, or
            out of range.
    """
    from fathom_tui import setting
    from fathom_tui.quantities import parse_quantity

    changed = read_assumptions(arguments)
    for name in changed:
        if name not in _IN_THE_SUM:
            raise UsageError(
                f"--assume {name} changes nothing here.",
                fix=f"In this sum are {', '.join(_IN_THE_SUM)}.",
            )
    if arguments.months is not None:
        changed["months"] = parse_quantity(arguments.months, name="--months", low=1)
    price = None
    if arguments.price is not None:
        price = parse_quantity(arguments.price, name="--price", above=0, high=_DEAREST)
    gpu = catalog.gpu(arguments.gpu)
    if price is None and not _is_priced(gpu):
        raise UsageError(
            f"No price of {gpu.name} is known.", fix="Say what it costs: --price POUNDS"
        )
    found = setting.setting(catalog, gpu=gpu.id, gpu_price_gbp=price, assumptions=changed)
    for name, (least, most) in _IN_THE_SUM.items():
        value = getattr(found.market, name)
        if not least <= value <= most:
            raise UsageError(f"{name} is {value!r}.", fix=f"Give {least:g} to {most:g}.")
    return found


def _is_priced(gpu: "Gpu") -> bool:
    ranges = (
        (gpu.price_new_low, gpu.price_new_high),
        (gpu.price_used_low, gpu.price_used_high),
    )
    return any(None not in bounds for bounds in ranges)


def _rent_figure(text: str | None, catalog: "Catalog", gpu: "Gpu") -> Figure:
    """Return the rent of an hour, all cards together.

    Raises:
        UsageError: It was not given and none is known.
    """
    from fathom_tui.quantities import parse_quantity
    from fathom_tui.setting import rent_usd

    unit = "USD/hour"
    if text is not None:
        return _given(parse_quantity(text, name="--rent", low=_CHEAPEST_HOUR), unit)
    value = rent_usd(catalog, gpu)
    if value is None:
        raise UsageError(
            f"No rent of {gpu.name} is known.", fix="Say what an hour costs: --rent DOLLARS"
        )
    single = gpu if gpu.rentals else catalog.gpu(gpu.id.removesuffix(f"-x{gpu.count}"))
    offer = min(single.rentals, key=lambda row: row.usd_per_hour_low + row.usd_per_hour_high)
    origin = offer.origin or single.origin_of("rentals")
    low, high = offer.usd_per_hour_low, offer.usd_per_hour_high
    asked = f"{low:g} USD" if low == high else f"the middle of {low:g} to {high:g} USD"
    times = f"{gpu.count} x " if single is not gpu else ""
    return Figure(
        value=value,
        unit=unit,
        kind=Kind.COMPUTED,
        source=f"{times}{asked} at {offer.provider}, {origin.source}",
        as_of=origin.as_of,
    )


def _rent_inputs(
    setting: "Setting", catalog: "Catalog", hours: float, rent: Figure, resale: float
) -> dict[str, Figure]:
    from fathom_tui.setting import assumptions

    known = assumptions(setting, catalog)
    own = {name: known[name] for name in ("machine_price_gbp", "machine_watts", *_IN_THE_SUM)}
    return {
        "hours_per_day": _given(hours, "hours/day"),
        "rent_usd_per_hour": rent,
        "resale_share": _given(resale, "share"),
        **{
            name: _given(figure.value or 0.0, figure.unit) if figure.source == "given" else figure
            for name, figure in own.items()
        },
    }


def _rent_json(found: "RentOrBuy", gpu: "Gpu", known: Mapping[str, Figure]) -> dict[str, Any]:
    return {
        "gpu": gpu.id,
        **found.to_json(_today()),
        "agree": _agree(found),
        "disagreement": _disagreement(found),
        "assumptions": _as_json(known),
    }


def _agree(found: "RentOrBuy") -> bool | None:
    """Say whether rule 6's label is what the sum says; None where it leaves it to the sum."""
    label = found.rule.label
    return label == found.cheaper if label in ("own", "rent") else None


def _disagreement(found: "RentOrBuy") -> str | None:
    if _agree(found) is not False:
        return None
    own, rent = _pounds(found.own_month), _pounds(found.rent_month)
    return (
        f"Rule 6 and the sum disagree: {found.rule.label} by the rule, {found.cheaper} by cost "
        f"({own} a month to own, {rent} to rent). The rule is a label; the sum has your numbers."
    )


def _pounds(value: float) -> str:
    from fathom_tui.currency import Currency

    return Currency(code="gbp", per_gbp=1.0).show(value)


def _print_rent(found: "RentOrBuy", gpu: "Gpu", known: Mapping[str, Figure]) -> None:
    from rich.padding import Padding

    say = console().print
    say(f"{found.cheaper.upper()}  {printable(gpu.name)} at {found.hours_per_day:g} h a day")
    said = {True: "They agree.", None: "The rule leaves it to the sum."}
    for text in (
        found.why,
        f"Rule 6: {found.rule.label}; {found.rule.why}.",
        _disagreement(found) or said[_agree(found)],
    ):
        say(Padding(text, (0, 0, 0, 2), expand=False))
    say("")
    say(_lines(_rent_rows(found, known["rent_usd_per_hour"])))
    say("")
    say(sources_table(known))


def _rent_rows(found: "RentOrBuy", rent: Figure) -> Iterable[tuple[str, str, str]]:
    hours = found.hours_per_day * 30
    written_off = (found.price - found.resale) / found.written_off_months
    power = found.electricity_per_hour * hours
    yield (
        "own, a month",
        _pounds(found.own_month),
        f"purchase {_pounds(written_off)} + electricity {_pounds(power)}",
    )
    hour = f"{_pounds(found.rent_per_hour)} ({rent})"
    yield "rent, a month", _pounds(found.rent_month), f"{hours:,.0f} hours at {hour}"
    edge, day = found.break_even_hours_month, found.break_even_hours_day
    a_day = "" if day is None else f"{day:,.1f} a day"
    yield "break-even", _or_never(edge, ",.0f", "h a month"), a_day
    price = f"until rent less electricity is {_pounds(found.price - found.resale)}"
    less = f" ({_pounds(found.price)} less resale)" if found.resale else ""
    clock = found.days_around_the_clock
    yield "paid back after", _or_never(clock, ",.0f", "days"), f"at 24 h a day, {price}{less}"
    at = f"at {found.hours_per_day:g} h a day"
    yield "paid back after", _or_never(found.payback_months, ",.1f", "months"), at


def _or_never(value: float | None, form: str, unit: str) -> str:
    return "never" if value is None else f"{value:{form}} {unit}"


# --- who does it ----------------------------------------------------------------------------------


def _team(arguments: argparse.Namespace) -> None:
    from fathom_tui.build_or_buy import Team, build_or_buy
    from fathom_tui.quantities import parse_quantity

    weeks = arguments.weeks_free
    team = Team(
        lora_engineer=_YES_OR_NO.get(arguments.lora_engineer),
        weeks_free=None if weeks is None else parse_quantity(weeks, name="--weeks-free", low=0),
        eval_harness=_YES_OR_NO.get(arguments.eval_harness),
    )
    catalog = _catalog()
    known = _own_hours(catalog)
    found = build_or_buy(
        team,
        catalog.services,
        hours=known["diy_hours"].value or 0.0,
        rate_low_gbp=known["rate_low_gbp"].value or 0.0,
        rate_high_gbp=known["rate_high_gbp"].value or 0.0,
    )
    if arguments.json:
        print_json({**found.to_json(), "assumptions": _as_json(known)})
    else:
        _print_team(found, known)


def _own_hours(catalog: "Catalog") -> dict[str, Figure]:
    hours, rate = catalog.assumption("diy_hours"), catalog.assumption("diy_gbp_per_hour")
    return {
        "diy_hours": hours.figure("value", hours.unit),
        "rate_low_gbp": rate.figure(_end(rate, "low"), rate.unit),
        "rate_high_gbp": rate.figure(_end(rate, "high"), rate.unit),
    }


def _end(row: "Assumption", name: str) -> str:
    """Return the field that an end of the range is in: the value, where the range is not its own.

    A user's own value is laid over our row and leaves our range beside it.
    """
    ours = row.origin_of(name) == row.origin != row.origin_of("value")
    return "value" if ours or getattr(row, name) is None else name


_MAKERS = {
    "diy": "BUILD  with your own engineer",
    "diy-plus-2-weeks": "BUILD  with your own engineer",
    "buy": "BUY  the fine-tuning as a service, or from a consultancy",
}


def _print_team(found: "BuildOrBuy", known: Mapping[str, Figure]) -> None:
    say = console().print
    if found.maker is None:
        say("UNKNOWN  the last question below is not answered (fathom payback team --help)")
    else:
        say(f"{_MAKERS[found.maker.value]}: {found.why}.")
    for step in found.path:
        say(f"  {step.answer:<8} {step.question}")
    say("")
    say(_options(found.options))
    say("")
    say(
        "GBP, once. With rework: what is done again and yours to pay, on average; a service that "
        "gives the money back bears its own."
    )
    say("")
    say(sources_table(known))


def _options(options: "Iterable[Option]") -> "Table":
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for title in ("Way", "Cost", "With rework", "Done again", "Weeks"):
        table.add_column(title, justify="left" if title == "Way" else "right", overflow="fold")
    for row in options:
        table.add_row(
            printable(row.name),
            _range(row.low, row.high),
            _range(row.expected_low, row.expected_high),
            "unknown" if row.rework is None else f"{row.rework:.0%}",
            f"{row.weeks[0]} to {row.weeks[1]}" if row.weeks else "unknown",
        )
    return table


def _range(low: Figure, high: Figure) -> str:
    if low.value is None or high.value is None:
        return "unknown"
    return f"{low.value:,.0f} to {high.value:,.0f}"


# --- tables ---------------------------------------------------------------------------------------


def _lines(rows: Iterable[tuple[str, str, str]]) -> "Table":
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value, note in rows:
        table.add_row(f"  {name}", value, note)
    return table
