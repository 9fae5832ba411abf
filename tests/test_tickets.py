"""The check of the demo tickets that `bench/tickets.py` keeps the result of."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fathom_tui.contract import Contract
from fathom_tui.engagement import read_settings
from tests.benches import bench

REAL_DATA = os.environ.get("FATHOM_REAL_DATA", "")


@pytest.fixture(scope="module")
def tickets() -> Iterator[ModuleType]:
    """Return the benchmark as a module."""
    with bench("tickets") as module:
        yield module


@pytest.fixture(scope="module")
def contract(tickets: ModuleType) -> Contract:
    return Contract.from_json(read_settings(tickets.DEMO / "engagement.toml")["contract"])


def ticket(number: int, **changes: Any) -> dict[str, Any]:
    labels = {"category": "card", "urgency": "low", "amount_gbp": None, "action": "block_card"}
    stratum = ("routine", "edge", "adversarial")[number % 3]
    text = " ".join(f"w{number}x{part}" for part in range(8))
    return {"id": f"t{number}", "text": text, "stratum": stratum, **labels, **changes}


MANY = [ticket(number) for number in range(640)]


def test_the_demo_tickets_have_no_fault(tickets: ModuleType, contract: Contract) -> None:
    real = tickets.banking77(Path(REAL_DATA)) if REAL_DATA else None

    result = tickets.check(tickets.read(tickets.DEMO / "tickets.jsonl"), contract, real)

    assert result["problems"] == []
    assert result["tickets"] >= 640
    assert set(result["strata"]) == {"routine", "edge", "adversarial"}
    assert len(result["labels"]["category"]) == 8
    assert len(result["labels"]["action"]) == 6


def test_varied_tickets_pass(tickets: ModuleType, contract: Contract) -> None:
    result = tickets.check(MANY, contract, ["something else entirely"])

    assert result["problems"] == []
    assert result["most_alike_pair"]["similarity"] == 0.0
    assert result["most_alike_to_banking77"]["messages"] == 1


# Six runs of three words; with another last word five of them stay: 5 of 7 are shared.
ALIKE = "my card was eaten by the machine"
FIVE = "i would like to know"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (MANY[:600], "600 tickets are fewer than 640"),
        (
            [*MANY, ticket(640, text=f"{ALIKE} here"), ticket(641, text=f"{ALIKE} today")],
            "t640 and t641 are as alike as 0.7143",
        ),
        ([*MANY, ticket(0, text="twice the same id")], "t0 is the id of 2 tickets"),
        (
            [*MANY, ticket(640, text="Help me!"), ticket(641, text="help me")],
            "2 tickets say 'help me'",
        ),
        (
            [*MANY, *(ticket(n, text=f"{FIVE} a{n} b{n} c{n} d{n} e{n}") for n in range(640, 650))],
            "'i would like to know' stands in 10 tickets",
        ),
        ([*MANY, ticket(640, category="cards")], "t640 has category 'cards'"),
        ([*MANY, ticket(640, amount_gbp="5")], "t640 has amount_gbp '5'"),
        ([*MANY, ticket(640, amount_gbp=0.001)], "t640 has amount_gbp 0.001"),
        ([*MANY, ticket(640, stratum="odd")], "t640 is of the stratum 'odd'"),
        (
            [{**one, "stratum": "routine"} for one in MANY],
            "0 of 640 tickets are adversarial",
        ),
        (
            [*MANY, ticket(640, text="How do I locate my new card?")],
            "t640 is as alike as 0.6667 to 'how do i locate my new phone'",
        ),
    ],
)
def test_a_fault_is_named(
    tickets: ModuleType, contract: Contract, changed: list[dict[str, Any]], said: str
) -> None:
    real = ["How do I locate my card?", "how do i locate my new phone"]

    problems = tickets.check(changed, contract, real)["problems"]

    assert any(said in problem for problem in problems), problems


def test_messages_that_are_not_at_hand_are_not_said_to_be_compared(
    tickets: ModuleType, contract: Contract
) -> None:
    assert tickets.check(MANY, contract, None)["most_alike_to_banking77"] == "not compared"
