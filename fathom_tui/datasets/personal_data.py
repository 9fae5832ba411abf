"""Personal data that can be told by its form: e-mail, card numbers, UK bank accounts, phones.

A floor, not a privacy review: names, addresses and health facts have no form to look for.
"""

import re

KINDS = ("email", "card_number", "bank_account", "phone_number")

_EMAIL = re.compile(r"[\w.%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")
_DIGITS = re.compile(r"(?<![\d.])\d(?:[ -]?\d){12,18}(?![\d])")
_SORT_CODE = re.compile(r"(?<!\d)\d{2}([ -]?)\d{2}\1\d{2}(?!\d)")
_ACCOUNT = re.compile(r"(?<!\d)\d{8}(?!\d)")
_PHONE = re.compile(
    r"(?<![\d+])(?:"
    r"\+\d{1,3}(?:[ -]?(?:\(0\))?[ -]?)(?:\d[ -]?){6,11}\d"  # international
    r"|0\d{2,4}[ -]?\d{3,4}[ -]?\d{3,4}"  # UK, national form: 10 or 11 digits
    r"|\(?\d{3}\)?[ -]\d{3}-\d{4}"  # North America
    r")(?!\d)"
)
_ACCOUNT_DISTANCE = 60
"""Characters between a sort code and its account number; `12-11-26` alone is a date."""


def personal_data(text: str) -> set[str]:
    """Return the kinds of personal data in a text, out of `KINDS`."""
    found = set()
    if "@" in text and _EMAIL.search(text):
        found.add("email")
    if not any(character.isdigit() for character in text):
        return found
    without_cards = _DIGITS.sub(lambda m: " " if is_card_number(m.group()) else m.group(), text)
    if without_cards != text:
        found.add("card_number")
    if _has_bank_account(without_cards):
        found.add("bank_account")
    if any(9 <= _count_digits(m.group()) <= 15 for m in _PHONE.finditer(without_cards)):
        found.add("phone_number")
    return found


def is_card_number(text: str) -> bool:
    """Say whether the digits of a text are a payment card number: 13 to 19 that pass Luhn's test.

    Source: ISO/IEC 7812-1 annex B; industry digits 2 to 6 are those of payment cards.
    """
    digits = [int(character) for character in text if character in "0123456789"]
    if not 13 <= len(digits) <= 19 or not 2 <= digits[0] <= 6:
        return False
    doubled = [2 * d - 9 if d > 4 else 2 * d for d in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _has_bank_account(text: str) -> bool:
    for code in _SORT_CODE.finditer(text):
        start = max(0, code.start() - _ACCOUNT_DISTANCE)
        around = text[start : code.start()] + "|" + text[code.end() :][:_ACCOUNT_DISTANCE]
        if _ACCOUNT.search(around):
            return True
    return False


def _count_digits(text: str) -> int:
    return sum(character.isdigit() for character in text)
