"""Which class is taken for which: the confusion matrix, and precision, recall and F1 of each class.

Precision and recall are shares and get Wilson intervals; F1 is a ratio of counts and gets the
percentile interval of the same bootstrap as every other score of a comparison.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fathom_tui.stats import Interval, Weights, interval, wilson


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often each true class was answered with each class."""

    classes: tuple[str, ...]
    counts: NDArray[np.int64]
    """Shape (classes, classes + 1): row is the truth, column the answer, the last column answers
    that broke the contract."""

    @property
    def n(self) -> int:
        """Number of cases."""
        return int(self.counts.sum())

    @property
    def unusable(self) -> int:
        """Answers that broke the contract."""
        return int(self.counts[:, -1].sum())

    def mistakes(self) -> list[tuple[str, str | None, int]]:
        """Return (truth, answer, times) of what was confused, the most frequent first.

        The answer is None where it broke the contract.
        """
        found = [
            (truth, self.classes[column] if column < len(self.classes) else None, int(times))
            for row, truth in enumerate(self.classes)
            for column, times in enumerate(self.counts[row])
            if times and column != row
        ]
        return sorted(found, key=lambda entry: -entry[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassScore:
    """One class by itself; None where there is nothing to divide by."""

    label: str
    n: int
    """Cases whose true class it is."""
    answered: int
    """Cases that were answered with it."""
    precision: Interval | None
    """Share of the answers with this class that are right; Wilson, n is `answered`."""
    recall: Interval | None
    """Share of the cases of this class that are found; Wilson."""
    f1: Interval | None
    """Bootstrap over all cases."""


def confusion(
    classes: Sequence[str], truth: Sequence[str], predicted: Sequence[str | None]
) -> Confusion:
    """Count answers by true class.

    Args:
        classes: Every class of the contract, in its order.
        truth: Shape (cases,).
        predicted: Shape (cases,); None is an answer that broke the contract.

    Raises:
        ValueError: The lengths differ, or a class is none of `classes`.
    """
    place = {label: position for position, label in enumerate(classes)}
    strange = {label for label in (*truth, *predicted) if label is not None} - set(place)
    if strange:
        raise ValueError(f"{sorted(strange)[0]!r} is none of the classes")
    counts = np.zeros((len(place), len(place) + 1), dtype=np.int64)
    for true, answer in zip(truth, predicted, strict=True):
        counts[place[true], len(place) if answer is None else place[answer]] += 1
    return Confusion(tuple(classes), counts)


def class_scores(
    found: Confusion, truth: Sequence[str], predicted: Sequence[str | None], weights: Weights
) -> list[ClassScore]:
    """Return precision, recall and F1 of every class, in the order of the classes.

    Args:
        found: The counts of the same cases.
        truth: Shape (cases,).
        predicted: Shape (cases,).
        weights: Shape (1 + resamples, cases), as `stats.resample_weights` gives them.
    """
    scores = []
    for position, label in enumerate(found.classes):
        hits = int(found.counts[position, position])
        n, answered = int(found.counts[position].sum()), int(found.counts[:, position].sum())
        scores.append(
            ClassScore(
                label=label,
                n=n,
                answered=answered,
                precision=wilson(hits, answered) if answered else None,
                recall=wilson(hits, n) if n else None,
                f1=_f1(label, truth, predicted, weights) if n or answered else None,
            )
        )
    return scores


def _f1(
    label: str, truth: Sequence[str], predicted: Sequence[str | None], weights: Weights
) -> Interval:
    """Return 2 TP / (true + answered); a resample without the class counts as 0."""
    true = np.array([t == label for t in truth], dtype=np.float64)
    guess = np.array([p == label for p in predicted], dtype=np.float64)
    hits, occurrences = weights @ (true * guess), weights @ (true + guess)
    values = np.divide(2 * hits, occurrences, out=np.zeros_like(hits), where=occurrences > 0)
    return interval(values, len(truth))
