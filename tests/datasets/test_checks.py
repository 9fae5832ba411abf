from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.contract import Contract, Field
from fathom_tui.datasets.cases import Case, case_ids
from fathom_tui.datasets.checks import (
    Finding,
    chat_tokens,
    check,
    class_counts,
    classes,
    exact_duplicates,
    imbalance,
    label_conflicts,
    lengths,
    near_duplicates,
    personal,
    without_copies,
)

LABELS = Contract.of_labels(("card", "fees"))
SENTENCE = "i ordered a new card two weeks ago and it has still not arrived"


def cases(*rows: tuple[str, str]) -> list[Case]:
    """Rows of (message, label), on lines 2, 3, …"""
    return [
        Case(id=id_, input=text, values={"label": label}, output=label, line=line)
        for line, (id_, (text, label)) in enumerate(zip(case_ids(rows), rows, strict=True), 2)
    ]


def some(finding: Finding | None) -> Finding:
    assert finding is not None
    return finding


def test_rows_that_say_the_same_but_answer_differently_are_in_conflict() -> None:
    rows = cases(("Lost it!", "card"), ("lost it", "fees"), ("Lost it", "card"), ("Why?", "fees"))

    finding = some(label_conflicts(rows))

    assert (finding.rows, finding.groups) == (3, ((2, 3, 4),))


def test_rows_that_differ_in_a_currency_are_not_in_conflict() -> None:
    assert label_conflicts(cases(("Charged £5", "card"), ("Charged $5", "fees"))) is None


def test_copies_have_the_same_words_and_the_same_answer() -> None:
    rows = cases(("Lost it!", "card"), ("LOST it", "card"), ("lost it", "fees"))

    finding = some(exact_duplicates(rows))

    assert (finding.rows, finding.groups) == (2, ((2, 3),))
    assert finding.message == "2 rows are copies of one another, in 1 groups"


def test_near_duplicates_leave_out_the_copies() -> None:
    rows = cases((SENTENCE, "card"), (SENTENCE + "!", "card"), (SENTENCE + " yet", "card"))

    assert some(near_duplicates(rows)).groups == ((2, 4),)


def test_a_finding_names_lines_and_never_texts() -> None:
    finding = some(exact_duplicates(cases(("secret", "card"), ("Secret", "card"))))

    assert "ecret" not in str(finding.to_json())
    assert finding.to_json()["lines"] == [[2, 3]]
    assert "lines" not in finding.summary()


def test_short_and_long_rows_are_found() -> None:
    rows = cases(("?!", "card"), ("x" * 61, "fees"), ("a card is lost", "card"))

    short, long = lengths(rows, max_tokens=16)

    assert some(short).groups == ((2,),)
    assert some(long).groups == ((3,),)
    assert "longer than 64 bytes" in some(long).message


@pytest.mark.parametrize("token", ["<|im_end|>", "[INST]", "</s>", "<end_of_turn>"])
def test_control_tokens_of_chat_templates_are_found(token: str) -> None:
    assert some(chat_tokens(cases((f"hello {token} there", "card")))).rows == 1


def test_ordinary_brackets_are_no_control_tokens() -> None:
    assert chat_tokens(cases(("a <b> [c] <| d", "card"))) is None


def test_personal_data_is_counted_by_kind() -> None:
    rows = cases(("mail a@b.co", "card"), ("mail c@d.co or 07700 900123", "card"), ("hi", "card"))

    found = {finding.name: finding for finding in personal(rows) if finding}

    assert found["personal_email"].message == "2 rows hold an email"
    assert found["personal_phone_number"].groups == ((3,),)
    assert len(found) == 2


def test_classes_without_rows_are_counted_too() -> None:
    assert class_counts(cases(("a", "card")), LABELS) == {"label": {"card": 1, "fees": 0}}


def test_every_choice_field_is_counted() -> None:
    contract = Contract(
        kind="json",
        fields=(
            Field(name="kind", kind="choice", choices=("card", "fees")),
            Field(name="amount", kind="number"),
            Field(name="urgency", kind="choice", choices=("low", "high")),
        ),
    )
    row = Case(id="1", input="a", values={"kind": "fees", "amount": 1, "urgency": "low"}, output="")

    assert class_counts([row], contract) == {
        "kind": {"card": 0, "fees": 1},
        "urgency": {"low": 1, "high": 0},
    }


def test_imbalance_is_largest_over_smallest_that_has_rows() -> None:
    assert imbalance({"a": 600, "b": 100, "c": 0}) == 6
    assert imbalance({"a": 0}) == 1
    assert imbalance({}) == 1


def test_unbalanced_and_small_classes_are_found() -> None:
    balance, few = classes({"label": {"card": 1200, "fees": 100, "fraud": 300}})

    assert some(balance).message == "card has 1200 rows, fees 100: 12.0 to 1"
    assert some(few).message == "1 of 3 classes have fewer than 200 rows"


def test_a_clean_dataset_has_no_findings() -> None:
    rows = cases(*((f"message number {n}", ("card", "fees")[n % 2]) for n in range(400)))

    assert check(rows, LABELS, max_tokens=512) == []


@given(
    st.lists(st.tuples(st.sampled_from(["a b", "A b!", "a", "c"]), st.sampled_from("xy"))),
    st.randoms(),
)
def test_which_copy_stays_does_not_depend_on_the_order(
    rows: list[tuple[str, str]], chance: Random
) -> None:
    shuffled = rows.copy()
    chance.shuffle(shuffled)

    kept, copies = without_copies(cases(*rows))
    again, _ = without_copies(cases(*shuffled))

    assert len(kept) + len(copies) == len(rows)
    assert exact_duplicates(kept) is None
    assert {(c.id, c.input) for c in kept} == {(c.id, c.input) for c in again}
