"""What a health check costs beside the same requests sent by hand, on the embedded model.

    python bench/health.py [--rounds 7]

One server on one thread, 20 anchors, alternating:

- `by_hand`: the 20 requests with urllib, one after the other, the answers thrown away;
- `in_process`: `check`: ledger read, anchors asked, judged, recorded;
- `command`: `fathom health --json` from spawn to exit.

Generation takes seconds and differs by more than a check costs, so the overhead is what a check
takes beside its own requests: all of it minus the time between each request and its answer.
Targets, medians over the rounds: in process 5 % of the requests, the command 0.4 s. Both are wall
time; `load` (processes that wanted a core) and the command's processor time stand beside them.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from results import keep

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.served import SLUG, Deployment, deploy

SHARE, SECONDS = 0.05, 0.4


def main() -> int:
    """Alternate, and keep the medians of the differences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        from fathom_tui.store import Home

        served = deploy(Home.at(Path(scratch) / "home"))
        try:
            rounds = [measure(served) for _ in range(given.rounds)]
        finally:
            served.target.stop()
    share = statistics.median(r["in_process_beside"] / r["in_process_requests"] for r in rounds)
    beside = statistics.median(r["in_process_beside"] + r["command_beside"] for r in rounds)
    result = {
        "anchors": len(served.anchors.anchors),
        "seconds": [{name: round(value, 3) for name, value in r.items()} for r in rounds],
        "in_process_overhead": round(share, 4),
        "command_overhead_s": round(beside, 3),
        "targets": {"in_process_overhead": SHARE, "command_overhead_s": SECONDS},
    }
    keep("health", result)
    return 0 if share <= SHARE and beside <= SECONDS else 1


def measure(served: Deployment) -> dict[str, float]:
    """Return the seconds of each of the three, once, and what two of them take beside requests."""
    by_hand = timed(lambda: ask_by_hand(served))
    with requests() as spent:
        in_process = timed(lambda: check_once(served))
    checks: list[float] = []
    before = processor_seconds()
    command = timed(lambda: checks.append(run_command(served)))
    return {
        "load": os.getloadavg()[0],
        "by_hand": by_hand,
        "in_process": in_process,
        "in_process_requests": sum(spent),
        "in_process_beside": in_process - sum(spent),
        "command": command,
        "command_beside": command - checks[0],
        "command_processor": processor_seconds() - before,
    }


def processor_seconds() -> float:
    """Return what ended children of this process have used, the server not among them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def requests() -> Iterator[list[float]]:
    """Collect the seconds of every request that a target makes."""
    from fathom_tui.runner.llama_target import LlamaCppTarget

    asked, spent = LlamaCppTarget._answer, list[float]()

    def counted(*arguments: Any) -> Any:
        answer = asked(*arguments)
        spent.append(answer.seconds)
        return answer

    LlamaCppTarget._answer = counted  # type: ignore[method-assign]  # put back below
    try:
        yield spent
    finally:
        LlamaCppTarget._answer = asked  # type: ignore[method-assign]


def timed(work: Callable[[], None]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def ask_by_hand(served: Deployment) -> None:
    """Send what a check sends, as somebody would who has the address and the prompts."""
    for anchor in served.anchors.anchors:
        body = {
            "model": SLUG,
            "messages": served.anchors.messages(anchor.input),
            "temperature": 0.0,
            "max_tokens": served.anchors.max_new_tokens,
            "seed": 0,
        }
        request = urllib.request.Request(
            f"{served.target.url}/chat/completions",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            json.load(reply)


def check_once(served: Deployment) -> None:
    from fathom_tui.runner.checked import Wanted
    from fathom_tui.runner.health import check

    found = check(served.home, SLUG, Wanted())
    if found.passed is None:
        raise SystemExit(f"the check came to nothing: {found.reasons}")


def run_command(served: Deployment) -> float:
    """Run the command and return the seconds that it says its check took."""
    root = str(served.home.data.parent)
    ended = subprocess.run(
        [sys.executable, "-m", "fathom_tui", "health", "--json"],
        env={**os.environ, "FATHOM_HOME": root},
        capture_output=True,
        check=False,
    )
    if ended.returncode == 3:
        raise SystemExit(f"the command came to nothing: {ended.stdout!r}")
    return float(json.loads(ended.stdout)[0]["seconds"])


if __name__ == "__main__":
    sys.exit(main())
