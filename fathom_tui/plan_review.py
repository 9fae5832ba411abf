"""A training plan held against a run that failed."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fathom_tui.gates import Gate, Outcome, passed, refused, warned, worst
from fathom_tui.questions import Answer, check_range
from fathom_tui.technique_rules import BOOK_4, CHECKLIST, COMFORT, FLOOR, negated, sentence

BOOK_A = "book, app. A (April 2026)"


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
        check_range("rows", self.rows, least=1, whole=True)
        check_range("epochs", self.epochs, above=True)
        check_range("rank", self.rank, least=1, whole=True)
        check_range("replay_share", self.replay_share, most=1.0)
        check_range("evaluate_every", self.evaluate_every, whole=True)
        check_range("batch", self.batch, least=1, whole=True)

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
    return True if plan.rows >= 1_000 else negated(plan.early_stopping)


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
        wrong=lambda p: negated(p.prompt_tried),
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
        wrong=lambda p: negated(p.target_set),
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
    reason = f"{sentence(_filled(point.bad if wrong else point.good or point.bad, plan))}."
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
