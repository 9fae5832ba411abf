"""How long a stage should take: what this machine took before, else the reference machine."""

import pytest

from fathom_tui.contract import Contract
from fathom_tui.recipe import Plan
from fathom_tui.runner.estimates import expected_seconds
from fathom_tui.stages import STAGE_NAMES

PLAN = Plan(dataset="x.csv", contract=Contract.of_labels(("a", "b")), instruction="Say.")


@pytest.mark.parametrize("stage", STAGE_NAMES)
def test_every_stage_has_an_estimate_before_anything_is_known(stage: str) -> None:
    assert expected_seconds(stage, PLAN, {}, []) > 0


def test_what_this_machine_took_before_outranks_the_reference() -> None:
    assert expected_seconds("train", PLAN, {}, [90.0, 10.0, 30.0]) == 30.0


def test_a_base_model_that_has_to_be_made_first_takes_its_time() -> None:
    known = expected_seconds("preflight", PLAN, {}, [0.5])
    first = expected_seconds("preflight", PLAN, {}, [0.5], converted=False)

    assert known == 0.5
    assert first > 30


def test_training_takes_as_long_as_its_rows() -> None:
    few, many = (
        expected_seconds("train", PLAN, {"data": {"counts": {"train": rows}}}, [])
        for rows in (100, 1_100)
    )

    assert many > 3 * few
