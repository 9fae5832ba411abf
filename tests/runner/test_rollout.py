"""Versions that go live, fail, return and are removed, on the real server of the embedded model."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fathom_tui.deployment import live
from fathom_tui.errors import EnvironmentProblem, GateRefused, NotFound, UsageError
from fathom_tui.runner.agent import Agent
from fathom_tui.runner.embedded import embedded_gguf
from fathom_tui.runner.llama_target import LlamaCppTarget
from fathom_tui.runner.release import alone, announce, keep_anchors, pending, settle
from fathom_tui.runner.rollout import Rollouts
from fathom_tui.runner.targets import open_target
from fathom_tui.serving import ServingSpec
from fathom_tui.store import Home, Store
from fathom_tui.store.artifacts import content
from tests.ollama_double.started import double
from tests.served import (
    MOST_TOKENS,
    N_CTX,
    SLUG,
    SYSTEM,
    THREADS,
    Deployment,
    known_answers,
    record_live,
    spoil,
)

FEW = 3


def versions(home: Home, count: int) -> Deployment:
    """Return the last of so many versions of one file; it is live, the others were."""
    store = Store(home.prepare())
    store.create_engagement("Acme triage", {"input": "text"}, SLUG)
    root = home.data / "serving" / SLUG
    target = LlamaCppTarget(root, SLUG)
    made = [target.create(embedded_gguf(), spec(f"{n}" * 64)) for n in range(1, count + 1)]
    target.activate(made[-1])  # one start of the server, and not one for each
    anchors = known_answers(target, made[-1], spec("1").sha256, FEW)
    for number, version in enumerate(made, 1):
        keep_anchors(root, replace(anchors, version=version, sha256=f"{number}" * 64))
        record_live(store, version, f"{number}" * 64, target.url)
    return Deployment(home=home, root=root, target=target, anchors=anchors)


def spec(sha256: str) -> ServingSpec:
    return ServingSpec(
        sha256=sha256, system=SYSTEM, n_ctx=N_CTX, threads=THREADS, max_new_tokens=MOST_TOKENS
    )


@pytest.fixture
def two(lively: Home) -> Iterator[Deployment]:
    """Return the second of two versions; the second is live."""
    second = versions(lively, 2)
    yield second
    second.target.stop()


def rollouts(deployment: Deployment) -> tuple[Rollouts, list[str]]:
    said: list[str] = []
    return Rollouts(Store(deployment.home), SLUG, say=said.append), said


def states(deployment: Deployment) -> dict[str, str]:
    rows = rollouts(deployment)[0].rows()
    return {str(row["version"]): str(row["state"]) for row in rows}


def spoil_version(deployment: Deployment, version: str) -> None:
    """Make a version's anchors expect what it never says."""
    path = deployment.root / f"{version}.anchors.json"
    data = json.loads(path.read_text("utf-8"))
    for anchor in data["anchors"]:
        anchor["expected"] = "something else"
    path.write_text(json.dumps(data), "utf-8")


class TestRollback:
    def test_goes_to_the_version_before_and_back_again(self, two: Deployment) -> None:
        there, _ = rollouts(two)

        done = there.roll_back(None)

        assert (done.version, done.previous, two.target.live) == ("v1", "v2", "v1")
        assert done.anchors is not None
        assert done.anchors.passed == FEW
        assert states(two) == {"v2": "superseded", "v1": "serving"}
        assert there.roll_back("v2").version == "v2"
        assert two.target.live == "v2"

    def test_leaves_a_check_in_the_ledger(self, two: Deployment) -> None:
        rollouts(two)[0].roll_back(None)

        check = Store(two.home).checks(SLUG)[-1]
        assert (check["deployment"], check["passed"], check["total"]) == ("acme-triage:v1", 3, 3)
        assert check["state"] == "ok"

    def test_that_fails_its_anchors_is_taken_back_with_an_alert(self, two: Deployment) -> None:
        spoil_version(two, "v1")
        there, _ = rollouts(two)

        with pytest.raises(GateRefused, match="v1 was taken back: 0 of 3 anchors pass") as error:
            there.roll_back("v1")

        assert "Version v2 is live again." in error.value.message
        assert two.target.live == "v2"
        assert states(two) == {"v1": "rolled_back", "v2": "serving"}
        alert = Store(two.home).alerts(SLUG)[-1]
        assert (alert["deployment"], alert["state"]) == ("acme-triage:v1", "critical")
        assert pending(two.root) is None

    def test_to_a_version_that_is_not_there_names_those_that_are(self, two: Deployment) -> None:
        with pytest.raises(NotFound, match="no version 'v9' of acme-triage") as error:
            rollouts(two)[0].roll_back("v9")

        assert error.value.fix == "Versions: v1, v2"

    def test_of_a_first_version_has_nowhere_to_go(self, lively: Home) -> None:
        only = versions(lively, 1)
        try:
            with pytest.raises(NotFound, match="no version before v1"):
                rollouts(only)[0].roll_back(None)
        finally:
            only.target.stop()


class TestRemoval:
    def test_of_the_live_version_is_refused(self, two: Deployment) -> None:
        with pytest.raises(UsageError, match="v2 of acme-triage is live"):
            rollouts(two)[0].remove("v2")

        assert two.target.versions == ["v1", "v2"]

    def test_leaves_nothing_of_the_version_but_its_history(self, two: Deployment) -> None:
        rollouts(two)[0].remove("v1")

        assert two.target.versions == ["v2"]
        assert [path.name for path in two.root.glob("v1.*")] == ["v1.removed"]
        assert states(two)["v1"] == "removed"

    def test_of_old_versions_keeps_the_live_one_the_one_before_and_the_last_three(
        self, lively: Home
    ) -> None:
        last = versions(lively, 6)
        there, _ = rollouts(last)
        try:
            there.roll_back("v2")

            gone = there.prune()

            assert gone == ["v1", "v3"]
            assert last.target.versions == ["v2", "v4", "v5", "v6"]
            assert there.prune() == []
        finally:
            last.target.stop()


class TestAReleaseCutShort:
    """The power went between the announcement and the outcome."""

    def test_is_kept_where_the_version_answers_its_anchors(self, two: Deployment) -> None:
        announce(two.root, "v2", "v1")
        there, said = rollouts(two)

        there.settle(two.target)

        assert "The release of v2 was cut short; 3 of 3 anchors pass now" in said[0]
        assert two.target.live == "v2"
        assert pending(two.root) is None

    def test_goes_back_where_it_does_not(self, two: Deployment) -> None:
        announce(two.root, "v2", "v1")
        spoil(two, FEW)
        there, said = rollouts(two)

        there.settle(two.target)

        assert "Version v1 is live again." in said[0]
        assert two.target.live == "v1"
        assert states(two) == {"v2": "rolled_back", "v1": "serving"}

    def test_is_over_where_the_alias_had_not_moved_yet(self, two: Deployment) -> None:
        announce(two.root, "v1", "v2")

        settled = settle(two.target, two.root)

        assert settled is not None
        assert "cut short before it went live" in settled.said
        assert two.target.live == "v2"
        assert states(two)["v2"] == "serving"

    def test_is_settled_while_the_server_is_down_by_starting_it(self, two: Deployment) -> None:
        announce(two.root, "v2", "v1")
        two.target.stop()

        settled = settle(two.target, two.root)

        assert settled is not None
        assert settled.kept
        assert two.target.url is not None

    def test_is_settled_before_the_next_one(self, two: Deployment) -> None:
        announce(two.root, "v2", "v1")
        spoil(two, FEW)
        there, said = rollouts(two)

        with pytest.raises(NotFound, match="no version before v1"):
            there.roll_back(None)  # v1 returned, and it is the first

        assert "Version v1 is live again." in said[0]

    def test_with_a_damaged_note_says_what_to_look_at(self, two: Deployment) -> None:
        (two.root / "release.json").write_text("{", "utf-8")

        with pytest.raises(EnvironmentProblem, match="does not say which release") as error:
            rollouts(two)[0].roll_back("v1")

        assert "fathom versions" in error.value.fix


def test_two_releases_at_once_are_refused(two: Deployment) -> None:
    with alone(two.root), pytest.raises(EnvironmentProblem, match="Another release"):
        rollouts(two)[0].roll_back("v1")

    assert two.target.live == "v2"


def test_the_ledger_holds_the_last_serving_version_for_live(two: Deployment) -> None:
    rollouts(two)[0].roll_back("v1")

    row = live(rollouts(two)[0].rows())
    assert row is not None
    assert row["version"] == "v1"


def test_an_unknown_engagement_is_named(home: Home) -> None:
    home.prepare()

    with pytest.raises(NotFound, match="no engagement 'nobody'"):
        Rollouts(Store(home), "nobody", say=lambda _: None)


def test_an_agent_that_starts_after_a_power_cut_settles_what_was_left_open(
    two: Deployment,
) -> None:
    announce(two.root, "v2", "v1")
    spoil(two, FEW)
    two.target.stop()

    with Agent(two.home, idle_s=0.0) as agent:
        agent.serve()

    assert two.target.live == "v1"
    assert two.target.url is not None
    assert states(two) == {"v2": "rolled_back", "v1": "serving"}


class TestWhatAnAttackFound:
    def test_a_settled_release_remembers_the_version_before(self, two: Deployment) -> None:
        announce(two.root, "v2", "v1")
        there, _ = rollouts(two)
        there.settle_open()

        assert there.roll_back(None).version == "v1"

    def test_a_crash_before_the_ledger_knows_is_settled_by_whoever_comes_next(
        self, two: Deployment
    ) -> None:
        there, _ = rollouts(two)
        announce(two.root, "v1", "v2", "llama-cpp")
        two.target.activate("v1")  # and here the power went: the ledger still has v2

        there.settle_open()

        assert states(two) == {"v2": "superseded", "v1": "serving"}
        assert pending(two.root) is None
        assert there.roll_back(None).version == "v2"

    def test_a_server_that_has_the_old_version_is_believed(self, two: Deployment) -> None:
        two.target.activate("v1")
        announce(two.root, "v2", "v1")
        there, _ = rollouts(two)

        there.settle_open()

        assert states(two) == {"v2": "rolled_back", "v1": "serving"}

    @pytest.mark.parametrize("note", ['{"version": "v2", "previous": 5}', "[]", '{"version": 1}'])
    def test_a_note_that_makes_no_sense_is_refused(self, two: Deployment, note: str) -> None:
        (two.root / "release.json").write_text(note, "utf-8")

        with pytest.raises(EnvironmentProblem, match="does not say which release"):
            rollouts(two)[0].roll_back(None)

        assert states(two)["v2"] == "serving"

    def test_a_version_without_anchors_can_be_rolled_back_to(self, two: Deployment) -> None:
        path = two.root / "v1.anchors.json"
        data = json.loads(path.read_text("utf-8"))
        path.write_text(json.dumps({**data, "anchors": []}), "utf-8")

        done = rollouts(two)[0].roll_back(None)

        assert (done.version, done.anchors) == ("v1", None)
        assert two.target.live == "v1"


class TestAnotherTarget:
    """Version 1 on llama.cpp, version 2 of the same file on Ollama (the double of the contract)."""

    @pytest.fixture
    def both(
        self, lively: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[Deployment]:
        first = versions(lively, 1)
        with double(tmp_path / "models") as server:
            monkeypatch.setenv("OLLAMA_HOST", server.url)
            ollama = open_target("ollama", root=first.root, alias=SLUG)
            made = ollama.create(embedded_gguf(), spec(content(embedded_gguf()).sha256))
            keep_anchors(first.root, replace(first.anchors, version=made))
            row = {"id": f"{SLUG}:{made}", "run": f"{SLUG}-1", "version": made, "target": "ollama"}
            event = {**row, "state": "created", "alias": ollama.alias, "sha256": "2" * 64}
            Store(lively).record(SLUG, "deployment", event)
            yield first
        first.target.stop()

    def test_takes_over_and_the_old_one_is_stopped(self, both: Deployment) -> None:
        there, said = rollouts(both)

        done = there.roll_back("v2")

        assert (done.target, done.version, done.previous) == ("ollama", "v2", "v1")
        assert both.target.url is None
        assert "acme-triage on llama-cpp was stopped; its versions are kept." in said

    def test_has_a_way_back(self, both: Deployment) -> None:
        there, _ = rollouts(both)
        there.roll_back("v2")

        back = there.roll_back(None)

        assert (back.target, back.version) == ("llama-cpp", "v1")
        assert both.target.url is not None
        assert there.target("ollama").live is None

    def test_that_fails_leaves_the_old_one_answering(self, both: Deployment) -> None:
        spoil_version(both, "v2")

        with pytest.raises(GateRefused, match="v2 does not go live"):
            rollouts(both)[0].roll_back("v2")

        assert both.target.url is not None
        assert states(both) == {"v1": "serving", "v2": "failed"}
