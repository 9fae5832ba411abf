"""GGUF to GGUF through llama.cpp's quantiser, in a process of its own.

Ollama v0.33.0-rc2, server/create.go rewriteLayerWithLlamaQuantize: llama-quantize writes the file
anew, also where nothing is quantised (type COPY). The process may end badly over a broken file,
as llama-quantize does; otherwise it is kept, because its start takes longer than a small file.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from tests.ollama_double.children import exit_text, spawn

_LOOK_S = 0.1


class QuantizeFailed(Exception):
    """llama.cpp refused the file."""


class Rewriter:
    """The process that rewrites, one file after the other."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._lock = asyncio.Lock()

    async def rewrite(self, source: Path, target: Path, kind: str) -> AsyncIterator[int]:
        """Write `target` from `source` and give the bytes written so far, now and then.

        Args:
            source: A GGUF.
            target: The file to write.
            kind: `COPY`, or a type as llama.cpp names it.

        Raises:
            QuantizeFailed: llama.cpp did not do it.
        """
        async with self._lock:
            code = asyncio.ensure_future(self._code(str(source), str(target), kind))
            try:
                while not code.done():
                    await asyncio.wait([code], timeout=_LOOK_S)
                    if target.exists():
                        yield target.stat().st_size
            finally:
                if not code.done():
                    await self.close()
                    await code
        if code.result():
            raise QuantizeFailed(f"llama-quantize failed: {exit_text(code.result())}")

    async def close(self) -> None:
        """End the process."""
        if self._process and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def _code(self, *request: str) -> int:
        if self._process is None or self._process.returncode is not None:
            self._process = await spawn("rewrite", piped=True)
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(request).encode() + b"\n")
        line = await process.stdout.readline()
        return int(line) if line else await process.wait()


def main() -> None:
    """Rewrite files as lines name them, and tell 0 for each that llama.cpp wrote."""
    import llama_cpp

    # Whatever llama.cpp prints goes to stderr: stdout is for codes.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        source, target, kind = json.loads(line)
        parameters = llama_cpp.llama_model_quantize_default_params()
        parameters.only_copy = kind == "COPY"
        if kind != "COPY":
            parameters.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{kind}")
        code = llama_cpp.llama_model_quantize(source.encode(), target.encode(), parameters)
        out.write(f"{int(code != 0)}\n")
        out.flush()


if __name__ == "__main__":
    main()
