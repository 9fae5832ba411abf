"""Which technique a workload asks for: plain code, a prompt, retrieval, tuning, or nothing new.

Every rule is one entry of `RULES`: a condition on the answers, what follows, why, and where that
is from. The first one that holds decides; one whose answers are unknown never does, and is asked
for. `CHECKS` are what tuning needs first: a no or an unknown there blocks it.

`review_plan` holds a training plan against a run that failed.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from itertools import takewhile
from typing import Any

from fathom_tui.catalog import Task
from fathom_tui.errors import UsageError
from fathom_tui.figures import Figure, Kind
from fathom_tui.gates import Gate, Outcome, passed, refused, warned, worst

BOOK_1 = "book, ch. 1 (April 2026)"
BOOK_4 = "book, ch. 4 (April 2026)"
BOOK_A = "book, app. A (April 2026)"
GUIDE = "guide, section 2"
ENTERPRISE_1 = "fine-tuning guide, section 1 (March 2026)"
ENTERPRISE_2 = "fine-tuning guide, section 2 (March 2026)"
CHECKLIST = "fine-tuning guide, closing checklist (March 2026)"

FLOOR = 200
"""Examples below which nothing is tuned (course module, April 2026; fine-tuning guide)."""
COMFORT = 500
"""Examples from which nothing is said (book, ch. 4, April 2026)."""
FAST_MS = 200.0
"""A latency limit below this asks for a model of one's own (guide, section 2)."""
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


def _check(
    name: str,
    value: float | None,
    *,
    least: float = 0.0,
    most: float = math.inf,
    above: bool = False,
    whole: bool = False,
) -> None:
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

_ANSWERS: Mapping[Choice, str] = {
    Choice.PLAIN_CODE: "Plain code first: TF-IDF with logistic regression, or rules",
    Choice.PROMPT: "A prompt with examples",
    Choice.RAG: "Retrieval: look the facts up and put them into the prompt",
    Choice.SFT: "Supervised fine-tuning",
    Choice.DPO: "Preference tuning (DPO)",
    Choice.GRPO: "Tuning against a programmatic reward (GRPO)",
    Choice.BIGGER_MODEL: "A bigger base model with the same prompt",
    Choice.BASE_LOCAL: "The base model on your own machine, untuned",
    Choice.STAY_ON_API: "Stay on the API",
}

Answer = bool | None
"""None is unknown."""


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
            _check(name, getattr(self, name), whole=True)
        for name in ("monthly_api_usd", "budget_usd"):
            _check(name, getattr(self, name))
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


def _less(number: float | None, limit: float) -> Answer:
    return None if number is None else number < limit


def _more(number: float | None, limit: float) -> Answer:
    return None if number is None else number > limit


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
        when=lambda q: _all(_less(q.latency_ms, FAST_MS), _not_yet(q.base_served)),
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
        when=lambda q: _all(_negated(q.base_can_do), _not_yet(q.bigger_tried)),
        asks=("base_can_do",),
        choice=Choice.BIGGER_MODEL,
        reason="the base model gets nothing right with the best prompt: tuning strengthens what "
        "is there and adds no ability",
        source=BOOK_4,
        failed={"bigger_tried": True, "base_can_do": None},
    ),
    Rule(
        id="bigger-first",
        when=lambda q: _negated(q.bigger_tried),
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
        when=lambda q: _all(q.prompt_tried, _negated(q.prompt_enough)),
        asks=("prompt_enough",),
        choice=Choice.SFT,
        reason="the best prompt stays below the target",
        source=BOOK_4,
    ),
)
"""First to last; the first whose condition holds decides."""

_RESTS: tuple[Rule, ...] = (
    Rule(
        id="keep-local",
        when=lambda q: q.private is True or _less(q.latency_ms, FAST_MS) is True,
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


def _negated(answer: Answer) -> Answer:
    return None if answer is None else not answer


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
        holds=lambda q, _: _negated(_less(q.examples, FLOOR)),
        lacking="{q.examples} examples are fewer than 200: the model would learn them by heart",
        fix="Collect and review examples until there are 200; 500 are sound.",
        source=CHECKLIST,
    ),
    Check(
        id="pairs",
        asks="preference_pairs",
        holds=lambda q, c: c is not Choice.DPO or _negated(_less(q.preference_pairs, FLOOR)),
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
        holds=lambda q, _: _negated(_less(q.budget_usd, LEAST_BUDGET_USD)),
        lacking="${q.budget_usd:,.0f} do not pay for data, runs, evaluation and deployment: "
        "500 is the least",
        fix="Spend it on the prompt and on the evaluation.",
        source=ENTERPRISE_1,
        unknown_blocks=False,
    ),
)
"""The three questions of the book, the five of the fine-tuning guide, and what both rule out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why, and who says so."""

    rule: str
    text: str
    source: str
    figures: tuple[Figure, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the documented shape."""
        words = {"rule": self.rule, "text": self.text, "source": self.source}
        return {**words, "figures": [figure.to_json() for figure in self.figures]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What stands between a workload and tuning."""

    check: str
    question: str
    answer: str
    """`no` or `unknown`."""
    reason: str
    fix: str
    source: str

    def to_json(self) -> dict[str, str]:
        """Return the documented shape."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Technique:
    """The answer for one workload."""

    choice: Choice
    wanted: Choice | None
    """The tuning that would be right, where it is blocked; else None."""
    reasons: tuple[Reason, ...]
    """What decided first, then what else points the same way."""
    blocks: tuple[Block, ...]
    """What blocks tuning now, whether or not it is the choice."""
    cautions: tuple[Reason, ...]
    then: tuple[Choice, ...]
    """What comes after, each step if the one before is not enough."""
    unknown: tuple[str, ...]
    """Questions whose answers could change the choice."""
    next: str
    """What to do now."""

    @property
    def answer(self) -> str:
        """The choice in words."""
        return _ANSWERS[self.choice]

    @property
    def why(self) -> tuple[str, ...]:
        """The reasons and the blocks, as sentences with their sources."""
        blocks = self.blocks if self.wanted else ()
        said = [(reason.text, reason.source) for reason in self.reasons]
        said += [(f"blocked: {block.reason}", block.source) for block in blocks]
        return tuple(f"{_sentence(text)}. Source: {source}." for text, source in said)

    def to_json(self) -> dict[str, Any]:
        """Return the documented shape."""
        return {
            "choice": self.choice.value,
            "answer": self.answer,
            "wanted": self.wanted.value if self.wanted else None,
            "reasons": [reason.to_json() for reason in self.reasons],
            "blocks": [block.to_json() for block in self.blocks],
            "cautions": [caution.to_json() for caution in self.cautions],
            "then": [step.value for step in self.then],
            "unknown": [ASKED[name] for name in self.unknown],
            "next": self.next,
        }


def technique(questions: Questions) -> Technique:
    """Return what a workload asks for, with reasons, blocks and the way on."""
    known = questions.with_task()
    rule, wanted, blocks = _decide(known)
    return Technique(
        choice=rule.choice,
        wanted=wanted.choice if wanted else None,
        reasons=tuple(_reasons(known, wanted or rule, rule)),
        blocks=blocks,
        cautions=tuple(_cautions(known, rule.choice)),
        then=tuple(_then(known, rule)),
        unknown=tuple(_unknown(known, wanted or rule)),
        next=_next(rule, wanted, blocks),
    )


def _decide(known: Questions) -> tuple[Rule, Rule | None, tuple[Block, ...]]:
    """Return the rule that decides, the tuning it stands in for, and what blocks tuning."""
    rule = _first(known)
    blocks = tuple(_blocks(known, rule.choice))
    if rule.choice in TUNING and blocks:
        return _rest(known), rule, blocks
    return rule, None, blocks


def _first(known: Questions) -> Rule:
    return next((rule for rule in RULES if rule.when(known) is True), _rest(known))


def _rest(known: Questions) -> Rule:
    return next(rule for rule in _RESTS if rule.when(known) is True)


def _blocks(known: Questions, choice: Choice) -> Iterator[Block]:
    for check in CHECKS:
        holds = check.holds(known, choice)
        if holds is True or (holds is None and not check.unknown_blocks):
            continue
        unknown = holds is None
        lacking = f'no answer yet to "{ASKED[check.asks]}"' if unknown else check.lacking
        yield Block(
            check=check.id,
            question=ASKED[check.asks],
            answer="unknown" if unknown else "no",
            reason=lacking.format(q=known),
            fix="Find out." if unknown else check.fix,
            source=check.source,
        )


def _reasons(known: Questions, decided: Rule, rule: Rule) -> Iterator[Reason]:
    # The rule that decided, then the others that hold and say the same, then where it stays.
    yield _reason(decided, known)
    for other in RULES:
        if other.choice is decided.choice and other is not decided and other.when(known) is True:
            yield _reason(other, known)
    if rule is not decided:
        yield _reason(rule, known)
    task = known.task
    if task and decided.choice.value in task.approach.split("+"):
        yield Reason(rule="task", text=f"{task.name}: {task.why}", source=task.origin.source)


def _reason(rule: Rule, known: Questions) -> Reason:
    text = rule.reason.format(q=known)
    return Reason(rule=rule.id, text=text, source=rule.source, figures=rule.figures)


def _cautions(known: Questions, choice: Choice) -> Iterator[Reason]:
    if choice in TUNING and _less(known.examples, COMFORT):
        yield Reason(
            rule="floor",
            text=f"{known.examples} examples are fewer than the {COMFORT} the book asks for",
            source=BOOK_4,
        )


def _then(known: Questions, rule: Rule) -> Iterator[Choice]:
    # Every step settles an answer that its rule reads, so no rule comes twice.
    while rule.failed:
        known = replace(known, **rule.failed)
        before, (rule, _, _) = rule.choice, _decide(known)
        if rule.choice is not before:
            yield rule.choice


def _unknown(known: Questions, decided: Rule) -> list[str]:
    before = takewhile(lambda rule: rule is not decided, RULES)
    asked = [name for rule in before if rule.when(known) is None for name in rule.asks]
    return list(dict.fromkeys(name for name in asked if getattr(known, name) is None))


_NEXT: Mapping[Choice, str] = {
    Choice.PLAIN_CODE: "Label some hundred messages, fit TF-IDF with logistic regression, and "
    "score it on cases it has not seen.",
    Choice.PROMPT: "Write the prompt with examples of every kind and score it on 200 real cases.",
    Choice.RAG: "Index the documents and score the answers, and the pages found for them, on 50 "
    "real questions.",
    Choice.SFT: "Lock the test split, measure the baseline and the best prompt, then: fathom run.",
    Choice.DPO: "Lock a set of pairs that is never trained on, then one epoch with beta 0.1.",
    Choice.GRPO: "Test the reward program on known right and wrong answers before any training.",
    Choice.BIGGER_MODEL: "Score the next size up with the same prompt on the same cases.",
    Choice.BASE_LOCAL: "Serve the base model on your own machine; score it with the best prompt.",
    Choice.STAY_ON_API: "Switch on batch and prompt caching; look again when something changes.",
}


def _next(rule: Rule, wanted: Rule | None, blocks: Sequence[Block]) -> str:
    if wanted is None:
        return _NEXT[rule.choice]
    block = blocks[0]
    return f"{block.fix} {block.question}" if block.answer == "unknown" else block.fix


class Selection(StrEnum):
    """What a checkpoint is chosen on."""

    TRAINING_LOSS = "training-loss"
    VALIDATION_LOSS = "validation-loss"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """A run as it was or is planned; None is what the plan does not say."""

    rows: int
    """Training examples."""
    synthetic: Answer = None
    epochs: float
    """The most that is planned."""
    rank: int | None = None
    replay_share: float | None = None
    """General instructions among the training rows, 0 to 1."""
    select_by: Selection | None = None
    early_stopping: Answer = None
    evaluate_every: int | None = None
    """Optimizer steps between evaluations; 0 is only after training."""
    batch: int | None = None
    """Rows an optimizer step sees."""
    prompt_tried: Answer = None
    target_set: Answer = None
    """Whether the score to reach was set before training."""

    def __post_init__(self) -> None:
        _check("rows", self.rows, least=1, whole=True)
        _check("epochs", self.epochs, above=True)
        _check("rank", self.rank, least=1, whole=True)
        _check("replay_share", self.replay_share, most=1.0)
        _check("evaluate_every", self.evaluate_every, whole=True)
        _check("batch", self.batch, least=1, whole=True)

    @property
    def examples(self) -> str:
        """The rows in words."""
        return f"{self.rows:,} {'synthetic ' if self.synthetic else ''}examples"

    @property
    def steps(self) -> int | None:
        """Optimizer steps of the whole run; None where the batch is not given."""
        if self.batch is None:
            return None
        return max(1, math.ceil(round(self.rows / self.batch * self.epochs, 6)))

    @property
    def evaluations(self) -> int | None:
        """Evaluations during training; None where the plan does not say enough."""
        if self.evaluate_every == 0:
            return 0
        if self.evaluate_every is None or self.steps is None:
            return None
        return self.steps // self.evaluate_every


V2_PLAN = TrainingPlan(
    rows=74,
    synthetic=True,
    epochs=4,
    rank=16,
    replay_share=0.0,
    select_by=Selection.TRAINING_LOSS,
    early_stopping=False,
    evaluate_every=0,
    prompt_tried=False,
    target_set=False,
)
"""The run that made a model worse, 33 % against 34 % (book, app. A, April 2026)."""

V3_PLAN = TrainingPlan(
    rows=200,
    epochs=2,
    rank=8,
    replay_share=0.03,
    select_by=Selection.VALIDATION_LOSS,
    early_stopping=True,
    evaluate_every=10,
    prompt_tried=True,
)
"""What its authors plan next, at the fewest examples they name (book, app. A, April 2026)."""

SMALL = 5_000
"""Examples below which rank 8 is enough (book, ch. 4, April 2026)."""
LEAST_STEPS, LEAST_EVALUATIONS = 50, 8
"""Fewer updates or evaluations than these, and three rises in a row can hardly be seen."""
SEVERAL = 3
"""Faults of the failed run that a plan may not repeat together; our own reading of `several`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One thing that went wrong once, and how a plan is held against it."""

    name: str
    wrong: Callable[[TrainingPlan], Answer]
    bad: str
    """What is wrong, as a phrase; a template, `p` is the plan."""
    fix: str
    good: str = ""
    """The same where nothing is wrong; empty where the words do for both."""
    source: str = BOOK_A
    outcome: Outcome = Outcome.WARN
    """What a wrong one gets: warn or refuse."""
    repeats: bool = True
    """Whether it is a fault of the failed run."""


def _badly_selected(plan: TrainingPlan) -> Answer:
    return None if plan.select_by is None else plan.select_by is Selection.TRAINING_LOSS


def _too_many_epochs(plan: TrainingPlan) -> Answer:
    if plan.epochs < 3:
        return False
    # Three and more are for small sets, with early stopping.
    return True if plan.rows >= 1_000 else _negated(plan.early_stopping)


def _rarely_evaluated(plan: TrainingPlan) -> Answer:
    if plan.steps is None or plan.evaluations is None:
        return None
    return plan.steps < LEAST_STEPS or plan.evaluations < LEAST_EVALUATIONS


POINTS: tuple[Point, ...] = (
    Point(
        name="plan.rows",
        wrong=lambda p: p.rows < FLOOR,
        outcome=Outcome.REFUSE,
        bad="{p.examples}, fewer than {floor}",
        good="{p.examples}: {floor} or more",
        fix="Collect and review examples until there are 200; 500 are sound.",
        source=f"{CHECKLIST}; {BOOK_A}",
    ),
    Point(
        name="plan.floor",
        wrong=lambda p: p.rows < COMFORT,
        bad="fewer than {comfort} examples",
        good="{p.examples}: {comfort} or more",
        fix="Aim at 500.",
        source=BOOK_4,
        repeats=False,
    ),
    Point(
        name="plan.checkpoint",
        wrong=_badly_selected,
        bad="the checkpoint chosen on training loss",
        good="the checkpoint is chosen on validation loss",
        fix="Choose it on validation loss: training loss falls while a model learns by heart.",
    ),
    Point(
        name="plan.replay",
        wrong=lambda p: None if p.replay_share is None else p.replay_share == 0,
        bad="no replay of general instructions",
        good="{p.replay_share:.0%} of the rows are general instructions",
        fix="Mix in 2 to 5 %: without it a model forgets what it could.",
        source=BOOK_4,
    ),
    Point(
        name="plan.epochs",
        wrong=_too_many_epochs,
        bad="{p.epochs:g} epochs",
        fix="Plan 1 to 2; 3 and more only below 1,000 rows and with early stopping.",
        source=BOOK_4,
    ),
    Point(
        name="plan.rank",
        wrong=lambda p: None if p.rank is None else p.rank > 8 and p.rows < SMALL,
        bad="rank {p.rank} on {p.rows:,} rows",
        fix="Use rank 8 below 5,000 rows.",
        source=BOOK_4,
    ),
    Point(
        name="plan.prompt",
        wrong=lambda p: _negated(p.prompt_tried),
        bad="no prompt tried first",
        good="a prompt has been tried first",
        fix="Try one in earnest: on the failed run's task a prompt reached 100 %.",
    ),
    Point(
        name="plan.evaluation",
        wrong=lambda p: None if p.evaluate_every is None else p.evaluate_every == 0,
        bad="evaluation only after training",
        good="evaluated every {p.evaluate_every} steps",
        fix="Evaluate at least eight times during training.",
    ),
    Point(
        name="plan.evaluations",
        wrong=_rarely_evaluated,
        bad="{p.steps} steps and {p.evaluations} evaluations",
        fix="Plan 50 steps and 8 evaluations or more: smaller batches, more often.",
        source="our own arithmetic: three rises in a row need four evaluations at the least",
        repeats=False,
    ),
    Point(
        name="plan.target",
        wrong=lambda p: _negated(p.target_set),
        bad="no target set before training",
        good="the target is set before training",
        fix="Measure the baseline and set the score to reach.",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What is to be said about a plan."""

    gates: tuple[Gate, ...]
    unknown: tuple[str, ...]
    """Names of points on which the plan says nothing."""

    @property
    def outcome(self) -> Outcome:
        """The most severe verdict."""
        return worst(gate.outcome for gate in self.gates)

    def to_json(self) -> dict[str, Any]:
        """Return the documented shape."""
        return {
            "outcome": self.outcome.value,
            "gates": [gate.to_json() for gate in self.gates],
            "unknown": list(self.unknown),
        }


def review_plan(plan: TrainingPlan) -> Review:
    """Hold a training plan against the run that failed.

    Fewer than 200 rows refuse; so does a plan that repeats several of that run's faults at once,
    naming each. Every other fault alone warns.
    """
    judged = [(point, point.wrong(plan)) for point in POINTS]
    known = [(point, wrong) for point, wrong in judged if wrong is not None]
    causes = [_filled(p.bad, plan) for p, wrong in known if wrong and p.repeats]
    return Review(
        gates=(*(_gate(point, wrong, plan) for point, wrong in known), _repeats(causes)),
        unknown=tuple(point.name for point, wrong in judged if wrong is None),
    )


def _gate(point: Point, wrong: bool, plan: TrainingPlan) -> Gate:
    reason = f"{_sentence(_filled(point.bad if wrong else point.good or point.bad, plan))}."
    if not wrong:
        return passed(point.name, reason, source=point.source)
    judge = refused if point.outcome is Outcome.REFUSE else warned
    return judge(point.name, reason, point.fix, source=point.source)


def _repeats(causes: Sequence[str]) -> Gate:
    name = "plan.repeats_v2"
    named = "; ".join(causes)
    if len(causes) >= SEVERAL:
        return refused(
            name,
            f"The plan repeats {len(causes)} faults of a run that made its model worse: {named}.",
            "Mend them all; each alone may be waived, together they have failed before.",
            causes=list(causes),
            source=BOOK_A,
        )
    text = f"It repeats {len(causes)} of that run's faults{': ' + named if named else ''}."
    return passed(name, text, causes=list(causes), source=BOOK_A)


def _filled(template: str, plan: TrainingPlan) -> str:
    return template.format(p=plan, floor=FLOOR, comfort=COMFORT)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
