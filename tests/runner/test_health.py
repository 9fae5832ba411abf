"""Checks of a real server: what is asked, what is found, what is written down and who is told."""

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from fathom_tui.errors import CouldNotCheck, NotFound
from fathom_tui.health import HealthState
from fathom_tui.runner import health as module
from fathom_tui.runner.checked import Checked, Wanted
from fathom_tui.runner.health import check
from fathom_tui.runner.hooks import Hooks, command_name
from fathom_tui.runner.targets import Target
from fathom_tui.serving import Answer
from fathom_tui.store import Home, Store
from tests.served import SLUG, Deployment, anchor_set, deploy, lend, record_live, spoil

COUNT = 5
LOOK = Wanted(record=False)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    served = deploy(Home.at(tmp_path_factory.mktemp("shared")), count=COUNT)
    yield served
    served.target.stop()


@pytest.fixture
def served(shared: Deployment, home: Home) -> Deployment:
    """Return the shared server as a deployment of this test's home."""
    return lend(shared, home)


def recorded(home: Home, kind: str) -> list[dict[str, Any]]:
    lines = home.engagement_journal(SLUG).read_text("utf-8").splitlines()
    return [line["data"] for line in map(json.loads, lines) if line["kind"] == kind]


def engagement(home: Home) -> Store:
    store = Store(home.prepare())
    store.create_engagement("Acme triage", {}, SLUG)
    return store


class TestWhatCannotBeChecked:
    def test_an_engagement_that_is_not_there_is_refused(self, home: Home) -> None:
        with pytest.raises(NotFound, match="no engagement 'acme-triage'"):
            check(home.prepare(), SLUG, Wanted())

    def test_nothing_deployed_is_unknown_and_leaves_no_record(self, home: Home) -> None:
        engagement(home)

        found = check(home, SLUG, Wanted())

        assert (found.state, found.deployment) == (HealthState.UNKNOWN, None)
        assert "Nothing of acme-triage is deployed" in found.reasons[0]
        assert recorded(home, "check") == recorded(home, "alert") == []

    def test_a_version_that_was_rolled_back_to_nothing_says_so(self, home: Home) -> None:
        store = engagement(home)
        row = {"id": f"{SLUG}:v1", "run": "r", "target": "llama-cpp", "version": "v1"}
        store.record(SLUG, "deployment", {**row, "state": "rolled_back", "reason": "anchors fail"})

        found = check(home, SLUG, Wanted())

        assert found.state is HealthState.UNKNOWN
        assert "v1 is rolled_back: anchors fail" in found.reasons[0]

    def test_a_version_without_anchors_is_unknown(self, home: Home) -> None:
        record_live(engagement(home), "v1", "a", None)
        root = home.data / "serving" / SLUG
        root.mkdir(parents=True)
        (root / "v1.gguf").write_bytes(b"x")
        (root / "live.gguf").symlink_to("v1.gguf")

        found = check(home, SLUG, Wanted())

        assert found.state is HealthState.UNKNOWN
        assert "v1.anchors.json cannot be read" in found.reasons[0]

    def test_a_server_that_is_down_is_unknown_recorded_and_told(self, home: Home) -> None:
        record_live(engagement(home), "v1", "a", None)
        root = home.data / "serving" / SLUG
        root.mkdir(parents=True)
        (root / "v1.gguf").write_bytes(b"x")
        (root / "live.gguf").symlink_to("v1.gguf")
        pairs = [("a?", "A"), ("b?", "B")]
        anchors = anchor_set(pairs, version="v1", sha256="a")
        (root / "v1.anchors.json").write_text(json.dumps(anchors.to_json()))

        found = check(home, SLUG, Wanted())

        assert found.state is HealthState.UNKNOWN
        assert found.reasons == (
            "The server of acme-triage is not running. fathom serve acme-triage",
        )
        assert (found.passed, found.deployment) == (None, f"{SLUG}:v1")
        (event,) = recorded(home, "check")
        assert (event["state"], event["passed"], event["total"]) == ("unknown", None, None)
        assert Store(home).checks(SLUG)[0]["passed"] is None  # the tables take it
        (alert,) = recorded(home, "alert")
        assert (alert["state"], alert["before"], alert["delivered"]) == ("unknown", "ok", [])

    def test_an_alias_with_nothing_behind_it_is_critical(self, home: Home) -> None:
        record_live(engagement(home), "v1", "a", None)

        found = check(home, SLUG, LOOK)

        assert found.state is HealthState.CRITICAL
        assert "behind the alias acme-triage of" in found.reasons[0]


@pytest.mark.slow
class TestAWellServer:
    def test_is_ok_and_recorded_with_all_that_later_checks_compare(
        self, served: Deployment
    ) -> None:
        found = check(served.home, SLUG, Wanted())

        assert (found.state, found.reasons) == (HealthState.OK, ())
        assert (found.passed, found.total, found.threshold) == (COUNT, COUNT, 0.9)
        (event,) = recorded(served.home, "check")
        assert event["deployment"] == f"{SLUG}:v1"
        assert event["run"] == f"{SLUG}-1"
        assert (event["passed"], event["failures"], event["answers"]) == (COUNT, [], [])
        assert event["lengths"] == [len(a.expected) for a in served.anchors.anchors]
        assert 0 < event["latency_s"] <= event["seconds"]
        assert recorded(served.home, "alert") == []

    def test_is_only_looked_at_where_nothing_shall_be_recorded(self, served: Deployment) -> None:
        before = served.home.engagement_journal(SLUG).read_bytes()

        assert check(served.home, SLUG, LOOK).state is HealthState.OK

        assert served.home.engagement_journal(SLUG).read_bytes() == before
        assert not served.home.database.exists()

    def test_is_compared_with_its_first_check(self, served: Deployment) -> None:
        first = check(served.home, SLUG, Wanted())
        second = check(served.home, SLUG, Wanted())

        assert first.drift is None
        assert second.drift is not None
        assert (second.drift.kind, second.drift.p_value) == ("lengths", 1.0)

    def test_may_have_a_clock_that_jumps(
        self, served: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "utc_now", lambda: "2099-01-01T00:00:00.000Z")
        check(served.home, SLUG, Wanted())
        monkeypatch.setattr(module, "utc_now", lambda: "1999-01-01T00:00:00.000Z")
        monkeypatch.setattr(time, "time", lambda: -1e9)

        found = check(served.home, SLUG, Wanted())

        assert found.state is HealthState.OK
        assert 0 < found.seconds < 120
        assert found.drift is not None  # the one from the future came first

    def test_that_the_ledger_calls_by_another_version_is_a_warning(
        self, served: Deployment
    ) -> None:
        record_live(Store(served.home), "v2", "b" * 64, None)

        found = check(served.home, SLUG, LOOK)

        assert found.state is HealthState.WARNING
        assert found.deployment == f"{SLUG}:v1"  # what was asked
        assert "The ledger says that v2 is live, but llama-cpp serves v1" in found.reasons[0]

    def test_is_judged_by_the_threshold_that_is_asked_for(self, served: Deployment) -> None:
        spoil(served, 2)

        usual = check(served.home, SLUG, LOOK)
        lenient = check(served.home, SLUG, Wanted(record=False, threshold=0.6))

        assert (usual.state, usual.passed) == (HealthState.CRITICAL, COUNT - 2)
        assert (lenient.state, lenient.threshold) == (HealthState.OK, 0.6)


@pytest.mark.slow
class TestOtherAnchors:
    @pytest.mark.parametrize("change", [{"version": "v7"}, {"sha256": "f" * 64}])
    def test_than_those_of_the_file_that_serves_are_not_asked(
        self, served: Deployment, change: dict[str, str]
    ) -> None:
        path = served.root / "v1.anchors.json"
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | change), "utf-8")

        found = check(served.home, SLUG, Wanted(record=False))

        assert found.state is HealthState.UNKNOWN
        assert "are not those of v1" in found.reasons[0]

    def test_that_are_a_pipe_are_not_waited_for(self, served: Deployment) -> None:
        path = served.root / "v1.anchors.json"
        path.unlink()
        os.mkfifo(path)

        found = check(served.home, SLUG, Wanted(record=False))

        assert "are no file" in found.reasons[0]


class TestTrouble:
    def test_is_recorded_told_once_and_told_again_when_it_is_over(
        self, served: Deployment, tmp_path: Path
    ) -> None:
        out = tmp_path / "told.jsonl"
        hooks = Hooks(command=f"sh -c 'cat >> {out}; echo >> {out}'")
        path = served.root / "v1.anchors.json"
        good = path.read_bytes()

        spoil(served, 3)
        bad = [check(served.home, SLUG, Wanted(hooks=hooks)) for _ in range(2)]
        path.write_bytes(good)
        well = [check(served.home, SLUG, Wanted(hooks=hooks)) for _ in range(2)]

        assert [found.state.value for found in [*bad, *well]] == ["critical"] * 2 + ["ok"] * 2
        told = [json.loads(line) for line in out.read_text().splitlines()]
        assert [(a["before"], a["state"]) for a in told] == [
            ("ok", "critical"),
            ("critical", "ok"),
        ]
        assert told[1]["recovered"] is True
        alerts = recorded(served.home, "alert")
        assert [alert["state"] for alert in alerts] == ["critical", "ok"]
        delivered = {"hook": command_name(str(hooks.command)), "ok": True, "detail": ""}
        assert alerts[0]["delivered"] == [delivered]
        event = recorded(served.home, "check")[0]
        assert event["failures"] == ["anchor-01", "anchor-02", "anchor-03"]
        assert event["answers"][0] == {
            "id": "anchor-01",
            "expected": "something else",
            "actual": served.anchors.anchors[0].expected,
            "finish_reason": "stop",
        }

    def test_a_hook_that_fails_costs_no_answer_and_is_tried_again(
        self, served: Deployment, tmp_path: Path
    ) -> None:
        program = tmp_path / "hook"
        spoil(served, 3)
        kept = {"key": "alert_command", "value": str(program)}
        Store(served.home).record(SLUG, "fact", kept)

        first = check(served.home, SLUG, Wanted())
        program.write_text("#!/bin/sh\necho sent\n")
        program.chmod(0o700)
        second = check(served.home, SLUG, Wanted())

        assert first.state is second.state is HealthState.CRITICAL
        assert any("did not reach command hook" in note for note in first.notes)
        delivered = [alert["delivered"][0]["ok"] for alert in recorded(served.home, "alert")]
        assert delivered == [False, True]

    def test_a_kept_hook_that_makes_no_sense_is_named_and_the_model_checked(
        self, served: Deployment
    ) -> None:
        Store(served.home).record(SLUG, "fact", {"key": "alert_webhook", "value": "ftp://x"})

        found = check(served.home, SLUG, Wanted())

        assert (found.state, found.passed) == (HealthState.WARNING, COUNT)
        assert "An alert cannot be sent: The webhook is no address" in found.reasons[0]

    def test_a_check_that_cannot_be_recorded_still_answers(
        self, served: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            raise CouldNotCheck("the disk is full")

        monkeypatch.setattr(Store, "record", full)

        found = check(served.home, SLUG, Wanted())

        assert (found.state, found.passed) == (HealthState.WARNING, COUNT)
        assert "could not be recorded: the disk is full" in found.reasons[0]

    def test_two_checks_at_once_raise_one_alert(self, served: Deployment) -> None:
        spoil(served, 3)
        found: list[Checked] = []

        def run() -> None:
            found.append(check(served.home, SLUG, Wanted()))

        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert [seen.state for seen in found] == [HealthState.CRITICAL] * 2
        assert len(recorded(served.home, "check")) == 2
        assert len(recorded(served.home, "alert")) == 1

    def test_a_check_that_waits_too_long_for_another_is_unknown(
        self, served: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "QUEUE_S", 0.1)
        with (
            module._alone(served.home.engagement(SLUG) / "health.lock"),
            pytest.raises(CouldNotCheck, match="Another check of acme-triage"),
        ):
            check(served.home, SLUG, Wanted())


class Moving:
    """The real target, whose alias somebody moves before every n-th answer."""

    def __init__(self, target: Target, versions: Sequence[str], after: int) -> None:
        self._target, self._versions, self._after = target, list(versions), after
        self._asked = 0

    def ask(self, messages: Sequence[Mapping[str, str]], **options: Any) -> Answer:
        self._asked += 1
        if self._versions and self._asked % self._after == 0:
            self._target.activate(self._versions.pop(0))
        return self._target.ask(messages, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


@pytest.mark.slow
class TestAServerInMotion:
    @pytest.fixture
    def own(self, shared: Deployment, home: Home) -> Iterator[Deployment]:
        """Return two versions on a server of this test's own, the first one live."""
        first = deploy(home, sha256="a" * 64, known=shared.anchors)
        deploy(home, sha256="b" * 64, known=shared.anchors)
        first.target.activate("v1")
        record_live(Store(home), "v1", "a" * 64, first.target.url)
        yield first
        first.target.stop()

    def moving(
        self, own: Deployment, monkeypatch: pytest.MonkeyPatch, versions: Sequence[str]
    ) -> None:
        target = Moving(own.target, versions, after=COUNT)
        monkeypatch.setattr(module, "open_target", lambda *_, **__: target)

    def test_an_alias_that_moves_once_is_checked_again(
        self, own: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.moving(own, monkeypatch, ["v2"])

        found = check(own.home, SLUG, LOOK)

        assert (found.deployment, found.passed) == (f"{SLUG}:v2", COUNT)
        assert "The ledger says that v1 is live" in found.reasons[0]

    def test_an_alias_that_moves_twice_is_unknown(
        self, own: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.moving(own, monkeypatch, ["v2", "v1", "v2"])

        found = check(own.home, SLUG, LOOK)

        assert found.state is HealthState.UNKNOWN
        assert "The alias moved twice" in found.reasons[0]

    def test_a_server_that_is_killed_during_the_check_is_unknown(
        self, own: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        running = own.target._server.running()
        assert running is not None
        asked = own.target.ask

        def ask(messages: Sequence[Mapping[str, str]], **options: Any) -> Answer:
            answer = asked(messages, **options)
            os.kill(running.pid, 9)
            return answer

        monkeypatch.setattr(own.target, "ask", ask)
        monkeypatch.setattr(module, "open_target", lambda *_, **__: own.target)

        found = check(own.home, SLUG, LOOK)

        assert found.state is HealthState.UNKNOWN
        assert found.passed is None


def logged(home: Home, texts: Sequence[str]) -> None:
    """Write the evaluation set of the run that made the version."""
    folder = home.run(f"{SLUG}-1") / "data"
    folder.mkdir(parents=True)
    lines = [json.dumps({"input": text, "output": "x"}) + "\n" for text in texts]
    (folder / "test.jsonl").write_text("".join(lines))


CITIES = ("Rome", "Oslo", "Lima", "Cairo", "Tokyo", "Delhi", "Paris", "Bonn", "Bern", "Riga")
TOWNS = ("Turin", "Bergen", "Cusco", "Giza", "Osaka", "Agra", "Lyon", "Kiel", "Basel", "Minsk")


@pytest.mark.slow
class TestInputs:
    def test_that_look_like_the_evaluation_set_are_a_note(self, served: Deployment) -> None:
        logged(served.home, [f"Where is {city}?" for city in CITIES])
        recent = tuple(f"Where is {town}?" for town in TOWNS) + tuple(
            anchor.input for anchor in served.anchors.anchors
        )

        found = check(served.home, SLUG, Wanted(record=False, inputs=recent))

        assert found.state is HealthState.OK
        assert "look like those of the evaluation" in found.notes[0]
        assert found.drift is not None and found.drift.kind == "inputs"
        assert (found.drift.n_reference, found.drift.n_recent) == (COUNT + 10, COUNT + 10)

    def test_that_are_of_another_kind_are_a_warning_and_leave_no_text_behind(
        self, served: Deployment
    ) -> None:
        logged(served.home, [f"Where is {city}?" for city in CITIES])
        recent = tuple(f"def f{n}(x):\n    return x ** {n}  # secret" for n in range(12))

        found = check(served.home, SLUG, Wanted(inputs=recent))

        assert found.state is HealthState.WARNING
        assert "are not those the model was evaluated on" in found.reasons[0]
        (event,) = recorded(served.home, "check")
        assert event["drift"]["p_value"] <= 0.01
        assert "secret" not in json.dumps(event)

    def test_are_compared_with_the_anchors_alone_after_a_purge(
        self, served: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # As few anchors as this test asks would be refused.
        monkeypatch.setattr("fathom_tui.runner.inputs.FEWEST", COUNT)
        monkeypatch.setattr("fathom_tui.drift.FEWEST", COUNT)
        recent = tuple(f"Where is {city}?" for city in CITIES)

        found = check(served.home, SLUG, Wanted(record=False, inputs=recent))

        assert found.drift is not None and found.drift.n_reference == COUNT
        assert any("The evaluation set of acme-triage-1 is gone" in note for note in found.notes)

    def test_that_are_too_few_are_a_note(self, served: Deployment) -> None:
        logged(served.home, [f"Where is {city}?" for city in CITIES])

        found = check(served.home, SLUG, Wanted(record=False, inputs=("Where?", "  ")))

        assert (found.state, found.passed, found.drift) == (HealthState.OK, COUNT, None)
        assert any("recent ones: 1, others: 15, needed: 10 of each" in n for n in found.notes)
