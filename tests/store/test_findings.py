"""`Store.check`: it finds every kind of damage, and nothing where there is none."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from fathom_tui.store import Finding, FindingState, Journal, Store, replay
from fathom_tui.store.artifacts import content
from tests.store.conftest import RUN_EVENTS, WriteRun


@pytest.fixture
def run_id(store: Store, acme: str, write_run: WriteRun) -> str:
    """A run with an adapter on disk, recorded as it is."""
    run_id = write_run(acme)
    adapter = store.home.run(run_id) / "adapter"
    adapter.mkdir()
    (adapter / "weights.safetensors").write_bytes(b"weights")
    record(store, run_id, "adapter")
    return run_id


def record(store: Store, run_id: str, name: str, **changed: Any) -> None:
    found = content(store.home.run(run_id) / name)
    artifact = {"stage": "train", "name": name, "path": name, "inputs": {}}
    with Journal(store.home.run_journal(run_id)) as writer:
        writer.append(
            "artifact", {**artifact, "sha256": found.sha256, "bytes": found.bytes, **changed}
        )


def wrong(findings: Iterable[Finding]) -> dict[str, str]:
    return {f.subject: f.detail for f in findings if f.state is not FindingState.OK}


def broken(findings: Iterable[Finding]) -> dict[str, str]:
    return {f.subject: f.detail for f in findings if f.state is FindingState.BROKEN}


def test_a_sound_ledger_has_no_other_finding_than_ok(store: Store, run_id: str) -> None:
    findings = store.check()

    assert wrong(findings) == {}
    assert [finding.subject for finding in findings] == [
        "engagements/acme",
        "runs/acme-1",
        "fathom.duckdb",
        "runs/acme-1, artifact adapter",
    ]
    assert findings[0].to_json() == {
        "subject": "engagements/acme",
        "state": "ok",
        "detail": "7 events, numbered without a gap",
    }


def test_an_empty_home_has_nothing_wrong(store: Store) -> None:
    assert wrong(store.check()) == {}


def test_a_changed_artifact_is_found(store: Store, run_id: str) -> None:
    (store.home.run(run_id) / "adapter" / "weights.safetensors").write_bytes(b"Weights")

    assert "has sha256" in broken(store.check())["runs/acme-1, artifact adapter"]


def test_a_missing_artifact_is_found(store: Store, run_id: str) -> None:
    (store.home.run(run_id) / "adapter").rename(store.home.run(run_id) / "moved")

    assert broken(store.check())["runs/acme-1, artifact adapter"] == "adapter is missing"


@pytest.mark.parametrize("path", ["../../../secret", "/etc/hostname"])
def test_an_artifact_outside_its_run_is_not_read(store: Store, run_id: str, path: str) -> None:
    record(store, run_id, "adapter", path=path)

    assert "outside" in broken(store.check())["runs/acme-1, artifact adapter"]


def test_a_gap_in_a_journal_is_found(store: Store, run_id: str) -> None:
    store.runs()
    path = store.home.run_journal(run_id)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2] + lines[3:]))

    assert "line 3" in broken(store.check())["runs/acme-1"]


def test_a_torn_last_line_is_a_warning(store: Store, run_id: str) -> None:
    with store.home.run_journal(run_id).open("ab") as file:
        file.write(b'{"v":1,')

    findings = store.check()

    assert broken(findings) == {}
    assert "torn (7 bytes)" in wrong(findings)["runs/acme-1"]


@pytest.mark.parametrize("left", [b"", b"garbage"])
def test_an_engagement_whose_beginning_is_lost_is_found(
    store: Store, run_id: str, left: bytes
) -> None:
    (store.home.engagement(run_id.rpartition("-")[0]) / "journal.jsonl").write_bytes(left)

    found = broken(store.check())

    assert "does not hold the event that made the engagement" in found["engagements/acme"]


def test_a_run_reserved_and_never_begun_is_a_warning(store: Store, run_id: str) -> None:
    store.reserve_run("acme")

    assert wrong(store.check()) == {"runs/acme-2": "has no journal: reserved and never begun"}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE waivers SET data = '{}'",
        "UPDATE metrics SET train_loss = 0.1 WHERE position = 0",
        "DELETE FROM gates",
        "INSERT INTO stages SELECT * FROM stages",
        "INSERT INTO facts SELECT 'nobody', seq, \"at\", key, value, data FROM facts",
        "UPDATE runs SET id = 'acme-9'",
    ],
)
def test_a_table_that_differs_from_its_journal_is_found_and_rebuild_repairs_it(
    store: Store, run_id: str, change: str
) -> None:
    store.runs()
    with duckdb.connect(str(store.home.database)) as connection:
        connection.execute(change)

    found = broken(store.check())
    store.rebuild()

    assert any(subject.startswith("fathom.duckdb, table") for subject in found)
    assert all("fathom store rebuild" in detail for detail in found.values())
    assert wrong(store.check()) == {}


def test_a_database_that_was_made_again_is_a_warning(store: Store, run_id: str) -> None:
    store.home.database.write_bytes(b"noise" * 1000)

    findings = store.check()

    assert broken(findings) == {}
    assert "made again from the journals" in wrong(findings)["fathom.duckdb"]


def test_a_newer_database_is_broken_for_this_program(store: Store, run_id: str) -> None:
    store.runs()
    with duckdb.connect(str(store.home.database)) as connection:
        connection.execute("UPDATE meta SET value = '9'")

    assert "version 9" in broken(store.check())["fathom.duckdb"]


def test_what_others_can_read_is_a_warning(store: Store, run_id: str) -> None:
    store.home.runs.chmod(0o755)
    store.home.run_journal(run_id).chmod(0o644)

    found = wrong(store.check())

    assert set(found) == {str(store.home.runs), str(store.home.run_journal(run_id))}
    assert "mode 0644" in found[str(store.home.run_journal(run_id))]


def test_a_run_that_goes_on_meanwhile_is_not_taken_for_damage(
    store: Store, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = replay.applied_journals

    def applied_and_then_written_to(connection: duckdb.DuckDBPyConnection) -> Any:
        applied = really(connection)
        with Journal(store.home.run_journal(run_id)) as writer:
            for kind, data in RUN_EVENTS:
                writer.append(kind, data)
        return applied

    monkeypatch.setattr("fathom_tui.store.findings.applied_journals", applied_and_then_written_to)

    assert broken(store.check()) == {}


def test_rebuild_makes_the_same_tables_from_journals_alone(
    store: Store, run_id: str, tmp_path: Path
) -> None:
    store.runs()
    before = {path.name: path.read_text() for path in store.export(tmp_path / "a", "csv")}
    store.home.database.unlink()

    counts = store.rebuild()

    after = {path.name: path.read_text() for path in store.export(tmp_path / "b", "csv")}
    assert after == before
    assert (counts["facts"], counts["runs"], counts["stages"], counts["metrics"]) == (1, 1, 12, 2)
