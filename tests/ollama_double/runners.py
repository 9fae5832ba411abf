"""Loaded models: who is loaded, for how long, and asking them.

Ollama v0.33.0-rc2, server/sched.go: runners are keyed by the GGUF's path, so names that share
weights share a runner; another `num_ctx` loads anew; three stay loaded; each leaves when its
keep-alive has passed.
"""

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.ollama_double.answers import Failure
from tests.ollama_double.children import exit_text, spawn
from tests.ollama_double.faults import SLOW_LOAD_S, Faults
from tests.ollama_double.models import Model

_KEEP_ALIVE_S = 300.0
_MOST = 3
"""OLLAMA_MAX_LOADED_MODELS where it is not set."""
_EMBEDDING_BATCH = 2048
_DEAD = (
    "model runner has unexpectedly stopped, this may be due to resource limitations or an "
    "internal error, check ollama server logs for details"
)


class Runner:
    """A model's process."""

    def __init__(self, process: asyncio.subprocess.Process, model: Model, n_ctx: int) -> None:
        self._process = process
        self._lock = asyncio.Lock()
        self.model = model
        self.n_ctx = n_ctx
        self.session = _KEEP_ALIVE_S
        self.users = 0
        self.expires = math.inf
        self.timer: asyncio.TimerHandle | None = None

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def started(self) -> None:
        """Wait until the model is loaded.

        Raises:
            Failure: 500: llama.cpp does not load it.
        """
        if await self._read() is None:
            code = await self._process.wait()
            raise Failure(500, f"llama-server process has terminated: {exit_text(code)}")

    async def ask(self, op: str, **request: Any) -> AsyncIterator[dict[str, Any]]:
        """Give what the model's process answers; a caller that goes away stops it.

        Raises:
            Failure: 500: it refuses, or it died.
        """
        async with self._lock:
            self._tell(json.dumps({"op": op, **request}))
            done = False
            try:
                while not done:
                    answer = await self._read()
                    if answer is None:
                        await self._process.wait()
                        raise Failure(500, _DEAD)
                    done = bool(answer.get("done"))
                    if "error" in answer:
                        raise Failure(500, str(answer["error"]))
                    yield answer
            finally:
                if not done and self.alive:
                    self._tell("stop")
                    while answer := await self._read():
                        if answer.get("done"):
                            break

    async def once(self, op: str, **request: Any) -> dict[str, Any]:
        """Return the last answer to a request."""
        answers = [answer async for answer in self.ask(op, **request)]
        return answers[-1]

    async def close(self) -> None:
        if self.timer:
            self.timer.cancel()
        if self.alive:
            self._process.kill()
        await self._process.wait()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")

    async def _read(self) -> dict[str, Any] | None:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        return dict(json.loads(line)) if line else None


class Runners:
    """All loaded models."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._loaded: dict[tuple[Path, ...], Runner] = {}
        self._loading = asyncio.Lock()

    @property
    def loaded(self) -> list[Runner]:
        """Those that stay longest first (routes.go PsHandler)."""
        return sorted(self._loaded.values(), key=lambda runner: -runner.expires)

    @asynccontextmanager
    async def using(
        self, model: Model, options: dict[str, Any], keep_alive: float | None
    ) -> AsyncIterator[Runner]:
        """Give a model's runner, loaded first where it has to be.

        Args:
            model: The model.
            options: Merged options.
            keep_alive: Seconds it stays loaded afterwards; None leaves that as it is.

        Raises:
            Failure: 500: it does not load. 503: too many are waiting.
        """
        if self._faults.strikes("busy"):
            raise Failure(503, "server busy, please try again.  maximum pending requests exceeded")
        async with self._loading:
            runner = await self._fresh(model, options)
            runner.users += 1
        if keep_alive is not None:
            runner.session = keep_alive
        runner.expires = time.time() + runner.session
        try:
            yield runner
        finally:
            runner.users -= 1
            self._arm(runner)
            if not runner.users and (not runner.session or not runner.alive):
                await self.unload(model)

    async def unload(self, model: Model) -> None:
        """End a model's runner, if it has one (sched.go expireRunner)."""
        runner = self._loaded.pop(model.files, None)
        if runner:
            await runner.close()

    async def close(self) -> None:
        for runner in self.loaded:
            await self.unload(runner.model)

    async def _fresh(self, model: Model, options: dict[str, Any]) -> Runner:
        trained = model.header.own("context_length") or options["num_ctx"]
        n_ctx = min(options["num_ctx"], trained)
        runner = self._loaded.get(model.files)
        if runner and runner.alive and runner.n_ctx == n_ctx:
            return runner
        await self.unload(model)
        idle = [one for one in reversed(self.loaded) if not one.users]
        if len(self._loaded) >= _MOST and idle:
            await self.unload(idle[0].model)
        if self._faults.strikes("slow-load"):
            await asyncio.sleep(SLOW_LOAD_S)
        runner = Runner(await _process(model, options, n_ctx), model, n_ctx)
        await runner.started()
        self._loaded[model.files] = runner
        return runner

    def _arm(self, runner: Runner) -> None:
        if runner.timer:
            runner.timer.cancel()
        runner.expires = time.time() + runner.session
        if runner.session and not math.isinf(runner.session):
            loop = asyncio.get_running_loop()
            runner.timer = loop.call_later(runner.session, self._expire, runner)

    def _expire(self, runner: Runner) -> None:
        if not runner.users and self._loaded.get(runner.model.files) is runner:
            task = asyncio.ensure_future(self.unload(runner.model))
            _ending.add(task)
            task.add_done_callback(_ending.discard)


_ending: set[asyncio.Future[None]] = set()
"""Unloads under way: the loop alone would forget them."""


async def _process(model: Model, options: dict[str, Any], n_ctx: int) -> asyncio.subprocess.Process:
    # A text is embedded in one batch (llama_server.go DefaultEmbeddingNumBatch).
    n_batch = _EMBEDDING_BATCH if model.header.pooled else options["num_batch"]
    arguments = [
        *("--n-ctx", str(n_ctx)),
        *("--n-batch", str(min(n_batch, n_ctx))),
        *("--threads", str(options["num_thread"])),
        *[f"--lora={adapter}" for adapter in model.files[1:]],
        *(["--embedding"] if model.embeds else []),
    ]
    return await spawn("engine", str(model.files[0]), *arguments, piped=True)
