"""A text under a GGUF, chunk by chunk as llama.cpp does it: losses, divergence, pace.

Each file reads the text once. What comparison needs of the 16-bit file goes to a scratch file in
the format of llama.cpp's own tool; the logits of one chunk are all that is ever in memory.

Only ever used in a child process: llama.cpp ends the process on some broken files.
"""

import ctypes
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from fathom_tui.divergence import Divergence, row_words, stored, summarised, token_divergences
from fathom_tui.errors import CouldNotCheck, EnvironmentProblem
from fathom_tui.perplexity import chunks, negative_log_likelihood, scored
from fathom_tui.runner.llama import installed, open_model

KEPT_BYTES = 384 << 20
"""Most that the scratch file takes; the chunks beyond it are scored without divergence. Enough for
eight chunks of 512 tokens over a vocabulary of 98,000, or five over one of 152,000."""
_MAGIC = b"_logits_"
_BLOCK = 64
"""Tokens whose distributions are compared at once: 39 MB a copy over a vocabulary of 152,000."""
_T = TypeVar("_T")
_PACE_PROMPT, _PACE_TOKENS = 32, 48
"""Tokens read ahead, then one by one, when the pace of answering is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one pass of a file over a text gave."""

    losses: NDArray[np.float64]
    """Of the scored tokens."""
    divergence: Divergence | None
    """From the 16-bit file; None where there is nothing to compare with."""
    tokens_per_s: float | None
    """One token after another, as an answer is written; None when it was not measured."""


class Reader:
    """A GGUF opened to read texts in chunks of one length."""

    def __init__(self, gguf: Path, *, n_ctx: int, threads: int) -> None:
        """Load a model.

        Args:
            gguf: The model file.
            n_ctx: Tokens of a chunk.
            threads: Threads for decoding.

        Raises:
            EnvironmentProblem: llama.cpp is not installed or refuses the file.
        """
        self._llama = open_model(
            gguf, n_ctx=n_ctx, n_batch=n_ctx, threads=threads, n_ubatch=min(512, n_ctx)
        )
        api = self._api = installed()
        self._n_ctx = n_ctx
        self._pool = ThreadPoolExecutor(threads)
        self._vocab = api.llama_model_get_vocab(self._llama.model)
        self._adds_bos = bool(api.llama_vocab_get_add_bos(self._vocab))
        self._batch = api.llama_batch_init(n_ctx, 0, 1)
        self.vocabulary = int(api.llama_vocab_n_tokens(self._vocab))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown()
        self._api.llama_batch_free(self._batch)
        self._llama.close()

    def in_blocks(self, work: Callable[..., _T], *arrays: NDArray[Any]) -> Iterator[_T]:
        """Yield what `work` makes of each block of rows, in order; numpy lets threads share it."""
        starts = range(0, len(arrays[0]), _BLOCK)
        cut = ([array[start : start + _BLOCK] for start in starts] for array in arrays)
        yield from self._pool.map(work, *cut)

    def tokenize(self, text: str) -> list[int]:
        """Return the tokens of a text as the tool sees it: one newline at its end is dropped."""
        raw = text.encode()
        raw = raw[:-1] if raw.endswith(b"\n") else raw
        return list(self._llama.tokenize(raw, add_bos=True, special=False))

    def rows(
        self, tokens: Sequence[int]
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """Yield each whole chunk's scored logits and the tokens they should have said.

        Yields:
            Logits, shape (`scored(n_ctx)`, vocabulary), valid until the next chunk; targets,
            shape (`scored(n_ctx)`,).

        Raises:
            CouldNotCheck: The text gives fewer than two chunks.
            EnvironmentProblem: llama.cpp cannot decode.
        """
        try:
            count = chunks(len(tokens), self._n_ctx)
        except ValueError as error:
            raise CouldNotCheck(
                f"Perplexity could not be measured: {error}.",
                fix="Give more held-out text; of a run: more validation rows.",
            ) from error
        first, size = self._n_ctx // 2, scored(self._n_ctx)
        for start in range(0, count * self._n_ctx, self._n_ctx):
            target = list(tokens[start : start + self._n_ctx])
            # The chunk's first token is replaced for decoding only, where the vocabulary wants BOS.
            bos = [self._api.llama_vocab_bos(self._vocab)] if self._adds_bos else target[:1]
            self._decode([*bos, *target[1:]], first)
            pointer = self._api.llama_get_logits_ith(self._llama.ctx, first)
            logits = np.ctypeslib.as_array(pointer, shape=(size, self.vocabulary))
            yield logits, np.asarray(target[first + 1 :])

    def pace(self, tokens: Sequence[int]) -> float:
        """Return the tokens a second at which answers are written: the median of single tokens."""
        tokens = list(tokens[: min(_PACE_PROMPT + _PACE_TOKENS, self._n_ctx)])
        ahead = min(_PACE_PROMPT, len(tokens) // 2)
        self._decode(tokens[:ahead], ahead - 1)
        taken = []
        for place in range(ahead, len(tokens)):
            begun = time.perf_counter()
            self._decode(tokens[place : place + 1], place, position=place)
            taken.append(time.perf_counter() - begun)
        return 1 / statistics.median(taken)

    def _decode(self, tokens: Sequence[int], first: int, *, position: int = 0) -> None:
        """Decode tokens from a position on; logits are kept from position `first` on."""
        batch = self._batch
        if position == 0:
            self._api.llama_memory_clear(self._api.llama_get_memory(self._llama.ctx), True)
        batch.n_tokens = len(tokens)
        for index, token in enumerate(tokens):
            batch.token[index] = token
            batch.pos[index] = position + index
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = 0
            batch.logits[index] = position + index >= first
        code = self._api.llama_decode(self._llama.ctx, batch)
        if code != 0:
            raise EnvironmentProblem(
                f"llama.cpp could not decode a chunk of {len(tokens)} tokens (code {code}).",
                fix="Free some memory.",
            )
        self._api.llama_synchronize(self._llama.ctx)


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

    Source: llama.cpp tools/perplexity/perplexity.cpp, perplexity(); flash attention off, because
    with it the batch layout moves the result by 0.2 %.
    """
    with Reader(gguf, n_ctx=n_ctx, threads=threads) as reader:
        return np.concatenate(
            [
                loss
                for logits, targets in reader.rows(reader.tokenize(text))
                for loss in reader.in_blocks(negative_log_likelihood, logits, targets)
            ]
        )


def read_base(
    reader: Reader, tokens: Sequence[int], kept: Path, *, n_ctx: int, pace: bool = False
) -> Reading:
    """Read a text with the 16-bit file and keep its distributions for `read_against`.

    Args:
        reader: The 16-bit file, opened for chunks of `n_ctx`.
        tokens: The text, as `reader.tokenize` gives it.
        kept: The scratch file to write, in the format of `llama-perplexity
            --kl-divergence-base`; it is the caller's to delete.
        n_ctx: Tokens of a chunk.
        pace: Whether to measure the pace of answering as well.

    Raises:
        CouldNotCheck: The text gives fewer than two chunks.
        EnvironmentProblem: The disk is full, or llama.cpp cannot decode.
    """
    row = 2 * row_words(reader.vocabulary)
    limit = max(1, KEPT_BYTES // (row * scored(n_ctx)))
    count = min(limit, len(tokens) // n_ctx)
    losses: list[NDArray[np.float64]] = []
    try:
        with kept.open("wb") as file:
            file.write(_MAGIC + np.array([n_ctx, reader.vocabulary, count], np.int32).tobytes())
            file.write(np.asarray(tokens[: count * n_ctx], np.int32).tobytes())
            for index, (logits, targets) in enumerate(reader.rows(tokens)):
                losses += reader.in_blocks(negative_log_likelihood, logits, targets)
                for block in reader.in_blocks(stored, logits) if index < count else ():
                    file.write(block.tobytes())
    except OSError as error:
        raise EnvironmentProblem(
            f"{kept} cannot be written: {error.strerror}.",
            fix=f"Free {row * scored(n_ctx) * count / 1e6:.0f} MB beside the run.",
        ) from error
    return Reading(
        losses=np.concatenate(losses),
        divergence=None,
        tokens_per_s=reader.pace(tokens) if pace else None,
    )


def read_against(
    reader: Reader, tokens: Sequence[int], kept: Path, *, n_ctx: int, pace: bool = False
) -> Reading:
    """Read a text with a quantised file; compare it with what `read_base` kept.

    Args:
        reader: The quantised file, opened for chunks of `n_ctx`.
        tokens: The text, the same as `read_base` was given.
        kept: What `read_base` wrote.
        n_ctx: Tokens of a chunk.
        pace: Whether to measure the pace of answering as well.

    Raises:
        CouldNotCheck: What was kept is of another vocabulary or another text.
        EnvironmentProblem: llama.cpp cannot decode.
    """
    losses: list[NDArray[np.float64]] = []
    values, same = [], []
    with kept.open("rb") as file:
        count = _header(file, kept, reader, tokens, n_ctx)
        for index, (logits, targets) in enumerate(reader.rows(tokens)):
            losses += reader.in_blocks(negative_log_likelihood, logits, targets)
            if index < count:
                words = row_words(reader.vocabulary)
                base = np.fromfile(file, np.uint16, len(logits) * words).reshape(-1, words)
                for found, agreed in reader.in_blocks(token_divergences, logits, base):
                    values.append(found)
                    same.append(agreed)
    return Reading(
        losses=np.concatenate(losses),
        divergence=summarised(np.concatenate(values), np.concatenate(same)),
        tokens_per_s=reader.pace(tokens) if pace else None,
    )


def _header(file: Any, kept: Path, reader: Reader, tokens: Sequence[int], n_ctx: int) -> int:
    """Return how many chunks were kept, once it is sure that they are of this text."""
    magic = file.read(len(_MAGIC))
    numbers = np.frombuffer(file.read(3 * ctypes.sizeof(ctypes.c_int32)), np.int32)
    fits = magic == _MAGIC and numbers.tolist()[:2] == [n_ctx, reader.vocabulary]
    count = int(numbers[2]) if fits else 0
    if not fits or np.fromfile(file, np.int32, count * n_ctx).tolist() != list(
        tokens[: count * n_ctx]
    ):
        raise CouldNotCheck(
            f"{kept} was not written for this text and this vocabulary: two files can be compared "
            "only where they read the same tokens.",
            fix="Compare a quantised file with the 16-bit file it was made from.",
        )
    return count
