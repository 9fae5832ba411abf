"""The six rules as a decision tree: cloud, hybrid or local, and whether to own the GPU.

Source: book, ch. 1 (April 2026). Its bands meet at 1M and 10M tokens a day; both belong to rule
2. Regulation wins over every volume (rule 3), rule 5 refines rule 4, and rule 6 answers another
question: it stands beside whichever rule fired.
"""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from fathom_tui.economics import Way, millions, months_until
from fathom_tui.workload import Workload

HYBRID_FROM, LOCAL_ABOVE, EVERY_TIER_ABOVE = 1e6, 10e6, 30e6
"""Tokens a day: rule 2 begins, rule 4 begins above, rule 5 begins above."""

RENT_BELOW_H, OWN_ABOVE_H = 3.0, 5.0
"""Hours a day a GPU is busy: rule 6 rents below, owns above, and runs the sum between."""


class Rule(NamedTuple):
    """One rule: its number, its verdict, and what to say in the meeting."""

    number: int
    title: str
    verdict: Way | None
    """None for rule 6, which is about owning."""
    aloud: str
    line: str = ""
    """Why its line is where it is, for whoever finds that the costs say something else."""


RULES = {
    1: Rule(
        1,
        "Under 1M tokens/day, no regulation",
        Way.CLOUD,
        "We stay on the API and fix the bill first, with batching and caching; we buy nothing.",
        "Rule 1 adds nothing up: under 1M tokens/day the book buys nothing.",
    ),
    2: Rule(
        2,
        "1M to 10M tokens/day, no regulation",
        Way.HYBRID,
        "We route the easy majority to a local model and keep the API for the hard rest.",
        "Rule 2 goes by volume alone: it begins at 1M tokens/day, but the book adds a hybrid up at "
        "10M only, where it saves £396.",
    ),
    3: Rule(
        3,
        "Regulated data, at any volume",
        Way.LOCAL,
        "The data is regulated: the answer we can defend is a model on our own machine.",
        "Rule 3 is about what can be defended, not about cost.",
    ),
    4: Rule(
        4,
        "Over 10M tokens/day",
        Way.LOCAL,
        "At this volume two consumer GPUs and a tuned 8B model cost less than a premium API.",
        "Rule 4 sets two cards against a premium API at full price, £3,200 / (£1,296 - £91) = 2.7 "
        "months; operations, tuning and discounts are not in that sum.",
    ),
    5: Rule(
        5,
        "Over 30M tokens/day",
        Way.LOCAL,
        "At this volume local costs less than a premium API on any hardware; we choose which.",
        "Rule 5 sets a machine against a premium API at full price; operations, tuning and "
        "discounts are not in it.",
    ),
    6: Rule(
        6,
        "Own the GPU, or rent it",
        None,
        "We rent for about three months first and count the hours.",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One question of the tree, with the user's own number in it."""

    id: str
    condition: str
    holds: bool | None
    """None where the tree ends before it asks."""
    rule: int
    """The rule that fires where it holds."""

    def to_json(self) -> dict[str, object]:
        return {"id": self.id, "condition": self.condition, "holds": self.holds, "rule": self.rule}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """The nearest change of one input that gives another verdict."""

    input: str
    before: float | str
    after: float | str
    verdict: Way

    def to_json(self) -> dict[str, object]:
        return {
            "input": self.input,
            "from": self.before,
            "to": self.after,
            "verdict": self.verdict.value,
        }

    def sentence(self) -> str:
        """Return what would have to change, in words."""
        if self.input == "regulations":
            return "without regulation" if self.after == "none" else "with any regulation"
        return _VOLUMES[float(self.after)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What the tree says of a workload."""

    verdict: Way
    rule: Rule
    nodes: tuple[Node, ...]
    """Every question in order, asked or not."""
    also: tuple[int, ...]
    """Other rules whose conditions hold, rule 6 among them always."""
    flips: tuple[Flip, ...]
    distance: float | None
    """How many times the volume has to grow or shrink until the verdict changes; at least 1. None
    where no volume changes it."""
    growth_months: float | None
    """Months until growth changes the verdict; None where it never does."""
    growth_verdict: Way | None

    @property
    def path(self) -> tuple[Node, ...]:
        """The questions that were asked."""
        return tuple(node for node in self.nodes if node.holds is not None)

    @property
    def confidence(self) -> str:
        """Say how far the nearest volume is from flipping the verdict."""
        soon = self.growth_months
        if self.distance is None:
            return "firm: no volume changes it"
        growth = "" if soon is None else f"; this growth changes it in {soon:.1f} months"
        if self.distance < _ON_THE_EDGE:
            return f"close: this volume lies on the edge of another verdict{growth}"
        words = [next(word for most, word in _CONFIDENCE if self.distance < most)]
        words += [next(word for most, word in _SOON if soon < most)] if soon is not None else []
        word = min(words, key=_WORDS.index)
        return f"{word}: a factor of {self.distance:.3g} in volume changes it{growth}"


_ON_THE_EDGE = 1.01
_CONFIDENCE = ((1.25, "close"), (2.0, "moderate"), (math.inf, "firm"))
_SOON = ((3.0, "close"), (12.0, "moderate"), (math.inf, "firm"))
"""Ours: months until growth changes the verdict; less than a quarter is as good as today."""
_WORDS = ("close", "moderate", "firm")


def rule_number(workload: Workload) -> int:
    """Return the number of the rule that fires."""
    if workload.regulated:
        return 3
    return _by_volume(workload.tokens_per_day)


def _by_volume(tokens: float) -> int:
    if tokens < HYBRID_FROM:
        return 1
    if tokens <= LOCAL_ABOVE:
        return 2
    return 4 if tokens <= EVERY_TIER_ABOVE else 5


def verdict_of(workload: Workload) -> Way:
    """Return the rule's verdict alone; what a sweep asks ten thousand times."""
    return _VERDICTS[rule_number(workload)]


_VERDICTS = {rule.number: rule.verdict for rule in RULES.values() if rule.verdict is not None}


def decide(workload: Workload) -> Ruling:
    """Walk the tree."""
    number = rule_number(workload)
    verdict = _VERDICTS[number]
    flips = tuple(_flips(workload, verdict))
    volumes = [flip.after for flip in flips if flip.input == "tokens_per_day"]
    ratios = [_ratio(workload.tokens_per_day, float(volume)) for volume in volumes]
    months, later = _growth(workload, verdict)
    return Ruling(
        verdict=verdict,
        rule=RULES[number],
        nodes=_nodes(workload, number),
        also=_also(workload, number),
        flips=flips,
        distance=min(ratios, default=None),
        growth_months=months,
        growth_verdict=later,
    )


def _ratio(one: float, other: float) -> float:
    return max(one / other, other / one)


def _nodes(workload: Workload, fired: int) -> tuple[Node, ...]:
    volume = _volume(workload.tokens_per_day)
    names = ", ".join(name.upper() for name in workload.regulations) or "none"
    asked = (
        ("regulation", f"regulation: {names}", 3),
        ("under-1m", f"{volume} < 1M tokens/day", 1),
        ("to-10m", f"{volume} ≤ 10M tokens/day", 2),
        ("to-30m", f"{volume} ≤ 30M tokens/day", 4),
        ("over-30m", f"{volume} > 30M tokens/day", 5),
    )
    nodes, ended = [], False
    for id_, condition, rule in asked:
        nodes.append(
            Node(id=id_, condition=condition, holds=None if ended else rule == fired, rule=rule)
        )
        ended = ended or rule == fired
    return tuple(nodes)


def _volume(tokens: float) -> str:
    """Return a volume in words that never round it onto an edge it does not lie on."""
    said = millions(tokens)
    edges = {millions(edge): edge for edge in (HYBRID_FROM, LOCAL_ABOVE, EVERY_TIER_ABOVE)}
    return f"{tokens:,.0f}" if edges.get(said, tokens) != tokens else said


def _also(workload: Workload, fired: int) -> tuple[int, ...]:
    """Return other rules that hold: rules 4 and 5 do not ask about regulation."""
    tokens = workload.tokens_per_day
    holding = {4: tokens > LOCAL_ABOVE, 5: tokens > EVERY_TIER_ABOVE, 6: True}
    return tuple(number for number, holds in holding.items() if holds and number != fired)


def _flips(workload: Workload, verdict: Way) -> list[Flip]:
    found = []
    if workload.regulated:
        free = _VERDICTS[_by_volume(workload.tokens_per_day)]
        if free is not verdict:
            names = ",".join(workload.regulations)
            found.append(Flip(input="regulations", before=names, after="none", verdict=free))
        return found
    tokens = workload.tokens_per_day
    for edge, other in _EDGES:
        if other is not verdict and _VERDICTS[_by_volume(edge)] is other:
            found.append(Flip(input="tokens_per_day", before=tokens, after=edge, verdict=other))
    found = _nearest(found, tokens)
    if verdict is not Way.LOCAL:
        found.append(Flip(input="regulations", before="none", after="any", verdict=Way.LOCAL))
    return found


_EDGES = (
    (HYBRID_FROM - 1, Way.CLOUD),
    (HYBRID_FROM, Way.HYBRID),
    (LOCAL_ABOVE, Way.HYBRID),
    (LOCAL_ABOVE + 1, Way.LOCAL),
)
"""The whole tokens a day on either side of where the verdict changes."""

_VOLUMES = {
    HYBRID_FROM - 1: "below 1M tokens/day",
    HYBRID_FROM: "from 1M tokens/day",
    LOCAL_ABOVE: "at 10M tokens/day or less",
    LOCAL_ABOVE + 1: "above 10M tokens/day",
}


def _nearest(flips: list[Flip], tokens: float) -> list[Flip]:
    """Keep the nearest flip below and the nearest above."""
    below = [flip for flip in flips if float(flip.after) < tokens]
    above = [flip for flip in flips if float(flip.after) > tokens]
    kept = []
    if below:
        kept.append(max(below, key=lambda flip: float(flip.after)))
    if above:
        kept.append(min(above, key=lambda flip: float(flip.after)))
    return kept


def _growth(workload: Workload, verdict: Way) -> tuple[float | None, Way | None]:
    """Return the months until growth changes the verdict, and to what."""
    if workload.regulated or not workload.growth:
        return None, None
    tokens = workload.tokens_per_day
    for flip in _flips(replace(workload, growth=0.0), verdict):
        if flip.input != "tokens_per_day":
            continue
        edge = float(flip.after)
        if workload.growth > 0 and edge > tokens:
            return months_until(tokens, edge, workload.growth), flip.verdict
        if workload.growth < 0 and edge < tokens:
            return math.log(edge / tokens) / math.log1p(workload.growth), flip.verdict
    return None, None


class Ownership(NamedTuple):
    """What rule 6 says."""

    label: str
    """rent, own, run the sum, or unknown."""
    why: str


def ownership(gpu_hours: float | None, *, datacentre: bool = False) -> Ownership:
    """Return rule 6's answer for hours a day; the break-even hours are computed beside it.

    Args:
        gpu_hours: Hours a day a GPU is busy; None is unknown.
        datacentre: Whether the card is of the H100 class.
    """
    if datacentre:
        return Ownership("rent", "cards of the H100 class are rented, not bought")
    if gpu_hours is None:
        return Ownership("unknown", "rent for about three months first and count the hours")
    if gpu_hours < RENT_BELOW_H:
        return Ownership("rent", f"{gpu_hours:g} h/day is less than 3")
    if gpu_hours > OWN_ABOVE_H:
        return Ownership("own", f"{gpu_hours:g} h/day is more than 5")
    return Ownership("run the sum", f"{gpu_hours:g} h/day lies between 3 and 5")
