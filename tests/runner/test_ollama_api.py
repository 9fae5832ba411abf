"""Every call to a server, what it makes of the answer, and what it says where there is none."""

import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.errors import EnvironmentProblem, ExitCode, UsageError
from fathom_tui.runner.ollama_answers import Reply, Shown, can, release
from fathom_tui.runner.ollama_api import OllamaApi
from fathom_tui.runner.ollama_host import OllamaHost, parse_host
from fathom_tui.runner.ollama_problem import ServerProblem, bad_answer
from tests.runner.scripted_ollama import Cuts, Says, Scripted, lines, scripted

HELLO = [{"role": "user", "content": "hello"}]
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CONTENT = b"GGUF and more" * 1000
SHA = hashlib.sha256(CONTENT).hexdigest()
CREATE = {"model": "acme:v1", "files": {"model.gguf": f"sha256:{SHA}"}, "parameters": {"seed": 0}}


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted() as running:
        yield running


@pytest.fixture
def api(server: Scripted) -> OllamaApi:
    return OllamaApi(parse_host(server.url))


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(CONTENT)
    return path


class TestAnswers:
    def test_are_values(self, api: OllamaApi, server: Scripted) -> None:
        server.models["acme:v1"] = {
            "system": "Triage.",
            "parameters": {"num_ctx": 2048, "stop": ["<|end|>", "\n"]},
        }
        server.loaded.add("acme:v1")

        assert api.version() == "0.33.0"
        assert [model.name for model in api.tags()] == ["acme:v1"]
        assert api.tags()[0].digest == server.digest("acme:v1")
        assert [model.name for model in api.loaded()] == ["acme:v1"]
        shown = api.show("acme:v1")
        assert (shown.system, shown.number("num_ctx")) == ("Triage.", 2048)
        assert shown.parameters["stop"] == ('"<|end|>"', '"\\n"')
        assert shown.number("stop") is None
        reply = api.chat("acme:v1", HELLO, options={"num_predict": 3})
        assert (reply.text, reply.reason) == ("acme:v1 says yes", "stop")
        assert api.render("acme:v1", HELLO) == "user:hello"

    def test_of_an_empty_server_are_empty(self, api: OllamaApi) -> None:
        assert (api.tags(), api.loaded()) == ([], [])

    def test_a_model_is_loaded_and_unloaded_by_asking_it_nothing(
        self, api: OllamaApi, server: Scripted
    ) -> None:
        server.models["acme:v1"] = {}

        api.load("acme:v1")
        assert server.loaded == {"acme:v1"}
        api.unload("acme:v1")

        assert server.loaded == set()
        assert [body["messages"] for body in server.bodies("POST", "/api/chat")] == [[], []]

    def test_a_chat_may_not_be_cut_to_the_context_unnoticed(
        self, api: OllamaApi, server: Scripted
    ) -> None:
        server.models["acme:v1"] = {}

        api.chat("acme:v1", HELLO, options={"seed": 0})

        (body,) = server.bodies("POST", "/api/chat")
        assert (body["truncate"], body["shift"], body["stream"]) == (False, False, False)
        assert body["options"] == {"seed": 0}

    def test_vectors_come_in_the_order_of_the_texts(self, api: OllamaApi, server: Scripted) -> None:
        server.models["acme:v1"] = {}
        server.then("POST", "/api/embed", Says(body={"embeddings": [[1, 0], [0, 1]]}))

        assert api.embed("acme:v1", ["a", "b"]) == [[1.0, 0.0], [0.0, 1.0]]
        assert server.bodies("POST", "/api/embed")[0]["input"] == ["a", "b"]

    def test_numbers_that_are_zero_are_left_out_by_the_server(self) -> None:
        finished = Reply.read({"message": {"content": ""}, "done": True, "done_reason": "stop"})
        given_up = Reply.read({"message": {"content": "a a a"}, "done": False})

        assert (finished.output_tokens, finished.prompt_tokens) == (0, None)
        assert (given_up.output_tokens, given_up.done, given_up.reason) == (None, False, "")

    @given(
        st.dictionaries(
            st.from_regex("[a-z_]{1,12}", fullmatch=True), st.integers(0, 1 << 40), max_size=4
        )
    )
    def test_parameters_are_read_as_they_were_written(self, numbers: dict[str, int]) -> None:
        text = "\n".join(f"{name:<30} {value}" for name, value in numbers.items())

        shown = Shown.read({"parameters": text})

        assert {name: shown.number(name) for name in shown.parameters} == numbers


class TestVersions:
    @pytest.mark.parametrize(
        ("text", "expected"),
        {
            "0.33.0": (0, 33, 0),
            "v0.5.5-rc2": (0, 5, 5),
            "0.11.4+dirty": (0, 11, 4),
            "0.0.0": None,
            "main": None,
            "": None,
        }.items(),
    )
    def test_are_three_numbers_or_unknown(
        self, text: str, expected: tuple[int, int, int] | None
    ) -> None:
        assert release(text) == expected

    def test_decide_what_a_server_can_do_and_a_build_without_a_number_is_tried(self) -> None:
        ability = "show the prompt that a chat renders"

        assert [can(ability, text) for text in ("0.11.4", "0.11.5", "0.0.0")] == [False, True, True]


class TestUploads:
    def test_send_the_file_once_and_tell_how_far_they_are(
        self, api: OllamaApi, server: Scripted, gguf: Path
    ) -> None:
        told: list[tuple[str, int, int]] = []
        assert not api.has_blob(SHA)

        api.upload(gguf, SHA, lambda *line: told.append(line))

        assert server.headers["content-length"] == str(len(CONTENT))
        assert told == [("uploading", len(CONTENT), len(CONTENT))]
        assert api.has_blob(SHA)

    def test_of_another_content_than_recorded_are_refused(self, api: OllamaApi, gguf: Path) -> None:
        with pytest.raises(ServerProblem, match="400: digest mismatch, expected") as error:
            api.upload(gguf, "0" * 64)

        assert "sha256sum" in error.value.fix

    def test_that_are_cut_say_so(self, api: OllamaApi, server: Scripted, gguf: Path) -> None:
        server.then("POST", "/api/blobs/", Cuts(read=100))

        with pytest.raises(ServerProblem, match=r"broke off while it answered POST /api/blobs/"):
            api.upload(gguf, SHA)

        assert not api.has_blob(SHA)
        api.upload(gguf, SHA)
        assert api.has_blob(SHA)

    def test_to_a_full_disk_say_what_to_free(
        self, api: OllamaApi, server: Scripted, gguf: Path
    ) -> None:
        full = "write /var/lib/ollama/models/blobs/sha256-1: no space left on device"
        server.then("POST", "/api/blobs/", Says(500, {"error": full}))

        with pytest.raises(ServerProblem, match=f"500: {full}") as error:
            api.upload(gguf, SHA)

        assert "OLLAMA_MODELS" in error.value.fix

    def test_of_a_file_that_is_not_there_name_it(self, api: OllamaApi, tmp_path: Path) -> None:
        with pytest.raises(EnvironmentProblem, match="gone.gguf cannot be sent .* No such file"):
            api.upload(tmp_path / "gone.gguf", SHA)


class TestCreates:
    def test_end_with_success_and_tell_every_line(self, api: OllamaApi, server: Scripted) -> None:
        validating = {"status": "validating GGUF model", "total": 10, "completed": 4}
        server.then("POST", "/api/create", lines(validating, {"status": "success"}))
        told: list[tuple[str, int, int]] = []

        api.create(CREATE, lambda *line: told.append(line))

        assert told == [("validating GGUF model", 4, 10), ("success", 0, 0)]
        assert server.bodies("POST", "/api/create") == [{**CREATE, "stream": True}]

    @pytest.mark.parametrize(
        ("said", "fix"),
        {
            "unexpected EOF": "damaged or was cut",
            'tensor "blk.0.w" offset+size (9) exceeds file size (8)': "damaged or was cut",
            "supplied file was not in GGUF format": "damaged or was cut",
            "failed to validate GGUF with llama-quantize without compatibility patches: "
            "llama-quantize failed: exit status 1": "target llama-cpp",
            "template error: unexpected EOF": "Go template",
            "write blobs/x: no space left on device": "Free space",
            "something never seen": "journalctl -u ollama",
        }.items(),
    )
    @pytest.mark.parametrize("status", [200, 500])
    def test_that_fail_say_it_with_status_200_as_well(
        self, api: OllamaApi, server: Scripted, said: str, fix: str, status: int
    ) -> None:
        if status == 200:
            server.then("POST", "/api/create", lines({"status": "parsing GGUF"}, {"error": said}))
        else:
            server.then("POST", "/api/create", Says(status, {"error": said}))

        with pytest.raises(ServerProblem) as error:
            api.create(CREATE)

        told = f"Ollama at {server.url} answered POST /api/create with {status}: {said}"
        assert (error.value.message, error.value.status, error.value.said) == (told, status, said)
        assert fix in error.value.fix
        assert error.value.exit_code == ExitCode.COULD_NOT_CHECK

    @pytest.mark.parametrize(
        "answer",
        [
            lines({"status": "parsing GGUF"}),
            lines(),
            Says(body=b'["success"]\n'),
            Says(body=b'{"status": "succ'),
            Says(body=b"\xff\xfe\n"),
            Cuts(),
            Cuts(CHUNKED),
            Cuts(CHUNKED + b'1a\r\n{"status":"parsing GGUF"}\n\r\n'),
        ],
        ids=[
            "no success",
            "nothing",
            "no object",
            "half a line",
            "no text",
            "cut",
            "cut 0",
            "cut 1",
        ],
    )
    def test_that_just_end_have_not_succeeded(
        self, api: OllamaApi, server: Scripted, answer: Says | Cuts
    ) -> None:
        server.then("POST", "/api/create", answer)

        with pytest.raises(ServerProblem, match="broke off while it answered POST /api/create"):
            api.create(CREATE)

    def test_and_copies_send_no_key_that_is_meant_for_another_server(
        self, api: OllamaApi, server: Scripted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OLLAMA_API_KEY", "secret")
        server.models["acme:v1"] = {}

        api.copy("acme:v1", "acme:live")

        assert "authorization" not in server.headers
        api.delete("acme:v1")
        assert list(server.models) == ["acme:live"]


class TestNames:
    def test_that_are_not_there_are_said_with_what_to_look_at(self, api: OllamaApi) -> None:
        for ask in (api.delete, api.show, api.load):
            with pytest.raises(ServerProblem, match="404: model 'gone' not found") as error:
                ask("gone")
            assert error.value.status == 404
            assert "ollama list" in error.value.fix


class TestTrouble:
    def test_nobody_listening_says_how_to_start_it(self, gguf: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        api = OllamaApi(parse_host(f"127.0.0.1:{port}"))

        for ask in (api.version, api.tags, lambda: api.copy("a", "b"), lambda: api.create(CREATE),
                    lambda: api.upload(gguf, SHA), lambda: api.has_blob(SHA)):  # fmt: skip
            with pytest.raises(ServerProblem, match="No Ollama server answers at http://127") as e:
                ask()
            assert "ollama serve" in e.value.fix and "OLLAMA_HOST" in e.value.fix

    @pytest.mark.parametrize(
        ("answer", "told", "fix"),
        [
            (Says(404, b"404 page not found"), "404: 404 page not found", "path after the port"),
            (Says(403), "403: nothing", "OLLAMA_ORIGINS"),
            (Says(302), "302: nothing", "server's log"),
            (Says(502, b"<html>Bad Gateway</html>"), "502: <html>", "A proxy"),
            (Says(503, {"error": "server busy, please try again.  maximum pending requests "
                        "exceeded"}), "503: server busy", "fewer requests"),
            (Says(body={"error": "model runner has unexpectedly stopped"}), "200: model runner",
             "server's log"),
            (Says(body=b"SSH-2.0"), "200: SSH-2.0", "server's log"),
            (Says(body=[]), r"200: \[\]", "server's log"),
            (Says(body={}), r"200: \{\} \(KeyError\('models'\)\)", "server's log"),
            (Says(body={"models": [{"name": "a", "digest": "12"}]}), "'12' is no digest", ""),
            (Says(body={"models": 5}), "not iterable", ""),
            (Says(500, b"x" * 5000), "500: " + "x" * 300 + "…", ""),
        ],
    )  # fmt: skip
    def test_an_answer_that_is_none_is_repeated_with_what_to_do(
        self, api: OllamaApi, server: Scripted, answer: Says, told: str, fix: str
    ) -> None:
        server.then("GET", "/api/tags", answer)

        with pytest.raises(ServerProblem, match=f"answered GET /api/tags with .*{told}") as error:
            api.tags()

        assert server.url in error.value.message
        assert fix in error.value.fix

    def test_a_connection_that_is_cut_says_so_and_the_next_call_works(
        self, api: OllamaApi, server: Scripted
    ) -> None:
        server.then("GET", "/api/tags", Cuts(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"))

        with pytest.raises(ServerProblem, match="broke off while it answered GET /api/tags"):
            api.tags()

        assert api.tags() == []

    def test_a_redirect_is_not_followed_to_another_server(
        self, api: OllamaApi, server: Scripted
    ) -> None:
        server.then("POST", "/api/copy", Says(302))

        with pytest.raises(ServerProblem, match="POST /api/copy with 302"):
            api.copy("a", "b")

    def test_a_proxy_in_the_environment_is_not_for_this_machine(
        self, server: Scripted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.delenv("no_proxy", raising=False)
        server.models["a"] = {}

        api = OllamaApi(parse_host(server.url))
        api.copy("a", "b")

        assert [model.name for model in api.tags()] == ["a", "b"]

    def test_a_path_of_a_proxy_stands_before_every_call(self, server: Scripted) -> None:
        api = OllamaApi(parse_host(server.url + "/llm"))

        server.models["a"] = {}
        server.then("POST", "/llm/api/copy", Says())

        api.tags()
        api.copy("a", "b")

        assert [path for _, path, _ in server.calls] == ["/llm/api/tags", "/llm/api/copy"]

    def test_an_address_that_no_client_takes_is_refused(self) -> None:
        with pytest.raises(UsageError, match="OLLAMA_HOST gives the address"):
            OllamaApi(OllamaHost(scheme="http", host="a b\x00", port=1))


def test_health_checks_do_not_pay_for_the_official_client(server: Scripted) -> None:
    code = (
        "import sys; from fathom_tui.runner.ollama_api import OllamaApi\n"
        "from fathom_tui.runner.ollama_host import read_host; import os\n"
        "api = OllamaApi(read_host(os.environ)); api.tags(); api.version()\n"
        "print(sorted({'ollama', 'pydantic', 'httpx'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OLLAMA_HOST": server.url},
    )

    assert done.stdout.strip() == "['httpx']"


def test_a_create_that_breaks_off_asks_for_the_deployment_again_and_not_for_a_run() -> None:
    problem = bad_answer("http://127.0.0.1:11434", "POST /api/create", 200, "unexpected EOF")

    assert problem.fix.startswith("Deploy again")
    assert "fathom run" not in problem.fix
