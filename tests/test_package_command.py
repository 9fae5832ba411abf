"""`fathom package` through the real command line, on a run that the agent could have left."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fathom_tui.errors import EnvironmentProblem
from fathom_tui.gates import refused
from fathom_tui.runner.delivery import gather
from fathom_tui.runner.package import build
from fathom_tui.store import Home, Store
from fathom_tui.store.artifacts import content
from tests.delivering import ANSWERS, GATES, REFUSED, SECRET, engage, finish
from tests.running import fathom

NAME = "acme-classification-tiny-v1"
MODEL = f"{NAME}-q4km.gguf"
IMPORTED = "not in the package, and Python would import it in place of a module"
FILES = {
    *("LICENSE", "Modelfile", "README.md", "SHA256SUMS", "anchors.json", "benchmarks.md"),
    *("checklist.md", "confusion-label.svg", "manifest.json", "provenance.json", MODEL),
    *("sbom.cdx.json", "usage.md", "verify.py", "adapter/README.md", "adapter/adapter_config.json"),
    *("adapter/adapter_model.safetensors", "eval/answers.jsonl", "eval/cases.jsonl"),
    *("eval/contract.json", "eval/grammar.gbnf"),
}


@pytest.fixture
def store(home: Home) -> Store:
    return Store(home.prepare())


@pytest.fixture
def to(tmp_path: Path) -> Path:
    (tmp_path / "to").mkdir()
    return tmp_path / "to"


@pytest.fixture
def acme(store: Store, tmp_path: Path) -> str:
    """An engagement whose run is finished and deployed."""
    slug = engage(store, tmp_path / "client data")
    finish(store, slug)
    return slug


def pack(home: Home, to: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return fathom(home, "package", "acme", "--to", str(to), *arguments)


def packed(home: Home, to: Path, *arguments: str) -> dict[str, Any]:
    done = pack(home, to, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def files(directory: Path) -> set[str]:
    return {p.relative_to(directory).as_posix() for p in directory.rglob("*") if p.is_file()}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@dataclass(frozen=True)
class Delivered:
    home: Home
    directory: Path
    printed: dict[str, Any]
    roots: tuple[Path, ...]
    """Directories of this machine that took part."""


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Delivered:
    """A package, written once for all tests that only look at it."""
    root = tmp_path_factory.mktemp("delivered")
    home, to = Home.at(root / "home").prepare(), root / "to"
    to.mkdir()
    finish(Store(home), engage(Store(home), root / "client data"))
    printed = packed(home, to)
    return Delivered(home, to / NAME, printed, (root, Path(sys.prefix)))


class TestPackage:
    def test_is_whole_and_has_its_archive(self, delivered: Delivered) -> None:
        assert files(delivered.directory) == FILES
        assert delivered.printed["model"] == MODEL
        assert (delivered.directory / MODEL).read_bytes() == b"weights of the delivered file"
        archive = delivered.directory.with_name(f"{NAME}.tar.zst")
        assert content(archive).sha256 == delivered.printed["archive_sha256"]
        sums = content(delivered.directory / "SHA256SUMS").sha256
        assert sums == delivered.printed["sums_sha256"]

    def test_passes_the_check_of_coreutils(self, delivered: Delivered) -> None:
        tool = shutil.which("sha256sum")
        if tool is None:
            pytest.skip("needs sha256sum")
        done = subprocess.run(
            [tool, "--check", "--strict", "SHA256SUMS"],
            cwd=delivered.directory,
            capture_output=True,
        )
        assert done.returncode == 0, done.stdout

    def test_names_no_directory_of_this_machine(self, delivered: Delivered) -> None:
        for name in FILES:
            data = (delivered.directory / name).read_bytes()
            assert [r for r in delivered.roots if os.fsencode(r) in data] == [], name

    def test_holds_no_training_row(self, delivered: Delivered) -> None:
        secret = SECRET.encode()

        assert [n for n in FILES if secret in (delivered.directory / n).read_bytes()] == []

    def test_is_unpacked_as_its_readme_says(self, delivered: Delivered, tmp_path: Path) -> None:
        if shutil.which("zstd") is None or shutil.which("tar") is None:
            pytest.skip("needs tar and zstd")
        text = (delivered.directory / "README.md").read_text("utf-8")
        command = f"tar --zstd -xf {NAME}.tar.zst"
        assert f"`{command}`; that needs the program zstd" in text
        shutil.copy(delivered.directory.with_name(f"{NAME}.tar.zst"), tmp_path)

        subprocess.run(command.split(), cwd=tmp_path, check=True, timeout=60)

        assert files(tmp_path / NAME) == FILES

    def test_is_no_hard_link_to_what_serves(self, delivered: Delivered) -> None:
        assert (delivered.directory / MODEL).stat().st_nlink == 1

    def test_has_an_adapter_that_names_its_base_and_nothing_else(
        self, delivered: Delivered
    ) -> None:
        text = (delivered.directory / "adapter/adapter_config.json").read_text("utf-8")

        assert json.loads(text) == {"r": 16, "base_model_name_or_path": "tiny"}

    def test_has_the_evaluation_cases_with_their_answers(self, delivered: Delivered) -> None:
        rows = lines(delivered.directory / "eval/cases.jsonl")
        answers = lines(delivered.directory / "eval/answers.jsonl")

        assert [(r["input"], r["stratum"], r["expected"]) for r in rows] == [
            (text, stratum, truth) for text, stratum, truth, _ in ANSWERS
        ]
        assert [a["answers"]["quantised"]["label"] for a in answers] == [a[3] for a in ANSWERS]

    def test_says_where_everything_is_from(self, delivered: Delivered) -> None:
        found = json.loads((delivered.directory / "provenance.json").read_text("utf-8"))

        assert found["run"]["id"] == "acme-1"
        assert found["run"]["plan"]["dataset"] == "rows.csv"
        assert found["stages"]["train"]["input_hash"] == "hash of train"
        assert found["data"]["sha256"]["test"] == "0" * 64
        assert found["hardware"] == ["two cores"]
        assert found["versions"]["packages"]["fathom-tui"]
        assert found["last_check"]["passed"] == 2

    def test_is_noted_in_the_ledger(self, delivered: Delivered) -> None:
        noted = Store(delivered.home).fact("package")["acme"]

        assert delivered.printed["sums_sha256"] in noted

    def test_needs_nothing_of_fathom_to_be_checked(self, delivered: Delivered) -> None:
        done = subprocess.run(
            [sys.executable, "-I", "-B", "verify.py", "--checksums-only"],
            cwd=delivered.directory,
            capture_output=True,
            text=True,
            env={"PATH": os.environ["PATH"]},
        )

        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == "PASS"

    def test_of_an_unknown_licence_says_so(self, delivered: Delivered) -> None:
        text = (delivered.directory / "LICENSE").read_text("utf-8")

        assert "Licence of the base model tiny: unknown" in text
        assert any("is unknown" in note for note in delivered.printed["notes"])
        items = delivered.printed["checklist"]
        assert not next(item for item in items if "licence" in item["text"])["done"]

    def test_has_a_checklist_that_ticks_only_what_a_check_has_verified(
        self, delivered: Delivered
    ) -> None:
        items = delivered.printed["checklist"]
        anchors = next(i for i in items if "anchor prompts pass through" in i["text"])

        assert anchors["text"].endswith("(20 wanted)")  # there are two
        assert "2 of 2 passed" in anchors["evidence"]
        assert all(bool(item["evidence"]) == item["done"] for item in items)
        assert all(item["how"] for item in items if not item["done"])
        there = "On the machine that receives it"
        assert not any(item["done"] for item in items if item["section"] == there)


class TestBuilding:
    def test_says_how_the_archive_is_unpacked(self, home: Home, acme: str, to: Path) -> None:
        assert f"tar --zstd -xf {NAME}.tar.zst (needs the program zstd" in pack(home, to).stderr
        assert "--zstd" not in pack(home, to, "--no-archive").stderr

    def test_is_the_same_every_time(self, home: Home, acme: str, to: Path) -> None:
        one = packed(home, to)
        other = packed(home, to)

        assert one["archive_sha256"] == other["archive_sha256"]
        assert one["sums_sha256"] == other["sums_sha256"]

    def test_refuses_to_name_a_directory_of_this_machine(
        self, home: Home, store: Store, to: Path, tmp_path: Path
    ) -> None:
        slug = engage(store, tmp_path / "rows")
        finish(store, slug, gguf=f"GGUF made in {tmp_path / 'rows'}".encode())

        done = pack(home, to)

        assert done.returncode == 4
        assert f"{MODEL} would name the directory" in done.stderr
        assert list(to.iterdir()) == []

    def test_hides_directories_that_a_gate_names(
        self, home: Home, store: Store, to: Path, tmp_path: Path
    ) -> None:
        from fathom_tui.gates import warned

        slug = engage(store, tmp_path / "rows")
        odd = warned("data.odd", f"Look at {home.data}/runs/acme-1/data.", "Look.")
        finish(store, slug, gates=[*GATES, ("data", odd)])

        packed(home, to)

        assert "Look at …/runs/acme-1/data." in (to / NAME / "benchmarks.md").read_text("utf-8")

    def test_without_an_archive_writes_none(self, home: Home, acme: str, to: Path) -> None:
        assert packed(home, to, "--no-archive")["archive"] is None
        assert [p.name for p in to.iterdir()] == [NAME]

    def test_that_is_there_already_is_written_anew(self, home: Home, acme: str, to: Path) -> None:
        packed(home, to)
        (to / NAME / "usage.md").write_text("changed", "utf-8")

        packed(home, to)

        assert (to / NAME / "usage.md").read_text("utf-8") != "changed"

    def test_never_replaces_what_is_not_its_own(self, home: Home, acme: str, to: Path) -> None:
        packed(home, to)
        (to / NAME / "notes.txt").write_text("mine", "utf-8")

        done = pack(home, to)

        assert done.returncode == 2
        assert "notes.txt" in done.stderr
        assert (to / NAME / "notes.txt").read_text("utf-8") == "mine"

    def test_never_replaces_a_file_of_its_name(self, home: Home, acme: str, to: Path) -> None:
        (to / NAME).write_text("mine", "utf-8")

        assert pack(home, to).returncode == 2
        assert (to / NAME).read_text("utf-8") == "mine"

    def test_takes_the_served_file_where_the_runs_is_gone(
        self, home: Home, acme: str, to: Path
    ) -> None:
        (home.run("acme-1") / "quantize/model.q4_k_m.gguf").unlink()

        packed(home, to)

    def test_refuses_a_file_that_was_changed(self, home: Home, acme: str, to: Path) -> None:
        (home.run("acme-1") / "quantize/model.q4_k_m.gguf").write_bytes(b"Weights of the file!!")

        done = pack(home, to)

        assert done.returncode == 4
        assert "was changed" in done.stderr
        assert list(to.iterdir()) == []

    def test_refuses_an_adapter_that_is_not_whole(self, home: Home, acme: str, to: Path) -> None:
        (home.run("acme-1") / "train/adapter/adapter_model.safetensors").unlink()

        assert pack(home, to).returncode == 4
        assert list(to.iterdir()) == []

    def test_asks_for_room_before_it_writes(
        self, store: Store, acme: str, to: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        nearly_full = shutil._ntuple_diskusage(10**9, 10**9 - 5, 5)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: nearly_full)

        with pytest.raises(EnvironmentProblem, match=r"needs 0\.13 GB.*0\.00 GB free"):
            build(gather(store, acme, "acme-1"), store.home, to)
        assert list(to.iterdir()) == []

    def test_leaves_nothing_behind_on_a_full_disk(
        self, store: Store, acme: str, to: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(source: Path, target: Path) -> None:
            target.write_bytes(b"a part")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(shutil, "copyfile", full)

        with pytest.raises(EnvironmentProblem, match="No space left on device"):
            build(gather(store, acme, "acme-1"), store.home, to)
        assert list(to.iterdir()) == []

    def test_without_zstandard_says_how_to_do_without(
        self, store: Store, acme: str, to: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "zstandard", None)

        with pytest.raises(EnvironmentProblem, match="zstandard") as caught:
            build(gather(store, acme, "acme-1"), store.home, to)
        assert "--no-archive" in caught.value.fix
        assert list(to.iterdir()) == []

    def test_says_that_the_place_does_not_exist(self, home: Home, acme: str, to: Path) -> None:
        done = pack(home, to / "nowhere")

        assert done.returncode == 2
        assert "mkdir -p" in done.stderr


class TestChoosing:
    def test_takes_the_live_versions_run(
        self, home: Home, store: Store, acme: str, to: Path
    ) -> None:
        finish(store, acme, b"a later file", deployed=False)

        assert packed(home, to)["run"] == "acme-1"

    def test_takes_the_newest_accepted_run_where_nothing_is_live(
        self, home: Home, store: Store, to: Path, tmp_path: Path
    ) -> None:
        slug = engage(store, tmp_path / "rows")
        finish(store, slug, deployed=False)
        finish(store, slug, gates=[("evaluate", REFUSED)], deployed=False, state="refused")

        found = packed(home, to)

        assert (found["run"], found["version"]) == ("acme-1", "run1")
        assert any("never deployed" in note for note in found["notes"])

    def test_takes_the_run_that_was_named(
        self, home: Home, store: Store, acme: str, to: Path
    ) -> None:
        finish(store, acme, b"a later file", deployed=False)

        found = packed(home, to, "--run", "acme-2")

        assert found["model"] == "acme-classification-tiny-run2-q4km.gguf"

    def test_refuses_another_engagements_run(
        self, home: Home, store: Store, acme: str, to: Path, tmp_path: Path
    ) -> None:
        engage(store, tmp_path / "other", slug="other")
        finish(store, "other")

        assert pack(home, to, "--run", "other-1").returncode == 2

    def test_refuses_an_engagement_without_a_run(
        self, home: Home, store: Store, to: Path, tmp_path: Path
    ) -> None:
        engage(store, tmp_path / "rows")

        done = pack(home, to)

        assert done.returncode == 2
        assert "fathom run acme" in done.stderr


class TestAcceptance:
    def bad(self, store: Store, tmp_path: Path) -> None:
        slug = engage(store, tmp_path / "rows")
        gates = [*(g for g in GATES if g[1].name != REFUSED.name), ("evaluate", REFUSED)]
        finish(store, slug, gates=gates, deployed=False, state="refused")

    def test_refuses_a_file_that_nobody_accepted(
        self, home: Home, store: Store, to: Path, tmp_path: Path
    ) -> None:
        self.bad(store, tmp_path)

        done = pack(home, to)

        assert done.returncode == 1
        assert "0.500 misses the target" in done.stderr
        assert "fathom waive acme-1 evaluate.target" in done.stderr
        assert list(to.iterdir()) == []

    def test_prints_a_waiver_everywhere(
        self, home: Home, store: Store, to: Path, tmp_path: Path
    ) -> None:
        self.bad(store, tmp_path)
        reason = "a pilot of two weeks"
        waiver = {"run": "acme-1", "gate": REFUSED.name, "by": "Ann Lee", "reason": reason}
        store.record("acme", "waiver", waiver)

        found = packed(home, to)

        directory = Path(found["directory"])
        assert any("Ann Lee" in note and reason in note for note in found["notes"])
        for name in ("README.md", "benchmarks.md", "checklist.md", "provenance.json"):
            assert reason in (directory / name).read_text("utf-8"), name
        items = {item["text"]: item for item in found["checklist"]}
        lifted = items["Reaches the target that was set before"]
        assert not lifted["done"]
        assert "Lifted by Ann Lee" in lifted["how"]

    def test_refuses_a_gate_that_nobody_can_waive(
        self, home: Home, store: Store, to: Path, tmp_path: Path
    ) -> None:
        slug = engage(store, tmp_path / "rows")
        hard = refused("verify.token_parity", "Token ids differ.", "Look.", waivable=False)
        finish(store, slug, gates=[*GATES, ("verify", hard)], deployed=False)
        waiver = {"run": "acme-1", "gate": hard.name, "by": "Ann", "reason": "no"}
        store.record("acme", "waiver", waiver)

        assert pack(home, to).returncode == 1


class TestLicence:
    def named(self, home: Home, store: Store, to: Path, tmp_path: Path, card: str) -> Any:
        model = tmp_path / "models" / "tiny"
        model.mkdir(parents=True)
        (model / "README.md").write_text(card, "utf-8")
        slug = engage(store, tmp_path / "rows")
        finish(store, slug, model_dir=model)
        return packed(home, to)

    def test_of_the_model_card_is_taken_with_its_conditions(
        self, home: Home, store: Store, to: Path, tmp_path: Path
    ) -> None:
        found = self.named(home, store, to, tmp_path, "---\nlicense: apache-2.0\n---\n# Tiny\n")

        text = (to / NAME / "LICENSE").read_text("utf-8")
        assert "Apache-2.0" in text.splitlines()[0]
        assert "TERMS AND CONDITIONS FOR USE" in text
        assert found["notes"] == []

    def test_that_forbids_it_is_said_to(
        self, home: Home, store: Store, to: Path, tmp_path: Path
    ) -> None:
        found = self.named(home, store, to, tmp_path, "---\nlicense: cc-by-nc-4.0\n---\n")

        assert any("does not allow commercial use" in note for note in found["notes"])
        assert "COMMERCIAL USE IS NOT ALLOWED" in (to / NAME / "LICENSE").read_text("utf-8")

    def test_comes_with_its_own_text_where_the_model_has_it(
        self, home: Home, store: Store, to: Path, tmp_path: Path
    ) -> None:
        model = tmp_path / "models" / "tiny"
        model.mkdir(parents=True)
        (model / "LICENSE").write_text("The terms of Tiny & Co.", "utf-8")
        finish(store, engage(store, tmp_path / "rows"), model_dir=model)
        packed(home, to)

        text = (to / NAME / "LICENSE").read_text("utf-8")
        assert "The terms of Tiny & Co." in text
        assert "unknown" in text.splitlines()[0]


class TestChecklist:
    def test_is_printed_without_a_package(self, home: Home, acme: str, to: Path) -> None:
        done = pack(home, to, "--checklist")

        assert done.returncode == 0
        assert "✓ No test message stands in the training data" in done.stdout
        assert list(to.iterdir()) == []


class TestVerifying:
    def verify(self, home: Home, path: Path) -> tuple[int, dict[str, Any]]:
        done = fathom(home, "package", "verify", str(path), "--checksums-only", "--json")
        return done.returncode, json.loads(done.stdout) if done.stdout else {"said": done.stderr}

    @pytest.mark.parametrize("ending", ["", ".tar.zst"])
    def test_a_whole_package_passes(self, home: Home, acme: str, to: Path, ending: str) -> None:
        packed(home, to)

        code, found = self.verify(home, to / f"{NAME}{ending}")

        assert (code, found["passed"], found["package"]) == (0, True, NAME)
        assert {each["path"] for each in found["files"]} == FILES - {"SHA256SUMS"}

    def test_a_stray_file_is_named_and_changes_nothing(
        self, home: Home, acme: str, to: Path
    ) -> None:
        packed(home, to)
        strays = ("nohup.out", "usage.md~", "eval/extra.sh", "backup/old.py", "lost+found/x")
        for name in strays:
            (to / NAME / name).parent.mkdir(exist_ok=True)
            (to / NAME / name).write_text("", "utf-8")
        (to / NAME / "lost+found").chmod(0)

        code, found = self.verify(home, to / NAME)
        said = fathom(home, "package", "verify", str(to / NAME), "--checksums-only")
        (to / NAME / "lost+found").chmod(0o755)

        assert (code, found["passed"], {f["state"] for f in found["files"]}) == (0, True, {"ok"})
        assert found["notes"] == [
            f"{name}: not in the package"
            for name in ("backup/", "eval/extra.sh", "lost+found/", "nohup.out", "usage.md~")
        ]
        assert "note  nohup.out: not in the package" in said.stdout
        assert said.stderr.startswith("PASS: 20 of 20 files right")

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("json.py", "json.py"),
            ("_ssl.cpython-311-x86_64-linux-gnu.so", "_ssl.cpython-311-x86_64-linux-gnu.so"),
            ("numpy/__init__.py", "numpy/"),
            ("eval/__init__.py", "eval/__init__.py"),
        ],
    )
    def test_a_stray_file_that_python_would_import_fails(
        self, home: Home, acme: str, to: Path, name: str, told: str
    ) -> None:
        packed(home, to)
        (to / NAME / name).parent.mkdir(exist_ok=True)
        (to / NAME / name).write_text("", "utf-8")

        code, found = self.verify(home, to / NAME)

        assert code == 1
        assert [(f["path"], f["state"]) for f in found["files"] if f["state"] != "ok"] == [
            (told, f"{IMPORTED}: remove it")
        ]

    def test_a_link_to_a_package_of_python_fails(self, home: Home, acme: str, to: Path) -> None:
        packed(home, to)
        (to / "elsewhere").mkdir()
        (to / "elsewhere" / "__init__.py").write_text("", "utf-8")
        (to / NAME / "json").symlink_to(to / "elsewhere")

        assert self.verify(home, to / NAME)[0] == 1

    def test_changed_missing_and_strange_files_fail(self, home: Home, acme: str, to: Path) -> None:
        packed(home, to)
        (to / NAME / MODEL).write_bytes(b"weights of the delivered File")
        (to / NAME / "LICENSE").unlink()
        (to / NAME / "hashlib.py").write_text("", "utf-8")
        (to / NAME / "usage.md").unlink()
        (to / NAME / "usage.md").symlink_to("/etc/passwd")

        code, found = self.verify(home, to / NAME)

        wrong = {f["path"]: f["state"] for f in found["files"] if f["state"] != "ok"}
        assert code == 1
        assert wrong == {
            MODEL: "changed",
            "LICENSE": "missing",
            "hashlib.py": f"{IMPORTED}: remove it",
            "usage.md": "is a link",
        }

    def test_a_directory_on_the_way_that_is_a_link_fails(
        self, home: Home, acme: str, to: Path
    ) -> None:
        packed(home, to)
        (to / NAME / "eval").rename(to / "elsewhere")
        (to / NAME / "eval").symlink_to(to / "elsewhere")

        code, found = self.verify(home, to / NAME)

        assert code == 1
        assert {f["state"] for f in found["files"] if f["path"].startswith("eval/")} == {
            "is a link"
        }

    def test_sums_that_leave_the_package_are_refused(self, home: Home, acme: str, to: Path) -> None:
        packed(home, to)
        with (to / NAME / "SHA256SUMS").open("a") as sums:
            sums.write(f"{'0' * 64}  ../../etc/passwd\n")

        code, found = self.verify(home, to / NAME)

        assert code == 2
        assert "no whole package" in found["said"]

    def test_sums_of_other_files_than_the_manifest_are_refused(
        self, home: Home, acme: str, to: Path
    ) -> None:
        packed(home, to)
        sums = (to / NAME / "SHA256SUMS").read_text("utf-8")
        (to / NAME / "SHA256SUMS").write_text(sums.split("\n", 1)[1], "utf-8")

        code, found = self.verify(home, to / NAME)

        assert code == 2
        assert "not in both" in found["said"]

    @pytest.mark.parametrize("name", ["nowhere", "SHA256SUMS", "."])
    def test_what_is_no_package_is_refused(
        self, home: Home, acme: str, to: Path, name: str
    ) -> None:
        packed(home, to)

        path = to if name == "." else to / NAME / name
        code, _ = self.verify(home, path)

        assert code == 2

    def test_a_truncated_archive_is_refused(self, home: Home, acme: str, to: Path) -> None:
        packed(home, to)
        archive = to / f"{NAME}.tar.zst"
        archive.write_bytes(archive.read_bytes()[:-500])

        code, found = self.verify(home, archive)

        assert code == 2
        assert "not a delivery package" in found["said"]

    @pytest.mark.parametrize(
        "arguments",
        [
            ("verify",),
            ("verify", "x", "--run", "acme-1"),
            ("acme", "x"),
            ("acme", "--threads", "2"),
        ],
    )
    def test_arguments_that_make_no_sense_are_refused(
        self, home: Home, acme: str, arguments: tuple[str, ...]
    ) -> None:
        done = fathom(home, "package", *arguments)

        assert done.returncode == 2
        assert "fix:" in done.stderr


def test_a_place_whose_name_is_too_long_is_refused(home: Home, acme: str) -> None:
    done = fathom(home, "package", acme, "--to", "n" * 300)

    assert done.returncode == 2
    assert "can be no directory: File name too long" in done.stderr
