"""Running the real command line from tests."""

import os
import subprocess
import sys

from fathom_tui.store import Home


def environment(home: Home) -> dict[str, str]:
    """Return an environment in which `home` is home and nothing of the user's gets in."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FATHOM_", "OLLAMA_"))}
    return {**kept, "FATHOM_HOME": str(home.data.parent), "NO_COLOR": "1", "COLUMNS": "120"}


def fathom(home: Home, *arguments: str, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run `fathom ARGUMENTS` in a home and return what it said, whatever its exit code."""
    return subprocess.run(
        [sys.executable, "-m", "fathom_tui", *arguments],
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        stdin=subprocess.DEVNULL,
    )
