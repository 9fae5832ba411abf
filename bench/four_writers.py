"""Four processes share one home for ten seconds: does anybody wait long, is anybody starved?

    python bench/four_writers.py [--seconds 10] [--home DIRECTORY]

Twice: writing events (`store.record`: a lock, a line, an fsync), and writing an event and
reading it back from DuckDB, which one process at a time may open. A wait is the time of one
whole operation. Target: the longest is at most 0.5 s.
"""

import argparse
import multiprocessing
import statistics
import tempfile
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from results import keep

from fathom_tui.store import Home, Store

WRITERS = 4
TARGET_S = 0.5


def main() -> int:
    """Run both rounds, print and keep the result; 1 when a wait was longer than the target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each round")
    parser.add_argument("--home", type=Path, help="where to put the home (default: temporary)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.home) as directory:
        record = measure(Home.at(Path(directory) / "record"), given.seconds, query=False)
        query = measure(Home.at(Path(directory) / "query"), given.seconds, query=True)
    result = {
        "seconds": given.seconds,
        "target_longest_wait_s": TARGET_S,
        "record": record,
        "record_and_query": query,
    }
    keep("four_writers", result)
    longest_s = max(record["longest_wait_s"], query["longest_wait_s"])
    return 0 if longest_s <= TARGET_S else 1


def measure(home: Home, seconds: float, *, query: bool) -> dict[str, Any]:
    """Let all writers loose on one engagement and return what each got done."""
    store = Store(home)
    slug = store.create_engagement("bench", {})
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(WRITERS)
    with context.Pool(WRITERS, initializer=_share, initargs=(barrier,)) as pool:
        jobs = [(home, slug, writer, seconds, query) for writer in range(WRITERS)]
        waits = pool.starmap(write, jobs, chunksize=1)
    done = [len(each) for each in waits]
    rows = sum(row["key"].startswith("writer") for row in store.facts(slug))
    if rows != sum(done):
        raise SystemExit(f"{sum(done)} events were written, but {rows} are in the ledger")
    together = [wait for each in waits for wait in each]
    return {
        "operations_per_writer": done,
        "fairness": round(min(done) / max(done), 3),
        "longest_wait_s": round(max(together), 4),
        "longest_wait_per_writer_s": [round(max(each), 4) for each in waits],
        "median_wait_s": round(statistics.median(together), 5),
    }


def write(home: Home, slug: str, writer: int, seconds: float, query: bool) -> list[float]:
    """Write until the time is up and return the seconds that each operation took."""
    store = Store(home)
    if query:
        store.test_openings(slug)  # DuckDB's import and the first schema are not waits
    _barrier.wait()
    end = time.monotonic() + seconds
    waits: list[float] = []
    while (began := time.monotonic()) < end:
        store.record(slug, "fact", {"key": f"writer {writer}, fact {len(waits)}", "value": began})
        if query:
            store.test_openings(slug)
        waits.append(time.monotonic() - began)
    return waits


def _share(barrier: Barrier) -> None:
    global _barrier
    _barrier = barrier


_barrier: Barrier

if __name__ == "__main__":
    raise SystemExit(main())
