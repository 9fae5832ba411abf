"""Macro F1: the mean over classes of the harmonic mean of precision and recall."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fathom_tui.stats import Weights


def macro_f1(
    truth: Sequence[str], predicted: Sequence[str | None], weights: Weights
) -> NDArray[np.float64]:
    """Return macro F1 for every resample.

    A class counts in a resample where it occurs there in truth or prediction; a class that
    occurs in neither has no F1. `None` is an unusable answer: a miss for the true class.

    Args:
        truth: Shape (cases,).
        predicted: Shape (cases,).
        weights: Shape (resamples, cases), how often each resample drew each case.

    Returns:
        Shape (resamples,), in [0, 1].

    Raises:
        ValueError: The lengths differ.

    Source: sklearn.metrics.f1_score(average="macro"), which tests compare it with.
    """
    classes = sorted(set(truth) | {label for label in predicted if label is not None})
    index = {label: i for i, label in enumerate(classes)}
    true = _one_hot([index[label] for label in truth], len(classes))
    guessed = _one_hot([-1 if label is None else index[label] for label in predicted], len(classes))
    if true.shape != guessed.shape:
        raise ValueError(f"{len(truth)} truths and {len(predicted)} predictions")
    hits = weights @ (true * guessed)  # (resamples, classes)
    occurrences = weights @ (true + guessed)
    scores = np.divide(2 * hits, occurrences, out=np.zeros_like(hits), where=occurrences > 0)
    mean: NDArray[np.float64] = scores.sum(axis=1) / np.maximum((occurrences > 0).sum(axis=1), 1)
    return mean


def _one_hot(indices: Sequence[int], classes: int) -> NDArray[np.float64]:
    rows = np.zeros((len(indices), classes))
    for row, index in enumerate(indices):
        if index >= 0:
            rows[row, index] = 1.0
    return rows
