"""The demo, measured: minutes of every stage, scores, and the peak memory of any process.

    python bench/demo.py [--quick] [--home DIRECTORY]

The base model is converted before the clock starts, as `make demo` does in its set-up. Targets on
two cores with bf16: the full demo within 6 minutes, --quick within 3, no process above 3 GB.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from results import keep


def main() -> int:
    """Run the demo once in a home of its own and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--home", type=Path, help="FATHOM_HOME to use (default: temporary)")
    given = parser.parse_args()
    name = "demo-quick" if given.quick else "demo"
    with tempfile.TemporaryDirectory() as scratch:
        home = given.home or Path(scratch) / "home"
        warm(home)
        code, result = measure(home, quick=given.quick)
    keep(name, {"exit_code": code, **result})
    return code


def warm(home: Path) -> None:
    """Convert the embedded model into the home's cache."""
    from fathom_tui.recipe import EMBEDDED
    from fathom_tui.runner.base_model import prepare
    from fathom_tui.store import Home

    prepare(EMBEDDED, Home.at(home).prepare().cache)


def measure(home: Path, *, quick: bool) -> tuple[int, dict[str, Any]]:
    """Run the command and watch its processes."""
    environment = {**os.environ, "FATHOM_HOME": str(home)}
    command = [
        sys.executable,
        "-m",
        "fathom_tui",
        "demo",
        "--json",
        *(["--quick"] if quick else []),
    ]
    peaks: dict[str, int] = {}
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(str(home), peaks, done))
    watcher.start()
    begun = time.monotonic()
    try:
        ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=False)
    finally:
        seconds = time.monotonic() - begun
        done.set()
        watcher.join()
    summary: dict[str, Any] = json.loads(ended.stdout)
    del summary["artifacts"]
    return ended.returncode, {
        "minutes": round(seconds / 60, 2),
        "peak_memory_gb": {k: round(v / 1e9, 2) for k, v in sorted(peaks.items())},
        **summary,
    }


def _watch(home: str, peaks: dict[str, int], done: threading.Event) -> None:
    """Note the kernel's own high-water mark of every process that works in this home."""
    while not done.wait(0.5):
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if home.encode() not in (process / "environ").read_bytes():
                    continue
                words = (process / "cmdline").read_text("utf-8").split("\0")
                status = (process / "status").read_text("ascii")
            except OSError:
                continue  # it has just ended, or is not ours to read
            stage = next((Path(w).parent.name for w in words if w.endswith("order.json")), "")
            label = stage or next((w for w in ("llama_cpp.server", "fathom_tui") if w in words), "")
            mark = next((x for x in status.splitlines() if x.startswith("VmHWM")), "VmHWM: 0 kB")
            if label or any("fathom_tui" in w for w in words):
                label = label or "agent"
                peaks[label] = max(peaks.get(label, 0), int(mark.split()[1]) * 1024)


if __name__ == "__main__":
    sys.exit(main())
