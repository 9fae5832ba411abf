import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.datasets.personal_data import KINDS, is_card_number, personal_data


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("write to jo.smith+bank@example.co.uk please", "email"),
        ("my card 4111 1111 1111 1111 was swallowed", "card_number"),
        ("card 378282246310005", "card_number"),
        ("5555-5555-5555-4444", "card_number"),
        ("sort code 12-34-56 account 12345678", "bank_account"),
        ("account 12345678, sort code 12 34 56", "bank_account"),
        ("call me on 020 7946 0018", "phone_number"),
        ("07700 900123", "phone_number"),
        ("+44 7700 900123", "phone_number"),
        ("+1 (0)202 555 0143", "phone_number"),
        ("(202) 555-0143", "phone_number"),
    ],
)
def test_personal_data_is_told_by_its_form(text: str, kind: str) -> None:
    assert personal_data(text) == {kind}


@pytest.mark.parametrize(
    "text",
    [
        "I paid £45.50 on 12-11-26 at 10:30",
        "reference 4111 1111 1111 1112",  # fails Luhn's test
        "order 12345678",
        "transfer of 1000000",
        "@home is no address",
        "it costs 0.1234567890123",
        "",
    ],
)
def test_other_numbers_are_no_personal_data(text: str) -> None:
    assert personal_data(text) == set()


def test_a_card_number_is_not_counted_as_a_phone_number_too() -> None:
    assert personal_data("4111 1111 1111 1111 or 07700 900123") == {"card_number", "phone_number"}


@given(st.text(st.sampled_from("23456"), min_size=12, max_size=17))
def test_exactly_one_check_digit_makes_a_card_number(digits: str) -> None:
    valid = [check for check in "0123456789" if is_card_number(digits + check)]

    assert len(valid) == 1


@given(st.text(st.sampled_from("0123456789 -+()@.ab"), max_size=400))
def test_any_text_is_searched_without_trouble(text: str) -> None:
    assert personal_data(text) <= set(KINDS)


def test_a_long_run_of_letters_is_searched_quickly() -> None:
    assert personal_data("a" * 200_000 + "@") == set()
