"""The calls of Ollama's HTTP API that Fathom makes, typed, each failure said in full.

Contract: Ollama v0.33.0-rc2, server/routes.go, server/create.go and api/types.go. Its trap: a
stream that failed half-way has the status 200 and ends with an `error` line, or just ends.
"""

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from fathom_tui.errors import EnvironmentProblem, UsageError
from fathom_tui.runner.ollama_answers import Listed, Loaded, Reply, Shown
from fathom_tui.runner.ollama_host import OllamaHost
from fathom_tui.runner.ollama_problem import bad_answer, no_answer

if TYPE_CHECKING:
    import ollama

Messages = Sequence[Mapping[str, str]]
Progress = Callable[[str, int, int], None]
"""Told what is under way, how much of it is done, and how much there is (0 where unknown)."""

_CONNECT_S = 5.0
_SHORT_S = 15.0
"""For calls that only look something up."""
_ANSWER_S = 330.0
"""For calls that may load a model first: the server gives that 5 minutes (OLLAMA_LOAD_TIMEOUT in
envconfig/config.go)."""
_SILENCE_S = 600.0
"""Longest pause between two lines of a create: converting tens of GB says nothing for minutes."""
_CHUNK = 1 << 20


class OllamaApi:
    """One server. It keeps one connection open between calls.

    Every call raises `ServerProblem` where the server does not answer, or answers with an error.
    """

    def __init__(self, host: OllamaHost) -> None:
        """Connect to nothing yet.

        Raises:
            UsageError: No client can connect to this address.
        """
        self.host = host
        self._settings: dict[str, Any] = {
            # A proxy in the environment is for servers elsewhere.
            "trust_env": host.remote,
            # Certificates take 40 ms to load, and nothing checks them without TLS.
            "verify": host.scheme == "https",
            "follow_redirects": False,
        }
        try:
            _ = httpx.URL(host.url).host  # decodes xn--, which only fails when it is asked for
            self._http = httpx.Client(base_url=host.url, **self._settings)
        except (httpx.InvalidURL, UnicodeError) as error:
            raise UsageError(
                f"OLLAMA_HOST gives the address {host.url!r}, which is none: {error}.",
                fix="export OLLAMA_HOST=127.0.0.1:11434, or http://NAME:PORT",
            ) from error
        weakref.finalize(self, self._http.close)

    def version(self, *, wait_s: float = _SHORT_S) -> str:
        """Return the server's version as it writes it."""
        call, data = self._json("GET", "/api/version", wait_s=wait_s)
        with self._understood(call, data):
            return str(data["version"])

    def tags(self) -> list[Listed]:
        """Return the models that the server keeps, the newest first."""
        call, data = self._json("GET", "/api/tags")
        with self._understood(call, data):
            return [Listed.read(model) for model in data["models"] or ()]

    def loaded(self) -> list[Loaded]:
        """Return the models in memory."""
        call, data = self._json("GET", "/api/ps")
        with self._understood(call, data):
            return [Loaded.read(model) for model in data["models"] or ()]

    def show(self, model: str) -> Shown:
        """Return what the server keeps of a model."""
        # Not the official client's: its answer has no place for the system text.
        call, data = self._json("POST", "/api/show", {"model": model})
        with self._understood(call, data):
            return Shown.read(data)

    def has_blob(self, sha256: str) -> bool:
        """Say whether the server has a file of this content (64 hex digits)."""
        path = f"/api/blobs/sha256:{sha256}"
        with self._calling(f"HEAD {path}"):
            reply = self._http.head(path, timeout=_timeout(_SHORT_S))
        if reply.status_code not in (200, 404):
            raise bad_answer(self.host.url, f"HEAD {path}", reply.status_code, reply.text)
        return reply.status_code == 200

    def upload(self, file: Path, sha256: str, progress: Progress | None = None) -> None:
        """Send a file; the server compares it with its digest.

        Raises:
            EnvironmentProblem: The file cannot be read.
        """
        # Not the official client's: it reads the file once more to make the digest anew.
        path = f"/api/blobs/sha256:{sha256}"
        size = _size(file)
        with self._calling(f"POST {path}"):
            reply = self._http.post(
                path,
                content=_chunks(file, size, progress),
                headers={"Content-Length": str(size)},
                timeout=_timeout(_SILENCE_S),
            )
        self._check(f"POST {path}", reply)

    def create(self, request: Mapping[str, Any], progress: Progress | None = None) -> None:
        """Make a model of blobs and wait for the last line, which must say success.

        Args:
            request: Arguments of the official client's `create`: model, files, parameters,
                and template, system and license where wanted.
            progress: Told each line.
        """
        call, last = "POST /api/create", ""
        with self._changing(call) as client:
            for line in client.create(**request, stream=True):
                last = line.status or ""
                if progress is not None:
                    progress(last, line.completed or 0, line.total or 0)
        if last != "success":
            said = f"the last line was {last!r}, not success"
            raise no_answer(self.host.url, call, said, refused=False)

    def copy(self, source: str, destination: str) -> None:
        """Let a second name stand for a model, whatever it stood for before."""
        with self._changing("POST /api/copy") as client:
            client.copy(source, destination)

    def delete(self, model: str) -> None:
        """Forget a name, and the files that no other name needs."""
        with self._changing("DELETE /api/delete") as client:
            client.delete(model)

    def chat(self, model: str, messages: Messages, *, options: Mapping[str, Any]) -> Reply:
        """Ask for one answer, in one piece.

        Args:
            model: The name.
            messages: Roles and contents.
            options: As in api/types.go (`temperature`, `seed`, `num_predict`, ...).
        """
        # By default a chat that is too long loses its first messages and nobody is told. Releases
        # that do not know these flags pass over them.
        whole = {"truncate": False, "shift": False}
        return self._chat(model, messages, {"options": dict(options), **whole})

    def render(self, model: str, messages: Messages) -> str | None:
        """Return the prompt that a chat would send to the model; None where it does not say."""
        # num_predict, so that a release that does not know the flag ends soon.
        body = {"_debug_render_only": True, "options": {"num_predict": 1}}
        return self._chat(model, messages, body).rendered

    def load(self, model: str) -> None:
        """Load a model into memory and wait until it is there."""
        self._chat(model, [], {})

    def unload(self, model: str) -> None:
        """Ask the server to let go of a model's memory once it has answered what it is asked."""
        self._chat(model, [], {"keep_alive": 0})

    def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector of length 1 for each text."""
        body = {"model": model, "input": list(texts)}
        call, data = self._json("POST", "/api/embed", body, wait_s=_ANSWER_S)
        with self._understood(call, data):
            return [[float(x) for x in vector] for vector in data["embeddings"] or ()]

    def _chat(self, model: str, messages: Messages, more: Mapping[str, Any]) -> Reply:
        body = {"model": model, "messages": [dict(m) for m in messages], "stream": False, **more}
        call, data = self._json("POST", "/api/chat", body, wait_s=_ANSWER_S)
        with self._understood(call, data):
            return Reply.read(data)

    def _json(
        self, method: str, path: str, body: Any = None, *, wait_s: float = _SHORT_S
    ) -> tuple[str, dict[str, Any]]:
        """Make a call; return its name, for error texts, and the object it answered."""
        call = f"{method} {path}"
        with self._calling(call):
            reply = self._http.request(method, path, json=body, timeout=_timeout(wait_s))
        self._check(call, reply)
        try:
            data = reply.json()
        except ValueError as error:
            raise bad_answer(self.host.url, call, reply.status_code, reply.text) from error
        if not isinstance(data, dict) or "error" in data:
            raise bad_answer(self.host.url, call, reply.status_code, reply.text)
        return call, data

    def _check(self, call: str, reply: httpx.Response) -> None:
        if not reply.is_success:
            raise bad_answer(self.host.url, call, reply.status_code, reply.text)

    @contextmanager
    def _calling(self, call: str) -> Iterator[None]:
        try:
            yield
        except (
            httpx.ConnectError, httpx.ConnectTimeout, httpx.InvalidURL, UnicodeError
        ) as error:  # fmt: skip
            raise no_answer(self.host.url, call, _cause(error), refused=True) from error
        except httpx.HTTPError as error:
            raise no_answer(self.host.url, call, _cause(error), refused=False) from error

    @contextmanager
    def _understood(self, call: str, data: Any) -> Iterator[None]:
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise bad_answer(self.host.url, call, 200, f"{data!r} ({error!r})") from error

    @contextmanager
    def _changing(self, call: str) -> Iterator["ollama.Client"]:
        """Give the official client for a call that changes what the server keeps.

        It has these calls right (every line of a stream is looked at for `error`), and its 0.2 s of
        imports, pydantic among them, do not matter beside a create. The calls that health checks
        make stay with httpx alone, which loads in 0.1 s.
        """
        import ollama

        client = ollama.Client(
            self.host.url,
            timeout=_timeout(_SILENCE_S),
            event_hooks={"request": [_without_key]},
            **self._settings,
        )
        with client, self._calling(call):
            try:
                yield client
            except ollama.ResponseError as error:
                # -1: an error line within a stream, whose status was 200.
                status = error.status_code if error.status_code > 0 else 200
                raise bad_answer(self.host.url, call, status, str(error.error)) from error
            except ConnectionError as error:  # its own words for a refused connection
                raise no_answer(self.host.url, call, "no connection", refused=True) from error
            except (ValueError, TypeError, AttributeError) as error:  # a line that is no object
                raise no_answer(self.host.url, call, repr(error), refused=False) from error


def _without_key(request: httpx.Request) -> None:
    # The client adds OLLAMA_API_KEY, a key for ollama.com, to requests to whatever server.
    request.headers.pop("Authorization", None)


def _timeout(read_s: float) -> httpx.Timeout:
    return httpx.Timeout(read_s, connect=_CONNECT_S)


def _cause(error: Exception) -> str:
    return f"{type(error).__name__} {error}".strip()


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError as error:
        raise _unreadable(file, error) from error


def _chunks(file: Path, size: int, progress: Progress | None) -> Iterator[bytes]:
    sent = 0
    try:
        with file.open("rb") as source:
            while chunk := source.read(_CHUNK):
                sent += len(chunk)
                if progress is not None:
                    progress("uploading", sent, size)
                yield chunk
    except OSError as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: OSError) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"{file} cannot be sent to the server: {error.strerror}.",
        fix="Finish the run that makes this file, then repeat.",
    )
