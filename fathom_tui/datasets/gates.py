"""The gates of the data stage: counts in, verdicts out."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fathom_tui.datasets.checks import (
    BALANCE,
    ROWS_PER_CLASS,
    ClassCounts,
    Finding,
    imbalance,
    smallest,
)
from fathom_tui.gates import Gate, passed, refused, warned

FLOOR = 200
"""Training rows below which a run refuses: the sources say 200 to 500."""

COMFORT = 500
"""Training rows from which nothing is said."""

TEST_ROWS = 200
HALF_WIDTH = 0.03
"""Half-width of a 95 % interval that acceptance criteria ask for."""

CONFLICTS = 0.05
"""Share of rows in label conflicts above which the gate refuses.

A model cannot learn both answers of a pair: at 5 % about every fortieth answer is wrong by
construction, more than the interval a verdict asks for.
"""

COPIES = 0.10
"""Share of copies from which the true size of the dataset deserves a warning."""

_Z = 1.959964


def parse(rows: int, described: str, findings: Sequence[Finding]) -> Gate:
    """Judge that the file reads; rows that read but look wrong warn."""
    odd = [finding for finding in findings if finding.name in _ODD]
    evidence = {finding.name: finding.rows for finding in odd}
    if not odd:
        return passed("data.parse", f"{rows:,} rows read from {described}.", rows=rows)
    return warned(
        "data.parse",
        f"{rows:,} rows read from {described}; {'; '.join(f.message for f in odd)}.",
        "Look at the lines in findings.json; remove what is not a real message.",
        rows=rows,
        **evidence,
    )


_ODD = ("short_rows", "long_rows", "chat_tokens")


def one_class(counts: ClassCounts) -> Gate:
    """Refuse training rows that all have one answer."""
    name = "data.one_class"
    constant = {}
    for field, choices in counts.items():
        present = [choice for choice, rows in choices.items() if rows]
        if len(present) == 1:
            constant[field] = present[0]
    if counts and len(constant) == len(counts):
        shown = ", ".join(f"{field} is always {choice!r}" for field, choice in constant.items())
        return refused(
            name,
            f"Every training row has the same class: {shown}.",
            "Add rows of the other classes: a model that has seen one class answers only that.",
            waivable=False,
            constant=constant,
        )
    present_classes = {
        field: sum(1 for rows in choices.values() if rows) for field, choices in counts.items()
    }
    shown = ", ".join(f"{field} {n}" for field, n in present_classes.items()) or "no choice field"
    return passed(name, f"Classes in the training rows: {shown}.", present=present_classes)


def conflicts(rows: int, finding: Finding | None, in_test: Finding | None = None) -> Gate:
    """Judge the share of rows with the same message and different answers.

    Args:
        rows: Rows of the dataset.
        finding: The conflicts among them.
        in_test: The conflicts among the rows of a fixed test, which warn only.
    """
    name = "data.conflicts"
    if finding is None:
        if in_test is None:
            return passed(name, f"No message among {rows:,} rows has two answers.", rows=rows)
        return warned(
            name,
            f"In the fixed test, {in_test.rows} rows say the same as another row but have a "
            "different answer.",
            "Decide one answer for each (lines in findings.json): no model can get both right.",
            test_rows=in_test.rows,
        )
    share = finding.rows / rows
    reason = (
        f"{finding.rows} of {rows:,} rows ({share:.1%}) say the same as another row "
        f"but have a different answer, in {len(finding.groups)} groups."
    )
    first = " and ".join(map(str, finding.groups[0][:2]))
    fix = (
        f"Decide one answer for each group (the first: lines {first}; all in findings.json): "
        "ambiguous labels cap every score."
    )
    judge = refused if share > CONFLICTS else warned
    return judge(
        name, reason, fix, rows=finding.rows, share=share, groups=len(finding.groups), of=rows
    )


def duplicates(rows: int, removed: int, near_rows: int, near_groups: int) -> Gate:
    """Report copies, which were removed, and near duplicates, which stay in one split each."""
    name = "data.duplicates"
    share = removed / rows if rows else 0.0
    reason = (
        f"{removed} of {rows:,} rows were copies of another and are left out; {near_rows} are near "
        f"duplicates in {near_groups} groups, each group inside one split."
    )
    evidence = {"removed": removed, "near_rows": near_rows, "near_groups": near_groups}
    if share <= COPIES:
        return passed(name, reason, **evidence)
    return warned(
        name,
        reason,
        f"The dataset is {share:.0%} smaller than it looks; find out what produces the copies.",
        **evidence,
    )


def leakage(
    *, exact: int, near: int, test_rows: int, remaining: int, fixed_test: bool = True
) -> Gate:
    """Judge that no test message is also trained or selected on.

    Args:
        exact: Rows removed because their words are those of a test row.
        near: Rows removed because they nearly are.
        test_rows: Test rows that had such a copy.
        remaining: Rows found across splits after everything was removed.
        fixed_test: False where the test was cut from the dataset: nothing needs removing then.
    """
    name = "data.leakage"
    evidence: dict[str, Any] = {
        "exact": exact,
        "near": near,
        "test_rows": test_rows,
        "remaining": remaining,
    }
    if remaining:
        return refused(
            name,
            f"{remaining} rows stand in two splits, word for word or nearly.",
            "The locked split cannot be trusted: run the data stage again and report this.",
            waivable=False,
            **evidence,
        )
    if not fixed_test:
        return passed(name, "No message, copy or near duplicate stands in two splits.", **evidence)
    return passed(
        name,
        f"{exact + near} rows that also stand in the test were removed from train and validation "
        f"({exact} word for word, {near} nearly; {test_rows} test rows). None remain.",
        **evidence,
    )


def floor(train: int, validation: int, *, unused: int = 0) -> Gate:
    """Judge the number of training rows."""
    name = "data.floor"
    evidence: dict[str, Any] = {"train": train, "validation": validation, "floor": FLOOR}
    if not train or not validation:
        return refused(
            name,
            f"{train} rows are left to train on and {validation} to validate on.",
            "Add rows: without both, nothing can be trained or chosen.",
            waivable=False,
            **evidence,
        )
    more = _more(unused, "train_rows", "Collect more examples")
    if train < FLOOR:
        return refused(
            name,
            f"{train} training rows are fewer than {FLOOR}.",
            f"{more}, or stay with a prompt: {FLOOR} is the least, {COMFORT} is sound.",
            **evidence,
        )
    if train < COMFORT:
        return warned(
            name,
            f"{train} training rows are fewer than {COMFORT}.",
            f"{more}: {COMFORT - train} rows are missing.",
            **evidence,
        )
    return passed(name, f"{train:,} training rows, {validation:,} to validate on.", **evidence)


def class_floor(counts: ClassCounts, *, unused: int = 0) -> Gate:
    """Judge the training rows of every class."""
    name = "data.class_floor"
    few = [
        (rows, _class(field, choice, counts))
        for field, choices in counts.items()
        for choice, rows in choices.items()
        if rows < ROWS_PER_CLASS
    ]
    total = sum(map(len, counts.values()))
    if not few:
        least = min((n for choices in counts.values() for n in choices.values()), default=0)
        reason = (
            f"All {total} classes have {least} training rows or more."
            if total
            else "The contract has no classes."
        )
        return passed(name, reason, least=least, floor=ROWS_PER_CLASS)
    shown = ", ".join(f"{label} {rows}" for rows, label in sorted(few)[:8])
    more = f" and {len(few) - 8} more" if len(few) > 8 else ""
    missing = sum(ROWS_PER_CLASS - rows for rows, _ in few)
    return warned(
        name,
        f"{len(few)} of {total} classes have fewer than {ROWS_PER_CLASS} training rows: "
        f"{shown}{more}.",
        _more(
            unused,
            "train_rows",
            f"Add {missing:,} rows to these classes, or merge classes that are answered alike",
        )
        + ".",
        floor=ROWS_PER_CLASS,
        missing=missing,
        classes={label: rows for rows, label in few},
    )


def balance(counts: ClassCounts) -> Gate:
    """Judge the ratio of the largest class to the smallest."""
    name = "data.balance"
    ratios = {field: imbalance(choices) for field, choices in counts.items()}
    worst = max(ratios, key=ratios.__getitem__, default=None)
    if worst is None:
        return passed(name, "The contract has no classes to balance.")
    choices = counts[worst]
    most, least = max(choices, key=choices.__getitem__), smallest(choices)
    reason = (
        f"{_class(worst, most, counts)} has {choices[most]} training rows, "
        f"{_class(worst, least, counts)} {choices[least]}: {ratios[worst]:.2f} to 1."
    )
    if ratios[worst] <= BALANCE:
        return passed(name, reason, ratio=ratios[worst], most=BALANCE)
    return warned(
        name,
        reason,
        f"Add {math.ceil(choices[most] / BALANCE) - choices[least]} rows of "
        f"{_class(worst, least, counts)}; up to {BALANCE:g} to 1 is accepted.",
        ratio=ratios[worst],
        most=BALANCE,
    )


def test_size(test: int, *, possible: int = 0) -> Gate:
    """Judge how sharply the test can tell; unknown scores are shown at 0.9 and 0.5.

    Args:
        test: Test rows.
        possible: Test rows there would be without a limit.
    """
    name = "data.test_size"
    if not test:
        return refused(
            name,
            "No row is left to test on.",
            "Add rows, or fix a test file with --test FILE.",
            waivable=False,
            rows=0,
        )
    high, half = half_width(test, 0.9), half_width(test, 0.5)
    needed, at_most = rows_for(HALF_WIDTH, 0.9), rows_for(HALF_WIDTH, 0.5)
    reason = (
        f"{test:,} test rows: a score of 0.90 is known to ±{high:.3f}, one of 0.50 to ±{half:.3f}."
    )
    evidence = {
        "rows": test,
        "half_width_at_0.9": high,
        "half_width_at_0.5": half,
        "rows_for_0.03_at_0.9": needed,
        "rows_for_0.03_at_0.5": at_most,
    }
    if test >= TEST_ROWS:
        return passed(name, reason, **evidence)
    more = f"Raise test_rows (up to {possible:,})" if possible > test else "Add test rows"
    return warned(
        name,
        reason,
        f"{more}: ±{HALF_WIDTH:g} needs {needed:,} at a score of 0.90 and {at_most:,} at 0.50.",
        **evidence,
    )


def personal_data(findings: Sequence[Finding], rows: int) -> Gate:
    """Warn of personal data in the rows: a model can repeat what it was trained on."""
    name = "data.pii"
    found = {
        finding.name.removeprefix("personal_"): finding.rows
        for finding in findings
        if finding.name.startswith("personal_")
    }
    if not found:
        return passed(
            name, f"No e-mail address, card, account or phone number in {rows:,} rows.", **found
        )
    shown = ", ".join(f"{kind.replace('_', ' ')} in {n}" for kind, n in found.items())
    return warned(
        name,
        f"Of {rows:,} rows some hold personal data: {shown}.",
        "Mask it before training (lines in findings.json), or record the legal basis as a fact.",
        **found,
    )


def half_width(rows: int, score: float) -> float:
    """Return the half-width of the 95 % interval of a share, by the normal approximation."""
    return _Z * math.sqrt(score * (1 - score) / rows)


def rows_for(half: float, score: float) -> int:
    """Return the rows at which that half-width is reached."""
    return math.ceil(_Z**2 * score * (1 - score) / half**2)


def _class(field: str, choice: str, counts: Mapping[str, object]) -> str:
    return choice if len(counts) == 1 else f"{field} = {choice}"


def _more(unused: int, setting: str, otherwise: str) -> str:
    return f"Raise {setting} ({unused:,} rows lie unused)" if unused else otherwise
