"""Modules of this package as child processes."""

import asyncio
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""Where `tests` can be imported from."""
_LINE = 1 << 26
"""Longest line a child may write, bytes: a vector, or the tokens of a context."""


async def spawn(module: str, *arguments: str, piped: bool) -> asyncio.subprocess.Process:
    """Start `python -m tests.ollama_double.MODULE`, its stdin and stdout piped or closed."""
    pipe = asyncio.subprocess.PIPE if piped else asyncio.subprocess.DEVNULL
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", f"tests.ollama_double.{module}", *arguments),
        stdin=pipe,
        stdout=pipe,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=ROOT,
        limit=_LINE,
    )


def exit_text(code: int) -> str:
    """Return how a process ended as Go's os/exec says it."""
    return f"exit status {code}" if code >= 0 else f"signal: {-code}"
