"""Quantities as people type them: 8M, 2.5k, 1_000_000, 80 %."""

import math
import re

from fathom_tui.errors import UsageError

_SUFFIXES = {"": 1, "k": 1_000, "m": 1_000_000, "b": 1_000_000_000, "g": 1_000_000_000}
# Digits in groups of three with commas, or with single underscores between them; then a fraction.
_NUMBER = r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+(?:_\d+)*)?(?:\.\d+(?:_\d+)*|\.)?(?:[eE][+-]?\d{1,4})?"
_QUANTITY = re.compile(rf"({_NUMBER})\s*([kKmMbBgG]?)", re.ASCII)
_SHARE = re.compile(rf"({_NUMBER})\s*(%?)", re.ASCII)
_LARGEST = 1e15
"""No quantity here is larger; a larger one is a slip of the finger."""


def parse_quantity(
    text: str,
    *,
    name: str = "the quantity",
    low: float | None = None,
    above: float | None = None,
    high: float = _LARGEST,
) -> float:
    """Read a quantity; the suffixes k, M and B (or G) mean a thousand, a million, a billion.

    Args:
        text: What was typed: `8M`, `2.5k`, `1_000_000`, `1,000,000`, `1e6`. Case does not matter.
        name: What the error calls it, a flag for example.
        low: Least allowed.
        above: The quantity has to be larger. Given neither `low` nor this, larger than zero.
        high: Most allowed.

    Raises:
        UsageError: It is not a number, not finite, or out of range.
    """
    if low is None and above is None:
        above = 0.0
    found = _QUANTITY.fullmatch(text.strip())
    value = _number(found[1]) if found else None
    if found is None or value is None:
        raise UsageError(
            f"{name} is {_quoted(text)}, which is not a quantity.",
            fix="Write it like 250, 2.5k, 8M, 1_000_000 or 1e6.",
        )
    value *= _SUFFIXES[found[2].lower()]
    _check(text, name, value, low=low, above=above, high=high)
    return value


def parse_count(text: str, *, name: str = "the number", low: int = 1, high: int = 10**9) -> int:
    """Read a whole number, in any form that `parse_quantity` reads.

    Raises:
        UsageError: It is not a whole number, or out of range.
    """
    value = parse_quantity(text, name=name, low=low, high=high)
    if not value.is_integer():
        raise UsageError(
            f"{name} is {_quoted(text)}, which is not a whole number.",
            fix=f"Give a whole number from {low:,} to {high:,}.",
        )
    return int(value)


def parse_share(
    text: str, *, name: str = "the share", low: float = 0.0, high: float = 1.0
) -> float:
    """Read a share: `0.8` and `80%` are the same.

    Args:
        text: What was typed.
        name: What the error calls it, a flag for example.
        low: Least allowed, as a fraction.
        high: Most allowed, as a fraction.

    Raises:
        UsageError: It is not a number, not finite, or out of range.
    """
    found = _SHARE.fullmatch(text.strip())
    value = _number(found[1]) if found else None
    if found is None or value is None:
        raise UsageError(
            f"{name} is {_quoted(text)}, which is not a share.", fix="Write it like 0.8 or 80%."
        )
    value = value / 100 if found[2] else value
    if not low <= value <= high:
        raise UsageError(
            f"{name} is {_quoted(text)}, outside {low:g} to {high:g}.",
            fix=f"Give a fraction from {low:g} to {high:g}, or a percentage with its sign: 80%.",
        )
    return value


def _number(text: str) -> float | None:
    try:
        value = float(text.replace("_", "").replace(",", ""))
    except ValueError:  # empty, or a lone point or sign
        return None
    # Out of a float's range is no number to count with.
    return value if math.isfinite(value) else None


def _check(
    text: str, name: str, value: float, *, low: float | None, above: float | None, high: float
) -> None:
    if above is not None and not value > above:
        wanted = f"more than {above:g}"
    elif low is not None and not value >= low:
        wanted = f"at least {low:g}"
    elif not value <= high:
        wanted = f"at most {high:g}"
    else:
        return
    raise UsageError(
        f"{name} is {_quoted(text)}; it has to be {wanted}.",
        fix="Write it like 250, 2.5k, 8M, 1_000_000 or 1e6.",
    )


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
