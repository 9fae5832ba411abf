"""What is worth knowing about the rows of a dataset before anything is trained on them.

Findings name lines, never texts: they travel into journals and reports.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fathom_tui.contract import Contract
from fathom_tui.datasets.cases import Case
from fathom_tui.datasets.near_duplicates import THRESHOLD, near_groups
from fathom_tui.datasets.personal_data import KINDS, personal_data
from fathom_tui.datasets.words import normalised, normalised_with_symbols

BALANCE = 5.0
"""Largest accepted ratio of the biggest to the smallest class.

Source: the data notes of the project's sources, "no class more than five times another".
"""

ROWS_PER_CLASS = 200
"""Training rows a class should have at least; 200 to 500 is the usual advice."""

SHORTEST = 3
"""Characters under which a message can hardly carry a question."""

CHARACTERS_PER_TOKEN = 4
"""Bytes of UTF-8 a token stands for, about; the train stage counts real tokens."""

_CHAT_TOKEN = re.compile(r"<\|[A-Za-z_]{1,40}\|>|\[/?INST\]|</?s>|<(?:start|end)_of_turn>")

ClassCounts = Mapping[str, Mapping[str, int]]
"""Rows by contract field and choice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something about certain rows that a person may want to look at."""

    name: str
    rows: int
    """Rows concerned."""
    message: str
    groups: tuple[tuple[int, ...], ...]
    """Lines of the data file, rows that belong together in one group."""

    def to_json(self) -> dict[str, Any]:
        """Return the finding with all its lines, as it stands in `findings.json`."""
        return {
            "name": self.name,
            "rows": self.rows,
            "message": self.message,
            "lines": [list(group) for group in self.groups],
        }

    def summary(self) -> dict[str, Any]:
        """Return the finding without its lines, as it stands in a stage's result."""
        return {"name": self.name, "rows": self.rows, "message": self.message}


def check(cases: Sequence[Case], contract: Contract, *, max_tokens: int) -> list[Finding]:
    """Return every finding about the rows of one data file, most serious first.

    Args:
        cases: All rows, duplicates included.
        contract: What the answers must look like.
        max_tokens: Tokens of the longest row that training takes.
    """
    found = [
        label_conflicts(cases),
        exact_duplicates(cases),
        near_duplicates(cases),
        *lengths(cases, max_tokens=max_tokens),
        chat_tokens(cases),
        *personal(cases),
        *classes(class_counts(cases, contract)),
    ]
    return [finding for finding in found if finding is not None]


def label_conflicts(cases: Sequence[Case]) -> Finding | None:
    """Find rows with the same message and different answers."""
    groups = [
        group
        for group in _groups(cases, lambda case: normalised_with_symbols(case.input))
        if len({case.output for case in group}) > 1
    ]
    return _finding("label_conflicts", groups, "{rows} rows say the same but answer differently")


def exact_duplicates(cases: Sequence[Case]) -> Finding | None:
    """Find rows with the same words and the same answer."""
    groups = _groups(cases, _content)
    return _finding(
        "exact_duplicates", groups, "{rows} rows are copies of one another, in {groups} groups"
    )


def near_duplicates(cases: Sequence[Case], *, threshold: float = THRESHOLD) -> Finding | None:
    """Find rows that share most of their word 3-grams, copies left out."""
    kept, _ = without_copies(cases)
    groups = near_groups([case.input for case in kept], threshold=threshold)
    return _finding(
        "near_duplicates",
        [[kept[index] for index in group] for group in groups],
        f"{{rows}} rows are near duplicates (word 3-grams, Jaccard from {threshold:g})"
        ", in {groups} groups",
    )


def lengths(cases: Sequence[Case], *, max_tokens: int) -> list[Finding | None]:
    """Find rows too short to say anything, and rows that training will probably leave out."""
    short = [[case] for case in cases if len(case.input) < SHORTEST]
    most = max_tokens * CHARACTERS_PER_TOKEN
    long = [[case] for case in cases if len((case.input + case.output).encode()) > most]
    return [
        _finding("short_rows", short, f"{{rows}} rows have fewer than {SHORTEST} characters"),
        _finding(
            "long_rows",
            long,
            f"{{rows}} rows are longer than {most} bytes, about the {max_tokens} tokens that "
            "training takes",
        ),
    ]


def chat_tokens(cases: Sequence[Case]) -> Finding | None:
    """Find rows that contain control tokens of chat templates, which would end a turn early."""
    found = [[case] for case in cases if _CHAT_TOKEN.search(case.input + "\n" + case.output)]
    return _finding("chat_tokens", found, "{rows} rows contain control tokens of a chat template")


def personal(cases: Sequence[Case]) -> list[Finding | None]:
    """Find rows with personal data, one finding a kind."""
    rows: dict[str, list[list[Case]]] = {kind: [] for kind in KINDS}
    for case in cases:
        for kind in personal_data(f"{case.input}\n{case.output}"):
            rows[kind].append([case])
    return [
        _finding(f"personal_{kind}", found, f"{{rows}} rows hold {_article(kind)}")
        for kind, found in rows.items()
    ]


def class_counts(cases: Iterable[Case], contract: Contract) -> dict[str, dict[str, int]]:
    """Return the rows of every choice of every choice field, zeros included."""
    counts = {field.name: dict.fromkeys(field.choices, 0) for field in contract.choice_fields}
    for case in cases:
        for name, choices in counts.items():
            choices[str(case.values[name])] += 1
    return counts


def classes(counts: ClassCounts) -> list[Finding | None]:
    """Find fields whose classes are unbalanced, and classes with few rows."""
    found: list[Finding | None] = []
    for name, choices in counts.items():
        ratio = imbalance(choices)
        if ratio > BALANCE:
            most, least = max(choices, key=choices.__getitem__), smallest(choices)
            found.append(
                Finding(
                    name=f"balance_{name}",
                    rows=sum(choices.values()),
                    message=f"{most} has {choices[most]} rows, {least} {choices[least]}: "
                    f"{ratio:.1f} to 1",
                    groups=(),
                )
            )
        few = {choice: n for choice, n in choices.items() if n < ROWS_PER_CLASS}
        if few:
            found.append(
                Finding(
                    name=f"few_rows_{name}",
                    rows=sum(few.values()),
                    message=f"{len(few)} of {len(choices)} classes have fewer than "
                    f"{ROWS_PER_CLASS} rows",
                    groups=(),
                )
            )
    return found


def imbalance(choices: Mapping[str, int]) -> float:
    """Return rows of the largest class over rows of the smallest that has any; at least 1."""
    present = [count for count in choices.values() if count]
    return max(present) / min(present) if present else 1.0


def smallest(choices: Mapping[str, int]) -> str:
    """Return the class with the fewest rows, of those that have any."""
    present = {choice: count for choice, count in choices.items() if count} or choices
    return min(present, key=present.__getitem__)


def without_copies(cases: Sequence[Case]) -> tuple[list[Case], list[Case]]:
    """Return the rows with one of each set of copies, and the copies left out.

    Which one stays depends on the texts, not on the order of the rows.
    """
    stays = {min(group, key=lambda case: (case.input, case.id)).id for group in _all(cases)}
    kept = [case for case in cases if case.id in stays]
    return kept, [case for case in cases if case.id not in stays]


def _all(cases: Iterable[Case]) -> Iterable[list[Case]]:
    groups: dict[Hashable, list[Case]] = defaultdict(list)
    for case in cases:
        groups[_content(case)].append(case)
    return groups.values()


def _content(case: Case) -> Hashable:
    return normalised(case.input), case.output


def _groups(cases: Iterable[Case], key: Callable[[Case], Hashable]) -> list[list[Case]]:
    groups: dict[Hashable, list[Case]] = defaultdict(list)
    for case in cases:
        groups[key(case)].append(case)
    return [group for group in groups.values() if len(group) > 1]


def _finding(name: str, groups: Sequence[Sequence[Case]], message: str) -> Finding | None:
    if not groups:
        return None
    rows = sum(map(len, groups))
    return Finding(
        name=name,
        rows=rows,
        message=message.format(rows=rows, groups=len(groups)),
        groups=tuple(tuple(case.line for case in group) for group in groups),
    )


def _article(kind: str) -> str:
    return ("an " if kind[0] in "aeiou" else "a ") + kind.replace("_", " ")
