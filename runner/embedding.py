"""Texts as vectors from a GGUF: a child process that loads it, asks llama.cpp and ends.

python -P -m fathom_tui.runner.embedding PARENT_PID < {"gguf", "texts"} > [[...], ...]

llama-cpp-python's server embeds only when it was started for that, and then answers no chat; so a
second process reads the same file, whose pages the kernel holds already.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from fathom_tui.errors import CouldNotCheck

MOST_TOKENS = 512
"""Of a text; what comes behind is left out."""
_PATIENCE_S = 600.0


def embed(gguf: Path, texts: Sequence[str]) -> list[list[float]]:
    """Return a vector of length 1 for each text: the mean of the last layer over its tokens.

    Args:
        gguf: The model.
        texts: Texts, none of them empty.

    Raises:
        CouldNotCheck: The model cannot be loaded, or the process ended without an answer.
    """
    from fathom_tui.runner.supervise import GOOD_NEIGHBOUR

    order = {"gguf": str(gguf), "texts": list(texts)}
    try:
        ended = subprocess.run(
            [sys.executable, "-P", "-m", "fathom_tui.runner.embedding", str(os.getpid())],
            input=json.dumps(order).encode(),
            capture_output=True,
            timeout=_PATIENCE_S,
            env={**GOOD_NEIGHBOUR, **os.environ, "GGML_NO_BACKTRACE": "1"},
            check=True,
        )
        vectors: list[list[float]] = json.loads(ended.stdout)
        return vectors
    except subprocess.TimeoutExpired as error:
        raise CouldNotCheck(
            f"Embedding {len(texts)} texts took longer than {_PATIENCE_S:.0f} s.",
            fix="Give fewer inputs.",
        ) from error
    except (subprocess.CalledProcessError, ValueError) as error:
        said = getattr(error, "stderr", b"").decode("utf-8", "replace").strip()
        raise CouldNotCheck(
            f"{gguf} gives no embeddings: {said.splitlines()[-1] if said else error}",
            fix="Look whether llama.cpp is there and works: fathom doctor",
        ) from error


def main(arguments: list[str]) -> int:
    """Read an order from stdin and write its vectors to stdout."""
    from fathom_tui.runner.child import die_with_parent
    from fathom_tui.runner.llama import installed, open_model
    from fathom_tui.runner.score import cpu_threads

    die_with_parent(int(arguments[0]))
    order = json.load(sys.stdin)
    # llama.cpp must not write between the brackets.
    answer = os.dup(1)
    os.dup2(2, 1)
    model = open_model(
        Path(order["gguf"]),
        n_ctx=MOST_TOKENS,
        n_batch=MOST_TOKENS,
        n_ubatch=MOST_TOKENS,  # a text is pooled within one batch
        threads=cpu_threads(),
        embedding=True,
        pooling_type=installed().LLAMA_POOLING_TYPE_MEAN,
    )
    vectors = model.embed(order["texts"], normalize=True)
    with os.fdopen(answer, "w", encoding="utf-8") as stream:
        json.dump([[round(float(number), 7) for number in vector] for vector in vectors], stream)
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)  # llama.cpp frees its threads at length; the answer is written
