"""The whole pipeline on real customer messages: Banking77 mapped to eight triage classes.

    FATHOM_REAL_DATA=…/banking77 python bench/triage.py [--home DIRECTORY] [--test-rows 400]

Trains on 1,600 messages (200 a class), chooses on validation, and judges on the stock test file.
Writes bench/results/triage.json, from which bench/measured.py makes the table in the README.
Nothing of the data itself is kept. Banking77: Casanueva et al. 2020, arXiv:2003.04807, CC-BY-4.0.
"""

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from results import keep

TRAIN_PER_CLASS = 200
VALIDATION_PER_CLASS = 16
SEED = 20_261
LICENCE = "Banking77 (Casanueva et al., 2020, arXiv:2003.04807), CC-BY-4.0; classes are ours."
ROWS = {"train": 8 * TRAIN_PER_CLASS, "validation": 8 * VALIDATION_PER_CLASS}


def main() -> int:
    """Run it and keep the result; the exit code is the run's own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--home", type=Path, help="FATHOM_HOME to use (default: temporary)")
    parser.add_argument("--test-rows", type=int, default=400)
    given = parser.parse_args()
    source = os.environ.get("FATHOM_REAL_DATA")
    if not source:
        print("error: FATHOM_REAL_DATA names no folder with Banking77", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as scratch:
        home = given.home or Path(scratch) / "home"
        settings = prepare(Path(source), Path(scratch), test_rows=given.test_rows)
        code, summary = run(home, settings, Path(scratch) / "test.csv")
    keep("triage", {"data": LICENCE, "rows": ROWS, "exit_code": code, **summary})
    return code


def prepare(source: Path, target: Path, *, test_rows: int) -> Path:
    """Write balanced training rows, the stock test rows and the engagement's settings."""
    mapping = json.loads((source / "triage8.json").read_text("utf-8"))
    classes = {intent: name for name, intents in mapping.items() for intent in intents}
    rows = _read(source / "train.csv", classes)
    by_class: dict[str, list[str]] = defaultdict(list)
    seen: set[str] = set()
    for text, name in rows:
        if text.casefold() not in seen:
            seen.add(text.casefold())
            by_class[name].append(text)
    rng = random.Random(SEED)
    chosen = [
        (text, name)
        for name in sorted(by_class)
        for text in rng.sample(by_class[name], TRAIN_PER_CLASS + VALIDATION_PER_CLASS)
    ]
    rng.shuffle(chosen)
    _write(target / "train.csv", chosen)
    _write(target / "test.csv", _read(source / "test.csv", classes))
    settings = target / "triage.toml"
    settings.write_text(
        'dataset = "train.csv"\ninput = "text"\noutput = "category"\n'
        'instruction = "You sort the messages of a bank\'s customers into classes."\n'
        'short_instruction = "Sort the message."\n'
        f"train_rows = {ROWS['train']}\n"
        f"validation_rows = {ROWS['validation']}\n"
        f"test_rows = {test_rows}\n"
        "shots = 24\nmax_new_tokens = 16\nnearest_cases = 64\n"
        # One pass over more messages teaches more than two over fewer, in small steps.
        "epochs = 1.0\nbatch = 4\nlearning_rate = 0.001\n"
        'targets = ["gate_proj", "up_proj", "down_proj"]\n',
        encoding="utf-8",
    )
    return settings


def run(home: Path, settings: Path, test: Path) -> tuple[int, dict[str, Any]]:
    """Create the engagement and run it through the real command line."""
    environment = {**os.environ, "FATHOM_HOME": str(home)}
    fathom = [sys.executable, "-m", "fathom_tui"]
    create = ["engagement", "create", "Banking77 triage", "--config", str(settings)]
    subprocess.run([*fathom, *create], env=environment, check=True)
    start = ["run", "banking77-triage", "--foreground", "--json", "--test", str(test)]
    done = subprocess.run([*fathom, *start], env=environment, stdout=subprocess.PIPE, check=False)
    summary: dict[str, Any] = json.loads(done.stdout)
    summary["minutes"] = {k: round(v / 60, 2) for k, v in summary.pop("seconds").items() if v}
    for artifact in summary["artifacts"].values():
        del artifact["path"]  # a machine's own directory means nothing elsewhere
    return done.returncode, summary


def _read(path: Path, classes: dict[str, str]) -> list[tuple[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream)
        return [(r["text"], classes[r["category"]]) for r in rows if r["category"] in classes]


def _write(path: Path, rows: list[tuple[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "category"])
        writer.writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
