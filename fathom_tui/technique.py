"""Which technique a workload asks for: plain code, a prompt, retrieval, tuning, or nothing new."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import takewhile
from typing import Any

from fathom_tui.figures import Figure
from fathom_tui.questions import ASKED, Questions
from fathom_tui.technique_rules import (
    BOOK_4,
    CHECKS,
    COMFORT,
    RESTS,
    RULES,
    TUNING,
    Choice,
    Rule,
    less,
    sentence,
)

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
        return tuple(f"{sentence(text)}. Source: {source}." for text, source in said)

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
    return next(rule for rule in RESTS if rule.when(known) is True)


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
    if choice in TUNING and less(known.examples, COMFORT):
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
