"""The score a tuned model must reach, set before any training."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The bar, and where it comes from."""

    value: float
    baseline: float
    """Score of the better of base and prompt on validation, in [0, 1]."""
    rule: str
    """`threshold`, `improvement` or `floor`."""

    def explain(self) -> str:
        """Return the sentence that says why the bar is where it is."""
        if self.rule == "threshold":
            return f"{self.value:.3f}, the threshold set for this engagement"
        if self.rule == "floor":
            return (
                f"{self.value:.3f}, the floor: ten per cent more than {self.baseline:.3f} "
                "would still not be worth serving"
            )
        return (
            f"{self.value:.3f}: from {self.baseline:.3f}, ten per cent more or a fifth fewer "
            "errors, whichever is nearer"
        )

    def to_json(self) -> dict[str, Any]:
        return {"value": round(self.value, 4), "baseline": self.baseline, "rule": self.rule}


def target(baseline: float, *, floor: float, threshold: float | None) -> Target:
    """Return the target for a baseline.

    `min(1.10 b, 1 - 0.8 (1 - b))`: ten per cent more, or a fifth fewer errors, whichever is
    nearer, but at least the floor; a threshold replaces all of it.

    Args:
        baseline: Score of the best untrained way, in [0, 1].
        floor: Lowest target, in [0, 1].
        threshold: The user's own target, in [0, 1], or None.

    The bound exists because ten per cent more is impossible above 0.909.
    """
    if threshold is not None:
        return Target(value=threshold, baseline=baseline, rule="threshold")
    improved = min(1.10 * baseline, 1 - 0.8 * (1 - baseline))
    if improved < floor:
        return Target(value=floor, baseline=baseline, rule="floor")
    return Target(value=improved, baseline=baseline, rule="improvement")
