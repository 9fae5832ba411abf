"""What the Hardware and the Models screen are computed for, and their numbers in few characters."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from fathom_tui.memory import KV_TYPES as KV_TYPES

if TYPE_CHECKING:
    from fathom_tui.catalog_types import Gpu

CONTEXTS = tuple(2**power for power in range(11, 21))
"""Tokens that a key steps through: 2,048 to 1,048,576."""
START_CONTEXT = 8192
START_QUANT = "q4_k_m"
START_KV = "f16"
START_MODEL, START_DEVICE = "llama-3.1-8b", "rtx-3090"
"""Where the cursor stands first: the sources' example of a model and of a card."""

T = TypeVar("T")


def stepped(values: Sequence[T], value: T, steps: int) -> T:
    """Return the value so many places further; the ends stop it, an unknown one begins anew."""
    at = values.index(value) if value in values else 0
    return values[max(0, min(at + steps, len(values) - 1))]


def turned(values: Sequence[T], value: T, steps: int) -> T:
    """Return the value so many places further; after the last comes the first."""
    return values[(values.index(value) + steps) % len(values)]


def thousands(tokens: int) -> str:
    """Return a number of tokens as people say it: 8K is 8,192, and 1M is 1,048,576."""
    if tokens % 2**20 == 0:
        return f"{tokens // 2**20}M"
    return f"{tokens // 1024}K" if tokens % 1024 == 0 else f"{tokens:,}"


def billions(parameters: float) -> str:
    """Return a number of parameters: 135M, 7.6B, 70.6B."""
    return f"{parameters / 1e6:.0f}M" if parameters < 9.995e8 else f"{parameters / 1e9:.1f}B"


def gigabytes(count: float) -> str:
    """Return bytes as decimal gigabytes with three digits: 0.48, 4.68, 42.5, 141."""
    value = count / 1e9
    size = abs(value)
    return f"{value:,.{2 if size < 9.995 else 1 if size < 99.95 else 0}f}"


def price_of(gpu: "Gpu") -> tuple[float, float, bool] | None:
    """Return low and high in GBP and whether it is a used one; None where no price is known.

    The new price where there is one, as the Advise screen takes it.
    """
    for name in ("new", "used"):
        low, high = getattr(gpu, f"price_{name}_low"), getattr(gpu, f"price_{name}_high")
        if low is not None and high is not None:
            return low, high, name == "used"
    return None


def pounds(value: float) -> str:
    """Return a price in few characters: 140, 1.4k, 25k."""
    if value < 999.5:
        return f"{value:.0f}"
    return f"{value / 1000:.3g}k" if value < 9995 else f"{value / 1000:.0f}k"


def price(gpu: "Gpu") -> str:
    """Return what a device costs, in words; empty where no price is known."""
    known = price_of(gpu)
    if known is None:
        return ""
    low, high, used = known
    asked = f"£{low:,.0f}" if low == high else f"£{low:,.0f} to {high:,.0f}"
    return f"{asked} used" if used else asked
