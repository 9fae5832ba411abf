"""Queueing: one at a time, in turn, and a clear word when the turn does not come."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fathom_tui.errors import StoreError
from fathom_tui.store.turnstile import Turnstile

HOLD = """
import pathlib, sys
from fathom_tui.store.turnstile import Turnstile
with Turnstile(pathlib.Path(sys.argv[1])).passing():
    print("in", flush=True)
    sys.stdin.read()
"""


def hold(directory: Path) -> subprocess.Popen[str]:
    """Start a process that stays in the room until its stdin is closed."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "in\n"
    return child


def test_passing_gives_a_deadline_and_frees_the_room(tmp_path: Path) -> None:
    turnstile = Turnstile(tmp_path, timeout_s=5)

    for _ in range(2):
        with turnstile.passing() as deadline:
            assert 0 < deadline - time.monotonic() <= 5


def test_the_room_is_free_again_after_an_error_inside(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Turnstile(tmp_path).passing():
        raise ZeroDivisionError

    with Turnstile(tmp_path, timeout_s=0).passing():
        pass


def test_a_turn_that_does_not_come_in_time_names_the_holder(tmp_path: Path) -> None:
    with hold(tmp_path) as child:
        began = time.monotonic()
        with pytest.raises(StoreError) as refused, Turnstile(tmp_path, timeout_s=0.2).passing():
            pass

        assert 0.2 <= time.monotonic() - began < 2
        assert f"process {child.pid}" in refused.value.message
        assert "0.2 s" in refused.value.message
        child.communicate("")
    with Turnstile(tmp_path, timeout_s=5).passing():
        pass


def test_a_lock_that_comes_after_its_waiter_gave_up_is_let_go(tmp_path: Path) -> None:
    with hold(tmp_path) as child:
        for _ in range(3):
            with pytest.raises(StoreError), Turnstile(tmp_path, timeout_s=0.05).passing():
                pass
        child.communicate("")

    # Three threads got their locks by now; nobody may be left holding one.
    for _ in range(10):
        with Turnstile(tmp_path, timeout_s=5).passing():
            pass


def test_a_killed_holder_frees_the_room(tmp_path: Path) -> None:
    with hold(tmp_path) as child:
        child.kill()
        child.communicate()

        with Turnstile(tmp_path, timeout_s=5).passing():
            pass


def test_turnstiles_with_different_names_are_independent(tmp_path: Path) -> None:
    locks = tmp_path / "locks"
    with (
        Turnstile(locks, name="a", timeout_s=0).passing(),
        Turnstile(locks, name="b", timeout_s=0).passing(),
    ):
        assert sorted(os.listdir(locks)) == ["a.queue", "a.room", "b.queue", "b.room"]


def test_threads_of_one_process_pass_one_at_a_time(tmp_path: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def pass_through() -> None:
        for _ in range(20):
            with Turnstile(tmp_path).passing():
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.0005)
                inside.pop()

    threads = [threading.Thread(target=pass_through) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == [1] * 80


def test_who_comes_straight_back_does_not_overtake_who_waits(tmp_path: Path) -> None:
    order: list[str] = []
    waiting = threading.Event()

    def wait_for_the_turn() -> None:
        waiting.set()
        with Turnstile(tmp_path).passing():
            order.append("waiter")

    thread = threading.Thread(target=wait_for_the_turn)
    with Turnstile(tmp_path).passing():
        thread.start()
        waiting.wait()
        time.sleep(0.1)
    with Turnstile(tmp_path).passing():
        order.append("comes back")
    thread.join()

    assert order == ["waiter", "comes back"]
