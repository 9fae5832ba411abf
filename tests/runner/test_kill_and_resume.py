"""One run of every real stage, killed at every edge: it ends as if nothing had happened.

The toy task on the embedded model, twice in the same place: first uninterrupted, then with
`kill -9` of the stage's process as each stage begins, of the agent as each stage ends, and of
both in turn in the middle of training; each time it goes on by `fathom resume`.
"""

import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fathom_tui.events import Event
from fathom_tui.gates import Outcome
from fathom_tui.runner.server import LlamaServer
from fathom_tui.runs import RunView, fold
from fathom_tui.stages import STAGE_NAMES, RunState, StageState
from fathom_tui.store import Home, Store
from fathom_tui.store.artifacts import content
from fathom_tui.store.journal import read
from fathom_tui.store.requests import agent_alive, live_state
from tests.runner.toy import engage, write_toy
from tests.runner.watching import (
    Seen,
    agent_pid,
    end_agent,
    kill,
    stage_processes,
    wait_until,
)
from tests.running import fathom

pytestmark = pytest.mark.slow

RUN = "toy-1"
PATIENCE_S = 900.0
SMALL: Mapping[str, Any] = {
    "train_rows": 32, "validation_rows": 24, "test_rows": 8, "loss_rows": 4,
    # Eight steps, with a checkpoint after every second one.
    "epochs": 1.0, "batch": 4, "micro_batch": 4, "evaluations": 4, "rank": 8, "alpha": 16,
    "candidates": 1, "shots": 2, "nearest_shots": 0, "nearest_on_test": False,
    "max_length": 128, "max_new_tokens": 8, "anchors": 4, "anchors_least": 1, "threshold": 0.0,
}  # fmt: skip
ELSEWHERE = ("deploy", "anchors")
"""Stages whose results name a port, which is another one each time."""


@dataclass(kw_only=True)
class Killed:
    """The run that was killed, and what was seen of it."""

    home: Home
    view: RunView
    read_before: list[Event]
    """What was read of the journal while the run was killed again and again."""
    kills: dict[str, int]
    most_at_once: int
    """Most processes of its stages that were alive at the same time."""
    seconds: float


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, embedded_cache: Path) -> Iterator[Home]:
    """Return a home with the engagement in it; its agent and server end with the module."""
    home = Home.at(tmp_path_factory.mktemp("killed") / "home")
    furnish(home, embedded_cache)
    yield home
    leave(home)
    shutil.rmtree(home.data.parent.parent)  # gigabytes


def furnish(home: Home, cache: Path) -> None:
    """Make a home with the toy engagement in it."""
    home.prepare().cache.rmdir()
    home.cache.symlink_to(cache)
    engage(home, write_toy(home.data.parent.parent / "toy.csv", 240), **SMALL)


def leave(home: Home) -> None:
    """End what works in a home."""
    end_agent(home)
    LlamaServer(home.data / "serving" / "toy", "toy").stop()


@pytest.fixture(scope="module")
def uninterrupted(place: Home, embedded_cache: Path) -> RunView:
    """Run without a kill; then clear the place for the run that is killed."""
    done = fathom(place, "run", "toy", "--foreground", timeout=PATIENCE_S)
    while done.returncode == 1:  # a gate refused
        waive(place)
        done = fathom(place, "resume", RUN, "--follow", timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    view = Store(place).run_view(RUN)
    leave(place)
    # The same path, so that even files that name their place can be compared.
    shutil.rmtree(place.data.parent)
    furnish(place, embedded_cache)
    return view


@pytest.fixture(scope="module")
def killed(place: Home, uninterrupted: RunView) -> Killed:
    """Run with a kill at every edge and three in the middle of training."""
    begun = time.monotonic()
    assert fathom(place, "run", "toy").returncode == 0
    with counted(place.run(RUN)) as most:
        death = Death(place)
        for stage in STAGE_NAMES:
            death.at_the_start_of(stage)
            if stage == "train":
                death.in_training()
            death.at_the_end_of(stage)
        death.come_to_the_end()
    return Killed(
        home=place,
        view=Store(place).run_view(RUN),
        read_before=death.seen.events,
        kills=death.kills,
        most_at_once=max(most),
        seconds=time.monotonic() - begun,
    )


@dataclass
class Death:
    """Kills a run's processes where the journal says that the moment has come."""

    home: Home
    kills: dict[str, int] = field(default_factory=lambda: {"agent": 0, "child": 0})

    def __post_init__(self) -> None:
        self.seen = Seen(self.home, RUN)
        self.until("attempt")

    def at_the_start_of(self, stage: str) -> None:
        """Kill the stage's process as soon as there is one."""
        self.until("stage_started", stage=stage)
        self.kill_child()
        self.go_on()

    def at_the_end_of(self, stage: str) -> None:
        """Kill the agent as soon as it has told the stage's end."""
        while True:
            event = self.until("stage_finished", stage=stage)
            if event.data["state"] in (StageState.DONE, StageState.REFUSED):
                break
        self.kill_agent()
        if event.data["state"] == StageState.REFUSED:
            waive(self.home)
        if live_state(self.home, RUN) is not RunState.DONE:  # there was no time to say so
            self.go_on()

    def come_to_the_end(self) -> None:
        """Wait for the end of the last attempt."""
        wait_until("the end", lambda: Store(self.home).run_view(RUN).state is RunState.DONE)
        self.seen.look()

    def in_training(self) -> None:
        """Kill behind a checkpoint, between two, and while one is written."""
        checkpoint = self.home.run(RUN) / "train" / "checkpoints" / "checkpoint-2"
        manifest = checkpoint / "manifest.json"
        wait_until("the first checkpoint", manifest.exists, patience_s=PATIENCE_S)
        self.kill_agent()
        self.go_on()
        self.until("metric", stage="train", step=4)
        self.kill_child()
        self.go_on()
        while "validation_loss" not in self.until("metric", stage="train", step=6).data:
            pass  # the loss of training comes first; behind the one of validation it is saved
        self.kill_agent()
        self.go_on()

    def kill_child(self) -> None:
        (child,) = wait_until("a stage", lambda: stage_processes(self.home.run(RUN)))
        kill(child)
        self.kills["child"] += 1
        state = self.until("run_finished").data["state"]
        assert state == RunState.FAILED

    def kill_agent(self) -> None:
        kill(agent_pid(self.home))
        self.kills["agent"] += 1
        wait_until("the agent's lock", lambda: agent_alive(self.home) is None)

    def go_on(self) -> None:
        resumed = fathom(self.home, "resume", RUN, timeout=PATIENCE_S)
        assert resumed.returncode == 0, resumed.stderr
        self.until("attempt")

    def until(self, kind: str, **data: object) -> Event:
        return self.seen.until(kind, patience_s=PATIENCE_S, **data)


def waive(home: Home) -> None:
    """Waive what refused, by name and with a reason."""
    gates = [gate for stage in Store(home).run_view(RUN).stages.values() for gate in stage.gates]
    waived = {waiver["gate"] for waiver in Store(home).waivers("toy", RUN)}
    refused = {gate.name for gate in gates if gate.outcome is Outcome.REFUSE} - waived
    assert refused
    for gate in sorted(refused):
        done = fathom(home, "waive", RUN, gate, "--by", "Ada", "--reason", "a toy of 32 rows")
        assert done.returncode == 0, done.stderr


@contextmanager
def counted(run_dir: Path) -> Iterator[list[int]]:
    """Count the living processes of a run's stages, many times a second."""
    counts, over = [0], threading.Event()

    def count() -> None:
        while not over.wait(0.05):
            counts.append(len(stage_processes(run_dir)))

    counting = threading.Thread(target=count)
    counting.start()
    try:
        yield counts
    finally:
        over.set()
        counting.join()


def test_it_was_killed_at_every_edge_and_three_times_in_training(killed: Killed) -> None:
    assert killed.kills == {"child": len(STAGE_NAMES) + 1, "agent": len(STAGE_NAMES) + 2}
    assert killed.view.attempts >= 2 * len(STAGE_NAMES) + 2
    print(f"killed {sum(killed.kills.values())} times in {killed.seconds:.0f} s")


def test_it_is_done_in_the_end(killed: Killed) -> None:
    assert killed.view.state is RunState.DONE
    assert {stage.state for stage in killed.view.stages.values()} == {StageState.DONE}


def test_the_adapter_equals_the_uninterrupted_one_bit_for_bit(
    killed: Killed, uninterrupted: RunView
) -> None:
    weights = killed.home.run(RUN) / "train" / "adapter" / "adapter_model.safetensors"
    before, after = uninterrupted.stages["train"].result, killed.view.stages["train"].result

    assert before["max_abs_b"] > 0
    assert content(weights).sha256 == after["weights_sha256"] == before["weights_sha256"]
    assert killed.view.artifacts["adapter"].sha256 == uninterrupted.artifacts["adapter"].sha256


def test_so_does_everything_else_that_was_made_or_measured(
    killed: Killed, uninterrupted: RunView
) -> None:
    def made(view: RunView) -> dict[str, str]:
        return {name: artifact.sha256 for name, artifact in view.artifacts.items()}

    def results(view: RunView) -> dict[str, object]:
        return {s.name: s.result for s in view.stages.values() if s.name not in ELSEWHERE}

    def losses(view: RunView) -> dict[tuple[int, str], object]:
        names = ("train_loss", "validation_loss")
        return {(m["step"], n): m[n] for m in view.metrics for n in names if n in m}

    assert {"adapter", "merged", "f16", "quantised", "anchors", "answers"} <= set(made(killed.view))
    assert made(killed.view) == made(uninterrupted)
    assert results(killed.view) == results(uninterrupted)
    assert losses(uninterrupted).items() >= losses(killed.view).items()


def test_training_went_on_from_its_checkpoints(killed: Killed) -> None:
    events = read(killed.home.run_journal(RUN))[0]
    notes = [e.data["text"] for e in events if e.kind == "note" and e.data["stage"] == "train"]
    went_on = [int(n.rpartition("-")[2]) for n in notes if n.startswith("going on from")]
    first_steps = [e for e in events if e.kind == "metric" and e.data["step"] == 1]

    assert len(first_steps) == 1
    assert len(went_on) == 3
    assert went_on == sorted(went_on)
    assert went_on[0] >= 2
    assert went_on[-1] >= 4


def test_no_event_is_lost(killed: Killed) -> None:
    events, _, notes = read(killed.home.run_journal(RUN))  # a gap in the numbers is an error

    assert notes == []
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert events[: len(killed.read_before)] == killed.read_before
    assert fold(events).state is RunState.DONE
    assert killed.read_before[-1] == events[-1]


def test_two_processes_never_worked_on_it_at_once(killed: Killed) -> None:
    assert killed.most_at_once == 1


def test_every_file_is_what_the_ledger_says(killed: Killed) -> None:
    checked = fathom(killed.home, "store", "check")

    assert checked.returncode == 0, checked.stdout + checked.stderr
    for artifact in killed.view.artifacts.values():
        found = content(killed.home.run(RUN) / artifact.path)
        assert (found.sha256, found.bytes) == (artifact.sha256, artifact.bytes), artifact.name


def test_what_concerns_the_engagement_is_told_once(killed: Killed) -> None:
    events = read(killed.home.engagement_journal("toy"))[0]
    kinds = [event.kind for event in events]

    assert [kinds.count(kind) for kind in ("decision", "deployment", "check")] == [1, 1, 1]
    assert kinds.count("test_opened") >= 1
    assert {e.data["by"] for e in events if e.kind == "waiver"} == {"Ada"}
