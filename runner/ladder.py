"""The ladder of one model: each type written, read and compared with its own 16-bit file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fathom_tui.ladder import Rung
from fathom_tui.perplexity import change, perplexity
from fathom_tui.runner.losses import Reader, Reading, read_against, read_base
from fathom_tui.runner.quantized import effective_bits, quantize
from fathom_tui.runner.whole import remove

_SCRATCH = "f16.logits"


class Ladder:
    """A 16-bit GGUF and what its quantised files are measured by.

    Only ever used in a child process: llama.cpp ends the process on some broken files.
    """

    def __init__(
        self,
        f16: Path,
        folder: Path,
        *,
        threads: int,
        importance: Mapping[str, NDArray[np.float32]] | None = None,
        pace: bool = False,
    ) -> None:
        """Prepare to measure; nothing is read yet.

        Args:
            f16: The 16-bit file.
            folder: Where the distributions of the 16-bit file are kept meanwhile.
            threads: Threads for decoding.
            importance: What guides quantising, or None.
            pace: Whether to measure the pace of answering as well.
        """
        self._f16 = f16
        self._scratch = folder / _SCRATCH
        self._threads = threads
        self._importance = importance
        self._pace = pace
        self._tokens: list[int] = []
        self._n_ctx = 0
        self._base: Reading | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        remove(self._scratch)

    def read(self, text: Callable[[Callable[[str], int]], tuple[str, int]]) -> Rung:
        """Let the 16-bit file read a text, once for all its quantised files.

        Args:
            text: Given what counts a text's tokens, returns the text and the tokens of a chunk.

        Raises:
            CouldNotCheck: The text gives fewer than two chunks.
            EnvironmentProblem: llama.cpp refuses the file, or the disk is full.
        """
        with Reader(self._f16, n_ctx=64, threads=self._threads) as counter:
            said, self._n_ctx = text(lambda piece: len(counter.tokenize(piece)))
        with Reader(self._f16, n_ctx=self._n_ctx, threads=self._threads) as reader:
            self._tokens = reader.tokenize(said)
            self._base = read_base(
                reader, self._tokens, self._scratch, n_ctx=self._n_ctx, pace=self._pace
            )
        bits, _, _ = effective_bits(self._f16, "F16")
        return Rung(
            type="F16",
            bytes=self._f16.stat().st_size,
            effective_bits=bits,
            perplexity=perplexity(self._base.losses),
            change=None,
            divergence=None,
            tokens_per_s=self._base.tokens_per_s,
        )

    @property
    def n_ctx(self) -> int:
        """Tokens of a chunk; 0 before the 16-bit file has read."""
        return self._n_ctx

    def climb(self, target: Path, type_: str) -> Rung:
        """Write one type and measure it.

        Args:
            target: The file to write; it stays.
            type_: One of `QUANTIZATIONS`.

        Raises:
            ValueError: The 16-bit file has not read the text yet.
            EnvironmentProblem: llama.cpp cannot quantise, or the disk is full.
        """
        if self._base is None:
            raise ValueError("the 16-bit file has not read the text")
        quantize(self._f16, target, type_, importance=self._importance)
        bits, fallen_back, _ = effective_bits(target, type_)
        with Reader(target, n_ctx=self._n_ctx, threads=self._threads) as reader:
            reading = read_against(
                reader, self._tokens, self._scratch, n_ctx=self._n_ctx, pace=self._pace
            )
        return Rung(
            type=type_,
            bytes=target.stat().st_size,
            effective_bits=bits,
            fallback_tensors=fallen_back,
            perplexity=perplexity(reading.losses),
            change=change(self._base.losses, reading.losses),
            divergence=reading.divergence,
            tokens_per_s=reading.tokens_per_s,
        )
