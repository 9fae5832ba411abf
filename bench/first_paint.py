"""How long from the command until the screens are there?

    python bench/first_paint.py [--times 9]

From the start of the process to its first frame on an 80 x 24 terminal, without a pause before
it: with no engagement, and opened on a finished run; beside it the least Textual app there is.
Target: 250 ms.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from results import keep
from terminal import Terminal

sys.path.insert(0, str(Path(__file__).parents[1]))  # the journal that the tests use, too

from fathom_tui.store import Home
from tests.screens import story

TARGET_S = 0.25
WARM_UPS = 2
COMMAND = [sys.executable, "-m", "fathom_tui"]
LEAST = """
from textual.app import App
from textual.widgets import Footer, Static
class Least(App):
    def compose(self):
        yield Static("Engagements")
        yield Footer()
Least().run()
"""
"""The least that Textual can show: what a start costs before there is anything of ours."""


def main() -> int:
    """Measure both starts and keep the result; 1 when the first took longer than the target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--times", type=int, default=9, help="starts measured, after warm-ups")
    times = parser.parse_args().times
    with tempfile.TemporaryDirectory() as scratch:
        empty, filled = Path(scratch) / "empty", Path(scratch) / "filled"
        run = story.finished(Home.at(filled), story.engagement(Home.at(filled)))
        result = {
            "target_s": TARGET_S,
            "textual_alone": measure(empty, [sys.executable, "-c", LEAST], times),
            "nothing": measure(empty, COMMAND, times),
            "finished_run": measure(filled, [*COMMAND, "tui", "--run", run], times),
        }
    keep("first_paint", result)
    return 0 if result["nothing"]["median_s"] <= TARGET_S else 1


def measure(home: Path, command: list[str], times: int) -> dict[str, Any]:
    """Start so many times and return the median and the best."""
    starts = [start(home, command) for _ in range(WARM_UPS + times)][WARM_UPS:]
    seconds, cpu_seconds = zip(*starts, strict=True)
    return {
        "median_s": round(statistics.median(seconds), 3),
        "best_s": round(min(seconds), 3),
        "median_cpu_s": round(statistics.median(cpu_seconds), 3),
        "times": times,
    }


def start(home: Path, command: list[str]) -> tuple[float, float]:
    """Return the seconds until the first line of the screens is drawn, and of processor time.

    Where others use the machine, too, the second says what the first would be without them.
    """
    env = {**os.environ, "FATHOM_HOME": str(home), "TERM": "xterm-256color"}
    with Terminal(command, env) as terminal:
        return terminal.read_until(b"Engagements"), terminal.cpu_s()


if __name__ == "__main__":
    raise SystemExit(main())
