"""Words in big letters: three lines high, of half blocks."""

from collections.abc import Sequence

from fathom_tui.screens.symbols import ASCII, Symbols

_LETTERS = {
    "A": (".##.", "#..#", "#..#", "####", "#..#", "#..#"),
    "B": ("###.", "#..#", "###.", "#..#", "#..#", "###."),
    "C": (".###", "#...", "#...", "#...", "#...", ".###"),
    "D": ("###.", "#..#", "#..#", "#..#", "#..#", "###."),
    "H": ("#..#", "#..#", "####", "#..#", "#..#", "#..#"),
    "I": ("#", "#", "#", "#", "#", "#"),
    "L": ("#...", "#...", "#...", "#...", "#...", "####"),
    "O": (".##.", "#..#", "#..#", "#..#", "#..#", ".##."),
    "R": ("###.", "#..#", "#..#", "###.", "#.#.", "#..#"),
    "U": ("#..#", "#..#", "#..#", "#..#", "#..#", ".##."),
    "Y": ("#...#", "#...#", ".#.#.", "..#..", "..#..", "..#.."),
}
"""Six rows of dots; two rows make a line of half blocks."""
_BLOCKS = {"..": " ", "#.": "▀", ".#": "▄", "##": "█"}

HEIGHT, WIDTH = 3, 32
"""Lines, and the cells of the widest of the three verdicts."""


def big(word: str, symbols: Symbols) -> Sequence[str]:
    """Return the three lines of a word; where half blocks are missing, spaced capitals.

    Args:
        word: Letters of cloud, hybrid and local.
        symbols: What the terminal can show.
    """
    if symbols is ASCII:
        return ("", " ".join(word.upper()), "=" * (2 * len(word) - 1))
    letters = [_LETTERS[letter] for letter in word.upper()]
    rows = ["..".join(letter[row] for letter in letters) for row in range(6)]
    return [
        "".join(_BLOCKS[top + bottom] for top, bottom in zip(rows[y], rows[y + 1], strict=True))
        for y in (0, 2, 4)
    ]
