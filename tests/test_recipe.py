import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.contract import Contract
from fathom_tui.errors import UsageError
from fathom_tui.recipe import QUANTIZATIONS, Plan, quick
from fathom_tui.runner.quantized import NOMINAL_BITS

LABELS = Contract.of_labels(("card", "fees"))


def plan(**settings: Any) -> Plan:
    given: dict[str, Any] = {
        "dataset": "tickets.csv",
        "contract": LABELS,
        "instruction": "Say what the ticket is about. Answer with one label.",
    }
    return Plan(**{**given, **settings})


class TestDefaults:
    def test_follow_the_craft_notes(self) -> None:
        made = plan()

        assert made.alpha == 2 * made.rank
        assert set(made.targets) >= {"q_proj", "k_proj", "v_proj", "o_proj"}
        assert made.evaluations >= 8
        assert 0.03 <= made.warmup <= 0.05
        assert made.shots <= 24
        assert (made.anchors, made.anchors_least, made.floor) == (20, 10, 0.60)

    def test_a_quick_look_is_256_rows_and_one_epoch(self) -> None:
        made = quick(plan())

        assert (made.train_rows, made.validation_rows, made.test_rows) == (256, 32, 64)
        assert (made.epochs, made.candidates) == (1.0, 3)


class TestSteps:
    @pytest.mark.parametrize(
        ("settings", "rows", "steps"),
        [
            ({"batch": 8, "epochs": 2.0}, 1000, 250),
            ({"batch": 8, "epochs": 2.0}, 1001, 251),
            ({"batch": 8, "epochs": 1.0}, 1, 1),
            ({"batch": 4, "epochs": 0.01}, 4, 1),
            ({"batch": 8, "epochs": 2.0, "max_steps": 40}, 1000, 40),
            ({"batch": 8, "epochs": 2.0, "max_steps": 4000}, 1000, 250),
            # 100 batches × 0.07 are 7.000000000000001 in binary.
            ({"batch": 4, "epochs": 0.07}, 400, 7),
        ],
    )
    def test_are_batches_times_epochs(
        self, settings: dict[str, Any], rows: int, steps: int
    ) -> None:
        assert plan(**settings).steps(rows) == steps


class TestTunedInstruction:
    @pytest.mark.parametrize(
        ("instruction", "short", "told"),
        [
            ("Triage it. Use one label.", "", "Triage it."),
            ("Triage it", "", "Triage it."),
            ("Is this spam? Say yes or no", "", "Is this spam? Say yes or no."),
            ("Is this spam?", "", "Is this spam?"),
            ("Triage it. Use one label.", "Triage!", "Triage!"),
        ],
    )
    def test_is_the_first_sentence_unless_a_short_one_is_given(
        self, instruction: str, short: str, told: str
    ) -> None:
        assert plan(instruction=instruction, short_instruction=short).tuned_instruction == told


class TestJson:
    def test_a_plan_survives_it(self) -> None:
        made = plan(epochs=1, threshold=0.9, train_rows=100, targets=("q_proj",))

        again = Plan.from_json(json.loads(json.dumps(made.to_json())))

        assert again == made
        assert again.to_json() == made.to_json()

    def test_what_is_not_said_has_its_default(self) -> None:
        data = {"dataset": "a.csv", "contract": LABELS.to_json(), "instruction": "Classify."}

        assert Plan.from_json(data) == plan(dataset="a.csv", instruction="Classify.")

    def test_an_unknown_setting_is_named_with_the_known_ones(self) -> None:
        with pytest.raises(UsageError, match="no setting named epoch, learning") as error:
            Plan.from_json({**plan().to_json(), "epoch": 2, "learning": 1})

        assert "epochs" in error.value.fix

    def test_a_missing_one_is_named(self) -> None:
        with pytest.raises(UsageError, match="lacks contract, instruction"):
            Plan.from_json({"dataset": "a.csv"})


class TestRefused:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("epochs", 0),
            ("epochs", 1000),
            ("epochs", float("nan")),
            ("epochs", float("inf")),
            ("epochs", "2"),
            ("epochs", None),
            ("epochs", True),
            ("epochs", 10**400),
            ("learning_rate", 2.0),
            ("rank", 0),
            ("rank", 16.0),
            ("rank", "16"),
            ("batch", 0),
            ("batch", -8),
            ("seed", -1),
            ("seed", 2**32),
            ("train_rows", 0),
            ("train_rows", 1.5),
            ("shots", 25),
            ("threshold", 1.5),
            ("threshold", "0.9"),
            ("target", "cloud"),
            ("target", 1),
            ("nearest_on_test", "no"),
            ("nearest_on_test", 1),
            ("targets", "q_proj"),
            ("targets", (1, 2)),
            ("input", 3),
            ("dataset", None),
            ("instruction", " \n"),
            ("quantization", "Q4_K_S"),
            ("quantization", "q4_k_m"),
        ],
    )
    def test_a_setting_of_another_kind_or_out_of_range(self, name: str, value: Any) -> None:
        with pytest.raises(UsageError, match=f"The recipe's {name} is ") as error:
            plan(**{name: value})

        assert error.value.fix

    def test_a_batch_that_micro_batches_do_not_fill(self) -> None:
        with pytest.raises(
            UsageError, match="A batch of 8 does not divide into micro-batches of 3"
        ):
            plan(batch=8, micro_batch=3)

    @given(
        st.dictionaries(
            st.sampled_from(sorted(plan().to_json())),
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.text()
            | st.lists(st.text()),
        )
    )
    def test_any_json_is_a_plan_or_a_usage_error(self, settings: dict[str, Any]) -> None:
        try:
            made = Plan.from_json({**plan().to_json(), **settings})
        except UsageError as error:
            assert error.fix
        else:
            assert Plan.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_every_quantisation_that_may_be_asked_for_has_its_bits() -> None:
    assert tuple(NOMINAL_BITS) == QUANTIZATIONS
