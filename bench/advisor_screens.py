"""How long from a key to the picture on the Models and the Hardware screen?

    python bench/advisor_screens.py [--times 12]

Every key that changes something, pressed many times on the whole catalog, at both sizes, without
a terminal: the time ends when the last changed line has been turned into what a terminal would be
sent. The keys of Hardware meet columns that nobody has looked at yet. Targets: 60 ms for 95 of 100
keys on Models, 100 ms on Hardware.
"""

import argparse
import asyncio
import math
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from results import keep
from textual.pilot import Pilot
from textual.screen import Screen

sys.path.insert(0, str(Path(__file__).parents[1]))  # the agent that the tests use, too

from fathom_tui.screens.app import FathomApp
from fathom_tui.store import Home
from tests.screens.looking import Listener, settle

TARGETS_S = {"models": 0.06, "hardware": 0.1}
SIZES = ((80, 24), (140, 40))
KEYS = {
    "models": ("j", "k", "pagedown", "pageup", "b", "B", "c", "C", "t", "T"),
    "hardware": ("j", "k", "l", "h", "L", "H", "pagedown", "pageup", "v", "b", "B", "c", "C", "s"),
}
QUIET_S = 0.06
"""Nothing was painted for so long: the answer to a key is complete."""


class Painted(FathomApp):
    """The app with a clock at the end of every paint."""

    painted_at = 0.0

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        super()._display(screen, renderable)
        if hasattr(renderable, "render_segments"):  # without a terminal nobody else does
            renderable.render_segments(self.console)
        self.painted_at = perf_counter()


def main() -> int:
    """Measure and keep the result; 1 when a screen missed its target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--times", type=int, default=12, help="how often each key is pressed")
    times = parser.parse_args().times
    result: dict[str, Any] = {"times": times}
    met = True
    for place, target in TARGETS_S.items():
        measured = {
            f"{width}x{height}": asyncio.run(measure(place, (width, height), times))
            for width, height in SIZES
        }
        met &= all(size["p95_ms"] <= 1000 * target for size in measured.values())
        result[place] = {"target_p95_ms": round(1000 * target), **measured}
    keep("advisor-screens", result)
    return 0 if met else 1


async def measure(place: str, size: tuple[int, int], times: int) -> dict[str, Any]:
    """Return the milliseconds of all keys together, and the median of each."""
    with tempfile.TemporaryDirectory() as scratch:
        app = Painted(Home.at(Path(scratch)), agent=Listener())
        async with app.run_test(size=size) as pilot:
            await settle(pilot)
            app.switch_mode(place)
            await settle(pilot)
            found: dict[str, list[float]] = {key: [] for key in KEYS[place]}
            for _ in range(times):
                for key in KEYS[place]:
                    found[key].append(await latency(pilot, app, key))
    every = [seconds for each in found.values() for seconds in each if seconds]
    return {
        "keys": len(every),
        "median_ms": _ms(statistics.median(every)),
        "p95_ms": _ms(percentile(every, 0.95)),
        "largest_ms": _ms(max(every)),
        "median_ms_by_key": {
            key: _ms(statistics.median(each)) for key, each in found.items() if any(each)
        },
    }


async def latency(pilot: Pilot[None], app: Painted, key: str) -> float:
    """Return the seconds from a key to the end of the last paint; 0 where nothing changed."""
    app.painted_at = 0.0
    began = perf_counter()
    app.simulate_key(key)
    while perf_counter() - max(began, app.painted_at) < QUIET_S:
        await asyncio.sleep(0.002)
    await pilot.pause()
    return max(0.0, app.painted_at - began)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that so many values do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 1)


if __name__ == "__main__":
    raise SystemExit(main())
