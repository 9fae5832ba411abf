"""The comparison as text, whatever `evaluate` reported."""

from typing import Any

import pytest

from fathom_tui.runs import RunView
from fathom_tui.screens import scores
from fathom_tui.screens.symbols import ASCII, UNICODE
from fathom_tui.stages import StageState
from tests.screens import story


def view_of(**results: Any) -> RunView:
    """Return a finished run with these results."""
    view = RunView(id="acme-1")
    for stage, result in results.items():
        view.stages[stage].state = StageState.DONE
        view.stages[stage].result = result
    return view


def shown(view: RunView, width: int = 78) -> list[str]:
    """Return the lines as text."""
    return [line.plain.rstrip() for line in scores.lines(view, UNICODE, width)]


@pytest.mark.parametrize(
    "result",
    [
        {},
        {"scores": {}},
        {"scores": None},
        {"scores": {"tuned": None}},
        {"verdict": "pass", "headline": "Ship it."},
        {"scores": "none"},
    ],
)
def test_nothing_is_shown_where_there_is_no_score(result: dict[str, Any]) -> None:
    assert shown(view_of(evaluate=result)) == []


@pytest.mark.parametrize(
    "row",
    [
        {"value": 0.5},
        {"value": 0.5, "low": None, "high": None, "n": None, "parts": None},
        {"value": 0.5, "low": 0.4, "high": 0.6, "parts": {"label": 0.5}},
        {"value": 0.5, "low": 0.4, "high": 0.6, "n": 64, "parts": {"a": None, "b": 0.3}},
        {"value": 1.5, "low": -0.5, "high": 2.5},
    ],
)
@pytest.mark.parametrize("width", [10, 40, 78, 200])
def test_missing_and_odd_keys_leave_out_what_they_would_say(
    row: dict[str, Any], width: int
) -> None:
    view = view_of(evaluate={"scores": {"quantised": row}, "target": None, "verdict": "odd"})

    lines = shown(view, width)

    assert any(line.startswith("tuned, quan") and f"{row['value']:.3f}" in line for line in lines)


def test_rows_of_their_own_and_unknown_ways_are_shown_too() -> None:
    view = view_of(
        evaluate={
            "scores": {"bigger": {"value": 0.9}, "tuned": {"value": 0.8}},
            "plain_code": {"value": 0.7},
            "nearest_shots": {"value": 0.6},
        }
    )

    names = [line.split()[0] for line in shown(view)[1:5]]

    assert names == ["nearest", "plain", "tuned", "bigger"]


def test_an_interval_is_drawn_to_scale_with_the_target() -> None:
    rows = {"quantised": story.score(0.5, 0.2, {}), "untuned": story.score(0.0, 0.0, {})}
    view = view_of(evaluate={"scores": rows, "target": 1.0})

    untuned, quantised = (
        line.plain for line in scores.lines(view, ASCII, 16 + 2 + 17 + 2 + 21)[1:3]
    )

    assert untuned[37:] == "o                   |"
    assert quantised[37:] == "      ====o====     |"


def test_every_line_fits() -> None:
    view = view_of(**story.RESULTS)

    for width in range(50, 160):
        assert max(line.cell_length for line in scores.lines(view, UNICODE, width)) <= width


def test_a_long_verdict_is_repeated_whole() -> None:
    said = "Do not ship: " + "the model is not better than what needs no training. " * 3
    result = {**story.RESULTS["evaluate"], "headline": said, "verdict": "refuse"}

    lines = shown(view_of(evaluate=result), 60)

    assert lines[0].startswith("✗ Do not ship:")
    assert " ".join(line.strip() for line in lines[:4]) == f"✗ {said.strip()}"
