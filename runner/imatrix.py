"""Importance of a model's columns: which activations are large where a text passes through it.

A quantiser that knows the mean square of each input column of a matrix spends its error where it
is multiplied by little. llama.cpp shows every tensor of a computation to a callback before and
after; what goes into the matrices of the layers is squared and added up here.

Source: llama.cpp tools/imatrix/imatrix.cpp, IMatrixCollector::collect_imatrix and
compute_imatrix; the layout of ggml_tensor is that of ggml/include/ggml.h.

Only ever used in a child process: llama.cpp ends the process on some broken files.
"""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fathom_tui.errors import CouldNotCheck, EnvironmentProblem
from fathom_tui.runner.llama import installed, open_model

CHUNK = 512
"""Tokens read at once, as llama.cpp's tool does by default."""
MOST_CHUNKS = 48
"""Chunks after which more text changes little. llama.cpp's quantize README recommends about a
hundred over general text; training text is narrower, and a chunk costs 2 s on two cores."""
_LEAST_ROWS = 16
"""Matrix products of fewer rows are passed over, as llama.cpp's tool does."""
_F32 = 0

Importance = dict[str, NDArray[np.float32]]
"""Mean square of each input column, by the name of the matrix: shape (matrices * columns,)."""


class Tensor(ctypes.Structure):
    """ggml_tensor, as far as it is looked at; checked against llama.cpp's own size of it."""


Tensor._fields_ = [
    ("type", ctypes.c_int),
    ("buffer", ctypes.c_void_p),
    ("ne", ctypes.c_int64 * 4),
    ("nb", ctypes.c_size_t * 4),
    ("op", ctypes.c_int),
    ("op_params", ctypes.c_int32 * 16),
    ("flags", ctypes.c_int32),
    ("src", ctypes.POINTER(Tensor) * 10),
    ("view_src", ctypes.c_void_p),
    ("view_offs", ctypes.c_size_t),
    ("data", ctypes.c_void_p),
    ("name", ctypes.c_char * 64),
    ("extra", ctypes.c_void_p),
    ("padding", ctypes.c_char * 8),
]
_OBJECT_BYTES = 32
"""What ggml_tensor_overhead counts beside the tensor itself."""


@dataclass(slots=True)
class _Sums:
    squares: NDArray[np.float32]
    """Shape (matrices, columns)."""
    rows: NDArray[np.int64]
    """Rows that were added; shape (matrices,)."""


@dataclass(slots=True)
class Collector:
    """What the callback has seen so far."""

    ggml: Any
    sums: dict[str, _Sums] = field(default_factory=dict)
    failure: BaseException | None = None
    """What went wrong inside the callback, which cannot raise through C."""

    def __call__(self, pointer: int, ask: bool, _: Any) -> bool:
        """Say whether a tensor is of interest, then add up what went into it."""
        try:
            tensor = ctypes.cast(pointer, ctypes.POINTER(Tensor)).contents
            if ask:
                return self._wants(tensor)
            self._add(tensor)
        except BaseException as error:
            self.failure = error
            return False
        return True

    def _wants(self, tensor: Tensor) -> bool:
        name = self.ggml.ggml_op_desc(ctypes.byref(tensor))
        if name not in (b"MUL_MAT", b"MUL_MAT_ID") or not _weight(tensor).startswith("blk."):
            return False
        inputs = tensor.src[1].contents
        return bool(inputs.type == _F32) and (
            name == b"MUL_MAT_ID" or bool(inputs.ne[1] >= _LEAST_ROWS)
        )

    def _add(self, tensor: Tensor) -> None:
        weight = tensor.src[0].contents
        inputs = self._values(tensor.src[1].contents, np.dtype(np.float32))
        matrices, columns = weight.ne[2] * weight.ne[3], weight.ne[0]
        sums = self.sums.setdefault(
            _weight(tensor),
            _Sums(np.zeros((matrices, columns), np.float32), np.zeros(matrices, np.int64)),
        )
        if tensor.src[2]:
            chosen = self._values(tensor.src[2].contents, np.dtype(np.int32))[0, 0]
            _add_experts(sums, inputs[0], chosen)
        else:
            _add_rows(sums, inputs, int(weight.ne[2]), int(weight.ne[3]))

    def _values(self, tensor: Tensor, kind: np.dtype[Any]) -> NDArray[Any]:
        """Return a tensor's values, copied from the device where they are not in memory.

        Returns:
            Shape ne[3], ne[2], ne[1], ne[0].
        """
        size = self.ggml.ggml_nbytes(ctypes.byref(tensor))
        if self.ggml.ggml_backend_buffer_is_host(tensor.buffer):
            raw: Any = (ctypes.c_char * size).from_address(tensor.data)
        else:
            raw = ctypes.create_string_buffer(size)
            self.ggml.ggml_backend_tensor_get(ctypes.byref(tensor), raw, 0, size)
        return np.ndarray(
            shape=tuple(tensor.ne[::-1]), strides=tuple(tensor.nb[::-1]), dtype=kind, buffer=raw
        )


def _weight(tensor: Tensor) -> str:
    """Return the name of the matrix; a device writes it as `CUDA0#blk.0.attn_k.weight#0`."""
    name: str = tensor.src[0].contents.name.decode(errors="replace")
    parts = name.split("#")
    return parts[1] if len(parts) > 1 else name


def _add_rows(sums: _Sums, inputs: NDArray[np.float32], second: int, third: int) -> None:
    squares = np.einsum("abrc,abrc->abc", inputs, inputs)
    for three in range(inputs.shape[0]):
        for two in range(inputs.shape[1]):
            sums.squares[(three % third) * second + two % second] += squares[three, two]
    rows = inputs.shape[0] * inputs.shape[1] * inputs.shape[2]
    sums.rows += rows // (second * third)


def _add_experts(sums: _Sums, inputs: NDArray[np.float32], chosen: NDArray[np.int32]) -> None:
    """Add rows to the experts they were sent to.

    Args:
        sums: By expert.
        inputs: Shape (tokens, experts used or 1, columns).
        chosen: The experts of each token; shape (tokens, experts used).
    """
    for place in range(chosen.shape[1]):
        rows = inputs[:, place % inputs.shape[1]]
        for expert in np.unique(chosen[:, place]):
            own = rows[chosen[:, place] == expert]
            sums.squares[expert] += np.einsum("rc,rc->c", own, own)
            sums.rows[expert] += len(own)


def importance(
    gguf: Path,
    text: str,
    *,
    threads: int,
    chunk: int = CHUNK,
    most: int = MOST_CHUNKS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Importance, int]:
    """Return the importance of every matrix column over a text, and the tokens read.

    Experts that no token reached count as if every column mattered alike.

    Args:
        gguf: The 16-bit model.
        text: Training text; never what the result is judged on.
        threads: Threads for decoding.
        chunk: Tokens read at once; a text shorter than that is read as one chunk.
        most: Chunks read; the rest of the text is left.
        progress: Called with (chunks done, chunks in all).

    Raises:
        CouldNotCheck: The text is too short, or the activations are not numbers.
        EnvironmentProblem: llama.cpp is not installed, refuses the file, or lays out tensors in
            another way than this program knows.
    """
    ggml = _ggml()
    llama = open_model(gguf, n_ctx=chunk, n_batch=chunk, threads=threads, n_ubatch=chunk)
    try:
        tokens = list(llama.tokenize(text.encode(), add_bos=True, special=True))
        size = min(chunk, len(tokens))
        if size < _LEAST_ROWS:
            raise CouldNotCheck(
                f"{len(tokens)} tokens of training text are too few for an importance matrix.",
                fix="Give more training rows, or leave imatrix off.",
            )
        pieces = [tokens[start : start + size] for start in range(0, len(tokens) - size + 1, size)][
            :most
        ]
        collector = Collector(ggml)
        _read(llama, pieces, collector, progress)
    finally:
        llama.close()
    return {name: _means(name, sums) for name, sums in collector.sums.items()}, size * len(pieces)


def _read(
    llama: Any,
    pieces: Sequence[Sequence[int]],
    collector: Collector,
    progress: Callable[[int, int], None],
) -> None:
    api = installed()
    callback = api.ggml_backend_sched_eval_callback(collector)
    settings = api.llama_context_params.from_buffer_copy(llama.context_params)
    settings.cb_eval = callback
    context = api.llama_init_from_model(llama.model, settings)
    if not context:
        raise EnvironmentProblem(
            f"llama.cpp has no room for {settings.n_ctx} tokens of context.",
            fix="Free some memory.",
        )
    vocab = api.llama_model_get_vocab(llama.model)
    bos = [api.llama_vocab_bos(vocab)] if api.llama_vocab_get_add_bos(vocab) else []
    batch = api.llama_batch_init(len(pieces[0]), 0, 1)
    try:
        for done, piece in enumerate(pieces, 1):
            fed = [*bos, *piece[len(bos) :]]
            _fill(batch, fed)
            api.llama_memory_clear(api.llama_get_memory(context), True)
            code = api.llama_decode(context, batch)
            api.llama_synchronize(context)
            if collector.failure is not None:
                raise collector.failure
            if code != 0:
                raise EnvironmentProblem(
                    f"llama.cpp could not decode a chunk of {len(fed)} tokens (code {code}).",
                    fix="Free some memory.",
                )
            progress(done, len(pieces))
    finally:
        api.llama_batch_free(batch)
        api.llama_free(context)


def _fill(batch: Any, tokens: Sequence[int]) -> None:
    batch.n_tokens = len(tokens)
    for index, token in enumerate(tokens):
        batch.token[index] = token
        batch.pos[index] = index
        batch.n_seq_id[index] = 1
        batch.seq_id[index][0] = 0
        # Of every token: else the last layer is computed for the last one only.
        batch.logits[index] = True


def _means(name: str, sums: _Sums) -> NDArray[np.float32]:
    rows = sums.rows[:, None]
    means = np.where(rows > 0, sums.squares / np.maximum(rows, 1), 1).astype(np.float32)
    if not np.isfinite(means).all():
        raise CouldNotCheck(
            f"The activations that enter {name} are not numbers.",
            fix="Train again with a lower learning_rate, or leave imatrix off.",
        )
    return means.ravel()


def _ggml() -> Any:
    """Return ggml's library, once its tensors are known to be laid out as they are read here."""
    installed()
    from llama_cpp._ctypes_extensions import load_shared_library
    from llama_cpp._ggml import libggml_base_path

    ggml = load_shared_library("ggml-base", libggml_base_path)
    ggml.ggml_tensor_overhead.restype = ctypes.c_size_t
    ggml.ggml_op_desc.restype = ctypes.c_char_p
    ggml.ggml_nbytes.restype = ctypes.c_size_t
    ggml.ggml_backend_buffer_is_host.restype = ctypes.c_bool
    ggml.ggml_backend_buffer_is_host.argtypes = [ctypes.c_void_p]
    ggml.ggml_backend_tensor_get.argtypes = [
        ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t,
    ]  # fmt: skip
    found, known = ggml.ggml_tensor_overhead() - _OBJECT_BYTES, ctypes.sizeof(Tensor)
    if found != known:
        raise EnvironmentProblem(
            f"This llama.cpp's tensors take {found} bytes, {known} are known here: an importance "
            "matrix cannot be read off them.",
            fix="Install llama-cpp-python 0.3.36, or leave imatrix off.",
        )
    return ggml
