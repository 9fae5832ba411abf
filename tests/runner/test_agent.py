"""The agent through the real command line, its stages in real processes.

A run here is the toy task on a model of a few bytes. Its `preflight` is real and can be kept
waiting without work (`blocked`), its `data` is real and refuses, waivably, and its `baseline`
meets a file that is no GGUF.
"""

import fcntl
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fathom_tui import cli
from fathom_tui.commands import demo, follow
from fathom_tui.commands.follow import watch
from fathom_tui.contract import Contract
from fathom_tui.errors import EnvironmentProblem, StageCrashed
from fathom_tui.events import Event
from fathom_tui.recipe import Plan
from fathom_tui.runner import attempt, supervise
from fathom_tui.runner.agent import Agent
from fathom_tui.runner.attempt import Attempt, smaller_micro_batch
from fathom_tui.runner.pipeline import may_keep
from fathom_tui.runner.server import LlamaServer
from fathom_tui.runner.stage import Job
from fathom_tui.runner.supervise import Child, end_holder
from fathom_tui.runs import RunView
from fathom_tui.stages import STAGES, RunState, StageState
from fathom_tui.store import Home, Journal, Store
from fathom_tui.store.journal import read, tail
from fathom_tui.store.requests import (
    agent_alive,
    cancel,
    ensure_agent,
    live_state,
    requests,
    resume,
    start_run,
    stop_agent,
)
from tests.runner import told
from tests.runner.toy import blocked, engage
from tests.runner.watching import (
    PATIENCE_S,
    Seen,
    agent_pid,
    is_gone,
    kill,
    stage_processes,
    wait_until,
)
from tests.running import environment, fathom

Capture = pytest.CaptureFixture[str]
QUICK_S = 15.0
"""A second on an idle machine, and far below the minute after which an idle agent ends anyway."""


@pytest.fixture
def toy(lively: Home, few: Path, model: Path) -> str:
    """Return an engagement whose runs go as the head of this file says."""
    return engage(lively, few, model=str(model))


def run(home: Home, slug: str = "toy", *arguments: str) -> str:
    """Start a run through the command line and return its id."""
    done = fathom(home, "run", slug, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["run"])


def ended(home: Home, run_id: str) -> str:
    """Wait for the end of a run's attempt and return its state."""
    return str(Seen(home, run_id).until("run_finished").data["state"])


class TestTheAgentAlone:
    def test_it_is_started_looked_at_and_stopped(self, lively: Home) -> None:
        before = fathom(lively, "runner", "status", "--json")
        started = fathom(lively, "runner", "start")
        status = fathom(lively, "runner", "status", "--json")
        again = fathom(lively, "runner", "start")
        stopped = fathom(lively, "runner", "stop")
        after = fathom(lively, "runner", "status")
        twice = fathom(lively, "runner", "stop")

        assert (before.returncode, before.stdout) == (3, "null\n")
        assert started.returncode == 0, started.stderr
        beat = json.loads(status.stdout)
        assert (status.returncode, beat["run"], beat["stage"]) == (0, None, None)
        assert f"process {beat['pid']}" in started.stderr
        assert f"process {beat['pid']}" in again.stderr
        assert (stopped.returncode, stopped.stderr) == (0, "The agent has ended.\n")
        assert is_gone(beat["pid"])
        assert (after.returncode, twice.returncode) == (3, 0)
        assert not lively.agent_file.exists()
        assert lively.agent_log.read_text("utf-8") == ""

    def test_its_heart_beats_in_a_private_file(self, lively: Home) -> None:
        ensure_agent(lively)
        first = json.loads(lively.agent_file.read_text("utf-8"))
        later = wait_until(
            "another beat",
            lambda: (b := agent_alive(lively) or {})["at"] > first["at"] and b,
        )

        assert {**first, "at": ""} == {**later, "at": ""}
        assert set(first) == {"pid", "started_at", "run", "stage", "queued", "at"}
        for path in (lively.agent_file, lively.agent_log, lively.agent_lock):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path

    def test_a_second_one_says_so_and_ends_with_2(self, lively: Home, toy: str) -> None:
        ensure_agent(lively)
        pid = agent_pid(lively)

        second = fathom(lively, "runner", "run")
        foreground = fathom(lively, "run", toy, "--foreground")

        for refused_one in (second, foreground):
            assert refused_one.returncode == 2
            assert f"An agent is already at work in {lively.data} (process {pid})." in (
                refused_one.stderr
            )
            assert "fathom runner stop" in refused_one.stderr
        assert list(lively.runs.iterdir()) == []
        assert agent_pid(lively) == pid

    def test_many_lookers_do_not_keep_it_from_starting(self, lively: Home) -> None:
        looker = lively.agent_lock.open("w")
        fcntl.flock(looker, fcntl.LOCK_SH)
        leaving = threading.Timer(0.2, looker.close)
        leaving.start()

        with Agent(lively):
            leaving.join()
            assert agent_alive(lively) is not None

    def test_it_ends_when_idle(self, lively: Home) -> None:
        with Agent(lively, idle_s=0.1) as agent:
            begun = time.monotonic()
            agent.serve()

        assert time.monotonic() - begun < 5
        assert agent_alive(lively) is None
        assert not lively.agent_file.exists()

    def test_a_request_that_comes_as_it_leaves_is_not_left_lying(
        self, lively: Home, toy: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(attempt, "Child", told.child(told.result))
        with Agent(lively, idle_s=0.0) as agent:
            take_requests = agent._take_requests
            looks: list[str] = []

            def look_then_ask() -> None:
                take_requests()
                if not looks:  # after the last look at the inbox, before the lock is let go
                    looks.append(start_run(lively, toy, created_by="test"))

            monkeypatch.setattr(agent, "_take_requests", look_then_ask)
            time.sleep(0.01)
            agent.serve()

        assert Store(lively).run_view(looks[0]).state is RunState.DONE

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
    def test_a_signal_ends_it_quietly(self, lively: Home, number: signal.Signals) -> None:
        process = agent_process(lively)
        wait_until("the agent", lambda: agent_alive(lively))
        process.send_signal(number)

        assert process.communicate(timeout=PATIENCE_S) == ("", "")
        assert process.returncode == 0

    def test_a_stop_meant_for_its_predecessor_does_not_end_it(self, lively: Home) -> None:
        stop_agent(lively)
        ensure_agent(lively)
        time.sleep(0.5)

        assert agent_alive(lively) is not None
        assert requests(lively) == []

    @pytest.mark.parametrize(
        "text",
        [
            "{",
            "[]",
            "\N{SNOWMAN}",
            '{"kind": "dance", "run": "toy-1", "data": {}}',
            '{"kind": "start", "run": "toy-1", "data": {}}',
            '{"kind": "resume", "run": "../../etc", "data": {}}',
            '{"kind": "cancel", "run": 7, "data": {}}',
            '{"kind": "resume", "run": "toy-77", "data": {}}',
        ],
    )
    def test_a_request_nobody_understands_is_put_aside(self, lively: Home, text: str) -> None:
        (lively.inbox / "1-odd.json").write_text(text, "utf-8")
        with Agent(lively, idle_s=0.0) as agent:
            time.sleep(0.01)
            agent.serve()

        assert [path.name for path in lively.inbox.iterdir()] == ["1-odd.unreadable"]
        assert (lively.inbox / "1-odd.unreadable").read_text("utf-8") == text
        assert list(lively.runs.iterdir()) == []

    def test_one_damaged_journal_does_not_keep_it_from_work(
        self, lively: Home, toy: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        monkeypatch.setattr(attempt, "Child", told.child(told.result))
        damaged = lively.run_journal(a_run(lively, RunState.INTERRUPTED))
        lines = damaged.read_text("utf-8").splitlines()
        damaged.write_text("\n".join([lines[0], "noise", lines[2]]) + "\n", "utf-8")
        noise = damaged.read_bytes()
        resume_request(lively, damaged.parent.name)
        sound = start_run(lively, toy, created_by="test")
        with Agent(lively, idle_s=0.0) as agent:
            agent.serve()

        assert Store(lively).run_view(sound).state is RunState.DONE
        assert damaged.read_bytes() == noise
        assert "toy-1/journal.jsonl, line 2 cannot be read" in capsys.readouterr().err
        assert requests(lively) == []


class TestTheHomeGoesAway:
    @pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
    def test_an_idle_agent_ends_quickly_and_quietly(self, lively: Home, how: str) -> None:
        root = lively.data.parent
        process = agent_process(lively)
        wait_until("the agent", lambda: agent_alive(lively))
        begun = time.monotonic()
        root.rename(root.with_name("elsewhere"))
        if how == "replaced":
            lively.prepare()
        if how == "deleted":
            shutil.rmtree(root.with_name("elsewhere"))

        assert process.communicate(timeout=PATIENCE_S) == ("", "")
        assert process.returncode == 0
        assert time.monotonic() - begun < QUICK_S
        assert root.exists() == (how == "replaced")

    @pytest.mark.parametrize("part", ["", "state", "data"])
    def test_an_agent_at_work_ends_with_its_child(
        self, lively: Home, toy: str, model: Path, part: str
    ) -> None:
        root = lively.data.parent
        with blocked(lively, model):
            process = agent_process(lively)
            wait_until("the agent", lambda: agent_alive(lively))
            run_dir = lively.run(run(lively))
            (child,) = wait_until("the stage", lambda: stage_processes(run_dir))
            shutil.rmtree(root / part, ignore_errors=True)
            shutil.rmtree(root / part, ignore_errors=True)  # what was written in between
            begun = time.monotonic()

            assert process.communicate(timeout=PATIENCE_S) == ("", "")
            assert process.returncode == 0
            assert time.monotonic() - begun < QUICK_S
            assert is_gone(child)
            assert not (root / part).exists()

    def test_a_run_in_the_foreground_says_so(self, lively: Home, toy: str, model: Path) -> None:
        with blocked(lively, model):
            process = foreground(lively, toy)
            wait_until("the stage", lambda: stage_processes(lively.run("toy-1")))
            lively.data.parent.rename(lively.data.parent.with_name("elsewhere"))
            _, said = process.communicate(timeout=PATIENCE_S)

        assert process.returncode == 4
        assert f"{lively.data} or {lively.state} was removed under run toy-1." in said


class TestCancel:
    def test_a_run_under_way_ends_within_seconds_and_can_go_on(
        self, lively: Home, toy: str, model: Path
    ) -> None:
        with blocked(lively, model):
            run_id = run(lively)
            (child,) = wait_until("the stage", lambda: stage_processes(lively.run(run_id)))
            cancelled = fathom(lively, "cancel", run_id)
            seen = Seen(lively, run_id)
            stage = seen.until("stage_finished")
            finished = seen.until("run_finished")

        assert cancelled.returncode == 0, cancelled.stderr
        assert (stage.data["stage"], stage.data["state"]) == ("preflight", "cancelled")
        assert finished.data["state"] == "cancelled"
        assert is_gone(child)
        assert agent_alive(lively) is not None
        went_on = fathom(lively, "resume", run_id, "--follow")
        assert went_on.returncode == 1, went_on.stderr
        assert "Gate data.floor refused" in went_on.stderr

    def test_a_run_that_waits_is_cancelled_without_disturbing_the_other(
        self, lively: Home, toy: str, model: Path
    ) -> None:
        with blocked(lively, model):
            first, second = run(lively), run(lively)
            wait_until("the stage", lambda: stage_processes(lively.run(first)))
            queued = wait_until(
                "the queue", lambda: (agent_alive(lively) or {}).get("queued") == [second]
            )
            waiting = live_state(lively, second)
            cancelled = fathom(lively, "cancel", second)
            state = ended(lively, second)
            untouched = live_state(lively, first)

        assert queued
        assert waiting is RunState.QUEUED
        assert cancelled.returncode == 0, cancelled.stderr
        assert state == "cancelled"
        assert Seen(lively, second).kinds() == ["run_created", "run_finished"]
        assert untouched is RunState.RUNNING
        assert ended(lively, first) == "refused"
        assert requests(lively) == []

    def test_a_run_that_waits_for_no_agent_is_cancelled_too(self, lively: Home, toy: str) -> None:
        run_id = start_run(lively, toy, created_by="test")
        cancelled = fathom(lively, "cancel", run_id)

        assert cancelled.returncode == 0, cancelled.stderr
        assert ended(lively, run_id) == "cancelled"

    def test_a_run_that_has_ended_is_not_cancelled(self, lively: Home, toy: str) -> None:
        run_id = a_run(lively, RunState.DONE)
        refusal = fathom(lively, "cancel", run_id)

        assert refusal.returncode == 2
        assert f"Run {run_id} is done: there is nothing to cancel." in refusal.stderr


class TestResume:
    @pytest.mark.parametrize("follow", [(), ("--follow",)])
    def test_a_run_that_is_done_is_not_resumed(
        self, lively: Home, toy: str, follow: tuple[str, ...]
    ) -> None:
        run_id = a_run(lively, RunState.DONE)
        refusal = fathom(lively, "resume", run_id, *follow)

        assert refusal.returncode == 2
        assert f"Run {run_id} is done: there is nothing to resume." in refusal.stderr
        assert requests(lively) == []
        assert agent_alive(lively) is None

    def test_a_run_under_way_is_not_resumed(self, lively: Home, toy: str, model: Path) -> None:
        with blocked(lively, model):
            run_id = run(lively)
            wait_until("the stage", lambda: stage_processes(lively.run(run_id)))
            refusal = fathom(lively, "resume", run_id)

        assert refusal.returncode == 2
        assert f"Run {run_id} is running: there is nothing to resume." in refusal.stderr
        assert f"fathom logs {run_id} -f" in refusal.stderr

    def test_a_run_that_does_not_exist_is_not_resumed(self, lively: Home, toy: str) -> None:
        refusal = fathom(lively, "resume", "toy-9")

        assert refusal.returncode == 2
        assert "There is no run 'toy-9'." in refusal.stderr

    def test_one_that_waits_for_an_agent_gets_one(self, lively: Home, toy: str) -> None:
        run_id = start_run(lively, toy, created_by="test")
        state = live_state(lively, run_id)
        resumed = fathom(lively, "resume", run_id, "--follow")

        assert state is RunState.QUEUED
        assert resumed.returncode == 1, resumed.stderr
        assert Seen(lively, run_id).kinds().count("attempt") == 1

    def test_a_waived_gate_lets_it_go_on_without_repeating_the_stage(
        self, lively: Home, toy: str
    ) -> None:
        refusal = fathom(lively, "run", toy, "--foreground")
        waived = fathom(
            lively, "waive", "toy-1", "data.floor", "--by", "Ada", "--reason", "only a toy"
        )
        went_on = fathom(lively, "resume", "toy-1", "--follow")
        seen = Seen(lively, "toy-1")
        seen.until("attempt", number=2)
        kept = [seen.until("stage_kept").data["stage"] for _ in range(2)]
        gates = {e.data["gate"]["name"] for e in seen.events if e.kind == "gate"}
        judged = seen.until("stage_finished", stage="data")
        failed = seen.until("stage_finished")

        assert refusal.returncode == 1, refusal.stderr
        assert "fathom waive toy-1 data.floor --by NAME --reason TEXT" in refusal.stderr
        assert waived.returncode == 0, waived.stderr
        assert kept == ["preflight", "data"]
        assert "data.floor" in gates
        assert judged.data["state"] == "done"
        assert [e.kind for e in seen.events if e.data.get("stage") == "data"].count("artifact") == 5
        # Then the file that is no GGUF: a failure of the machine, told by name.
        assert (failed.data["stage"], failed.data["state"]) == ("baseline", "failed")
        assert went_on.returncode == 4, went_on.stderr
        assert "llama.cpp cannot load" in went_on.stderr

    def test_without_a_waiver_it_is_refused_again(self, lively: Home, toy: str) -> None:
        fathom(lively, "run", toy, "--foreground")
        again = fathom(lively, "resume", "toy-1", "--follow")

        assert again.returncode == 1
        view = Store(lively).run_view("toy-1")
        assert (view.state, view.attempts) == (RunState.REFUSED, 2)
        assert view.stages["data"].state is StageState.REFUSED


class TestInterruptions:
    @pytest.mark.parametrize("how", ["stop", "SIGTERM"])
    def test_a_stopped_agent_leaves_a_run_that_goes_on(
        self, lively: Home, toy: str, model: Path, how: str
    ) -> None:
        with blocked(lively, model):
            run_id = run(lively)
            (child,) = wait_until("the stage", lambda: stage_processes(lively.run(run_id)))
            if how == "stop":
                assert fathom(lively, "runner", "stop").returncode == 0
            else:
                os.kill(agent_pid(lively), signal.SIGTERM)
                wait_until("the agent's end", lambda: agent_alive(lively) is None)

        view = Store(lively).run_view(run_id)
        assert view.state is RunState.INTERRUPTED
        assert view.stages["preflight"].state is StageState.CANCELLED
        assert view.fix == f"fathom resume {run_id}"
        assert is_gone(child)
        resumed = fathom(lively, "resume", run_id, "--follow")
        assert resumed.returncode == 1, resumed.stderr
        assert Store(lively).run_view(run_id).attempts == 2

    def test_kill_9_of_the_agent_ends_its_child_and_loses_no_request(
        self, lively: Home, toy: str, model: Path
    ) -> None:
        with blocked(lively, model):
            first, second = run(lively), run(lively)
            (child,) = wait_until("the stage", lambda: stage_processes(lively.run(first)))
            wait_until("the queue", lambda: (agent_alive(lively) or {}).get("queued") == [second])
            kill(agent_pid(lively))
            begun = time.monotonic()
            wait_until("the child's end", lambda: is_gone(child), patience_s=2.0)
            took = time.monotonic() - begun
            wait_until("the agent's lock", lambda: agent_alive(lively) is None)
            states = live_state(lively, first), live_state(lively, second)

        assert took < 2.0
        assert states == (RunState.INTERRUPTED, RunState.QUEUED)
        assert fathom(lively, "runner", "start").returncode == 0
        assert ended(lively, second) == "refused"
        seen = Seen(lively, first)
        closed = seen.until("stage_finished"), seen.until("run_finished")
        assert [event.data["state"] for event in closed] == ["cancelled", "interrupted"]
        assert closed[1].data["error"]["fix"] == f"fathom resume {first}"
        assert fathom(lively, "resume", first, "--follow").returncode == 1

    def test_whoever_follows_a_run_that_waits_is_told_what_for(
        self, lively: Home, toy: str, model: Path
    ) -> None:
        with blocked(lively, model):
            first, second = run(lively), run(lively)
            wait_until("the queue", lambda: (agent_alive(lively) or {}).get("queued") == [second])
            waiting = follow._Queue(lively, second)
            view = Store(lively).run_view(second)
            said = waiting.news(view), waiting.news(view)

        assert said == (f"{second} waits: the agent works on {first}.", "")

    def test_a_killed_child_is_an_event_and_the_agent_lives(
        self, lively: Home, toy: str, model: Path
    ) -> None:
        with blocked(lively, model):
            run_id = run(lively)
            (child,) = wait_until("the stage", lambda: holder(lively, run_id))
            agent = agent_pid(lively)
            os.kill(child, signal.SIGKILL)
            seen = Seen(lively, run_id)
            stage, finished = seen.until("stage_finished"), seen.until("run_finished")

        assert stage.data["state"] == finished.data["state"] == "failed"
        assert (
            "stage preflight was killed by SIGKILL without an answer"
            in (finished.data["error"]["message"])
        )
        assert finished.data["error"]["fix"].endswith(f"then: fathom resume {run_id}")
        assert agent_pid(lively) == agent
        assert fathom(lively, "resume", run_id, "--follow").returncode == 1

    def test_what_an_agent_did_not_record_the_next_one_does(
        self, lively: Home, toy: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between a stage's end and the engagement's record an agent may be killed."""
        monkeypatch.setattr(attempt, "Child", told.child(told.result))
        record, lost = Store.record, ["decision", "deployment", "check"]

        def record_or_lose(store: Store, slug: str, kind: str, data: Any) -> Any:
            if kind in lost:
                lost.remove(kind)
                raise EnvironmentProblem(f"no {kind} today")
            return record(store, slug, kind, data)

        monkeypatch.setattr(Store, "record", record_or_lose)
        run_id = start_run(lively, toy, created_by="test")
        recorded = []
        for state in (*[RunState.FAILED] * 3, RunState.DONE):
            with Agent(lively) as agent:
                assert agent.work_on(run_id).state is state
            events = read(lively.engagement_journal(toy))[0]
            recorded.append([event.kind for event in events[1:]])
            if state is not RunState.DONE:
                resume(lively, run_id)

        every = ["test_opened", "decision", "deployment", "check"]
        assert recorded == [every[:1], every[:2], every[:3], every]


class TestOneTrainerAtATime:
    def test_a_child_left_over_is_ended_before_the_next_one_starts(
        self, lively: Home, toy: str, model: Path
    ) -> None:
        job = a_job(lively, toy)
        with blocked(lively, model):
            left_over = Child(job)
            wait_until("its lock", lambda: is_locked(job.run_dir))
            child = Child(job)
            wait_until("its lock", lambda: is_locked(job.run_dir))
            lives = child.ended() is None
            signed = int((job.run_dir / "lock").read_text("ascii"))
            child.end()
            list(left_over.lines(0.1))

        how = left_over.ended()
        assert how is not None
        assert how.code == -signal.SIGTERM
        assert lives
        assert signed == child.pid

    def test_one_that_does_not_listen_is_killed(
        self, lively: Home, toy: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(supervise, "GRACE_S", 0.5)
        job = a_job(lively, toy)
        script = (
            "import fcntl, os, signal, sys, time\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "lock = open(sys.argv[1], 'w')\n"
            "fcntl.flock(lock, fcntl.LOCK_EX)\n"
            "print(os.getpid(), file=lock, flush=True)\n"
            "time.sleep(60)"
        )
        lock = str(job.run_dir / "lock")
        stubborn = subprocess.Popen([sys.executable, "-c", script, lock, "fathom_tui.runner.child"])
        wait_until("its lock", lambda: is_locked(job.run_dir))

        end_holder(job.run_dir)

        assert stubborn.wait(10) == -signal.SIGKILL

    def test_nobody_else_is_ended_for_a_number_in_the_lock(
        self, lively: Home, toy: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(supervise, "GRACE_S", 0.1)
        job = a_job(lively, toy)
        with ExitStack() as stack:
            bystander = stack.enter_context(subprocess.Popen(["sleep", "60"]))
            stack.callback(bystander.kill)
            lock = stack.enter_context((job.run_dir / "lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
            print(bystander.pid, file=lock, flush=True)

            with pytest.raises(EnvironmentProblem, match=f"Process {bystander.pid} holds"):
                end_holder(job.run_dir)

            assert bystander.poll() is None

    def test_a_child_whose_agent_is_gone_does_not_begin(self, lively: Home, toy: str) -> None:
        job = a_job(lively, toy)
        order = job.dir / "order.json"
        job.dir.mkdir()
        job.write(order)
        reading, writing = os.pipe()
        command = [sys.executable, "-m", "fathom_tui.runner.child", str(order), str(writing), "1"]
        done = subprocess.run(command, pass_fds=(writing,), capture_output=True, check=False)
        os.close(writing)

        assert os.read(reading, 1) == b""
        os.close(reading)
        assert done.returncode == 130
        assert not (job.run_dir / "lock").exists()


class TestForeground:
    def test_it_ends_with_0_when_done(
        self, lively: Home, toy: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        monkeypatch.setattr(attempt, "Child", told.child(told.result))
        handler = signal.getsignal(signal.SIGTERM)
        code = cli.main(["run", toy, "--foreground", "--json"])
        said = capsys.readouterr()

        assert code == 0, said.err
        assert json.loads(said.out)["state"] == "done"
        assert agent_alive(lively) is None
        assert signal.getsignal(signal.SIGTERM) == handler

    def test_it_ends_with_1_when_a_gate_refuses(self, lively: Home, toy: str) -> None:
        done = fathom(lively, "run", toy, "--foreground", "--json")

        assert done.returncode == 1
        assert json.loads(done.stdout)["state"] == "refused"
        assert "Gate data.floor refused: 48 training rows are fewer than 200." in done.stderr

    def test_it_ends_with_130_on_ctrl_c_and_goes_on_later(
        self, lively: Home, toy: str, model: Path
    ) -> None:
        with blocked(lively, model):
            process = foreground(lively, toy)
            (child,) = wait_until("the stage", lambda: stage_processes(lively.run("toy-1")))
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=PATIENCE_S)

        assert process.returncode == 130
        assert "fathom resume toy-1" in said
        assert "Traceback" not in said
        assert is_gone(child)
        assert Store(lively).run_view("toy-1").state is RunState.INTERRUPTED
        assert fathom(lively, "resume", "toy-1", "--follow").returncode == 1

    def test_it_ends_when_nobody_reads_what_it_says(self, lively: Home, toy: str) -> None:
        process = foreground(lively, toy)
        assert process.stderr is not None
        first = process.stderr.readline()
        process.stderr.close()
        process.communicate(timeout=PATIENCE_S)

        assert first == "Run toy-1\n"
        assert Store(lively).run_view("toy-1").state is RunState.INTERRUPTED

    def test_what_others_asked_for_meanwhile_goes_on_in_the_background(
        self, lively: Home, toy: str, model: Path
    ) -> None:
        with blocked(lively, model):
            process = foreground(lively, toy)
            wait_until("the stage", lambda: stage_processes(lively.run("toy-1")))
            second = run(lively)
            time.sleep(0.5)
            waiting = live_state(lively, second)
        _, said = process.communicate(timeout=PATIENCE_S)

        assert process.returncode == 1
        assert waiting is RunState.QUEUED
        assert f"Goes on in the background: {second}" in said
        assert ended(lively, second) == "refused"


class TestOutOfMemory:
    @pytest.mark.parametrize(
        ("batch", "micro", "smaller"),
        [(8, 4, 2), (8, 2, 1), (8, 1, None), (15, 5, 1), (12, 6, 3), (9, 9, 3), (10, 10, 5)],
    )
    def test_the_micro_batch_is_halved_and_still_divides_the_batch(
        self, batch: int, micro: int, smaller: int | None
    ) -> None:
        assert smaller_micro_batch(a_plan(batch=batch, micro_batch=micro)) == smaller

    def test_train_is_tried_again_with_the_same_batch(
        self, lively: Home, toy: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tried: list[tuple[int, int]] = []

        def script(job: Job) -> list[told.Line]:
            if job.stage == "train":
                tried.append((job.plan.micro_batch, job.plan.batch))
                if job.plan.micro_batch > 1:
                    return [told.line("out_of_memory", stage="train")]
            return told.result(job)

        monkeypatch.setattr(attempt, "Child", told.child(script))
        run_id = start_run(lively, toy, created_by="test")
        with Agent(lively) as agent:
            view = agent.work_on(run_id)

        assert view.state is RunState.DONE
        assert tried == [(4, 8), (2, 8), (1, 8)]
        events = read(lively.run_journal(run_id))[0]
        assert [event.data["text"] for event in events if event.kind == "note"] == [
            f"out of memory: again with a micro-batch of {rows}, batch 8 as before"
            for rows in (2, 1)
        ]

    @pytest.mark.parametrize("stage", ["train", "merge"])
    def test_it_fails_with_a_way_out_when_nothing_smaller_is_left(
        self, lively: Home, toy: str, monkeypatch: pytest.MonkeyPatch, stage: str
    ) -> None:
        def script(job: Job) -> list[told.Line]:
            out = [told.line("out_of_memory", stage=stage)]
            return out if job.stage == stage else told.result(job)

        monkeypatch.setattr(attempt, "Child", told.child(script))
        run_id = start_run(lively, toy, created_by="test")
        with Agent(lively) as agent:
            view = agent.work_on(run_id)

        assert view.state is RunState.FAILED
        assert view.error.startswith(f"Stage {stage} ran out of memory")
        assert ("micro-batch of 1" in view.error) == (stage == "train")
        assert view.fix.endswith(f"fathom resume {run_id}")


class TestWhatAChildSays:
    def test_an_artifact_is_told_with_what_it_was_made_from(
        self, lively: Home, toy: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def script(job: Job) -> list[told.Line]:
            made = {"stage": job.stage, "name": job.stage, "path": ".", "bytes": 0}
            return [told.line("artifact", **made, sha256=job.stage * 2), *told.result(job)]

        monkeypatch.setattr(attempt, "Child", told.child(script))
        run_id = start_run(lively, toy, created_by="test")
        with Agent(lively) as agent:
            view = agent.work_on(run_id)

        assert view.artifacts["export"].inputs == {"merge": "mergemerge"}
        assert set(view.artifacts["train"].inputs) == {"preflight", "data"}
        assert view.artifacts["preflight"].inputs == {}

    @pytest.mark.parametrize("answer", [[], [{"odd": 1}]])
    def test_nonsense_fails_the_run_and_not_the_agent(
        self,
        lively: Home,
        toy: str,
        monkeypatch: pytest.MonkeyPatch,
        answer: list[told.Line],
    ) -> None:
        def script(job: Job) -> list[told.Line]:
            return list(answer) if job.stage == "data" else told.result(job)

        monkeypatch.setattr(attempt, "Child", told.child(script))
        run_id = start_run(lively, toy, created_by="test")
        with Agent(lively) as agent:
            view = agent.work_on(run_id)

        assert view.state is RunState.FAILED
        assert view.stages["data"].state is StageState.FAILED
        assert view.fix.endswith(f"fathom resume {run_id}")

    def test_last_words_are_those_of_this_process(self, lively: Home, toy: str) -> None:
        job = replace(a_job(lively, toy), stage="juggle")
        job.dir.mkdir()
        (job.dir / "stderr.log").write_text("words of an earlier attempt\n", "utf-8")
        child = Child(job)
        while child.ended() is None:
            list(child.lines(0.1))

        assert child.last_words().endswith("ValueError: no stage named 'juggle'")
        assert "earlier attempt" not in child.last_words()
        assert stat.S_IMODE((job.dir / "order.json").stat().st_mode) == 0o600
        assert stat.S_IMODE((job.dir / "stdout.log").stat().st_mode) == 0o600

    def test_a_crash_names_signal_and_log(self, lively: Home, toy: str) -> None:
        job = a_job(lively, toy)
        seen: list[str] = []

        def tell(kind: str, data: Any, *, durable: bool = True) -> None:
            seen.append(kind)

        view = RunView(id=job.run, engagement=toy, config=Store(lively).engagement(toy).config)
        passing = Attempt(lively, view, {}, tell=tell, watch=lambda stage: None)
        for code, words in (
            (-signal.SIGABRT, "was ended by SIGABRT (a library met what it cannot handle"),
            (-signal.SIGKILL, "was killed by SIGKILL"),
            (-40, "was killed by signal 40"),
            (3, "ended with code 3"),
        ):
            stage = next(s for s in STAGES if s.name == "baseline")
            child = told.child(told.result)(job)
            error = passing._crash(stage, child, supervise.Ended(code=code, oom_kills=0))

            assert isinstance(error, StageCrashed)
            assert f"The process of stage baseline {words}" in error.message
            assert str(job.dir / "stderr.log") in error.fix


class TestWhatIsKept:
    def test_a_stage_is_done_again_when_what_it_made_is_gone(
        self, lively: Home, toy: str, tmp_path: Path
    ) -> None:
        view = RunView(id="toy-1")
        stage = view.stages["preflight"]
        stage.state, stage.input_hash = StageState.DONE, "same"
        stage.result = {"model_dir": str(tmp_path / "cache"), "threads": 2}

        assert not may_keep(stage, "same", view, tmp_path)
        (tmp_path / "cache").mkdir()
        assert may_keep(stage, "same", view, tmp_path)
        assert not may_keep(stage, "other", view, tmp_path)


class TestFollowing:
    def test_a_run_that_is_taken_up_while_it_is_looked_at_is_followed_on(
        self, lively: Home, toy: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run_id = a_run(lively, RunState.INTERRUPTED)
        resume(lively, run_id)
        (request,) = requests(lively)

        def read_then_take_up(path: Path, offset: int) -> tuple[list[Event], int]:
            news = tail(path, offset)
            monkeypatch.setattr(follow, "tail", tail)
            with Journal(path) as journal:
                journal.append("attempt", {"number": 2, "pid": 1})
                request.path.unlink()
                journal.append("run_finished", {"state": RunState.DONE, "seconds": 1.0})
            return news

        monkeypatch.setattr(follow, "tail", read_then_take_up)

        assert [view.state for view in watch(lively, run_id)][-1] is RunState.DONE

    def test_it_says_so_when_nobody_works_on_the_run(
        self, lively: Home, toy: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(follow, "_SILENCE_S", 0.1)
        run_id = a_run(lively, None)

        with pytest.raises(EnvironmentProblem, match=f"run {run_id} has not ended") as raised:
            list(watch(lively, run_id))

        assert raised.value.fix == f"fathom resume {run_id}"

    @pytest.mark.parametrize(("waits", "stops"), [(True, False), (False, True)])
    def test_the_demo_stops_its_server_unless_a_run_of_it_goes_on(
        self, lively: Home, toy: str, monkeypatch: pytest.MonkeyPatch, waits: bool, stops: bool
    ) -> None:
        stopped: list[bool] = []
        monkeypatch.setattr(LlamaServer, "stop", lambda server: stopped.append(True))
        a_run(lively, RunState.DONE)
        left_under_way = a_run(lively, None)
        if waits:
            resume(lively, left_under_way)

        demo._stop_server(lively, toy)

        assert bool(stopped) == stops


def test_the_agent_takes_cancel_in_the_order_it_was_asked(lively: Home, toy: str) -> None:
    run_id = start_run(lively, toy, created_by="test")
    cancel(lively, run_id)
    with Agent(lively) as agent:
        view = agent.work_on(run_id)

    assert view.state is RunState.CANCELLED
    assert view.attempts == 0
    assert requests(lively) == []


def agent_process(home: Home) -> subprocess.Popen[str]:
    """Start an agent whose words and exit code the test sees."""
    return subprocess.Popen(
        [sys.executable, "-m", "fathom_tui.runner"],
        env=environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def foreground(home: Home, slug: str) -> subprocess.Popen[str]:
    """Start `fathom run SLUG --foreground`."""
    return subprocess.Popen(
        [sys.executable, "-m", "fathom_tui", "run", slug, "--foreground"],
        env=environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def a_run(home: Home, state: RunState | None) -> str:
    """Write the journal of a run that has ended so, or has not."""
    run_id = Store(home).reserve_run("toy")
    with Journal(home.run_journal(run_id)) as journal:
        journal.append("run_created", {"run": run_id, "engagement": "toy", "config": {}})
        journal.append("attempt", {"number": 1, "pid": 1})
        if state is not None:
            journal.append("run_finished", {"state": state, "seconds": 1.0})
    return run_id


def a_plan(**settings: Any) -> Plan:
    return Plan(
        dataset="x.csv", contract=Contract.of_labels(("a", "b")), instruction="Say.", **settings
    )


def a_job(home: Home, slug: str) -> Job:
    """Return the work order of a run's `preflight`."""
    run_id = Store(home).reserve_run(slug)
    return Job(
        run=run_id,
        stage="preflight",
        run_dir=home.run(run_id),
        cache=home.cache,
        serving=home.data / "serving" / slug,
        engagement=slug,
        plan=Plan.from_json(Store(home).engagement(slug).config),
        results={},
    )


def is_locked(run_dir: Path) -> bool:
    """Say whether a process holds the run's lock and has signed it."""
    path = run_dir / "lock"
    if not path.exists():
        return False
    with path.open("r") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return bool(stream.read().strip())
    return False


def holder(home: Home, run_id: str) -> list[int]:
    """Return the run's stage processes once one of them holds the lock."""
    return stage_processes(home.run(run_id)) if is_locked(home.run(run_id)) else []


def resume_request(home: Home, run_id: str) -> None:
    request = {"kind": "resume", "run": run_id, "data": {}}
    (home.inbox / "1-resume.json").write_text(json.dumps(request), "utf-8")
