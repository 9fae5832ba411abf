"""POST /api/chat and /api/generate (Ollama v0.33.0-rc2, server/routes.go and prompt.go)."""

import math
import re
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from tests.ollama_double import models
from tests.ollama_double.answers import Call, Failure, Line, now, without_zeros
from tests.ollama_double.go_lexer import TemplateError
from tests.ollama_double.models import Model
from tests.ollama_double.options import WrongOption, merged
from tests.ollama_double.runners import Runner
from tests.ollama_double.server import Server
from tests.ollama_double.templates import GoTemplate, Message
from tests.ollama_double.versions import RENDER_ONLY

_COMMON = {
    **{"model": "string", "stream": "bool", "format": "any", "options": "object"},
    **{"keep_alive": "any", "think": "any", "truncate": "bool", "_debug_render_only": "bool"},
}
_CHAT = {**_COMMON, "messages": "array", "tools": "array"}
_GENERATE = {
    **_COMMON,
    **dict.fromkeys(("prompt", "suffix", "system", "template"), "string"),
    **{"raw": "bool", "context": "array"},
}
_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_Shape = Callable[[str, bool], Line]


async def chat(server: Server, call: Call) -> None:
    """Answer a chat, load or unload its model, or show the prompt (ChatHandler)."""
    request = await call.bind("ChatRequest", _CHAT)
    raw, messages = request.get("model") or "", request.get("messages") or []
    model = models.named(server.store, server.version, raw, Failure(400, "model is required"))
    keep_alive = duration(request.get("keep_alive"))

    def shape(text: str, done: bool) -> Line:
        said = {"role": "assistant", "content": text}
        return {"model": raw, "created_at": now(), "message": said, "done": done}

    if not messages and keep_alive == 0:
        await server.runners.unload(model)
        await call.json({**shape("", True), "done_reason": "unload"})
        return
    _require(model, raw, request, "chat")
    options = _options(model, request)
    begun = time.monotonic_ns()
    async with server.runners.using(model, options, keep_alive) as runner:
        loaded = time.monotonic_ns()
        if not messages:
            await call.json({**shape("", True), "done_reason": "load"})
            return
        prompt = await _chat_prompt(model, runner, request, messages)
        if request.get("_debug_render_only") and server.version.since(RENDER_ONLY):
            nobody = {"message": {"role": "", "content": ""}, "done": False}
            info = {"_debug_info": {"rendered_template": prompt}}
            await call.json({**shape("", False), **nobody, **info})
            return
        lines = _answer(server, model, runner, prompt, options, request, shape)
        await _send(call, request, _timed(lines, begun, loaded), _joined_chat)


async def generate(server: Server, call: Call) -> None:
    """Answer a prompt (GenerateHandler)."""
    request = await call.bind("GenerateRequest", _GENERATE)
    raw, text = request.get("model") or "", request.get("prompt") or ""
    model = models.named(server.store, server.version, raw, Failure(404, "model '' not found"))
    keep_alive = duration(request.get("keep_alive"))

    def shape(text: str, done: bool) -> Line:
        return {"model": raw, "created_at": now(), "response": text, "done": done}

    if not text and keep_alive == 0:
        await server.runners.unload(model)
        await call.json({**shape("", True), "done_reason": "unload"})
        return
    if request.get("raw") and any(request.get(k) for k in ("template", "system", "context")):
        raise Failure(400, "raw mode does not support template, system, or context")
    _require(model, raw, request, "generate")
    options = _options(model, request)
    begun = time.monotonic_ns()
    async with server.runners.using(model, options, keep_alive) as runner:
        loaded = time.monotonic_ns()
        if not text:
            await call.json({**shape("", True), "done_reason": "load"})
            return
        prompt = await _generate_prompt(model, runner, request, text)
        if request.get("_debug_render_only") and server.version.since(RENDER_ONLY):
            info = {"_debug_info": {"rendered_template": prompt}}
            await call.json({**shape("", False), **info})
            return
        lines = _answer(server, model, runner, prompt, options, request, shape)
        if not request.get("raw"):
            lines = _with_context(runner, prompt, lines)
        await _send(call, request, _timed(lines, begun, loaded), _joined_generate)


def _require(model: Model, raw: str, request: dict[str, Any], what: str) -> None:
    """Refuse what the model cannot do (CheckCapabilities)."""
    able = model.capabilities
    if request.get("think") and "thinking" not in able:
        raise Failure(400, f'"{raw}" does not support thinking')
    if "completion" not in able:
        raise Failure(400, f'"{raw}" does not support {what}')
    for field, needed in (("tools", "tools"), ("suffix", "insert")):
        if request.get(field) and needed not in able:
            raise Failure(400, f"{model.name} does not support {needed}")


def _options(model: Model, request: dict[str, Any]) -> dict[str, Any]:
    try:
        return merged(model.options, request.get("options") or {})
    except WrongOption as error:
        raise Failure(500, str(error)) from error


async def _chat_prompt(
    model: Model, runner: Runner, request: dict[str, Any], messages: list[Message]
) -> str:
    """Render a chat, without its oldest messages where all of them are too long (chatPrompt)."""
    chat = [*model.messages, *messages]
    if model.system and messages[0].get("role") != "system":
        chat = [{"role": "system", "content": model.system}, *chat]
    prompt = model.render(chat)
    for first in range(1, len(chat)):
        fits = request.get("truncate") is False or await _fits(runner, prompt)
        if fits:
            break
        system = [message for message in chat[:first] if message.get("role") == "system"]
        prompt = model.render([*system, *chat[first:]])
    return prompt


async def _fits(runner: Runner, prompt: str) -> bool:
    # A token is at least a byte: most prompts need no count.
    if len(prompt.encode()) <= runner.n_ctx:
        return True
    return len((await runner.once("tokenize", text=prompt))["tokens"]) <= runner.n_ctx


async def _generate_prompt(model: Model, runner: Runner, request: dict[str, Any], text: str) -> str:
    if request.get("raw"):
        return text
    system = request.get("system") or model.system
    chat = [{"role": "system", "content": system}] if system else []
    chat += [] if request.get("context") else model.messages
    chat.append({"role": "user", "content": text})
    before = ""
    if request.get("context"):
        before = (await runner.once("detokenize", tokens=request["context"]))["text"]
    if not request.get("template"):
        return before + model.render(chat)
    try:
        return before + GoTemplate(request["template"]).render(chat)
    except TemplateError as error:
        raise Failure(500, str(error)) from error


async def _answer(
    server: Server,
    model: Model,
    runner: Runner,
    prompt: str,
    options: dict[str, Any],
    request: dict[str, Any],
    shape: _Shape,
) -> AsyncIterator[Line]:
    """Give the chunks of an answer; the last one is done, unless the model repeats itself."""
    grammar = _grammar(request.get("format"))
    if server.faults.strikes("repeat"):
        for _ in range(31):
            yield shape(" the", False)
        return
    broken = server.faults.strikes("chat-error-line")
    # Completion gives up on repetition; llama-server's own chat does not.
    asked = {"prompt": prompt, "options": options, "grammar": grammar, "guarded": not model.native}
    async for piece in runner.ask("complete", **asked):
        if not piece.get("done"):
            yield shape(piece["text"], False)
            if broken:
                why = "an error was encountered while running the model: unexpected EOF"
                raise Failure(500, why)
        elif not piece.get("repeating"):
            if piece["text"]:
                yield shape(piece["text"], False)
            counts = {k: v for k, v in piece.items() if k.endswith(("_count", "_duration"))}
            yield {**shape("", True), "done_reason": piece["reason"], **without_zeros(counts)}


def _grammar(wanted: Any) -> Any:
    """Return what constrains an answer (llama_server.go llamaServerChatResponseFormat)."""
    if wanted is None or wanted == "":
        return None
    if wanted == "json" or isinstance(wanted, dict):
        return wanted
    shown = f'"\\"{wanted}\\""' if isinstance(wanted, str) else f'"{wanted}"'
    what = f'invalid format: {shown}; expected "json" or a valid JSON Schema object'
    raise Failure(500, what)


async def _timed(lines: AsyncIterator[Line], begun: int, loaded: int) -> AsyncIterator[Line]:
    async for line in lines:
        if line["done"]:
            line["total_duration"] = time.monotonic_ns() - begun
            line["load_duration"] = loaded - begun
        yield line


async def _with_context(
    runner: Runner, prompt: str, lines: AsyncIterator[Line]
) -> AsyncIterator[Line]:
    said = ""
    last: Line | None = None
    async for line in lines:
        said += line["response"]
        if line["done"]:
            last = line
        else:
            yield line
    if last:
        tokens = await runner.once("tokenize", text=prompt + said)
        yield {**last, "context": tokens["tokens"]}


async def _send(
    call: Call,
    request: dict[str, Any],
    lines: AsyncIterator[Line],
    join: Callable[[list[Line]], Line],
) -> None:
    if request.get("stream") is not False:
        await call.stream(lines)
        return
    await call.json(join([line async for line in lines]))


def _joined_chat(lines: list[Line]) -> Line:
    text = "".join(line["message"]["content"] for line in lines)
    return {**lines[-1], "message": {"role": "assistant", "content": text}}


def _joined_generate(lines: list[Line]) -> Line:
    return {**lines[-1], "response": "".join(line["response"] for line in lines)}


def duration(given: Any) -> float | None:
    """Return a keep-alive in seconds: a number of them, or a Go duration; below zero is forever.

    Raises:
        Failure: 400: it is neither.
    """
    if given is None:
        return None
    if isinstance(given, int | float) and not isinstance(given, bool):
        return math.inf if given < 0 else float(given)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)", str(given))
    sign, plain = str(given)[:1] == "-", str(given).lstrip("+-")
    if plain != "0" and (not parts or plain != "".join(map("".join, parts))):
        raise Failure(400, f'time: invalid duration "{given}"')
    return math.inf if sign else sum(float(number) * _UNITS_S[unit] for number, unit in parts)
