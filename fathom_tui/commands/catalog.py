"""`fathom catalog`: what is known, row by row, each with its source; and the errata."""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from fathom_tui import catalog
from fathom_tui.catalog import Catalog
from fathom_tui.catalog_types import (
    BOOK,
    CURRENT,
    ApiPrice,
    Assumption,
    Gpu,
    Model,
    Origin,
    Quant,
    Row,
    Task,
)
from fathom_tui.commands.output import add_json_flag, console, narrate, print_json, printable
from fathom_tui.errors import ExitCode, UsageError
from fathom_tui.figures import Figure
from fathom_tui.sources import overlay
from fathom_tui.store.paths import Home

if TYPE_CHECKING:
    from rich.table import Table

    from fathom_tui.errata import Erratum

TABLES = ("gpus", "models", "prices", "quants", "assumptions", "tasks", "errata", "measured")

EPILOG = """\
prices come from the package genai-prices; --snapshot book-2026-04 shows the book's table instead,
--refresh asks the package's feed first (the only request to the network).

rows of your own, or other values for ours, go into catalog.toml in the config directory:
  [[gpus]]
  id = "rtx-3090"
  price_used_low = 650
  price_used_high = 720
  source = "local dealer"
  as_of = 2026-11-20
  kind = "community"        measured-here measured-by-source vendor community computed assumed

--json prints a list of rows; FIGURE is {"value", "unit", "kind", "source", "as_of"}, its value null
where unknown; RANGE is {"low": FIGURE, "high": FIGURE}; every row has "id", "name" and "note":
  gpus    vendor form count unified aliases; memory bandwidth bf16 watts: FIGURE;
          price_new price_used tokens_per_s: RANGE; rentals [{provider, usd_per_hour: RANGE, eu}];
          stale: whether a price or rent is older than 90 days
  models  family tier licence licence_note commercial languages released reasoning hub ollama
          native_quant aliases architecture; parameters active_parameters context: FIGURE
  prices  provider snapshot grade aliases stale; input output cached_input context: FIGURE
  quants  use rank aliases; bits: FIGURE
  assumptions  aliases; value low high: FIGURE
  tasks   approach models why aliases source as_of kind; its id is what fathom advise --task takes
  errata  area source says explanation conflict as_of kind; sums [{label arithmetic; said (or null)
          figure: FIGURE}]; quotes [{label figure: FIGURE}] (no name and note)
  measured  what runs measured on this machine: run stage name hardware; figure: FIGURE
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the table and what it is narrowed to."""
    parser.epilog = EPILOG
    parser.add_argument("table", metavar="TABLE", choices=TABLES, help=" ".join(TABLES))
    parser.add_argument(
        "--snapshot",
        choices=(CURRENT, BOOK),
        help=f"with prices: which table; {CURRENT} where not given",
    )
    parser.add_argument(
        "--refresh", action="store_true", help="with prices: fetch newer ones and say what changed"
    )
    add_json_flag(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print one table."""
    _check(arguments)
    if arguments.table == "errata":
        _errata(arguments.json)
        return ExitCode.DONE
    if arguments.table == "measured":
        _measured(arguments.json)
        return ExitCode.DONE
    home, today = Home.from_env(), datetime.now(UTC).date()
    known = catalog.load(overlay.read(home.config))
    rows = _rows(known, arguments, home)
    if arguments.json:
        print_json([_to_json(row, today) for row in rows])
    else:
        _print(rows, today)
    return ExitCode.DONE


def _measured(as_json: bool) -> None:
    """Print what runs measured here; it outranks every quoted figure."""
    from rich.table import Table

    from fathom_tui.commands.ledger import ledger

    with ledger() as store:
        rows = store.measured()
    if as_json:
        print_json(rows)
        return
    if not rows:
        narrate("No run has measured anything here yet. Try: fathom demo")
        return
    table = Table("Run", "Stage", "What", "Measured", "On", box=None, pad_edge=False)
    for row in rows:
        figure = Figure.from_json(row["figure"])
        cells = (row["run"], row["stage"], row["name"], str(figure), str(row["hardware"]))
        table.add_row(*map(printable, cells))
    console().print(table)


def _check(arguments: argparse.Namespace) -> None:
    given = "--refresh" if arguments.refresh else f"--snapshot {arguments.snapshot}"
    narrowed = arguments.refresh or arguments.snapshot is not None
    if narrowed and arguments.table != "prices":
        raise UsageError(
            f"{given} goes with prices, not with {arguments.table}.",
            fix=f"fathom catalog prices {given}",
        )
    if arguments.refresh and arguments.snapshot == BOOK:
        raise UsageError(
            "The book's snapshot is fixed: there is nothing to refresh.",
            fix="fathom catalog prices --refresh",
        )


def _rows(known: Catalog, arguments: argparse.Namespace, home: Home) -> Sequence[Row]:
    if arguments.table == "prices":
        return _priced(known, arguments, home)
    tables: dict[str, Sequence[Row]] = {
        "gpus": known.gpus,
        "models": known.models,
        "quants": known.quants,
        "assumptions": known.assumptions,
        "tasks": known.tasks,
    }
    return tables[arguments.table]


def _priced(known: Catalog, arguments: argparse.Namespace, home: Home) -> Sequence[Row]:
    from fathom_tui.sources import prices

    if arguments.snapshot == BOOK:
        return [row for row in known.prices if row.snapshot == BOOK]
    own = [row for row in known.prices if row.snapshot != BOOK]
    if arguments.refresh:
        refreshed = prices.refresh(home.cache)
        _say_changes(refreshed.changes)
        return [*refreshed.prices, *own]
    return [*prices.current_prices(home.cache), *own]


def _say_changes(changes: Iterable[Any]) -> None:
    told = list(changes)
    for change in told:
        before, after = (
            "none" if pair is None else f"${pair[0]:g} in, ${pair[1]:g} out"
            for pair in (change.before, change.after)
        )
        narrate(f"{change.id}: {before} -> {after}")
    if not told:
        narrate("No price changed.")


def is_stale(row: Row, today: date) -> bool:
    """Say whether a price in the row was stated more than 90 days ago."""
    if isinstance(row, ApiPrice):
        return catalog.stale(row, today)
    if not isinstance(row, Gpu):
        return False
    priced = [name for name in _PRICES if getattr(row, name) is not None]
    rented = [rental.origin or row.origin_of("rentals") for rental in row.rentals]
    return any(catalog.stale(row, today, field=name) for name in priced) or any(
        (today - date.fromisoformat(origin.as_of)).days > 90 for origin in rented
    )


_PRICES = ("price_new_low", "price_new_high", "price_used_low", "price_used_high")


def _to_json(row: Row, today: date) -> dict[str, Any]:
    if isinstance(row, Gpu):
        return _gpu_json(row, is_stale(row, today))
    if isinstance(row, Model):
        return _model_json(row)
    if isinstance(row, ApiPrice):
        return _price_json(row, is_stale(row, today))
    if isinstance(row, Assumption):
        return _assumption_json(row)
    if isinstance(row, Task):
        return _task_json(row)
    return _quant_json(row)


def _plain(row: Row, *names: str) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in ("id", "name", "note", "aliases", *names)}
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in values.items()
    }


def _range(row: Row, name: str, unit: str) -> dict[str, Any]:
    return {end: row.figure(f"{name}_{end}", unit).to_json() for end in ("low", "high")}


def _gpu_json(row: Gpu, stale: bool) -> dict[str, Any]:
    rentals = [
        {
            "provider": rental.provider,
            "eu": rental.eu,
            "usd_per_hour": {
                end: _figure(value, "USD/h", rental.origin or row.origin_of("rentals"))
                for end, value in (
                    ("low", rental.usd_per_hour_low),
                    ("high", rental.usd_per_hour_high),
                )
            },
        }
        for rental in row.rentals
    ]
    return {
        **_plain(row, "vendor", "form", "count", "unified"),
        "memory": row.figure("memory_gib", "GiB").to_json(),
        "bandwidth": row.figure("bandwidth_gb_s", "GB/s").to_json(),
        "bf16": row.figure("bf16_tflops", "TFLOPS").to_json(),
        "watts": row.figure("watts", "W").to_json(),
        "price_new": _range(row, "price_new", "GBP"),
        "price_used": _range(row, "price_used", "GBP"),
        "tokens_per_s": _range(row, "tokens_per_s", "tokens/s"),
        "rentals": rentals,
        "stale": stale,
    }


def _figure(value: float | None, unit: str, origin: Origin) -> dict[str, Any]:
    figure = Figure(
        value=value, unit=unit, kind=origin.kind, source=origin.source, as_of=origin.as_of
    )
    return figure.to_json()


def _model_json(row: Model) -> dict[str, Any]:
    named = ("family", "tier", "licence", "licence_note", "commercial", "languages", "released")
    return {
        **_plain(row, *named, "reasoning", "hub", "ollama", "native_quant"),
        "parameters": row.figure("parameters", "parameters").to_json(),
        "active_parameters": row.figure("active_parameters", "parameters").to_json(),
        "context": _figure(row.architecture.context, "tokens", row.origin_of("architecture")),
        "architecture": asdict(row.architecture),
    }


def _price_json(row: ApiPrice, stale: bool) -> dict[str, Any]:
    unit = "USD/1M tokens"
    return {
        **_plain(row, "provider", "snapshot", "grade"),
        "input": row.figure("input_usd", unit).to_json(),
        "output": row.figure("output_usd", unit).to_json(),
        "cached_input": row.figure("cached_input_usd", unit).to_json(),
        "context": row.figure("context", "tokens").to_json(),
        "stale": stale,
    }


def _quant_json(row: Row) -> dict[str, Any]:
    return {**_plain(row, "use", "rank"), "bits": row.figure("bits", "bits/weight").to_json()}


def _assumption_json(row: Assumption) -> dict[str, Any]:
    names = ("value", "low", "high")
    return {**_plain(row), **{name: row.figure(name, row.unit).to_json() for name in names}}


def _task_json(row: Task) -> dict[str, Any]:
    return {**_plain(row, "approach", "models", "why"), **asdict(row.origin)}


def _print(rows: Sequence[Row], today: date) -> None:
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    first = next(iter(rows), None)
    for heading, justify in _COLUMNS[type(first)]:
        table.add_column(
            heading, justify="right" if justify else "left", no_wrap=not _folds(heading)
        )
    for row in rows:
        table.add_row(*(printable(cell) for cell in _cells(row, today)))
    console().print(table)
    _footnotes(rows, today)


def _folds(heading: str) -> bool:
    return heading in ("Licence", "Use", "What it is", "Task", "Models")


_COLUMNS: dict[type[Any], tuple[tuple[str, bool], ...]] = {
    Gpu: (
        ("Device", False),
        ("GiB", True),
        ("GB/s", True),
        ("TFLOPS", True),
        ("W", True),
        ("GBP", True),
        ("USD/h", True),
        ("8B tok/s", True),
    ),
    Model: (
        ("Model", False),
        ("Params", True),
        ("Active", True),
        ("Context", True),
        ("Tier", False),
        ("Licence", False),
    ),
    ApiPrice: (
        ("Model", False),
        ("In $/1M", True),
        ("Cached", True),
        ("Out $/1M", True),
        ("Context", True),
        ("Grade", False),
        ("As of", False),
    ),
    Assumption: (
        ("Assumption", False),
        ("Value", True),
        ("Range", True),
        ("Unit", False),
        ("What it is", False),
    ),
    Task: (("Id", False), ("Task", False), ("Approach", False), ("Models", False)),
    Quant: (("Quant", False), ("Bits", True), ("7.6B file GB", True), ("Use", False)),
}


def _cells(row: Row, today: date) -> tuple[str, ...]:
    mark = " *" if is_stale(row, today) else ""
    if isinstance(row, Gpu):
        return _gpu_cells(row, mark)
    if isinstance(row, Model):
        return _model_cells(row)
    if isinstance(row, ApiPrice):
        return _price_cells(row, mark)
    if isinstance(row, Assumption):
        spread = "" if row.low is None or row.high is None else f"{row.low:g}-{row.high:g}"
        return row.id, f"{row.value:g}", spread, row.unit, row.name
    if isinstance(row, Task):
        return row.id, row.name, row.approach or "?", ", ".join(row.models)
    assert isinstance(row, Quant)
    return row.name, f"{row.bits:g}", f"{7.615616512 * row.bits / 8:.1f}", row.use


def _gpu_cells(row: Gpu, mark: str) -> tuple[str, ...]:
    used = _between(row.price_used_low, row.price_used_high)
    price = f"{used} u" if used else _between(row.price_new_low, row.price_new_high)
    rent = _between(
        min((rental.usd_per_hour_low for rental in row.rentals), default=None),
        max((rental.usd_per_hour_high for rental in row.rentals), default=None),
    )
    return (
        row.id + mark,
        f"{row.memory_gib:g}",
        f"{row.bandwidth_gb_s:g}",
        _known(row.bf16_tflops),
        _known(row.watts),
        price or "?",
        rent,
        _between(row.tokens_per_s_low, row.tokens_per_s_high),
    )


def _known(value: float | None) -> str:
    return "?" if value is None else f"{value:g}"


def _between(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return ""
    if low == high:
        return _amount(low)
    if low >= 1000:  # in thousands, or a range is too wide for its column
        return f"{low / 1000:g}-{high / 1000:g}k"
    return f"{_amount(low)}-{_amount(high)}"


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:g}"


def _model_cells(row: Model) -> tuple[str, ...]:
    licence = row.licence if row.commercial else f"{row.licence} (no commercial use)"
    active = "" if row.active_parameters == row.parameters else _size(row.active_parameters)
    context = f"{row.architecture.context // 1024}K"
    return row.id, _size(row.parameters), active, context, row.tier, licence


def _size(parameters: float) -> str:
    if parameters < 9.995e8:
        return f"{parameters / 1e6:.0f}M"
    return f"{parameters / 1e9:.2f}B"


def _price_cells(row: ApiPrice, mark: str) -> tuple[str, ...]:
    return (
        row.id + mark,
        f"{row.input_usd:g}",
        _known(row.cached_input_usd),
        f"{row.output_usd:g}",
        _tokens(row.context),
        row.grade,
        row.origin.as_of,
    )


def _tokens(count: int | None) -> str:
    if count is None:
        return "?"
    return f"{count / 1e6:.3g}M" if count >= 1_000_000 else f"{count / 1000:.0f}K"


def _footnotes(rows: Sequence[Row], today: date) -> None:
    """Say what the marks mean, on stderr, and only those that were printed."""
    if any(is_stale(row, today) for row in rows):
        narrate("* a price stated more than 90 days ago: check it before you rely on it.")
    if any(isinstance(row, Gpu) for row in rows):
        narrate("u used; ? unknown; TFLOPS dense bfloat16 of one card; 8B tok/s as quoted.")
    sources = sorted({row.origin.source for row in rows if isinstance(row, ApiPrice)})
    if sources:
        narrate(f"Source: {'; '.join(sources)}. Grades follow the output price.")
    if rows and not isinstance(rows[0], ApiPrice):
        narrate("--json prints the source, date and kind of every figure.")


def _errata(as_json: bool) -> None:
    from fathom_tui import errata

    found = errata.load()
    if as_json:
        print_json([row.to_json() for row in found])
    else:
        console().print(_errata_table(found))


def _errata_table(found: Iterable["Erratum"]) -> "Table":
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 1, 0), pad_edge=False)
    table.add_column("Source", overflow="fold", max_width=12)
    table.add_column("Says", overflow="fold")
    table.add_column("Arithmetic", overflow="fold")
    for row in found:
        sums = [f"{entry.label}: {entry.arithmetic} = {entry.text()}" for entry in row.sums]
        worked = "\n".join(text.removeprefix(": ") for text in sums) or row.explanation
        table.add_row(*(printable(text) for text in (row.source, row.says, worked)))
    return table
