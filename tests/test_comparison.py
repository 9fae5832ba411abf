from collections.abc import Mapping, Sequence

import pytest

from fathom_tui.comparison import (
    NAMES,
    Comparison,
    cheaper,
    cheaper_gate,
    compare,
    headline,
    ship_gates,
)
from fathom_tui.contract import Contract, Field, Values
from fathom_tui.gates import Outcome
from fathom_tui.stats import resample_weights

LABELS = Contract.of_labels(("card", "fees"))
TICKET = Contract(
    kind="json",
    fields=(
        Field(name="category", kind="choice", choices=("card", "fees")),
        Field(name="amount", kind="number", nullable=True),
    ),
)
CASES = 200
TRUTH: list[Values] = [{"label": ("card", "fees")[n % 2]} for n in range(CASES)]


def answers(wrong: int) -> list[Values | None]:
    """The right answer to all but the first `wrong` cases, which are unusable."""
    return [None if n < wrong else values for n, values in enumerate(TRUTH)]


def compared(**wrong: int) -> Comparison:
    given: dict[str, Sequence[Values | None]] = {way: answers(n) for way, n in wrong.items()}
    return compare(LABELS, TRUTH, given, seed=1)


def outcomes(comparison: Comparison, target: float) -> Mapping[str, Outcome]:
    gates = ship_gates(comparison, target=target, explained=f"{target:.3f}")
    return {gate.name: gate.outcome for gate in gates}


class TestCompare:
    def test_scores_every_way_on_the_same_cases_and_resamples(self) -> None:
        found = compared(untuned=150, prompt=100, tuned=20, quantised=20)

        assert found.n == CASES
        assert (found.weights == resample_weights(CASES, seed=1)).all()
        assert found.score("tuned") == found.score("quantised")
        assert found.difference("tuned", "quantised").to_json() == {
            "value": 0.0,
            "low": 0.0,
            "high": 0.0,
            "n": CASES,
        }
        score = found.score("untuned")
        # 50 of 200 right and 150 unusable: recall 1/4, precision 1, F1 = 2/5 in both classes.
        assert score.value == pytest.approx(0.4)
        assert score.low < 0.4 < score.high

    def test_a_difference_counts_forwards_and_backwards_alike(self) -> None:
        found = compared(untuned=150, prompt=100, quantised=20)

        ahead, behind = (
            found.difference("quantised", "prompt"),
            found.difference("prompt", "quantised"),
        )

        assert ahead.value == -behind.value > 0
        assert (ahead.low, ahead.high) == pytest.approx((-behind.high, -behind.low))

    def test_no_cases_are_refused(self) -> None:
        with pytest.raises(ValueError, match="at least one case"):
            compare(LABELS, [], {"untuned": []}, seed=1)

    def test_a_way_that_answers_some_fields_is_compared_on_those(self) -> None:
        truth: list[Values] = [
            {"category": ("card", "fees")[n % 2], "amount": n} for n in range(40)
        ]
        found = compare(
            TICKET,
            truth,
            {
                "quantised": [{**values, "amount": None} for values in truth],
                "plain_code": [{"category": values["category"]} for values in truth],
            },
            seed=1,
        )

        assert found.score("quantised").value == 0.5
        assert found.score("quantised", ["category"]).value == 1.0
        assert found.part("quantised", "amount").value == 0.0
        assert found.difference("quantised", "plain_code", ["category"]).value == 0.0
        assert found.to_json()["plain_code"]["parts"] == {"category": 1.0}
        assert set(found.to_json()["quantised"]) == {"value", "low", "high", "n", "parts"}


class TestShipGates:
    def test_pass_where_the_gain_is_shown_and_the_target_reached(self) -> None:
        found = compared(untuned=150, prompt=100, tuned=20, quantised=24)

        assert outcomes(found, target=0.9) == {
            "evaluate.improvement": Outcome.PASS,
            "evaluate.target": Outcome.PASS,
        }

    def test_refuse_a_gain_within_the_noise_and_say_what_to_keep(self) -> None:
        # One case better than the prompt.
        found = compared(untuned=150, prompt=25, tuned=24, quantised=24)

        improvement, _ = ship_gates(found, target=0.5, explained="0.500")

        assert improvement.outcome is Outcome.REFUSE
        assert improvement.waivable
        assert "not shown to beat the best static prompt" in improvement.reason
        assert improvement.fix.startswith("Keep the best static prompt")
        assert improvement.evidence["against"] == "prompt"
        assert improvement.evidence["difference"]["low"] <= 0

    def test_compare_with_the_untuned_model_where_prompts_made_it_worse(self) -> None:
        found = compared(untuned=30, prompt=120, tuned=24, quantised=28)

        improvement, _ = ship_gates(found, target=0.5, explained="0.500")

        assert improvement.evidence["against"] == "untuned"
        assert improvement.outcome is Outcome.REFUSE

    def test_refuse_a_score_under_the_target_however_large_the_gain(self) -> None:
        found = compared(untuned=190, prompt=190, tuned=90, quantised=90)

        assert outcomes(found, target=0.72) == {
            "evaluate.improvement": Outcome.PASS,
            "evaluate.target": Outcome.REFUSE,
        }

    def test_the_target_may_be_met_exactly(self) -> None:
        found = compared(untuned=150, prompt=100, tuned=0, quantised=0)

        assert outcomes(found, target=1.0)["evaluate.target"] is Outcome.PASS

    def test_the_file_that_ships_is_judged_and_not_the_f16_one(self) -> None:
        found = compared(untuned=150, prompt=100, tuned=0, quantised=120)

        assert set(outcomes(found, target=0.6).values()) == {Outcome.REFUSE}


class TestCheaper:
    def test_nothing_is_named_where_tuning_is_clearly_better(self) -> None:
        found = compared(untuned=150, prompt=100, nearest_shots=90, plain_code=60, quantised=10)

        alternatives = cheaper(found, margin=0.03)
        gates = ship_gates(found, target=0.8, explained="0.800")

        assert alternatives == []
        assert cheaper_gate(found, alternatives).outcome is Outcome.PASS
        assert headline(found, gates, alternatives) == (
            "Fit to ship: 0.974 against 0.667 of the best static prompt."
        )

    def test_a_cheaper_way_within_the_margin_comes_before_praise(self) -> None:
        found = compared(untuned=150, prompt=100, nearest_shots=12, plain_code=12, quantised=10)

        alternatives = cheaper(found, margin=0.03)
        gate = cheaper_gate(found, alternatives)
        gates = ship_gates(found, target=0.8, explained="0.800")

        assert [way for way, _ in alternatives] == ["plain_code", "nearest_shots"]
        assert gate.outcome is Outcome.WARN
        assert gate.evidence["alternatives"] == ["plain_code", "nearest_shots"]
        assert {g.outcome for g in gates} == {Outcome.PASS}
        assert headline(found, gates, alternatives) == (
            "Something cheaper does as well: TF-IDF + logistic regression 0.969, "
            "tuned and quantised 0.974. "
            "Fit to ship: 0.974 against 0.667 of the best static prompt."
        )

    def test_a_cheaper_way_that_is_better_is_called_better(self) -> None:
        found = compared(untuned=150, prompt=150, plain_code=5, quantised=60)

        line = headline(found, (), cheaper(found, margin=0.03))

        assert line.startswith("Something cheaper is better: TF-IDF + logistic regression 0.987")

    def test_the_cheapest_is_named_first(self) -> None:
        found = compared(nearest_shots=8, prompt=9, untuned=10, plain_code=11, quantised=9)

        named = [way for way, _ in cheaper(found, margin=0.03)]

        assert named == ["plain_code", "untuned", "prompt", "nearest_shots"]

    def test_the_margin_counts_itself_in(self) -> None:
        found = compared(untuned=150, prompt=100, quantised=0)

        difference = found.difference("quantised", "prompt").value
        assert [way for way, _ in cheaper(found, margin=difference)] == ["prompt"]
        assert cheaper(found, margin=difference - 1e-9) == []

    def test_the_fields_a_cheaper_way_answers_are_named_and_those_it_cannot(self) -> None:
        truth: list[Values] = [
            {"category": ("card", "fees")[n % 2], "amount": n} for n in range(40)
        ]
        plain: list[Values | None] = [{"category": values["category"]} for values in truth]
        nothing: list[Values | None] = [None] * 40
        found = compare(
            TICKET,
            truth,
            {"untuned": nothing, "prompt": nothing, "quantised": truth, "plain_code": plain},
            seed=1,
        )

        line = headline(found, (), cheaper(found, margin=0.03))

        assert line.startswith(
            "Something cheaper does as well on category: TF-IDF + logistic regression 1.000, "
            "tuned and quantised 1.000. It cannot answer amount (tuned: 1.000)."
        )


def test_a_refusal_is_the_first_line_where_nothing_is_cheaper() -> None:
    found = compared(untuned=190, prompt=190, tuned=90, quantised=90)
    gates = ship_gates(found, target=0.72, explained="0.720, the threshold")

    line = headline(found, gates, [])

    assert line == "Do not ship: 0.710 misses the target 0.720, the threshold."


def test_every_way_has_a_name_for_people() -> None:
    assert set(NAMES) == {
        "untuned",
        "prompt",
        "nearest_shots",
        "plain_code",
        "tuned",
        "quantised",
    }
