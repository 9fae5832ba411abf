import csv
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fathom_tui.contract import Contract, Field
from fathom_tui.datasets.cases import read_split
from fathom_tui.datasets.formats import infer_contract
from fathom_tui.datasets.words import normalised
from fathom_tui.errors import DatasetError
from fathom_tui.gates import Gate, Outcome
from fathom_tui.recipe import Plan
from fathom_tui.runner import data, stage

LABELS = Contract.of_labels(("card", "fees"))
SPLITS = ("train", "validation", "test")
Row = tuple[str, str]


class Collected:
    """A report that keeps what the stage says."""

    def __init__(self) -> None:
        self.gates: dict[str, Gate] = {}
        self.artifacts: dict[str, Path] = {}
        self.notes: list[str] = []
        self.steps: list[float] = []

    def progress(self, done: float, total: float, note: str = "") -> None:
        self.steps.append(done / total)

    def metric(self, *, step: int, **values: float) -> None:
        raise AssertionError("the data stage has no metrics")

    def measured(self, name: str, value: float, unit: str) -> None:
        raise AssertionError("the data stage measures nothing")

    def gate(self, gate: Gate) -> None:
        self.gates[gate.name] = gate

    def artifact(self, name: str, path: Path) -> None:
        self.artifacts[name] = path

    def note(self, text: str) -> None:
        self.notes.append(text)

    def outcomes(self, outcome: Outcome) -> set[str]:
        return {name for name, gate in self.gates.items() if gate.outcome is outcome}


def a_csv(path: Path, rows: Iterable[Row]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


def distinct(count: int, labels: tuple[str, ...] = ("card", "fees"), word: str = "q") -> list[Row]:
    """Messages that share no shingle with one another."""
    rows = []
    for n in range(count):
        text = " ".join(f"{word}{n}x{part}" for part in range(6))
        rows.append((text, labels[n % len(labels)]))
    return rows


def run_stage(folder: Path, **settings: Any) -> tuple[dict[str, Any], Collected]:
    plan = Plan(contract=settings.pop("contract", LABELS), instruction="Classify.", **settings)
    run_dir = folder / "run"
    (run_dir / "data").mkdir(parents=True, exist_ok=True)
    job = stage.Job(
        run="bank-1",
        stage="data",
        run_dir=run_dir,
        serving=folder / "serving",
        engagement="acme",
        cache=folder,
        plan=plan,
        results={},
    )
    report = Collected()
    return data.run(job, report), report


def texts(report: Collected, *splits: str) -> list[str]:
    return [case.input for split in splits for case in read_split(report.artifacts[split])]


class TestACleanDataset:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return a_csv(tmp_path / "tickets.csv", distinct(2000))

    def test_every_gate_passes(self, tmp_path: Path, path: Path) -> None:
        result, report = run_stage(tmp_path, dataset=str(path))

        assert report.outcomes(Outcome.PASS) == {
            "data.parse",
            "data.one_class",
            "data.conflicts",
            "data.duplicates",
            "data.leakage",
            "data.floor",
            "data.class_floor",
            "data.balance",
            "data.test_size",
            "data.pii",
        }
        assert len(report.gates) == 10
        assert [result["counts"][split] for split in SPLITS] == [1600, 200, 200]
        assert result["classes"]["label"]["card"] == {"train": 800, "validation": 100, "test": 100}
        assert result["findings"] == []
        assert report.steps == sorted(report.steps)
        assert report.steps[-1] == 1

    def test_the_split_is_locked_by_its_hashes(self, tmp_path: Path, path: Path) -> None:
        result, report = run_stage(tmp_path, dataset=str(path))

        manifest = json.loads(report.artifacts["manifest"].read_text("utf-8"))
        for split in SPLITS:
            assert manifest["splits"][split]["sha256"] == result["sha256"][split]
            location = tmp_path / "run" / result[split]
            assert location == report.artifacts[split]
            assert (
                len(read_split(location, sha256=result["sha256"][split]))
                == (result["counts"][split])
            )
        assert manifest["sources"][0]["sha256"] == result["sha256"]["dataset"]

    def test_every_file_is_its_owners_only(self, tmp_path: Path, path: Path) -> None:
        _, report = run_stage(tmp_path, dataset=str(path))

        modes = {stat.S_IMODE(file.stat().st_mode) for file in report.artifacts.values()}
        assert set(report.artifacts) == {*SPLITS, "findings", "manifest"}
        assert modes == {0o600}

    def test_a_second_run_gives_the_same_result_and_it_is_json(
        self, tmp_path: Path, path: Path
    ) -> None:
        first, _ = run_stage(tmp_path, dataset=str(path))
        again, _ = run_stage(tmp_path, dataset=str(path))

        assert first == again
        assert json.loads(json.dumps(first, allow_nan=False)) == first

    def test_limits_are_kept_and_named_as_the_way_out(self, tmp_path: Path, path: Path) -> None:
        result, report = run_stage(
            tmp_path, dataset=str(path), train_rows=150, validation_rows=20, test_rows=50
        )

        assert [result["counts"][split] for split in SPLITS] == [150, 20, 50]
        assert report.outcomes(Outcome.REFUSE) == {"data.floor"}
        assert report.gates["data.floor"].waivable
        assert report.gates["data.floor"].fix.startswith("Raise train_rows (1,780 rows lie unused)")
        assert report.gates["data.test_size"].fix.startswith("Raise test_rows (up to 200)")


def test_the_result_does_not_depend_on_the_hash_seed_of_the_process(tmp_path: Path) -> None:
    rows = distinct(60) + [(f"{text} again", label) for text, label in distinct(30)]
    path = a_csv(tmp_path / "tickets.csv", rows)
    program = (
        "import sys; from pathlib import Path; from tests.runner.test_data import run_stage\n"
        "print(run_stage(Path(sys.argv[1]), dataset=sys.argv[2])[0])"
    )

    printed = {
        subprocess.run(
            [sys.executable, "-c", program, str(tmp_path), str(path)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(printed) == 1
    assert "'near_duplicate_groups': 30" in printed.pop()


class TestCopies:
    def test_copies_are_removed_and_counted(self, tmp_path: Path) -> None:
        rows = distinct(600)
        copies = [(text.upper() + "!", label) for text, label in rows[:12]]
        path = a_csv(tmp_path / "tickets.csv", rows + copies)

        result, report = run_stage(tmp_path, dataset=str(path))

        assert result["counts"]["copies_removed"] == 12
        assert sum(result["counts"][split] for split in SPLITS) == 600
        assert "12 of 612 rows were copies" in report.gates["data.duplicates"].reason
        found = texts(report, *SPLITS)
        assert len({normalised(text) for text in found}) == len(found)

    def test_near_duplicates_share_a_split_and_are_counted(self, tmp_path: Path) -> None:
        rows = distinct(300)
        near = [(f"{text} please", label) for text, label in rows[:100]]
        path = a_csv(tmp_path / "tickets.csv", rows + near)

        result, report = run_stage(tmp_path, dataset=str(path))

        assert result["counts"]["near_duplicate_groups"] == 100
        assert result["counts"]["near_duplicate_rows"] == 200
        homes = {text: split for split in SPLITS for text in texts(report, split)}
        assert all(homes[text] == homes[f"{text} please"] for text, _ in rows[:100])
        assert report.gates["data.leakage"].outcome is Outcome.PASS

    def test_rows_that_are_all_near_duplicates_leave_no_test(self, tmp_path: Path) -> None:
        long = " ".join(f"w{n}" for n in range(60))
        path = a_csv(
            tmp_path / "tickets.csv", [(f"{long} {n}", ("card", "fees")[n % 2]) for n in range(50)]
        )

        _, report = run_stage(tmp_path, dataset=str(path))

        assert {"data.test_size", "data.floor"} <= report.outcomes(Outcome.REFUSE)
        assert not report.gates["data.test_size"].waivable
        assert not report.gates["data.floor"].waivable


class TestAFixedTest:
    def run_with_leaks(self, tmp_path: Path) -> tuple[dict[str, Any], Collected]:
        rows, test = distinct(600), distinct(250, word="t")
        word_for_word = [(test[n][0].upper() + "?", test[n][1]) for n in range(7)]
        nearly = [(f"{test[n][0]} please", test[n][1]) for n in range(5, 10)]
        path = a_csv(tmp_path / "tickets.csv", rows + word_for_word + nearly)
        return run_stage(tmp_path, dataset=str(path), test=str(a_csv(tmp_path / "test.csv", test)))

    def test_its_copies_are_removed_from_train_and_counted(self, tmp_path: Path) -> None:
        result, report = self.run_with_leaks(tmp_path)

        counts = result["counts"]
        assert (counts["leaked_exact"], counts["leaked_near"]) == (7, 5)
        assert counts["leaked_test_rows"] == 10
        assert counts["across_splits"] == 0
        gate = report.gates["data.leakage"]
        assert gate.outcome is Outcome.PASS
        assert "12 rows that also stand in the test were removed" in gate.reason
        learned = {normalised(text) for text in texts(report, "train", "validation")}
        assert learned.isdisjoint(normalised(text) for text in texts(report, "test"))

    def test_it_is_the_test_and_the_rest_is_cut_90_10(self, tmp_path: Path) -> None:
        result, report = self.run_with_leaks(tmp_path)

        assert sorted(texts(report, "test")) == sorted(text for text, _ in distinct(250, word="t"))
        assert [result["counts"][split] for split in SPLITS] == [540, 60, 250]
        assert len(result["sha256"]) == 5

    def test_its_own_copies_stay_and_are_found(self, tmp_path: Path) -> None:
        test = distinct(200, word="t")
        path = a_csv(tmp_path / "tickets.csv", distinct(600))
        conflicting = [(test[0][0], "fees"), (test[1][0].upper(), test[1][1])]

        result, report = run_stage(
            tmp_path, dataset=str(path), test=str(a_csv(tmp_path / "t.csv", test + conflicting))
        )

        assert result["counts"]["test"] == 202
        assert {finding["name"] for finding in result["findings"]} == {
            "test_exact_duplicates",
            "test_label_conflicts",
        }
        assert report.gates["data.conflicts"].outcome is Outcome.WARN

    def test_the_same_file_as_test_leaves_nothing_to_train_on(self, tmp_path: Path) -> None:
        path = str(a_csv(tmp_path / "tickets.csv", distinct(50)))

        result, report = run_stage(tmp_path, dataset=path, test=path)

        assert result["counts"]["leaked_exact"] == 50
        assert not report.gates["data.floor"].waivable
        assert report.gates["data.floor"].outcome is Outcome.REFUSE

    def test_a_value_outside_the_contract_is_named_with_its_file(self, tmp_path: Path) -> None:
        path = a_csv(tmp_path / "tickets.csv", distinct(10))
        test = a_csv(tmp_path / "test.csv", [("a", "card"), ("b", "loan")])

        with pytest.raises(DatasetError, match=r"test\.csv:3: label is 'loan'"):
            run_stage(tmp_path, dataset=str(path), test=str(test))

    def test_a_row_that_slipped_through_refuses(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # As if the removal had missed them all: the last look, at the cut splits, finds them.
        clean = data._clean

        def without_removal(sources: Any) -> Any:
            return replace(clean(sources), kept=list(sources.dataset.cases))

        monkeypatch.setattr(data, "_clean", without_removal)

        result, report = self.run_with_leaks(tmp_path)

        assert result["counts"]["across_splits"] == 12
        assert report.gates["data.leakage"].outcome is Outcome.REFUSE
        assert not report.gates["data.leakage"].waivable


class TestVerdicts:
    def test_conflicts_warn_with_the_lines_in_the_findings(self, tmp_path: Path) -> None:
        rows = distinct(600)
        path = a_csv(tmp_path / "tickets.csv", [*rows, (rows[0][0], "fees")])

        _, report = run_stage(tmp_path, dataset=str(path))

        assert report.gates["data.conflicts"].outcome is Outcome.WARN
        findings = json.loads(report.artifacts["findings"].read_text("utf-8"))
        conflict = next(f for f in findings if f["name"] == "label_conflicts")
        assert conflict["lines"] == [[2, 602]]

    def test_more_than_five_per_cent_of_conflicts_refuse_and_may_be_waived(
        self, tmp_path: Path
    ) -> None:
        rows = distinct(600, labels=("card",)) + distinct(20, labels=("fees",))
        path = a_csv(tmp_path / "tickets.csv", rows)

        _, report = run_stage(tmp_path, dataset=str(path))

        assert report.gates["data.conflicts"].outcome is Outcome.REFUSE
        assert report.gates["data.conflicts"].waivable

    def test_a_small_unbalanced_dataset_with_personal_data_warns_of_each(
        self, tmp_path: Path
    ) -> None:
        rows = distinct(300, labels=("card",) * 9 + ("fees",))
        rows[0] = ("mail me at jo@example.com about it", "card")
        path = a_csv(tmp_path / "tickets.csv", rows)

        _, report = run_stage(tmp_path, dataset=str(path))

        assert report.outcomes(Outcome.WARN) == {
            "data.floor",
            "data.class_floor",
            "data.balance",
            "data.test_size",
            "data.pii",
        }
        assert "email in 1" in report.gates["data.pii"].reason

    def test_one_class_refuses_and_cannot_be_waived(self, tmp_path: Path) -> None:
        path = a_csv(tmp_path / "tickets.csv", distinct(600, labels=("card",)))

        _, report = run_stage(tmp_path, dataset=str(path))

        assert report.gates["data.one_class"].outcome is Outcome.REFUSE
        assert not report.gates["data.one_class"].waivable

    def test_texts_of_rows_never_reach_gates_or_the_result(self, tmp_path: Path) -> None:
        rows = [("SECRET mail jo@example.com", "card"), ("secret mail jo@example.com!", "fees")]
        path = a_csv(tmp_path / "tickets.csv", distinct(300) + rows + rows)

        result, report = run_stage(tmp_path, dataset=str(path))

        told = json.dumps([result, [gate.to_json() for gate in report.gates.values()]])
        assert "secret" not in told.lower()
        assert "secret" not in report.artifacts["findings"].read_text("utf-8").lower()

    def test_what_the_reader_left_out_is_noted(self, tmp_path: Path) -> None:
        path = tmp_path / "chat.jsonl"
        lines = [
            {
                "messages": [
                    {"role": "system", "content": "Classify."},
                    {"role": "user", "content": text},
                    {"role": "assistant", "content": label},
                ]
            }
            for text, label in distinct(30)
        ]
        path.write_text("\n".join(map(json.dumps, lines)), "utf-8")

        _, report = run_stage(tmp_path, dataset=str(path))

        assert report.notes == [
            "Left out in 30 rows: system messages: the recipe's instruction replaces them."
        ]

    def test_a_json_contract_counts_every_choice_field(self, tmp_path: Path) -> None:
        contract = Contract(
            kind="json",
            fields=(
                Field(name="kind", kind="choice", choices=("card", "fees")),
                Field(name="amount", kind="number", nullable=True),
                Field(name="urgency", kind="choice", choices=("low", "high")),
            ),
        )
        path = tmp_path / "tickets.jsonl"
        lines = [
            {"text": text, "kind": label, "amount": n or None, "urgency": "low", "from": "chat"}
            for n, (text, label) in enumerate(distinct(100))
        ]
        path.write_text("\n".join(map(json.dumps, lines)), "utf-8")

        result, report = run_stage(tmp_path, dataset=str(path), contract=contract, stratum="from")

        assert result["classes"]["kind"]["fees"] == {"train": 40, "validation": 5, "test": 5}
        assert result["classes"]["urgency"]["high"] == {"train": 0, "validation": 0, "test": 0}
        assert report.gates["data.one_class"].outcome is Outcome.PASS
        assert read_split(report.artifacts["test"])[0].stratum == "chat"

    def test_a_manifest_of_an_earlier_attempt_does_not_outlive_a_failed_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = str(a_csv(tmp_path / "tickets.csv", distinct(50)))
        _, report = run_stage(tmp_path, dataset=path)

        def full_disk(*_: object) -> str:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(data, "write_split", full_disk)
        with pytest.raises(OSError):
            run_stage(tmp_path, dataset=path)

        assert not report.artifacts["manifest"].exists()


REAL_DATA = os.environ.get("FATHOM_REAL_DATA", "")


@pytest.mark.skipif(not REAL_DATA, reason="FATHOM_REAL_DATA names no folder with banking77")
class TestBanking77:
    """Real customer messages in 8 classes, with a test that its authors fixed."""

    @pytest.fixture
    def files(self, tmp_path: Path) -> tuple[Path, Path]:
        folder = Path(REAL_DATA)
        folder = folder / "banking77" if (folder / "banking77").is_dir() else folder
        triage = json.loads((folder / "triage8.json").read_text("utf-8"))
        label = {intent: name for name, intents in triage.items() for intent in intents}
        made = []
        for split in ("train", "test"):
            with (folder / f"{split}.csv").open(newline="", encoding="utf-8") as file:
                rows = [
                    (row["text"], label[row["category"]])
                    for row in csv.DictReader(file)
                    if row["category"] in label
                ]
            made.append(a_csv(tmp_path / f"{split}8.csv", rows))
        return made[0], made[1]

    def test_copies_leaks_and_conflicts_are_those_counted_by_hand(
        self, tmp_path: Path, files: tuple[Path, Path]
    ) -> None:
        train, test = map(str, files)
        contract = infer_contract(files[0], "text", "label")

        result, report = run_stage(tmp_path, dataset=train, test=test, contract=contract)

        counts = result["counts"]
        assert len(contract.fields[0].choices) == 8
        assert (counts["rows"], counts["test_file_rows"], counts["test"]) == (6807, 2120, 2120)
        assert counts["copies_removed"] == 27
        assert counts["leaked_exact"] == 19
        assert counts["across_splits"] == 0
        assert "label_conflicts" not in {finding["name"] for finding in result["findings"]}
        assert report.outcomes(Outcome.PASS) == set(report.gates)

    def test_a_share_of_the_rows_as_test_leaks_nothing(
        self, tmp_path: Path, files: tuple[Path, Path]
    ) -> None:
        contract = infer_contract(files[0], "text", "label")

        result, report = run_stage(tmp_path, dataset=str(files[0]), contract=contract)

        assert sum(result["counts"][split] for split in SPLITS) == 6780
        assert result["counts"]["test"] == 678
        assert report.gates["data.leakage"].outcome is Outcome.PASS
