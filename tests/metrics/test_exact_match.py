import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score

from fathom_tui.metrics import exact_match


def test_is_the_share_of_right_cases() -> None:
    assert exact_match([True, False, True, True], np.ones((1, 4))).tolist() == [0.75]


def test_counts_a_case_as_often_as_it_was_drawn() -> None:
    weights = np.array([[1.0, 1.0, 1.0], [3.0, 0.0, 0.0], [0.0, 2.0, 1.0]])

    assert exact_match([True, False, True], weights).tolist() == pytest.approx([2 / 3, 1, 1 / 3])


@given(st.lists(st.booleans(), min_size=1, max_size=50))
def test_equals_scikit_learn(correct: list[bool]) -> None:
    expected = accuracy_score([True] * len(correct), correct)

    assert exact_match(correct, np.ones((1, len(correct))))[0] == pytest.approx(expected)
