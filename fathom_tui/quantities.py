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
    unit: str = "",
) -> float:
    """Read a quantity; the suffixes k, M and B (or G) mean a thousand, a million, a billion.

    Args:
        text: What was typed: `8M`, `2.5k`, `1_000_000`, `1,000,000`, `1e6`. Case does not matter.
        name: What the error calls it, a flag for example.
        low: Least allowed.
        above: The quantity has to be larger. Given neither `low` nor this, larger than zero.
        high: Most allowed.
        unit: What is counted, where the range is so narrow that it is the answer.

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
    _check(text, name, value, low=low, above=above, high=high, unit=unit)
    return value


def parse_context(text: str, *, name: str = "the context", high: int = 10**9) -> int:
    """Read a number of tokens a context holds; here k is 1,024, as models are made: 32k is 32,768.

    Raises:
        UsageError: It is not a whole number, or out of range.
    """
    stripped = text.strip()
    if stripped[-1:] in ("k", "K"):
        count = parse_quantity(stripped[:-1], name=name) * 1_024
        return parse_count(f"{count:.17g}", name=name, high=high)
    return parse_count(text, name=name, high=high)


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

    Where more than the whole is allowed (growth), a bare number above 1 is refused: 5 could be 5 %
    or 500 %. A screen that shows per cent adds the sign itself.

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
    if abs(value) > 1 and not found[2] and high > 1:
        raise _bare(text, name, value, high)
    value = value / 100 if found[2] else value
    if not low <= value <= high:
        raise UsageError(
            f"{name} is {_quoted(text)}, outside {low:g} to {high:g}.",
            fix=f"Give a fraction from {low:g} to {min(high, 1):g}, or a percentage with its "
            f"sign{': 80%' if high <= 1 else f', {100 * low:g}% to {100 * high:g}%'}.",
        )
    return value


def _bare(text: str, name: str, value: float, high: float) -> UsageError:
    """Return what to say to a number above 1 without its sign, where more than 1 is allowed."""
    fix = f"Write {value:g}% for {value:g} in a hundred"
    if 1 < value <= high:
        fix += f", or {100 * value:g}% for {value:g} times as much again"
    return UsageError(f"{name} is {_quoted(text)}, per cent or a factor?", fix=f"{fix}.")


def _number(text: str) -> float | None:
    try:
        value = float(text.replace("_", "").replace(",", ""))
    except ValueError:  # empty, or a lone point or sign
        return None
    # Out of a float's range is no number to count with.
    return value if math.isfinite(value) else None


def _check(
    text: str,
    name: str,
    value: float,
    *,
    low: float | None,
    above: float | None,
    high: float,
    unit: str,
) -> None:
    if above is not None and not value > above:
        wanted = f"more than {above:g}"
    elif low is not None and not value >= low:
        wanted = f"at least {low:g}"
    elif not value <= high:
        wanted = f"at most {high:g}"
    else:
        return
    least = low if low is not None else above
    if high < _LARGEST and least is not None:
        fix = f"Give {'more than ' if low is None else ''}{least:,g} to {high:,g} {unit}".rstrip()
    else:
        fix = f"Give {wanted}{f' {unit}' if unit else ''}, for example 250, 2.5k, 8M or 1_000_000"
    raise UsageError(f"{name} is {_quoted(text)}; it has to be {wanted}.", fix=f"{fix}.")


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
