"""Numbers of versions: none is given twice."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.runner.numbers import beside, next_version, number, remember, retire


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("v1", 1),
        ("v12", 12),
        ("v0", None),
        ("v01", None),
        ("live", None),
        ("v1x", None),
        ("v٣", None),
    ],
)
def test_a_version_is_v_and_a_number(name: str, found: int | None) -> None:
    assert number(name) == found


def test_whatever_is_called_like_a_version_takes_its_number(tmp_path: Path) -> None:
    (tmp_path / "v2").mkdir()
    for name in ("v1.gguf", "v4.spec.json", "v3.removed", "live.gguf", "vx.json", ".v9.part"):
        (tmp_path / name).touch()

    assert next_version(tmp_path) == "v5"
    assert next_version(tmp_path, ["v7", "latest"]) == "v8"
    assert next_version(tmp_path / "nowhere") == "v1"


def test_what_is_beside_a_version_is_neither_its_model_nor_its_trace(tmp_path: Path) -> None:
    for name in ("v1.gguf", "v1.json", "v1.anchors.json", "v10.json"):
        (tmp_path / name).touch()
    retire(tmp_path, "v1")

    assert [path.name for path in beside(tmp_path, "v1")] == ["v1.anchors.json", "v1.json"]


@given(known=st.lists(st.integers(1, 40), unique=True), kept=st.sets(st.integers(1, 40)))
def test_a_folder_that_was_lost_gives_no_number_of_the_ledger_again(
    tmp_path_factory: pytest.TempPathFactory, known: list[int], kept: set[int]
) -> None:
    root = tmp_path_factory.mktemp("serving")
    for version in kept & set(known):
        (root / f"v{version}.gguf").touch()

    remember(root, [*(f"v{version}" for version in known), "", "latest", "../v9"])

    assert next_version(root) == f"v{max(known, default=0) + 1}"
