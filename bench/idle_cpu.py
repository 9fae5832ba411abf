"""What do the screens cost while nothing happens, and while a run is watched?

    python bench/idle_cpu.py [--seconds 20]

Processor time and bytes to an 80 x 24 terminal on each screen, five seconds after the start.
Target: 0.5 % of one core while idle. The watched run takes a step twice a second.
"""

import argparse
import fcntl
import json
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from results import keep
from terminal import Terminal

sys.path.insert(0, str(Path(__file__).parents[1]))  # the journal that the tests use, too

from fathom_tui.store import Home
from tests.screens import story

TARGET_PERCENT = 0.5
SETTLE_S = 5.0
COMMAND = [sys.executable, "-m", "fathom_tui"]


def main() -> int:
    """Measure and keep the result; 1 when an idle screen cost more than the target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each measurement")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as scratch:
        home = Home.at(Path(scratch))
        slug = story.engagement(home)
        done = story.finished(home, slug)
        engagements = measure(home, COMMAND, seconds)
        finished = measure(home, [*COMMAND, "tui", "--run", done], seconds)
        live = story.training(home, slug, steps=1)
        with agent_of(home, live), Steps(live):
            watched = measure(home, [*COMMAND, "tui", "--run", live.run_id], seconds)
    keep(
        "idle_cpu",
        {
            "target_idle_percent": TARGET_PERCENT,
            "seconds": seconds,
            "engagements": engagements,
            "finished_run": finished,
            "watched_run": watched,
        },
    )
    return 0 if max(s["cpu_percent"] for s in (engagements, finished)) <= TARGET_PERCENT else 1


def measure(home: Home, command: list[str], seconds: float) -> dict[str, Any]:
    """Return processor time and bytes a second once the screens have settled."""
    env = {**os.environ, "FATHOM_HOME": str(home.data.parent), "TERM": "xterm-256color"}
    with Terminal(command, env) as terminal:
        terminal.read_until(b"Engagements")
        terminal.read_for(SETTLE_S)
        before = terminal.cpu_s()
        count = terminal.read_for(seconds)
        used = terminal.cpu_s() - before
    return {
        "cpu_percent": round(100 * used / seconds, 2),
        "bytes_per_s": round(count / seconds),
    }


@contextmanager
def agent_of(home: Home, live: story.Story) -> Iterator[None]:
    """Be the agent that works on a run, as far as others can see."""
    home.prepare()
    home.agent_file.write_text(json.dumps(dict(story.heartbeat(live))), "utf-8")
    with home.agent_lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Steps(threading.Thread):
    """Training steps appended to a journal until the block is left."""

    def __init__(self, live: story.Story) -> None:
        super().__init__(daemon=True)
        self._live = live
        self._over = threading.Event()

    def run(self) -> None:
        """Take a step twice a second."""
        for step, metric in enumerate(story.losses(10_000, 10_000), 2):
            if self._over.wait(0.5):
                return
            self._live.add("metric", stage="train", **metric)
            self._live.add("progress", stage="train", done=step, total=10_000, note=f"step {step}")

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()
        self._live.journal.close()


if __name__ == "__main__":
    raise SystemExit(main())
