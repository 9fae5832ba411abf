"""How requests are read and answered (Ollama v0.33.0-rc2, server/routes.go, and gin)."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from tests.ollama_double.faults import Cut

Line = dict[str, Any]
Lines = AsyncIterator[Line]

_GO_TYPES = {"string": str, "bool": bool, "int": int, "array": list, "object": dict}
_FOREVER = timedelta(days=106_751)
"""As long as a Go duration can be."""


class Failure(Exception):
    """An error that the client is told, with the status it has before the first byte."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Call:
    """One request and the way back."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.request = Request(scope, receive)
        self._send = send

    async def bind(self, kind: str, fields: Mapping[str, str]) -> dict[str, Any]:
        """Return the request's JSON object, its fields checked (gin ShouldBindJSON).

        Args:
            kind: The Go type of the request, as its errors name it.
            fields: Go types of the fields; `any` takes everything, others are ignored.

        Raises:
            Failure: 400: no body, no JSON, or a field of another type.
        """
        body = (await self.request.body()).decode("utf-8", "replace")
        if not body.strip():
            raise Failure(400, "missing request body")
        data = _decoded(body)
        if data is None:
            data = {}
        if not isinstance(data, dict):
            raise Failure(400, _mismatch(data, f"value of type api.{kind}"))
        for name, wanted in fields.items():
            _check(data.get(name), wanted, f"struct field {kind}.{name} of type {wanted}")
        for message in data.get("messages") or ():
            _check(message, "object", "value of type api.Message")
            for part in ("role", "content"):
                where = f"struct field {kind}.messages.{part} of type string"
                _check(message.get(part), "string", where)
        return data

    async def reply(
        self, status: int, content: bytes = b"", kind: str = "text/plain; charset=utf-8"
    ) -> None:
        """Send a whole answer; without content, without a type."""
        headers = [(b"content-length", str(len(content)).encode())]
        if content:
            headers.append((b"content-type", kind.encode()))
        start = {"type": "http.response.start", "status": status, "headers": headers}
        await self._send(start)
        body = b"" if self.request.method == "HEAD" else content
        await self._send({"type": "http.response.body", "body": body})

    async def json(self, data: Any, status: int = 200) -> None:
        await self.reply(status, _encoded(data), "application/json; charset=utf-8")

    async def stream(self, lines: Lines) -> None:
        """Send lines as they come (streamResponse).

        An error before the first line has its own status; after it the status stays 200 and the
        error is the last line.
        """
        started = False
        async with aclosing(cast(Any, lines)):
            try:
                async for line in lines:
                    if not started:
                        await self._start_stream()
                        started = True
                    await self._send_line(line)
                    if await self.request.is_disconnected():
                        return
            except Failure as failure:
                if not started:
                    raise
                await self._send_line({"error": failure.message})
            except Cut:
                return  # the server closes a connection whose answer is not finished
        if not started:
            await self._start_stream()
        await self._send({"type": "http.response.body", "body": b""})

    def reset(self) -> None:
        """Drop the connection without an answer."""
        # uvicorn's cycle is the only way to the socket.
        cast(Any, self._send).__self__.transport.abort()

    async def _start_stream(self) -> None:
        headers = [(b"content-type", b"application/x-ndjson")]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def _send_line(self, line: Line) -> None:
        body = _encoded(line) + b"\n"
        await self._send({"type": "http.response.body", "body": body, "more_body": True})


def _encoded(data: Any) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


def _decoded(body: str) -> Any:
    text = body.lstrip()
    try:
        # What follows the first value is not read.
        return json.JSONDecoder().raw_decode(text)[0]
    except json.JSONDecodeError as error:
        if error.pos >= len(text) or "Unterminated" in error.msg:
            raise Failure(400, "unexpected EOF") from error
        what = f"invalid character {text[error.pos]!r} looking for beginning of value"
        raise Failure(400, what) from error


def _check(value: Any, wanted: str, where: str) -> None:
    if value is None or wanted == "any":
        return
    right = isinstance(value, _GO_TYPES[wanted])
    if not right or (wanted == "int" and isinstance(value, bool)):
        raise Failure(400, _mismatch(value, where))


def _mismatch(value: Any, where: str) -> str:
    kinds = {str: "string", bool: "bool", list: "array", dict: "object"}
    return f"json: cannot unmarshal {kinds.get(type(value), 'number')} into Go {where}"


def now(after: float = 0.0) -> str:
    """Return the time `after` seconds from now as Go writes it; infinity is as far as it gets."""
    moment = datetime.now(UTC)
    moment += _FOREVER if after == float("inf") else timedelta(seconds=after)
    return moment.isoformat().replace("+00:00", "Z")


def without_zeros(data: Line) -> Line:
    """Leave out what Go's `omitempty` leaves out of metrics: counts and durations of zero."""
    return {k: v for k, v in data.items() if v != 0 or isinstance(v, bool)}
