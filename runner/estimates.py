"""How long a stage should take: what this machine took before, else the reference machine.

The reference is two cores of an AMD EPYC with bf16; its figures are measured by `bench/demo.py`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from fathom_tui.recipe import Plan

_ROWS = 600
"""Training rows assumed where the plan sets no limit and no data has been read."""
_CASES = 77

_FIXED_S = {
    "preflight": 1.0,
    "data": 1.0,
    "train": 10.0,
    "merge": 15.0,
    "export": 6.0,
    "quantize": 14.0,
    "verify": 25.0,
    "deploy": 3.0,
    "anchors": 6.0,
}
_CONVERT_S = 32.0
"""Making the base model's files, the first time it is used."""
_TRAIN_ROW_S = 0.26
"""Seconds a row a pass: about 95 tokens at 370 tokens/s."""
_CASE_S = 0.35


def expected_seconds(
    stage: str,
    plan: Plan,
    results: Mapping[str, Mapping[str, Any]],
    history: Iterable[float],
    *,
    converted: bool = True,
) -> float:
    """Return the seconds a stage should take.

    Args:
        stage: Its name.
        plan: The run's plan.
        results: Results so far; `data` says how many rows there are.
        history: Seconds of this stage in earlier runs of the same engagement on this machine.
        converted: Whether the cache holds a base model; without, `preflight` makes it.
    """
    if stage == "preflight" and not converted:
        return _FIXED_S["preflight"] + _CONVERT_S
    earlier = sorted(history)
    if earlier:
        return earlier[len(earlier) // 2]
    counts = results.get("data", {}).get("counts", {})
    train = int(counts.get("train", plan.train_rows or _ROWS))
    validation = int(counts.get("validation", plan.validation_rows or _CASES))
    test = int(counts.get("test", plan.test_rows or _CASES))
    if stage == "train":
        return _FIXED_S["train"] + _TRAIN_ROW_S * train * plan.epochs
    if stage == "baseline":
        return 2.0 + _CASE_S * validation
    if stage == "prompt":
        return 5.0 + _CASE_S * (validation * 2 + 3 * min(plan.nearest_cases, validation))
    if stage == "evaluate":
        return 5.0 + _CASE_S * test * (4 + (3 if plan.nearest_on_test else 0))
    return _FIXED_S[stage]
