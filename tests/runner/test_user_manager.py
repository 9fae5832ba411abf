"""Our units under a real `systemd --user` manager of an unprivileged user.

The home has a space, a percent sign, a dollar and a quote in its name: what the units say has to
come through systemd as it was meant.
"""

import json
import os
import time
from collections.abc import Iterator

import pytest

from fathom_tui.units import AGENT, HEALTH, HEALTH_TIMER
from tests.runner.place import SERVE, SLUG, Place
from tests.user_manager import UserManager, user_manager, wait_for, why_not

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "can be tested"),
]


@pytest.fixture(scope="module")
def manager() -> Iterator[UserManager]:
    with user_manager() as manager:
        yield manager


@pytest.fixture(scope="module")
def place(manager: UserManager) -> Iterator[Place]:
    """Return a home with a version that can be served, its units installed and running."""
    place = Place(manager)
    place.deploy_files()
    done = place.fathom("runner", "install", "--cpu")
    assert done.returncode == 0, done.stderr
    place.said = done.stderr
    yield place
    place.fathom("runner", "uninstall")


class TestInstalled:
    """In this order: what one test leaves running, the next one finds."""

    def test_all_of_it_runs_and_what_it_takes_to_outlive_a_log_out_is_told(
        self, place: Place
    ) -> None:
        assert place.is_active(AGENT)
        assert place.is_active(HEALTH_TIMER)
        assert place.manager.show(SERVE, "StatusText")["StatusText"] == (
            f"waits for the first version of {SLUG}"
        )
        assert "sudo loginctl enable-linger nobody" in place.said
        assert place.status()["lingers"] is False

    def test_the_agent_is_ready_says_what_it_is_at_and_takes_requests(self, place: Place) -> None:
        found = place.unit(AGENT)

        assert (found["active"], found["enabled"]) == ("active", "enabled")
        assert found["status"] == "waits for work"
        assert place.status()["pid"] == found["pid"] == place.pid(AGENT)
        again = place.fathom("runner", "start")
        assert f"process {found['pid']}" in again.stderr

    def test_an_agent_that_is_killed_is_started_again(self, place: Place) -> None:
        pid = place.pid(AGENT)

        os.kill(pid, 9)
        wait_for("the next agent", lambda: place.is_back(AGENT, pid))

        assert place.unit(AGENT)["restarts"] == 1
        assert place.status()["pid"] == place.pid(AGENT)

    def test_an_agent_that_hangs_is_ended_by_the_watchdog_and_started_again(
        self, place: Place
    ) -> None:
        place.override(AGENT, "[Service]", "WatchdogSec=2", "TimeoutAbortSec=1")
        place.manager.systemctl("restart", AGENT)
        pid = place.pid(AGENT)

        time.sleep(3)
        fed = place.pid(AGENT)
        os.kill(pid, 19)  # SIGSTOP: it is there, and does nothing
        wait_for("the watchdog", lambda: place.unit(AGENT)["result"] == "watchdog")
        wait_for("the next agent", lambda: place.is_back(AGENT, pid))
        place.restore(AGENT)

        assert fed == pid
        assert place.unit(AGENT)["restarts"] == 1

    def test_versions_go_live_through_the_unit_which_stays_the_same(self, place: Place) -> None:
        pid = place.pid(SERVE)

        place.activate("v1")
        first = place.served()
        place.activate("v2")
        second = place.served()

        assert (first["live"], first["healthy"]) == ("v1", True)
        assert (second["live"], second["healthy"]) == ("v2", True)
        assert first["url"] == second["url"]
        assert place.pid(SERVE) == pid
        assert place.unit(SERVE)["restarts"] == 0
        assert place.unit(SERVE)["status"] == f"v2 at {second['url']}"

    def test_a_server_that_is_killed_is_started_again_at_the_same_address(
        self, place: Place
    ) -> None:
        before, pid = place.served(), place.pid(SERVE)

        os.kill(before["pid"], 9)
        wait_for("the next server", lambda: place.is_back(SERVE, pid))

        after = place.served()
        assert (after["url"], after["live"], after["healthy"]) == (before["url"], "v2", True)
        assert after["pid"] != before["pid"]

    def test_a_server_that_hangs_is_ended_by_the_watchdog_and_started_again(
        self, place: Place
    ) -> None:
        place.override(SERVE, "[Service]", "WatchdogSec=4", "TimeoutAbortSec=1")
        place.manager.systemctl("restart", SERVE)
        before, pid = place.served(), place.pid(SERVE)

        os.kill(before["pid"], 19)  # the model's process, not the one that watches it
        wait_for("the next server", lambda: place.is_back(SERVE, pid))
        place.restore(SERVE)

        assert place.served()["healthy"] is True
        assert place.unit(SERVE)["restarts"] == 1

    def test_who_stops_the_server_is_told_how(self, place: Place) -> None:
        done = place.fathom("serve", SLUG, "--stop")

        assert done.returncode == 2
        assert f"systemctl --user stop {SERVE}" in done.stderr

    def test_a_check_that_fails_is_visible_until_one_is_good(self, place: Place) -> None:
        none_deployed = place.manager.systemctl("start", HEALTH)
        unknown = place.manager.systemctl("--failed", "--plain")
        told = place.fathom("runner", "status").stderr

        # A deployment with four anchors that it knows, as a run leaves it.
        place.python(
            "from fathom_tui.store import Home\n"
            "from tests.served import deploy\n"
            "deploy(Home.from_env(), count=4)\n"
        )
        place.manager.systemctl("start", HEALTH)
        good = place.unit(HEALTH)
        nothing_failed = place.manager.systemctl("--failed", "--plain")

        assert "failed" in none_deployed
        assert HEALTH in unknown
        assert "the last check could not be made" in told
        assert (good["active"], good["result"], good["exit_code"]) == ("inactive", "success", 0)
        assert HEALTH not in nothing_failed

        anchors = place.serving / f"{place.served()['live']}.anchors.json"
        whole = anchors.read_text("utf-8")
        data = json.loads(whole)
        for anchor in data["anchors"]:
            anchor["expected"] = data["contract"]["fields"][0]["choices"][0]
        wrong = {a["expected"] for a in json.loads(whole)["anchors"]}
        assert len(wrong) > 1
        anchors.write_text(json.dumps(data), "utf-8")
        place.manager.systemctl("start", HEALTH)
        bad = place.unit(HEALTH)
        anchors.write_text(whole, "utf-8")

        assert (bad["active"], bad["exit_code"]) == ("failed", 2)
        assert "the last check was critical" in place.fathom("runner", "status").stderr

    def test_the_timer_fires_each_day_and_starts_the_check(self, place: Place) -> None:
        daily = place.unit(HEALTH_TIMER)
        ran = len(place.checks())
        soon = ["[Timer]", "OnCalendar=", "OnCalendar=*:*:0/1", "RandomizedDelaySec=0"]
        place.override(HEALTH_TIMER, *soon, "AccuracySec=100ms")
        place.manager.systemctl("restart", HEALTH_TIMER)
        wait_for("a check", lambda: len(place.checks()) > ran)
        place.restore(HEALTH_TIMER)
        place.manager.systemctl("restart", HEALTH_TIMER)
        fired = place.unit(HEALTH_TIMER)

        assert 0 < daily["next_run"] - time.time() <= 24 * 3600 + 1800
        assert abs(fired["last_run"] - time.time()) < 3600
        assert "last run 20" in place.fathom("runner", "status").stderr

    def test_all_of_it_comes_back_with_the_manager_and_a_missed_check_is_made_up_for(
        self, place: Place
    ) -> None:
        manager = place.manager
        place.override(HEALTH_TIMER, "[Timer]", "RandomizedDelaySec=0")
        before, agent, ran = place.served(), place.pid(AGENT), len(place.checks())

        manager.stop()
        stamp = manager.home / ".local" / "share" / "systemd" / "timers" / f"stamp-{HEALTH_TIMER}"
        days = 2 * 24 * 3600
        os.utime(stamp, (time.time() - days, time.time() - days))
        manager.start()
        wait_for("the agent", lambda: place.is_active(AGENT))
        wait_for("the server", lambda: place.served()["healthy"])
        wait_for("the check", lambda: len(place.checks()) > ran)
        place.restore(HEALTH_TIMER)

        after = place.served()
        wait_for("its end", lambda: not place.unit(HEALTH)["moving"])
        assert place.unit(HEALTH)["exit_code"] == 0  # it waited until the model was loaded
        assert place.pid(AGENT) != agent
        assert (after["url"], after["live"]) == (before["url"], before["live"])

    def test_nothing_is_disturbed_when_the_manager_takes_itself_anew(self, place: Place) -> None:
        before = place.pid(AGENT), place.pid(SERVE), place.served()["pid"]

        place.manager.systemctl("daemon-reexec")

        assert (place.pid(AGENT), place.pid(SERVE), place.served()["pid"]) == before

    def test_installing_again_changes_nothing_that_runs(self, place: Place) -> None:
        before = place.pid(AGENT), place.pid(SERVE)

        done = place.fathom("runner", "install", "--cpu")

        assert done.returncode == 0, done.stderr
        assert (place.pid(AGENT), place.pid(SERVE)) == before

    def test_the_agent_is_stopped_and_started_as_without_a_unit(self, place: Place) -> None:
        stopped = place.fathom("runner", "stop")
        state = place.unit(AGENT)["active"]
        started = place.fathom("runner", "start")

        assert (stopped.returncode, state) == (0, "inactive")
        assert (started.returncode, started.stderr) == (0, "The agent is at work, as a unit.\n")
        assert place.is_active(AGENT)

    def test_somebody_elses_unit_stays(self, place: Place) -> None:
        theirs = place.manager.units / "fathom-vllm-other.service"
        theirs.write_text("[Service]\nExecStart=/bin/true\n", "utf-8")
        ours = place.manager.units / AGENT
        text = ours.read_text("utf-8")
        ours.write_text("[Service]\nExecStart=/bin/true\n", "utf-8")

        refused = place.fathom("runner", "install", "--cpu")
        ours.write_text(text, "utf-8")

        assert refused.returncode == 2
        assert f"{ours} was written by somebody else" in refused.stderr
        assert theirs.exists()
        theirs.unlink()

    def test_uninstalling_leaves_the_data_and_nothing_else(self, place: Place) -> None:
        done = place.fathom("runner", "uninstall")
        twice = place.fathom("runner", "uninstall")

        assert (done.returncode, twice.returncode) == (0, 0)
        assert list(place.manager.units.glob("fathom-*")) == []
        assert "fathom-" not in place.manager.systemctl("list-units", "--all", "fathom-*")
        assert sorted(path.name for path in place.serving.glob("v*.gguf"))[:2] == [
            "v1.gguf",
            "v2.gguf",
        ]
        assert place.fathom("runner", "status").returncode == 3
        assert "No units of ours" in twice.stderr
