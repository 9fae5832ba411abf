import json

import pytest

from fathom_tui.gates import Gate, Outcome, blocking, passed, refused, warned, worst

PASS = passed("data.parse", "30 of 30 rows parse.", rows=30)
WARN = warned("data.floor", "300 rows.", "Give 200 more.")
REFUSE = refused("data.floor", "100 rows.", "Give 100 more.", rows=100)
FINAL = refused("data.leak", "3 test rows are in train.", "Remove them.", waivable=False)


@pytest.mark.parametrize("gate", [PASS, WARN, REFUSE, FINAL])
def test_a_gate_survives_its_json(gate: Gate) -> None:
    assert Gate.from_json(json.loads(json.dumps(gate.to_json()))) == gate


def test_the_worst_of_several_counts() -> None:
    assert worst([Outcome.PASS, Outcome.WARN, Outcome.PASS]) is Outcome.WARN
    assert worst([Outcome.WARN, Outcome.REFUSE]) is Outcome.REFUSE
    assert worst([]) is Outcome.PASS


def test_a_waiver_lifts_a_refusal_it_names_and_no_other() -> None:
    gates = [PASS, WARN, REFUSE, FINAL]

    assert blocking(gates, []) == [REFUSE, FINAL]
    assert blocking(gates, ["data.parse"]) == [REFUSE, FINAL]
    assert blocking(gates, ["data.floor"]) == [FINAL]


def test_a_final_refusal_cannot_be_waived() -> None:
    assert blocking([FINAL], ["data.leak"]) == [FINAL]
