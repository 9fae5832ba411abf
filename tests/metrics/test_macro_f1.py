import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from fathom_tui.metrics import macro_f1
from fathom_tui.stats import resample_weights

labels = st.sampled_from(("card", "fees", "fraud", "", "näher"))
answers = st.lists(st.tuples(labels, labels | st.none()), min_size=1, max_size=30)


def score(truth: list[str], predicted: list[str | None]) -> float:
    return float(macro_f1(truth, predicted, np.ones((1, len(truth))))[0])


def test_is_the_mean_of_the_classes_own_f1() -> None:
    # card: 2 of 3 predicted and 2 of 2 true, F1 = 4/5; fees: 1 of 1 and 1 of 2, F1 = 2/3.
    truth = ["card", "card", "fees", "fees"]
    predicted: list[str | None] = ["card", "card", "card", "fees"]

    assert score(truth, predicted) == pytest.approx((4 / 5 + 2 / 3) / 2)


def test_a_class_never_predicted_pulls_the_mean_down() -> None:
    # card: precision 3/4, recall 1, F1 = 6/7; fraud: 0.
    assert score(["card"] * 3 + ["fraud"], ["card"] * 4) == pytest.approx((6 / 7 + 0) / 2)


def test_an_unusable_answer_is_a_miss_and_no_class_of_its_own() -> None:
    # card: 1 hit, 1 miss, F1 = 2/3; fees: 1 hit, F1 = 1.
    assert score(["card", "card", "fees"], ["card", None, "fees"]) == pytest.approx((2 / 3 + 1) / 2)


def test_no_usable_answer_at_all_scores_nothing() -> None:
    assert score(["card", "fees"], [None, None]) == 0.0


def test_refuses_lists_of_different_lengths() -> None:
    with pytest.raises(ValueError, match="2 truths and 1 predictions"):
        macro_f1(["card", "fees"], ["card"], np.ones((1, 2)))


@given(answers)
def test_equals_scikit_learn(pairs: list[tuple[str, str | None]]) -> None:
    truth = [true for true, _ in pairs]
    predicted = [guess for _, guess in pairs]
    classes = sorted(set(truth) | {guess for guess in predicted if guess is not None})
    # "none of them" stands for None: outside `labels`, it is a miss and no class, as here.
    filled = ["none of them" if guess is None else guess for guess in predicted]

    expected = f1_score(truth, filled, labels=classes, average="macro", zero_division=0)

    assert score(truth, predicted) == pytest.approx(expected)


@given(answers, st.integers(0, 2**32 - 1))
def test_a_resample_scores_as_its_cases_written_out(
    pairs: list[tuple[str, str | None]], seed: int
) -> None:
    weights = resample_weights(len(pairs), seed=seed, resamples=3)
    scores = macro_f1([true for true, _ in pairs], [guess for _, guess in pairs], weights)

    for row, found in zip(weights, scores, strict=True):
        drawn = [pair for pair, times in zip(pairs, row, strict=True) for _ in range(round(times))]
        assert found == pytest.approx(score([t for t, _ in drawn], [g for _, g in drawn]))
