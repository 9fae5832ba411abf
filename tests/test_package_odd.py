"""Packages whose files are valid in form and make no sense: refused in words, never by a crash."""

import hashlib
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import zstandard

from fathom_tui.errors import ExitCode, UsageError
from fathom_tui.package import FORMAT
from fathom_tui.runner import package_verify
from fathom_tui.runner.archive import unpack
from fathom_tui.runner.package_check import check
from fathom_tui.store import Home
from tests.running import fathom

GOOD: dict[str, Any] = {
    "engagement": "acme",
    "system": "",
    "max_new_tokens": 4,
    "n_ctx": 64,
    "contract": {"kind": "label"},
    "anchors": [{"id": "a", "input": "x", "expected": "y"}],
}


def package(folder: Path, anchors: str, manifest: str = "") -> Path:
    """Write a package whose sums are right."""
    folder.mkdir()
    files = {"anchors.json": anchors, "model.gguf": "no model"}
    rows = [{"path": name, "bytes": len(text)} for name, text in files.items()]
    files["manifest.json"] = manifest or json.dumps({"files": rows})
    for name, text in files.items():
        (folder / name).write_text(text)
    sums = [f"{hashlib.sha256(text.encode()).hexdigest()}  {name}" for name, text in files.items()]
    (folder / "SHA256SUMS").write_text("\n".join(sums) + "\n")
    return folder


def archive(path: Path, manifest: str) -> Path:
    """Write an archive that holds a manifest alone."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar:
        member = tarfile.TarInfo("acme/manifest.json")
        member.size = len(manifest)
        tar.addfile(member, io.BytesIO(manifest.encode()))
    path.write_bytes(zstandard.compress(packed.getvalue()))
    return path


def test_a_manifest_that_is_nested_too_deeply_is_no_package(tmp_path: Path) -> None:
    odd = package(tmp_path / "acme", json.dumps(GOOD), manifest="[" * 200_000)

    with pytest.raises(UsageError, match="is no whole package"):
        check(odd, lambda found: None)


@pytest.mark.parametrize(
    "files",
    [
        [{"path": "a", "bytes": float("inf")}],
        [{"path": "a", "bytes": 10**400}],
        [{"path": "a", "bytes": 1}, {"path": "a/b", "bytes": 1}],
        [{"path": "manifest.json/b", "bytes": 1}],
        [{"path": "n" * 256, "bytes": 1}],
        [{"path": f"a/{'é' * 128}/b", "bytes": 1}],
    ],
)
def test_an_archive_whose_manifest_cannot_be_unpacked_is_no_package(
    tmp_path: Path, files: list[dict[str, Any]]
) -> None:
    path = archive(tmp_path / "a.tar.zst", json.dumps({"format": FORMAT, "files": files}))
    (tmp_path / "into").mkdir()

    with pytest.raises(UsageError, match="is not a delivery package"):
        unpack(path, tmp_path / "into")


ODD = {
    "no object": "[]",
    "nested": "[" * 200_000,
    "no engagement": json.dumps({k: v for k, v in GOOD.items() if k != "engagement"}),
    "anchors that are texts": json.dumps(GOOD | {"anchors": ["a"]}),
    "an anchor without id": json.dumps(GOOD | {"anchors": [{"input": "x", "expected": "y"}]}),
    "half a character": json.dumps(
        GOOD | {"anchors": [{"id": "a", "input": "\ud800", "expected": "y"}]}
    ),
    "no contract": json.dumps({k: v for k, v in GOOD.items() if k != "contract"}),
    "tokens as text": json.dumps(GOOD | {"max_new_tokens": "4"}),
    "endless context": json.dumps(GOOD | {"n_ctx": float("inf")}),
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD.keys())
def test_anchors_that_make_no_sense_could_not_be_checked(tmp_path: Path, text: str) -> None:
    directory = package(tmp_path / "acme", text)

    with pytest.raises(package_verify.CannotCheckError, match=r"anchors\.json cannot be read"):
        package_verify.read_anchors(directory)


def test_the_check_of_such_anchors_ends_with_3_and_says_why(tmp_path: Path) -> None:
    directory = package(tmp_path / "acme", ODD["an anchor without id"])

    found = check(directory, lambda found: None)
    alone = subprocess.run(
        [sys.executable, package_verify.__file__, str(directory), "--url", "http://127.0.0.1:9"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert found.exit_code == ExitCode.COULD_NOT_CHECK
    assert "id is missing, or no text" in str(found.of("problem"))
    assert (alone.returncode, alone.stderr) == (3, "")
    assert "could not check: anchors.json cannot be read: id is missing" in alone.stdout


def test_a_directory_whose_name_is_too_long_is_refused_in_words(home: Home) -> None:
    for arguments in (["verify", "n" * 300], ["verify", "n" * 300, "--checksums-only"]):
        ended = fathom(home, "package", *arguments)
        assert ended.returncode == 2
        assert "There is no package" in ended.stderr
