"""Who should do the work: one's own engineer, or someone who sells it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fathom_tui.catalog_types import Origin, Service
from fathom_tui.errors import UsageError
from fathom_tui.figures import Figure, Kind
from fathom_tui.payback import check_least


class Maker(StrEnum):
    """Who does the work."""

    DIY = "diy"
    DIY_PLUS = "diy-plus-2-weeks"
    BUY = "buy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """What a team has; None is unknown."""

    lora_engineer: bool | None = None
    weeks_free: float | None = None
    """Of that engineer, in one piece."""
    eval_harness: bool | None = None

    def __post_init__(self) -> None:
        if self.weeks_free is not None:
            check_least("weeks_free", self.weeks_free)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """One question of the tree and where a no leads."""

    question: str
    answer: Callable[[Team], bool | None]
    no: Maker
    why: str
    """Said for a no."""


WEEKS_FREE = 4.0
FORKS: tuple[Fork, ...] = (
    Fork(
        question="Has your team an ML engineer who has tuned a model with LoRA before?",
        answer=lambda team: team.lora_engineer,
        no=Maker.BUY,
        why="the first time takes three times as long as the second",
    ),
    Fork(
        question="Has that engineer four weeks free?",
        answer=lambda team: None if team.weeks_free is None else team.weeks_free >= WEEKS_FREE,
        no=Maker.BUY,
        why="the engineer's other work is worth more than the fee",
    ),
    Fork(
        question="Is there an evaluation already?",
        answer=lambda team: team.eval_harness,
        no=Maker.DIY_PLUS,
        why="the evaluation has to be built first: two weeks more",
    ),
)
"""Source: book, ch. 6 (April 2026). A yes to all is DIY."""

_WEEKS: Mapping[str, tuple[int, int]] = {"diy": (6, 10), "big-4": (8, 16), "fine-tuning": (1, 3)}
"""Weeks from start to delivery, first time."""
_WEEKS_SOURCE, _WEEKS_AS_OF = "book, ch. 6 (April 2026)", "2026-04-01"
_REFUNDED = frozenset({"fine-tuning"})
"""Offers whose rework is the seller's: two revisions, then the money back."""
DIY_HOURS = 160.0
EXTRA_WEEKS = 2
"""To build an evaluation."""
WEEK_HOURS = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One way to have it done."""

    id: str
    name: str
    low: Figure
    high: Figure
    """Cost, GBP, once."""
    expected_low: Figure
    expected_high: Figure
    """Cost times (1 + rework) where rework is yours to pay; unknown where its share is."""
    rework: float | None
    """Share of such projects that are done again; None is unknown."""
    weeks: tuple[int, int] | None
    """Until delivery; None is unknown."""
    origin: Origin
    """Where its rework is from."""

    def to_json(self) -> dict[str, Any]:
        """Return the documented shape."""
        return {
            "id": self.id,
            "name": self.name,
            "cost": {"low": self.low.to_json(), "high": self.high.to_json()},
            "expected": {
                "low": self.expected_low.to_json(),
                "high": self.expected_high.to_json(),
            },
            "rework": self._rework().to_json(),
            "weeks": {
                end: self._week(place).to_json() for place, end in enumerate(("low", "high"))
            },
        }

    def _rework(self) -> Figure:
        origin = self.origin
        return Figure(
            value=self.rework,
            unit="share",
            kind=origin.kind,
            source=origin.source,
            as_of=origin.as_of,
        )

    def _week(self, place: int) -> Figure:
        return Figure(
            value=self.weeks[place] if self.weeks else None,
            unit="weeks",
            kind=Kind.COMMUNITY,
            source=_WEEKS_SOURCE,
            as_of=_WEEKS_AS_OF,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A question on the way, with its answer."""

    question: str
    answer: str
    """yes, no or unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOrBuy:
    """Who should do the work, and what each way costs."""

    maker: Maker | None
    """None where a question on the way is not answered."""
    path: tuple[Step, ...]
    why: str
    options: tuple[Option, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the documented shape."""
        return {
            "maker": self.maker.value if self.maker else None,
            "path": [{"question": s.question, "answer": s.answer} for s in self.path],
            "why": self.why,
            "options": [option.to_json() for option in self.options],
        }


def build_or_buy(
    team: Team,
    services: Sequence[Service],
    *,
    hours: float = DIY_HOURS,
    rate_low_gbp: float = 80.0,
    rate_high_gbp: float = 120.0,
) -> BuildOrBuy:
    """Return who should do the work, and the cost of every way.

    Args:
        team: What the team has.
        services: The catalog's; the row `diy` gives the rework of one's own work.
        hours: Of one's own engineer, without the evaluation.
        rate_low_gbp: Cost of such an hour, GBP.
        rate_high_gbp: The same at most.

    Raises:
        UsageError: Hours or a rate are not positive, or the rates are in the wrong order.

    Source: book, ch. 6 (April 2026).
    """
    for name, value in (("hours", hours), ("rate_low_gbp", rate_low_gbp)):
        check_least(name, value, above=True)
    check_least("rate_high_gbp", rate_high_gbp)
    if rate_high_gbp < rate_low_gbp:
        raise UsageError(
            f"rate_high_gbp is {rate_high_gbp!r}, rate_low_gbp {rate_low_gbp!r}.",
            fix="Give the lower rate first.",
        )
    maker, path, why = _walk(team)
    # An evaluation that is not there has to be made, whoever asks.
    needed = hours + (EXTRA_WEEKS * WEEK_HOURS if team.eval_harness is False else 0)
    own = {"low": needed * rate_low_gbp, "high": needed * rate_high_gbp}
    late = EXTRA_WEEKS if team.eval_harness is False else 0
    options = tuple(_option(row, own if row.id == "diy" else None, late) for row in services)
    return BuildOrBuy(maker=maker, path=tuple(path), why=why, options=options)


def _walk(team: Team) -> tuple[Maker | None, list[Step], str]:
    path: list[Step] = []
    for fork in FORKS:
        answer = fork.answer(team)
        path.append(Step(question=fork.question, answer=_SAID[answer]))
        if answer is None:
            return None, path, f"unknown: {fork.question}"
        if not answer:
            return fork.no, path, fork.why
    return Maker.DIY, path, "the engineer, the time and the evaluation are there"


_SAID: Mapping[bool | None, str] = {True: "yes", False: "no", None: "unknown"}


def _option(row: Service, own: Mapping[str, float] | None, late: int) -> Option:
    low, high = (own["low"], own["high"]) if own else (row.gbp_low, row.gbp_high)
    weeks = _WEEKS.get(row.id)
    return Option(
        id=row.id,
        name=row.name,
        low=_cost(row, low, computed=own is not None),
        high=_cost(row, high, computed=own is not None),
        expected_low=_cost(row, _with_rework(row, low), computed=True),
        expected_high=_cost(row, _with_rework(row, high), computed=True),
        rework=row.rework,
        origin=row.origin_of("rework"),
        weeks=(weeks[0] + late, weeks[1] + late) if weeks and own else weeks,
    )


def _with_rework(row: Service, cost: float) -> float | None:
    if row.id in _REFUNDED:
        return cost
    return None if row.rework is None else cost * (1 + row.rework)


def _cost(row: Service, value: float | None, *, computed: bool) -> Figure:
    origin = row.origin
    kind = Kind.COMPUTED if computed else origin.kind
    return Figure(value=value, unit="GBP", kind=kind, source=origin.source, as_of=origin.as_of)
