"""How long do the shortest commands take?

    python bench/startup.py [--times 15]

`fathom --help` and `fathom runs --json` (five finished runs in the ledger), each in a process of
its own, in turn with a Python that does nothing; the median counts. Targets: 80 ms and 180 ms.
Where others use the machine, too, processor time says what the first would be without them.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from results import keep

sys.path.insert(0, str(Path(__file__).parents[1]))  # the journal that the tests use, too

from fathom_tui.store import Home, Store
from tests.screens import story

WARM_UPS = 2
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "python": ("-c", "pass"),
    "help": ("-m", "fathom_tui", "--help"),
    "runs_json": ("-m", "fathom_tui", "runs", "--json"),
}
TARGETS_S = {"help": 0.08, "runs_json": 0.18}


def main() -> int:
    """Measure all commands and keep the result; 1 when one took longer than its target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--times", type=int, default=15, help="runs of each command measured")
    times = parser.parse_args().times
    with tempfile.TemporaryDirectory() as scratch:
        home = Home.at(Path(scratch))
        slug = story.engagement(home)
        for _ in range(5):
            story.finished(home, slug)
        Store(home).runs()  # the ledger is up to date, as it is after every run
        result = measure(Path(scratch), times)
    keep("startup", {"targets_s": TARGETS_S, "times": times, **result})
    return 0 if all(result[name]["median_s"] <= most for name, most in TARGETS_S.items()) else 1


def measure(home: Path, times: int) -> dict[str, Any]:
    """Run the commands in turn, so many times each; return medians and the best."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for _ in range(WARM_UPS + times):
        for name, arguments in COMMANDS.items():
            taken[name].append(start(home, arguments))
    return {name: _summary(found[WARM_UPS:]) for name, found in taken.items()}


def start(home: Path, arguments: tuple[str, ...]) -> tuple[float, float]:
    """Return the seconds and the processor seconds that one command takes."""
    env = {**os.environ, "FATHOM_HOME": str(home)}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=env, stdout=subprocess.DEVNULL, check=True)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu


def _summary(taken: list[tuple[float, float]]) -> dict[str, float]:
    seconds, cpu = zip(*taken, strict=True)
    return {
        "median_s": round(statistics.median(seconds), 4),
        "best_s": round(min(seconds), 4),
        "median_cpu_s": round(statistics.median(cpu), 4),
    }


if __name__ == "__main__":
    raise SystemExit(main())
