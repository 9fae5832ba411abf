"""Routes, and what is refused before them (Ollama v0.33.0-rc2, server/routes.go)."""

import ipaddress
import socket
from collections.abc import Awaitable, Callable

from starlette.types import Receive, Scope, Send

from tests.ollama_double import blobs, chat, create, embed, listing
from tests.ollama_double.answers import Call, Failure
from tests.ollama_double.server import Server

_Answers = Callable[[Server, Call], Awaitable[None]]
_BLOBS = "/api/blobs/"


async def root(server: Server, call: Call) -> None:
    """Say that this is Ollama."""
    await call.reply(200, b"Ollama is running")


_ROUTES: dict[str, dict[str, _Answers]] = {
    "/": {"GET": root, "HEAD": root},
    "/api/version": {"GET": listing.version, "HEAD": listing.version},
    "/api/tags": {"GET": listing.tags, "HEAD": listing.tags},
    "/api/ps": {"GET": listing.ps},
    "/api/show": {"POST": listing.show},
    "/api/copy": {"POST": listing.copy},
    "/api/delete": {"DELETE": listing.delete},
    "/api/create": {"POST": create.create},
    "/api/chat": {"POST": chat.chat},
    "/api/generate": {"POST": chat.generate},
    "/api/embed": {"POST": embed.embed},
}


class App:
    """The ASGI application."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = Call(scope, receive, send)
        try:
            await self._answer(call)
        except Failure as failure:
            await call.json({"error": failure.message}, failure.status)

    async def _answer(self, call: Call) -> None:
        path, method = call.request.url.path, call.request.method
        if not _allowed(call.request.headers.get("host", "")):
            await call.reply(403)
            return
        digest = path.removeprefix(_BLOBS)
        if path.startswith(_BLOBS) and digest and "/" not in digest:
            by_method = {"HEAD": blobs.head, "POST": blobs.upload}
            if method in by_method:
                await by_method[method](self._server, call, digest)
            else:
                await call.reply(405, b"405 method not allowed")
        elif path not in _ROUTES:
            await call.reply(404, b"404 page not found", "text/plain")
        elif method not in _ROUTES[path]:
            await call.reply(405, b"405 method not allowed", "text/plain")
        else:
            await _ROUTES[path][method](self._server, call)


def _allowed(header: str) -> bool:
    """Return whether a Host may ask a server on the loopback (allowedHostsMiddleware)."""
    host = header.rpartition(":")[0] if header.rpartition(":")[2].isdigit() else header
    host = host.strip("[]").lower()
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        local = ("", "localhost", socket.gethostname().lower())
        return host in local or host.endswith((".localhost", ".local", ".internal"))
    return address.is_loopback or address.is_private or address.is_unspecified
