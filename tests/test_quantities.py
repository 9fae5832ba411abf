"""Quantities as people type them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.errors import UsageError
from fathom_tui.quantities import parse_context, parse_count, parse_quantity, parse_share


class TestQuantities:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("8M", 8_000_000),
            ("8m", 8_000_000),
            ("2.5k", 2_500),
            ("2.5 K", 2_500),
            ("1_000_000", 1_000_000),
            ("1,000,000", 1_000_000),
            ("1e6", 1_000_000),
            ("1.5e3k", 1_500_000),
            ("7B", 7e9),
            ("7g", 7e9),
            (" 12 ", 12),
            (".5k", 500),
            ("+3", 3),
        ],
    )
    def test_every_usual_form_is_read(self, text: str, value: float) -> None:
        assert parse_quantity(text) == value

    @pytest.mark.parametrize(
        "text",
        [
            *("", " ", "M", ".", "e6", "8MM", "8 million", "eight", "nan", "NaN", "inf", "-inf"),
            *(
                "0x10",
                "1__000",
                "_1",
                "1_",
                "1,00",
                "1,5",
                "12,34,567",
                "1e",
                "٨",
                "8M\n8",
                "1e99999",
            ),
        ],
    )
    def test_what_is_no_quantity_is_refused_with_an_example(self, text: str) -> None:
        with pytest.raises(UsageError) as caught:
            parse_quantity(text, name="--tokens-per-day")

        assert caught.value.message.startswith("--tokens-per-day is ")
        assert "8M" in caught.value.fix

    @pytest.mark.parametrize("text", ["0", "-1", "-8M", "0k", "1e30", "1e400", "1e-400"])
    def test_zero_negative_and_absurd_ones_are_refused(self, text: str) -> None:
        with pytest.raises(UsageError, match=r"quantity is"):
            parse_quantity(text)

    @pytest.mark.parametrize("text", ["5", "15", "1.5", "-5"])
    def test_bare_numbers_above_one_are_refused_where_more_than_the_whole_is_allowed(
        self, text: str
    ) -> None:
        with pytest.raises(UsageError, match="--growth is") as caught:
            parse_share(text, name="--growth", low=-10, high=10)

        assert f"Write {text}% for {text} in a hundred" in caught.value.fix

    def test_both_readings_are_offered_where_both_are_allowed(self) -> None:
        with pytest.raises(UsageError) as caught:
            parse_share("5", high=10)

        assert caught.value.fix == "Write 5% for 5 in a hundred, or 500% for 5 times as much again."

    def test_limits_are_the_callers(self) -> None:
        assert parse_quantity("0", low=0) == 0
        with pytest.raises(UsageError, match="at most 24"):
            parse_quantity("25", low=0, high=24)
        with pytest.raises(UsageError, match="more than 5"):
            parse_quantity("5", above=5)

    def test_a_long_text_is_cut_in_the_error(self) -> None:
        with pytest.raises(UsageError) as caught:
            parse_quantity("9" * 5_000 + "x")

        assert len(caught.value.message) < 150

    @given(st.floats(min_value=1e-6, max_value=1e15))
    def test_a_number_is_read_back_as_it_was_written(self, value: float) -> None:
        assert parse_quantity(repr(value)) == value

    @given(st.integers(min_value=1, max_value=10**15))
    def test_separators_change_nothing(self, value: int) -> None:
        assert parse_quantity(f"{value:_}") == parse_quantity(f"{value:,}") == value

    @given(st.text(max_size=20))
    def test_any_text_is_a_finite_quantity_in_range_or_refused(self, text: str) -> None:
        try:
            value = parse_quantity(text)
        except UsageError as error:
            assert error.fix
        else:
            assert math.isfinite(value)
            assert 0 < value <= 1e15

    def test_counts_are_whole(self) -> None:
        assert parse_count("32k") == 32_000
        with pytest.raises(UsageError, match="not a whole number"):
            parse_count("1.5")
        with pytest.raises(UsageError, match="at least 1"):
            parse_count("0")


class TestContexts:
    @pytest.mark.parametrize(
        ("text", "tokens"),
        [("8k", 8_192), ("32K", 32_768), ("1.5k", 1_536), ("32000", 32_000), ("1M", 1_000_000)],
    )
    def test_a_thousand_is_1_024_tokens(self, text: str, tokens: int) -> None:
        assert parse_context(text) == tokens

    @pytest.mark.parametrize("text", ["0k", "-8k", "k", "", "1e30k", "0.0001k"])
    def test_what_is_no_context_is_refused(self, text: str) -> None:
        with pytest.raises(UsageError, match="--context is"):
            parse_context(text, name="--context", high=10_000_000)


class TestRanges:
    def test_a_narrow_range_is_the_answer(self) -> None:
        with pytest.raises(UsageError) as caught:
            parse_quantity("25", name="--gpu-hours", low=0, high=24, unit="hours a day")

        assert caught.value.fix == "Give 0 to 24 hours a day."


class TestShares:
    @pytest.mark.parametrize(
        ("text", "value"),
        [("0.8", 0.8), ("80%", 0.8), ("80 %", 0.8), ("0", 0), ("1", 1), (".5", 0.5)],
    )
    def test_fractions_and_percentages_are_the_same(self, text: str, value: float) -> None:
        assert parse_share(text) == pytest.approx(value)

    @pytest.mark.parametrize("text", ["1.01", "-0.1", "80", "101%", "nan", "inf", "", "%", "a"])
    def test_outside_zero_to_one_is_refused(self, text: str) -> None:
        with pytest.raises(UsageError, match="--input-share is") as caught:
            parse_share(text, name="--input-share")

        assert "80%" in caught.value.fix

    def test_limits_are_the_callers(self) -> None:
        assert parse_share("-15%", low=-0.99, high=10) == pytest.approx(-0.15)
        assert parse_share("150%", low=0, high=10) == pytest.approx(1.5)

    @given(st.text(max_size=12))
    def test_any_text_is_a_share_or_refused(self, text: str) -> None:
        try:
            assert 0 <= parse_share(text) <= 1
        except UsageError as error:
            assert error.fix
