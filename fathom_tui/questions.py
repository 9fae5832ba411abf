"""What is asked about a workload before a technique is chosen, and the answers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fathom_tui.catalog_types import Task
from fathom_tui.errors import UsageError

Answer = bool | None
"""None is unknown."""


def check_range(
    name: str,
    value: float | None,
    *,
    least: float = 0.0,
    most: float = math.inf,
    above: bool = False,
    whole: bool = False,
) -> None:
    """Raise a UsageError that names a value outside its range; None is unknown and passes."""
    if value is None:
        return
    fits = not isinstance(value, bool) and math.isfinite(value) and least <= value <= most
    if whole and not isinstance(value, int):
        raise _out_of_range(name, value, "a whole number")
    if not fits or (above and value <= least):
        bound = f"more than {least:g}" if above else f"{least:g} or more"
        raise _out_of_range(name, value, bound if most == math.inf else f"{least:g} to {most:g}")


def _out_of_range(name: str, value: float, wanted: str) -> UsageError:
    return UsageError(f"{name} is {value!r}.", fix=f"Give {wanted}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """What is asked about a workload; None is unknown and never taken for a yes or a no.

    Raises:
        UsageError: A number is negative, infinite or no number.
    """

    task: Task | None = None
    """The nearest row of the catalog's tasks; it answers what was left unknown."""
    label_task: Answer = None
    plain_code_enough: Answer = None
    one_off: Answer = None
    lacks_facts: Answer = None
    facts_change_weekly: Answer = None
    needs_citations: Answer = None
    form_matters: Answer = None
    prompt_tried: Answer = None
    prompt_enough: Answer = None
    prompt_tokens: int | None = None
    """Tokens of instructions and examples in each call."""
    base_can_do: Answer = None
    bigger_tried: Answer = None
    examples: int | None = None
    """Reviewed examples of the task."""
    stable_six_months: Answer = None
    eval_harness: Answer = None
    able_to_serve: Answer = None
    tone: Answer = None
    preference_pairs: int | None = None
    """Pairs of a chosen and a rejected answer to the same prompt."""
    tuned_with_sft: Answer = None
    reasoning: Answer = None
    programmatic_reward: Answer = None
    private: Answer = None
    latency_ms: float | None = None
    """Longest wait that is accepted, in milliseconds; infinite is no limit."""
    base_served: Answer = None
    monthly_api_usd: float | None = None
    budget_usd: float | None = None
    """For one whole round: data, runs, evaluation, deployment."""

    def __post_init__(self) -> None:
        for name in ("prompt_tokens", "examples", "preference_pairs"):
            check_range(name, getattr(self, name), whole=True)
        for name in ("monthly_api_usd", "budget_usd"):
            check_range(name, getattr(self, name))
        if self.latency_ms is not None and not self.latency_ms > 0:
            raise _out_of_range("latency_ms", self.latency_ms, "more than 0")

    def with_task(self) -> "Questions":
        """Return the answers with those that the kind of task implies."""
        implied: dict[str, Any] = {}
        if self.task:
            implied |= _IMPLIED.get(self.task.approach, {})
            implied |= {"label_task": True} if self.task.id in _LABELS else {}
        return replace(self, **{k: v for k, v in implied.items() if getattr(self, k) is None})


ASKED: Mapping[str, str] = {
    "label_task": "Is every answer one of a fixed list of labels?",
    "plain_code_enough": "Does plain code (TF-IDF with logistic regression, or rules) do?",
    "one_off": "Is it done once, or a few times?",
    "lacks_facts": "Does the model lack facts that are in your documents?",
    "facts_change_weekly": "Do these facts change every week?",
    "needs_citations": "Must an answer name its sources?",
    "form_matters": "Is it format, style, vocabulary or behaviour that is wrong?",
    "prompt_tried": "Has a prompt been tried in earnest, with examples and an evaluation?",
    "prompt_enough": "Does the best prompt reach the target?",
    "prompt_tokens": "How many tokens of instructions does each call carry?",
    "base_can_do": "Does the base model get some cases right with the best prompt?",
    "bigger_tried": "Has a bigger base model been tried with the same prompt?",
    "examples": "How many reviewed examples are there?",
    "stable_six_months": "Will the task be the same in six months?",
    "eval_harness": "Is there an evaluation that can tell better from worse?",
    "able_to_serve": "Can you serve the model, day and night if need be?",
    "tone": "Is it tone or safety, where one answer is preferred to another?",
    "preference_pairs": "How many pairs of a better and a worse answer are there?",
    "tuned_with_sft": "Has the model been fine-tuned on good answers (SFT) already?",
    "reasoning": "Is it mathematics or reasoning in several steps?",
    "programmatic_reward": "Can a program tell a right answer from a wrong one?",
    "private": "Must the data stay in the house?",
    "latency_ms": "How many milliseconds may an answer take?",
    "base_served": "Has the base model been served and measured on your own machine?",
    "monthly_api_usd": "What does the API cost a month, in dollars?",
    "budget_usd": "What may a round of tuning cost, in dollars?",
}
"""Every question in words, in the order in which to ask them."""

_IMPLIED: Mapping[str, Mapping[str, bool]] = {
    "rag": {"lacks_facts": True},
    "prompt+rag": {"lacks_facts": True},
    "prompt": {"one_off": True},
    "sft": {"form_matters": True},
    "dpo": {"tone": True},
    "grpo": {"reasoning": True, "programmatic_reward": True},
}
"""What a task's approach in the catalog says about the answers."""
_LABELS = frozenset({"sentiment", "triage"})
"""Tasks of the catalog whose answers are labels."""
