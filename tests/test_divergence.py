import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fathom_tui.divergence import (
    PERCENTILES,
    Divergence,
    row_words,
    stored,
    summarised,
    token_divergences,
)


def logits(*rows: tuple[float, ...]) -> NDArray[np.float32]:
    return np.array(rows, dtype=np.float32)


def textbook(base: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    p = np.exp(base.astype(float) - np.logaddexp.reduce(base.astype(float)))
    q = np.exp(other.astype(float) - np.logaddexp.reduce(other.astype(float)))
    return float((p * np.log(p / q)).sum())


class TestStoredDistributions:
    @pytest.mark.parametrize(("vocabulary", "words"), [(4, 8), (5, 10), (49_152, 49_156)])
    def test_take_two_bytes_a_token_and_eight_a_row(self, vocabulary: int, words: int) -> None:
        assert row_words(vocabulary) == words
        assert stored(np.zeros((3, vocabulary), np.float32)).shape == (3, words)

    def test_begin_with_the_step_and_the_least_log_probability(self) -> None:
        # exp gives 1, 2, 1 of 4; the range is log 2.
        row = stored(np.log(logits((1, 2, 1))))[0]

        scale, least = row[:4].view(np.float32)
        assert scale == pytest.approx(math.log(2) / 65_535)
        assert least == pytest.approx(math.log(1 / 4))
        assert row[4:].tolist() == [0, 65_535, 0, 0]  # padded to an even number

    def test_hold_logits_far_below_the_best_as_sixteen_below(self) -> None:
        row = stored(logits((0.0, -8.0, -16.0, -40.0)))[0]

        assert row[4:].tolist() == [65_535, 32_768, 0, 0]

    def test_of_a_flat_distribution_have_no_step(self) -> None:
        row = stored(logits((3.0, 3.0)))[0]

        scale, least = row[:4].view(np.float32)
        assert scale == 0
        assert least == pytest.approx(math.log(1 / 2))
        assert row[4:].tolist() == [0, 0]


class TestDivergence:
    def test_of_two_coins_is_the_textbooks(self) -> None:
        base, other = np.log(logits((1, 1))), np.log(logits((1, 3)))

        found, same = token_divergences(other, stored(base))

        # 1/2 log(2) + 1/2 log(2/3)
        assert found == pytest.approx([0.5 * math.log(2) + 0.5 * math.log(2 / 3)], abs=1e-6)
        assert same.tolist() == [False]

    def test_of_a_model_with_itself_is_only_rounding(self) -> None:
        same = np.random.default_rng(1).normal(0, 3, (50, 1000)).astype(np.float32)

        found, agreed = token_divergences(same, stored(same))

        assert np.abs(found).max() < 1e-4  # llama.cpp's tool measures up to 5e-5 this way
        assert agreed.all()

    def test_skips_what_the_base_finds_all_but_impossible(self) -> None:
        base = logits((0.0, -20.0))
        near, far = logits((0.0, -20.0)), logits((0.0, -900.0))

        assert token_divergences(near, stored(base))[0] == pytest.approx([0.0], abs=1e-6)
        assert token_divergences(far, stored(base))[0] == pytest.approx([0.0], abs=1e-6)

    def test_between_the_tops_the_first_of_equals_counts(self) -> None:
        _, same = token_divergences(logits((2.0, 2.0, 1.0)), stored(logits((5.0, 1.0, 5.0))))

        assert same.tolist() == [True]

    @given(
        st.lists(
            st.tuples(*(st.floats(-6, 6, width=32) for _ in range(10))), min_size=1, max_size=8
        )
    )
    def test_equals_the_textbook_on_any_logits(self, rows: list[tuple[float, ...]]) -> None:
        both = np.array(rows, dtype=np.float32)
        base, other = both[:, :5].copy(), both[:, 5:].copy()

        found, _ = token_divergences(other, stored(base))

        expected = [textbook(b, o) for b, o in zip(base, other, strict=True)]
        assert found == pytest.approx(expected, abs=2e-3)

    def test_of_another_vocabulary_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"logits \(1, 7\) and stored rows \(1, 8\)"):
            token_divergences(np.zeros((1, 7), np.float32), stored(logits((1.0, 2.0, 3.0, 4.0))))


class TestSummary:
    def test_has_mean_error_extremes_and_share(self) -> None:
        values = np.arange(1, 201) / 100
        found = summarised(values, np.arange(200) % 4 != 0)

        # Evenly spaced: mean 1.005, variance (n^2 - 1) / 12 steps of 0.01.
        assert found.mean == pytest.approx(1.005)
        variance = (200**2 - 1) / 12 * 1e-4
        assert found.error == pytest.approx(math.sqrt(variance / 199))
        assert (found.least, found.most, found.tokens) == (0.01, 2.0, 200)
        assert found.same_top == 0.75
        assert found.same_top_error == pytest.approx(math.sqrt(0.75 * 0.25 / 199))
        assert found.percentiles[0.5] == pytest.approx(1.005)
        assert found.percentiles[0.9] == pytest.approx(0.01 + 0.9 * 1.99)

    def test_of_few_tokens_gives_no_percentile_and_of_fewer_no_error(self) -> None:
        few = summarised(np.ones(99), np.ones(99, bool))
        fewer = summarised(np.arange(10.0), np.ones(10, bool))

        assert few.percentiles == {} and few.error == 0.0
        assert fewer.error is None

    @pytest.mark.parametrize(("values", "same"), [(1, 1), (3, 2), (0, 0)])
    def test_of_unequal_or_too_few_values_is_refused(self, values: int, same: int) -> None:
        with pytest.raises(ValueError, match=f"{values} divergences and {same} comparisons"):
            summarised(np.zeros(values), np.zeros(same, bool))

    def test_survives_its_file(self) -> None:
        rng = np.random.default_rng(3)
        found = summarised(rng.exponential(0.05, 500), rng.random(500) < 0.8)

        again = Divergence.from_json(json.loads(json.dumps(found.to_json())))

        assert again.to_json() == found.to_json()
        assert tuple(again.percentiles) == PERCENTILES
