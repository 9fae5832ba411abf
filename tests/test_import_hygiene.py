"""What an import loads: the real thing in a fresh interpreter, and a look at `sys.modules`.

import-linter sees which module names which; only running shows what is loaded when.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TORCH = ("torch", "transformers", "peft", "trl", "llama_cpp")
LOOK = "import json, sys; print(json.dumps(sorted(sys.modules)))"


def loaded_by(code: str, home: Path) -> set[str]:
    """Return the modules a fresh interpreter has after running some code."""
    ended = subprocess.run(
        [sys.executable, "-c", f"{code}\n{LOOK}"],
        cwd=ROOT,
        env={**os.environ, "FATHOM_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(json.loads(ended.stdout.splitlines()[-1]))


def command(*arguments: str) -> str:
    """Return code that runs one command."""
    return f"from fathom_tui.cli import main; assert main({list(arguments)}) == 0"


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import fathom_tui.cli", ("textual", "duckdb", "numpy", "rich", "asyncio", *TORCH)),
        ("import fathom_tui.runner", ("textual", "duckdb", "rich", *TORCH)),
        ("import fathom_tui.store", ("textual", "duckdb", "rich", *TORCH)),
        ("import fathom_tui.datasets.formats", ("textual", "duckdb", "rich", *TORCH)),
        (command("runs", "--json"), ("textual", "rich", "numpy", *TORCH)),
        (command("engagement", "list", "--json"), ("textual", "rich", "numpy", *TORCH)),
        (command("doctor", "--json"), ("textual", "rich", "duckdb", "numpy", *TORCH)),
    ],
    ids=lambda value: value[-40:] if isinstance(value, str) else "",
)
def test_import_loads_no_more_than_it_needs(
    code: str, absent: tuple[str, ...], tmp_path: Path
) -> None:
    loaded = loaded_by(code, tmp_path)

    assert sorted(loaded & set(absent)) == []


def test_help_loads_no_command(tmp_path: Path) -> None:
    code = (
        "from fathom_tui.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print()"  # the list of modules needs a line of its own
    )

    loaded = loaded_by(code, tmp_path)

    assert [name for name in loaded if name.startswith("fathom_tui.commands")] == []


def test_a_command_loads_no_other_command(tmp_path: Path) -> None:
    loaded = loaded_by(command("runs", "--json"), tmp_path)

    assert sorted(name for name in loaded if name.startswith("fathom_tui.commands.")) == [
        "fathom_tui.commands.ledger",
        "fathom_tui.commands.output",
        "fathom_tui.commands.runs",
    ]
