"""`fathom store`, as a person or a script calls it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fathom_tui.cli import main
from fathom_tui.store import Store

Fathom = Callable[..., int]


@pytest.fixture
def fathom(acme: str) -> Fathom:
    """Return the command, in the home of the fixtures."""
    return lambda *arguments: main(["store", *arguments])


def test_check_of_a_sound_ledger_ends_with_0(
    fathom: Fathom, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fathom("check") == 0

    printed = capsys.readouterr()
    assert "ok       engagements/acme: 7 events, numbered without a gap\n" in printed.out
    assert printed.err == "2 checked: 2 ok, 0 warning, 0 broken\n"


def test_check_ends_with_1_when_something_is_broken(
    fathom: Fathom, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    path = store.home.engagement_journal("acme")
    path.write_bytes(path.read_bytes().replace(b'"seq":3', b'"seq":4'))

    assert fathom("check") == 1
    assert "BROKEN   engagements/acme" in capsys.readouterr().out
    assert fathom("check", "--json") == 1

    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["broken"] == 1


def test_rebuild_prints_the_rows_of_each_table(
    fathom: Fathom, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fathom("rebuild") == 0
    assert "       1  waivers\n" in capsys.readouterr().out
    assert fathom("rebuild", "--json") == 0

    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["rows"]["engagements"] == 1


def test_export_prints_the_files_it_wrote(
    fathom: Fathom, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fathom("export", str(tmp_path / "out"), "--format", "jsonl", "--json") == 0

    (line,) = capsys.readouterr().out.splitlines()
    assert all(Path(file).exists() for file in json.loads(line)["files"])
    assert fathom("export", str(tmp_path / "out")) == 0
    assert str(tmp_path / "out" / "facts.parquet") in capsys.readouterr().out.splitlines()


def test_a_ledger_made_again_is_told_on_stderr(
    fathom: Fathom, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    store.home.database.write_bytes(b"noise")

    assert fathom("rebuild") == 0

    assert "note: The ledger could not be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [(), ("mend",), ("export",), ("export", "x", "--format", "y")]
)
def test_what_cannot_be_understood_ends_with_2(
    fathom: Fathom, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert fathom(*arguments) == 2
    assert capsys.readouterr().out == ""
