"""How served models are, from whatever the ledger holds."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.check_events import check_of, misses_of, moment
from fathom_tui.watching import (
    STALE_S,
    Condition,
    Order,
    Watched,
    ordered,
    tally,
    watch,
    worst,
)

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)


def event(at: datetime, seq: int, slug: str = "acme", **data: Any) -> dict[str, Any]:
    """Return an event as the store returns it."""
    stamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {**data, "engagement": slug, "seq": seq, "at": stamp}


def deployed(
    version: str = "v1", seq: int = 1, state: str = "serving", slug: str = "acme", **more: Any
) -> dict[str, Any]:
    """Return a deployment."""
    data = {"id": f"{slug}:{version}", "version": version, "state": state, **more}
    return event(NOW - timedelta(days=9), seq, slug, **data)


def checked(
    passed: Any,
    hours: float = 1,
    seq: int = 2,
    version: str = "v1",
    slug: str = "acme",
    **more: Any,
) -> dict[str, Any]:
    """Return a check of 20 anchors, some hours ago."""
    data = {"deployment": f"{slug}:{version}", "passed": passed, "total": 20, **more}
    return event(NOW - timedelta(hours=hours), seq, slug, **data)


def one(
    deployments: list[dict[str, Any]],
    checks: list[dict[str, Any]],
    alerts: list[dict[str, Any]] | None = None,
) -> Watched:
    """Return the row of the one engagement."""
    (row,) = watch(["acme"], deployments, checks, alerts or [], NOW)
    return row


@pytest.mark.parametrize(
    ("passed", "condition"), [(20, Condition.OK), (18, Condition.OK), (17, Condition.CRITICAL)]
)
def test_a_check_without_a_state_is_judged_by_its_counts(passed: int, condition: Condition) -> None:
    assert one([deployed()], [checked(passed)]).condition is condition


@pytest.mark.parametrize("state", ["ok", "warning", "critical", "unknown"])
def test_a_recorded_state_outranks_the_counts(state: str) -> None:
    assert one([deployed()], [checked(19, state=state)]).condition == state


def test_a_check_that_reached_nobody_counts_no_anchor() -> None:
    row = one([deployed()], [checked(0, state="unknown")])

    assert row.check is not None
    assert row.check.passed is None
    assert row.check.total == 20


def test_no_anchors_are_unknown_whatever_was_recorded() -> None:
    row = one([deployed()], [checked(0, total=0, state="ok")])

    assert row.condition is Condition.UNKNOWN
    assert row.reasons == ("The check found no anchor to ask.",)


def test_nothing_deployed_is_no_trouble() -> None:
    row = one([], [])

    assert row.condition is Condition.ABSENT
    assert worst([row]) is None
    assert tally([row]) == {"": 1}


@pytest.mark.parametrize(
    ("state", "condition"),
    [
        ("stopped", Condition.STOPPED),
        ("removed", Condition.STOPPED),
        ("failed", Condition.NOT_LIVE),
        ("rolled_back", Condition.NOT_LIVE),
        ("created", Condition.CREATED),
        ("superseded", Condition.NOT_LIVE),
        ("a state of a newer program", Condition.NOT_LIVE),
    ],
)
def test_a_version_that_does_not_serve_says_so(state: str, condition: Condition) -> None:
    row = one([deployed(state=state)], [checked(20)])

    assert row.condition is condition
    assert row.check is None


def test_a_version_that_serves_and_was_never_checked_is_unknown() -> None:
    row = one([deployed()], [])

    assert row.condition is Condition.UNCHECKED
    assert row.condition.state == "unknown"


def test_a_check_of_the_version_before_says_nothing_of_the_new_one() -> None:
    row = one([deployed("v1", 1, "superseded"), deployed("v2", 3)], [checked(20, seq=2)])

    assert row.condition is Condition.UNCHECKED
    assert [check.version for check in row.history] == ["v1"]


def test_after_a_roll_back_the_last_check_of_the_version_that_serves_counts() -> None:
    row = one(
        [deployed("v2", 4, "rolled_back"), deployed("v1", 5)],
        [checked(20, 5, seq=2), checked(8, 1, seq=3, version="v2")],
    )

    assert row.version == "v1"
    assert row.condition is Condition.OK
    assert row.check is not None
    assert row.check.passed == 20


def test_a_check_is_stale_after_26_hours() -> None:
    assert one([deployed()], [checked(20, 26)]).condition is Condition.OK
    assert one([deployed()], [checked(20, 26.01)]).condition is Condition.STALE
    assert STALE_S == 26 * 3600


def test_an_old_check_that_was_bad_stays_bad() -> None:
    row = one([deployed()], [checked(3, 200)])

    assert row.condition is Condition.CRITICAL
    assert row.is_old


def test_a_check_from_the_future_cannot_say_that_all_is_well() -> None:
    soon, later = one([deployed()], [checked(20, -0.01)]), one([deployed()], [checked(20, -48)])

    assert soon.condition is Condition.OK
    assert later.condition is Condition.UNKNOWN
    assert later.is_ahead
    assert not later.is_old


def test_the_journal_s_order_counts_and_not_the_clock_s() -> None:
    row = one([deployed()], [checked(3, -48, seq=2), checked(20, 1, seq=3)])

    assert row.condition is Condition.OK
    assert [check.passed for check in row.history] == [3, 20]


def test_a_change_is_of_the_last_check_to_the_one_before() -> None:
    falling = one([deployed()], [checked(20, 3), checked(17, 2, seq=3)])
    other = one([deployed()], [checked(20, 3), checked(10, 2, seq=3, total=10)])
    gap = one([deployed()], [checked(20, 3), checked(0, 2, seq=3, state="unknown")])

    assert falling.change == -3
    assert other.change is None
    assert gap.change is None
    assert one([deployed()], [checked(20)]).change is None


def test_reasons_are_the_check_s_own_else_the_counts() -> None:
    assert one([deployed()], [checked(17, reasons=["slow", ""])]).reasons == ("slow",)
    assert one([deployed()], [checked(17, reasons="slow")]).reasons == ("slow",)
    assert one([deployed()], [checked(17, threshold=0.95)]).reasons == (
        "17 of 20 anchors pass; 95 % must.",
    )
    assert one([deployed()], [checked(20)]).reasons == ()
    assert one([deployed()], [checked(19, notes=["one", 2])]).notes == ("one", "2")


def test_failing_anchors_come_with_their_answers_and_those_without_last() -> None:
    row = {
        "failures": ["a1", "a2"],
        "answers": [{"id": "a2", "expected": "x", "actual": "y", "finish_reason": "stop"}],
    }
    found = misses_of(row)

    assert [(miss.id, miss.expected, miss.actual) for miss in found] == [
        ("a2", "x", "y"),
        ("a1", None, None),
    ]


@pytest.mark.parametrize(
    ("p_value", "found"), [(0.01, True), (0.011, False), (None, None), ("small", None)]
)
def test_drift_is_found_at_the_level_of_the_test(p_value: object, found: bool | None) -> None:
    row = one([deployed()], [checked(20, drift={"kind": "lengths", "p_value": p_value})])

    assert row.drift is not None
    assert row.drift.found is found


def test_the_last_alert_is_the_last_in_the_journal() -> None:
    alerts = [event(NOW, 7, state="ok"), event(NOW - timedelta(days=1), 5, state="critical")]
    row = one([deployed()], [checked(20)], alerts)

    assert row.alert is not None
    assert row.alert["state"] == "ok"


def test_the_worst_comes_first_then_the_lowest_share_then_the_oldest() -> None:
    names = ["ok", "old", "older", "low", "lowest", "warned", "absent", "new"]
    serving = [deployed(slug=slug) for slug in names if slug != "absent"]
    checks = [
        checked(20, slug="ok"),
        checked(20, 30, slug="old"),
        checked(20, 60, slug="older"),
        checked(10, slug="low"),
        checked(2, slug="lowest"),
        checked(19, slug="warned", state="warning"),
    ]
    rows = ordered(watch(names, serving, checks, [], NOW), Order.WORST)

    assert [row.slug for row in rows] == [
        "lowest", "low", "warned", "new", "older", "old", "ok", "absent",
    ]  # fmt: skip
    assert (found := worst(rows)) is not None
    assert found.slug == "lowest"
    assert tally(rows) == {"critical": 2, "warning": 1, "unknown": 3, "ok": 1, "": 1}


def test_what_is_unknown_comes_last_in_every_order() -> None:
    names = ["a", "b", "c"]
    serving = [deployed(slug=slug) for slug in names]
    checks = [checked(20, 1, slug="b", latency_s=0.2), checked(20, 2, slug="c", latency_s=0.1)]
    rows = watch(names, serving, checks, [], NOW)

    assert [row.slug for row in ordered(rows, Order.OLDEST)] == ["c", "b", "a"]
    assert [row.slug for row in ordered(rows, Order.SLOWEST)] == ["b", "c", "a"]
    assert [row.slug for row in ordered(rows, Order.NAME)] == ["a", "b", "c"]


@pytest.mark.parametrize("at", ["", "yesterday", None, 7, "0001-01-01T00:00:00+14:00"])
def test_a_time_that_is_none_is_unknown(at: object) -> None:
    assert moment(at) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = ("passed", "total", "failures", "seconds", "state", "reasons", "notes", "threshold")
ANSWERS = ("latency_s", "lengths", "answers", "drift")


@given(data=st.dictionaries(st.sampled_from(FIELDS + ANSWERS), JSON), at=JSON)
def test_no_event_is_an_error(data: Mapping[str, Any], at: object) -> None:
    check = {"deployment": "acme:v1", **data, "engagement": "acme", "seq": 2, "at": at}
    (row,) = watch(["acme"], [deployed()], [check], [{**check, "seq": 3}], NOW)

    found = row.check
    assert found is not None
    assert row.condition.state in ("ok", "warning", "critical", "unknown")
    assert found.share is None or 0 <= found.share <= 1
    assert found.latency_s is None or found.latency_s >= 0
    assert 0 <= row.threshold <= 1
    # Nothing says that all is well but a check that counted, at a time that can be.
    if row.condition is Condition.OK:
        assert row.age_s is not None
        assert found.state == "ok"


@given(passed=st.integers(0, 40), total=st.integers(0, 40))
def test_counts_that_cannot_be_are_unknown(passed: int, total: int) -> None:
    check = check_of({"passed": passed, "total": total})

    assert (check.share is None) == (total == 0 or passed > total)
    assert (check.state == "unknown") == (check.share is None)
