"""The flags that several advisor commands share, and the setting they make."""

import argparse
from typing import TYPE_CHECKING

from fathom_tui.catalog_types import BOOK, CURRENT
from fathom_tui.errors import UsageError

if TYPE_CHECKING:
    from fathom_tui.catalog import Catalog
    from fathom_tui.currency import Currency
    from fathom_tui.setting import Setting


def add_setting_flags(parser: argparse.ArgumentParser, *, currency: str = "gbp") -> None:
    """Add what a workload is judged against.

    Args:
        parser: Where the flags are added.
        currency: What sums are shown in unless another is asked for.
    """
    group = parser.add_argument_group("compared with")
    group.add_argument("--against", metavar="MODEL", help="an API model (claude-sonnet-4)")
    group.add_argument(
        "--snapshot",
        choices=(BOOK, CURRENT),
        default=BOOK,
        help="prices as the book has them (the default), or the newest that are installed",
    )
    group.add_argument("--gpu", metavar="ID", help="the device bought (rtx-4090-x2)")
    group.add_argument("--gpu-price", metavar="GBP", help="what it costs, all cards together")
    group.add_argument(
        "--assume",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="change an assumption, for example operations_gbp=0; may be repeated",
    )
    group.add_argument(
        "--currency",
        default=currency,
        metavar="CODE",
        help=f"of the sums shown: gbp, usd or eur ({currency})",
    )
    group.add_argument("--usd-per-gbp", metavar="RATE", help="dollars a pound buys (1.25)")
    group.add_argument("--eur-per-gbp", metavar="RATE", help="euros a pound buys (none stated)")


def read_catalog(arguments: argparse.Namespace) -> "Catalog":
    """Return the catalog with the user's own rows, at the snapshot of prices asked for."""
    from dataclasses import replace

    from fathom_tui.catalog import load
    from fathom_tui.sources import overlay
    from fathom_tui.store.paths import Home

    home = Home.from_env()
    catalog = load(overlay.read(home.config))
    if arguments.snapshot == CURRENT:
        from fathom_tui.sources.prices import current_prices

        own = tuple(row for row in catalog.prices if row.snapshot != BOOK)
        catalog = replace(catalog, prices=(*own, *current_prices(home.cache)))
    return catalog


def make_setting(
    arguments: argparse.Namespace, catalog: "Catalog", *, input_share: float
) -> "Setting":
    """Return the setting that the flags describe.

    Raises:
        UsageError: A name is unknown, or a value is no number or out of range.
    """
    from datetime import date

    from fathom_tui import setting

    return setting.setting(
        catalog,
        input_share=input_share,
        against=arguments.against or setting.REFERENCE_API,
        gpu=arguments.gpu or setting.REFERENCE_MACHINE,
        gpu_price_gbp=_optional("--gpu-price", arguments.gpu_price),
        assumptions=read_assumptions(arguments),
        today=date.today(),
    )


def read_assumptions(arguments: argparse.Namespace) -> dict[str, float]:
    """Return what `--assume` and `--usd-per-gbp` change.

    Raises:
        UsageError: Not NAME=VALUE, or no such assumption.
    """
    from difflib import get_close_matches

    from fathom_tui.economics import Market
    from fathom_tui.quantities import parse_quantity

    known = tuple(Market.__dataclass_fields__)
    found = {}
    for text in arguments.assume:
        name, _, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if name not in known:
            near = get_close_matches(name, known, n=1, cutoff=0.6)
            hint = f"Did you mean {near[0]}? " if near else ""
            raise UsageError(
                f"--assume {text[:60]} names no assumption.",
                fix=f"{hint}Write NAME=VALUE; known: {', '.join(known)}.",
            )
        if not value.strip():
            raise UsageError(
                f"--assume {text[:60]} has no value.",
                fix=f"Write NAME=VALUE, for example {name}={EXAMPLES.get(name, '0.5')}",
            )
        found[name] = parse_quantity(value, name=name, low=0)
    rate = _optional("--usd-per-gbp", arguments.usd_per_gbp)
    return found if rate is None else {**found, "usd_per_gbp": rate}


EXAMPLES = {
    "usd_per_gbp": "1.3",
    "gbp_per_kwh": "0.25",
    "months": "24",
    "operations_gbp": "200",
    "tuning_gbp": "0",
    "tuning_months": "12",
    "router_gbp": "20",
    "compliance_gbp": "10000",
}
"""Values to type where one was left out; a share is 0.5."""


def chosen_currency(arguments: argparse.Namespace, setting: "Setting") -> "Currency":
    """Return the currency that sums are shown in."""
    from fathom_tui.currency import currency

    return currency(
        arguments.currency,
        usd_per_gbp=setting.market.usd_per_gbp,
        eur_per_gbp=_optional("--eur-per-gbp", arguments.eur_per_gbp),
    )


def _optional(flag: str, text: str | None) -> float | None:
    from fathom_tui.quantities import parse_quantity

    return None if text is None else parse_quantity(text, name=flag, above=0)
