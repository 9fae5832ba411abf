"""POST /api/embed (Ollama v0.33.0-rc2, server/routes.go EmbedHandler)."""

import math
import time
from typing import Any

from tests.ollama_double import models
from tests.ollama_double.answers import Call, Failure, without_zeros
from tests.ollama_double.chat import duration
from tests.ollama_double.options import WrongOption, merged
from tests.ollama_double.runners import Runner
from tests.ollama_double.server import Server

_FIELDS = {
    **{"model": "string", "input": "any", "truncate": "bool", "dimensions": "int"},
    **{"options": "object", "keep_alive": "any"},
}
_TOO_LONG = "the input length exceeds the context length"
# What llama-server says; a model without a pooling type is loaded without the switch it names.
_NO_EMBEDDINGS = "This server does not support embeddings. Start it with `--embeddings`"


async def embed(server: Server, call: Call) -> None:
    """Give one vector of length 1 for each text."""
    request = await call.bind("EmbedRequest", _FIELDS)
    raw = request.get("model") or ""
    empty, invalid = Failure(404, "model '' not found"), Failure(400, "invalid model name")
    name = models.resolved(server.store, raw, empty, invalid)
    texts = _texts(request.get("input"))
    model = models.load(server.store, server.version, name)
    if model is None:
        raise Failure(404, f'model "{raw}" not found, try pulling it first')
    try:
        options = merged(model.options, request.get("options") or {})
    except WrongOption as error:
        raise Failure(500, str(error)) from error
    begun = time.monotonic_ns()
    keep_alive = duration(request.get("keep_alive"))
    async with server.runners.using(model, options, keep_alive) as runner:
        loaded = time.monotonic_ns()
        if texts and not model.embeds:
            raise Failure(501, _NO_EMBEDDINGS)
        vectors, tokens = await _vectors(runner, texts, request)
    answer = {"model": raw, "embeddings": vectors}
    if not texts:
        await call.json(answer)
        return
    metrics = {
        "total_duration": time.monotonic_ns() - begun,
        "load_duration": loaded - begun,
        "prompt_eval_count": tokens,
    }
    await call.json({**answer, **without_zeros(metrics)})


def _texts(given: Any) -> list[str]:
    if given is None or given == "":
        return []
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        raise Failure(400, "invalid input type")
    return given


async def _vectors(
    runner: Runner, texts: list[str], request: dict[str, Any]
) -> tuple[list[list[float]], int]:
    vectors, total = [], 0
    for text in texts:
        if request.get("truncate") is False:
            ids = (await runner.once("tokenize", text=text))["tokens"]
            if len(ids) > runner.n_ctx:
                raise Failure(400, _TOO_LONG)
        answer = await runner.once("embed", text=text)
        vector = _unit(answer["vector"])
        dimensions = request.get("dimensions") or 0
        if 0 < dimensions < len(vector):
            vector = _unit(vector[:dimensions])
        vectors.append(vector)
        total += answer["tokens"]
    return vectors, total


def _unit(vector: list[float]) -> list[float]:
    length = math.sqrt(sum(value * value for value in vector))
    return [value / max(length, 1e-12) for value in vector]
