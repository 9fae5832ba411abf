"""What a service tells systemd, read from the socket that systemd would read."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fathom_tui.runner.notify import Notify
from fathom_tui.store import Home
from tests.runner.test_agent import run
from tests.runner.toy import blocked, engage
from tests.runner.watching import stage_processes, wait_until
from tests.running import environment


class Manager:
    """The other end of the line."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self.socket.setblocking(False)
        self.heard: list[str] = []

    def listen(self) -> list[str]:
        """Return every line heard so far."""
        while True:
            try:
                self.heard += self.socket.recv(4096).decode().split("\n")
            except BlockingIOError:
                return self.heard

    def hears(self, line: str) -> bool:
        return line in self.listen()


@contextmanager
def listening(address: str) -> Iterator[Manager]:
    manager = Manager(address)
    try:
        yield manager
    finally:
        manager.socket.close()


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "path":
        return os.path.relpath(tmp_path / "notify")  # short enough for a socket
    return f"@fathom-test-{os.getpid()}-{tmp_path.name}"


class TestTheLine:
    def test_says_ready_status_and_stopping(self, address: str) -> None:
        with listening(address) as manager:
            notify = Notify(address)
            notify.ready("waits for work")
            notify.alive("train of acme-1")
            notify.alive("train of acme-1")
            notify.extend(1.5, "loads")
            notify.stopping()

            assert manager.listen() == [
                *("READY=1", "STATUS=waits for work", "STATUS=train of acme-1"),
                *("EXTEND_TIMEOUT_USEC=1500000", "STATUS=loads", "STOPPING=1", "STATUS=ending"),
            ]

    def test_is_fed_no_more_often_than_needed(self, address: str) -> None:
        with listening(address) as manager:
            notify = Notify(address, watchdog_s=3600)
            notify.ready("here")
            for _ in range(100):
                notify.alive()

            assert manager.listen().count("WATCHDOG=1") == 1

    def test_is_fed_whenever_a_quarter_of_the_time_is_over(self, address: str) -> None:
        with listening(address) as manager:
            notify = Notify(address, watchdog_s=0.02)
            notify.ready("here")
            for _ in range(3):
                time.sleep(0.006)
                notify.alive()

            assert manager.listen().count("WATCHDOG=1") == 4

    def test_is_not_broken_by_what_a_status_quotes(self, address: str) -> None:
        with listening(address) as manager:
            Notify(address).status("bad\nREADY=1\udcff")

            assert manager.listen() == ["STATUS=bad READY=1?"]

    def test_to_nobody_is_silent(self, capsys: pytest.CaptureFixture[str]) -> None:
        notify = Notify.from_env({})
        notify.ready("here")
        notify.alive("still")
        notify.stopping()

        assert not notify.is_heard
        assert capsys.readouterr().err == ""

    def test_that_is_cut_is_said_and_the_work_goes_on(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Notify(str(tmp_path / "gone")).ready("here")

        assert "systemd cannot be told" in capsys.readouterr().err


class TestTheEnvironment:
    def test_is_read_once_and_nothing_is_left_for_children(self) -> None:
        given = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "4000000", "PATH": "/bin"}

        notify = Notify.from_env({**given, "WATCHDOG_PID": str(os.getpid())})

        assert (notify.is_heard, notify.every_s) == (True, 1.0)
        Notify.from_env(given)
        assert given == {"PATH": "/bin"}

    @pytest.mark.parametrize(
        "given",
        [
            {"WATCHDOG_USEC": "4000000", "WATCHDOG_PID": "1"},
            {"WATCHDOG_USEC": "0"},
            {"WATCHDOG_USEC": "many"},
            {"WATCHDOG_USEC": ""},
            {},
        ],
    )
    def test_that_asks_this_process_for_nothing_is_believed(self, given: dict[str, str]) -> None:
        assert Notify.from_env({"NOTIFY_SOCKET": "/run/x", **given}).every_s is None


class TestTheAgent:
    @pytest.fixture
    def toy(self, lively: Home, few: Path, model: Path) -> str:
        return engage(lively, few, model=str(model))

    @contextmanager
    def agent(self, home: Home, address: str) -> Iterator[subprocess.Popen[bytes]]:
        told = {**environment(home), "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "400000"}
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "fathom_tui", "runner", "run"],
            env=told,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)

    def test_feeds_the_watchdog_idle_and_while_a_stage_is_watched_and_says_what_it_is_at(
        self, lively: Home, toy: str, model: Path, tmp_path: Path
    ) -> None:
        address = f"@fathom-test-{os.getpid()}-{tmp_path.name}"
        with listening(address) as manager, self.agent(lively, address) as process:
            wait_until("readiness", lambda: manager.hears("READY=1"))
            assert "STATUS=waits for work" in manager.heard
            self.fed(manager)
            with blocked(lively, model):
                run_id = run(lively)
                wait_until("the status", lambda: manager.hears(f"STATUS=preflight of {run_id}"))
                (child,) = wait_until("the stage", lambda: stage_processes(lively.run(run_id)))
                self.fed(manager)
                # What a child has of the line is nothing: only the main process may speak.
                assert b"NOTIFY_SOCKET" not in Path(f"/proc/{child}/environ").read_bytes()
            process.terminate()
            wait_until("the end", lambda: manager.hears("STOPPING=1"))
            assert process.wait(60) == 0

    def test_that_is_stuck_feeds_no_watchdog(self, lively: Home, toy: str, tmp_path: Path) -> None:
        import signal

        address = f"@fathom-test-{os.getpid()}-{tmp_path.name}"
        with listening(address) as manager, self.agent(lively, address) as process:
            wait_until("readiness", lambda: manager.hears("READY=1"))
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.1)
            before = len(manager.listen())
            time.sleep(0.6)
            after = len(manager.listen())
            process.send_signal(signal.SIGCONT)

        assert after == before

    def fed(self, manager: Manager) -> None:
        before = manager.listen().count("WATCHDOG=1")
        wait_until("food", lambda: manager.listen().count("WATCHDOG=1") > before + 1)
