"""The README cannot drift: the quick commands it shows are run, and each must work."""

import argparse
import os
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from fathom_tui.cli import VERBS
from tests.benches import bench

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SLOW = ("make", "pip", "git", "fathom demo", "fathom run ", "fathom resume", "FATHOM_TORCH=")
"""What these do is tested elsewhere, and takes minutes."""
_SERVED = ("fathom deploy", "fathom rollback", "fathom package", "fathom health", "fathom runner")
"""These need a model that is served; what they do is tested where there is one."""


def commands() -> list[str]:
    """Return the commands of all console blocks, in order."""
    lines = [line for block in _BLOCK.findall(README) for line in block.splitlines()]
    return [line[2:] for line in lines if line.startswith("$ ")]


def test_readme_shows_the_two_first_commands() -> None:
    shown = commands()

    assert "make demo" in shown and "make test" in shown


@pytest.mark.parametrize("command", [c for c in commands() if not c.startswith(_SLOW + _SERVED)])
def test_quick_commands_work_as_shown(command: str, tmp_path: Path) -> None:
    program, *arguments = shlex.split(command, comments=True)

    assert program == "fathom"
    ended = subprocess.run(
        [sys.executable, "-m", "fathom_tui", *arguments],
        cwd=ROOT,
        env={**os.environ, "FATHOM_HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr.count("error:")) == (0, 0), ended.stderr


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith(_SERVED)])
def test_commands_about_a_served_model_are_understood(command: str) -> None:
    _, verb, *arguments = shlex.split(command, comments=True)
    parser = argparse.ArgumentParser()
    import_module(f"fathom_tui.commands.{verb}").add_arguments(parser)

    assert parser.parse_args(arguments)


def test_figures_are_those_of_the_results() -> None:
    with bench("measured") as measured:
        assert measured.BEGIN + measured.section() + measured.END in README


def test_every_command_shown_exists() -> None:
    shown = {c.split()[1] for c in commands() if c.startswith("fathom ")}

    assert shown <= {verb.name for verb in VERBS} | {"--help", "--version"}


def test_every_command_is_shown() -> None:
    missing = [verb.name for verb in VERBS if f"fathom {verb.name}" not in README]

    assert missing == []


def test_readme_names_no_package_index() -> None:
    assert "--index-url http" not in README
