"""The words of a text: what two rows must share to count as the same message."""

import unicodedata


def words(text: str) -> list[str]:
    """Return the words of a text, case folded, without punctuation and symbols.

    Scripts written without blanks give one word a character. A text without any letter or digit
    gives what stands between its blanks, so that two different emoji stay different.
    """
    folded = _folded(text)
    return folded.translate(_LETTERS).split() or folded.split()


def normalised(text: str) -> str:
    """Return the one spelling that all trivially different copies of a text share."""
    return " ".join(words(text))


def normalised_with_symbols(text: str) -> str:
    """Return the same, but keep what can change an answer: currency, percent, +, emoji.

    `Refund £5` and `Refund $5` are copies where they have one answer; where the answers differ
    they are no contradiction.
    """
    folded = _folded(text)
    return " ".join(folded.translate(_LETTERS_AND_SYMBOLS).split()) or folded


def _folded(text: str) -> str:
    # Once more after folding, which can leave marks in an order that is not normal.
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


class _Spacing(dict[int, str]):
    """A table for `str.translate` that fills itself: a character, or a blank in its place.

    Not a regular expression, because `\\w` does not match combining marks: Hindi and Thai words
    that differ in a vowel sign would become equal.
    """

    def __init__(self, *, symbols: bool) -> None:
        super().__init__()
        self._symbols = symbols

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if category[0] in "LMN":
            spaced = f" {character} " if _written_without_blanks(code) else character
        elif self._symbols and (category[0] == "S" or character in _MEANT):
            spaced = f" {character} "
        else:
            spaced = " "
        self[code] = spaced
        return spaced


_MEANT = frozenset("%#@&")
"""Punctuation by category, but part of what a message says."""

_LETTERS = _Spacing(symbols=False)
_LETTERS_AND_SYMBOLS = _Spacing(symbols=True)


def _written_without_blanks(code: int) -> bool:
    # Thai and Lao; kana to unified ideographs; compatibility ideographs; extensions B and later.
    return (
        0x0E00 <= code <= 0x0EFF
        or 0x3040 <= code <= 0x9FFF
        or 0xF900 <= code <= 0xFAFF
        or 0x20000 <= code <= 0x3FFFF
    )
