"""What nobody should type, and what a home may have become: one clear error each, nothing lost."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from fathom_tui import cli
from fathom_tui.commands import run as run_command
from fathom_tui.datasets.formats import infer_contract
from fathom_tui.engagement import check_name, configure, read_settings
from fathom_tui.errors import DatasetError, EnvironmentProblem, UsageError
from fathom_tui.store import Home, Store
from fathom_tui.store.requests import agent_alive, ensure_agent

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    "name", ["Acme\u202eegairt", "Acme\u2028triage", "Acme\u2066", "Acme\udcff", "a\x1b[31m"]
)
def test_name_that_would_show_as_another_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be an engagement's name"):
        check_name(name)


@pytest.mark.parametrize("name", ["Été à Paris", "日本語", "Acme 👩‍💻", "עברית"])
def test_name_in_any_language_is_taken(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    ("setting", "value"),
    [("dataset", 5), ("model", 3), ("test", ["a"]), ("dataset", "a\0.csv"), ("model", "a\0")],
)
def test_path_that_is_none_names_the_setting(tickets: Path, setting: str, value: object) -> None:
    settings: dict[str, Any] = {"dataset": str(tickets), "output": "label", setting: value}
    with pytest.raises(UsageError, match=f"The setting {setting} is"):
        configure(settings)


@pytest.mark.parametrize("setting", ["dataset", "instruction"])
def test_text_that_is_not_utf_8_is_refused_rather_than_changed(tickets: Path, setting: str) -> None:
    value = str(tickets) + os.fsdecode(b"caf\xe9")
    with pytest.raises(UsageError, match="is not UTF-8"):
        configure({"dataset": str(tickets), "output": "label", setting: value})


@pytest.mark.parametrize("model", ["", "~nobody-of-that-name/model", "m" * 5000])
def test_model_path_that_cannot_be_is_no_model(tickets: Path, model: str) -> None:
    with pytest.raises(UsageError, match="is not a Hugging Face model directory"):
        configure({"dataset": str(tickets), "output": "label", "model": model})


def test_home_of_nobody_in_a_settings_file_is_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "acme.toml"
    path.write_text('dataset = "~nobody-of-that-name/a.csv"\noutput = "label"\n', "utf-8")
    with pytest.raises(DatasetError, match="There is no file"):
        configure(read_settings(path))


def test_label_with_control_characters_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "esc.csv"
    path.write_text("text,label\nfoo,b\nred,a\x1b[0m\n", "utf-8")
    with pytest.raises(DatasetError, match=r"esc\.csv:3: "):
        infer_contract(path, output="label")


@pytest.mark.parametrize("given", ["~nobody-of-that-name/test.csv", "t" * 5000, "."])
def test_test_file_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(DatasetError, match="There is no test file"):
        run_command._existing(given)


def test_faulty_test_file_is_named_before_a_run_is_reserved(
    home: Home, tickets: Path, tmp_path: Path, capsys: Capture
) -> None:
    config = configure({"dataset": str(tickets), "output": "label"})
    slug = Store(home).create_engagement("Acme", config)
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"text": "a", "label": "card"}\n{"text":\n', "utf-8")

    assert cli.main(["run", slug, "--test", str(broken), "--json"]) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert f"{broken}:2: broken JSON" in err
    assert Store(home).runs() == []
    assert not list(home.runs.glob("*"))


@pytest.mark.parametrize("beat", ["[]", "5", "{}", '{"pid": 1}', "[" * 100_000, "noise"])
def test_damaged_heartbeat_is_an_agent_of_which_nothing_is_known(home: Home, beat: str) -> None:
    import fcntl

    home.prepare()
    home.agent_file.write_text(beat, "utf-8")
    with home.agent_lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        alive = agent_alive(home)
    assert alive is not None
    assert {"pid", "run", "stage"} <= set(alive)
    json.dumps(alive)


def test_home_that_is_a_file_has_no_agent(home: Home) -> None:
    home.data.parent.write_text("x", "utf-8")
    assert agent_alive(home) is None


def test_lock_that_cannot_be_opened_is_a_matter_of_the_environment(home: Home) -> None:
    home.prepare()
    (home.state / "agent.starting").mkdir()
    with pytest.raises(EnvironmentProblem, match=r"agent\.starting cannot be opened"):
        ensure_agent(home)
    home.agent_lock.mkdir()
    with pytest.raises(EnvironmentProblem, match=r"agent\.lock cannot be opened"):
        agent_alive(home)
