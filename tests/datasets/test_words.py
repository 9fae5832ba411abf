import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.datasets.words import normalised, normalised_with_symbols, words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Why was I charged £1?", "why was I charged $1"),
        ("  My card's   lost. ", "my card s lost"),
        ("STRASSE", "straße"),
        ("ﬁne", "fine"),
        ("top-up", "Top up!"),
    ],
)
def test_trivially_different_copies_have_one_spelling(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("charge of 45", "charge of 54"),
        ("👍", "👎"),
        ("मेरा कार्ड", "मेरी कार्ड"),  # differ in a vowel sign, which `\w` does not match
        ("?", "!"),
    ],
)
def test_different_messages_keep_different_spellings(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)


def test_symbols_that_can_change_an_answer_stay_where_they_are_asked_for() -> None:
    assert normalised("Refund £5") == normalised("Refund $5")
    assert normalised_with_symbols("Refund £5") != normalised_with_symbols("Refund $5")
    assert normalised_with_symbols("Good 👍") != normalised_with_symbols("Good 👎")


def test_a_script_without_blanks_gives_one_word_a_character() -> None:
    assert words("卡丢了") == ["卡", "丢", "了"]


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalised(text)

    assert normalised(once) == once


@given(st.text(min_size=1).filter(lambda text: text.strip() != ""))
def test_no_message_is_normalised_to_nothing(text: str) -> None:
    assert normalised(text) != ""
    assert normalised_with_symbols(text) != ""
