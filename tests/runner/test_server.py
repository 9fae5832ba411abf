"""The real server, on the embedded model; what needs no server comes first."""

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from fathom_tui.errors import CouldNotCheck, EnvironmentProblem, NotFound
from fathom_tui.runner import server as module
from fathom_tui.runner.base_model import BaseModel
from fathom_tui.runner.chat import Prompt, Template
from fathom_tui.runner.llama import Engine
from fathom_tui.runner.server import HOST, LlamaServer, Served, chat
from tests.runner.test_score import LABELS, SHOTS

ALIAS = "acme-triage"
N_CTX, THREADS = 512, 1


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LlamaServer]:
    server = LlamaServer(tmp_path / "serving" / ALIAS, ALIAS)
    yield server
    server.stop()


def a_file(folder: Path, content: bytes = b"weights") -> Path:
    path = folder / "model.gguf"
    path.write_bytes(content)
    return path


class TestVersions:
    def test_are_numbered_and_remember_what_they_are(
        self, server: LlamaServer, tmp_path: Path
    ) -> None:
        first = server.create(a_file(tmp_path, b"one"), "sha-one", "Triage.")
        second = server.create(a_file(tmp_path, b"other"), "sha-two", "Triage!")

        assert (first, second) == ("v1", "v2")
        assert server.versions == ["v1", "v2"]
        assert server.about("v2") == {"sha256": "sha-two", "bytes": 5, "system": "Triage!"}
        assert server.about("v3") == {}
        assert server.live is None

    def test_the_same_file_is_the_same_version(self, server: LlamaServer, tmp_path: Path) -> None:
        again = [server.create(a_file(tmp_path), "sha", "Triage.") for _ in range(3)]

        assert again == ["v1", "v1", "v1"]
        assert server.versions == ["v1"]

    def test_come_in_the_order_of_their_numbers(self, server: LlamaServer, tmp_path: Path) -> None:
        made = [server.create(a_file(tmp_path), f"sha-{n}", "") for n in range(11)]

        assert server.versions == made
        assert made[-1] == "v11"

    def test_are_kept_where_no_link_can_be_made(
        self, server: LlamaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def no_link(source: Path, target: Path) -> None:
            raise OSError(18, "Invalid cross-device link")

        monkeypatch.setattr(os, "link", no_link)
        version = server.create(a_file(tmp_path), "sha", "")

        kept = tmp_path / "serving" / ALIAS / f"{version}.gguf"
        assert kept.read_bytes() == b"weights"

    def test_outlive_the_run_that_made_them(self, server: LlamaServer, tmp_path: Path) -> None:
        path = a_file(tmp_path)
        server.create(path, "sha", "")

        path.unlink()

        assert (tmp_path / "serving" / ALIAS / "v1.gguf").read_bytes() == b"weights"

    def test_of_a_missing_file_are_an_error_and_leave_nothing(
        self, server: LlamaServer, tmp_path: Path
    ) -> None:
        with pytest.raises(EnvironmentProblem, match="gone.gguf cannot be kept as a version"):
            server.create(tmp_path / "gone.gguf", "sha", "")

        assert server.versions == []

    def test_are_for_their_owner_only(self, server: LlamaServer, tmp_path: Path) -> None:
        server.create(a_file(tmp_path), "sha", "")

        root = tmp_path / "serving" / ALIAS
        assert root.stat().st_mode & 0o777 == root.parent.stat().st_mode & 0o777 == 0o700
        assert (root / "v1.json").stat().st_mode & 0o777 == 0o600


class TestWithoutAServer:
    def test_a_version_that_is_not_there_is_refused_with_those_that_are(
        self, server: LlamaServer, tmp_path: Path
    ) -> None:
        server.create(a_file(tmp_path), "sha", "")

        with pytest.raises(NotFound, match="no version 'v7' of acme-triage") as error:
            server.activate("v7", n_ctx=N_CTX, threads=THREADS)

        assert error.value.fix == "Versions: v1"

    def test_nothing_live_is_refused(self, server: LlamaServer) -> None:
        with pytest.raises(NotFound, match="No version of acme-triage is live"):
            server.start(n_ctx=N_CTX, threads=THREADS)

    def test_nothing_runs_and_stopping_it_says_so(self, server: LlamaServer) -> None:
        assert server.running() is None
        assert server.stop() is False
        assert server.settings() == {}

    @pytest.mark.parametrize("content", ["", "\x00\x01", "[]", "{}", '{"pid": "many"}', "null"])
    def test_a_damaged_record_is_named_and_no_second_server_is_started(
        self, server: LlamaServer, tmp_path: Path, content: str
    ) -> None:
        server.create(a_file(tmp_path), "sha", "")
        record = tmp_path / "serving" / ALIAS / "server.json"
        record.write_text(content, "utf-8")

        for ask in (server.settings, server.running, server.stop):
            with pytest.raises(EnvironmentProblem, match="does not say which server") as error:
                ask()
            assert f"rm {record}" in error.value.fix
        record.unlink()

    @pytest.mark.parametrize("content", ["", "\x00\x01", "[]", "null"])
    def test_a_version_whose_record_is_damaged_is_not_taken_for_the_same_file(
        self, server: LlamaServer, tmp_path: Path, content: str
    ) -> None:
        server.create(a_file(tmp_path), "sha", "")
        (tmp_path / "serving" / ALIAS / "v1.json").write_text(content, "utf-8")

        assert server.about("v1") == {}
        assert server.create(a_file(tmp_path), "sha", "") == "v2"

    def test_a_question_to_nobody_is_a_clear_error(self) -> None:
        nobody = Served(pid=1, port=_closed_port(), alias=ALIAS, version="v1", started="1")

        with pytest.raises(CouldNotCheck, match="did not answer a chat request") as error:
            chat(nobody, [{"role": "user", "content": "hello"}], max_tokens=4)

        assert "fathom serve" in error.value.fix

    def test_something_else_on_the_port_is_not_healthy(self, server: LlamaServer) -> None:
        with socket.create_server((HOST, 0)) as listener:
            code = "import socket, sys\ns = socket.socket(fileno=int(sys.argv[1]))\n"
            code += "c, _ = s.accept()\nc.recv(9999)\nc.sendall(b'SSH-2.0-OpenSSH\\r\\n')\n"
            os.set_inheritable(listener.fileno(), True)
            other = subprocess.Popen(
                [sys.executable, "-c", code, str(listener.fileno())], pass_fds=[listener.fileno()]
            )
            port = listener.getsockname()[1]
            served = Served(pid=1, port=port, alias=ALIAS, version="v1", started="1")

            assert server.healthy(served) is False
            other.wait(10)

    def test_a_process_with_a_used_again_id_is_neither_the_server_nor_ended(
        self, server: LlamaServer, tmp_path: Path
    ) -> None:
        bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        remember(tmp_path, pid=bystander.pid, started="17")

        assert server.running() is None
        assert server.stop() is False
        assert bystander.poll() is None
        bystander.communicate(b"\n", timeout=10)

    def test_a_server_that_ended_before_it_was_looked_at_is_not_running(
        self, server: LlamaServer, tmp_path: Path
    ) -> None:
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        remember(tmp_path, pid=gone.pid, started="")

        assert server.running() is None

    def test_the_port_of_last_time_is_taken_again_where_it_is_free(self) -> None:
        port = _closed_port()

        assert module._free_port(port) == port
        with socket.create_server((HOST, port)):
            assert module._free_port(port) not in (0, port)


def test_a_server_inherits_no_setting_from_the_environment() -> None:
    hostile = {
        "HOST": "0.0.0.0",
        "PORT": "80",
        "CONFIG_FILE": "/tmp/other.json",
        "API_KEY": "secret",
        "N_CTX": "1",
        "CHAT_FORMAT": "llama-2",
        "SSL_KEYFILE": "x",
        "http_proxy": "http://proxy:3128",
    }
    needed = {"PATH": "/bin", "HOME": "/root", "LC_ALL": "C", "CUDA_VISIBLE_DEVICES": "0"}

    assert module._environment({**hostile, **needed}) == needed


@pytest.mark.slow
class TestTheRealServer:
    @pytest.fixture
    def live(
        self, server: LlamaServer, q4: Path, monkeypatch: pytest.MonkeyPatch
    ) -> tuple[LlamaServer, Served]:
        """Version 1 of two is served, in an environment full of traps."""
        monkeypatch.setenv("HOST", "0.0.0.0")
        monkeypatch.setenv("API_KEY", "secret")
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        server.create(q4, "one", "Triage.")
        server.create(q4, "two", "Triage!")
        return server, server.activate("v1", n_ctx=N_CTX, threads=THREADS)

    def test_is_healthy_under_its_alias_and_shows_no_path(
        self, live: tuple[LlamaServer, Served]
    ) -> None:
        server, served = live

        assert server.healthy(served)
        assert server.running() == served
        assert (server.live, served.version, served.alias) == ("v1", "v1", ALIAS)
        models = _get(f"{served.url}/models")
        assert [model["id"] for model in json.loads(models)["data"]] == [ALIAS]
        assert "gguf" not in models
        assert "/" not in models.replace("application/json", "")

    def test_listens_on_this_machine_alone(self, live: tuple[LlamaServer, Served]) -> None:
        _, served = live

        listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        addresses = {line[1] for line in listening if line[3] == "0A"}
        assert f"0100007F:{served.port:04X}" in addresses
        assert f"00000000:{served.port:04X}" not in addresses

    def test_answers_the_prompt_that_was_trained(
        self, live: tuple[LlamaServer, Served], base: BaseModel, q4: Path
    ) -> None:
        _, served = live
        messages = Prompt(name="t", system="Triage.").messages("My card is gone. 日本 🙂")

        answer, reason, prompt_tokens = chat(served, messages, max_tokens=8)

        again, _, _ = chat(served, messages, max_tokens=8)
        assert answer == again != ""
        assert reason in ("stop", "length")
        # The server renders with the template in the GGUF: as many tokens as ours.
        rendered = Template(base.directory).render(messages)
        assert prompt_tokens == _count_tokens(q4, rendered)

    def test_says_what_the_engine_says_wherever_that_is_no_near_tie(
        self, live: tuple[LlamaServer, Served], base: BaseModel, q4: Path
    ) -> None:
        _, served = live
        template, decisive = Template(base.directory), 0

        with Engine(q4, n_ctx=N_CTX, threads=THREADS) as engine:
            for text in ("money to my bank", "my card was stolen", "the money I sent is gone"):
                messages = SHOTS.messages(text)
                prompt = engine.tokenize(template.render(messages))
                expected = engine.answer(prompt, LABELS, max_tokens=16)
                answer, reason, _ = chat(served, messages, max_tokens=16)
                # In Q4_K_M the order of additions moves a lead by up to 0.6 (runner/llama.py).
                if expected.margin > 1:
                    decisive += 1
                    assert (answer, reason) == (expected.free, "stop")

        assert decisive

    def test_a_request_it_refuses_is_a_clear_error(self, live: tuple[LlamaServer, Served]) -> None:
        _, served = live

        with pytest.raises(CouldNotCheck, match="did not answer a chat request"):
            chat(served, [{"role": "user", "content": "word " * 2000}], max_tokens=8)

    def test_another_version_takes_its_place_on_the_same_port_and_the_first_comes_back(
        self, live: tuple[LlamaServer, Served]
    ) -> None:
        server, first = live

        second = server.activate("v2", n_ctx=N_CTX, threads=THREADS)

        assert (server.live, second.version) == ("v2", "v2")
        assert second.port == first.port
        assert second.pid != first.pid
        assert not Path(f"/proc/{first.pid}").exists()
        assert server.healthy(second)

        back = server.activate("v1", n_ctx=N_CTX, threads=THREADS)

        assert (server.live, back.version, server.healthy(back)) == ("v1", "v1", True)

    def test_is_gone_when_stopped_and_comes_back_as_it_was(
        self, live: tuple[LlamaServer, Served]
    ) -> None:
        server, served = live

        assert server.stop() is True

        assert server.running() is None
        assert not server.healthy(served)
        assert server.live == "v1"
        settings = server.settings()
        assert (settings["n_ctx"], settings["threads"]) == (N_CTX, THREADS)
        again = server.start(n_ctx=settings["n_ctx"], threads=settings["threads"])
        assert (again.version, again.port) == ("v1", served.port)

    def test_one_that_was_killed_is_noticed(self, live: tuple[LlamaServer, Served]) -> None:
        server, served = live
        os.kill(served.pid, 9)
        module._children[served.pid].wait(10)

        assert server.running() is None
        assert server.stop() is False

    def test_a_version_that_does_not_load_leaves_the_old_one_served(
        self, live: tuple[LlamaServer, Served], tmp_path: Path
    ) -> None:
        server, _ = live
        broken = server.create(a_file(tmp_path, b"GGUF, but not really"), "three", "")

        with pytest.raises(EnvironmentProblem, match="v3 ended with code 1.* v1 is served again"):
            server.activate(broken, n_ctx=N_CTX, threads=THREADS)

        served = server.running()
        assert server.live == "v1"
        assert served is not None
        assert server.healthy(served)

    def test_its_files_are_for_their_owner_only(
        self, live: tuple[LlamaServer, Served], tmp_path: Path
    ) -> None:
        root = tmp_path / "serving" / ALIAS

        for name in ("server.json", "server.log", "lock"):
            assert (root / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_a_first_version_that_does_not_load_leaves_nothing_live(
    server: LlamaServer, tmp_path: Path
) -> None:
    broken = server.create(a_file(tmp_path, b"no GGUF"), "one", "")

    with pytest.raises(EnvironmentProblem, match="did not answer|ended with code 1") as error:
        server.activate(broken, n_ctx=N_CTX, threads=THREADS)

    assert error.value.fix.endswith("server.log")
    assert server.live is None
    assert server.running() is None


def remember(folder: Path, *, pid: int, started: str) -> None:
    root = folder / "serving" / ALIAS
    root.mkdir(parents=True)
    data = {"pid": pid, "port": 1, "version": "v1", "started": started}
    (root / "server.json").write_text(json.dumps(data), "utf-8")


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _get(url: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as reply:
        return str(reply.read().decode())


def _count_tokens(gguf: Path, text: str) -> int:
    script = (
        "import sys; from pathlib import Path; from fathom_tui.runner.llama import Engine\n"
        "with Engine(Path(sys.argv[1]), n_ctx=64, threads=1) as engine:\n"
        "    print(len(engine.tokenize(sys.argv[2])))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(gguf), text], capture_output=True, text=True, check=True
    )
    return int(done.stdout.splitlines()[-1])
