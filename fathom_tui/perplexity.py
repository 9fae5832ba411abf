"""Perplexity of a text and its change by quantisation, from per-token negative log-likelihoods.

The chunking is llama.cpp's: tokens in chunks of `n_ctx` without overlap, the tail dropped, and
only the second half of each chunk scored, so that every scored token has context.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fathom_tui.stats import Z95

LEAST_CHUNKS = 8
"""Fewer chunks give an interval too wide to judge a band by."""

EXCELLENT, ACCEPTABLE, CONCERNING = 0.05, 0.15, 0.30
"""Upper ends of the bands of perplexity rise; above the last, quantise less."""

_DIGITS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PerplexityChange:
    """Perplexity of a file and of its quantised form on the same tokens."""

    f16: float
    quantised: float
    rise: float
    """quantised / f16 - 1."""
    low: float
    high: float
    """95 % interval of the rise."""
    tokens: int
    """Scored tokens."""

    @property
    def band(self) -> str:
        """Name the band of the interval's upper end: what the file may be as bad as."""
        high = round(self.high, _DIGITS)  # as it is written down, so that both name one band
        if high < EXCELLENT:
            return "excellent"
        if high < ACCEPTABLE:
            return "acceptable"
        return "concerning" if high <= CONCERNING else "refused"

    def to_json(self) -> dict[str, Any]:
        """Return the bare numbers a stage's result holds."""
        return {
            "f16": round(self.f16, 4),
            "quantised": round(self.quantised, 4),
            "rise": round(self.rise, _DIGITS),
            "low": round(self.low, _DIGITS),
            "high": round(self.high, _DIGITS),
            "tokens": self.tokens,
            "band": self.band,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote; the band follows from the numbers."""
        return cls(
            f16=float(data["f16"]),
            quantised=float(data["quantised"]),
            rise=float(data["rise"]),
            low=float(data["low"]),
            high=float(data["high"]),
            tokens=int(data["tokens"]),
        )


def scored(n_ctx: int) -> int:
    """Return how many tokens of a chunk are scored: 127 of 256, 255 of 512."""
    return n_ctx - n_ctx // 2 - 1


def chunks(tokens: int, n_ctx: int) -> int:
    """Return how many whole chunks a text gives.

    Raises:
        ValueError: Fewer than two chunks, the least llama.cpp accepts.
    """
    if tokens < 2 * n_ctx:
        raise ValueError(f"{tokens} tokens are fewer than two chunks of {n_ctx}")
    return tokens // n_ctx


def negative_log_likelihood(
    logits: NDArray[np.float32], targets: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return -log p of each target token.

    Args:
        logits: Shape (tokens, vocabulary).
        targets: Shape (tokens,), ids.

    Source: llama.cpp tools/perplexity/perplexity.cpp, log_softmax: exponentials in float32,
    their sum in float64.
    """
    top = logits.max(axis=1, keepdims=True)
    total = np.exp(logits - top).sum(axis=1, dtype=np.float64)
    chosen = logits[np.arange(len(targets)), targets] - top[:, 0]
    loss: NDArray[np.float64] = np.log(total) - chosen.astype(np.float64)
    return loss


def perplexity(losses: NDArray[np.float64]) -> float:
    """Return exp of the mean loss; shape (tokens,)."""
    return math.exp(float(losses.mean()))


def perplexity_error(losses: NDArray[np.float64]) -> float:
    """Return the standard error of the perplexity: its own value times that of the mean loss.

    Raises:
        ValueError: There are fewer than two losses.

    Source: llama.cpp tools/perplexity/perplexity.cpp, the "+/-" of the final estimate.
    """
    if len(losses) < 2:
        raise ValueError(f"{len(losses)} losses")
    return perplexity(losses) * math.sqrt(float(losses.var()) / (len(losses) - 1))


def change(f16: NDArray[np.float64], quantised: NDArray[np.float64]) -> PerplexityChange:
    """Return the paired change of perplexity.

    The interval is that of the mean difference of losses, token by token: pairing removes the
    variance that both files share.

    Args:
        f16: Losses of the 16-bit file; shape (tokens,).
        quantised: Losses of the quantised file on the same tokens.

    Raises:
        ValueError: The lengths differ, or there are fewer than two tokens.

    Source: llama.cpp tools/perplexity (kl_divergence): SE of mean ln ratio with covariance.
    """
    if f16.shape != quantised.shape or len(f16) < 2:
        raise ValueError(f"{len(f16)} and {len(quantised)} losses")
    difference = quantised - f16
    mean = float(difference.mean())
    error = math.sqrt(float(difference.var()) / (len(difference) - 1))
    return PerplexityChange(
        f16=perplexity(f16),
        quantised=perplexity(quantised),
        rise=math.expm1(mean),
        low=math.expm1(mean - Z95 * error),
        high=math.expm1(mean + Z95 * error),
        tokens=len(f16),
    )
