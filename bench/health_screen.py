"""How long from the key to the whole table of the Health screen?

    python bench/health_screen.py [--times 12]

On a ledger of 100 engagements with 100 checks each, without a terminal: the time ends when the
last changed line has been turned into what a terminal would be sent. Three occasions: the screen
is shown again by its key; an engagement's journal has grown, and the look that finds it begins;
the screen is shown for the first time, which any screen of Textual takes its time for: beside it
the Errata screen, which asks no ledger. Processor time is beside each, for machines that others
use, too. Target of the first two: 150 ms at 80 x 24 and at 140 x 40, in the median.
"""

import argparse
import asyncio
import gc
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, NamedTuple

from advisor_screens import QUIET_S, Painted, latency, percentile
from results import keep
from textual.pilot import Pilot

sys.path.insert(0, str(Path(__file__).parents[1]))  # the journals that the tests use, too

from fathom_tui.screens.errata import ErrataScreen
from fathom_tui.screens.grid import Grid
from fathom_tui.screens.health import HealthScreen
from fathom_tui.store import Home, Store
from tests.screens.fleet import Served
from tests.screens.looking import NOW, Listener, settle

TARGET_S = 0.15
LONGEST_S = 10.0
WARM_UPS = 2
TARGETED = ("shown_again", "after_a_check")
ENGAGEMENTS, CHECKS = 100, 100
SIZES = ((80, 24), (140, 40))


class Spent(NamedTuple):
    """What a measurement took; where others use the machine, too, the second says what the first
    would be without them."""

    wall_s: float
    cpu_s: float


def main() -> int:
    """Measure and keep the result; 1 when a median missed the target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--times", type=int, default=12, help="how often each is measured")
    times = parser.parse_args().times
    with tempfile.TemporaryDirectory() as scratch:
        home = Home.at(Path(scratch))
        fill(home)
        stored = len(Store(home).checks())
        measured = {
            f"{width}x{height}": asyncio.run(measure(home, (width, height), times))
            for width, height in SIZES
        }
    keep(
        "health_screen",
        {
            "target_median_ms": round(1000 * TARGET_S),
            "engagements": ENGAGEMENTS,
            "stored_checks": stored,
            "times": times,
            "load_of_the_machine": round(os.getloadavg()[0], 1),
            **measured,
        },
    )
    medians = [size[name]["median_ms"] for size in measured.values() for name in TARGETED]
    return 0 if max(medians) <= 1000 * TARGET_S else 1


def fill(home: Home) -> None:
    """Write the engagements: most are well, some have missed anchors, some are stale."""
    for number in range(ENGAGEMENTS):
        served = Served(home, f"client-{number:03d}").deployed("v1", NOW - timedelta(days=CHECKS))
        until = NOW - timedelta(hours=2 + 30 * (number % 11 == 0))
        for back in range(CHECKS - 1, -1, -1):
            missing = (number + back) % 5 if (number * back) % 13 == 0 else 0
            served.checked(until - timedelta(days=back), 20 - missing)


async def measure(home: Home, size: tuple[int, int], times: int) -> dict[str, Any]:
    """Return the milliseconds of the three occasions."""
    plain = [await first_shown(home, size, "6") for _ in range(WARM_UPS + times)][WARM_UPS:]
    first = [await first_shown(home, size, "7") for _ in range(WARM_UPS + times)][WARM_UPS:]
    app = Painted(home, agent=Listener(), now=lambda: NOW)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        await pilot.press("7")
        await settle(pilot)
        again, found = [], []
        for number in range(times):
            await latency(pilot, app, "1")
            again.append(await until_painted(pilot, app, lambda: app.simulate_key("7")))
            await settle(pilot)
            found.append(await after_a_check(pilot, app, home, number))
    return {
        "errata_first_shown": told(plain),
        "first_shown": told(first),
        "shown_again": told(again),
        "after_a_check": told(found),
    }


async def first_shown(home: Home, size: tuple[int, int], key: str) -> Spent:
    """Measure from a screen's key to the whole table, in an app that has just started."""
    app = Painted(home, agent=Listener(), now=lambda: NOW)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        # The apps measured before this one are not there in a process of a user's.
        gc.collect()
        gc.freeze()
        return await until_painted(pilot, app, lambda: app.simulate_key(key))


async def after_a_check(pilot: Pilot[None], app: Painted, home: Home, number: int) -> Spent:
    """Measure from the look to the last line that a new check changed."""
    Served(home, f"client-{number:03d}", version="v1").checked(NOW, 12)
    screen = app.screen
    assert isinstance(screen, HealthScreen)
    return await until_painted(pilot, app, screen.look)


async def until_painted(pilot: Pilot[None], app: Painted, act: Callable[[], object]) -> Spent:
    """Measure from an act until the whole table is painted and stays as it is."""
    await pilot.pause()
    app.painted_at = 0.0
    began, cpu_began = perf_counter(), process_time()
    act()
    cpu, seen = 0.0, 0.0
    while not (app.painted_at and is_listed(app) and perf_counter() - app.painted_at > QUIET_S):
        await asyncio.sleep(0.002)
        if app.painted_at != seen:
            seen, cpu = app.painted_at, process_time() - cpu_began
        if perf_counter() - began > LONGEST_S:
            raise TimeoutError(f"nothing was painted within {LONGEST_S:g} s")
    await pilot.pause()
    return Spent(wall_s=app.painted_at - began, cpu_s=cpu)


def is_listed(app: Painted) -> bool:
    """Say whether the table has its rows: all of them on the Health screen."""
    screen = app.screen
    if isinstance(screen, HealthScreen):
        return len(screen.query_one(Grid).rows) == ENGAGEMENTS
    return isinstance(screen, ErrataScreen) and bool(screen.query_one(Grid).rows)


def told(spent: Sequence[Spent]) -> dict[str, Any]:
    """Return the milliseconds of several measurements."""
    walls = [each.wall_s for each in spent]
    return {
        "median_ms": _ms(statistics.median(walls)),
        "p95_ms": _ms(percentile(walls, 0.95)),
        "best_ms": _ms(min(walls)),
        "median_cpu_ms": _ms(statistics.median(each.cpu_s for each in spent)),
    }


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 1)


if __name__ == "__main__":
    raise SystemExit(main())
