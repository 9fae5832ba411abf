"""A slice of real customer messages through the whole pipeline, where the data is at hand."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from fathom_tui.store import Home
from tests.benches import bench
from tests.running import fathom

REAL_DATA = os.environ.get("FATHOM_REAL_DATA", "")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.first,
    pytest.mark.skipif(
        not REAL_DATA, reason="FATHOM_REAL_DATA does not name a folder with Banking77"
    ),
]


@pytest.fixture
def triage() -> Iterator[ModuleType]:
    """The benchmark's own preparation of the data."""
    with bench("triage") as module:
        yield module


def test_a_slice_of_banking77_is_judged_and_plain_code_is_named_where_it_wins(
    tmp_path: Path, embedded_cache: Path, triage: ModuleType
) -> None:
    home = Home.at(tmp_path / "home").prepare()
    home.cache.rmdir()
    home.cache.symlink_to(embedded_cache)
    settings = triage.prepare(Path(REAL_DATA), tmp_path, test_rows=48)
    text = settings.read_text("utf-8").replace("train_rows = 1600", "train_rows = 400")
    small = "candidates = 1\nshots = 4\nnearest_shots = 2\nnearest_cases = 4\nmax_steps = 6\n"
    text = text.replace("shots = 24\n", "").replace("nearest_cases = 64\n", small)
    text = text.replace("validation_rows = 128", "validation_rows = 16")
    settings.write_text(text + "nearest_on_test = false\n", "utf-8")
    created = fathom(home, "engagement", "create", "Slice", "--config", str(settings))
    assert created.returncode == 0, created.stderr

    test = str(tmp_path / "test.csv")
    done = fathom(home, "run", "slice", "--foreground", "--json", "--test", test, timeout=900)
    for gate in ("quantize.perplexity", "verify.anchors"):  # six steps rarely give ten anchors
        seen = fathom(home, "runs", "--run", "slice-1", "--json").stdout
        if not json.loads(seen)["result"]:
            fathom(home, "waive", "slice-1", gate, "--by", "Tester", "--reason", "a slice")
            done = fathom(home, "resume", "slice-1", "--follow", timeout=900)

    run = json.loads(fathom(home, "runs", "--run", "slice-1", "--json").stdout)
    fathom(home, "runner", "stop")
    assert done.returncode == 1, done.stderr
    assert run["state"] == "refused"
    assert run["result"]["scores"]["untuned"]["n"] == 48
    assert "plain_code" in run["result"]["cheaper"]
    assert run["result"]["headline"].startswith("Something cheaper is better")
