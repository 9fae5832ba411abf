"""Restarts, older versions and crashed models: only the double can be made to show them."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.contract.client import FRANCE, GREEDY, digest_of
from tests.contract.doubles import Start, children, creation, names
from tests.runner.broken_gguf import write_aborting_gguf


class TestARestart:
    def test_finds_everything_as_it_was(self, start: Start, small: Path) -> None:
        api, process = start()
        api.create("m:v1", small, system="Kept.")
        before = api.http.get("/api/tags").json()
        process.kill()

        api, _ = start()

        assert api.http.get("/api/tags").json() == before
        assert api.show("m:v1")["system"] == "Kept."

    def test_prunes_what_no_model_uses_once_it_is_an_hour_old(
        self, start: Start, small: Path, tmp_path: Path
    ) -> None:
        api, process = start()
        api.create("m:v1", small)
        old, young = api.upload(b"old orphan"), api.upload(b"young orphan")
        blobs = tmp_path / "models" / "blobs"
        part = blobs / "sha256-123"
        part.write_bytes(b"half an upload")
        past = time.time() - 7200
        for path in blobs.iterdir():
            if path.name != young.replace(":", "-"):
                os.utime(path, (past, past))
        process.kill()

        api, _ = start()

        assert api.http.head(f"/api/blobs/{old}").status_code == 404
        assert api.http.head(f"/api/blobs/{young}").status_code == 200
        assert not part.exists()
        assert api.show("m:v1")["details"]["format"] == "gguf"


class TestAnOlderVersion:
    def test_before_0_30_validates_nothing_and_stores_the_upload_itself(
        self, start: Start, small: Path
    ) -> None:
        api, _ = start(version="0.24.0")
        digest = digest_of(small.read_bytes())

        lines = api.create("m:v1", small)

        assert lines == [
            "parsing GGUF",
            f"using existing layer {digest}",
            "writing manifest",
            "success",
        ]
        modelfile = api.show("m:v1")["modelfile"]
        assert digest.replace(":", "-") in modelfile

    def test_before_0_6_4_tells_no_capabilities(self, start: Start, small: Path) -> None:
        api, _ = start(version="0.6.3")
        api.create("m:v1", small)

        assert "capabilities" not in api.show("m:v1")

    def test_before_0_11_5_does_not_render_but_answers(self, start: Start, small: Path) -> None:
        api, _ = start(version="0.11.4")
        api.create("m:v1", small)

        answer = api.chat("m:v1", _debug_render_only=True)

        assert answer["done"] is True
        assert "_debug_info" not in answer

    def test_before_0_10_tells_no_context_length(self, start: Start, small: Path) -> None:
        api, _ = start(version="0.9.6")
        api.create("m:v1", small)
        api.chat("m:v1")

        (loaded,) = api.http.get("/api/ps").json()["models"]
        assert "context_length" not in loaded

    def test_before_0_5_5_creates_from_no_files(self, start: Start, small: Path) -> None:
        api, _ = start(version="0.5.4")

        answer = api.post("/api/create", **creation(api, small))

        api.refused(answer, 400, "path or Modelfile are required")
        assert names(api) == []


class TestAModel:
    def test_that_aborts_its_process_is_500_and_the_server_lives(
        self, start: Start, tmp_path: Path
    ) -> None:
        api, _ = start()
        path = tmp_path / "aborting.gguf"
        write_aborting_gguf(path)
        api.create("m:v1", path)

        for _ in range(2):
            answer = api.post("/api/chat", model="m:v1", messages=FRANCE)
            api.refused(answer, 500, "model runner has unexpectedly stopped.*")

        assert api.http.get("/api/ps").json()["models"] == []

    def test_whose_process_is_killed_is_loaded_again(self, start: Start, small: Path) -> None:
        api, process = start(version="0.24.0")  # no rewriter beside the models
        api.create("m:v1", small)
        first = api.chat("m:v1")
        (child,) = children(process.process.pid)

        os.kill(child, 9)

        # The first one may find the process dying.
        api.post("/api/chat", model="m:v1", messages=FRANCE, options=GREEDY, stream=False)
        assert api.chat("m:v1")["message"] == first["message"]

    def test_answers_two_at_once_one_after_the_other(self, start: Start, small: Path) -> None:
        api, _ = start()
        api.create("m:v1", small)

        def ask(_: int) -> str:
            return str(api.chat("m:v1")["message"]["content"])

        with ThreadPoolExecutor(3) as pool:
            answers = list(pool.map(ask, range(3)))

        assert len(set(answers)) == 1

    def test_that_nobody_listens_to_any_more_is_free_for_the_next(
        self, start: Start, small: Path
    ) -> None:
        api, _ = start()
        api.create("m:v1", small)
        body = {"model": "m:v1", "messages": [{"role": "user", "content": "Tell a long story."}]}
        options = {**GREEDY, "num_predict": 400}

        with api.http.stream("POST", "/api/chat", json={**body, "options": options}) as answer:
            next(answer.iter_lines())

        assert api.chat("m:v1")["done"] is True
