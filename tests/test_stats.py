import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.metrics import exact_match
from fathom_tui.stats import (
    Interval,
    Weights,
    cases_for_half_width,
    interval,
    paired_difference,
    resample_weights,
    wilson,
)


class TestWilson:
    @pytest.mark.parametrize(
        ("successes", "n", "low", "high"),
        [
            (20, 20, 0.8389, 1.0),  # twenty anchors without a miss
            (19, 20, 0.7639, 0.9911),
            (0, 10, 0.0, 0.2775),
            (5, 10, 0.2366, 0.7634),
            (7, 10, 0.3968, 0.8922),
            (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I
            (15, 148, 0.0624, 0.1605),
        ],
    )
    def test_is_the_hand_value(self, successes: int, n: int, low: float, high: float) -> None:
        found = wilson(successes, n)

        assert (found.value, found.n) == (successes / n, n)
        assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)

    @given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
    def test_holds_the_proportion_and_stays_in_bounds(self, counts: tuple[int, int]) -> None:
        found = wilson(*counts)

        assert 0 <= found.low <= found.value <= found.high <= 1

    @pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 5), (6, 5)])
    def test_refuses_what_is_no_count(self, successes: int, n: int) -> None:
        with pytest.raises(ValueError, match=f"{successes} successes of {n}"):
            wilson(successes, n)


class TestSampleSize:
    @pytest.mark.parametrize(("p", "needed"), [(0.79, 709), (0.5, 1068), (0.9, 385), (0.0, 0)])
    def test_is_what_the_half_width_takes(self, p: float, needed: int) -> None:
        assert cases_for_half_width(p, 0.03) == needed

    def test_500_cases_give_3_points_from_0_865_on(self) -> None:
        assert cases_for_half_width(0.865, 0.03) <= 500 < cases_for_half_width(0.86, 0.03)

    @pytest.mark.parametrize(("p", "half_width"), [(1.2, 0.03), (-0.1, 0.03), (0.5, 0.0)])
    def test_refuses_what_is_no_proportion(self, p: float, half_width: float) -> None:
        with pytest.raises(ValueError, match="half-width"):
            cases_for_half_width(p, half_width)


class TestBootstrap:
    def test_the_first_row_is_the_sample_and_every_row_draws_as_many_cases(self) -> None:
        weights = resample_weights(50, seed=1, resamples=20)

        assert weights.shape == (21, 50)
        assert (weights[0] == 1).all()
        assert (weights.sum(axis=1) == 50).all()

    def test_one_seed_gives_one_interval(self) -> None:
        correct = [True] * 30 + [False] * 10

        found = [interval(exact_match(correct, resample_weights(40, seed=7)), 40) for _ in "ab"]

        assert found[0] == found[1]

    def test_no_cases_are_refused(self) -> None:
        with pytest.raises(ValueError, match="at least one case"):
            resample_weights(0, seed=1)

    def test_an_interval_is_the_middle_95_per_cent_around_the_first_entry(self) -> None:
        statistics = np.array([0.5, *np.linspace(0, 1, 1001)])

        found = interval(statistics, 10)

        assert (found.value, found.n) == (0.5, 10)
        assert (found.low, found.high) == pytest.approx((0.025, 0.975))

    def test_covers_the_true_share_about_95_times_in_100(self) -> None:
        rng = np.random.default_rng(5)
        weights = resample_weights(120, seed=3, resamples=400)
        samples = rng.random((300, 120)) < 0.7

        intervals = [interval(exact_match(list(sample), weights), 120) for sample in samples]

        covered = sum(found.low <= 0.7 <= found.high for found in intervals) / len(intervals)
        assert 0.91 <= covered <= 0.98

    def test_bare_numbers_of_an_interval_are_rounded(self) -> None:
        bare = Interval(value=0.123456, low=0.1, high=0.2, n=9).to_json()

        assert bare == {"value": 0.1235, "low": 0.1, "high": 0.2, "n": 9}


class TestPairedDifference:
    def test_is_exactly_zero_for_equal_answers(self) -> None:
        weights = resample_weights(60, seed=2)

        def share(weights: Weights) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
            return exact_match([True] * 40 + [False] * 20, weights)

        found = paired_difference(share, share, weights)

        assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)

    def test_is_narrower_than_two_intervals_side_by_side(self) -> None:
        weights = resample_weights(200, seed=2)
        one, other = [True] * 150 + [False] * 50, [True] * 140 + [False] * 60

        found = paired_difference(
            lambda w: exact_match(one, w), lambda w: exact_match(other, w), weights
        )

        assert found.value == pytest.approx(0.05)
        assert found.low > 0.02
        assert interval(exact_match(one, weights), 200).low < 0.70
