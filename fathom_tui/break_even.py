"""The break-even calculator: requests a day against a machine bought and a dataset made.

Source: guide "From API bills to custom models", section 10, with its own formula; its printed
results are corrected in the errata. A month is a twelfth of a year of 365 days for the yearly
sums, and 30 days for the month shown, as there.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fathom_tui.errors import UsageError

YEAR_DAYS = 365


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What the calculator asks."""

    api_usd_per_day: float
    upfront_usd: float | None
    """Machine, training and the work on the data, once; None where it is unknown how many machines
    it takes."""
    local_usd_per_month: float | None
    """Running cost of the machine, without what was paid at the start; None as above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """What the calculator answers, in US dollars."""

    api_month: float
    """30 days."""
    api_year: float
    """365 days."""
    local_month: float | None
    upfront: float | None
    """None is unknown, and so is all that follows from it."""
    months: float | None
    """Months until the machine has paid for itself; None where it never does, or is unknown."""
    year_1: float | None
    """Saved in the first year; negative where it costs more."""
    year_3: float | None

    @property
    def known(self) -> bool:
        """Whether the machine's side of the sum is known."""
        return self.upfront is not None and self.local_month is not None


ASSUMED = {
    "input_tokens": "input_tokens_per_query",
    "output_tokens": "output_tokens_per_query",
    "input_usd": "calculator_input_usd",
    "output_usd": "calculator_output_usd",
    "gpu_usd": "calculator_gpu_usd",
    "server_usd": "calculator_server_usd",
    "electricity_usd": "calculator_electricity_usd",
    "training_usd": "calculator_training_usd",
    "data_hours": "data_hours",
    "data_usd_per_hour": "data_usd_per_hour",
}
"""What the calculator assumes of a request, a machine and a training, and the catalog's row."""


def case_of_queries(queries_per_day: float, assumed: Mapping[str, float]) -> Case:
    """Return the calculator's case for a number of requests a day.

    Args:
        queries_per_day: More than 0.
        assumed: A value for each name of `ASSUMED`; tokens a request, dollars per million tokens,
            dollars once, dollars a month, hours and dollars an hour.
    """
    a = assumed
    request = (a["input_tokens"] * a["input_usd"] + a["output_tokens"] * a["output_usd"]) / 1e6
    work = a["data_hours"] * a["data_usd_per_hour"]
    return Case(
        api_usd_per_day=queries_per_day * request,
        upfront_usd=a["gpu_usd"] + a["server_usd"] + a["training_usd"] + work,
        local_usd_per_month=a["electricity_usd"],
    )


def break_even(case: Case) -> BreakEven:
    """Return when a machine has paid for itself.

    Raises:
        UsageError: A sum is negative.
    """
    upfront, local = case.upfront_usd, case.local_usd_per_month
    for name in ("api_usd_per_day", "upfront_usd", "local_usd_per_month"):
        value = getattr(case, name)
        if value is not None and not 0 <= value < 1e15:
            raise UsageError(f"{name} is {value!r}.", fix="Give an amount, not less than 0.")
    month, year = case.api_usd_per_day * 30, case.api_usd_per_day * YEAR_DAYS
    known = upfront is not None and local is not None
    paid, running = upfront or 0.0, local or 0.0
    saved, yearly = month - running, year - running * 12
    return BreakEven(
        api_month=month,
        api_year=year,
        local_month=local,
        upfront=upfront,
        months=paid / saved if known and saved > 0 else None,
        year_1=yearly - paid if known else None,
        year_3=3 * yearly - paid if known else None,
    )


def band(queries_per_day: float) -> str:
    """Return the calculator's advice for a number of requests a day."""
    return next(text for most, text in _BANDS if queries_per_day < most)


_BANDS = (
    (500, "stay on the API"),
    (2_000, "the volume alone does not decide, the sums below do"),
    (10_000.000001, "a strong case for a machine of your own"),
    (float("inf"), "host it yourself"),
)
"""Requests a day below which each holds; source: guide, section 10 (10,000 is still strong)."""
