"""How far a quantised file's next-token distributions are from those of its own 16-bit file.

Kullback-Leibler divergence per token and the share of tokens where both files would say the same.
The 16-bit side is held as llama.cpp's tool stores it, 16 bits a token of the vocabulary, so that
both come to the same numbers and half a gigabyte does what one would.

Source: llama.cpp tools/perplexity/perplexity.cpp, kl_divergence and the log_softmax beside it.
For scale, its README measures on Llama 3 8B: Q8_0 0.0014, Q6_K 0.0055, Q5_K_M 0.011, Q4_K_M 0.031.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

LOGIT_RANGE = np.float32(16.0)
"""Logits so far below the best are stored as if they were just that far."""
LEAST_LOG_P = np.float32(-16.0)
"""Terms of tokens whose log-probability in the 16-bit file is at most this are skipped."""
_STEPS = np.float32(65535.0)
_HEAD = 4
"""16-bit words before a row's steps: two floats, a step's size and the least log-probability."""
ENOUGH = 100
"""Tokens below which no percentile is given."""
_ENOUGH_FOR_ERROR = 10

PERCENTILES = (0.001, 0.01, 0.05, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999)


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """What separates two files on the same tokens."""

    mean: float
    """Mean KL divergence in nats."""
    error: float | None
    """Standard error of the mean; None for ten tokens or fewer."""
    percentiles: Mapping[float, float]
    """By fraction, of `PERCENTILES`; empty for fewer than 100 tokens."""
    least: float
    most: float
    same_top: float
    """Share of tokens that both files find the likeliest, 0 to 1."""
    same_top_error: float
    """Standard error of that share."""
    tokens: int

    def to_json(self) -> dict[str, Any]:
        """Return the bare numbers a stage's result holds."""
        return {
            "mean": round(self.mean, 6),
            "error": None if self.error is None else round(self.error, 6),
            "percentiles": {f"{100 * p:g}": round(v, 6) for p, v in self.percentiles.items()},
            "least": round(self.least, 6),
            "most": round(self.most, 6),
            "same_top": round(self.same_top, 5),
            "same_top_error": round(self.same_top_error, 5),
            "tokens": self.tokens,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        error = data["error"]
        return cls(
            mean=float(data["mean"]),
            error=None if error is None else float(error),
            percentiles={
                round(float(name) / 100, 6): float(value)
                for name, value in data["percentiles"].items()
            },
            least=float(data["least"]),
            most=float(data["most"]),
            same_top=float(data["same_top"]),
            same_top_error=float(data["same_top_error"]),
            tokens=int(data["tokens"]),
        )


def row_words(vocabulary: int) -> int:
    """Return the 16-bit words that one token's stored distribution takes."""
    return 2 * ((vocabulary + 1) // 2) + _HEAD


def stored(logits: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return distributions as 16-bit steps above their least log-probability.

    Args:
        logits: Shape (tokens, vocabulary).

    Returns:
        Shape (tokens, `row_words(vocabulary)`), as llama.cpp's tool writes it.
    """
    top = logits.max(axis=1)
    low = np.maximum(logits.min(axis=1), top - LOGIT_RANGE)
    total = np.exp(logits - top[:, None]).sum(axis=1, dtype=np.float64)
    scale = (top - low) / _STEPS
    least = low - top - np.log(total).astype(np.float32)
    inverse = np.divide(np.float32(1), scale, out=np.zeros_like(scale), where=scale > 0)
    rows = np.zeros((len(logits), row_words(logits.shape[1])), dtype=np.uint16)
    rows[:, :_HEAD] = np.stack([scale, least], axis=1).astype(np.float32).view(np.uint16)
    steps = np.maximum(logits - low[:, None], 0)
    steps *= inverse[:, None]
    rows[:, _HEAD : _HEAD + logits.shape[1]] = np.rint(steps, out=steps)
    return rows


def token_divergences(
    logits: NDArray[np.float32], base: NDArray[np.uint16]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return each token's KL divergence, and whether both find the same token likeliest.

    Args:
        logits: Of the quantised file; shape (tokens, vocabulary).
        base: Of the 16-bit file, as `stored` returns it, for the same tokens.

    Raises:
        ValueError: The shapes do not belong together.
    """
    tokens, vocabulary = logits.shape
    if base.shape != (tokens, row_words(vocabulary)):
        raise ValueError(f"logits {logits.shape} and stored rows {base.shape}")
    head = np.ascontiguousarray(base[:, :_HEAD]).view(np.float32)
    steps = base[:, _HEAD : _HEAD + vocabulary]
    log_p = steps * head[:, :1] + head[:, 1:]
    top = logits.max(axis=1)
    total = np.exp(logits - top[:, None]).sum(axis=1, dtype=np.float64)
    norm = top + np.log(total).astype(np.float32)
    terms = np.exp(log_p)
    terms *= log_p - logits + norm[:, None]
    found = terms.sum(axis=1, dtype=np.float64, where=log_p > LEAST_LOG_P)
    return found, logits.argmax(axis=1) == steps.argmax(axis=1)


def summarised(values: NDArray[np.float64], same_top: NDArray[np.bool_]) -> Divergence:
    """Return the summary of many tokens' divergences.

    Args:
        values: KL divergence of each token, in nats.
        same_top: Whether both files find the same token likeliest.

    Raises:
        ValueError: The lengths differ, or there are fewer than two tokens.
    """
    count = len(values)
    if count != len(same_top) or count < 2:
        raise ValueError(f"{count} divergences and {len(same_top)} comparisons")
    share = float(same_top.mean())
    error = math.sqrt(float(values.var()) / (count - 1)) if count > _ENOUGH_FOR_ERROR else None
    return Divergence(
        mean=float(values.mean()),
        error=error,
        percentiles=_percentiles(values) if count >= ENOUGH else {},
        least=float(values.min()),
        most=float(values.max()),
        same_top=share,
        same_top_error=math.sqrt(share * (1 - share) / (count - 1)),
        tokens=count,
    )


def _percentiles(values: NDArray[np.float64]) -> dict[float, float]:
    """Return the percentiles in float32, as the tool has them: its last digits are rounding."""
    ordered = np.sort(values.astype(np.float32))
    found = {}
    for fraction in PERCENTILES:
        place = np.float32(fraction) * np.float32(len(ordered) - 1)
        below = int(place)
        share = place - np.float32(below)
        above = ordered[min(below + 1, len(ordered) - 1)]
        found[fraction] = float((1 - share) * ordered[below] + share * above)
    return found
