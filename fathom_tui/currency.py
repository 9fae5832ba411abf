"""The currency that sums are shown in; they are computed in pounds."""

import math
from dataclasses import dataclass
from difflib import get_close_matches

from fathom_tui.errors import UsageError

SYMBOLS = {"gbp": "£", "usd": "$", "eur": "€"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Currency:
    """A currency and what a pound buys of it."""

    code: str
    """ISO 4217, lower case."""
    per_gbp: float

    @property
    def symbol(self) -> str:
        """The sign written before a sum."""
        return SYMBOLS[self.code]

    @property
    def unit(self) -> str:
        """The unit of a figure."""
        return self.code.upper()

    def of(self, gbp: float) -> float:
        """Return a sum of pounds in this currency."""
        return gbp * self.per_gbp

    def show(self, gbp: float) -> str:
        """Return a sum as people write it; pence only below ten."""
        amount = self.of(gbp)
        digits = 2 if abs(amount) < 10 and amount != round(amount) else 0
        sign = "-" if amount < 0 else ""
        return f"{sign}{self.symbol}{abs(amount):,.{digits}f}"


def currency(code: str, *, usd_per_gbp: float, eur_per_gbp: float | None = None) -> Currency:
    """Return a currency by its code.

    Raises:
        UsageError: The code is unknown, a rate is no positive number, or none was given for
            euros: no source of this program states one.
    """
    name = code.strip().lower()
    if name not in SYMBOLS:
        near = get_close_matches(name, SYMBOLS, n=1, cutoff=0.3)
        raise UsageError(
            f"{code[:20]!r} is not a currency that Fathom knows.",
            fix=(f"Did you mean {near[0]}? " if near else "") + "Known: gbp, usd, eur.",
        )
    rates = {"gbp": 1.0, "usd": usd_per_gbp, "eur": eur_per_gbp}
    rate = rates[name]
    if rate is None:
        raise UsageError("No rate for euros was given.", fix="Say how many: --eur-per-gbp 1.15")
    if not math.isfinite(rate) or rate <= 0:
        raise UsageError(f"The exchange rate is {rate!r}.", fix="Give a number above 0.")
    return Currency(code=name, per_gbp=rate)
