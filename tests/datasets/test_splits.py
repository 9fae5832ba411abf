from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom_tui.contract import Contract
from fathom_tui.datasets.cases import Case, case_ids
from fathom_tui.datasets.near_duplicates import near_groups
from fathom_tui.datasets.splits import (
    Limits,
    Splits,
    apportion,
    cut,
    draw,
    leakage,
    stratum,
)

LABELS = Contract.of_labels(("card", "fees", "fraud"))
SENTENCE = "i ordered a new card two weeks ago and it has still not arrived"


def cases(labels: list[str], *, stratum: str = "") -> list[Case]:
    rows = [(f"message {n} about {label}", label) for n, label in enumerate(labels)]
    return [
        Case(id=id_, input=text, values={"label": label}, output=label, stratum=stratum, line=n)
        for n, (id_, (text, label)) in enumerate(zip(case_ids(rows), rows, strict=True), 2)
    ]


def cut_all(rows: list[Case], seed: int = 1, limits: Limits | None = None) -> Splits:
    return cut(rows, [], LABELS, seed=seed, limits=limits or Limits())


def ids(rows: tuple[Case, ...] | list[Case]) -> set[str]:
    return {case.id for case in rows}


labels = st.lists(st.sampled_from(LABELS.fields[0].choices), max_size=60)
limits = st.builds(
    Limits,
    train=st.none() | st.integers(1, 40),
    validation=st.none() | st.integers(1, 10),
    test=st.none() | st.integers(1, 10),
)


def test_a_thousand_rows_are_cut_80_10_10_with_every_class_in_proportion() -> None:
    splits = cut_all(cases(["card"] * 600 + ["fees"] * 300 + ["fraud"] * 100))

    shares = {name: Counter(case.output for case in rows) for name, rows in splits.items()}
    assert shares == {
        "train": {"card": 480, "fees": 240, "fraud": 80},
        "validation": {"card": 60, "fees": 30, "fraud": 10},
        "test": {"card": 60, "fees": 30, "fraud": 10},
    }


def test_strata_of_the_data_keep_their_proportion_too() -> None:
    rows = cases(["card"] * 100, stratum="chat") + cases(["fees"] * 100, stratum="mail")

    splits = cut_all(rows)

    assert Counter(stratum(case, LABELS) for case in splits.test) == {
        "chat\tcard": 10,
        "mail\tfees": 10,
    }


def test_a_fixed_test_leaves_90_10_to_cut() -> None:
    test = cases(["card"] * 7)

    splits = cut(cases(["fees"] * 100), [], LABELS, seed=1, limits=Limits(), test=test)

    assert (len(splits.train), len(splits.validation)) == (90, 10)
    assert ids(splits.test) == ids(test)


def test_what_limited_splits_do_not_take_goes_to_train() -> None:
    splits = cut_all(cases(["card"] * 1000), limits=Limits(validation=20, test=30))

    assert [len(rows) for _, rows in splits.items()] == [950, 20, 30]


def test_limits_keep_classes_in_proportion_and_give_each_a_row() -> None:
    rows = cases(["card"] * 900 + ["fees"] * 95 + ["fraud"] * 5)

    drawn = draw(rows, 10, LABELS, seed=1)

    assert Counter(case.output for case in drawn) == {"card": 8, "fees": 1, "fraud": 1}


def test_a_class_with_two_rows_is_all_train() -> None:
    splits = cut_all(cases(["card"] * 50 + ["fraud"] * 2))

    assert sum(case.output == "fraud" for case in splits.train) == 2


def test_groups_stay_together_and_one_too_large_for_the_test_is_train() -> None:
    rows = cases(["card"] * 100)
    large = list(range(40))

    splits = cut(rows, [large, [50, 51, 52]], LABELS, seed=1, limits=Limits())

    assert ids(rows[:40]) <= ids(splits.train)
    assert sum(ids(rows[50:53]) <= ids(part) for _, part in splits.items()) == 1
    assert len(splits.test) == len(splits.validation) == 10


def test_another_seed_gives_another_test() -> None:
    rows = cases(["card"] * 100)

    assert ids(cut_all(rows, seed=1).test) != ids(cut_all(rows, seed=2).test)


def test_no_rows_give_empty_splits() -> None:
    assert cut_all([]) == Splits(train=(), validation=(), test=())


@settings(deadline=None)
@given(labels=labels, limits=limits, seed=st.integers(0, 9), data=st.data())
def test_no_row_is_invented_lost_without_a_limit_or_in_two_splits(
    labels: list[str], limits: Limits, seed: int, data: st.DataObject
) -> None:
    rows = cases(labels)
    members = data.draw(st.permutations(range(len(rows))))
    groups = [members[i : i + 3] for i in range(0, len(members) // 2, 3)]

    splits = cut(rows, groups, LABELS, seed=seed, limits=limits)

    found = [case.id for _, part in splits.items() for case in part]
    assert len(found) == len(set(found))
    assert set(found) <= ids(rows)
    for group in groups:
        homes = [name for name, part in splits.items() if ids(part) & {rows[i].id for i in group}]
        assert len(homes) <= 1
    for (_, part), most in zip(
        splits.items(), (limits.train, limits.validation, limits.test), strict=True
    ):
        assert most is None or len(part) <= most
    if limits.train is None:
        assert set(found) == ids(rows)


@settings(deadline=None)
@given(labels=labels, limits=limits, chance=st.randoms(use_true_random=False))
def test_splits_do_not_depend_on_the_order_of_the_rows(
    labels: list[str], limits: Limits, chance: Random
) -> None:
    rows = cases(labels)
    shuffled = rows.copy()
    chance.shuffle(shuffled)

    assert cut_all(shuffled, limits=limits) == cut_all(rows, limits=limits)


@given(
    rows=st.dictionaries(st.text(max_size=2), st.integers(0, 50), max_size=8),
    seats=st.integers(0, 200),
)
def test_seats_are_all_given_unless_there_are_too_few_rows(
    rows: dict[str, int], seats: int
) -> None:
    given_out = apportion(rows, seats, most=rows)

    assert sum(given_out.values()) == min(seats, sum(rows.values()))
    assert all(0 <= given_out[name] <= rows[name] for name in rows)


def test_seats_follow_webster() -> None:
    # One each first; the other 4 go to a at 53/3 = 17.7 and 53/5 = 10.6, b at 24/3 = 8.0 and
    # c at 23/3 = 7.67, which is more than a's next claim, 53/7 = 7.57.
    assert apportion({"a": 53, "b": 24, "c": 23}, 7, most={"a": 53, "b": 24, "c": 23}) == {
        "a": 3,
        "b": 2,
        "c": 2,
    }


class TestLeakage:
    def rows(self, *texts: str) -> list[Case]:
        ids = case_ids((text, "card") for text in texts)
        return [
            Case(id=id_, input=text, values={"label": "card"}, output="card")
            for id_, text in zip(ids, texts, strict=True)
        ]

    def test_exact_and_near_copies_of_test_rows_are_told_apart(self) -> None:
        train = self.rows("Lost it!", SENTENCE + " yet", "something else entirely", "lost, it")
        test = self.rows("lost it", SENTENCE, "never seen before")

        found = leakage(train, test)

        assert found.exact == (train[0], train[3])
        assert found.near == (train[1],)
        assert found.test_rows == 2
        assert found.ids == {train[0].id, train[1].id, train[3].id}

    def test_an_empty_test_leaks_nothing(self) -> None:
        assert leakage(self.rows("a"), []).ids == set()

    @pytest.mark.parametrize("seed", range(5))
    def test_splits_cut_with_groups_never_leak(self, seed: int) -> None:
        chance = Random(seed)
        words = [f"w{n}" for n in range(60)]
        texts = {" ".join(chance.choices(words, k=12)) for _ in range(80)}
        texts |= {f"{text} {chance.choice(words)}" for text in sorted(texts)[:30]}
        rows = self.rows(*sorted(texts))

        groups = near_groups([case.input for case in rows])
        splits = cut(rows, groups, LABELS, seed=seed, limits=Limits())

        assert len(groups) >= 30
        assert leakage([*splits.train, *splits.validation], splits.test).ids == set()
        assert leakage(splits.validation, splits.train).ids == set()
