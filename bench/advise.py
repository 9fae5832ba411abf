"""How fast does the advisor answer, and how soon does a key press show on its screen?

    python bench/advise.py [--keys 120]

The whole advice for one workload, and costs and verdict alone over 10,000 workloads, with the
catalog as it ships. Then keys on the Advise screen without a terminal, at two sizes: from the key
press until the last frame that it changed is written. Targets: 5 ms, 1 s, 60 ms (p95).
"""

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from results import keep
from rich.console import RenderableType
from textual._compositor import CompositorUpdate
from textual.events import Key
from textual.pilot import Pilot
from textual.screen import Screen

from fathom_tui import catalog
from fathom_tui.advice import advise, verdicts
from fathom_tui.screens.advise import AdviseScreen
from fathom_tui.screens.app import FathomApp
from fathom_tui.setting import Setting, setting
from fathom_tui.store import Home
from fathom_tui.workload import REGULATIONS, Workload

TARGETS = {"advice_ms": 5.0, "sweep_s": 1.0, "key_to_paint_p95_ms": 60.0}
SWEEP = 10_000
TIMES = 300
SIZES = ((80, 24), (140, 40))
QUIET_S = 0.12
"""A key has shown all it does when nothing was written for so long."""
NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def main() -> int:
    """Measure and keep the result; 1 when a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--keys", type=int, default=120, help="keys pressed at each size")
    keys = parser.parse_args().keys
    against = setting(catalog.load())
    with tempfile.TemporaryDirectory() as scratch:
        painted = {
            f"{width}x{height}": asyncio.run(paint(Home.at(Path(scratch)), (width, height), keys))
            for width, height in SIZES
        }
    result: dict[str, Any] = {
        "targets": TARGETS,
        "advice_median_ms": advice_ms(against),
        "sweep_points": SWEEP,
        "sweep_s": sweep_s(against),
        "key_to_paint": painted,
    }
    keep("advise", result)
    missed = (
        result["advice_median_ms"] > TARGETS["advice_ms"]
        or result["sweep_s"] > TARGETS["sweep_s"]
        or max(size["p95_ms"] for size in painted.values()) > TARGETS["key_to_paint_p95_ms"]
    )
    return int(missed)


def workloads(count: int) -> Iterator[Workload]:
    """Yield workloads of every kind, the same ones each time."""
    chance = random.Random(7)
    for _ in range(count):
        yield Workload(
            tokens_per_day=10 ** chance.uniform(4, 9),
            input_share=chance.choice((0.5, 0.8, 0.95)),
            growth=chance.choice((0.0, 0.05, 0.15)),
            regulations=tuple(name for name in REGULATIONS if chance.random() < 0.2),
            batchable=chance.random() < 0.5,
            cache_hits=chance.random(),
            gpu_hours=chance.choice((None, 2.0, 8.0)),
        )


def advice_ms(against: Setting) -> float:
    """Return the median of the whole advice."""
    spent = []
    for workload in workloads(TIMES):
        began = perf_counter()
        advise(workload, against)
        spent.append(perf_counter() - began)
    return round(statistics.median(spent) * 1000, 3)


def sweep_s(against: Setting) -> float:
    """Return the seconds for the costs' and the rule's verdicts on every point of a sweep."""
    points = list(workloads(SWEEP))
    began = perf_counter()
    for workload in points:
        verdicts(workload, against)
    return round(perf_counter() - began, 3)


class Timed(FathomApp):
    """The app, with each frame made up to the characters for a terminal, and its time noted."""

    last = last_cpu = 0.0

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        if isinstance(renderable, CompositorUpdate):
            renderable.render_segments(self.console)
            self.last, self.last_cpu = perf_counter(), process_time()
        super()._display(screen, renderable)


async def paint(home: Home, size: tuple[int, int], keys: int) -> dict[str, Any]:
    """Press keys on the Advise screen and return the milliseconds until each was shown."""
    app = Timed(home, now=lambda: NOW)
    async with app.run_test(size=size) as pilot:
        await arrive(pilot)
        spent = [await pressed(app, key) for key in presses(keys)]
    seconds, cpu_seconds = (sorted(column) for column in zip(*spent, strict=True))
    at_p95 = int(keys * 0.95)
    return {
        "keys": keys,
        "p50_ms": round(seconds[keys // 2] * 1000, 1),
        "p95_ms": round(seconds[at_p95] * 1000, 1),
        "max_ms": round(seconds[-1] * 1000, 1),
        "cpu_p50_ms": round(cpu_seconds[keys // 2] * 1000, 1),
        "cpu_p95_ms": round(cpu_seconds[at_p95] * 1000, 1),
    }


async def arrive(pilot: Pilot[None]) -> None:
    """Show the Advise screen and wait for its first answer and its plot."""
    await pilot.press("3")
    while not isinstance(pilot.app.screen, AdviseScreen) or pilot.app.screen.advice is None:
        await pilot.pause(0.05)
    await pilot.press("shift+tab", "escape")  # in a narrow one: the plot, with the cursor back
    await pilot.pause(1.0)


def presses(count: int) -> Iterator[str]:
    """Yield keys as somebody presses them who tries what matters."""
    round_ = ("right", "right", "right", "left", "down", "right", "down", "right", "left")
    back = ("right_square_bracket", "left_square_bracket", "up", "up")
    for index in range(count):
        every = (*round_, *back)
        yield every[index % len(every)]


async def pressed(app: Timed, key: str) -> tuple[float, float]:
    """Return the seconds from a key press until the last frame it changed, and of the processor.

    Where others use the machine, too, the second says what the first would be without them.
    """
    began = app.last = perf_counter()
    cpu_began = app.last_cpu = process_time()
    app.post_message(Key(key, None))
    while perf_counter() - app.last < QUIET_S:
        await asyncio.sleep(0.01)
    return app.last - began, app.last_cpu - cpu_began


if __name__ == "__main__":
    sys.exit(main())
