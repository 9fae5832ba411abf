"""What serves, read from the journals alone."""

import json
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom_tui.errors import NotFound, StoreError
from fathom_tui.store import Home, Store
from fathom_tui.store.live import (
    FIRST,
    LAST,
    evaluation_inputs,
    feedback,
    slugs,
    watched,
)

SLUG = "acme"


def deployment(version: str, state: str) -> dict[str, Any]:
    return {
        "id": f"{SLUG}:{version}",
        "run": f"{SLUG}-1",
        "target": "llama-cpp",
        "version": version,
        "state": state,
    }


@pytest.fixture
def slug(store: Store) -> str:
    return store.create_engagement("Acme triage", {"input": "text"}, SLUG)


class TestWatched:
    def test_says_what_is_live_and_what_was_said_of_it(
        self, store: Store, home: Home, slug: str
    ) -> None:
        for version, state in (("v1", "serving"), ("v1", "superseded"), ("v2", "serving")):
            store.record(slug, "deployment", deployment(version, state))
        store.record(slug, "fact", {"key": "alert_command", "value": "old"})
        store.record(slug, "fact", {"key": "alert_command", "value": "mail"})

        known = watched(home, slug)

        assert known.live is not None and known.live["id"] == "acme:v2"
        assert (known.name, known.config) == ("Acme triage", {"input": "text"})
        assert known.facts == {"alert_command": "mail"}
        assert [row["state"] for row in known.deployments] == ["serving", "superseded", "serving"]
        first = known.of_version("v1")
        assert first is not None and first["state"] == "superseded"
        assert known.of_version("v3") is None

    def test_nothing_is_live_before_a_deployment(self, home: Home, slug: str) -> None:
        known = watched(home, slug)

        assert (known.live, known.deployments, known.alerts) == (None, (), ())
        assert known.checks("acme:v1") == []

    def test_checks_are_those_of_one_deployment_first_and_last(
        self, store: Store, home: Home, slug: str
    ) -> None:
        count = FIRST + LAST + 20
        for number in range(count):
            for version in ("v1", "v11"):
                check = {"deployment": f"acme:{version}", "passed": number, "total": 1000}
                store.record(slug, "check", check)

        numbers = [row["passed"] for row in watched(home, slug).checks("acme:v1")]

        assert numbers == [*range(FIRST), *range(count - LAST, count)]

    def test_words_of_people_that_look_like_events_are_not_taken_for_events(
        self, store: Store, home: Home, slug: str
    ) -> None:
        trap = '"kind":"deployment" "deployment":"acme:v1"'
        store.record(slug, "decision", {"what": trap, "why": trap, "by": "Ann"})
        store.record(slug, "fact", {"key": "k", "value": {"kind": "deployment", "id": "x"}})

        assert watched(home, slug).deployments == ()

    def test_no_such_engagement_names_those_there_are(self, home: Home, slug: str) -> None:
        with pytest.raises(NotFound, match="no engagement 'other'") as error:
            watched(home, "other")

        assert SLUG in error.value.fix

    def test_a_torn_last_line_is_left_out(self, store: Store, home: Home, slug: str) -> None:
        store.record(slug, "deployment", deployment("v1", "serving"))
        path = home.engagement_journal(slug)
        whole = path.read_bytes()

        for torn in (b'{"v":1,"seq":3,"kind":"deployment"', b'"kind":"deployment" \x00\x00\n'):
            path.write_bytes(whole + torn)

            assert [row["version"] for row in watched(home, slug).deployments] == ["v1"]

    def test_a_damaged_line_that_matters_is_refused_by_its_number(
        self, store: Store, home: Home, slug: str
    ) -> None:
        store.record(slug, "deployment", deployment("v1", "serving"))
        store.record(slug, "fact", {"key": "a", "value": 1})
        path = home.engagement_journal(slug)
        path.write_bytes(path.read_bytes().replace(b'"seq":2,', b'"seq":2', 1))

        with pytest.raises(StoreError, match="line 2 cannot be read"):
            watched(home, slug)

    def test_a_journal_without_its_beginning_is_refused(self, home: Home) -> None:
        path = home.engagement_journal(SLUG)
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")

        with pytest.raises(StoreError, match="does not hold the event that made"):
            watched(home, SLUG)

    @settings(max_examples=15)
    @given(
        states=st.lists(
            st.tuples(
                st.sampled_from(["v1", "v2", "v3"]),
                st.sampled_from(["created", "serving", "superseded", "rolled_back", "stopped"]),
            ),
            max_size=12,
        )
    )
    def test_agrees_with_the_tables(
        self, tmp_path_factory: pytest.TempPathFactory, states: list[tuple[str, str]]
    ) -> None:
        home = Home.at(tmp_path_factory.mktemp("home")).prepare()
        store = Store(home)
        store.create_engagement("Acme", {}, SLUG)
        for version, state in states:
            store.record(SLUG, "deployment", deployment(version, state))

        live = watched(home, SLUG).live

        latest = {row["id"]: row for row in sorted(store.deployments(SLUG), key=lambda r: r["seq"])}
        serving = [row for row in latest.values() if row["state"] == "serving"]
        expected = max(serving, key=lambda row: row["seq"])["id"] if serving else None
        assert (live["id"] if live else None) == expected


def test_slugs_are_the_engagements_with_a_journal(store: Store, home: Home, slug: str) -> None:
    (home.engagements / "not begun").mkdir()
    (home.engagements / "empty").mkdir()

    assert slugs(home) == [SLUG]
    assert slugs(Home.at(home.data.parent / "elsewhere")) == []


def test_feedback_comes_in_order(store: Store, home: Home, slug: str) -> None:
    for verdict in ("good", "bad"):
        store.record(slug, "feedback", {"deployment": "acme:v1", "verdict": verdict, "by": "Ann"})

    assert [row["verdict"] for row in feedback(home, slug)] == ["good", "bad"]


class TestEvaluationInputs:
    def test_are_the_texts_of_the_test_split(self, home: Home) -> None:
        folder = home.run("acme-1") / "data"
        folder.mkdir(parents=True)
        rows = [{"input": "one", "output": "a"}, {"input": "two", "output": "b"}]
        (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

        assert evaluation_inputs(home, "acme-1") == ["one", "two"]

    def test_are_gone_after_a_purge(self, home: Home) -> None:
        assert evaluation_inputs(home, "acme-1") is None

    def test_a_damaged_split_is_refused(self, home: Home) -> None:
        folder = home.run("acme-1") / "data"
        folder.mkdir(parents=True)
        (folder / "test.jsonl").write_text('{"output": "a"}\n')

        with pytest.raises(StoreError, match="is not a split"):
            evaluation_inputs(home, "acme-1")


def test_reading_opens_no_database(store: Store, home: Home, slug: str) -> None:
    watched(home, slug)

    assert not os.path.exists(home.database)
