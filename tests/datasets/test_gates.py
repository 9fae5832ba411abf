import json

import pytest

from fathom_tui.datasets import gates
from fathom_tui.datasets.checks import Finding
from fathom_tui.gates import Gate, Outcome

EIGHT = {"label": {f"class{n}": 200 for n in range(8)}}


def finding(name: str, rows: int = 2, message: str = "2 rows are odd") -> Finding:
    return Finding(name=name, rows=rows, message=message, groups=((3, 9),))


def assert_judged(gate: Gate, outcome: Outcome, *, waivable: bool = True) -> None:
    assert (gate.outcome, gate.waivable) == (outcome, waivable)
    assert gate.reason.endswith(".")
    assert (gate.fix == "") == (outcome is Outcome.PASS)
    json.dumps(gate.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("rows", "outcome"),
    [
        (1, Outcome.REFUSE),
        (199, Outcome.REFUSE),
        (200, Outcome.WARN),
        (499, Outcome.WARN),
        (500, Outcome.PASS),
    ],
)
def test_training_rows_are_refused_below_200_and_warned_below_500(
    rows: int, outcome: Outcome
) -> None:
    gate = gates.floor(rows, 20)

    assert_judged(gate, outcome)
    assert f"{rows} training rows" in gate.reason


@pytest.mark.parametrize(("train", "validation"), [(0, 10), (10, 0), (0, 0)])
def test_no_rows_to_train_or_validate_on_cannot_be_waived(train: int, validation: int) -> None:
    assert_judged(gates.floor(train, validation), Outcome.REFUSE, waivable=False)


def test_rows_that_a_limit_left_unused_are_the_way_out() -> None:
    assert gates.floor(150, 20, unused=850).fix.startswith("Raise train_rows (850 rows lie unused)")
    assert gates.test_size(60, possible=100).fix.startswith("Raise test_rows (up to 100)")
    assert gates.class_floor({"label": {"a": 1, "b": 2}}, unused=9).fix.startswith("Raise train_")


def test_classes_below_200_rows_are_named_smallest_first() -> None:
    gate = gates.class_floor({"label": {"card": 199, "fees": 500, "fraud": 40}})

    assert_judged(gate, Outcome.WARN)
    assert gate.reason == "2 of 3 classes have fewer than 200 training rows: fraud 40, card 199."
    assert gate.fix.startswith("Add 161 rows to these classes")


def test_many_small_classes_are_counted_and_fields_named() -> None:
    counts = {"kind": {f"k{n}": n for n in range(9)}, "urgency": {"low": 3, "high": 300}}

    gate = gates.class_floor(counts)

    assert "10 of 11 classes" in gate.reason
    assert "urgency = low 3" in gate.reason
    assert gate.reason.endswith("and 2 more.")


def test_enough_rows_in_every_class_pass() -> None:
    assert_judged(gates.class_floor(EIGHT), Outcome.PASS)
    assert_judged(gates.class_floor({}), Outcome.PASS)


def test_a_small_test_is_told_its_interval_and_the_rows_it_needs() -> None:
    gate = gates.test_size(100)

    assert_judged(gate, Outcome.WARN)
    # 1.96 · √(0.9 · 0.1 / 100) = 0.0588 and 1.96 · √(0.25 / 100) = 0.098
    assert gate.reason == (
        "100 test rows: a score of 0.90 is known to ±0.059, one of 0.50 to ±0.098."
    )
    assert gate.fix == "Add test rows: ±0.03 needs 385 at a score of 0.90 and 1,068 at 0.50."


def test_200_test_rows_pass_and_none_cannot_be_waived() -> None:
    assert_judged(gates.test_size(199), Outcome.WARN)
    assert_judged(gates.test_size(200), Outcome.PASS)
    assert_judged(gates.test_size(0), Outcome.REFUSE, waivable=False)


def test_the_rows_for_an_interval_are_those_of_the_errata() -> None:
    assert gates.rows_for(0.03, 0.79) == 709
    assert gates.rows_for(0.03, 0.5) == 1068
    assert gates.half_width(1068, 0.5) <= 0.03


def test_five_to_one_is_balanced_and_more_is_not() -> None:
    assert_judged(gates.balance({"label": {"a": 500, "b": 100}}), Outcome.PASS)

    gate = gates.balance({"label": {"a": 501, "b": 100}})

    assert_judged(gate, Outcome.WARN)
    assert gate.reason == "a has 501 training rows, b 100: 5.01 to 1."
    assert gate.fix == "Add 1 rows of b; up to 5 to 1 is accepted."


@pytest.mark.parametrize("counts", [{}, {"label": {"a": 0, "b": 0}}])
def test_balance_passes_where_there_is_nothing_to_compare(
    counts: dict[str, dict[str, int]],
) -> None:
    assert_judged(gates.balance(counts), Outcome.PASS)


def test_one_class_cannot_be_waived() -> None:
    gate = gates.one_class({"label": {"card": 300, "fees": 0}})

    assert_judged(gate, Outcome.REFUSE, waivable=False)
    assert gate.reason == "Every training row has the same class: label is always 'card'."


def test_one_constant_field_beside_one_that_varies_passes() -> None:
    counts = {"reason": {"a": 5, "b": 0}, "name": {"x": 2, "y": 3}}

    assert_judged(gates.one_class(counts), Outcome.PASS)


def test_a_field_may_have_the_name_of_a_part_of_a_gate() -> None:
    assert_judged(gates.one_class({"reason": {"a": 5, "b": 0}}), Outcome.REFUSE, waivable=False)


@pytest.mark.parametrize(
    ("rows", "outcome"), [(2, Outcome.WARN), (5, Outcome.WARN), (6, Outcome.REFUSE)]
)
def test_conflicts_warn_up_to_five_per_cent(rows: int, outcome: Outcome) -> None:
    gate = gates.conflicts(100, finding("label_conflicts", rows))

    assert_judged(gate, outcome)
    assert f"{rows} of 100 rows ({rows}.0%)" in gate.reason
    assert "the first: lines 3 and 9" in gate.fix


def test_conflicts_of_the_fixed_test_warn() -> None:
    assert_judged(gates.conflicts(100, None, finding("test_label_conflicts")), Outcome.WARN)
    assert_judged(gates.conflicts(100, None), Outcome.PASS)


def test_leaked_rows_that_were_removed_pass_with_their_counts() -> None:
    gate = gates.leakage(exact=19, near=33, test_rows=51, remaining=0)

    assert_judged(gate, Outcome.PASS)
    assert gate.reason == (
        "52 rows that also stand in the test were removed from train and validation "
        "(19 word for word, 33 nearly; 51 test rows). None remain."
    )


def test_a_leaked_row_that_remains_cannot_be_waived() -> None:
    gate = gates.leakage(exact=0, near=0, test_rows=0, remaining=1)

    assert_judged(gate, Outcome.REFUSE, waivable=False)


def test_many_copies_are_worth_a_warning() -> None:
    assert_judged(gates.duplicates(100, 10, 0, 0), Outcome.PASS)
    assert_judged(gates.duplicates(100, 11, 4, 2), Outcome.WARN)


def test_odd_rows_warn_and_name_what_is_odd() -> None:
    gate = gates.parse(100, "t.csv (csv, columns)", [finding("short_rows"), finding("other")])

    assert_judged(gate, Outcome.WARN)
    assert gate.reason == "100 rows read from t.csv (csv, columns); 2 rows are odd."
    assert_judged(gates.parse(100, "t.csv (csv, columns)", []), Outcome.PASS)


def test_personal_data_warns_with_counts_by_kind() -> None:
    gate = gates.personal_data([finding("personal_card_number"), finding("short_rows")], 100)

    assert_judged(gate, Outcome.WARN)
    assert gate.reason == "Of 100 rows some hold personal data: card number in 2."
    assert_judged(gates.personal_data([], 100), Outcome.PASS)
