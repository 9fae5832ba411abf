"""What the tests that start doubles of their own share."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tests.contract.client import Api, Json

if TYPE_CHECKING:
    from tests.ollama_double.started import Double

Start = Callable[..., "tuple[Api, Double]"]
"""Starts a double with faults, or of another version: the fixture `start`."""


def creation(api: Api, gguf: Path) -> Json:
    """Upload a GGUF; return the request that creates `m:v1` from it."""
    return {"model": "m:v1", "files": {"m.gguf": api.upload(gguf.read_bytes())}}


def names(api: Api) -> list[str]:
    """Return the names of all models."""
    return [model["name"] for model in api.http.get("/api/tags").json()["models"]]


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
