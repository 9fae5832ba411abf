"""The wheel: one import root, every module and data file; and the versions agree everywhere."""

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fathom_tui import __version__

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "fathom_tui": "fathom_tui",
    "assets": "fathom_tui/assets",
    "runner": "fathom_tui/runner",
    "screens": "fathom_tui/screens",
}
"""Where each folder of the tree stands in the wheel."""
SKIPPED = shutil.ignore_patterns(
    *(".git", ".venv", "build", "dist", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis")
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build sdist and wheel from a copy of the tree: a left-over build/ would change them."""
    tree = tmp_path_factory.mktemp("tree") / "fathom"
    shutil.copytree(ROOT, tree, symlinks=True, ignore=SKIPPED)
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tree / "dist"), "."],
        cwd=tree,
        check=True,
        capture_output=True,
        timeout=300,
    )
    return tree / "dist"


@pytest.fixture(scope="module")
def wheel(built: Path) -> set[str]:
    """Return the names of the files in the wheel, which was built from the sdist."""
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def files_of_the_tree() -> Iterator[str]:
    """Yield each module and data file of the tree under its name in the wheel."""
    for folder, place in FOLDERS.items():
        for path in (ROOT / folder).rglob("*"):
            inside = path.relative_to(ROOT / folder)
            if path.is_file() and "__pycache__" not in inside.parts:
                yield f"{place}/{inside.as_posix()}"


def test_the_only_import_root_is_fathom_tui(wheel: set[str]) -> None:
    roots = {name.partition("/")[0] for name in wheel}

    assert roots == {"fathom_tui", f"fathom_tui-{__version__}.dist-info"}


def test_every_file_of_the_packages_is_in_the_wheel(wheel: set[str]) -> None:
    in_tree = set(files_of_the_tree())

    assert sorted(in_tree - wheel) == []
    assert {"fathom_tui/py.typed", "fathom_tui/assets/tested.toml"} <= in_tree


def test_the_wheel_has_nothing_that_the_tree_has_not(wheel: set[str]) -> None:
    packaged = {name for name in wheel if name.startswith("fathom_tui/")}

    assert sorted(packaged - set(files_of_the_tree())) == []


def test_the_sdist_has_the_tests_and_no_links(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        members = archive.getmembers()

    names = {member.name.partition("/")[2] for member in members}
    assert {"tests/test_packaging.py", "constraints.txt", "LICENSE", "README.md"} <= names
    assert [member.name for member in members if member.issym() or member.islnk()] == []


def test_three_links_stand_for_the_folders() -> None:
    for name in ("assets", "runner", "screens"):
        link = ROOT / "fathom_tui" / name
        assert link.is_symlink() and link.readlink() == Path("..") / name


def test_every_dependency_says_what_it_is_for() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    section = text[text.index("\ndependencies = [") : text.index("[project.scripts]")]
    lines = [line.strip() for line in section.splitlines() if line.startswith("    ")]

    assert lines and [line for line in lines if not re.search(r'",\s+# \w', line)] == []


def requirements() -> dict[str, list[str]]:
    """Return the names of the declared dependencies by extra, our own extras left out."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    groups = {"base": project["dependencies"], **project["optional-dependencies"]}
    return {
        extra: [
            re.split(r"[\[<>=;! ]", line)[0] for line in lines if not line.startswith("fathom-tui")
        ]
        for extra, lines in groups.items()
    }


def constraints() -> dict[str, str]:
    """Return the pinned versions."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {name.lower(): version for name, version in pins}


def test_every_dependency_is_in_the_tested_set() -> None:
    pinned = constraints()
    needed = {name.lower() for names in requirements().values() for name in names}

    assert sorted(needed - set(pinned) - {"setuptools"}) == []


def test_doctor_knows_the_same_tested_set() -> None:
    known = tomllib.loads((ROOT / "assets/tested.toml").read_text("utf-8"))
    pinned = constraints()
    declared = {extra: names for extra, names in requirements().items() if extra != "dev"}

    assert {extra: sorted(names) for extra, names in known.items()} == {
        extra: sorted(names) for extra, names in declared.items()
    }
    for names in known.values():
        assert names == {name: pinned[name] for name in names}


def test_constraints_name_no_index() -> None:
    text = (ROOT / "constraints.txt").read_text("utf-8")

    assert "://" not in text and "--" not in text


def test_fathom_torch_is_what_pip_is_given_first() -> None:
    ended = subprocess.run(
        ["make", "--dry-run", "--always-make", ".venv/.demo", "FATHOM_TORCH=torch==9 --pre"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )

    installs = [line for line in ended.stdout.splitlines() if " install --quiet " in line]
    assert installs[0].endswith("install --quiet torch==9 --pre")
    assert all("--constraint .venv/constraints.txt" in line for line in installs[1:])
