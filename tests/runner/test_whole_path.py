"""From a dataset to a model that is served and known to be healthy, by units alone."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fathom_tui.units import AGENT, HEALTH
from tests.runner.place import Place
from tests.runner.test_kill_and_resume import SMALL
from tests.user_manager import UserManager, user_manager, wait_for, why_not

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "can be tested"),
]


@pytest.fixture(scope="module")
def manager() -> Iterator[UserManager]:
    with user_manager() as manager:
        yield manager


class TestTheWholePath:
    RUN = "toy-1"
    PATIENCE_S = 1800.0

    @pytest.fixture(scope="class")
    def toy(self, manager: UserManager, embedded_cache: Path) -> Iterator[Place]:
        """Return a home with the toy engagement, its units installed."""
        place = Place(manager)
        place.home = manager.root / "toy"
        place.serving = place.home / "data" / "serving" / "toy"
        place.home.mkdir(mode=0o700)
        shutil.copytree(embedded_cache, place.home / "cache", symlinks=True)
        manager.give(place.home)
        place.python(
            "import json, sys\n"
            "from fathom_tui.store import Home\n"
            "from tests.runner.toy import engage, write_toy\n"
            "home = Home.from_env().prepare()\n"
            "engage(home, write_toy(home.data / 'toy.csv', 240), **json.loads(sys.argv[1]))\n",
            json.dumps(dict(SMALL)),
        )
        done = place.fathom("runner", "install", "--cpu", "--engagement", "toy")
        assert done.returncode == 0, done.stderr
        yield place
        place.fathom("runner", "uninstall")

    def test_ends_with_a_healthy_model_that_comes_back_with_the_manager(self, toy: Place) -> None:
        assert toy.fathom("run", "toy").returncode == 0
        while self.follow(toy) == 1:
            self.waive(toy)
        serve = "fathom-serve-toy.service"

        served = json.loads(toy.fathom("serve", "toy", "--status", "--json").stdout)
        health = json.loads(toy.fathom("health", "toy", "--json").stdout)
        toy.manager.systemctl("start", HEALTH)

        assert (served["live"], served["healthy"]) == ("v1", True)
        assert toy.unit(serve)["status"] == f"v1 at {served['url']}"
        assert [found["state"] for found in health] == ["ok"]
        assert toy.unit(HEALTH)["exit_code"] == 0
        assert toy.status()["pid"] == toy.pid(AGENT)  # the unit's agent did all of it

        toy.manager.stop()
        toy.manager.start()
        wait_for("the server", lambda: toy.unit(serve)["status"].startswith("v1 at "))

        assert toy.fathom("health", "toy").returncode == 0

    def follow(self, toy: Place) -> int:
        """Wait for the end of an attempt, and return the exit code of the run."""
        state = "running"
        while state in ("queued", "running"):  # the agent may take a request up between two looks
            toy.fathom("logs", self.RUN, "-f", timeout=self.PATIENCE_S)
            state = toy.python(
                "from fathom_tui.store import Home, Store\n"
                f"print(Store(Home.from_env()).run_view({self.RUN!r}).state.value)\n"
            ).strip()
        assert state in ("done", "refused"), toy.fathom("runs", "--run", self.RUN).stdout
        return 0 if state == "done" else 1

    def waive(self, toy: Place) -> None:
        """Waive what refused, and go on."""
        names = json.loads(
            toy.python(
                "import json\n"
                "from fathom_tui.gates import Outcome\n"
                "from fathom_tui.store import Home, Store\n"
                f"store, run = Store(Home.from_env()), {self.RUN!r}\n"
                "gates = [g for s in store.run_view(run).stages.values() for g in s.gates]\n"
                "waived = {row['gate'] for row in store.waivers('toy', run)}\n"
                "refused = {g.name for g in gates if g.outcome is Outcome.REFUSE}\n"
                "print(json.dumps(sorted(refused - waived)))\n"
            )
        )
        assert names
        for name in names:
            done = toy.fathom("waive", self.RUN, name, "--by", "Ada", "--reason", "a toy")
            assert done.returncode == 0, done.stderr
        assert toy.fathom("resume", self.RUN).returncode == 0
