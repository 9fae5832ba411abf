import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.target import target

shares = st.floats(0, 1)


@pytest.mark.parametrize(
    ("baseline", "wanted"),
    [
        (0.60, 0.66),  # ten per cent more is nearer
        (2 / 3, 0.7333),  # both are the same
        (0.70, 0.76),  # a fifth fewer errors is nearer
        (0.82, 0.856),
        (0.85, 0.88),
        (0.909, 0.9272),
        (0.95, 0.96),
        (1.0, 1.0),
    ],
)
def test_is_ten_per_cent_more_or_a_fifth_fewer_errors(baseline: float, wanted: float) -> None:
    aim = target(baseline, floor=0.6, threshold=None)

    assert aim.value == pytest.approx(wanted, abs=5e-5)
    assert aim.rule == "improvement"
    assert "ten per cent more or a fifth fewer errors" in aim.explain()


def test_the_sources_own_example_reaches_it() -> None:
    assert target(0.85, floor=0.6, threshold=None).value <= 0.92
    assert 0.92 < 1.10 * 0.85


def test_ten_per_cent_more_alone_would_be_out_of_reach_above_0_909() -> None:
    assert 1.10 * 0.91 > 1
    assert target(0.91, floor=0.6, threshold=None).value < 1


def test_a_tenth_more_than_almost_nothing_is_the_floor() -> None:
    aim = target(0.04, floor=0.6, threshold=None)

    assert (aim.value, aim.rule) == (0.6, "floor")
    assert "0.600, the floor" in aim.explain()
    assert "0.040" in aim.explain()


def test_the_floor_may_be_met_exactly() -> None:
    assert target(0.5, floor=0.55, threshold=None).rule in ("improvement", "floor")
    assert target(0.5, floor=0.55, threshold=None).value == pytest.approx(0.55)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.99])
def test_a_threshold_replaces_everything(threshold: float) -> None:
    aim = target(0.85, floor=0.6, threshold=threshold)

    assert (aim.value, aim.rule) == (threshold, "threshold")
    assert "the threshold set for this engagement" in aim.explain()


@given(shares, shares)
def test_is_always_possible_and_never_below_floor_or_baseline(
    baseline: float, floor: float
) -> None:
    aim = target(baseline, floor=floor, threshold=None)

    assert max(floor, baseline) <= aim.value + 1e-12
    assert aim.value <= max(1.0, floor) + 1e-12


def test_its_json_is_what_a_report_shows() -> None:
    assert target(0.85, floor=0.6, threshold=None).to_json() == {
        "value": 0.88,
        "baseline": 0.85,
        "rule": "improvement",
    }
