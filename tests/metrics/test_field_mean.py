import numpy as np
import pytest

from fathom_tui.contract import Contract, Field, Values
from fathom_tui.metrics import field_mean, field_scores

TICKET = Contract(
    kind="json",
    fields=(
        Field(name="category", kind="choice", choices=("card", "fees")),
        Field(name="amount", kind="number", nullable=True),
    ),
)
TRUTH: list[Values] = [
    {"category": "card", "amount": 45},
    {"category": "card", "amount": None},
    {"category": "fees", "amount": 9.5},
]
ONCE = np.ones((1, 3))


def points(predicted: list[Values | None]) -> dict[str, float]:
    scores = field_scores(TICKET, TRUTH, predicted, ONCE)
    return {name: float(values[0]) for name, values in scores.items()}


def test_a_choice_is_scored_by_macro_f1_and_a_number_by_exact_match() -> None:
    predicted: list[Values | None] = [
        {"category": "card", "amount": 45.0},
        {"category": "fees", "amount": None},
        {"category": "fees", "amount": 9},
    ]

    # card: 1 hit of 2 true, 1 predicted, F1 = 2/3; fees the other way round, F1 = 2/3.
    assert points(predicted) == pytest.approx({"category": 2 / 3, "amount": 2 / 3})


def test_an_answer_that_broke_the_contract_is_wrong_even_where_null_is_right() -> None:
    assert points([None, None, None]) == {"category": 0.0, "amount": 0.0}


def test_a_field_nobody_answered_is_left_out_rather_than_scored() -> None:
    predicted: list[Values | None] = [{"category": "card"}, {"category": "card"}, None]

    assert set(points(predicted)) == {"category"}


def test_a_field_that_one_answer_lacks_is_wrong_there_even_where_null_is_right() -> None:
    predicted: list[Values | None] = [
        {"category": "card", "amount": 45},
        {"category": "card"},
        {"amount": 9.5},
    ]

    # card 1.0, fees never named: 0.
    assert points(predicted) == pytest.approx({"category": 0.5, "amount": 2 / 3})


def test_the_mean_weighs_every_field_alike_resample_by_resample() -> None:
    parts = {"category": np.array([1.0, 0.5]), "amount": np.array([0.0, 0.1])}

    assert field_mean(parts).tolist() == pytest.approx([0.5, 0.3])
