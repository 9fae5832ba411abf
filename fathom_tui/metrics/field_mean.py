"""The primary metric: the mean over an answer's fields of each field's own score.

A choice is scored by macro F1, a number by exact match; a contract with one label is scored by
macro F1 alone. Every part is reported beside the mean.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fathom_tui.contract import Contract, Values
from fathom_tui.metrics.exact_match import exact_match
from fathom_tui.metrics.macro_f1 import macro_f1
from fathom_tui.stats import Weights


def field_scores(
    contract: Contract,
    truth: Sequence[Values],
    predicted: Sequence[Values | None],
    weights: Weights,
) -> dict[str, NDArray[np.float64]]:
    """Return each field's score for every resample.

    Args:
        contract: Which fields there are.
        truth: Shape (cases,).
        predicted: Shape (cases,); None is an answer that broke the contract. A field that is
            absent from every prediction is left out (plain code answers choices alone).
        weights: Shape (resamples, cases).

    Returns:
        Field name to shape (resamples,).
    """
    answered = {name for values in predicted if values is not None for name in values}
    scores = {}
    for field in contract.fields:
        if answered and field.name not in answered:
            continue
        name = field.name
        true = [values[name] for values in truth]
        if field.kind == "choice":
            guess = [None if values is None else values.get(name) for values in predicted]
            scores[name] = macro_f1([str(t) for t in true], _texts(guess), weights)
        else:
            # An answer without the field is wrong, also where the true value is null.
            right = [
                values is not None and name in values and values[name] == t
                for t, values in zip(true, predicted, strict=True)
            ]
            scores[name] = exact_match(right, weights)
    return scores


def field_mean(scores: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the mean over fields for every resample; shape (resamples,)."""
    mean: NDArray[np.float64] = np.mean(list(scores.values()), axis=0)
    return mean


def _texts(values: Sequence[Any]) -> list[str | None]:
    return [None if value is None else str(value) for value in values]
