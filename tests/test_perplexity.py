import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fathom_tui.perplexity import (
    PerplexityChange,
    change,
    chunks,
    negative_log_likelihood,
    perplexity,
    perplexity_error,
    scored,
)


def losses(*values: float) -> NDArray[np.float64]:
    return np.array(values, dtype=np.float64)


class TestLosses:
    def test_are_minus_the_log_of_the_targets_share(self) -> None:
        # exp gives 1, 2, 1 of 4 and 4, 1, 3 of 8.
        logits = np.log(np.array([[1, 2, 1], [4, 1, 3]], dtype=np.float32))

        found = negative_log_likelihood(logits, np.array([1, 2]))

        assert found == pytest.approx([math.log(4 / 2), math.log(8 / 3)], rel=1e-6)
        assert found.dtype == np.float64

    def test_do_not_overflow(self) -> None:
        logits = np.array([[1000.0, 0.0], [0.0, 1000.0]], dtype=np.float32)

        assert negative_log_likelihood(logits, np.array([0, 0])) == pytest.approx([0.0, 1000.0])

    @given(
        st.lists(
            st.tuples(*(st.floats(-30, 30, width=32) for _ in range(4)), st.integers(0, 3)),
            min_size=1,
            max_size=20,
        )
    )
    def test_equal_the_textbook_formula(
        self, rows: list[tuple[float, float, float, float, int]]
    ) -> None:
        logits = np.array([row[:4] for row in rows], dtype=np.float32)
        expected = [math.log(sum(math.exp(x) for x in row[:4])) - row[row[4]] for row in rows]

        found = negative_log_likelihood(logits, np.array([row[4] for row in rows]))

        assert found == pytest.approx(expected, abs=1e-4)


class TestPerplexity:
    def test_is_the_exponential_of_the_mean_loss(self) -> None:
        assert perplexity(losses(math.log(2), math.log(8))) == pytest.approx(4.0)

    def test_of_a_uniform_guess_is_the_size_of_the_vocabulary(self) -> None:
        flat = np.zeros((5, 7), dtype=np.float32)

        assert perplexity(negative_log_likelihood(flat, np.arange(5))) == pytest.approx(7.0)

    def test_has_the_standard_error_of_the_mean_loss_times_itself(self) -> None:
        # Mean 2, variance 1: the error of the mean of three tokens is sqrt(1 / 2).
        found = perplexity_error(losses(2 - math.sqrt(1.5), 2.0, 2 + math.sqrt(1.5)))

        assert found == pytest.approx(math.exp(2) * math.sqrt(1 / 2))

    def test_of_one_token_has_no_error(self) -> None:
        with pytest.raises(ValueError, match="1 losses"):
            perplexity_error(losses(1.0))


class TestChunks:
    @pytest.mark.parametrize(("tokens", "n_ctx", "count"), [(512, 256, 2), (1943, 256, 7)])
    def test_drop_the_tail(self, tokens: int, n_ctx: int, count: int) -> None:
        assert chunks(tokens, n_ctx) == count

    @pytest.mark.parametrize(("n_ctx", "count"), [(512, 255), (256, 127), (64, 31)])
    def test_score_their_second_half_but_for_its_first_token(self, n_ctx: int, count: int) -> None:
        assert scored(n_ctx) == count

    def test_fewer_than_two_are_refused(self) -> None:
        with pytest.raises(ValueError, match="511 tokens are fewer than two chunks of 256"):
            chunks(511, 256)


class TestChange:
    def test_is_the_ratio_with_a_paired_interval(self) -> None:
        before = losses(1.0, 2.0, 3.0, 4.0)
        after = losses(1.1, 2.3, 3.1, 4.3)

        found = change(before, after)

        # Differences 0.1, 0.3, 0.1, 0.3: mean 0.2, variance 0.01, standard error sqrt(0.01 / 3).
        error = math.sqrt(0.01 / 3)
        assert found.f16 == pytest.approx(math.exp(2.5))
        assert found.quantised == pytest.approx(math.exp(2.7))
        assert found.rise == pytest.approx(math.exp(0.2) - 1)
        assert found.low == pytest.approx(math.exp(0.2 - 1.959964 * error) - 1)
        assert found.high == pytest.approx(math.exp(0.2 + 1.959964 * error) - 1)
        assert found.tokens == 4

    def test_of_a_file_to_itself_is_nothing_without_doubt(self) -> None:
        same = np.random.default_rng(1).exponential(2.0, 500)

        found = change(same, same)

        assert (found.rise, found.low, found.high) == (0.0, 0.0, 0.0)
        assert found.band == "excellent"

    def test_pairing_takes_out_what_both_files_find_hard(self) -> None:
        rng = np.random.default_rng(1)
        before = rng.exponential(2.0, 1000)
        found = change(before, before + rng.normal(0.05, 0.05, 1000))

        # Unpaired, the standard error of a mean loss alone would be 2 / sqrt(1000) = 0.06.
        assert found.rise == pytest.approx(math.expm1(0.05), abs=0.005)
        assert found.high - found.low < 0.01

    def test_the_sources_example_rises_by_13_7_per_cent(self) -> None:
        found = change(losses(*[math.log(5.1)] * 9), losses(*[math.log(5.8)] * 9))

        assert found.rise == pytest.approx(0.137, abs=5e-4)
        assert found.band == "acceptable"

    @pytest.mark.parametrize("other", [losses(1.0), losses(1.0, 2.0, 3.0)])
    def test_other_tokens_are_refused(self, other: NDArray[np.float64]) -> None:
        with pytest.raises(ValueError, match=f"2 and {len(other)} losses"):
            change(losses(1.0, 2.0), other)

    def test_one_token_is_refused(self) -> None:
        with pytest.raises(ValueError, match="1 and 1 losses"):
            change(losses(1.0), losses(1.0))

    def test_survives_its_file_with_its_band(self) -> None:
        found = change(losses(1.0, 2.0, 3.0, 4.0), losses(1.1, 2.3, 3.1, 4.3))

        again = PerplexityChange.from_json(json.loads(json.dumps(found.to_json())))

        assert again.to_json() == found.to_json()
        assert found.to_json()["band"] == again.band == found.band


@pytest.mark.parametrize(
    ("high", "band"),
    [
        (-0.01, "excellent"),
        (0.0499, "excellent"),
        (0.05, "acceptable"),
        (0.1499, "acceptable"),
        (0.15, "concerning"),
        (0.30, "concerning"),
        (0.3001, "refused"),
        (math.nan, "refused"),
    ],
)
def test_the_band_is_that_of_the_upper_bound(high: float, band: str) -> None:
    found = PerplexityChange(f16=9.0, quantised=9.1, rise=0.01, low=-0.02, high=high, tokens=2000)

    assert found.band == band
