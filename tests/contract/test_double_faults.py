"""Faults that only the double has: the ground that tests of our client stand on."""

import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.contract.client import FRANCE, GREEDY, digest_of, lines_of, wait
from tests.contract.doubles import Start, children, creation, names


def left(folder: Path) -> set[str]:
    """Return what is in a double's blobs that is no blob."""
    blobs = (folder / "models" / "blobs").iterdir()
    return {path.name for path in blobs if len(path.name) != len("sha256-") + 64}


def test_a_cut_upload_leaves_nothing_and_can_be_done_again(start: Start, tmp_path: Path) -> None:
    api, _ = start("cut-upload=1")
    content = b"x" * 5_000_000
    digest = digest_of(content)

    with pytest.raises(httpx.TransportError):
        api.http.post(f"/api/blobs/{digest}", content=content)

    assert api.http.head(f"/api/blobs/{digest}").status_code == 404
    assert left(tmp_path) == set()
    assert api.http.post(f"/api/blobs/{digest}", content=content).status_code == 201


def test_a_full_disk_is_500_and_leaves_nothing(start: Start, tmp_path: Path) -> None:
    api, _ = start("disk-full")
    digest = digest_of(b"content")

    answer = api.http.post(f"/api/blobs/{digest}", content=b"content")

    api.refused(answer, 500, "write .*: no space left on device")
    assert api.http.head(f"/api/blobs/{digest}").status_code == 404
    assert left(tmp_path) == set()


def test_a_disk_that_fills_up_during_a_create_is_a_line(
    start: Start, small: Path, tmp_path: Path
) -> None:
    api, _ = start("disk-full-create")

    answer = api.post("/api/create", **creation(api, small))

    api.failed_in_stream(answer, "failed to validate GGUF .*: no space left on device")
    assert names(api) == []
    assert left(tmp_path) == set()


def test_a_cut_create_breaks_off_and_creates_nothing(start: Start, small: Path) -> None:
    api, _ = start("cut-create=1")
    body, lines = creation(api, small), []

    with (
        pytest.raises(httpx.RemoteProtocolError),
        api.http.stream("POST", "/api/create", json=body) as answer,
    ):
        lines += list(answer.iter_lines())

    assert answer.status_code == 200
    assert names(api) == []
    assert lines_of(api.post("/api/create", **body))[-1] == {"status": "success"}


def test_an_error_line_comes_after_200(start: Start, small: Path) -> None:
    api, _ = start("error-line")

    api.failed_in_stream(api.post("/api/create", **creation(api, small)), "unexpected EOF")
    assert names(api) == []


def test_a_stream_without_success_ends_properly(start: Start, small: Path) -> None:
    api, _ = start("no-success")

    lines = lines_of(api.post("/api/create", **creation(api, small)))

    assert lines == [{"status": "parsing GGUF"}]
    assert names(api) == []


def test_a_server_that_dies_during_a_create_comes_back_without_the_model(
    start: Start, small: Path
) -> None:
    api, process = start("down-during-create")
    body = creation(api, small)

    with pytest.raises(httpx.TransportError):
        api.post("/api/create", **body)

    assert process.process.wait(10) == 1
    api, _ = start()
    assert names(api) == []
    assert lines_of(api.post("/api/create", **body))[-1] == {"status": "success"}


def test_a_server_that_dies_after_a_create_comes_back_with_the_model(
    start: Start, small: Path
) -> None:
    api, process = start("down-after-create")

    lines = lines_of(api.post("/api/create", **creation(api, small)))

    assert lines[-1] == {"status": "success"}
    assert process.process.wait(10) == 1
    with pytest.raises(httpx.TransportError):
        api.http.get("/api/version")
    api, _ = start()
    assert names(api) == ["m:v1"]


def test_a_template_is_guessed_wrongly(start: Start, small_chatml: Path) -> None:
    api, _ = start("wrong-template")

    lines = api.create("m:v1", small_chatml)

    assert "using autodetected template zephyr" in lines
    assert api.render("m:v1", FRANCE) == f"<|user|>\n{FRANCE[0]['content']}</s>\n<|assistant|>\n"


def test_a_busy_server_is_503_until_it_is_not(start: Start, small_chatml: Path) -> None:
    api, _ = start("busy=2", "slow-load=1")
    api.create("m:v1", small_chatml)

    for stream in (False, True):
        answer = api.post("/api/chat", model="m:v1", messages=FRANCE, stream=stream)
        api.refused(
            answer, 503, "server busy, please try again.  maximum pending requests exceeded"
        )

    answered = api.chat("m:v1")
    assert answered["done"] is True
    assert answered["load_duration"] > 3e9  # that was the slow load
    assert api.chat("m:v1").get("load_duration", 0) < 3e9


def test_a_chat_breaks_off_with_an_error_line(start: Start, small_chatml: Path) -> None:
    api, _ = start("chat-error-line=2")
    api.create("m:v1", small_chatml)

    streamed = api.post("/api/chat", model="m:v1", messages=FRANCE, options=GREEDY)
    whole = api.post("/api/chat", model="m:v1", messages=FRANCE, options=GREEDY, stream=False)

    api.failed_in_stream(streamed, "an error was encountered .*")
    api.refused(whole, 500, "an error was encountered .*")
    assert api.chat("m:v1")["done"] is True


def test_a_chat_that_repeats_itself_has_no_done_chunk(start: Start, small_chatml: Path) -> None:
    api, _ = start("repeat=2")
    api.create("m:v1", small_chatml)

    streamed = lines_of(api.post("/api/chat", model="m:v1", messages=FRANCE))
    whole = api.post("/api/chat", model="m:v1", messages=FRANCE, stream=False).json()

    assert [line["done"] for line in streamed] == [False] * len(streamed)
    assert (whole["done"], "done_reason" in whole) == (False, False)


def test_a_model_that_does_repeat_itself_has_no_done_chunk(
    start: Start, small_chatml: Path
) -> None:
    api, _ = start()
    api.create("m:v1", small_chatml)
    format_ = {"type": "string", "pattern": "^7{80}$"}
    options = {**GREEDY, "num_predict": 200}

    answer = api.post("/api/chat", model="m:v1", messages=FRANCE, options=options, format=format_)

    lines = lines_of(answer)
    assert [line["done"] for line in lines] == [False] * len(lines)
    assert 30 < len(lines) < 40


@pytest.mark.parametrize("fault", ["no-such-fault", "busy=often"])
def test_a_fault_that_is_none_is_a_usage_error(tmp_path: Path, fault: str) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.ollama_double", "--models", str(tmp_path)]
    done = subprocess.run(
        [*command, "--fault", fault], cwd=root, capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert fault.partition("=")[0] in done.stderr or "often" in done.stderr


def test_a_killed_server_takes_its_models_with_it(start: Start, small_chatml: Path) -> None:
    api, process = start()
    api.create("m:v1", small_chatml)
    api.chat("m:v1")
    models = [Path(f"/proc/{pid}") for pid in children(process.process.pid)]
    assert models

    process.kill()

    def gone(child: Path) -> bool:
        return not child.exists() or ") Z " in (child / "stat").read_text()

    wait(lambda: all(map(gone, models)))
    assert process.process.returncode == -signal.SIGKILL
