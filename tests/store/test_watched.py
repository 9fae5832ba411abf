"""What the screens of a served model ask of the ledger."""

from datetime import UTC, datetime, timedelta

import pytest

from fathom_tui.errors import NotFound
from fathom_tui.store.journal import Journal
from fathom_tui.store.ledger import Store
from fathom_tui.store.paths import Home

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def write(home: Home, slug: str, passed: list[int], *, step: timedelta) -> None:
    """Write an engagement with checks, each so much later than the one before."""
    now = [NOON]
    journal = Journal(home.engagement_journal(slug), now=lambda: now[0].isoformat())
    with journal:
        journal.append("engagement_created", {"slug": slug, "name": slug, "config": {}})
        for count in passed:
            now[0] += step
            data = {
                "deployment": f"{slug}:v1",
                "passed": count,
                "total": 20,
                "state": "ok" if count == 20 else "critical",
                "latency_s": count / 10,
                "answers": [{"id": "a1"}],
            }
            journal.append("check", data)


def test_recent_checks_are_the_last_of_each_engagement_in_the_journal_s_order(home: Home) -> None:
    home.prepare()
    write(home, "one", [1, 2, 3, 4], step=timedelta(days=1))
    write(home, "two", [5, 6, 7], step=-timedelta(days=1))
    rows = Store(home).recent_checks(2)

    assert [(row["engagement"], row["passed"]) for row in rows] == [
        ("one", 3), ("one", 4), ("two", 6), ("two", 7),
    ]  # fmt: skip


def test_only_the_newest_check_is_whole(home: Home) -> None:
    home.prepare()
    write(home, "one", [19, 20], step=timedelta(days=1))
    older, newest = Store(home).recent_checks(9, "one")

    assert newest["answers"] == [{"id": "a1"}]
    assert older == {
        "engagement": "one",
        "seq": 2,
        "at": "2026-11-22T12:00:00+00:00",
        "deployment": "one:v1",
        "passed": 19,
        "total": 20,
        "state": "critical",
        "latency_s": 1.9,
    }


def test_recent_checks_of_an_engagement_that_is_none_are_refused(home: Home) -> None:
    with pytest.raises(NotFound):
        Store(home).recent_checks(3, "nobody")


def test_watched_is_what_the_single_questions_answer(home: Home) -> None:
    home.prepare()
    write(home, "one", [20], step=timedelta(days=1))
    write(home, "two", [20], step=timedelta(days=1))
    store = Store(home)
    for state in ("serving", "stopped"):
        store.record(
            "two",
            "deployment",
            {"id": "two:v1", "run": "two-1", "target": "vllm", "version": "v1", "state": state},
        )
    store.record(
        "two", "alert", {"deployment": "two:v1", "state": "ok", "before": "ok", "reasons": []}
    )
    seen = store.watched(5)

    assert seen.slugs == [row.slug for row in store.engagements()]
    assert seen.deployments == store.deployments()
    assert seen.checks == store.recent_checks(5)
    assert seen.alerts == store.alerts()
    assert [row["state"] for row in seen.deployments] == ["stopped"]
