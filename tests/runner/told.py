"""A stand-in for a stage's process, for what the agent does with what a process says."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fathom_tui.runner.stage import Job
from fathom_tui.runner.supervise import Ended

Line = dict[str, Any]
Script = Callable[[Job], list[Line]]

_SCORE = {"value": 0.9, "low": 0.8, "high": 1.0, "n": 10, "parts": {"label": 0.9}}
RESULTS: Mapping[str, Mapping[str, Any]] = {
    "preflight": {"threads": 1},
    "data": {"sha256": {"test": "0" * 64}, "counts": {"train": 48, "validation": 6, "test": 6}},
    "quantize": {"bytes": 1, "f16_bytes": 2, "type": "Q4_K_M", "effective_bits": 4.85},
    "verify": {
        "perplexity": {
            "f16": 12.0, "quantised": 12.1, "rise": 0.01, "low": 0.0, "high": 0.02,
            "band": "excellent",
        }
    },
    "evaluate": {
        "scores": dict.fromkeys(("untuned", "prompt", "tuned", "quantised"), _SCORE),
        "target": {"explained": "0.600"},
        "verdict": "pass",
        "headline": "Ship it.",
    },
    "deploy": {
        "target": "llama-cpp", "version": "v1", "alias": "toy", "sha256": "1" * 64,
        "url": "http://127.0.0.1:1/v1",
    },
    "anchors": {"passed": 10, "total": 10, "failures": []},
}  # fmt: skip
"""What each stage results in; only what the agent and the commands read."""


def result(job: Job) -> list[Line]:
    """Say the stage's result and nothing else."""
    return [line("result", result=dict(RESULTS.get(job.stage, {"stage": job.stage})))]


def line(kind: str, **data: Any) -> Line:
    """Return one line as a child writes it."""
    return {"kind": kind, "data": data}


def child(script: Script) -> type:
    """Return a class to put in the place of `Child`: a process that says its lines and ends."""

    class Told:
        def __init__(self, job: Job) -> None:
            self.error_log: Path = job.dir / "stderr.log"
            self._lines = script(job)

        def lines(self, wait_s: float) -> Iterator[Line]:
            while self._lines:
                yield self._lines.pop(0)

        def ended(self) -> Ended:
            return Ended(code=0, oom_kills=0)

        def end(self) -> None:
            self._lines.clear()

        def last_words(self) -> str:
            return ""

    return Told
