"""A server that keeps models in memory as Ollama lists them, and fails in the ways a test scripts.

For what the client does with answers that a well-behaved server rarely gives: cut connections,
error lines, nonsense. What a model says is for the double in tests/ollama_double.
"""

import hashlib
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.ollama_double.templates import GoTemplate

Body = dict[str, Any]


@dataclass(frozen=True)
class Says:
    """A whole answer."""

    status: int = 200
    body: Any = None
    """JSON; bytes are sent as they are."""


@dataclass(frozen=True)
class Cuts:
    """An answer that is begun, or not even that, and then the connection is closed."""

    sent: bytes = b""
    read: int | None = None
    """Bytes of the request that are read before; None reads all."""


Act = Says | Cuts | Callable[["Scripted", Body], Says | Cuts]


def lines(*told: Body) -> Says:
    """Return a stream of these lines."""
    return Says(body="".join(json.dumps(line) + "\n" for line in told).encode())


@dataclass
class Scripted:
    """The server's state; tests look into it and change it."""

    version: str = "0.33.0"
    models: dict[str, Body] = field(default_factory=dict)
    blobs: set[str] = field(default_factory=set)
    loaded: set[str] = field(default_factory=set)
    calls: list[tuple[str, str, Body]] = field(default_factory=list)
    script: dict[tuple[str, str], list[Act]] = field(default_factory=lambda: defaultdict(list))
    """What is answered next, by method and beginning of the path; else as Ollama would."""
    url: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    """Of the last request."""

    def then(self, method: str, path: str, *acts: Act) -> None:
        """Script the next answers to a call."""
        self.script[method, path] += acts

    def bodies(self, method: str, path: str) -> list[Body]:
        """Return what a call was made with, each time."""
        return [body for m, p, body in self.calls if m == method and p.startswith(path)]

    def digest(self, name: str) -> str:
        """Return a model's digest: equal for equal content, whatever the name."""
        return hashlib.sha256(json.dumps(self.models[name], sort_keys=True).encode()).hexdigest()

    def next_act(self, method: str, path: str) -> Act | None:
        """Take the next scripted answer; an act may be added while others wait."""
        for (scripted, beginning), acts in self.script.items():
            if scripted == method and path.startswith(beginning) and acts:
                return acts.pop(0)
        return None


@contextmanager
def scripted() -> Iterator[Scripted]:
    """Run a server for as long as the block lasts."""
    state = Scripted()

    class Handler(_Handler):
        scripted = state

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    scripted: Scripted
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one packet: the second would wait for word of the first

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        state, method = self.scripted, self.command
        state.headers = {name.lower(): value for name, value in self.headers.items()}
        act = state.next_act(method, self.path)
        if isinstance(act, Cuts) and act.read is not None:
            self.rfile.read(act.read)
            return self._cut(act)
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.loads(raw) if raw and not self.path.startswith("/api/blobs/") else {}
        state.calls.append((method, self.path, body))
        if callable(act):
            act = act(state, body)
        if act is None:
            act = _ordinary(state, method, self.path, body, raw)
        return self._cut(act) if isinstance(act, Cuts) else self._say(act)

    do_GET = do_POST = do_DELETE = do_HEAD = _serve

    def _cut(self, act: Cuts) -> None:
        self.wfile.write(act.sent)
        self.wfile.flush()
        self.close_connection = True

    def _say(self, act: Says) -> None:
        content = act.body if isinstance(act.body, bytes) else b""
        if act.body is not None and not isinstance(act.body, bytes):
            content = json.dumps(act.body).encode()
        self.send_response(act.status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _ordinary(state: Scripted, method: str, path: str, body: Body, raw: bytes) -> Says:
    if path.startswith("/api/blobs/"):
        return _blob(state, method, path.rpartition(":")[2], raw)
    name = body.get("model") or body.get("source") or ""
    if method == "GET":
        return Says(body=_looked_up(state, path))
    if path == "/api/create":
        entry = {key: value for key, value in body.items() if key not in ("model", "stream")}
        state.models[name] = entry
        return lines({"status": "writing manifest"}, {"status": "success"})
    if name not in state.models:
        return Says(404, {"error": f"model '{name}' not found"})
    if path == "/api/copy":
        state.models[body["destination"]] = state.models[name]
    elif path == "/api/delete":
        del state.models[name]
    elif path == "/api/show":
        return Says(body=_shown(state.models[name]))
    elif path == "/api/chat":
        return Says(body=_chatted(state, name, body))
    return Says()


def _blob(state: Scripted, method: str, sha256: str, raw: bytes) -> Says:
    if method == "HEAD":
        return Says(200 if sha256 in state.blobs else 404)
    got = hashlib.sha256(raw).hexdigest()
    state.blobs.add(got)
    if got == sha256:
        return Says(201)
    said = f'digest mismatch, expected "sha256:{sha256}", got "sha256:{got}"'
    return Says(400, {"error": said})


def _looked_up(state: Scripted, path: str) -> Body:
    if path == "/api/version":
        return {"version": state.version}
    listed = [{"name": n, "digest": state.digest(n), "size": 1} for n in state.models]
    if path == "/api/ps":
        return {"models": [model for model in listed if model["name"] in state.loaded]}
    return {"models": listed or None}


def _shown(entry: Body) -> Body:
    told = []
    for name, value in entry.get("parameters", {}).items():
        for one in value if isinstance(value, list) else [value]:
            told.append(f"{name:<30} {json.dumps(one)}")
    return {"parameters": "\n".join(told), **{k: entry[k] for k in ("system",) if k in entry}}


def _chatted(state: Scripted, name: str, body: Body) -> Body:
    if not body["messages"]:
        unloads = body.get("keep_alive") == 0
        (state.loaded.discard if unloads else state.loaded.add)(name)
        return {"done": True, "done_reason": "unload" if unloads else "load"}
    if body.get("_debug_render_only"):
        text = _rendered(state.models[name], body["messages"])
        return {"done": False, "_debug_info": {"rendered_template": text}}
    state.loaded.add(name)
    answer = {"role": "assistant", "content": f"{name} says yes"}
    return {"message": answer, "done": True, "done_reason": "stop", "prompt_eval_count": 7,
            "eval_count": 3}  # fmt: skip


def _rendered(entry: Body, messages: list[Body]) -> str:
    if "template" in entry:
        return GoTemplate(entry["template"]).render(messages)
    return "|".join(f"{m['role']}:{m['content']}" for m in messages)
