"""Per-token losses of a text under a GGUF, chunk by chunk as llama.cpp's perplexity tool does."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fathom_tui.errors import CouldNotCheck
from fathom_tui.perplexity import chunks, negative_log_likelihood
from fathom_tui.runner.llama import installed, open_model


def text_losses(gguf: Path, text: str, *, n_ctx: int, threads: int) -> NDArray[np.float64]:
    """Return the losses of the scored tokens.

    Args:
        gguf: The model file.
        text: The text; one trailing newline is dropped.
        n_ctx: Tokens of a chunk.
        threads: Threads for decoding.

    Raises:
        CouldNotCheck: The text gives fewer than two chunks.
        EnvironmentProblem: llama.cpp is not installed or refuses the file.

    Source: research note on tools/perplexity/perplexity.cpp, steps 1 to 6; flash attention off,
    because with it the batch layout moves the result by 0.2 %.
    """
    llama = open_model(
        gguf, n_ctx=n_ctx, n_batch=n_ctx, threads=threads, n_ubatch=min(512, n_ctx), logits_all=True
    )
    try:
        return _losses(llama, text, n_ctx)
    finally:
        llama.close()


def _losses(llama: Any, text: str, n_ctx: int) -> NDArray[np.float64]:
    api = installed()
    raw = text.encode()
    raw = raw[:-1] if raw.endswith(b"\n") else raw
    adds_bos = api.llama_vocab_get_add_bos(api.llama_model_get_vocab(llama.model))
    tokens = llama.tokenize(raw, add_bos=True, special=False)
    try:
        count = chunks(len(tokens), n_ctx)
    except ValueError as error:
        raise CouldNotCheck(
            f"Perplexity could not be measured: {error}.", fix="Give more validation rows."
        ) from error
    first, losses = n_ctx // 2, []
    for start in range(0, count * n_ctx, n_ctx):
        target = tokens[start : start + n_ctx]
        # The chunk's first token is replaced for decoding only, where the vocabulary wants BOS.
        fed = [llama.token_bos(), *target[1:]] if adds_bos else target
        llama.reset()
        llama.eval(fed)
        rows = np.asarray(llama.scores[first : n_ctx - 1], dtype=np.float32)
        losses.append(negative_log_likelihood(rows, np.asarray(target[first + 1 :])))
    return np.concatenate(losses)
