"""The comparison: every way to answer, scored on the same cases, and what follows from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fathom_tui.contract import Contract, Values
from fathom_tui.gates import Gate, Outcome, passed, refused, warned
from fathom_tui.metrics import field_mean, field_scores
from fathom_tui.stats import Interval, Weights, interval, resample_weights

Parts = dict[str, NDArray[np.float64]]

TRAINED = ("tuned", "quantised")
UNTRAINED = ("untuned", "prompt")
_CHEAPEST_FIRST = ("plain_code", "untuned", "prompt", "nearest_shots")
"""Plain code needs no model, a prompt needs tokens, the nearest examples need a retriever too."""
NAMES = {
    "untuned": "untuned model",
    "prompt": "best static prompt",
    "nearest_shots": "nearest examples as shots",
    "plain_code": "TF-IDF + logistic regression",
    "tuned": "tuned model (f16)",
    "quantised": "tuned and quantised",
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Scores of all ways on the same cases, resampled alike."""

    contract: Contract
    weights: Weights
    parts: Mapping[str, Parts]
    """Way to field to shape (1 + resamples,)."""

    @property
    def n(self) -> int:
        """Number of cases."""
        return int(self.weights.shape[1])

    def score(self, way: str, fields: Sequence[str] | None = None) -> Interval:
        """Return a way's mean over its fields (or over `fields`) with its interval."""
        return interval(self._mean(way, fields), self.n)

    def part(self, way: str, field: str) -> Interval:
        """Return a way's score on one field with its interval."""
        return interval(self.parts[way][field], self.n)

    def difference(self, way: str, other: str, fields: Sequence[str] | None = None) -> Interval:
        """Return the paired interval of `way` minus `other`."""
        return interval(self._mean(way, fields) - self._mean(other, fields), self.n)

    def _mean(self, way: str, fields: Sequence[str] | None) -> NDArray[np.float64]:
        parts = self.parts[way]
        chosen = parts if fields is None else {name: parts[name] for name in fields}
        return field_mean(chosen)

    def to_json(self) -> dict[str, Any]:
        """Return {way: {value, low, high, n, parts: {field: value}}}."""
        return {
            way: {
                **self.score(way).to_json(),
                "parts": {name: round(float(values[0]), 4) for name, values in parts.items()},
            }
            for way, parts in self.parts.items()
        }


def compare(
    contract: Contract,
    truth: Sequence[Values],
    answers: Mapping[str, Sequence[Values | None]],
    *,
    seed: int,
) -> Comparison:
    """Score every way on the same cases.

    Args:
        contract: The fields of an answer.
        truth: Shape (cases,).
        answers: Way to shape (cases,); None is an answer that broke the contract.
        seed: Of the bootstrap.

    Raises:
        ValueError: There are no cases.
    """
    weights = resample_weights(len(truth), seed=seed)
    parts = {
        way: field_scores(contract, truth, predicted, weights) for way, predicted in answers.items()
    }
    return Comparison(contract, weights, parts)


def ship_gates(comparison: Comparison, *, target: float, explained: str) -> list[Gate]:
    """Judge the file that would ship: it must beat what needs no training, and reach the target."""
    best = max(UNTRAINED, key=lambda way: comparison.score(way).value)
    score, gain = comparison.score("quantised"), comparison.difference("quantised", best)
    evidence: dict[str, Any] = {"difference": gain.to_json(), "against": best, "target": target}
    gates = []
    if gain.low > 0:
        gates.append(
            passed(
                "evaluate.improvement",
                f"The quantised model beats the {NAMES[best]} by {gain.value:+.3f} "
                f"({gain.low:+.3f} to {gain.high:+.3f}, paired, n = {gain.n}).",
                **evidence,
            )
        )
    else:
        gates.append(
            refused(
                "evaluate.improvement",
                f"The quantised model is not shown to beat the {NAMES[best]}: {gain.value:+.3f} "
                f"({gain.low:+.3f} to {gain.high:+.3f}, paired, n = {gain.n}).",
                f"Keep the {NAMES[best]}; more or cleaner rows help before more epochs do.",
                **evidence,
            )
        )
    if score.value >= target:
        gates.append(
            passed("evaluate.target", f"{score.value:.3f} reaches the target {explained}.")
        )
    else:
        gates.append(
            refused(
                "evaluate.target",
                f"{score.value:.3f} misses the target {explained}.",
                "Add training rows, train longer, or set a threshold the task really needs.",
                **evidence,
            )
        )
    return gates


def cheaper(comparison: Comparison, *, margin: float) -> list[tuple[str, Interval]]:
    """Return untrained ways within `margin` of the quantised model, with quantised minus them.

    The cheapest comes first. Plain code is compared on the fields it answers, the choices.
    """
    found = []
    for way in _CHEAPEST_FIRST:
        if way not in comparison.parts:
            continue
        fields = [name for name in comparison.parts["quantised"] if name in comparison.parts[way]]
        difference = comparison.difference("quantised", way, fields)
        if difference.value <= margin:
            found.append((way, difference))
    return found


def headline(
    comparison: Comparison, gates: Sequence[Gate], alternatives: Sequence[tuple[str, Interval]]
) -> str:
    """Return the verdict in a line or two: an equally good cheaper way comes before praise."""
    first = [_cheaper_line(comparison, *alternatives[0])] if alternatives else []
    refusals = [gate.reason for gate in gates if gate.outcome is Outcome.REFUSE]
    if refusals:
        return " ".join([*first, "Do not ship:", *refusals])
    best = max(UNTRAINED, key=lambda way: comparison.score(way).value)
    praise = (
        f"Fit to ship: {comparison.score('quantised').value:.3f} against "
        f"{comparison.score(best).value:.3f} of the {NAMES[best]}."
    )
    return " ".join([*first, praise])


def _cheaper_line(comparison: Comparison, way: str, difference: Interval) -> str:
    """Say which cheaper way does as well, on which fields, and what it cannot answer."""
    tuned = comparison.parts["quantised"]
    fields = [name for name in tuned if name in comparison.parts[way]]
    beyond = [name for name in tuned if name not in fields]
    relation = "is better" if difference.high < 0 else "does as well"
    scope = f" on {', '.join(fields)}" if beyond else ""
    line = (
        f"Something cheaper {relation}{scope}: {NAMES[way]} "
        f"{comparison.score(way, fields).value:.3f}, tuned and quantised "
        f"{comparison.score('quantised', fields).value:.3f}."
    )
    if not beyond:
        return line
    score = comparison.score("quantised", beyond).value
    return f"{line} It cannot answer {', '.join(beyond)} (tuned: {score:.3f})."


def cheaper_gate(comparison: Comparison, alternatives: Sequence[tuple[str, Interval]]) -> Gate:
    """Warn where something cheaper is better or within the margin; it never refuses."""
    if not alternatives:
        return passed("evaluate.cheaper", "Nothing cheaper comes within the margin.")
    listed = "; ".join(
        f"{NAMES[way]} is {'better' if difference.high < 0 else 'within the margin'} (tuned "
        f"{difference.value:+.3f}, {difference.low:+.3f} to {difference.high:+.3f})"
        for way, difference in alternatives
    )
    return warned(
        "evaluate.cheaper",
        f"Against the tuned model, {listed}.",
        "Consider the cheaper way first: it needs no GPU, no serving and no drift watch.",
        alternatives=[way for way, _ in alternatives],
    )
