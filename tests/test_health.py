"""Judging a check: each rule at its edge, and against the deployment's own past."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.health import (
    Finding,
    HealthState,
    Judgement,
    Observed,
    Past,
    described,
    judge,
    needed,
    past,
    worst,
)

OK, WARNING, CRITICAL = HealthState.OK, HealthState.WARNING, HealthState.CRITICAL


def seen(
    passed: int = 20,
    total: int = 20,
    *,
    latency_s: float = 0.2,
    lengths: Sequence[int] = (),
    loops: Mapping[str, str] | None = None,
) -> Observed:
    return Observed(
        passed=passed,
        total=total,
        latency_s=latency_s,
        lengths=tuple(lengths),
        loops=loops or {},
    )


def earlier(
    passed: int = 20,
    total: int = 20,
    *,
    latency_s: float | None = 0.2,
    lengths: Sequence[int] = (),
) -> Past:
    return Past(passed=passed, total=total, latency_s=latency_s, lengths=tuple(lengths))


def judged(now: Observed, *history: Past, **options: Any) -> Judgement:
    return judge(now, history, **{"threshold": 0.9, "usual_s": 0.2, **options})


class TestAnchors:
    def test_all_passing_is_ok_with_nothing_to_say(self) -> None:
        found = judged(seen(), earlier(), earlier())

        assert (found.state, found.reasons, found.notes) == (OK, (), ())

    def test_below_the_threshold_is_critical_at_once_with_the_interval(self) -> None:
        found = judged(seen(17))

        assert found.state is CRITICAL
        # Wilson, 17 of 20: by hand with z = 1.96.
        assert found.reasons == ("17 of 20 anchors pass (95 %: 0.64–0.95); the threshold is 0.90.",)

    @pytest.mark.parametrize(("passed", "state"), [(18, OK), (17, CRITICAL)])
    def test_the_threshold_itself_is_enough(self, passed: int, state: HealthState) -> None:
        assert judged(seen(passed)).state is state

    @pytest.mark.parametrize("tenths", range(11))
    def test_a_threshold_in_tenths_needs_that_many_of_ten(self, tenths: int) -> None:
        assert needed(tenths / 10, 10) == tenths
        assert needed(0.9, 20) == 18
        assert needed(0.901, 20) == 19

    def test_one_miss_is_a_note_and_two_checks_in_a_row_are_a_warning(self) -> None:
        first = judged(seen(19), earlier(20), earlier(20))
        second = judged(seen(19), earlier(20), earlier(20), earlier(19))

        assert (first.state, first.reasons) == (OK, ())
        assert "one check proves nothing" in first.notes[0]
        assert second.state is WARNING
        assert second.reasons == (
            "19 of 20 anchors pass (95 %: 0.76–0.99), 5.0 points less than the 20 of 20 of the "
            "first check, in two checks in a row.",
        )

    def test_a_miss_between_two_good_checks_never_alarms(self) -> None:
        history = [earlier(20)]
        for passed in (19, 20) * 10:
            assert judged(seen(passed), *history).state is OK
            history.append(earlier(passed))

    def test_misses_there_were_from_the_first_check_on_are_no_drop(self) -> None:
        assert judged(seen(18), earlier(18), earlier(18)).state is OK

    def test_three_points_exactly_are_no_drop(self) -> None:
        assert judged(seen(97, 100), earlier(100, 100), earlier(97, 100)).state is OK
        assert judged(seen(96, 100), earlier(100, 100), earlier(96, 100)).state is WARNING

    def test_a_count_is_told_with_its_interval(self) -> None:
        assert described(20, 20) == "20 of 20 anchors pass (95 %: 0.84–1.00)"


class TestLatency:
    def test_twice_the_usual_time_is_a_note_first_and_then_a_warning(self) -> None:
        once = judged(seen(latency_s=0.41), earlier())
        twice = judged(seen(latency_s=0.41), earlier(latency_s=0.45))

        assert (once.state, len(once.notes)) == (OK, 1)
        assert twice.state is WARNING
        assert twice.reasons == (
            "An answer takes 0.41 s, 2.0 times the usual 0.20 s, in two checks in a row.",
        )

    def test_exactly_twice_is_not_slow(self) -> None:
        assert judged(seen(latency_s=0.4), earlier(latency_s=0.5)).notes == ()

    def test_without_a_time_at_activation_the_first_checks_say_what_is_usual(self) -> None:
        creeping = [earlier(latency_s=0.1 * n) for n in range(1, 30)]

        found = judged(seen(latency_s=3.0), *creeping, usual_s=None)

        # The median of the first five, however slow the later ones were.
        assert "10.0 times the usual 0.30 s" in found.reasons[0]

    def test_two_earlier_checks_say_nothing_yet(self) -> None:
        found = judged(seen(latency_s=9.0), earlier(), earlier(), usual_s=None)

        assert (found.state, found.notes) == (OK, ())

    def test_a_check_that_kept_no_time_is_passed_over(self) -> None:
        found = judged(seen(latency_s=9.0), earlier(latency_s=None))

        assert (found.state, len(found.notes)) == (OK, 1)


class TestAnswers:
    def test_a_loop_is_a_warning_that_shows_it(self) -> None:
        found = judged(seen(19, loops={"anchor-7": "card card"}))

        assert found.state is WARNING
        assert found.reasons == ("Degenerate output: anchor-7 repeats 'card card' over and over.",)

    def test_several_loops_are_counted(self) -> None:
        found = judged(seen(18, loops={"anchor-1": "a", "anchor-2": "b", "anchor-3": "c"}))

        assert "anchor-1 and 2 more" in found.reasons[0]

    def test_answers_that_all_grew_are_a_warning(self) -> None:
        found = judged(seen(lengths=[30] * 20), earlier(lengths=[20] * 20))

        assert found.state is WARNING
        assert "10.0 characters longer" in found.reasons[0]
        assert found.drift is not None and found.drift.found

    def test_lengths_are_compared_with_the_first_check_that_kept_them(self) -> None:
        history = [earlier(), earlier(lengths=[20] * 20), earlier(lengths=[30] * 20)]

        assert judged(seen(lengths=[30] * 20), *history).state is WARNING
        assert judged(seen(lengths=[20] * 20), *history).state is OK

    def test_without_kept_lengths_nothing_is_tested(self) -> None:
        assert judged(seen(lengths=[20] * 20), earlier()).drift is None


class TestTogether:
    def test_the_worst_reason_comes_first(self) -> None:
        more = [
            Finding(state=HealthState.UNKNOWN, text="unknown"),
            Finding(state=OK, text="a note"),
        ]

        found = judged(seen(10, loops={"anchor-1": "x"}), more=more)

        assert found.state is CRITICAL
        assert "threshold" in found.reasons[0]
        assert "Degenerate" in found.reasons[1]
        assert found.reasons[2] == "unknown"
        assert found.notes == ("a note",)

    def test_certain_trouble_is_worse_than_what_is_unknown(self) -> None:
        assert worst([OK, HealthState.UNKNOWN, WARNING]) is WARNING
        assert worst([OK, HealthState.UNKNOWN]) is HealthState.UNKNOWN
        assert worst(reversed(HealthState)) is CRITICAL
        assert worst([]) is OK

    def test_exit_codes_are_those_of_monitoring_plugins(self) -> None:
        assert [state.exit_code for state in (OK, WARNING, CRITICAL, HealthState.UNKNOWN)] == [
            *(0, 1, 2, 3)
        ]

    @given(
        passed=st.integers(0, 20),
        history=st.lists(st.integers(0, 20), max_size=6),
        threshold=st.floats(0, 1),
    )
    def test_a_state_that_is_not_ok_always_says_why(
        self, passed: int, history: list[int], threshold: float
    ) -> None:
        found = judged(seen(passed), *(earlier(n) for n in history), threshold=threshold)

        assert (found.state is OK) == (not found.reasons)
        assert (found.state is CRITICAL) == (passed < needed(threshold, 20))


class TestPast:
    def test_a_check_is_read_as_it_was_recorded(self) -> None:
        event = {"passed": 19, "total": 20, "latency_s": 0.25, "lengths": [3, 4]}

        assert past([event]) == [earlier(19, latency_s=0.25, lengths=(3, 4))]

    def test_a_check_of_an_older_version_lacks_what_it_did_not_keep(self) -> None:
        event = {"deployment": "a:v1", "run": "a-1", "passed": 20, "total": 20, "failures": []}

        assert past([event]) == [earlier(latency_s=None)]

    @pytest.mark.parametrize(
        "event",
        [
            {},
            {"passed": None, "total": None, "state": "unknown"},
            {"passed": None, "total": 20},
            {"passed": 0, "total": 0},
            {"passed": 21, "total": 20},
            {"passed": "20", "total": 20},
            {"passed": 20, "total": 20, "lengths": ["many"]},
        ],
    )
    def test_what_answers_nothing_is_passed_over(self, event: dict[str, Any]) -> None:
        assert past([event]) == []
