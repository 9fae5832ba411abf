"""Packages with a real model in them: asked as a file, through a server, damaged and whole."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from fathom_tui.contract import Contract
from fathom_tui.runner.package_verify import (
    Ask,
    by_file,
    by_url,
    check_anchors,
    check_cases,
    messages,
)
from fathom_tui.store import Home, Store
from tests.delivering import SYSTEM, engage, finish
from tests.running import fathom

pytestmark = pytest.mark.slow

QUESTIONS = (
    "What is the capital of France? Answer in one word.",
    "What is the capital of Italy? Answer in one word.",
    "What is 1 + 1? Answer with a number.",
    "Name a colour. Answer in one word.",
    "Say hello.",
)
NAME = "acme-classification-tiny-v1"


@pytest.fixture(scope="module")
def known(q4: Path) -> dict[str, str]:
    """What the model answers to some questions, where it ends by itself and in one line."""
    import llama_cpp

    llama = llama_cpp.Llama(str(q4), n_ctx=512, n_threads=1, verbose=False)
    found = {}
    for question in QUESTIONS:
        chat = messages(SYSTEM, question)
        choice = llama.create_chat_completion(chat, temperature=0.0, max_tokens=24, seed=0)
        text = str(choice["choices"][0]["message"]["content"])
        if choice["choices"][0]["finish_reason"] == "stop" and text.strip() and "\n" not in text:
            found[question] = text.strip()
    llama.close()
    assert len(set(found.values())) >= 2, found
    return found


@pytest.fixture(scope="module")
def delivered(
    q4: Path, known: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Home, Path]:
    """A package of the embedded model, and the home that made it."""
    root = tmp_path_factory.mktemp("delivered")
    home, to = Home.at(root / "home").prepare(), root / "to"
    to.mkdir()
    # Labels that this model gives; card and transfer are those of the scored cases.
    labels = ("card", "transfer", *dict.fromkeys(known.values()))
    store = Store(home)
    slug = engage(store, root / "rows", contract=Contract.of_labels(labels).to_json())
    anchors = [
        {"id": f"anchor-{n}", "input": question, "expected": answer}
        for n, (question, answer) in enumerate(known.items())
    ]
    finish(store, slug, q4.read_bytes(), anchors=anchors)
    done = fathom(home, "package", slug, "--to", str(to))
    assert done.returncode == 0, done.stderr
    return home, to / NAME


@pytest.fixture
def package(delivered: tuple[Home, Path], tmp_path: Path) -> Path:
    """A copy of the package that a test may damage; the model's file is a link to it."""
    _, whole = delivered
    shutil.copytree(whole, tmp_path / NAME, copy_function=os.link)
    return tmp_path / NAME


def alone(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the package's own verify.py with nothing of Fathom on its path."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "FATHOM_HOME")}
    return subprocess.run(
        [sys.executable, "-B", "verify.py", "--threads", "1", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        env=kept,
        timeout=300,
    )


def rewrite(path: Path, data: bytes) -> None:
    """Change a file that other packages hold by a hard link."""
    path.unlink()
    path.write_bytes(data)


def sum_up(directory: Path) -> None:
    """Make the sums fit again, as somebody who forges a package would."""
    import hashlib

    names = [line.partition("  ")[2] for line in _sums(directory)]
    lines = [f"{hashlib.sha256((directory / n).read_bytes()).hexdigest()}  {n}\n" for n in names]
    rewrite(directory / "SHA256SUMS", "".join(lines).encode())


def _sums(directory: Path) -> list[str]:
    return (directory / "SHA256SUMS").read_text("utf-8").splitlines()


class TestCounts:
    """What counts as broken, with answers that are made up."""

    @pytest.fixture
    def ten(self, tmp_path: Path) -> Path:
        cases = [{"id": str(n), "input": str(n), "expected": "card"} for n in range(10)]
        known = {"right": 6, "total": 10, "low": 0.31, "high": 0.83, "least": 4, "free": True}
        settings = {
            "engagement": "acme", "system": "", "contract": {"kind": "label"}, "threshold": 0.9,
            "max_new_tokens": 4, "n_ctx": 64, "anchors": cases, "at_delivery": known,
        }  # fmt: skip
        (tmp_path / "anchors.json").write_text(json.dumps(settings), "utf-8")
        (tmp_path / "eval").mkdir()
        lines = "".join(json.dumps(case) + "\n" for case in cases)
        (tmp_path / "eval" / "cases.jsonl").write_text(lines, "utf-8")
        return tmp_path

    @staticmethod
    def answers(right: int) -> Ask:
        return lambda chat, _: ("card" if int(chat[-1]["content"]) < right else "x", "stop")

    @pytest.mark.parametrize(("right", "passes"), [(10, True), (9, True), (8, False)])
    def test_as_many_anchors_must_pass_as_their_file_says(
        self, ten: Path, right: int, passes: bool
    ) -> None:
        told: list[dict[str, Any]] = []

        assert check_anchors(ten, self.answers(right), told.append) is passes
        assert told[-1]["text"] == f"{right} of 10 anchors passed, 9 must"

    @pytest.mark.parametrize(("right", "passes"), [(10, True), (4, True), (3, False)])
    def test_cases_are_worse_below_the_interval_of_the_count_at_delivery(
        self, ten: Path, right: int, passes: bool
    ) -> None:
        told: list[dict[str, Any]] = []

        assert check_cases(ten, self.answers(right), told.append) is passes
        assert told[-1]["text"] == (
            f"{right} of 10 cases right, 6 at delivery (95 %: 31% to 83%), below 4 is worse"
        )


class TestFile:
    def test_passes_with_the_package_alone(self, delivered: tuple[Home, Path]) -> None:
        done = alone(delivered[1])

        assert done.returncode == 0, done.stdout + done.stderr
        assert re.search(r"^pass  anchor anchor-0$", done.stdout, re.MULTILINE)
        assert done.stdout.splitlines()[-1] == "PASS"

    def test_passes_as_an_archive_through_fathom(self, delivered: tuple[Home, Path]) -> None:
        home, directory = delivered

        archive = f"{directory}.tar.zst"
        done = fathom(home, "package", "verify", archive, "--threads", "1", "--json", timeout=300)

        found: dict[str, Any] = json.loads(done.stdout)
        assert (done.returncode, found["passed"]) == (0, True), done.stdout + done.stderr
        assert all(anchor["passed"] for anchor in found["anchors"])
        assert found["problems"] == []

    def test_tells_each_anchor_to_a_person(self, delivered: tuple[Home, Path]) -> None:
        home, directory = delivered

        done = fathom(home, "package", "verify", str(directory), "--threads", "1", timeout=300)

        assert done.returncode == 0, done.stderr
        assert "pass  anchor anchor-0" in done.stdout
        assert done.stderr.startswith("PASS: ")

    def test_a_wrong_anchor_fails_with_what_was_said(self, package: Path) -> None:
        found = json.loads((package / "anchors.json").read_text("utf-8"))
        right = found["anchors"][0]["expected"]
        found["anchors"][0]["expected"] = "card"
        rewrite(package / "anchors.json", json.dumps(found).encode())
        sum_up(package)

        done = alone(package)

        assert done.returncode == 1
        assert f"expected card\n      answered {right} (stop)" in done.stdout
        assert done.stdout.splitlines()[-1] == "FAIL"

    def test_stray_files_beside_it_change_nothing(self, package: Path) -> None:
        (package / "nohup.out").write_text("", "utf-8")

        done = alone(package)

        assert done.returncode == 0, done.stdout
        assert "note  nohup.out: not in the package" in done.stdout
        assert done.stdout.splitlines()[-1] == "PASS"

    def test_with_another_file_wrong_asks_its_anchors_and_fails(self, package: Path) -> None:
        rewrite(package / "usage.md", b"changed")

        done = alone(package)

        assert done.returncode == 1
        assert "FAIL  usage.md: changed" in done.stdout
        assert "pass  anchor anchor-0" in done.stdout
        assert done.stdout.splitlines()[-1] == "FAIL"

    def test_beside_what_python_would_import_is_not_loaded(self, package: Path) -> None:
        (package / "llama_cpp.py").write_text("print('taken for llama.cpp')", "utf-8")

        done = alone(package)

        assert done.returncode == 1
        assert "taken for llama.cpp" not in done.stdout
        assert "note  no anchor was asked: the model is not loaded" in done.stdout

    def test_a_changed_model_is_not_even_loaded(self, package: Path) -> None:
        gguf = next(package.glob("*.gguf"))
        data = bytearray(gguf.read_bytes())
        data[len(data) // 2] ^= 1
        rewrite(gguf, bytes(data))

        done = alone(package)

        assert done.returncode == 1
        assert f"FAIL  {gguf.name}: changed" in done.stdout
        assert " anchor anchor-" not in done.stdout

    @pytest.mark.parametrize("size", [0, 5_000_000])
    def test_a_model_that_was_cut_before_the_sums_were_made_cannot_be_checked(
        self, delivered: tuple[Home, Path], package: Path, size: int
    ) -> None:
        gguf = next(package.glob("*.gguf"))
        rewrite(gguf, gguf.read_bytes()[:size])
        sum_up(package)

        done = fathom(delivered[0], "package", "verify", str(package), "--json", timeout=300)

        assert done.returncode == 3, done.stdout
        assert json.loads(done.stdout)["problems"]

    @pytest.mark.parametrize("content", [b"", b"[]", b'{"anchors": [], "system": ""}'])
    def test_anchors_that_are_none_cannot_be_checked(self, package: Path, content: bytes) -> None:
        rewrite(package / "anchors.json", content)
        sum_up(package)

        assert alone(package).returncode == 3

    def test_a_missing_library_cannot_be_checked(
        self, package: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from fathom_tui.runner.package_verify import CannotCheckError

        monkeypatch.setitem(sys.modules, "llama_cpp", None)

        with pytest.raises(CannotCheckError, match="install it as usage.md says"):
            by_file(package, 1)

    def test_what_the_maker_of_an_environment_left_beside_it_is_passed_over(
        self, package: Path
    ) -> None:
        (package / ".venv" / "bin").mkdir(parents=True)
        (package / ".venv" / "bin" / "python").write_text("", "utf-8")

        assert alone(package, "--checksums-only").returncode == 0


@pytest.fixture(scope="module")
def served(delivered: tuple[Home, Path]) -> Iterator[str]:
    """The server that usage.md tells a new engineer to start, on a free port."""
    directory = delivered[1]
    command = serve_command(directory)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    words = [port if word == "8000" else word for word in command[1:]]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FATHOM_", "PYTHONPATH"))}
    process = subprocess.Popen(
        [sys.executable, *words, "--n_threads", "1"],
        cwd=directory,
        env=kept,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}/v1"
    try:
        wait_for(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def serve_command(directory: Path) -> list[str]:
    """Return the words of the command under the heading "Serve it"."""
    text = (directory / "usage.md").read_text("utf-8")
    found = re.search(r"### Serve it\n\n```sh\n(.*?)\n```", text, re.DOTALL)
    assert found is not None
    return shlex.split(found[1])


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with opener.open(f"{url}/models", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"no server at {url}, exit {process.poll()}")


class TestServer:
    def test_that_usage_tells_to_start_passes(
        self, delivered: tuple[Home, Path], served: str
    ) -> None:
        done = alone(delivered[1], "--url", served)

        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.splitlines()[-1] == "PASS"

    def test_answers_the_request_that_usage_tells_to_send(
        self, delivered: tuple[Home, Path], served: str
    ) -> None:
        text = (delivered[1] / "usage.md").read_text("utf-8")
        found = re.search(r"### Ask it\n\n```sh\n(.*?)\n```", text, re.DOTALL)
        assert found is not None
        words = shlex.split(found[1])
        body = words[words.index("-d") + 1].encode()
        request = urllib.request.Request(
            f"{served}/chat/completions", body, {"Content-Type": "application/json"}
        )

        with urllib.request.urlopen(request, timeout=120) as reply:
            answer = json.load(reply)

        assert answer["choices"][0]["message"]["content"]

    def test_obeys_the_grammar_that_is_delivered(
        self, delivered: tuple[Home, Path], served: str
    ) -> None:
        body = {
            "model": "acme",
            "temperature": 0,
            "max_tokens": 24,
            "messages": messages(SYSTEM, "My card is gone"),
            "grammar": (delivered[1] / "eval" / "grammar.gbnf").read_text("utf-8"),
        }
        request = urllib.request.Request(
            f"{served}/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )

        with urllib.request.urlopen(request, timeout=120) as reply:
            text = json.load(reply)["choices"][0]["message"]["content"]

        contract = json.loads((delivered[1] / "eval/contract.json").read_text("utf-8"))
        assert Contract.from_json(contract).parse(text) is not None

    def test_counts_the_evaluation_cases_when_asked_to(
        self, delivered: tuple[Home, Path], served: str
    ) -> None:
        done = alone(delivered[1], "--url", served, "--eval", "--anchors-only")

        assert done.returncode == 0, done.stdout
        assert re.search(
            r"^\d of 4 cases right, 3 at delivery when held to the grammar",
            done.stdout,
            re.MULTILINE,
        )

    def test_that_is_not_there_cannot_be_checked(self, delivered: tuple[Home, Path]) -> None:
        done = alone(delivered[1], "--url", "http://127.0.0.1:9/v1", "--wait", "0")

        assert done.returncode == 3
        assert "COULD NOT CHECK" in done.stdout

    def test_whose_address_lacks_v1_is_found_and_told(
        self, delivered: tuple[Home, Path], served: str
    ) -> None:
        done = alone(delivered[1], "--url", served.removesuffix("/v1"))

        assert done.returncode == 0, done.stdout
        assert f"note  the address lacks /v1: asking {served}" in done.stdout

    def test_of_another_kind_cannot_be_checked(self, served: str) -> None:
        from fathom_tui.runner.package_verify import CannotCheckError

        with pytest.raises(CannotCheckError, match="/v2/v1/chat/completions did not answer: .*404"):
            by_url(served.replace("/v1", "/v2"), "acme")(messages("", "hi"), 4)

    def test_is_asked_although_a_file_is_wrong(self, package: Path, served: str) -> None:
        gguf = next(package.glob("*.gguf"))
        rewrite(gguf, b"damaged")
        (package / "json_.py").write_text("", "utf-8")

        done = alone(package, "--url", served)

        assert done.returncode == 1
        assert f"FAIL  {gguf.name}: changed" in done.stdout
        assert "pass  anchor anchor-0" in done.stdout

    def test_with_a_wrong_file_and_nobody_there_the_file_decides(self, package: Path) -> None:
        rewrite(package / "usage.md", b"changed")

        done = alone(package, "--url", "http://127.0.0.1:9/v1", "--wait", "0")

        assert done.returncode == 1
        assert "could not check: http://127.0.0.1:9/v1/chat/completions" in done.stdout


@contextmanager
def canned(answers: dict[str, str], port: int = 0, loading: int = 0) -> Iterator[str]:
    """A server that knows the answers, and says 503 to the first requests as one that loads."""
    left = [loading]

    class Canned(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            text = answers[body["messages"][-1]["content"]]
            choice = {"message": {"content": text}, "finish_reason": "stop"}
            left[0] -= 1
            self.send_response(503 if left[0] >= 0 else 200)
            self.end_headers()
            self.wfile.write(json.dumps({"choices": [choice]}).encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", port), Canned)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class TestStarting:
    """A server right after its unit was started."""

    def test_that_still_loads_is_waited_for(
        self, delivered: tuple[Home, Path], known: dict[str, str]
    ) -> None:
        with canned(known, loading=2) as url:
            done = alone(delivered[1], "--url", url)

        assert done.returncode == 0, done.stdout
        assert f"note  {url} does not answer yet: waiting up to 60 s" in done.stdout

    def test_that_still_loads_when_the_time_is_up_cannot_be_checked(
        self, delivered: tuple[Home, Path], known: dict[str, str]
    ) -> None:
        with canned(known, loading=1000) as url:
            done = alone(delivered[1], "--url", url, "--wait", "1")

        assert done.returncode == 3
        assert "503" in done.stdout

    def test_that_does_not_listen_yet_is_waited_for(
        self, delivered: tuple[Home, Path], known: dict[str, str]
    ) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        process = subprocess.Popen(
            [
                *(sys.executable, "-B", "verify.py", "--anchors-only"),
                *("--url", f"http://127.0.0.1:{port}/v1"),
            ],
            cwd=delivered[1],
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            assert process.stdout is not None
            assert "does not answer yet" in process.stdout.readline()
            with canned(known, port):
                said = process.stdout.read()

        assert process.returncode == 0, said

    def test_that_goes_away_once_it_has_answered_is_not_waited_for(
        self, known: dict[str, str]
    ) -> None:
        from fathom_tui.runner.package_verify import CannotCheckError

        chat = messages("", next(iter(known)))
        with canned(known) as url:
            ask = by_url(url, "acme", wait_s=60)
            ask(chat, 4)

        with pytest.raises(CannotCheckError, match="refused"):
            ask(chat, 4)
