import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.datasets.cases import Case, case_ids, read_split, write_private, write_split
from fathom_tui.errors import DatasetError

texts = st.text(st.characters(exclude_categories=["Cs"]))
cases = st.builds(
    Case,
    id=texts,
    input=texts,
    values=st.dictionaries(texts, st.none() | texts | st.integers() | st.floats(allow_nan=False)),
    output=texts,
    stratum=texts,
    line=st.integers(min_value=0),
)


def a_case(text: str = "Where is my card?", label: str = "card") -> Case:
    return Case(id="c1", input=text, values={"label": label}, output=label, line=2)


@given(cases)
def test_a_case_survives_json(case: Case) -> None:
    assert Case.from_json(json.loads(json.dumps(case.to_json()))) == case


def test_a_split_file_gives_back_its_cases(tmp_path: Path) -> None:
    written = [a_case(), a_case("A line\nbreak and a \u2028 separator")]

    sha256 = write_split(tmp_path / "train.jsonl", written)

    assert read_split(tmp_path / "train.jsonl", sha256=sha256) == written


@pytest.mark.parametrize("umask", [0, 0o277])
def test_a_split_file_is_its_owners_only_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_split(tmp_path / "test.jsonl", [a_case()])
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "test.jsonl").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["test.jsonl"]


def test_a_changed_split_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    sha256 = write_split(path, [a_case()])
    path.write_bytes(path.read_bytes().replace(b"card?", b"cash?"))

    with pytest.raises(DatasetError, match="was changed after it was locked"):
        read_split(path, sha256=sha256)


@pytest.mark.parametrize("content", [b"{", b'{"id": "c1"}', b"[1]", b"\xff"])
def test_a_file_that_holds_no_cases_is_refused_with_its_line(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes(json.dumps(a_case().to_json()).encode() + b"\n" + content + b"\n")

    with pytest.raises(DatasetError, match=r"train\.jsonl:2 is not a case"):
        read_split(path)


def test_a_missing_split_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read: No such file"):
        read_split(tmp_path / "train.jsonl")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()

    with pytest.raises(OSError):
        write_private(tmp_path / "taken", b"new")

    assert (tmp_path / "taken" / "file").exists()


def test_ids_come_from_the_content_and_repeats_are_numbered() -> None:
    one, two, again = case_ids([("a", "x"), ("a", "y"), ("a", "x")])

    assert one != two
    assert again == f"{one}-2"
    assert case_ids([("a", "y")]) == [two]
