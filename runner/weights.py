"""A directory of 16-bit weights kept as a version: whole, or not at all."""

import os
import shutil
from pathlib import Path

from fathom_tui.errors import EnvironmentProblem


def merged_from(gguf: Path) -> Path:
    """Return the directory of 16-bit weights that a run's GGUF was made from.

    Args:
        gguf: The run's quantised file, beside which the run keeps `merge/model`; or such a
            directory itself.

    Raises:
        EnvironmentProblem: It is not there.
    """
    directory = gguf if gguf.is_dir() else gguf.parent.parent / "merge" / "model"
    if not (directory / "config.json").is_file():
        raise EnvironmentProblem(
            f"vLLM serves 16-bit weights, and those of {gguf.name} are not in {directory}.",
            fix="Run the engagement again; or deploy to a target that serves GGUF.",
        )
    return directory


def keep(weights: Path, draft: Path) -> None:
    """Copy a directory of weights, by links where that can be; to be renamed into place.

    Raises:
        EnvironmentProblem: There is no room for it.
    """
    shutil.rmtree(draft, ignore_errors=True)
    try:
        shutil.copytree(weights, draft, copy_function=_link_or_copy)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise EnvironmentProblem(
            f"{weights} cannot be kept as a version in {draft.parent}: {error.strerror}.",
            fix="Free some space there.",
        ) from error


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)  # no copy of gigabytes
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
