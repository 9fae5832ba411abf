"""Drift: tests that keep their level where nothing changed, and see what did."""

import random
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom_tui.drift import FEWEST, LEVEL, input_drift, length_shift, repetition

LENGTHS = st.lists(st.integers(0, 500), min_size=1, max_size=40)


class TestLengths:
    def test_equal_lengths_are_no_shift_at_all(self) -> None:
        drift = length_shift([12, 30, 7], [12, 30, 7])

        assert (drift.statistic, drift.p_value, drift.found) == (0.0, 1.0, False)

    def test_the_signs_are_counted_as_by_hand(self) -> None:
        before, now = [10, 10, 10, 10], [11, 12, 13, 9]

        drift = length_shift(before, now)

        sums = [abs(a + 2 * b + 3 * c + d) for a, b, c, d in product((1, -1), repeat=4)]
        assert drift.p_value == sum(total >= 5 for total in sums) / 16
        assert drift.statistic == 5 / 4

    def test_eight_answers_that_all_grew_are_a_shift_and_seven_are_not(self) -> None:
        def grown(count: int) -> bool:
            return length_shift([20] * 20, [25] * count + [20] * (20 - count)).found

        assert grown(8)
        assert not grown(7)

    def test_many_differences_are_drawn_and_agree_with_counting_them_all(self) -> None:
        rng = random.Random(1)
        before = [50] * 13
        now = [50 + rng.choice((-9, -4, 3, 7, 11)) for _ in before]
        found = abs(sum(now) - sum(before))
        changes = [abs(b - a) for a, b in zip(before, now, strict=True)]
        signs = product((1, -1), repeat=len(changes))
        exact = [abs(sum(s * c for s, c in zip(row, changes, strict=True))) for row in signs]

        drawn = length_shift(before, now).p_value

        assert drawn == pytest.approx(sum(x >= found for x in exact) / len(exact), abs=0.03)

    def test_sets_of_another_size_are_compared_pooled(self) -> None:
        assert length_shift([20] * 20, [60] * 10).found
        assert length_shift([20] * 20, [60] * 10).p_value == 1 / 2000
        assert not length_shift([20, 25, 30] * 5, [20, 25, 30] * 3).found

    def test_nothing_to_compare_is_refused(self) -> None:
        with pytest.raises(ValueError, match="0 lengths before, 1 now"):
            length_shift([], [1])

    @given(before=LENGTHS, now=LENGTHS)
    def test_a_p_value_is_a_share_above_zero_and_the_same_each_time(
        self, before: list[int], now: list[int]
    ) -> None:
        drift = length_shift(before, now)

        assert 0 < drift.p_value <= 1
        assert drift == length_shift(before, now)

    @given(before=LENGTHS, data=st.data())
    def test_it_does_not_matter_which_side_was_first(
        self, before: list[int], data: st.DataObject
    ) -> None:
        size = len(before)
        now = data.draw(st.lists(st.integers(0, 500), min_size=size, max_size=size))

        one, other = length_shift(before, now), length_shift(now, before)

        assert one.p_value == pytest.approx(other.p_value, abs=0.05)
        assert one.statistic == pytest.approx(-other.statistic)


def cloud(
    rng: np.random.Generator, count: int, *, mean: float = 0.0, spread: float = 1.0, width: int = 12
) -> list[list[float]]:
    """Return points around (mean, mean, ...)."""
    points: list[list[float]] = rng.normal(mean, spread, (count, width)).tolist()
    return points


class TestInputs:
    def test_another_place_is_drift(self) -> None:
        rng = np.random.default_rng(1)

        drift = input_drift(cloud(rng, 60), cloud(rng, 40, mean=0.6))

        assert drift.found
        assert drift.p_value == 1 / 2000
        assert (drift.n_reference, drift.n_recent) == (60, 40)
        assert 0 < drift.statistic < 1

    def test_another_spread_at_the_same_place_is_drift(self) -> None:
        rng = np.random.default_rng(2)

        assert input_drift(cloud(rng, 80), cloud(rng, 80, spread=2.0)).found

    def test_two_samples_of_one_source_alarm_as_often_as_the_level_says(self) -> None:
        rng = np.random.default_rng(3)

        values = [input_drift(cloud(rng, 30), cloud(rng, 20)).p_value for _ in range(200)]

        # Uniform where nothing changed: the mean of 200 is 0.5 +- 0.02, and 2 of 200 are expected
        # at the level; more than 8 would happen once in 30,000 times.
        assert sum(values) / 200 == pytest.approx(0.5, abs=0.08)
        assert sum(value <= LEVEL for value in values) <= 8

    def test_the_statistic_is_the_energy_coefficient(self) -> None:
        # Source: Székely & Rizzo 2013: H = E / (2 E|X - Y|), by three plain loops.
        rng = np.random.default_rng(4)
        first, second = np.array(cloud(rng, 15)), np.array(cloud(rng, 11, mean=0.3))

        def mean_distance(one: np.ndarray, other: np.ndarray) -> float:
            return float(np.mean([np.linalg.norm(x - y) for x in one for y in other]))

        between = mean_distance(first, second)
        energy = 2 * between - mean_distance(first, first) - mean_distance(second, second)

        assert input_drift(first.tolist(), second.tolist()).statistic == pytest.approx(
            energy / (2 * between)
        )

    def test_the_scale_of_the_vectors_does_not_matter(self) -> None:
        rng = np.random.default_rng(5)
        first, second = np.array(cloud(rng, 20)), np.array(cloud(rng, 20, mean=0.2))

        small = input_drift((first / 1e4).tolist(), (second / 1e4).tolist())

        assert small.p_value == input_drift(first.tolist(), second.tolist()).p_value

    @settings(max_examples=20)
    @given(seed=st.integers(0, 1000), copies=st.integers(FEWEST, 30))
    def test_the_same_rows_on_both_sides_are_never_drift(self, seed: int, copies: int) -> None:
        rows = cloud(np.random.default_rng(seed), copies)

        drift = input_drift(rows, rows)

        assert drift.p_value > 0.9
        assert drift.statistic == pytest.approx(0.0, abs=1e-9)

    def test_rows_that_are_all_one_point_are_no_drift(self) -> None:
        drift = input_drift([[1.0, 2.0]] * 10, [[1.0, 2.0]] * 10)

        assert (drift.statistic, drift.p_value) == (0.0, 1.0)

    @pytest.mark.parametrize(
        ("first", "second", "message"),
        [
            ([[0.0]] * 9, [[0.0]] * 10, "9 and 10 rows"),
            ([[0.0]] * 10, [[0.0, 1.0]] * 10, "shapes"),
            ([[0.0]] * 9 + [[float("nan")]], [[0.0]] * 10, "not finite"),
        ],
    )
    def test_what_cannot_be_compared_is_refused(
        self, first: list[list[float]], second: list[list[float]], message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            input_drift(first, second)


class TestRepetition:
    @pytest.mark.parametrize(
        ("text", "piece"),
        [
            ("card card card card card", "card"),
            ("The card is the card is the card is the card is the card is the", "card is the"),
            ("yes\n- no\n- no\n- no\n- no\n", "- no"),
            ("!" * 24, "!"),
            ("好的" * 12, "好的"),
            ('{"a": ' * 10, '{"a":'),
        ],
    )
    def test_a_loop_is_found_with_its_piece(self, text: str, piece: str) -> None:
        assert repetition(text) == piece

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "card_arrival",
            "no no no no",
            "1000000000",
            '{"category": "card", "urgency": 3, "amount_gbp": null, "action": "card"}',
            "The capital of France is Paris. The capital of Italy is Rome. The capital of Spain "
            "is Madrid. The capital of Peru is Lima.",
            "-----------------------",
        ],
    )
    def test_what_is_no_loop_is_left_alone(self, text: str) -> None:
        assert repetition(text) is None

    @given(text=st.text(max_size=400))
    def test_any_text_can_be_looked_at(self, text: str) -> None:
        found = repetition(text)

        assert found is None or 0 < len(found) <= 40

    @given(
        words=st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=8),
        before=st.lists(st.sampled_from("klmnop"), unique=True, max_size=6),
    )
    def test_any_phrase_said_five_times_is_found(self, words: list[str], before: list[str]) -> None:
        assert repetition(" ".join([*before, *words * 5])) is not None

    @given(st.permutations([f"word{n}" for n in range(30)]))
    def test_words_that_are_all_different_are_no_loop(self, words: list[str]) -> None:
        assert repetition(" ".join(words)) is None
