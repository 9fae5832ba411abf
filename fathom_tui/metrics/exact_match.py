"""Exact match: the share of cases whose value is exactly the true one."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fathom_tui.stats import Weights


def exact_match(correct: Sequence[bool], weights: Weights) -> NDArray[np.float64]:
    """Return the share of correct cases for every resample.

    Args:
        correct: Shape (cases,).
        weights: Shape (resamples, cases), how often each resample drew each case.

    Returns:
        Shape (resamples,), in [0, 1].
    """
    share: NDArray[np.float64] = (weights @ np.asarray(correct, dtype=np.float64)) / weights.sum(
        axis=1
    )
    return share
