import errno
from pathlib import Path

import pytest

from fathom_tui.errors import EnvironmentProblem
from fathom_tui.runner.whole import whole


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "model.gguf"
    target.write_text("old")

    with whole(target) as draft:
        draft.write_text("new")
        assert target.read_text() == "old"

    assert (target.read_text(), names(tmp_path)) == ("new", ["model.gguf"])


def test_a_folder_takes_the_place_of_one_that_holds_something(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "stale").touch()

    with whole(target) as draft:
        draft.mkdir()
        (draft / "weights").touch()

    assert names(target) == ["weights"]


@pytest.mark.parametrize("folder", [False, True])
def test_what_fails_leaves_no_half_of_itself_and_the_old_one_as_it_was(
    tmp_path: Path, folder: bool
) -> None:
    target = tmp_path / "model"
    target.write_text("old")

    with pytest.raises(ZeroDivisionError), whole(target) as draft:
        if folder:
            draft.mkdir()
            (draft / "part").touch()
        else:
            draft.write_text("half")
        raise ZeroDivisionError

    assert (target.read_text(), names(tmp_path)) == ("old", ["model"])


def test_the_rest_of_a_killed_attempt_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "model.part").mkdir()
    (tmp_path / "model.part" / "stale").touch()

    with whole(tmp_path / "model") as draft:
        draft.mkdir()

    assert names(tmp_path) == ["model"] and names(tmp_path / "model") == []


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
        OSError("28311552 requested and 20078768 written"),  # numpy's, without a number
    ],
)
def test_a_full_disk_is_named_with_the_way_out(tmp_path: Path, error: Exception) -> None:
    with (
        pytest.raises(EnvironmentProblem, match="No space left on|came out short") as found,
        whole(tmp_path / "model") as draft,
    ):
        draft.write_text("half")
        raise error

    assert str(tmp_path) in found.value.fix
    assert names(tmp_path) == []


def test_a_full_disk_is_found_behind_another_error(tmp_path: Path) -> None:
    def write() -> None:
        try:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        except OSError as error:
            raise ValueError("the library could not write") from error

    with pytest.raises(EnvironmentProblem, match="quota"), whole(tmp_path / "model"):
        write()
