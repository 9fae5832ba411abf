"""When spending once pays for itself: a fine-tune, a distillation, a GPU bought instead of rented.

Every input is an argument, the exchange rate too; a result carries its terms. A month has 30 days,
as in the sources.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fathom_tui.errors import UsageError
from fathom_tui.figures import Figure, Kind
from fathom_tui.rules import Ownership, ownership

MONTH_DAYS = 30.0
DAY_HOURS = 24.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One part of a sum."""

    name: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Payback:
    """What is spent once, what it saves a month, and when the two are equal."""

    currency: str
    """Of every sum, for example USD."""
    upfront: tuple[Term, ...]
    api_month: float
    serving_month: float
    months: float | None
    """None where it never pays back."""
    why: str
    """The sum in words; for a never, the reason."""

    @property
    def spent(self) -> float:
        """All that is paid at the start."""
        return sum(term.value for term in self.upfront)

    @property
    def saved_month(self) -> float:
        """What is saved a month; negative where it costs more."""
        return self.api_month - self.serving_month

    @property
    def days(self) -> float | None:
        """The payback in days."""
        return None if self.months is None else self.months * MONTH_DAYS

    def to_json(self, as_of: str) -> dict[str, Any]:
        """Return the documented shape.

        Args:
            as_of: ISO date of the computation.
        """
        once, monthly = self.currency, f"{self.currency}/month"
        return {
            "terms": {t.name: _figure(t.value, t.unit, t.name, as_of) for t in self.upfront},
            "spent": _figure(self.spent, once, "sum of the terms", as_of),
            "api_month": _figure(self.api_month, monthly, "given", as_of, Kind.ASSUMED),
            "serving_month": _figure(self.serving_month, monthly, "given", as_of, Kind.ASSUMED),
            "saved_month": _figure(self.saved_month, monthly, "API less serving", as_of),
            "months": _figure(self.months, "months", "spent over saved a month", as_of),
            "why": self.why,
        }


def fine_tune_payback(
    *,
    data_hours: float,
    hourly_rate: float,
    training: float,
    hardware: float,
    serving_month: float,
    api_month: float,
    currency: str = "USD",
) -> Payback:
    """Return when a fine-tuned model of one's own has paid for itself.

    Args:
        data_hours: Hours of work on the data.
        hourly_rate: Cost of an hour.
        training: All training runs together.
        hardware: Bought for it; 0 where it is there or rented.
        serving_month: Electricity, rent and operations a month.
        api_month: The API's bill a month that it replaces.
        currency: Of all of these.

    Raises:
        UsageError: A value is negative, infinite or no number.

    Source: (data + training + hardware) / (API - serving); guide, section 10, book, ch. 6.
    """
    for name, value in (("data_hours", data_hours), ("hourly_rate", hourly_rate)):
        check_least(name, value)
    parts = (("data", data_hours * hourly_rate), ("training", training), ("hardware", hardware))
    return _payback(parts, api_month, serving_month, currency)


def distillation_payback(
    *,
    tokens: float,
    price_per_million: float,
    accepted_share: float = 1.0,
    training: float,
    hardware: float,
    serving_month: float,
    api_month: float,
    currency: str = "USD",
) -> Payback:
    """Return when a student taught by an API's answers has paid for itself.

    Args:
        tokens: Input and output of the teacher for the examples that are kept.
        price_per_million: Of a million of these tokens.
        accepted_share: Share of the teacher's examples that pass review, more than 0 to 1.
        training: All training runs together.
        hardware: Bought for it.
        serving_month: Electricity, rent and operations a month.
        api_month: The API's bill a month that it replaces.
        currency: Of all of these.

    Raises:
        UsageError: A value is negative, infinite or no number, or the share is not in (0, 1].

    Source: guide, section 6, corrected: its $300 for 4.25M tokens are $21.25 at $5 and $63.75 at
    $15; 40 to 60 % of a teacher's examples pass review (fine-tuning guide, section 6).
    """
    check_least("tokens", tokens)
    check_least("price_per_million", price_per_million)
    _share("accepted_share", accepted_share, above=True)
    teacher = tokens / 1e6 * price_per_million / accepted_share
    parts = (("teacher", teacher), ("training", training), ("hardware", hardware))
    return _payback(parts, api_month, serving_month, currency)


def _payback(
    parts: tuple[tuple[str, float], ...], api_month: float, serving_month: float, currency: str
) -> Payback:
    for name, value in (*parts, ("api_month", api_month), ("serving_month", serving_month)):
        check_least(name, value)
    spent, saved = sum(value for _, value in parts), api_month - serving_month
    months, why = _months(spent, saved, currency)
    return Payback(
        currency=currency,
        upfront=tuple(Term(name=name, value=value, unit=currency) for name, value in parts),
        api_month=api_month,
        serving_month=serving_month,
        months=months,
        why=why,
    )


def _months(spent: float, saved: float, currency: str) -> tuple[float | None, str]:
    if saved <= 0:
        return None, (
            f"Never: serving costs {-saved:,.0f} {currency} a month more than the API."
            if saved
            else "Never: serving costs as much a month as the API."
        )
    months = spent / saved
    if math.isinf(months):
        return None, f"Never: {saved:g} {currency} a month are next to nothing."
    return months, f"{spent:,.0f} {currency} once over {saved:,.0f} {currency} saved a month."


def electricity(
    *, watts: float, hours_per_day: float, price_per_kwh: float, days: float = MONTH_DAYS
) -> float:
    """Return the cost of running a load, in the currency of the price.

    Args:
        watts: Sustained draw.
        hours_per_day: 0 to 24.
        price_per_kwh: Of a kWh.
        days: 30 is a month, 365 a year.

    Raises:
        UsageError: A value is out of range.
    """
    for name, value in (("watts", watts), ("price_per_kwh", price_per_kwh), ("days", days)):
        check_least(name, value)
    _hours(hours_per_day)
    return watts / 1000 * hours_per_day * days * price_per_kwh


@dataclass(frozen=True, slots=True, kw_only=True)
class RentOrBuy:
    """A GPU bought and one rented, at the same hours; GBP unless a field says otherwise."""

    hours_per_day: float
    price: float
    resale: float
    """What is got back for it after `written_off_months`."""
    written_off_months: float
    rent_per_hour: float
    """In GBP, at the rate given."""
    electricity_per_hour: float
    """While it works."""
    break_even_hours_month: float | None
    """Hours a month from which owning costs less; None where rent is no more than electricity."""
    days_around_the_clock: float | None
    """Days of 24 hours whose rent, less electricity, is the whole price less resale."""
    payback_months: float | None
    """Months at `hours_per_day` until the same; None where it never is."""
    rule: Ownership
    """The label of rule 6."""

    @property
    def own_month(self) -> float:
        """Cost of owning a month at `hours_per_day`."""
        written_off = (self.price - self.resale) / self.written_off_months
        return written_off + self.electricity_per_hour * self.hours_per_day * MONTH_DAYS

    @property
    def rent_month(self) -> float:
        """Cost of renting a month at `hours_per_day`."""
        return self.rent_per_hour * self.hours_per_day * MONTH_DAYS

    @property
    def break_even_hours_day(self) -> float | None:
        """The same a day; more than 24 is not to be reached."""
        hours = self.break_even_hours_month
        return None if hours is None else hours / MONTH_DAYS

    @property
    def reachable(self) -> bool:
        """Whether a card can work that many hours at all."""
        hours = self.break_even_hours_day
        return hours is not None and hours <= DAY_HOURS

    @property
    def cheaper(self) -> str:
        """`own` or `rent`, by cost alone."""
        return "own" if self.own_month < self.rent_month else "rent"

    @property
    def why(self) -> str:
        """The sum in words."""
        hours = self.break_even_hours_month
        if hours is None:
            return "Never: an hour's rent is no more than its electricity."
        if not self.reachable:
            return (
                f"Never within {self.written_off_months:g} months: "
                f"it would take {hours:,.0f} of 720 hours a month."
            )
        return (
            f"Owning costs less from {hours:,.0f} hours a month ({hours / MONTH_DAYS:.1f} a day); "
            f"{self.hours_per_day:g} a day are {self.hours_per_day * MONTH_DAYS:,.0f}."
        )

    def to_json(self, as_of: str) -> dict[str, Any]:
        """Return the documented shape.

        Args:
            as_of: ISO date of the computation.
        """
        return {
            **{name: _figure(v, unit, how, as_of) for name, v, unit, how in self._numbers()},
            "reachable": self.reachable,
            "cheaper": self.cheaper,
            "rule": {"label": self.rule.label, "why": self.rule.why},
            "why": self.why,
        }

    def _numbers(self) -> Iterator[tuple[str, float | None, str, str]]:
        month = "GBP/month"
        yield "rent_per_hour", self.rent_per_hour, "GBP/hour", "rent at the exchange rate"
        yield "electricity_per_hour", self.electricity_per_hour, "GBP/hour", "watts times price"
        yield "own_month", self.own_month, month, "(price - resale)/months + electricity"
        yield "rent_month", self.rent_month, month, "rent an hour times hours"
        hours = "(price - resale)/months over (rent - electricity)"
        yield "break_even_hours_month", self.break_even_hours_month, "hours/month", hours
        yield "break_even_hours_day", self.break_even_hours_day, "hours/day", hours
        days = "(price - resale) over 24 hours of (rent - electricity)"
        yield "days_around_the_clock", self.days_around_the_clock, "days", days
        paid = "(price - resale) over a month's hours of (rent - electricity)"
        yield "payback_months", self.payback_months, "months", paid


def rent_or_buy(
    *,
    hours_per_day: float,
    price_gbp: float,
    months: float,
    rent_usd_per_hour: float,
    watts: float,
    gbp_per_kwh: float,
    usd_per_gbp: float,
    resale_share: float = 0.0,
    h100_class: bool = False,
) -> RentOrBuy:
    """Return from how many hours a GPU is cheaper to own than to rent.

    Args:
        hours_per_day: Hours it is busy, 0 to 24.
        price_gbp: Purchase.
        months: Over which it is written off.
        rent_usd_per_hour: Of the same card.
        watts: Sustained draw while it works; 0 leaves electricity out.
        gbp_per_kwh: Electricity.
        usd_per_gbp: What a pound buys.
        resale_share: Share of the price got back at the end, 0 to 1.
        h100_class: Whether rule 6 says to rent whatever the hours.

    Raises:
        UsageError: A value is out of range.

    Source: written-off price a month over rent less electricity an hour; the label is rule 6 of
    the book, ch. 1 (April 2026).
    """
    _hours(hours_per_day)
    _share("resale_share", resale_share)
    positive = {"price_gbp": price_gbp, "months": months, "usd_per_gbp": usd_per_gbp}
    for name, value in {**positive, "rent_usd_per_hour": rent_usd_per_hour}.items():
        check_least(name, value, above=True)
    power = electricity(watts=watts, hours_per_day=1, price_per_kwh=gbp_per_kwh, days=1)
    rent = rent_usd_per_hour / usd_per_gbp
    lost, gained = price_gbp * (1 - resale_share), rent - power
    return RentOrBuy(
        hours_per_day=hours_per_day,
        price=price_gbp,
        resale=price_gbp * resale_share,
        written_off_months=months,
        rent_per_hour=rent,
        electricity_per_hour=power,
        break_even_hours_month=_over(lost / months, gained),
        days_around_the_clock=_over(lost, gained * DAY_HOURS),
        payback_months=_over(lost, gained * hours_per_day * MONTH_DAYS),
        rule=ownership(hours_per_day, datacentre=h100_class),
    )


def implied_rent(
    *, price_gbp: float, months: float, hours_per_day: float, usd_per_gbp: float
) -> float:
    """Return the rent, USD an hour, at which a card breaks even after so many months.

    Electricity is left out, as in the claim that it tests.

    Raises:
        UsageError: A value is not positive, or there are more than 24 hours.
    """
    for name, value in (("price_gbp", price_gbp), ("months", months), ("usd_per_gbp", usd_per_gbp)):
        check_least(name, value, above=True)
    _hours(hours_per_day)
    check_least("hours_per_day", hours_per_day, above=True)
    return price_gbp * usd_per_gbp / (months * MONTH_DAYS * hours_per_day)


def _over(lost: float, gained: float) -> float | None:
    """Return a quotient; None where nothing is gained or the answer is beyond any number."""
    if gained <= 0:
        return None
    quotient = lost / gained
    return quotient if math.isfinite(quotient) else None


MOST = 1e15
"""A value above this is a slip."""


def check_least(name: str, value: float, *, above: bool = False) -> None:
    """Raise a UsageError that names a value outside 0 to `MOST`, or 0 where it must be above."""
    if not _fits(value, MOST, above):
        bound = "more than 0" if above else "0 or more"
        raise UsageError(f"{name} is {value!r}.", fix=f"Give a number, {bound}.")


def _share(name: str, value: float, *, above: bool = False) -> None:
    if not _fits(value, 1.0, above):
        bound = "more than 0, at most 1" if above else "0 to 1"
        raise UsageError(f"{name} is {value!r}.", fix=f"Give a share, {bound}.")


def _hours(value: float) -> None:
    if not _fits(value, DAY_HOURS):
        raise UsageError(f"hours_per_day is {value!r}.", fix="Give 0 to 24 hours.")


def _fits(value: object, most: float, above: bool = False) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    # No comparison with NaN holds, so NaN never fits.
    return 0 <= value <= most and not (above and value == 0)


def _figure(
    value: float | None, unit: str, source: str, as_of: str, kind: Kind = Kind.COMPUTED
) -> dict[str, Any]:
    return Figure(value=value, unit=unit, kind=kind, source=source, as_of=as_of).to_json()
