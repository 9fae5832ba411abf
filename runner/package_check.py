"""Check a package that was received: unpack it without trusting it, then run the check it carries.

The check is our own copy of `verify.py`, in a process of its own: a package is not asked to vouch
for itself, and a broken model may end the process that loads it.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fathom_tui.errors import EnvironmentProblem, ExitCode, UsageError
from fathom_tui.package import CHECKSUMS, MANIFEST
from fathom_tui.runner import package_verify
from fathom_tui.runner.archive import unpack

Finding = dict[str, Any]
Tell = Callable[[Finding], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What became of a check."""

    package: str
    """Name of the package's directory."""
    findings: tuple[Finding, ...]
    exit_code: int

    def of(self, kind: str) -> list[Finding]:
        """Return the findings of a kind, without the word for it."""
        return [
            {name: value for name, value in found.items() if name != "kind"}
            for found in self.findings
            if found["kind"] == kind
        ]

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "package": self.package,
            "passed": self.exit_code == ExitCode.DONE,
            "files": self.of("file"),
            "notes": [str(found["text"]) for found in self.of("note")],
            "anchors": self.of("anchor"),
            "problems": [str(found["text"]) for found in self.of("problem")],
        }

    def summary(self) -> str:
        """Return the check in a line."""
        files, anchors = self.of("file"), self.of("anchor")
        right = sum(found["state"] == "ok" for found in files)
        passed = sum(bool(found["passed"]) for found in anchors)
        word = {ExitCode.DONE: "PASS", ExitCode.REFUSED: "FAIL"}.get(
            ExitCode(self.exit_code), "COULD NOT CHECK"
        )
        asked = f", {passed} of {len(anchors)} anchors pass" if anchors else ""
        return f"{word}: {right} of {len(files)} files right{asked} ({self.package})"


def check(
    path: Path, tell: Tell, *, checksums_only: bool = False, threads: int | None = None
) -> Checked:
    """Check a package's directory or archive.

    Args:
        path: The directory, or the `.tar.zst`.
        tell: Called with each finding as it comes: {"kind": "file" | "note" | "anchor" |
            "problem", ...}.
        checksums_only: Whether to load no model.
        threads: CPU threads; all cores if None.

    Raises:
        UsageError: Nothing is there, or it is no package of ours.
        EnvironmentProblem: It cannot be read or unpacked here.
    """
    with _directory(path) as directory:
        _require_same_files(directory)
        arguments = [str(directory), "--lines"]
        arguments += ["--checksums-only"] if checksums_only else []
        arguments += ["--threads", str(threads)] if threads is not None else []
        findings, code = _in_child(arguments, tell)
        return Checked(package=directory.resolve().name, findings=tuple(findings), exit_code=code)


@contextmanager
def _directory(path: Path) -> Iterator[Path]:
    if os.path.isdir(path):  # False also for a name that is too long
        yield path
        return
    if not os.path.isfile(path):
        raise UsageError(
            f"There is no package {path}.", fix="Name its directory, or the .tar.zst file."
        )
    with tempfile.TemporaryDirectory(prefix="fathom-package-") as place:
        yield unpack(path, Path(place))


def _require_same_files(directory: Path) -> None:
    """Refuse a package of which the manifest and the sums name different files.

    Raises:
        UsageError: They do, or one of them cannot be understood.
        EnvironmentProblem: One of them cannot be read.
    """
    try:
        data = json.loads((directory / MANIFEST).read_text("utf-8"))
        listed = {str(row["path"]) for row in data["files"]} | {MANIFEST}
        summed = set(package_verify.read_checksums(directory / CHECKSUMS))
    except FileNotFoundError as error:
        raise UsageError(
            f"{directory} is no delivery package: it has no {MANIFEST}.",
            fix="Name the directory that holds usage.md.",
        ) from error
    except OSError as error:
        raise EnvironmentProblem(
            f"{directory} cannot be read: {error.strerror}.", fix=f"ls -l {directory}"
        ) from error
    except (
        ValueError, KeyError, TypeError, RecursionError, package_verify.CannotCheckError
    ) as error:  # fmt: skip
        raise UsageError(
            f"{directory} is no whole package: {error}.", fix="Ask for it again."
        ) from error
    strange = sorted(listed ^ summed)
    if strange:
        raise UsageError(
            f"{strange[0]!r} stands in {MANIFEST} or in {CHECKSUMS}, and not in both.",
            fix="Ask for the package again: somebody changed it.",
        )


def _in_child(arguments: Sequence[str], tell: Tell) -> tuple[list[Finding], int]:
    """Run the check; return its findings and the exit code, also when the process crashes."""
    script = os.path.abspath(package_verify.__file__)
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-P", script, *arguments, "--here"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            encoding="utf-8",
            env={**package_verify.PATIENT, **os.environ, "GGML_NO_BACKTRACE": "1"},
        )
        findings = []
        with process:
            for line in process.stdout or ():
                findings.append(json.loads(line))
                tell(findings[-1])
        code = process.returncode
        if code not in (ExitCode.DONE, ExitCode.REFUSED, ExitCode.COULD_NOT_CHECK):
            findings.append({"kind": "problem", "text": _crash(code, errors)})
            tell(findings[-1])
            code = ExitCode.COULD_NOT_CHECK
    return findings, int(code)


def _crash(code: int, errors: Any) -> str:
    errors.seek(0)
    said = errors.read().decode("utf-8", "replace").strip().splitlines()
    how = f"signal {-code}" if code < 0 else f"code {code}"
    last = f": {said[-1][:200]}" if said else ""
    return f"the process that loaded the model ended with {how}{last}"
