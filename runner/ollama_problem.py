"""What can go wrong between Fathom and an Ollama server, and what the user can do about it."""

import json

from fathom_tui.errors import CouldNotCheck

_SHOWN = 300
"""Characters of a server's words that are repeated."""

START = (
    "Start it (systemctl start ollama, or: ollama serve), or name another server: "
    "export OLLAMA_HOST=HOST:PORT"
)
_LOG = "Read the server's log: journalctl -u ollama -e"
_DAMAGED = "The file is damaged or was cut: make it again (fathom run), then repeat."
_AGAIN = (
    "Deploy again: what was uploaded is not sent again. If the server refuses the file once more, "
    "it is damaged or was cut: make it again."
)
_FIXES = (
    (
        ("no space left on device", "disk quota exceeded"),
        "Free space where the server keeps its models (OLLAMA_MODELS): a create needs twice the "
        "file's size for a moment. Then repeat: what was uploaded is not sent again.",
    ),
    (
        ("digest mismatch",),
        "The file is not the one that was recorded: it changed, or was damaged on the way. "
        "Check it with sha256sum, then repeat.",
    ),
    (
        ("llama-quantize",),
        "This server's llama.cpp does not know the architecture, or its llama-quantize is missing: "
        "upgrade or reinstall Ollama, or serve with the target llama-cpp.",
    ),
    (
        ("template error",),
        "Ollama cannot read the Go template: leave it out, and the template in the GGUF is used.",
    ),
    (("not in gguf format", "eof", "exceeds file size", "unsupported gguf"), _DAMAGED),
    (
        ("not found",),
        "The server does not have that model: see what it has with: ollama list",
    ),
    (("server busy", "maximum pending requests"), "Try again when fewer requests are under way."),
    (
        ("more system memory", "out of memory", "requires more memory"),
        "Unload other models (ollama ps, ollama stop NAME), or serve a smaller file or context.",
    ),
    (
        ("exceeds the context", "context length", "context size"),
        "Send a shorter text, or serve with a larger context.",
    ),
)
"""Words in an answer (lower case) and what to do. The answers are those of Ollama v0.33.0-rc2:
server/create.go, server/routes.go, llm/llama_server.go, and Go's own for a full disk."""

_STATUS_FIXES = {
    401: "The server, or a proxy before it, asks who you are: use an address that does not.",
    403: "The server refuses this Host name: name it by its address, or allow the name with "
    "OLLAMA_ORIGINS.",
    405: "Is that an Ollama server? Check OLLAMA_HOST, the path after the port included.",
    413: "A proxy before the server limits the size of uploads: raise its limit.",
    502: "A proxy answers, the server behind it does not: start Ollama there.",
    504: "A proxy before the server gave up waiting: raise its time limit.",
}


class ServerProblem(CouldNotCheck):
    """A call that did not give what it should."""

    def __init__(
        self, message: str, *, fix: str, status: int | None = None, said: str = ""
    ) -> None:
        """Keep what callers decide by.

        Args:
            message: What happened, with server, call and answer.
            fix: What to do.
            status: HTTP status; None where there was no answer.
            said: The server's own words; empty where there were none.
        """
        super().__init__(message, fix=fix)
        self.status = status
        self.said = said


def no_answer(url: str, call: str, detail: str, *, refused: bool) -> ServerProblem:
    """Return the problem of a call that nobody answered, or not to its end.

    Args:
        url: The server.
        call: Method and path.
        detail: What the connection did.
        refused: True where no connection came about.
    """
    detail = detail.rstrip(".")
    if refused:
        return ServerProblem(f"No Ollama server answers at {url} ({call}: {detail}).", fix=START)
    return ServerProblem(
        f"Ollama at {url} broke off while it answered {call}: {detail}.",
        fix=f"{_LOG}. Then repeat: what was finished is not done again.",
    )


def bad_answer(url: str, call: str, status: int, body: str) -> ServerProblem:
    """Return the problem of a call that was answered with an error, or with nonsense."""
    said = _words(body)
    shown = said if len(said) <= _SHOWN else said[:_SHOWN] + "…"
    return ServerProblem(
        f"Ollama at {url} answered {call} with {status}: {shown or 'nothing'}",
        fix=_fix(status, said),
        status=status,
        said=said,
    )


def _words(body: str) -> str:
    """Return the text of `{"error": text}`, or the body as it is."""
    try:
        data = json.loads(body)
    except ValueError:
        return body.strip()
    error = data.get("error") if isinstance(data, dict) else None
    return error.strip() if isinstance(error, str) else body.strip()


def _fix(status: int, said: str) -> str:
    lowered = said.lower()
    if status in (404, 405) and "page not found" in lowered:
        return _STATUS_FIXES[405]
    for words, fix in _FIXES:
        if any(word in lowered for word in words):
            # 200: the server had the file whole and broke off while it worked on it.
            return _AGAIN if status == 200 and fix is _DAMAGED else fix
    return _STATUS_FIXES.get(status, f"{_LOG}.")
