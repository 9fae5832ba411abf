"""Proportions with their intervals, and the sample sizes they need; nothing but the stdlib.

Apart from the bootstrap of `fathom_tui.stats`, because a health check needs an interval in less
time than numpy takes to load.
"""

import math
from dataclasses import dataclass

Z95 = 1.959964
"""Two-sided 95 % quantile of the normal distribution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A point estimate with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int

    def to_json(self) -> dict[str, float | int]:
        """Return the bare numbers a run's summary prints."""
        return {
            "value": round(self.value, 4),
            "low": round(self.low, 4),
            "high": round(self.high, 4),
            "n": self.n,
        }


def wilson(successes: int, n: int) -> Interval:
    """Return the Wilson score interval of a proportion.

    Raises:
        ValueError: `n` is not positive, or `successes` is outside 0..n.

    Source: Wilson 1927; form as in Newcombe 1998, method 3.
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}")
    p, z2 = successes / n, Z95 * Z95
    scale = 1 + z2 / n
    centre = (p + z2 / (2 * n)) / scale
    half = Z95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / scale
    # At 0 of n and n of n the bound is p itself, which rounding may miss by one bit.
    low, high = (p if successes == 0 else centre - half), (p if successes == n else centre + half)
    return Interval(value=p, low=low, high=high, n=n)


def cases_for_half_width(p: float, half_width: float) -> int:
    """Return the cases a proportion needs for a 95 % interval of +- `half_width`.

    Raises:
        ValueError: `p` is outside [0, 1] or `half_width` is not positive.

    Source: normal approximation, n = z^2 p (1 - p) / h^2 (0.79 at 0.03 needs 709).
    """
    if not 0 <= p <= 1 or not half_width > 0:
        raise ValueError(f"proportion {p}, half-width {half_width}")
    return math.ceil(Z95 * Z95 * p * (1 - p) / (half_width * half_width))
