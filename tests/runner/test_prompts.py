"""The static prompts that are tried before anything is trained."""

from fathom_tui.contract import Contract
from fathom_tui.datasets.cases import Case
from fathom_tui.recipe import Plan
from fathom_tui.runner.prompt import candidates

LABELS = ("card", "fees")


def a_plan(*, shots: int, candidates: int) -> Plan:
    return Plan(
        dataset="rows.csv",
        contract=Contract.of_labels(LABELS),
        instruction="Sort the message.",
        shots=shots,
        candidates=candidates,
    )


def rows(count: int) -> list[Case]:
    return [
        Case(
            id=f"c{n}", input=f"message {n}", values={"label": LABELS[n % 2]}, output=LABELS[n % 2]
        )
        for n in range(count)
    ]


def test_each_instruction_comes_at_its_most_promising_size_first() -> None:
    found = candidates(a_plan(shots=16, candidates=4), rows(40))

    assert [prompt.name for prompt in found] == [
        "described+8",
        "strict+8",
        "terse+8",
        "described+16",
    ]


def test_without_examples_each_instruction_is_tried_once() -> None:
    found = candidates(a_plan(shots=0, candidates=12), rows(40))

    assert [prompt.name for prompt in found] == ["described+0", "strict+0", "terse+0"]


def test_no_prompt_is_tried_twice_where_rows_are_few() -> None:
    found = candidates(a_plan(shots=16, candidates=12), rows(4))

    assert len({(prompt.system, prompt.shots) for prompt in found}) == len(found) == 3
