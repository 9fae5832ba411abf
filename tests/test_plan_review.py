"""Plans held against a run that failed."""

import json
from dataclasses import replace
from typing import Any

import pytest

from fathom_tui.errors import UsageError
from fathom_tui.gates import Outcome
from fathom_tui.plan_review import (
    POINTS,
    V2_PLAN,
    V3_PLAN,
    Selection,
    TrainingPlan,
    review_plan,
)


class TestPlans:
    def test_the_failed_plan_is_refused_and_every_cause_is_named(self) -> None:
        review = review_plan(V2_PLAN)
        gates = {gate.name: gate for gate in review.gates}
        assert review.outcome is Outcome.REFUSE
        assert gates["plan.rows"].outcome is Outcome.REFUSE
        assert gates["plan.repeats_v2"].outcome is Outcome.REFUSE
        assert gates["plan.repeats_v2"].evidence["causes"] == [
            "74 synthetic examples, fewer than 200",
            "the checkpoint chosen on training loss",
            "no replay of general instructions",
            "4 epochs",
            "rank 16 on 74 rows",
            "no prompt tried first",
            "evaluation only after training",
            "no target set before training",
        ]

    def test_the_next_plan_passes_but_for_the_floor(self) -> None:
        review = review_plan(V3_PLAN)
        assert review.outcome is Outcome.WARN
        assert [g.name for g in review.gates if g.outcome is not Outcome.PASS] == ["plan.floor"]
        assert set(review.unknown) == {"plan.evaluations", "plan.target"}

    def test_the_next_plan_with_500_rows_passes_everything(self) -> None:
        assert review_plan(replace(V3_PLAN, rows=500)).outcome is Outcome.PASS

    @pytest.mark.parametrize(("rows", "batch", "steps"), [(160, 64, 5), (400, 32, 25)])
    def test_with_its_batch_stated_it_evaluates_too_rarely(
        self, rows: int, batch: int, steps: int
    ) -> None:
        plan = replace(V3_PLAN, rows=rows, batch=batch)
        gate = next(g for g in review_plan(plan).gates if g.name == "plan.evaluations")
        assert plan.steps == steps and plan.evaluations == steps // 10
        assert gate.outcome is Outcome.WARN

    def test_fifty_steps_and_eight_evaluations_are_enough(self) -> None:
        plan = replace(V3_PLAN, rows=500, batch=8, evaluate_every=15)
        assert (plan.steps, plan.evaluations) == (125, 8)
        assert review_plan(plan).outcome is Outcome.PASS

    @pytest.mark.parametrize(("faults", "outcome"), [(2, Outcome.WARN), (3, Outcome.REFUSE)])
    def test_three_faults_together_refuse(self, faults: int, outcome: Outcome) -> None:
        changes: dict[str, Any] = {
            "select_by": Selection.TRAINING_LOSS, "replay_share": 0.0, "prompt_tried": False,
        }  # fmt: skip
        plan = replace(V3_PLAN, rows=1_000, **dict(list(changes.items())[:faults]))
        assert review_plan(plan).outcome is outcome

    @pytest.mark.parametrize(
        ("rows", "epochs", "stopping", "outcome"),
        [(800, 3, True, Outcome.PASS), (800, 3, False, Outcome.WARN), (800, 3, None, None),
         (1_000, 3, True, Outcome.WARN), (5_000, 2, False, Outcome.PASS)],
    )  # fmt: skip
    def test_three_epochs_are_for_small_sets_with_early_stopping(
        self, rows: int, epochs: float, stopping: bool | None, outcome: Outcome | None
    ) -> None:
        review = review_plan(TrainingPlan(rows=rows, epochs=epochs, early_stopping=stopping))
        found = {gate.name: gate.outcome for gate in review.gates}
        assert found.get("plan.epochs") is outcome

    def test_what_a_plan_does_not_say_is_listed_and_not_judged(self) -> None:
        review = review_plan(TrainingPlan(rows=1_000, epochs=1))
        assert {g.name for g in review.gates} == {
            "plan.rows", "plan.floor", "plan.epochs", "plan.repeats_v2",
        }  # fmt: skip
        assert len(review.unknown) == len(POINTS) - 3

    def test_a_refusal_says_what_to_do_and_may_be_waived(self) -> None:
        for gate in review_plan(V2_PLAN).gates:
            if gate.outcome is not Outcome.PASS:
                assert gate.fix and gate.waivable and gate.evidence["source"]

    def test_names_are_unique(self) -> None:
        assert len({point.name for point in POINTS}) == len(POINTS)

    def test_json_is_whole(self) -> None:
        shown = json.loads(json.dumps(review_plan(V2_PLAN).to_json()))
        assert shown["outcome"] == "refuse" and len(shown["gates"]) == 10

    @pytest.mark.parametrize(
        "changes",
        [{"rows": 0}, {"rows": -3}, {"epochs": 0.0}, {"epochs": float("nan")}, {"rank": 0},
         {"replay_share": 1.5}, {"replay_share": -0.1}, {"evaluate_every": -1}, {"batch": 0}],
    )  # fmt: skip
    def test_a_bad_number_is_named(self, changes: dict[str, Any]) -> None:
        name, value = next(iter(changes.items()))
        with pytest.raises(UsageError, match=f"{name} is {value!r}"):
            replace(V3_PLAN, **changes)
