"""The store as the rest of the program uses it."""

import multiprocessing
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fathom_tui.errors import NotFound, StoreError, UsageError
from fathom_tui.events import Event
from fathom_tui.stages import STAGE_NAMES
from fathom_tui.store import Home, Store, journal
from fathom_tui.store.database import Database
from tests.store.conftest import WriteRun
from tests.store.test_paths import BAD_SLUGS


def test_an_engagement_is_there_once_created(store: Store) -> None:
    slug = store.create_engagement("Acme Triage", {"task": "classify", "model": {"id": "x"}})

    row = store.engagement(slug)

    assert (row.slug, row.name) == ("acme-triage", "Acme Triage")
    assert row.config == {"task": "classify", "model": {"id": "x"}}
    assert (row.runs, row.last_run, row.last_state) == (0, None, None)
    assert [event.kind for event in _events(store, slug)] == ["engagement_created"]


def test_a_taken_slug_is_refused(store: Store, acme: str) -> None:
    with pytest.raises(UsageError, match="'acme' already"):
        store.create_engagement("Another", {}, acme)

    assert store.engagement(acme).name == "Acme triage"


def test_an_engagement_whose_creation_was_cut_short_can_be_created_again(store: Store) -> None:
    path = store.home.engagement_journal("acme")
    path.parent.mkdir()
    path.write_bytes(b'{"v":1,"seq":1,"at":"2026')

    with pytest.raises(NotFound):
        store.record("acme", "fact", {"key": "a", "value": 1})
    store.create_engagement("Acme", {}, "acme")

    assert [row.slug for row in store.engagements()] == ["acme"]


@pytest.mark.parametrize("slug", BAD_SLUGS)
def test_every_way_in_refuses_an_unsafe_slug(store: Store, slug: str) -> None:
    for way_in in (
        lambda: store.create_engagement("x", {}, slug),
        lambda: store.engagement(slug),
        lambda: store.record(slug, "fact", {"key": "a", "value": 1}),
        lambda: store.reserve_run(slug),
        lambda: store.facts(slug),
        lambda: store.run_view(f"{slug}-1"),
        lambda: store.artifacts(f"{slug}-1"),
    ):
        with pytest.raises(UsageError):
            way_in()

    assert list(store.home.data.rglob("*.jsonl")) == []


def test_an_unknown_engagement_names_those_that_come_close(store: Store, acme: str) -> None:
    for way_in in (
        lambda: store.engagement("acne"),
        lambda: store.record("acne", "fact", {"key": "a", "value": 1}),
        lambda: store.waivers("acne"),
        lambda: store.reserve_run("acne"),
    ):
        with pytest.raises(NotFound, match="no engagement 'acne'") as unknown:
            way_in()
        assert unknown.value.fix == "Did you mean acme?"


def test_an_unknown_run_names_those_that_come_close(
    store: Store, acme: str, write_run: WriteRun
) -> None:
    write_run(acme)

    with pytest.raises(NotFound, match="no run 'acne-1'") as unknown:
        store.run_view("acne-1")

    assert unknown.value.fix == "Did you mean acme-1?"


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("engagement_created", {}),
        ("rumour", {"key": "a"}),
        ("fact", {"key": "a"}),
        ("waiver", {"run": "acme-1", "gate": "data.floor", "by": " ", "reason": "a pilot"}),
        ("waiver", {"run": "acme-1", "gate": "data.floor", "by": "Ann", "reason": ""}),
        ("decision", {"what": "local", "why": "", "by": "Ann"}),
    ],
)
def test_record_refuses_an_event_that_says_too_little(
    store: Store, acme: str, kind: str, data: dict[str, object]
) -> None:
    before = len(_events(store, acme))

    with pytest.raises(UsageError):
        store.record(acme, kind, data)

    assert len(_events(store, acme)) == before


def test_what_was_recorded_is_answered_with_number_and_time(store: Store, acme: str) -> None:
    waiver = store.waivers(acme)[0]

    assert waiver["by"] == "Ann"
    assert waiver["reason"] == "a pilot"
    assert (waiver["engagement"], waiver["seq"]) == ("acme", 4)
    assert waiver["at"].endswith("Z")
    assert store.waivers(acme, run="acme-1") == [waiver]
    assert store.waivers(acme, run="acme-2") == []
    assert store.decisions(acme)[0]["what"] == "run locally"
    assert store.checks(acme)[0]["failures"] == ["case-7"]
    assert store.checks() == store.checks(acme)
    assert store.test_openings(acme) == 1


def test_facts_are_the_latest_of_each_key(store: Store, acme: str) -> None:
    store.record(acme, "fact", {"key": "gpu", "value": None})
    store.record(acme, "fact", {"key": "volume", "value": {"value": 1500, "unit": "requests"}})

    facts = {fact["key"]: fact["value"] for fact in store.facts(acme)}

    assert facts == {"volume": {"value": 1500, "unit": "requests"}, "gpu": None}


def test_a_deployment_is_shown_as_last_recorded(store: Store, acme: str) -> None:
    later = {**store.deployments(acme)[0], "state": "removed"}
    for name in ("engagement", "seq", "at"):
        del later[name]
    store.record(acme, "deployment", later)
    store.record(acme, "deployment", {**later, "id": "acme-2-v2", "state": "active"})

    states = [(each["id"], each["state"]) for each in store.deployments()]

    assert states == [("acme-1-v1", "removed"), ("acme-2-v2", "active")]


def test_runs_are_listed_newest_first_with_all_stages(
    store: Store, acme: str, write_run: WriteRun
) -> None:
    other = store.create_engagement("Other", {})
    ids = [write_run(acme), write_run(other), write_run(acme)]

    rows = store.runs()

    assert [row.id for row in rows] == ids[::-1]
    assert [stage.name for stage in rows[0].stages] == list(STAGE_NAMES)
    assert rows[0].stages[0].to_json() == {
        "name": "preflight",
        "state": "done",
        "seconds": 1.25,
        "verdict": "warn",
    }
    assert rows[0].to_json()["finished_at"] is None
    assert [row.id for row in store.runs(other)] == [ids[1]]
    assert store.engagement(acme).to_json()["runs"] == 2
    assert store.engagement(acme).last_run == ids[2]
    assert store.engagement(acme).last_state == "running"


def test_run_view_comes_from_the_journal_alone(
    store: Store, acme: str, write_run: WriteRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = write_run(acme)
    monkeypatch.delattr(Database, "transact")

    view = store.run_view(run_id)

    assert view.config == {"seed": 7}
    assert len(view.metrics) == 2


def test_measured_figures_of_all_runs_are_found_by_name(
    store: Store, acme: str, write_run: WriteRun
) -> None:
    run_id = write_run(acme)

    (found,) = store.measured("tokens_per_s")

    assert found["run"] == run_id
    assert found["figure"]["value"] == 420.5
    assert found["hardware"] == {"cpu": "two cores"}
    assert store.measured("peak_memory_gb") == []


def test_artifacts_are_listed_with_hash_size_and_inputs(
    store: Store, acme: str, write_run: WriteRun
) -> None:
    artifact = {
        "name": "adapter",
        "stage": "train",
        "path": "adapter",
        "sha256": "ab",
        "bytes": 7,
        "inputs": {"data": "cd"},
    }
    run_id = write_run(acme, ("artifact", artifact))

    assert store.artifacts(run_id) == [artifact]


def test_reserve_run_counts_on_and_never_hands_out_a_number_twice(store: Store, acme: str) -> None:
    ids: list[str] = []
    threads = [
        threading.Thread(target=lambda: ids.append(store.reserve_run(acme))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.home.run("acme-3").rmdir()

    assert sorted(ids) == [f"acme-{number}" for number in range(1, 9)]
    assert store.reserve_run(acme) == "acme-9"
    assert stat.S_IMODE(store.home.run("acme-9").stat().st_mode) == 0o700


def test_reserve_run_keeps_engagements_with_similar_names_apart(store: Store, acme: str) -> None:
    other = store.create_engagement("Acme 7", {}, "acme-7")

    assert store.reserve_run(other) == "acme-7-1"
    assert store.reserve_run(acme) == "acme-1"


def test_an_answer_is_kept_until_a_journal_changes(
    store: Store, acme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []
    really = Database.transact

    def transact(self: Database, *args: object, **options: object) -> object:
        opened.append(args)
        return really(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Database, "transact", transact)
    for _ in range(3):
        store.facts(acme)
    assert len(opened) == 1

    Store(store.home).record(acme, "fact", {"key": "gpu", "value": 1})

    assert store.facts(acme)[-1]["key"] == "gpu"
    assert len(opened) == 2


def test_a_kept_answer_is_not_changed_by_who_asked(store: Store, acme: str) -> None:
    store.waivers(acme).clear()

    assert len(store.waivers(acme)) == 1


def test_one_damaged_journal_does_not_hide_the_others(
    store: Store, acme: str, write_run: WriteRun
) -> None:
    whole, damaged = write_run(acme), write_run(acme)
    path = store.home.run_journal(damaged)
    assert len(store.runs()) == 2
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], b"damage\n", *lines[4:]]))

    rows = Store(store.home).runs()
    store.runs()

    assert {row.id for row in rows} == {whole, damaged}
    assert len(store.notes) == 1
    assert f"{path}, line 4" in store.notes[0]
    with pytest.raises(StoreError, match="line 4"):
        store.run_view(damaged)
    with pytest.raises(StoreError, match="line 4"):
        store.artifacts(damaged)


def test_waivers_of_a_damaged_journal_are_refused_rather_than_guessed_at(
    store: Store, acme: str
) -> None:
    path = store.home.engagement_journal(acme)
    path.write_bytes(path.read_bytes().replace(b'"kind":"fact"', b'"kind:"fact"'))

    with pytest.raises(StoreError, match="line 2"):
        store.waivers(acme)


def test_an_event_of_a_run_that_lacks_a_field_is_named(
    store: Store, acme: str, write_run: WriteRun
) -> None:
    run_id = write_run(acme, ("stage_finished", {"stage": "data"}))

    with pytest.raises(StoreError, match=r"event 2 \(stage_finished\)"):
        store.run_view(run_id)
    assert store.runs() == []
    assert "event 2" in store.notes[0]


def _record_and_ask(root: Path, writer: int) -> list[str]:
    """Run in a process of its own: write, read back, and say which keys were written."""
    store = Store(Home.at(root))
    keys = [f"writer {writer} fact {number}" for number in range(25)]
    for key in keys:
        store.record("acme", "fact", {"key": key, "value": writer})
        assert key in [fact["key"] for fact in store.facts("acme")]
    return keys


def test_four_writers_at_once_meet_no_error_and_lose_no_row(
    store: Store, acme: str, tmp_path: Path
) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        jobs = [(tmp_path / "home", writer) for writer in range(4)]
        written = pool.starmap(_record_and_ask, jobs, chunksize=1)

    found = [fact["key"] for fact in store.facts(acme)]

    assert sorted(key for keys in written for key in keys) == sorted(found[1:])
    assert [event.seq for event in _events(store, acme)] == list(range(1, 108))
    assert store.notes == []


def test_importing_the_store_does_not_load_duckdb() -> None:
    program = (
        "import sys, fathom_tui.store; heavy = {'duckdb', '_duckdb', 'numpy', 'textual'};"
        "print(*heavy & sys.modules.keys())"
    )

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert loaded.stdout == b"\n"


def _events(store: Store, slug: str) -> list[Event]:
    return journal.read(store.home.engagement_journal(slug))[0]
