"""Alerts: each change once, recoveries, and what did not arrive."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.alerts import ATTEMPTS, Alert, Delivery, Due, due
from fathom_tui.health import HealthState

OK, WARNING, CRITICAL = HealthState.OK, HealthState.WARNING, HealthState.CRITICAL
V1, V2 = "acme:v1", "acme:v2"
HOOKS = ["command mail", "webhook example.org"]


def alert(state: str, deployment: str = V1, *, before: str = "ok", **hooks: bool) -> dict[str, Any]:
    """Return a recorded alert; hooks as m (the command) and w (the webhook)."""
    names = {"m": HOOKS[0], "w": HOOKS[1]}
    return {
        "deployment": deployment,
        "state": state,
        "before": before,
        "reasons": [],
        "delivered": [{"hook": names[n], "ok": ok, "detail": ""} for n, ok in hooks.items()],
    }


class TestDue:
    def test_a_first_check_that_is_well_is_no_news(self) -> None:
        assert due(OK, V1, [], HOOKS) is None

    def test_a_change_is_news_for_every_hook(self) -> None:
        assert due(CRITICAL, V1, [], HOOKS) == Due(before=OK, hooks=tuple(HOOKS))

    def test_the_same_state_is_told_once(self) -> None:
        assert due(CRITICAL, V1, [alert("critical", m=True, w=True)], HOOKS) is None

    def test_a_change_from_bad_to_worse_is_news(self) -> None:
        told = [alert("warning", m=True, w=True)]

        assert due(CRITICAL, V1, told, HOOKS) == Due(before=WARNING, hooks=tuple(HOOKS))

    def test_a_recovery_is_told_once(self) -> None:
        bad = alert("critical", m=True, w=True)
        well = alert("ok", before="critical", m=True, w=True)

        assert due(OK, V1, [bad], HOOKS) == Due(before=CRITICAL, hooks=tuple(HOOKS))
        assert due(OK, V1, [bad, well], HOOKS) is None

    def test_a_recovery_is_told_to_those_who_were_called_about_the_trouble(self) -> None:
        long_past = [alert("critical", w=True), alert("ok", before="critical", w=True)]
        trouble = [alert("warning", m=False), alert("critical", before="warning")]

        found = due(OK, V1, [*long_past, *trouble], HOOKS)

        assert found == Due(before=CRITICAL, hooks=("command mail",))

    def test_another_version_in_the_same_bad_state_is_news(self) -> None:
        told = [alert("critical", V1, m=True, w=True)]

        assert due(CRITICAL, V2, told, HOOKS) == Due(before=CRITICAL, hooks=tuple(HOOKS))

    def test_another_version_that_is_well_is_no_news(self) -> None:
        assert due(OK, V2, [alert("ok", V1, before="critical", m=True, w=True)], HOOKS) is None

    def test_a_version_taken_back_by_a_release_recovers_with_the_next_check(self) -> None:
        taken_back = alert("critical", V2, before="unknown", m=True, w=True)

        assert due(OK, V1, [taken_back], HOOKS) == Due(before=CRITICAL, hooks=tuple(HOOKS))

    def test_a_hook_that_failed_is_called_again_and_the_other_is_not(self) -> None:
        told = [alert("critical", m=True, w=False)]

        assert due(CRITICAL, V1, told, HOOKS) == Due(before=OK, hooks=(HOOKS[1],))

    def test_a_recovery_that_did_not_arrive_is_sent_again(self) -> None:
        told = [alert("critical", m=True), alert("ok", before="critical", m=False)]

        assert due(OK, V1, told, HOOKS) == Due(before=CRITICAL, hooks=(HOOKS[0],))

    def test_it_is_given_up_after_some_attempts_until_the_state_changes(self) -> None:
        told = [alert("critical", m=True, w=False)] + [alert("critical", w=False)] * (ATTEMPTS - 1)

        assert due(CRITICAL, V1, told, HOOKS) is None
        assert due(OK, V1, told, HOOKS) == Due(before=CRITICAL, hooks=tuple(HOOKS))

    def test_a_hook_that_is_new_learns_of_the_trouble_there_is(self) -> None:
        told = [alert("critical", m=True)]

        assert due(CRITICAL, V1, told, HOOKS) == Due(before=OK, hooks=(HOOKS[1],))

    def test_a_hook_that_is_new_does_not_learn_of_a_recovery_long_past(self) -> None:
        told = [alert("critical", m=True), alert("ok", before="critical", m=True)]

        assert due(OK, V1, told, HOOKS) is None

    def test_a_change_is_recorded_where_nobody_can_be_told(self) -> None:
        assert due(CRITICAL, V1, [], []) == Due(before=OK, hooks=())
        assert due(CRITICAL, V1, [alert("critical")], []) is None

    def test_a_state_of_a_newer_version_is_unknown(self) -> None:
        assert due(OK, V1, [alert("on fire", m=True, w=True)], HOOKS) == Due(
            before=HealthState.UNKNOWN, hooks=tuple(HOOKS)
        )

    @given(states=st.lists(st.sampled_from(list(HealthState)), max_size=20))
    def test_people_are_told_of_each_change_and_of_nothing_else(
        self, states: list[HealthState]
    ) -> None:
        told: list[dict[str, Any]] = []
        for state in states:
            news = due(state, V1, told, HOOKS)
            if news is not None:
                told.append(alert(state, before=news.before, m=True, w=True))

        last, changes = OK, []
        for state in states:
            if state is not last:
                changes.append((last.value, state.value))
            last = state
        assert [(row["before"], row["state"]) for row in told] == changes


class TestAlert:
    @pytest.fixture
    def bad(self) -> Alert:
        return Alert(
            engagement="acme",
            deployment=V1,
            state=CRITICAL,
            before=OK,
            reasons=("17 of 20 anchors pass.", "Slow."),
            passed=17,
            total=20,
            checked_at="2026-11-22T08:00:00.000Z",
        )

    def test_the_payload_says_everything_and_reads_in_a_chat(self, bad: Alert) -> None:
        assert bad.payload() == {
            "text": "acme:v1 is critical (was ok). 17 of 20 anchors pass. Slow.",
            "engagement": "acme",
            "deployment": V1,
            "state": "critical",
            "before": "ok",
            "recovered": False,
            "reasons": ["17 of 20 anchors pass.", "Slow."],
            "anchors": {"passed": 17, "total": 20},
            "checked_at": "2026-11-22T08:00:00.000Z",
        }

    def test_the_variables_are_text_with_a_reason_a_line(self, bad: Alert) -> None:
        variables = bad.environment()

        assert variables["FATHOM_STATE"] == "critical"
        assert variables["FATHOM_REASONS"] == "17 of 20 anchors pass.\nSlow."
        assert all(name.startswith("FATHOM_") for name in variables)
        assert "FATHOM_HOME" not in variables

    def test_the_event_keeps_what_became_of_the_hooks(self, bad: Alert) -> None:
        event = bad.event([Delivery(hook="command mail", ok=False, detail="HTTP 500")])

        assert event["delivered"] == [{"hook": "command mail", "ok": False, "detail": "HTTP 500"}]
        assert (event["deployment"], event["state"], event["before"]) == (V1, "critical", "ok")
