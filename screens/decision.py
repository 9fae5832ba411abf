"""The decision tree with the user's numbers in it; the path that was taken is lit."""

from collections.abc import Iterator
from typing import NamedTuple

from textual.content import Content

from fathom_tui.advice import Advice
from fathom_tui.rules import OWN_ABOVE_H, RENT_BELOW_H, RULES, Node, Ownership
from fathom_tui.screens.pane import wrapped
from fathom_tui.screens.symbols import ASCII, Symbols
from fathom_tui.screens.words import clean


class Branches(NamedTuple):
    """The lines of a tree; the path is drawn with others than what is not on it."""

    trunk: str = "┃"
    fork: str = "┣━"
    turn: str = "┗━"
    rest: str = "┊"


UNICODE_BRANCHES = Branches()
ASCII_BRANCHES = Branches(trunk="|", fork="+-", turn="+=", rest=":")

_LIT = "bold $accent"
_OUTCOME_FROM = 40
"""Cells from which a line has room for the rule that its question leads to."""


def lines(advice: Advice, symbols: Symbols, width: int, height: int) -> list[Content]:
    """Return the tree; spaced out where that fits the height.

    Args:
        advice: What the tree says.
        symbols: What the terminal can show.
        width: Cells of a line.
        height: Lines that can be seen at once.
    """
    found = list(_lines(advice, symbols, width, spaced=True))
    if len(found) > height:
        found = list(_lines(advice, symbols, width))
    return [line.truncate(width, ellipsis=True) for line in found]


def _lines(
    advice: Advice, symbols: Symbols, width: int, *, spaced: bool = False
) -> Iterator[Content]:
    branches = ASCII_BRANCHES if symbols is ASCII else UNICODE_BRANCHES
    yield Content.assemble((f"{symbols.running} ", _LIT), (clean(advice.workload.name), "bold"))
    fired = False
    for node in advice.ruling.nodes:
        if spaced:
            yield _trunk(branches, lit=not fired)
        yield _question(node, branches, symbols, width)
        if node.holds:
            fired = True
            yield from _fired(advice, symbols, width)
    if spaced:
        yield Content("")
    yield from _beside(advice, branches, symbols, width)


def _trunk(branches: Branches, *, lit: bool) -> Content:
    return Content.styled(branches.trunk if lit else branches.rest, _LIT if lit else "$muted")


def _question(node: Node, branches: Branches, symbols: Symbols, width: int) -> Content:
    rule = RULES[node.rule]
    verdict = rule.verdict.value if rule.verdict else ""
    if node.holds is None:
        left = Content.styled(f"{branches.rest}  {'':<4}{node.condition}", "$muted")
        return _with_outcome(left, Content.styled(f"rule {rule.number} {verdict}", "$muted"), width)
    if not node.holds:
        left = Content.assemble((branches.fork, _LIT), " ", ("no  ", "$muted"), node.condition)
        return _with_outcome(left, Content.styled(f"rule {rule.number} {verdict}", "$muted"), width)
    return Content.assemble((branches.turn, _LIT), " ", ("yes ", _LIT), (node.condition, "bold"))


def _with_outcome(left: Content, right: Content, width: int) -> Content:
    room = width - left.cell_length - right.cell_length
    if width < _OUTCOME_FROM or room < 1:
        return left
    return left + right.pad_left(room)


def _fired(advice: Advice, symbols: Symbols, width: int) -> Iterator[Content]:
    ruling = advice.ruling
    badge = f" rule {ruling.rule.number} {symbols.then} {ruling.verdict.value.upper()} "
    yield Content.assemble("      ", (badge, "bold reverse $accent"))
    others = [number for number in ruling.also if number != 6]
    if others:
        said = " and ".join(f"rule {number}" for number in others)
        title = RULES[others[-1]].title
        text = Content.styled(f"      also true: {said}, {title[0].lower()}{title[1:]}", "$muted")
        yield from wrapped(text, width, indent=6)


def _beside(advice: Advice, branches: Branches, symbols: Symbols, width: int) -> Iterator[Content]:
    found = advice.ownership
    yield Content.assemble(
        (f"{symbols.running} ", _LIT), ("rule 6, beside it: own the GPU?", "bold")
    )
    yield Content.assemble((branches.turn, _LIT), " ", *_scale(found, symbols))
    for text in (found.why, *_the_sum(advice)):
        yield from wrapped(Content.styled(f"      {text}", "$muted"), width, indent=6)


def _the_sum(advice: Advice) -> Iterator[str]:
    """Say from how many hours a day owning costs less, where a rent is known."""
    found = advice.rent_or_buy
    if found is None or found.break_even_hours_day is None:
        return
    if found.reachable:
        yield f"by the sum, owning costs less from {found.break_even_hours_day:.1f} h/day"
    else:
        yield "by the sum, renting costs less at any hours"


def _scale(found: Ownership, symbols: Symbols) -> Iterator[Content]:
    low, high = f"{RENT_BELOW_H:g}", f"{OWN_ABOVE_H:g}"
    answers = (
        ("rent", f"rent < {low} h"),
        ("run the sum", f"sum {low}{symbols.until}{high} h"),
        ("own", f"own > {high} h"),
    )
    for label, text in answers:
        lit = label == found.label
        yield Content.styled(f" {text} ", "bold reverse $accent" if lit else "$muted")
