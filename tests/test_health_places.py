"""`fathom health`: places that cannot be written or read, and an engagement that breaks a check."""

import json
import os
import stat
from pathlib import Path

import pytest

from fathom_tui.runner import health
from fathom_tui.runner.checked import Checked, Wanted
from fathom_tui.store import Home, Store
from tests.running import fathom


def test_metrics_are_not_written_over_a_pipe(home: Home, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    ended = fathom(home, "health", "--textfile", str(pipe))

    assert ended.returncode == 3
    assert "is no regular file" in ended.stderr
    assert stat.S_ISFIFO(pipe.lstat().st_mode)


@pytest.mark.parametrize("name", ["/", ".", "", "..", "n" * 300])
def test_metrics_need_a_name_that_a_file_can_have(home: Home, name: str) -> None:
    ended = fathom(home, "health", "--textfile", name)

    assert ended.returncode == 3
    assert ended.stderr.startswith("error: ")
    assert "fix: Name a file" in ended.stderr


def test_inputs_from_a_pipe_are_refused_and_not_waited_for(home: Home, tmp_path: Path) -> None:
    Store(home.prepare()).create_engagement("Acme", {}, "acme")
    pipe = tmp_path / "inputs.jsonl"
    os.mkfifo(pipe)

    ended = fathom(home, "health", "acme", "--inputs", str(pipe))

    assert ended.returncode == 3
    assert "is no regular file" in ended.stderr


def test_an_engagement_that_breaks_the_check_does_not_hide_the_others(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from fathom_tui.cli import main

    store = Store(home.prepare())
    for slug in ("beta", "acme"):
        store.create_engagement(slug, {}, slug)
        row = {"id": f"{slug}:v1", "run": f"{slug}-1", "target": "vllm", "version": "v1"}
        store.record(slug, "deployment", {**row, "state": "serving"})
    true_check = health.check

    def check(home: Home, slug: str, wanted: Wanted) -> Checked:
        if slug == "acme":
            raise KeyError("version")
        return true_check(home, slug, wanted)

    monkeypatch.setattr(health, "check", check)
    monkeypatch.setenv("FATHOM_HOME", str(home.data.parent))

    main(["health", "--json", "--no-record"])

    first, second = json.loads(capsys.readouterr().out)
    assert (first["engagement"], first["state"]) == ("acme", "unknown")
    assert "KeyError('version')" in first["reasons"][0]
    assert second["engagement"] == "beta"
