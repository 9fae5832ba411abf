"""Deleting an engagement's data: all of it, only it, and certified."""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fathom_tui.cli import main
from fathom_tui.errors import EnvironmentProblem, GateRefused, UsageError
from fathom_tui.store import FindingState, Home, Journal, Store
from fathom_tui.store import purge as module
from fathom_tui.store.purge import purge, purging
from fathom_tui.store.purge_plan import plan_purge
from fathom_tui.store.purged import covers
from fathom_tui.store.requests import resume, start_run
from tests.delivering import ANSWERS, GATES, REFUSED, SECRET, engage, finish
from tests.running import fathom

WEIGHTS = {
    "export/model.f16.gguf",
    "journal.jsonl",
    "lock",
    "merge/model/model.safetensors",
    "quantize/model.q4_k_m.gguf",
    "train/adapter/README.md",
    "train/adapter/adapter_config.json",
    "train/adapter/adapter_model.safetensors",
}


@pytest.fixture
def store(home: Home) -> Store:
    return Store(home.prepare())


@pytest.fixture
def acme(store: Store, tmp_path: Path) -> str:
    slug = engage(store, tmp_path / "client")
    finish(store, slug)
    return slug


def done(store: Store, slug: str = "acme", **settings: Any) -> dict[str, Any]:
    """Purge and return the certificate as a program reads it."""
    plan = plan_purge(store, slug, by="Ann Lee", reason="end of the project", **settings)
    _, report = purge(store, plan)
    found: dict[str, Any] = json.loads(report.with_suffix(".json").read_text("utf-8"))
    return found


def left(directory: Path) -> set[str]:
    return {
        p.relative_to(directory).as_posix()
        for p in directory.rglob("*")
        if p.is_symlink() or not p.is_dir()
    }


def holding(root: Path, text: str) -> set[str]:
    """Return the files below a directory in which a text stands."""
    return {
        p.relative_to(root).as_posix()
        for p in root.rglob("*")
        if p.is_file() and text.encode() in p.read_bytes()
    }


class TestDeleting:
    def test_takes_every_row_and_leaves_weights_and_ledger(self, store: Store, acme: str) -> None:
        done(store)

        assert left(store.home.run("acme-1")) == WEIGHTS
        assert holding(store.home.data, ANSWERS[0][0]) == set()
        assert holding(store.home.data, SECRET) == set()

    def test_leaves_no_empty_directories(self, store: Store, acme: str) -> None:
        done(store)

        run = store.home.run("acme-1")
        assert [p for p in run.rglob("*") if p.is_dir() and not list(p.iterdir())] == []
        assert not (run / "train" / "checkpoints").exists()

    def test_leaves_other_engagements_alone(self, store: Store, acme: str, tmp_path: Path) -> None:
        engage(store, tmp_path / "other", slug="acme-2")
        finish(store, "acme-2")
        before = left(store.home.run("acme-2-1"))

        done(store)

        assert left(store.home.run("acme-2-1")) == before

    def test_takes_what_a_later_version_may_leave_there(self, store: Store, acme: str) -> None:
        odd = store.home.run("acme-1") / "tokens" / "cache.arrow"
        odd.parent.mkdir()
        odd.write_text(SECRET, "utf-8")

        done(store)

        assert not odd.parent.exists()

    def test_removes_a_link_and_not_what_it_names(
        self, store: Store, acme: str, tmp_path: Path
    ) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "kept.txt").write_text("kept", "utf-8")
        (store.home.run("acme-1") / "data" / "link").symlink_to(elsewhere)

        done(store)

        assert (elsewhere / "kept.txt").read_text("utf-8") == "kept"
        assert not (store.home.run("acme-1") / "data").exists()

    def test_does_not_wait_for_a_pipe(self, store: Store, acme: str) -> None:
        os.mkfifo(store.home.run("acme-1") / "data" / "pipe")

        done(store)

        assert not (store.home.run("acme-1") / "data").exists()

    def test_takes_runs_that_never_began(self, store: Store, acme: str) -> None:
        run = store.reserve_run(acme)
        (store.home.run(run) / "rows.txt").write_text(SECRET, "utf-8")

        done(store)

        assert not (store.home.run(run) / "rows.txt").exists()

    def test_plans_without_touching_anything(self, store: Store, acme: str) -> None:
        before = left(store.home.data)

        plan_purge(store, acme, by="Ann", reason="looking")

        assert left(store.home.data) - {"fathom.duckdb"} == before - {"fathom.duckdb"}

    def test_by_two_at_once_is_one_purge_with_one_certificate(
        self, store: Store, acme: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        command = ["engagement", "purge", acme, "--by", "Ben", "--reason", "me too", "--yes"]

        with purging(store.home, acme):
            code = main(command)

        assert code == 2
        assert "Another purge of acme is under way" in capsys.readouterr().err
        assert store.purges(acme) == []
        assert main(command) == 0


class TestCertificate:
    def test_says_who_what_when_and_why(self, store: Store, acme: str) -> None:
        store.record(acme, "fact", {"key": "retention_until", "value": "2026-12-31"})
        rows = store.home.run("acme-1") / "data" / "train.jsonl"
        sha256 = hashlib.sha256(rows.read_bytes()).hexdigest()

        found = done(store)

        assert (found["by"], found["reason"]) == ("Ann Lee", "end of the project")
        assert found["planned_at"] <= found["done_at"]
        assert found["retention_until"] == "2026-12-31"
        files = {each["path"]: each for each in found["files"]}
        assert files["runs/acme-1/data/train.jsonl"]["sha256"] == sha256
        assert found["count"] == len(files)
        assert found["bytes"] == sum(each["bytes"] for each in files.values())

    def test_admits_what_a_deletion_cannot_reach(self, store: Store, acme: str) -> None:
        found = done(store)

        assert any("solid-state" in each for each in found["limits"])
        assert any("Backups" in each for each in found["limits"])
        assert any("v1.anchors.json" in each for each in found["kept"])
        assert any("rows.csv: it lies outside" in each for each in found["kept"])

    def test_is_written_for_people_too(self, store: Store, acme: str) -> None:
        found = done(store)

        text = (store.home.engagement(acme) / "purge-1.md").read_text("utf-8")
        assert text.startswith("# Deletion certificate 1: Acme triage")
        assert all(each["sha256"] in text for each in found["files"])
        assert "**Deleted by:** Ann Lee" in text

    def test_is_recorded(self, store: Store, acme: str) -> None:
        found = done(store)

        (row,) = store.purges(acme)
        assert (row["by"], row["files"], row["bytes"]) == (
            "Ann Lee",
            found["count"],
            found["bytes"],
        )
        assert row["certificate"] == "engagements/acme/purge-1.md"

    def test_of_a_second_deletion_has_the_next_number(self, store: Store, acme: str) -> None:
        done(store)
        finish(store, acme)

        found = done(store)

        assert found["number"] == 2
        assert {each["run"] for each in found["files"]} == {"acme-2"}

    def test_is_read_by_nobody_else(self, store: Store, acme: str) -> None:
        done(store)

        for path in store.home.engagement(acme).glob("purge-*"):
            assert path.stat().st_mode & 0o077 == 0


class TestOriginals:
    def test_stay_unless_asked_for(self, store: Store, acme: str, tmp_path: Path) -> None:
        done(store)

        assert (tmp_path / "client" / "rows.csv").exists()

    def test_go_where_they_are_asked_for(self, store: Store, acme: str, tmp_path: Path) -> None:
        original = tmp_path / "client" / "rows.csv"

        found = done(store, also_original=True)

        assert not original.exists()
        assert str(original) in {each["path"] for each in found["files"]}

    def test_inside_our_own_directories_are_copies_of_ours(self, store: Store) -> None:
        engage(store, store.home.data / "uploads")
        finish(store, "acme")

        done(store)

        assert not (store.home.data / "uploads" / "rows.csv").exists()

    def test_of_another_engagement_too_are_refused(
        self, store: Store, acme: str, tmp_path: Path
    ) -> None:
        config = store.engagement(acme).config
        store.create_engagement("Other", config, "other")

        with pytest.raises(UsageError, match="the data of other as well"):
            plan_purge(store, acme, by="Ann", reason="end", also_original=True)

    def test_that_were_changed_since_are_refused(
        self, store: Store, acme: str, tmp_path: Path
    ) -> None:
        (tmp_path / "client" / "rows.csv").write_text("something else by now", "utf-8")

        with pytest.raises(UsageError, match="changed since"):
            plan_purge(store, acme, by="Ann", reason="end", also_original=True)

    def test_of_the_demo_are_nobodys_data_wherever_they_lie(
        self, store: Store, tmp_path: Path
    ) -> None:
        from importlib import resources

        tickets = resources.files("fathom_tui.assets").joinpath("demo/tickets.jsonl")
        copy = tmp_path / "checkout" / "tickets.jsonl"
        copy.parent.mkdir()
        copy.write_bytes(tickets.read_bytes())
        engage(store, tmp_path / "rows")
        config = {**store.engagement("acme").config, "dataset": str(copy)}
        store.create_engagement("Demo", config, "demo")

        with pytest.raises(UsageError, match="part of Fathom itself"):
            plan_purge(store, "demo", by="Ann", reason="end", also_original=True)
        assert copy.exists()


class TestRefusing:
    def test_a_live_version_without_anchors_of_its_own(self, store: Store, acme: str) -> None:
        (store.home.data / "serving" / acme / "v1.anchors.json").unlink()

        with pytest.raises(GateRefused, match="no anchors of its own"):
            plan_purge(store, acme, by="Ann", reason="end")

    def test_not_for_a_version_that_no_longer_serves(self, store: Store, acme: str) -> None:
        (store.home.data / "serving" / acme / "v1.anchors.json").unlink()
        row = {**store.deployments(acme)[-1], "state": "stopped"}
        store.record(acme, "deployment", row)

        plan_purge(store, acme, by="Ann", reason="end")

    def test_a_version_that_is_a_link_to_what_would_go(self, store: Store, acme: str) -> None:
        odd = store.home.run("acme-1") / "quantize" / "kept.bin"
        odd.write_bytes(b"weights under another name")
        (store.home.data / "serving" / acme / "v2.gguf").symlink_to(odd)

        with pytest.raises(GateRefused, match="served from the run's own file"):
            plan_purge(store, acme, by="Ann", reason="end")

    def test_a_run_that_waits_or_is_under_way(self, store: Store, acme: str) -> None:
        start_run(store.home, acme, created_by="Ann")

        with pytest.raises(UsageError, match="acme-2 is queued"):
            plan_purge(store, acme, by="Ann", reason="end")

    def test_a_run_in_which_a_process_still_works(self, store: Store, acme: str) -> None:
        plan = plan_purge(store, acme, by="Ann", reason="end")
        with (store.home.run("acme-1") / "lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            with pytest.raises(UsageError, match="A process works in acme-1"):
                purge(store, plan)

        assert (store.home.run("acme-1") / "data" / "train.jsonl").exists()

    def test_what_cannot_be_read_and_so_not_certified(
        self, store: Store, acme: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def denied(file: Any, name: str) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(hashlib, "file_digest", denied)
        with pytest.raises(EnvironmentProblem, match="cannot be certified"):
            plan_purge(store, acme, by="Ann", reason="end")


class TestInterrupted:
    """Cut short anywhere, repeated: everything is gone, and everything is named."""

    @pytest.fixture
    def wanted(self, store: Store, acme: str) -> set[str]:
        return {f.path for f in plan_purge(store, acme, by="Ann", reason="end").files}

    @pytest.fixture
    def cut(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, int], None]]:
        def install(name: str, after: int) -> None:
            real, calls = getattr(module, name), iter(range(10**6))

            def once(*arguments: Any) -> Any:
                if next(calls) == after:
                    raise KeyboardInterrupt
                return real(*arguments)

            monkeypatch.setattr(module, name, once)

        yield install

    @pytest.mark.parametrize(
        ("step", "after"),
        [("_delete", 0), ("_delete", 3), ("_sweep", 0), ("_write", 1), ("_write_text", 2)],
    )
    def test_goes_on_where_it_was(
        self,
        store: Store,
        acme: str,
        wanted: set[str],
        cut: Callable[[str, int], None],
        monkeypatch: pytest.MonkeyPatch,
        step: str,
        after: int,
    ) -> None:
        cut(step, after)
        plan = plan_purge(store, acme, by="Ann", reason="end")
        with pytest.raises(KeyboardInterrupt):
            purge(store, plan)
        monkeypatch.undo()
        assert store.purges(acme) == []

        found = done(store)

        assert {each["path"] for each in found["files"]} >= wanted
        assert all(each["bytes"] or "/" in each["path"] for each in found["files"])
        assert (found["number"], len(store.purges(acme))) == (1, 1)
        assert left(store.home.run("acme-1")) == WEIGHTS
        assert list(store.home.engagement(acme).glob("*.plan.json")) == []

    def test_between_the_record_and_the_end_is_not_recorded_twice(
        self, store: Store, acme: str
    ) -> None:
        plan = plan_purge(store, acme, by="Ann", reason="end")
        purge(store, plan)
        left_over = store.home.engagement(acme) / "purge-1.plan.json"
        left_over.write_text(json.dumps(plan.to_json()), "utf-8")

        again = plan_purge(store, acme, by="Ann", reason="end")

        assert again.files == ()

    def test_is_seen_by_the_check_of_the_store(
        self, store: Store, acme: str, cut: Callable[[str, int], None]
    ) -> None:
        cut("_sweep", 0)
        with pytest.raises(KeyboardInterrupt):
            purge(store, plan_purge(store, acme, by="Ann", reason="end"))

        wrong = [f for f in store.check() if f.state is not FindingState.OK]

        assert [f.state for f in wrong] == [FindingState.WARNING]
        assert "a purge was begun and not finished" in wrong[0].detail

    def test_with_a_full_disk_deletes_nothing(
        self, store: Store, acme: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(descriptor: int, data: bytes) -> None:
            raise OSError(28, "No space left on device")

        plan = plan_purge(store, acme, by="Ann", reason="end")
        monkeypatch.setattr(module, "write_fully", full)

        with pytest.raises(EnvironmentProblem, match="No space left"):
            purge(store, plan)
        assert (store.home.run("acme-1") / "data" / "train.jsonl").exists()


class TestAfterwards:
    def test_the_check_of_the_store_knows_why_files_are_gone(self, store: Store, acme: str) -> None:
        done(store)

        findings = {f.subject: f for f in store.check()}

        assert [f for f in findings.values() if f.state is not FindingState.OK] == []
        assert "purged on" in findings["runs/acme-1, artifact train"].detail
        assert "sha256 as recorded" in findings["runs/acme-1, artifact adapter"].detail

    def test_a_file_that_was_lost_besides_is_still_missed(self, store: Store, acme: str) -> None:
        done(store)
        (store.home.run("acme-1") / "export" / "model.f16.gguf").unlink()

        (broken,) = [f for f in store.check() if f.state is FindingState.BROKEN]

        assert broken.subject == "runs/acme-1, artifact f16"

    def test_a_run_cannot_be_resumed(self, store: Store, tmp_path: Path) -> None:
        slug = engage(store, tmp_path / "rows")
        gates = [*GATES, ("evaluate", REFUSED)]
        finish(store, slug, gates=gates, deployed=False, state="refused")
        done(store)

        with pytest.raises(UsageError, match="data of acme-1 was purged on 20"):
            resume(store.home, "acme-1")

    def test_a_new_run_needs_the_file_that_was_deleted(self, store: Store, acme: str) -> None:
        done(store, also_original=True)

        with pytest.raises(UsageError, match="was purged on 20.* by Ann Lee"):
            start_run(store.home, acme, created_by="Ann")

    def test_a_new_run_begins_where_the_original_is_still_there(
        self, store: Store, acme: str
    ) -> None:
        done(store)

        assert start_run(store.home, acme, created_by="Ann") == "acme-2"

    def test_no_package_can_be_made(self, home: Home, store: Store, acme: str) -> None:
        done(store)

        found = fathom(home, "package", acme)

        assert found.returncode == 2
        assert "was purged on" in found.stderr

    def test_the_anchors_that_serve_are_still_there(self, store: Store, acme: str) -> None:
        done(store)

        assert (store.home.data / "serving" / acme / "v1.anchors.json").exists()
        assert (store.home.data / "serving" / acme / "v1.gguf").exists()

    def test_a_rebuilt_ledger_knows_of_it(self, store: Store, acme: str) -> None:
        done(store)

        store.rebuild()

        assert len(store.purges(acme)) == 1

    @pytest.mark.parametrize(
        ("path", "date"),
        [
            ("runs/a-1/data/train.jsonl", "2026-11-22"),
            ("runs/a-1/data", "2026-11-22"),
            ("runs/a-1/database", None),
            ("runs/a-1", None),
        ],
    )
    def test_a_path_is_covered_by_what_lies_above_it(self, path: str, date: str | None) -> None:
        assert covers({"runs/a-1/data": "2026-11-22"}, path) == date


class TestCommand:
    PURGE = ("engagement", "purge", "acme", "--by", "Ann Lee", "--reason", "end")

    def test_says_what_would_go(self, home: Home, store: Store, acme: str) -> None:
        found = fathom(home, *self.PURGE, "--dry-run")

        assert found.returncode == 0
        assert "runs/acme-1/data/train.jsonl" in found.stdout
        assert "would be deleted; nothing was" in found.stderr
        assert (home.run("acme-1") / "data").exists()

    def test_asks_before_it_deletes(self, home: Home, store: Store, acme: str) -> None:
        found = fathom(home, *self.PURGE)

        assert found.returncode == 2
        assert "--yes" in found.stderr
        assert (home.run("acme-1") / "data").exists()

    def test_deletes_and_prints_the_certificate(self, home: Home, store: Store, acme: str) -> None:
        found = fathom(home, *self.PURGE, "--yes", "--json")

        printed = json.loads(found.stdout)
        assert Path(printed["certificate"]).is_file()
        assert printed["by"] == "Ann Lee"
        assert not (home.run("acme-1") / "data").exists()
        assert fathom(home, *self.PURGE, "--yes").stderr.endswith(
            "Nothing of acme is left to delete.\n"
        )

    def test_wants_a_name(self, home: Home, store: Store, acme: str) -> None:
        found = fathom(home, "engagement", "purge", "acme", "--by", " ", "--reason", "x", "--yes")

        assert found.returncode == 2

    def test_a_refusal_ends_with_one(self, home: Home, store: Store, acme: str) -> None:
        (home.data / "serving" / acme / "v1.anchors.json").unlink()

        assert fathom(home, *self.PURGE, "--yes").returncode == 1


class TestRetention:
    def test_is_kept_and_shown(self, home: Home, store: Store, acme: str) -> None:
        found = fathom(home, "engagement", "retain", acme, "--until", "2099-01-31", "--json")

        assert json.loads(found.stdout)["retention_until"] == "2099-01-31"
        assert "2099-01-31" in fathom(home, "engagement", "list").stdout
        assert "2099-01-31" in fathom(home, "engagement", "show", acme).stderr
        listed = json.loads(fathom(home, "engagement", "list", "--json").stdout)
        assert listed[0]["retention_until"] == "2099-01-31"

    def test_that_is_over_is_called_overdue(self, home: Home, store: Store, acme: str) -> None:
        store.record(acme, "fact", {"key": "retention_until", "value": "2020-01-31"})

        assert "2020-01-31 (overdue)" in fathom(home, "engagement", "show", acme).stderr

    def test_gives_way_to_the_date_of_the_deletion(
        self, home: Home, store: Store, acme: str
    ) -> None:
        store.record(acme, "fact", {"key": "retention_until", "value": "2020-01-31"})
        done(store)

        shown = fathom(home, "engagement", "show", acme).stderr
        assert "overdue" not in shown
        assert "Purged on 20" in shown

    @pytest.mark.parametrize(
        "given",
        [("--until", "tomorrow"), ("--until", "2020-01-01"), ("--days", "-1"), ("--days", "9e9")],
    )
    def test_of_no_date_to_come_is_refused(
        self, home: Home, store: Store, acme: str, given: tuple[str, str]
    ) -> None:
        assert fathom(home, "engagement", "retain", acme, *given).returncode == 2


def test_a_purge_leaves_the_journals_as_they_were(store: Store, acme: str) -> None:
    before = store.home.run_journal("acme-1").read_bytes()

    done(store)

    assert store.home.run_journal("acme-1").read_bytes() == before
    with Journal(store.home.engagement_journal(acme)) as journal:
        assert journal.seq
