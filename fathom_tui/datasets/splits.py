"""Cutting a dataset into train, validation and test so that the test stays honest.

Stratified by class, decided by a hash of each row's content and the seed: the same rows give the
same splits in whatever order they stand. Rows that belong together never part.
"""

import hashlib
import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fathom_tui.contract import Contract
from fathom_tui.datasets.cases import Case
from fathom_tui.datasets.near_duplicates import THRESHOLD, near_matches
from fathom_tui.datasets.words import normalised

VALIDATION_SHARE = 0.10
TEST_SHARE = 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Most rows of each split; None means all there are."""

    train: int | None = None
    validation: int | None = None
    test: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """Three sets of rows, each in an order that the seed decides."""

    train: tuple[Case, ...]
    validation: tuple[Case, ...]
    test: tuple[Case, ...]
    reserve: tuple[Case, ...] = ()
    """Rows that the limit on train left over."""

    def items(self) -> tuple[tuple[str, tuple[Case, ...]], ...]:
        """Return names and rows of the splits proper, without the reserve."""
        return (("train", self.train), ("validation", self.validation), ("test", self.test))


def cut(
    cases: Sequence[Case],
    groups: Sequence[Sequence[int]],
    contract: Contract,
    *,
    seed: int,
    limits: Limits,
    test: Sequence[Case] | None = None,
) -> Splits:
    """Cut rows 80/10/10, or 90/10 beside a test that is given.

    Args:
        cases: Rows without exact copies.
        groups: Indices of rows that must stay together (near duplicates).
        contract: Names the field whose choices are the classes.
        seed: Decides which rows go where.
        limits: Upper limits; what test and validation do not take goes to train.
        test: Rows of a fixed test; only its limit applies to them.
    """
    taken: dict[str, list[Case]] = {"train": [], "validation": [], "test": []}
    wanted = {
        "test": 0 if test is not None else _size(len(cases), TEST_SHARE, limits.test),
        "validation": _size(len(cases), VALIDATION_SHARE, limits.validation),
    }
    strata = _strata(_units(cases, groups, seed), contract)
    rows = {name: sum(map(len, units)) for name, units in strata.items()}
    # Two thirds of every stratum at least stay in train; one with two rows is all train.
    third = {name: count // 3 for name, count in rows.items()}
    quotas = {split: apportion(rows, size, most=third) for split, size in wanted.items()}
    for name, units in strata.items():
        left = units
        for split, quota in quotas.items():
            left = _take(left, quota[name], taken[split])
        taken["train"] += [case for unit in left for case in unit]
    if test is not None:
        taken["test"] = draw(test, limits.test, contract, seed=seed)
    pool = taken["train"]
    taken["train"] = draw(pool, limits.train, contract, seed=seed)
    drawn = {case.id for case in taken["train"]}
    taken["reserve"] = [case for case in pool if case.id not in drawn]
    return Splits(**{name: tuple(_ordered(found, seed)) for name, found in taken.items()})


def draw(cases: Sequence[Case], most: int | None, contract: Contract, *, seed: int) -> list[Case]:
    """Return at most so many rows, every stratum in proportion."""
    if most is None or len(cases) <= most:
        return list(cases)
    strata: dict[str, list[Case]] = defaultdict(list)
    for case in _ordered(cases, seed):
        strata[stratum(case, contract)].append(case)
    sizes = {name: len(rows) for name, rows in strata.items()}
    quotas = apportion(sizes, most, most=sizes)
    return [case for name, rows in strata.items() for case in rows[: quotas[name]]]


def stratum(case: Case, contract: Contract) -> str:
    """Return what a split keeps in proportion: the data's own stratum and the first choice."""
    choices = contract.choice_fields
    answer = str(case.values[choices[0].name]) if choices else ""
    return f"{case.stratum}\t{answer}"


def apportion(rows: Mapping[str, int], seats: int, *, most: Mapping[str, int]) -> dict[str, int]:
    """Share seats among strata in proportion to their rows, one each first where seats allow.

    Args:
        rows: Rows of each stratum.
        seats: Rows to give out; fewer are given where `most` allows no more.
        most: Most seats of each stratum.

    Source: the Sainte-Laguë (Webster) divisor method.
    """
    given = dict.fromkeys(rows, 0)
    open_to = sorted(name for name in rows if most[name] > 0)
    if len(open_to) <= seats:
        for name in open_to:
            given[name] = 1
    left = min(seats, sum(most[name] for name in open_to)) - sum(given.values())
    heap = [_claim(name, rows, given) for name in open_to if given[name] < most[name]]
    heapq.heapify(heap)
    for _ in range(left):
        name = heapq.heappop(heap)[1]
        given[name] += 1
        if given[name] < most[name]:
            heapq.heappush(heap, _claim(name, rows, given))
    return given


def _claim(name: str, rows: Mapping[str, int], given: Mapping[str, int]) -> tuple[float, str]:
    return -rows[name] / (2 * given[name] + 1), name


@dataclass(frozen=True, slots=True, kw_only=True)
class Leakage:
    """Rows that occur in the test, word for word or nearly."""

    exact: tuple[Case, ...]
    near: tuple[Case, ...]
    test_rows: int
    """Test rows that an exact or near copy was found for, counted once each."""

    @property
    def ids(self) -> set[str]:
        """The ids of the leaked rows."""
        return {case.id for case in (*self.exact, *self.near)}


def leakage(
    cases: Sequence[Case], test: Sequence[Case], *, threshold: float = THRESHOLD
) -> Leakage:
    """Find the rows whose message, whatever its answer, stands in the test."""
    in_test: dict[str, int] = {}
    for index, case in enumerate(test):
        in_test.setdefault(normalised(case.input), index)
    exact = {i: in_test.get(normalised(case.input)) for i, case in enumerate(cases)}
    found = near_matches(
        [case.input for case in cases], [case.input for case in test], threshold=threshold
    )
    near = {i: match for i, match in found.items() if exact[i] is None}
    return Leakage(
        exact=tuple(case for i, case in enumerate(cases) if exact[i] is not None),
        near=tuple(cases[i] for i in near),
        test_rows=len({match for match in exact.values() if match is not None} | {*near.values()}),
    )


_Unit = list[Case]


def _units(cases: Sequence[Case], groups: Sequence[Sequence[int]], seed: int) -> list[_Unit]:
    """Return rows that stay together, lone rows included, each and all in the seed's order."""
    grouped = {index for group in groups for index in group}
    units = [[cases[index] for index in group] for group in groups]
    units += [[case] for index, case in enumerate(cases) if index not in grouped]
    ordered = [_ordered(unit, seed) for unit in units]
    return sorted(ordered, key=lambda unit: _rank(unit[0], seed))


def _strata(units: Sequence[_Unit], contract: Contract) -> dict[str, list[_Unit]]:
    # A group of several classes counts as its first row's; such groups are rare.
    strata: dict[str, list[_Unit]] = defaultdict(list)
    for unit in units:
        strata[stratum(unit[0], contract)].append(unit)
    return strata


def _take(units: Sequence[_Unit], rows: int, into: list[Case]) -> list[_Unit]:
    left = []
    for unit in units:
        if len(unit) <= rows:
            into += unit
            rows -= len(unit)
        else:
            left.append(unit)
    return left


def _size(rows: int, share: float, most: int | None) -> int:
    size = max(1, round(rows * share))
    return size if most is None else min(size, most)


def _ordered(cases: Sequence[Case], seed: int) -> list[Case]:
    return sorted(cases, key=lambda case: _rank(case, seed))


def _rank(case: Case, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{case.id}".encode()).digest()
