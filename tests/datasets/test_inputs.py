"""Recent inputs: from whatever file somebody logged them in."""

import json
from pathlib import Path

import pytest

from fathom_tui.datasets.inputs import read_inputs
from fathom_tui.errors import DatasetError


def a_file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_lines_of_a_text_file_are_inputs(tmp_path: Path) -> None:
    path = a_file(tmp_path, "log.TXT", "\ufeffone\n\n  two, with a comma  \r\n")

    assert read_inputs(path) == ["one", "two, with a comma"]


def test_the_engagements_own_column_comes_first(tmp_path: Path) -> None:
    path = a_file(tmp_path, "log.csv", "input,body\nwrong,right\n")

    assert read_inputs(path, "body") == ["right"]
    assert read_inputs(path, "gone") == ["wrong"]


@pytest.mark.parametrize("name", ["input", "text", "prompt", "message", "question"])
def test_usual_names_of_a_column_are_known(tmp_path: Path, name: str) -> None:
    rows = [{"id": 1, name: "one"}, {"id": 2, name: ""}, {"id": 3}]
    path = a_file(tmp_path, "log.jsonl", "".join(json.dumps(row) + "\n" for row in rows))

    assert read_inputs(path) == ["one"]


def test_no_known_column_is_refused_with_those_there_are(tmp_path: Path) -> None:
    path = a_file(tmp_path, "log.csv", "a,b\n1,2\n")

    with pytest.raises(DatasetError, match="has the columns a, b") as error:
        read_inputs(path, "body")

    assert "body" in error.value.fix


@pytest.mark.parametrize(("name", "content"), [("a.txt", " \n\n"), ("a.csv", "text\n \n")])
def test_a_file_without_inputs_is_refused(tmp_path: Path, name: str, content: str) -> None:
    with pytest.raises(DatasetError):
        read_inputs(a_file(tmp_path, name, content))


@pytest.mark.parametrize("name", ["gone.txt", "gone.csv"])
def test_a_missing_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError, match="gone"):
        read_inputs(tmp_path / name)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(DatasetError, match="not UTF-8"):
        read_inputs(path)
