"""The server that its unit runs, here without a unit: `fathom serve ENGAGEMENT --foreground`."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fathom_tui.errors import EnvironmentProblem, UsageError
from fathom_tui.runner import handover
from fathom_tui.runner.llama_target import LlamaCppTarget
from fathom_tui.runner.server import LlamaServer
from fathom_tui.serving import ServingSpec
from fathom_tui.store import Home
from tests.runner.watching import is_gone, wait_until
from tests.running import environment, fathom

SLUG = "acme-triage"
MESSAGES = [{"role": "user", "content": "hello"}]


@pytest.fixture
def root(home: Home) -> Path:
    path = home.prepare().data / "serving" / SLUG
    path.mkdir(parents=True, mode=0o700)
    return path


@pytest.fixture
def target(root: Path) -> Iterator[LlamaCppTarget]:
    target = LlamaCppTarget(root, SLUG)
    yield target
    if handover.holder(root) is None:
        target.stop()


def spec(sha256: str, *, n_ctx: int = 512) -> ServingSpec:
    return ServingSpec(sha256=sha256, system="", n_ctx=n_ctx, threads=1, max_new_tokens=8)


@contextmanager
def foreground(home: Home, **more: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "fathom_tui", "serve", SLUG, "--foreground"],
        env={**environment(home), **more},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until("the lock", lambda: handover.holder(home.data / "serving" / SLUG))
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)


class TestWithoutAModel:
    def test_it_waits_and_says_so_and_ends_when_told(self, home: Home, root: Path) -> None:
        with foreground(home, FATHOM_UNIT="fathom-serve-x.service") as process:
            assert process.stderr is not None
            assert process.stderr.readline() == (f"Waits for the first version of {SLUG}.\n")
            held = handover.holder(root)
            process.terminate()
            assert process.wait(60) == 0

        assert held is not None
        assert (held.pid, held.unit) == (process.pid, "fathom-serve-x.service")
        assert handover.holder(root) is None

    def test_a_second_one_says_who_the_first_is(self, home: Home, root: Path) -> None:
        with foreground(home) as first:
            second = fathom(home, "serve", SLUG, "--foreground")

        assert second.returncode == 2
        assert f"{SLUG} is served by process {first.pid} in the foreground already." in (
            second.stderr
        )
        assert f"fix: kill {first.pid}" in second.stderr

    def test_an_engagement_that_is_not_there_is_refused(self, home: Home) -> None:
        done = fathom(home.prepare(), "serve", "nobody", "--foreground")

        assert done.returncode == 2
        assert "There is no engagement 'nobody'" in done.stderr

    def test_a_version_that_does_not_load_ends_it_with_an_error(
        self, home: Home, root: Path, target: LlamaCppTarget, tmp_path: Path
    ) -> None:
        (tmp_path / "no.gguf").write_bytes(b"GGUF, but not really")
        target.create(tmp_path / "no.gguf", spec("one"))
        (root / "live.gguf").symlink_to("v1.gguf")

        done = fathom(home, "serve", SLUG, "--foreground")

        assert done.returncode == 4
        assert f"The server of {SLUG} v1 ended with code 1." in done.stderr
        assert "Traceback" not in done.stderr.rsplit("error:", 1)[1]

    def test_a_damaged_spec_is_named(
        self, home: Home, root: Path, target: LlamaCppTarget, tmp_path: Path
    ) -> None:
        (tmp_path / "no.gguf").write_bytes(b"GGUF, but not really")
        target.create(tmp_path / "no.gguf", spec("one"))
        (root / "v1.spec.json").write_text("[]", "utf-8")
        (root / "live.gguf").symlink_to("v1.gguf")

        done = fathom(home, "serve", SLUG, "--foreground")

        assert done.returncode == 4
        assert "v1.spec.json does not say how v1 is served" in done.stderr


class TestAnAskedStart:
    def test_counts_only_while_somebody_waits_for_it(self, root: Path) -> None:
        with handover.unless_held(root) as free, handover.asking(root, n_ctx=1, threads=2) as asked:
            assert free
            assert handover.wish(root) == asked
        assert handover.wish(root) is None

        left = {"token": "x", "n_ctx": 1, "threads": 2}
        (root / "handover.json").write_text(json.dumps(left), "utf-8")
        assert handover.wish(root) is None  # whoever wrote it is gone, and so is its lock

    @pytest.mark.parametrize("content", ["", "[]", "null", '{"token": 1}', '{"token"'])
    def test_that_is_damaged_is_none(self, root: Path, content: str) -> None:
        (root / "handover.json").write_text(content, "utf-8")

        with handover.unless_held(root):
            assert handover.wish(root) is None


@pytest.mark.slow
class TestTheRealServer:
    def test_takes_up_what_is_activated_and_stays_the_same_process(
        self, home: Home, root: Path, target: LlamaCppTarget, q4: Path
    ) -> None:
        target.create(q4, spec("one"))
        target.create(q4, spec("two", n_ctx=256))
        with foreground(home) as process:
            target.activate("v1")
            first = LlamaServer(root, SLUG).running()
            target.activate("v2")
            second = LlamaServer(root, SLUG).running()

            assert first is not None and second is not None
            assert (first.version, second.version) == ("v1", "v2")
            assert first.port == second.port
            assert is_gone(first.pid)
            assert process.poll() is None
            assert LlamaServer(root, SLUG).settings()["n_ctx"] == 256
            assert target.ask(MESSAGES, max_tokens=2, version="v2").text
            with pytest.raises(UsageError, match="would start it again") as error:
                target.stop()
            assert error.value.fix == f"kill {process.pid}"
        assert is_gone(second.pid)
        assert target.live == "v2"

    def test_keeps_the_old_version_when_the_new_one_does_not_load(
        self, home: Home, root: Path, target: LlamaCppTarget, q4: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "no.gguf").write_bytes(b"GGUF, but not really")
        target.create(q4, spec("one"))
        target.create(tmp_path / "no.gguf", spec("two"))
        with foreground(home) as process:
            with pytest.raises(EnvironmentProblem, match="did not come up with v2"):
                target.activate("v2")
            assert (target.live, process.poll()) == (None, None)
            target.activate("v1")
            with pytest.raises(EnvironmentProblem, match="with v2. v1 is served again"):
                target.activate("v2")

            assert target.live == "v1"
            assert target.ask(MESSAGES, max_tokens=2).text
            assert process.poll() is None

    def test_takes_over_from_a_detached_server_and_leaves_its_port(
        self, home: Home, root: Path, target: LlamaCppTarget, q4: Path
    ) -> None:
        target.create(q4, spec("one"))
        target.activate("v1")
        detached = LlamaServer(root, SLUG).running()
        assert detached is not None
        with foreground(home):

            def moved() -> bool:
                now = LlamaServer(root, SLUG).running()
                return now is not None and now.pid != detached.pid and bool(target.url)

            wait_until("the server of the foreground", moved)
            wait_until("an answer", lambda: answers(root))
            assert target.url == detached.url

    def test_ends_with_an_error_when_its_server_is_killed_and_leaves_none_when_killed_itself(
        self, home: Home, root: Path, target: LlamaCppTarget, q4: Path
    ) -> None:
        target.create(q4, spec("one"))
        with foreground(home) as process:
            target.activate("v1")
            served = LlamaServer(root, SLUG).running()
            assert served is not None
            os.kill(served.pid, signal.SIGKILL)
            assert process.wait(60) == 4
        with foreground(home) as process:
            wait_until("an answer", lambda: answers(root))
            served = LlamaServer(root, SLUG).running()
            assert served is not None
            process.kill()
            wait_until("the server's end", lambda: is_gone(served.pid))


def answers(root: Path) -> bool:
    server = LlamaServer(root, SLUG)
    served = server.running()
    return served is not None and server.healthy(served)
