"""Hashes of files and directories."""

import hashlib
from pathlib import Path

import pytest

from fathom_tui.store.artifacts import Content, content, difference


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    directory = tmp_path / "adapter"
    (directory / "deep").mkdir(parents=True)
    (directory / "b.json").write_text("{}")
    (directory / "deep" / "a.bin").write_bytes(b"\0" * 1000)
    return directory


def test_a_file_has_the_hash_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"abc")

    assert content(path) == Content(sha256=hashlib.sha256(b"abc").hexdigest(), bytes=3)
    assert content(path).sha256.startswith("ba7816bf")


def test_a_directory_has_a_hash_made_of_sorted_names_and_hashes(adapter: Path) -> None:
    lines = [
        b"b.json\0" + hashlib.sha256(b"{}").hexdigest().encode() + b"\n",
        b"deep/a.bin\0" + hashlib.sha256(b"\0" * 1000).hexdigest().encode() + b"\n",
    ]

    assert content(adapter).sha256 == hashlib.sha256(b"".join(lines)).hexdigest()
    assert content(adapter).bytes == 1002


def test_a_renamed_file_changes_the_hash_of_its_directory(adapter: Path) -> None:
    before = content(adapter)

    (adapter / "b.json").rename(adapter / "c.json")

    assert content(adapter).sha256 != before.sha256
    assert content(adapter).bytes == before.bytes


def test_links_count_with_their_target_and_are_not_followed(adapter: Path) -> None:
    before = content(adapter)
    (adapter / "loop").symlink_to("..")
    looped = content(adapter)
    (adapter / "loop").unlink()
    (adapter / "loop").symlink_to("../..")

    assert looped.bytes == before.bytes
    assert len({before.sha256, looped.sha256, content(adapter).sha256}) == 3


def test_difference_says_what_is_wrong(adapter: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"abc")
    recorded, recorded_adapter = content(path), content(adapter)
    assert difference(path, recorded) == difference(adapter, recorded_adapter) == ""

    path.write_bytes(b"abd")
    (adapter / "b.json").write_text("{ }")

    assert "has sha256 a52d159f262b…" in difference(path, recorded)
    assert difference(adapter, recorded_adapter) == "has 1003 bytes, recorded were 1002"
    path.write_bytes(b"ab")
    assert difference(path, recorded) == "has 2 bytes, recorded were 3"
    path.unlink()
    assert difference(path, recorded) == "is missing"


def test_content_of_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        content(tmp_path / "nothing")
