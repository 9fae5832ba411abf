"""Plain HTTP requests to the server under test, and its models' names."""

import hashlib
import itertools
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

PREFIX = "fathom-contract-"
READ_UP_TO = (0, 33)
"""Newest version whose source was read."""
FRANCE = [{"role": "user", "content": "What is the capital of France?"}]
GREEDY = {"temperature": 0, "seed": 1, "num_ctx": 512, "num_predict": 48}

Json = dict[str, Any]


class Api:
    """A server under test."""

    def __init__(self, url: str) -> None:
        # trust_env off: no proxy of the machine stands between.
        self.http = httpx.Client(base_url=url, timeout=120.0, trust_env=False)
        self.version: str = self.http.get("/api/version").json()["version"]
        self.told: dict[str, list[str]] = {}
        """What each create said, by name."""
        self._numbers = itertools.count(1)

    def close(self) -> None:
        self.http.close()

    def since(self, *floor: int) -> bool:
        """Return whether the server's version is this one or newer."""
        found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", self.version)
        # A server built from source says 0.0.0: it is as new as can be.
        numbers = tuple(int(n or 0) for n in found.groups()) if found else (0, 0, 0)
        return numbers == (0, 0, 0) or numbers >= floor

    @property
    def newer_than_read(self) -> bool:
        return self.since(READ_UP_TO[0], READ_UP_TO[1] + 1)

    def name(self, tag: str = "v1") -> str:
        """Return a name that no test has used."""
        return f"{PREFIX}{next(self._numbers)}:{tag}"

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self.http.post(path, json=body)

    def upload(self, content: bytes) -> str:
        """Upload a blob unless it is there; return its digest."""
        digest = digest_of(content)
        if self.http.head(f"/api/blobs/{digest}").status_code != 200:
            answer = self.http.post(f"/api/blobs/{digest}", content=content)
            assert answer.status_code == 201, answer.text
        return digest

    def create(self, name: str, gguf: Path, **request: Any) -> list[str]:
        """Create a model from a GGUF; return its status lines' texts.

        Lines of progress, as many as there happen to be, count once.
        """
        files = {"model.gguf": self.upload(gguf.read_bytes())}
        answer = self.post("/api/create", model=name, files=files, **request)
        lines = lines_of(answer)
        assert answer.status_code == 200, answer.text
        assert [line["error"] for line in lines if "error" in line] == []
        self.told[name] = [text for text, _ in itertools.groupby(line["status"] for line in lines)]
        return self.told[name]

    def chat(self, name: str, messages: list[Json] = FRANCE, **request: Any) -> Json:
        """Return a whole chat answer."""
        body = {"options": GREEDY, "stream": False, **request}
        answer = self.post("/api/chat", model=name, messages=messages, **body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def render(self, name: str, messages: list[Json], **request: Any) -> str:
        """Return the prompt that a chat becomes."""
        answer = self.chat(name, messages, _debug_render_only=True, **request)
        return str(answer["_debug_info"]["rendered_template"])

    def show(self, name: str, **request: Any) -> Json:
        answer = self.post("/api/show", model=name, **request)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def listed(self, path: str = "/api/tags") -> dict[str, Json]:
        """Return our models in a listing by name, in its order."""
        models = self.http.get(path).json()["models"]
        return {m["name"]: m for m in models if m["name"].startswith(PREFIX)}

    def digest(self, name: str) -> str:
        return str(self.listed()[name]["digest"])

    def unload(self, name: str) -> None:
        """Unload a model and wait until it is gone."""
        self.post("/api/chat", model=name, keep_alive=0)
        wait(lambda: name not in self.listed("/api/ps"))

    def clean(self) -> None:
        """Delete every model of ours."""
        for name in self.listed("/api/ps"):
            self.post("/api/generate", model=name, keep_alive=0)
        for name in self.listed():
            self.http.request("DELETE", "/api/delete", json={"model": name})

    def refused(self, answer: httpx.Response, status: int, pattern: str) -> None:
        """Assert an error before the first byte: its status and its text."""
        assert answer.headers["content-type"].startswith("application/json"), answer.text
        message = answer.json()["error"]
        if self.newer_than_read:
            assert answer.status_code >= 400
            assert message
            return
        assert (answer.status_code, message) == (status, message)
        assert re.fullmatch(pattern, message, re.DOTALL), message

    def failed_in_stream(self, answer: httpx.Response, pattern: str) -> None:
        """Assert an error after the first byte: 200, and a line that says it as the last."""
        if self.newer_than_read and answer.status_code >= 400:
            return
        assert answer.status_code == 200, answer.text
        *before, last = lines_of(answer)
        assert before
        assert all("error" not in line for line in before)
        assert list(last) == ["error"]
        assert self.newer_than_read or re.fullmatch(pattern, last["error"], re.DOTALL), last


def digest_of(content: bytes) -> str:
    """Return a blob's digest."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def lines_of(answer: httpx.Response) -> list[Json]:
    """Return the objects of an NDJSON body."""
    return [dict(json.loads(line)) for line in answer.text.splitlines() if line]


def wait(until: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something is true; fail when it does not become so."""
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
