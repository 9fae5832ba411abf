"""The rules by which a technique is chosen, and what tuning needs first.

Every rule is one entry of `RULES`: a condition on the answers, what follows, why, and where that
is from. The first one that holds decides; one whose answers are unknown never does, and is asked
for. `CHECKS` are what tuning needs first: a no or an unknown there blocks it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from fathom_tui.figures import Figure, Kind
from fathom_tui.questions import Answer, Questions
from fathom_tui.workload import FAST_MS

BOOK_1 = "book, ch. 1 (April 2026)"
BOOK_4 = "book, ch. 4 (April 2026)"
GUIDE = "guide, section 2"
ENTERPRISE_1 = "fine-tuning guide, section 1 (March 2026)"
ENTERPRISE_2 = "fine-tuning guide, section 2 (March 2026)"
CHECKLIST = "fine-tuning guide, closing checklist (March 2026)"

FLOOR = 200
"""Examples below which nothing is tuned (course module, April 2026; fine-tuning guide)."""
COMFORT = 500
"""Examples from which nothing is said (book, ch. 4, April 2026)."""
LARGE_BILL_USD = 5_000.0
"""API bill a month above which a model of one's own is worth a look (guide, section 2)."""
LEAST_BUDGET_USD = 500.0
"""What a round of data, runs, evaluation and deployment takes at least (fine-tuning guide)."""
LONG_PROMPT = 2_000
"""Tokens of instructions a call above which a prompt costs too much (book, ch. 4, April 2026)."""

_OURS = "measured by Fathom: 8 classes of Banking77 (arXiv:2003.04807), 400 test messages"
PLAIN_CODE_SCORE = Figure(
    value=0.920, unit="macro F1", kind=Kind.MEASURED_HERE, source=_OURS, as_of="2026-11-22"
)
"""TF-IDF with logistic regression on 1,600 messages."""
TUNED_SCORE = Figure(
    value=0.927, unit="macro F1", kind=Kind.MEASURED_HERE, source=_OURS, as_of="2026-11-22"
)
"""SmolLM2-135M with LoRA on the same messages, before quantisation."""


class Choice(StrEnum):
    """What can be done about a workload."""

    PLAIN_CODE = "plain-code"
    PROMPT = "prompt"
    RAG = "rag"
    SFT = "sft"
    DPO = "dpo"
    GRPO = "grpo"
    BIGGER_MODEL = "bigger-model"
    BASE_LOCAL = "base-local"
    STAY_ON_API = "stay-on-api"


TUNING = frozenset({Choice.SFT, Choice.DPO, Choice.GRPO})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """If the condition holds, this is what to do."""

    id: str
    when: Callable[[Questions], Answer]
    choice: Choice
    reason: str
    """A template; `q` is the answers."""
    source: str
    asks: tuple[str, ...] = ()
    """Questions whose answers the condition waits for."""
    figures: tuple[Figure, ...] = ()
    failed: Mapping[str, Any] = field(default_factory=dict)
    """The answers once this has been done and is not enough; empty where it is the last step."""


def _all(*answers: Answer) -> Answer:
    if False in answers:
        return False
    return None if None in answers else True


def _not_yet(answer: Answer) -> bool:
    """Say whether something is still to be done: unknown counts as not done."""
    return answer is not True


def less(number: float | None, limit: float) -> Answer:
    """Say whether a number is below a limit."""
    return None if number is None else number < limit


def _more(number: float | None, limit: float) -> Answer:
    return None if number is None else number > limit


def negated(answer: Answer) -> Answer:
    """Return the opposite; unknown stays unknown."""
    return None if answer is None else not answer


def sentence(text: str) -> str:
    """Return a phrase with a capital letter."""
    return text[0].upper() + text[1:]


_SERVED = {"base_served": True}
_PROMPTED = {"prompt_tried": True, "prompt_enough": False}

RULES: tuple[Rule, ...] = (
    Rule(
        id="plain-code-enough",
        when=lambda q: q.plain_code_enough,
        asks=("plain_code_enough",),
        choice=Choice.PLAIN_CODE,
        reason="plain code reaches the target: nothing dearer is needed",
        source=_OURS,
    ),
    Rule(
        id="plain-code-first",
        when=lambda q: _all(q.label_task, q.one_off is not True, q.plain_code_enough is None),
        asks=("label_task",),
        choice=Choice.PLAIN_CODE,
        reason=(
            "labels from a fixed list: on 8 classes of bank messages TF-IDF with logistic "
            "regression scored 0.920 and a tuned model 0.927, within each other's interval"
        ),
        source=_OURS,
        figures=(PLAIN_CODE_SCORE, TUNED_SCORE),
        failed={"plain_code_enough": False},
    ),
    Rule(
        id="private",
        when=lambda q: _all(q.private, _not_yet(q.base_served)),
        asks=("private",),
        choice=Choice.BASE_LOCAL,
        reason="the data must stay in the house: serve the base model there before anything else",
        source=GUIDE,
        failed=_SERVED,
    ),
    Rule(
        id="fast",
        when=lambda q: _all(less(q.latency_ms, FAST_MS), _not_yet(q.base_served)),
        asks=("latency_ms",),
        choice=Choice.BASE_LOCAL,
        reason="{q.latency_ms:g} ms are less than the 200 an API can promise",
        source=GUIDE,
        failed=_SERVED,
    ),
    Rule(
        id="one-off",
        when=lambda q: q.one_off,
        asks=("one_off",),
        choice=Choice.PROMPT,
        reason="it is done once: a training run would cost more than the work",
        source=ENTERPRISE_1,
    ),
    Rule(
        id="lacks-facts",
        when=lambda q: q.lacks_facts,
        asks=("lacks_facts",),
        choice=Choice.RAG,
        reason="the model lacks facts: tuning teaches how to answer, not what is so",
        source=GUIDE,
    ),
    Rule(
        id="facts-change",
        when=lambda q: q.facts_change_weekly,
        asks=("facts_change_weekly",),
        choice=Choice.RAG,
        reason="the facts change every week: weights would be out of date at once",
        source=ENTERPRISE_1,
    ),
    Rule(
        id="citations",
        when=lambda q: q.needs_citations,
        asks=("needs_citations",),
        choice=Choice.RAG,
        reason="answers must name their sources: only what was retrieved can be cited",
        source=ENTERPRISE_1,
    ),
    Rule(
        id="prompt-first",
        when=lambda q: _not_yet(q.prompt_tried),
        choice=Choice.PROMPT,
        reason="no prompt has been tried in earnest: an afternoon against weeks",
        source=BOOK_4,
        failed=_PROMPTED,
    ),
    Rule(
        id="large-bill",
        when=lambda q: _all(_more(q.monthly_api_usd, LARGE_BILL_USD), _not_yet(q.base_served)),
        asks=("monthly_api_usd",),
        choice=Choice.BASE_LOCAL,
        reason="${q.monthly_api_usd:,.0f} a month is more than 5,000: try the prompt on a model "
        "of your own",
        source=GUIDE,
        failed=_SERVED,
    ),
    Rule(
        id="prompt-enough",
        when=lambda q: _all(q.prompt_enough, _more(q.prompt_tokens, LONG_PROMPT) is not True),
        asks=("prompt_enough",),
        choice=Choice.PROMPT,
        reason="the best prompt reaches the target: there is nothing left to tune for",
        source=GUIDE,
    ),
    Rule(
        id="cannot-do",
        when=lambda q: _all(negated(q.base_can_do), _not_yet(q.bigger_tried)),
        asks=("base_can_do",),
        choice=Choice.BIGGER_MODEL,
        reason="the base model gets nothing right with the best prompt: tuning strengthens what "
        "is there and adds no ability",
        source=BOOK_4,
        failed={"bigger_tried": True, "base_can_do": None},
    ),
    Rule(
        id="bigger-first",
        when=lambda q: negated(q.bigger_tried),
        asks=("bigger_tried",),
        choice=Choice.BIGGER_MODEL,
        reason="a bigger base with the same prompt takes a quarter of an hour to try; labels "
        "take weeks",
        source=BOOK_4,
        failed={"bigger_tried": True},
    ),
    Rule(
        id="reward",
        when=lambda q: _all(q.reasoning, q.programmatic_reward),
        asks=("reasoning", "programmatic_reward"),
        choice=Choice.GRPO,
        reason="a program can tell right from wrong: reward needs no answers written by people",
        source=ENTERPRISE_2,
    ),
    Rule(
        id="preferences",
        when=lambda q: _all(q.tone, q.tuned_with_sft),
        asks=("tone", "tuned_with_sft"),
        choice=Choice.DPO,
        reason="which answer is better is a preference, and the model can do the task already",
        source=ENTERPRISE_2,
    ),
    Rule(
        id="sft-before-dpo",
        when=lambda q: _all(q.tone, _not_yet(q.tuned_with_sft)),
        asks=("tone",),
        choice=Choice.SFT,
        reason="preference tuning comes after supervised tuning: alone it does poorly",
        source=ENTERPRISE_2,
        failed={"tuned_with_sft": True},
    ),
    Rule(
        id="form",
        when=lambda q: q.form_matters,
        asks=("form_matters",),
        choice=Choice.SFT,
        reason="format, style, vocabulary or behaviour is what tuning changes",
        source=GUIDE,
    ),
    Rule(
        id="long-prompt",
        when=lambda q: _more(q.prompt_tokens, LONG_PROMPT),
        asks=("prompt_tokens",),
        choice=Choice.SFT,
        reason="{q.prompt_tokens:,} tokens of instructions in every call are more than 2,000: "
        "tuning puts them into the weights",
        source=BOOK_4,
    ),
    Rule(
        id="prompt-not-enough",
        when=lambda q: _all(q.prompt_tried, negated(q.prompt_enough)),
        asks=("prompt_enough",),
        choice=Choice.SFT,
        reason="the best prompt stays below the target",
        source=BOOK_4,
    ),
)
"""First to last; the first whose condition holds decides."""

RESTS: tuple[Rule, ...] = (
    Rule(
        id="keep-local",
        when=lambda q: q.private is True or less(q.latency_ms, FAST_MS) is True,
        choice=Choice.BASE_LOCAL,
        reason="the work cannot go to an API: the base model with the best prompt stays",
        source=GUIDE,
    ),
    Rule(
        id="keep-api",
        when=lambda _: True,
        choice=Choice.STAY_ON_API,
        reason="the API with the best prompt stays: cut its bill with batch and cache first",
        source=BOOK_1,
    ),
)
"""Where a workload stays when no rule holds, or when tuning is blocked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Something that tuning needs first."""

    id: str
    asks: str
    holds: Callable[[Questions, Choice], Answer]
    lacking: str
    """Why a no blocks; a template, `q` is the answers."""
    fix: str
    source: str
    unknown_blocks: bool = True
    """Whether an unknown blocks as a no does."""


CHECKS: tuple[Check, ...] = (
    Check(
        id="prompt",
        asks="prompt_tried",
        holds=lambda q, _: q.prompt_tried,
        lacking="no prompt has been tried in earnest",
        fix="Write a prompt with examples of every class and score it on 200 real cases.",
        source=CHECKLIST,
    ),
    Check(
        id="examples",
        asks="examples",
        holds=lambda q, _: negated(less(q.examples, FLOOR)),
        lacking="{q.examples} examples are fewer than 200: the model would learn them by heart",
        fix="Collect and review examples until there are 200; 500 are sound.",
        source=CHECKLIST,
    ),
    Check(
        id="pairs",
        asks="preference_pairs",
        holds=lambda q, c: c is not Choice.DPO or negated(less(q.preference_pairs, FLOOR)),
        lacking="{q.preference_pairs} preference pairs are fewer than 200",
        fix="Collect pairs of a better and a worse answer to the same prompt.",
        source=f"{ENTERPRISE_2}; the number is our own assumption, that of examples",
    ),
    Check(
        id="stable",
        asks="stable_six_months",
        holds=lambda q, _: q.stable_six_months,
        lacking="the task will have changed within six months",
        fix="Stay with a prompt, which changes in minutes, until the task has settled.",
        source=f"{BOOK_4}; {CHECKLIST}",
    ),
    Check(
        id="evaluation",
        asks="eval_harness",
        holds=lambda q, _: q.eval_harness,
        lacking="nothing can tell whether tuning helped",
        fix="Build the evaluation first: 200 cases or more with their answers, and a metric.",
        source=CHECKLIST,
    ),
    Check(
        id="serving",
        asks="able_to_serve",
        holds=lambda q, _: q.able_to_serve,
        lacking="nobody can serve the result",
        fix="Serve the base model first; a tuned one takes its place without other changes.",
        source=CHECKLIST,
    ),
    Check(
        id="ability",
        asks="base_can_do",
        holds=lambda q, _: q.base_can_do,
        lacking="the base model gets nothing right with the best prompt",
        fix="Choose a base model that can do some of it.",
        source=BOOK_4,
        unknown_blocks=False,
    ),
    Check(
        id="budget",
        asks="budget_usd",
        holds=lambda q, _: negated(less(q.budget_usd, LEAST_BUDGET_USD)),
        lacking="${q.budget_usd:,.0f} do not pay for data, runs, evaluation and deployment: "
        "500 is the least",
        fix="Spend it on the prompt and on the evaluation.",
        source=ENTERPRISE_1,
        unknown_blocks=False,
    ),
)
"""The three questions of the book, the five of the fine-tuning guide, and what both rule out."""
