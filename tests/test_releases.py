"""Versions as the ledger and the server have them: agreement, differences, and what is possible."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.check_events import check_of
from fathom_tui.gates import passed, refused
from fathom_tui.releases import (
    Accord,
    Release,
    RunFacts,
    Said,
    ServerAnswer,
    Standing,
    accepted,
    releases,
    run_facts,
    server_answer,
    standing,
    version_number,
    why_not_back,
    why_not_removed,
)
from fathom_tui.runs import Artifact, RunView


def event(version: str, state: str, seq: int, **more: Any) -> dict[str, Any]:
    """Return a deployment's event as the store gives it."""
    return {
        "id": f"acme:{version}", "run": f"acme-{version[1:]}", "target": "ollama",
        "version": version, "previous": None, "alias": "acme:live", "url": "http://127.0.0.1:11434",
        "artifact": "quantised", "sha256": "ab" * 32, "state": state, "engagement": "acme",
        "seq": seq, "at": f"2026-11-{seq:02d}T10:00:00.000Z", **more,
    }  # fmt: skip


TWO = (
    event("v1", "serving", 1),
    event("v1", "superseded", 2, reason="v2 went live"),
    event("v2", "serving", 3, previous="v1"),
)


def said(**versions: str) -> ServerAnswer:
    """Return what a server says of versions."""
    return ServerAnswer(versions={name: Said(word) for name, word in versions.items()})


def rows(answer: ServerAnswer | None, *events: dict[str, Any]) -> list[Release]:
    """Return the versions of a ledger."""
    return releases(events or TWO, answer, {}, {})


def stand(answer: ServerAnswer | None, *events: dict[str, Any]) -> Standing:
    """Return how ledger and server stand."""
    return standing(rows(answer, *events), answer)


def by_version(answer: ServerAnswer | None, *events: dict[str, Any]) -> dict[str, Release]:
    """Return the versions by name."""
    return {row.version: row for row in rows(answer, *events)}


def test_the_newest_version_is_first_and_its_last_event_counts() -> None:
    found = rows(None, *TWO, event("v10", "failed", 4))

    assert [row.version for row in found] == ["v10", "v2", "v1"]
    assert [row.state for row in found] == ["failed", "serving", "superseded"]
    assert found[2].reason == "v2 went live"
    assert [row.is_live for row in found] == [False, True, False]


def test_removed_versions_come_last_whatever_changed_last() -> None:
    first = rows(None, *TWO, event("v3", "serving", 4), event("v3", "removed", 5))
    changed = (event("v1", "removed", 6), event("v2", "stopped", 7))
    then = rows(None, *TWO, event("v3", "removed", 5), *changed)

    assert [row.version for row in first] == ["v2", "v1", "v3"]
    assert [row.version for row in then] == ["v2", "v3", "v1"]


def test_live_is_the_last_one_that_went_live_and_not_the_newest() -> None:
    found = stand(None, *TWO, event("v2", "rolled_back", 4), event("v1", "serving", 5))

    assert found.live is not None
    assert found.live.version == "v1"
    assert found.accord is Accord.UNASKED


def test_ledger_and_server_agree() -> None:
    found = stand(said(v1="kept", v2="live"))

    assert found.accord is Accord.AGREE
    assert found.reasons == ()
    assert found.serving is found.live


def test_a_server_that_answers_with_another_version_differs_and_both_are_named() -> None:
    found = stand(said(v1="live", v2="kept"))

    assert found.accord is Accord.DIFFER
    assert found.live is not None
    assert found.serving is not None
    assert (found.live.version, found.serving.version) == ("v2", "v1")
    assert "The ledger says that v2 is live; the server keeps it" in found.reasons[0]
    assert "The server answers with v1; the ledger says that it is superseded." in found.reasons[1]


def test_a_server_without_the_live_version_differs() -> None:
    found = stand(said(v1="kept", v2="not there"))

    assert found.accord is Accord.DIFFER
    assert found.serving is None
    assert "does not have it" in found.reasons[0]


def stopped(**kept: bool) -> ServerAnswer:
    """Return what `fathom versions` prints of versions whose server was stopped."""
    return server_answer(
        [
            {"version": name, "live": False, "answering": False, "kept": there, "error": None}
            for name, there in kept.items()
        ]
    )


def test_a_server_that_is_stopped_is_no_disagreement() -> None:
    events = [{**row, "target": "llama-cpp"} for row in TWO]
    found = by_version(stopped(v1=True, v2=True), *events)
    seen = stand(stopped(v1=True, v2=True), *events)

    assert (found["v1"].said, found["v2"].said) == (Said.KEPT, Said.STOPPED)
    assert not found["v2"].mismatch
    assert seen.accord is Accord.STOPPED
    assert seen.live is not None
    assert seen.live.version == "v2"
    assert seen.live.start == "fathom serve acme"
    assert why_not_back(found["v2"], seen.accord) == (
        "v2 is live and its server is not running: fathom serve acme."
    )
    assert why_not_back(found["v1"], seen.accord) == ""


def test_a_stopped_server_that_lost_the_live_version_differs() -> None:
    found = stand(stopped(v1=True, v2=False))

    assert found.accord is Accord.DIFFER
    assert "does not have it" in found.reasons[0]


def test_a_stopped_server_of_another_target_is_as_it_should_be() -> None:
    answer = server_answer(
        [
            {"version": "v1", "live": False, "answering": False, "kept": True, "error": None},
            {"version": "v2", "live": True, "answering": True, "kept": True, "error": None},
        ]
    )

    assert stand(answer).accord is Accord.AGREE


def test_an_old_version_that_is_gone_is_named_and_is_no_alarm() -> None:
    found = stand(said(v1="not there", v2="live"))

    assert found.accord is Accord.AGREE
    assert found.reasons == ("The server does not have v1 any more: no way back to it.",)


def test_a_removed_version_may_be_gone_but_not_be_kept() -> None:
    gone = by_version(said(v1="not there", v2="live"), *TWO, event("v1", "removed", 4))
    kept = by_version(said(v1="kept", v2="live"), *TWO, event("v1", "removed", 4))

    assert gone["v1"].mismatch == ""
    assert kept["v1"].mismatch == "v1 was removed; the server still keeps it."


def test_a_server_that_was_not_reached_says_nothing_against_the_ledger() -> None:
    answer = ServerAnswer(
        versions={"v1": Said.SILENT, "v2": Said.SILENT}, problems=("No server answers.",)
    )
    found = stand(answer)

    assert found.accord is Accord.SILENT
    assert found.reasons == ("No server answers.",)
    assert not any(row.mismatch for row in rows(answer))


def test_nothing_live_by_either_is_agreement() -> None:
    found = stand(said(v1="kept"), event("v1", "stopped", 1))

    assert found.accord is Accord.AGREE
    assert found.live is None


def test_what_the_command_prints_is_read() -> None:
    answer = server_answer(
        [
            {"version": "v1", "live": False, "kept": True, "error": None},
            {"version": "v2", "live": True, "kept": True, "error": None},
            {"version": "v3", "live": False, "kept": False, "error": None},
            {"version": "v4", "live": None, "kept": None, "error": "No server answers."},
            {"version": "v5", "live": None, "kept": None, "error": "No server answers."},
            {"version": "v6"},
        ]
    )

    assert answer.versions == {
        "v1": "kept", "v2": "live", "v3": "not there", "v4": "not reached", "v5": "not reached",
        "v6": "not reached",
    }  # fmt: skip
    assert answer.problems == ("No server answers.",)


@pytest.mark.parametrize("data", [None, {}, "[]", 3, [1], [["v1"]]])
def test_anything_else_is_no_answer(data: object) -> None:
    with pytest.raises(ValueError, match="no list of versions"):
        server_answer(data)


def test_a_roll_back_goes_to_a_version_that_is_there_and_not_live() -> None:
    found = by_version(
        said(v1="kept", v2="live", v3="kept", v4="not there"),
        *TWO,
        event("v3", "failed", 4),
        event("v4", "created", 5),
        event("v5", "removed", 6),
    )
    why = {version: why_not_back(row, Accord.AGREE) for version, row in found.items()}

    assert why["v1"] == ""
    assert why["v2"] == "v2 is live. Put the cursor on the one to go back to. v1 was before it."
    assert why["v3"] == "v3 is failed: there is no way back to it."
    assert "does not have v4 any more" in why["v4"]
    assert why["v5"] == "v5 is removed: there is no way back to it."


def test_where_ledger_and_server_differ_the_live_one_may_be_made_live_again() -> None:
    found = by_version(said(v1="live", v2="kept"))

    assert why_not_back(found["v2"], Accord.DIFFER) == ""
    assert why_not_back(found["v1"], Accord.DIFFER) == ""


def test_what_is_live_by_either_is_not_removed() -> None:
    found = by_version(said(v1="live", v2="kept"), *TWO, event("v3", "removed", 4))

    assert "v2 is live" in why_not_removed(found["v2"])
    assert "The server answers with v1" in why_not_removed(found["v1"])
    assert why_not_removed(found["v3"]) == "v3 is removed already."
    assert why_not_removed(by_version(said(v1="kept", v2="live"))["v1"]) == ""


def test_a_run_says_score_size_and_quantisation_of_its_file() -> None:
    view = RunView(id="acme-1", config={"quantization": "Q4_K_M"})
    view.stages["quantize"].result = {"bytes": 5, "effective_bits": 6.17}
    view.stages["evaluate"].result = {
        "scores": {"quantised": {"value": 0.8, "low": 0.7, "high": 0.9, "n": 154}}
    }
    view.artifacts["quantised"] = Artifact(
        name="quantised", stage="quantize", path="x", sha256="ab", bytes=101
    )

    assert run_facts(view) == RunFacts(
        score=0.8, low=0.7, high=0.9, n=154, bytes=101, quantization="Q4_K_M", bits=6.17,
        sha256="ab",
    )  # fmt: skip
    assert run_facts(RunView()) == RunFacts()


@pytest.mark.parametrize(
    "scores", [None, [], "high", {"quantised": 0.9}, {"quantised": {"value": "high", "n": True}}]
)
def test_odd_scores_are_unknown(scores: object) -> None:
    view = RunView()
    view.stages["evaluate"].result = {"scores": scores}

    assert run_facts(view) == RunFacts()


def test_a_run_is_accepted_when_its_evaluation_is_or_its_refusals_are_waived() -> None:
    view = RunView()
    assert not accepted(view, ())
    view.stages["evaluate"].result = {"verdict": "pass"}
    view.stages["evaluate"].gates = [passed("evaluate.improvement", "It beats the prompt.")]
    assert accepted(view, ())
    view.stages["evaluate"].gates.append(refused("evaluate.target", "It misses.", "Train longer."))
    assert not accepted(view, ())
    assert accepted(view, {"evaluate.target"})


def test_checks_and_facts_go_to_their_version() -> None:
    check = check_of({"deployment": "acme:v2", "passed": 14, "total": 20, "at": "2026-11-20"})
    found = releases(TWO, None, {"acme:v2": check}, {"acme-1": RunFacts(score=0.5)})

    assert found[0].check is check
    assert found[1].check is None
    assert found[1].facts.score == 0.5
    assert found[0].facts == RunFacts()


def test_events_without_a_version_or_a_state_are_passed_over() -> None:
    assert rows(None, event("v1", "", 1), {**event("v2", "serving", 2), "version": None}) == []


@given(st.text(max_size=12))
def test_a_version_number_is_never_an_error(version: str) -> None:
    assert version_number(version) >= -1


def test_version_numbers_count() -> None:
    assert [version_number(v) for v in ("v1", "v12", "vx", "", "v٣", "v99999999999")] == [
        1, 12, -1, -1, -1, -1,
    ]  # fmt: skip


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["v1", "v2", "v3"]),
            st.sampled_from(["created", "serving", "superseded", "rolled_back", "failed",
                "stopped", "removed"]),
        ),
        max_size=12,
    ),
    st.dictionaries(st.sampled_from(["v1", "v2", "v3"]), st.sampled_from(list(Said))),
)  # fmt: skip
def test_every_history_has_one_live_version_at_most_and_a_serious_difference_is_no_agreement(
    history: list[tuple[str, str]], answers: dict[str, Said]
) -> None:
    events = [event(v, state, seq) for seq, (v, state) in enumerate(history, 1)]
    answer = ServerAnswer(versions=answers)
    found = releases(events, answer, {}, {})
    seen = standing(found, answer)

    assert sum(row.is_live for row in found) <= 1
    assert len(found) == len({version for version, _ in history})
    if any(row.is_serious for row in found):
        assert seen.accord is Accord.DIFFER
        assert seen.reasons
    else:
        assert seen.accord is not Accord.DIFFER
