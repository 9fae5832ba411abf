"""Tables as files."""

import csv
import json
import stat
from pathlib import Path

import duckdb
import pytest

from fathom_tui.errors import EnvironmentProblem, UsageError
from fathom_tui.store import Store
from fathom_tui.store.tables import COLUMNS
from tests.store.conftest import WriteRun


@pytest.mark.parametrize("fmt", ["parquet", "csv", "jsonl"])
def test_every_table_is_written_for_its_owner_only(
    store: Store, acme: str, tmp_path: Path, fmt: str
) -> None:
    files = store.export(tmp_path / "Ann's export", fmt)

    assert [path.name for path in files] == [f"{table}.{fmt}" for table in COLUMNS]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
    assert stat.S_IMODE((tmp_path / "Ann's export").stat().st_mode) == 0o700


def test_an_export_holds_what_was_recorded(
    store: Store, acme: str, write_run: WriteRun, tmp_path: Path
) -> None:
    run_id = write_run(acme)
    for fmt in ("parquet", "csv", "jsonl"):
        store.export(tmp_path, fmt)

    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT run, train_loss FROM read_parquet(?) ORDER BY position",
            [str(tmp_path / "metrics.parquet")],
        ).fetchall()
    with (tmp_path / "waivers.csv").open(newline="") as file:
        waivers = list(csv.DictReader(file))
    facts = [json.loads(line) for line in (tmp_path / "facts.jsonl").read_text().splitlines()]

    assert rows == [(run_id, 2.5), (run_id, None)]
    assert [(each["by"], each["reason"]) for each in waivers] == [("Ann", "a pilot")]
    assert facts[0]["key"] == "volume"
    assert facts[0]["value"] == 1200


def test_an_export_replaces_an_earlier_one(store: Store, acme: str, tmp_path: Path) -> None:
    store.export(tmp_path, "csv")
    store.record(acme, "fact", {"key": "gpu", "value": 0})

    store.export(tmp_path, "csv")

    assert len((tmp_path / "facts.csv").read_text().splitlines()) == 3


def test_an_unknown_format_is_refused_before_anything_is_made(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'xlsx'") as refused:
        store.export(tmp_path / "new", "xlsx")

    assert "parquet, csv, jsonl" in refused.value.fix
    assert not (tmp_path / "new").exists()


def test_a_file_in_the_place_of_the_directory_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("keep me")

    with pytest.raises(UsageError, match="is a file"):
        store.export(tmp_path / "file")
    with pytest.raises(EnvironmentProblem, match="cannot be made"):
        store.export(tmp_path / "file" / "inside")
    assert (tmp_path / "file").read_text() == "keep me"
