"""What a full deploy of the embedded model takes: create, anchors, alias, anchors again.

    python bench/deploy.py [--rounds 3]

On `llama-cpp` with its real server, and on `ollama` with the double that the contract suite runs
(a process that keeps blobs and manifests as Ollama does and answers by llama.cpp). Each round
starts with an empty serving folder; 20 anchors are asked before the alias moves where the target
can do that, and again when it has moved. Wanted: 30 s on two cores.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from results import keep

sys.path.insert(0, str(Path(__file__).parents[1]))

from fathom_tui.anchors import AnchorSet
from fathom_tui.runner.embedded import embedded_gguf
from fathom_tui.runner.release import ask, confirm, go_live, keep_anchors
from fathom_tui.runner.score import cpu_threads
from fathom_tui.runner.targets import Target, open_target
from fathom_tui.serving import ServingSpec
from fathom_tui.store.artifacts import content
from tests.ollama_double.started import double
from tests.served import MOST_TOKENS, N_CTX, QUESTIONS, SLUG, SYSTEM, anchor_set

ANCHORS, WANTED_S = 20, 30.0


def main() -> int:
    """Deploy to each target, and keep the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    result: dict[str, object] = {"anchors": ANCHORS, "wanted_s": WANTED_S}
    slowest = 0.0
    for name in ("llama-cpp", "ollama"):
        rounds = [deploy(name) for _ in range(given.rounds)]
        median = statistics.median(sum(steps.values()) for steps in rounds)
        result[name] = {"median_s": round(median, 2), "rounds": rounds}
        slowest = max(slowest, median)
    keep("deploy", result)
    return 0 if slowest <= WANTED_S else 1


@contextmanager
def opened(name: str, scratch: Path) -> Iterator[Target]:
    """Give a target with nothing in it yet."""
    root = scratch / "serving" / SLUG
    if name == "ollama":
        with double(scratch / "models") as server:
            yield open_target(name, root=root, alias=SLUG, environment={"OLLAMA_HOST": server.url})
        return
    target = open_target(name, root=root, alias=SLUG, environment={})
    try:
        yield target
    finally:
        target.stop()


def deploy(name: str) -> dict[str, float]:
    """Return the seconds of each step of one deploy."""
    steps: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch, opened(name, Path(scratch)) as target:
        root = Path(scratch) / "serving" / SLUG
        gguf = embedded_gguf()
        begun = time.monotonic()

        def lap(step: str) -> None:
            nonlocal begun
            steps[step] = round(time.monotonic() - begun, 2)
            begun = time.monotonic()

        version = target.create(gguf, spec(content(gguf).sha256))
        lap("create")
        anchors = replace(questions(), version=version)
        keep_anchors(root, anchors)
        if target.asks_any_version:
            ask(target, anchors, version=version)
            lap("anchors before")
        go_live(target, root, version)
        lap("activate")
        asked = ask(target, anchors)
        confirm(root, anchors, asked)
        lap("anchors")
    return steps


def spec(sha256: str) -> ServingSpec:
    """Return how the embedded model is served."""
    return ServingSpec(
        sha256=sha256,
        system=SYSTEM,
        n_ctx=N_CTX,
        threads=cpu_threads(),
        max_new_tokens=MOST_TOKENS,
    )


def questions() -> AnchorSet:
    """Return prompts of a length as anchors have; what is answered does not matter here."""
    return anchor_set([(q, "Paris.") for q in QUESTIONS[:ANCHORS]], version="v1", sha256="")


if __name__ == "__main__":
    sys.exit(main())
