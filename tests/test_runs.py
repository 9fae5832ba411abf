from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.events import VERSION, Event
from fathom_tui.gates import Outcome, passed, refused, warned
from fathom_tui.runs import RunView, apply, fold
from fathom_tui.stages import STAGE_NAMES, STAGES, RunState, StageState

Told = tuple[str, Mapping[str, Any]]

CREATED: Told = ("run_created", {"run": "demo-1", "engagement": "demo", "config": {"seed": 1}})
ATTEMPT: Told = ("attempt", {"number": 1, "pid": 7})


def events(*told: Told) -> list[Event]:
    return [
        Event(seq=seq, at=f"2026-11-21T22:51:{seq:02}.000Z", mono=float(seq), kind=kind, data=data)
        for seq, (kind, data) in enumerate(told, 1)
    ]


def started(stage: str, input_hash: str = "a", **more: Any) -> Told:
    return "stage_started", {"stage": stage, "input_hash": input_hash, **more}


def finished(stage: str, state: str = "done", **more: Any) -> Told:
    return "stage_finished", {"stage": stage, "state": state, "seconds": 1.5, **more}


def loss(step: int, value: float = 1.0, name: str = "train_loss") -> Told:
    return "metric", {"stage": "train", "step": step, "epoch": step / 10, name: value}


def view(*told: Told) -> RunView:
    return fold(events(CREATED, *told))


class TestALife:
    def test_a_run_begins_queued_with_every_stage_pending(self) -> None:
        run = view()

        assert (run.id, run.engagement, run.config) == ("demo-1", "demo", {"seed": 1})
        assert run.created_at == "2026-11-21T22:51:01.000Z"
        assert run.state is RunState.QUEUED
        assert tuple(run.stages) == STAGE_NAMES
        assert {stage.state for stage in run.stages.values()} == {StageState.PENDING}
        assert run.current is None
        assert not run.result

    def test_a_stage_under_way_shows_how_far_it_is(self) -> None:
        progress = {"stage": "data", "done": 3, "total": 9, "note": "parsing"}

        run = view(ATTEMPT, started("data", expected_seconds=2.5), ("progress", progress))

        stage = run.current
        assert stage is run.stages["data"]
        assert (stage.done, stage.total, stage.note) == (3, 9, "parsing")
        assert (stage.started_at, stage.expected_seconds) == ("2026-11-21T22:51:03.000Z", 2.5)
        assert stage.seconds is None
        assert stage.verdict is None
        assert (run.state, run.attempts) == (RunState.RUNNING, 1)

    def test_gates_and_results_stand_by_their_stage(self) -> None:
        run = view(
            ATTEMPT,
            started("data"),
            ("gate", {"stage": "data", "gate": passed("data.parse", "fine").to_json()}),
            ("gate", {"stage": "data", "gate": warned("data.floor", "few", "more").to_json()}),
            finished("data", input_hash="a", result={"counts": {"train": 9}}),
        )

        stage = run.stages["data"]
        assert stage.state is StageState.DONE
        assert stage.seconds == 1.5
        assert stage.verdict is Outcome.WARN
        assert stage.result == {"counts": {"train": 9}}
        assert run.current is None

    def test_a_refusal_keeps_its_error_and_way_out(self) -> None:
        error = {"message": "100 rows.", "fix": "Give 100 more."}

        run = view(
            ATTEMPT,
            started("data"),
            ("gate", {"stage": "data", "gate": refused("data.floor", "100", "").to_json()}),
            finished("data", "refused", error=error),
            ("run_finished", {"state": "refused", "seconds": 3.0, "error": error}),
        )

        assert run.stages["data"].verdict is Outcome.REFUSE
        assert (run.stages["data"].error, run.stages["data"].fix) == tuple(error.values())
        assert (run.error, run.fix) == tuple(error.values())
        assert run.state is RunState.REFUSED
        assert run.finished_at == "2026-11-21T22:51:06.000Z"

    def test_a_cancelled_run_leaves_no_stage_running(self) -> None:
        run = view(ATTEMPT, started("train"), ("run_finished", {"state": "cancelled"}))

        assert run.stages["train"].state is StageState.CANCELLED
        assert run.current is None

    def test_artifacts_are_known_by_name_and_the_last_one_counts(self) -> None:
        def artifact(sha256: str) -> Told:
            data = {"stage": "export", "name": "f16", "path": "export/m.gguf", "bytes": 9}
            return "artifact", {**data, "sha256": sha256, "inputs": None}

        run = view(artifact("old"), artifact("new"))

        assert list(run.artifacts) == ["f16"]
        assert run.artifacts["f16"].sha256 == "new"
        assert run.artifacts["f16"].inputs == {}

    def test_the_comparison_is_what_evaluate_reported(self) -> None:
        run = view(ATTEMPT, started("evaluate"), finished("evaluate", result={"verdict": "pass"}))

        assert run.result == {"verdict": "pass"}


class TestResume:
    def test_a_new_attempt_keeps_what_is_done_and_forgets_the_rest(self) -> None:
        run = view(
            ATTEMPT,
            started("data"),
            finished("data", result={"rows": 3}),
            started("train"),
            ("progress", {"stage": "train", "done": 5, "total": 9}),
            ("run_finished", {"state": "failed", "error": {"message": "out of memory"}}),
            ("attempt", {"number": 2, "pid": 8}),
        )

        assert run.stages["data"].state is StageState.DONE
        assert run.stages["data"].result == {"rows": 3}
        assert run.stages["train"].state is StageState.PENDING
        assert (run.stages["train"].done, run.stages["train"].error) == (0, "")
        assert (run.state, run.attempts) == (RunState.RUNNING, 2)
        assert (run.finished_at, run.error) == (None, "")

    def test_a_stage_started_again_has_its_gates_told_again(self) -> None:
        gate: Told = ("gate", {"stage": "data", "gate": passed("data.parse", "fine").to_json()})

        run = view(ATTEMPT, started("data"), gate, started("data"), gate)

        assert [gate.name for gate in run.stages["data"].gates] == ["data.parse"]


class TestTheLossCurve:
    def test_has_train_and_validation_losses_of_one_step_side_by_side(self) -> None:
        run = view(ATTEMPT, started("train"), loss(5), loss(5, 2.0, "validation_loss"), loss(10))

        assert [
            (m["step"], m.get("train_loss"), m.get("validation_loss")) for m in run.metrics
        ] == [
            (5, 1.0, None),
            (5, None, 2.0),
            (10, 1.0, None),
        ]

    def test_goes_on_from_the_checkpoint_after_a_kill(self) -> None:
        run = view(
            ATTEMPT,
            started("train"),
            *(loss(step, 1.0) for step in (5, 10, 15, 20)),
            ("attempt", {"number": 2, "pid": 8}),
            started("train"),
            *(loss(step, 9.0) for step in (15, 20, 25)),
        )

        assert [(m["step"], m["train_loss"]) for m in run.metrics] == [
            (5, 1.0),
            (10, 1.0),
            (15, 9.0),
            (20, 9.0),
            (25, 9.0),
        ]

    def test_shows_nothing_behind_the_point_it_went_back_to(self) -> None:
        run = view(
            ATTEMPT, started("train"), loss(5), loss(10), loss(15), started("train"), loss(5)
        )

        assert [m["step"] for m in run.metrics] == [5]

    def test_starts_afresh_with_another_recipe(self) -> None:
        run = view(
            ATTEMPT,
            started("train", "a"),
            loss(1),
            loss(5),
            ("attempt", {"number": 2, "pid": 8}),
            started("train", "b"),
            loss(5),
        )

        assert [m["step"] for m in run.metrics] == [5]

    def test_stays_when_a_refusal_of_training_is_waived(self) -> None:
        run = view(
            ATTEMPT,
            started("train"),
            loss(5),
            finished("train", "refused", input_hash="a"),
            ("attempt", {"number": 2, "pid": 8}),
            ("stage_kept", {"stage": "train", "input_hash": "a"}),
            started("train"),
            finished("train", input_hash="a"),
        )

        assert [m["step"] for m in run.metrics] == [5]


class TestEvents:
    def test_an_event_applied_twice_counts_once(self) -> None:
        told = events(CREATED, ATTEMPT, started("train"), loss(5))
        run = fold(told)

        for event in told:
            apply(run, event)

        assert len(run.metrics) == 1
        assert run.seq == 4

    def test_a_kind_of_a_newer_program_is_passed_over(self) -> None:
        run = view(("starfish", {"arms": 5}), ATTEMPT)

        assert run.seq == 3
        assert run.state is RunState.RUNNING

    def test_a_stage_of_a_newer_program_is_shown_last(self) -> None:
        run = view(ATTEMPT, started("polish"))

        assert list(run.stages)[-1] == "polish"

    @given(st.integers(0, 12))
    def test_a_fold_may_be_done_in_parts(self, cut: int) -> None:
        told = events(
            CREATED,
            ATTEMPT,
            started("train"),
            loss(5),
            loss(5, 2.0, "validation_loss"),
            loss(10),
            ("attempt", {"number": 2, "pid": 8}),
            started("train"),
            loss(10, 3.0),
            finished("train", result={"steps": 10}),
            started("merge"),
            ("run_finished", {"state": "cancelled"}),
        )

        run = fold(told[:cut])
        for event in told[cut:]:
            apply(run, event)

        assert run == fold(told)

    def test_a_line_survives_its_json(self) -> None:
        (event,) = events(CREATED)

        assert Event.from_json(event.to_json()) == event

    def test_a_newer_line_is_refused_rather_than_guessed_at(self) -> None:
        (event,) = events(CREATED)

        with pytest.raises(ValueError, match=f"{VERSION + 1} is newer than {VERSION}"):
            Event.from_json({**event.to_json(), "v": VERSION + 1})


def test_stages_read_only_what_comes_before_them() -> None:
    for position, stage in enumerate(STAGES):
        assert set(stage.reads) <= set(STAGE_NAMES[:position])
        assert stage.about
