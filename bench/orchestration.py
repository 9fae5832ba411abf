"""What orchestration costs: the train child against plain scripts, alternating.

    python bench/orchestration.py [--rounds 5] [--rows 48]

Three ways to train the same recipe on the same rows, timed from spawn to exit, imports included:

- `supervised`: the stage's child, watched, its events journalled;
- `unsupervised`: the stage's own function in a script, without pipe, journal, lock or agent;
- `plain`: `bench/plain_script.py`, TRL as its documentation shows it.

Targets: the median ratio of `supervised` to either of the others is at most 1.03.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from results import keep

TARGET = 1.03
PLAIN = Path(__file__).with_name("plain_script.py")
UNSUPERVISED = """
import sys
from pathlib import Path
from fathom_tui.runner import train
from fathom_tui.runner.stage import Job

class Silent:
    def __getattr__(self, name):
        return lambda *args, **kwargs: None

train.run(Job.read(Path(sys.argv[1])), Silent())
"""


def main() -> int:
    """Alternate, and keep the median of the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=48)
    given = parser.parse_args()
    rounds = []
    with tempfile.TemporaryDirectory() as scratch:
        order, agent_home = prepare(Path(scratch), given.rows)
        for _ in range(given.rounds):
            seconds = {
                "plain": time_script(order, str(PLAIN)),
                "supervised": time_stage(order, agent_home),
                "unsupervised": time_script(order, "-c", UNSUPERVISED),
            }
            rounds.append({name: round(value, 2) for name, value in seconds.items()})
    ratios = {
        other: round(statistics.median(r["supervised"] / r[other] for r in rounds), 4)
        for other in ("plain", "unsupervised")
    }
    result = {"rows": given.rows, "seconds": rounds, "median_ratio_to": ratios, "target": TARGET}
    keep("orchestration", result)
    return 0 if max(ratios.values()) <= TARGET else 1


def prepare(scratch: Path, rows: int) -> tuple[Path, Path]:
    """Cut the demo data and write the work order of a training on a few rows."""
    from importlib.resources import files

    from fathom_tui.engagement import configure, read_settings
    from fathom_tui.recipe import Plan
    from fathom_tui.runner import data, preflight
    from fathom_tui.runner.stage import Job
    from fathom_tui.store import Home

    folder = Path(str(files("fathom_tui.assets").joinpath("demo")))
    plan = Plan.from_json(configure(read_settings(folder / "engagement.toml")))
    plan = plan.with_changes(
        train_rows=rows, validation_rows=16, test_rows=16, epochs=1.0, evaluations=2, loss_rows=16
    )
    home = Home.at(scratch / "home").prepare()
    run_dir = home.runs / "bench-1"
    results: dict[str, Any] = {}
    for stage, module in (("preflight", preflight), ("data", data), ("train", None)):
        job = Job(
            run="bench-1", stage=stage, run_dir=run_dir, cache=home.cache,
            serving=home.data / "serving", engagement="bench", plan=plan, results=dict(results),
        )  # fmt: skip
        job.dir.mkdir(parents=True, exist_ok=True)
        if module is not None:
            results[stage] = module.run(job, Silent())
    order = run_dir / "train" / "order.json"
    job.write(order)
    return order, scratch


class Silent:
    """A report nobody reads."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: None


def time_script(order: Path, *script: str) -> float:
    """Return the seconds of a script that is given the order, from spawn to exit."""
    _clean(order)
    begun = time.monotonic()
    subprocess.run([sys.executable, *script, str(order)], check=True, capture_output=True)
    return time.monotonic() - begun


def time_stage(order: Path, scratch: Path) -> float:
    """Return the seconds of the supervised child, from spawn to exit, its events journalled."""
    from fathom_tui.runner.stage import Job
    from fathom_tui.runner.supervise import Child
    from fathom_tui.store import Journal

    _clean(order)
    begun = time.monotonic()
    child = Child(Job.read(order))
    with Journal(scratch / "journal.jsonl") as journal:
        while True:
            for line in child.lines(0.2):
                durable = line["kind"] not in ("progress", "metric")
                journal.append(line["kind"], line["data"], durable=durable)
            ended = child.ended()
            if ended is not None:
                break
    if ended.code != 0:
        raise SystemExit(f"the child ended with {ended.code}; read {order.parent / 'stderr.log'}")
    return time.monotonic() - begun


def _clean(order: Path) -> None:
    import shutil

    for name in ("checkpoints", "adapter"):
        shutil.rmtree(order.parent / name, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
