"""Start and stop the double from tests."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.ollama_double.children import ROOT


@dataclass(frozen=True, slots=True)
class Double:
    """A running double."""

    url: str
    process: "subprocess.Popen[str]"

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait(10)


@contextmanager
def double(
    models: Path, *, version: str = "0.33.0", faults: Sequence[str] = (), port: int = 0
) -> Iterator[Double]:
    """Run a double for as long as the context lasts.

    Args:
        models: Directory of its state; it may be used again.
        version: What it claims to be.
        faults: `NAME` or `NAME=TIMES`, see `faults.py`.
        port: 0 for a free one.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("OLLAMA_")}
    arguments = ["--port", str(port), "--models", str(models), "--version", version]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.ollama_double", *arguments]
        + [f"--fault={fault}" for fault in faults],
        cwd=ROOT,
        env=kept,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("listening on "), f"the double did not start: {line!r}"
        yield Double(line.removeprefix("listening on ").strip(), process)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        process.stdout.close()
