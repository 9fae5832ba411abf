"""A GGUF in fewer bits: written by llama.cpp, with the bits it takes in effect."""

import ctypes
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fathom_tui.errors import EnvironmentProblem
from fathom_tui.runner.llama import installed
from fathom_tui.runner.whole import whole
from fathom_tui.sources.gguf_header import read_header

_F32 = 0
NOMINAL_BITS = {
    "Q2_K": 3.16,
    "Q3_K_M": 4.0,
    "Q4_K_M": 4.85,
    "Q5_K_M": 5.69,
    "Q6_K": 6.56,
    "Q8_0": 8.5,
}
"""Bits per weight on models whose rows divide by 256, as files come out in practice (see `fathom
catalog errata`; Q2_K and Q3_K_M: llama.cpp tools/quantize README, Llama 3.1 8B)."""


def quantize(
    source: Path,
    target: Path,
    wanted: str,
    *,
    importance: Mapping[str, NDArray[np.float32]] | None = None,
) -> None:
    """Quantise a GGUF; the file appears whole or not at all.

    Args:
        source: The 16-bit file.
        target: The file to write.
        wanted: One of `QUANTIZATIONS`.
        importance: What `importance` of `runner.imatrix` found, or None.

    Raises:
        EnvironmentProblem: llama.cpp is not installed or refuses the file, or the disk is full.
    """
    llama_cpp = installed()
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{wanted}")
    rows = _importance_rows(llama_cpp, importance or {})
    if importance:
        parameters.imatrix = rows
    with whole(target) as draft:
        code = llama_cpp.llama_model_quantize(str(source).encode(), str(draft).encode(), parameters)
        if code != 0:
            raise EnvironmentProblem(
                f"llama.cpp could not quantise {source} to {wanted} (code {code}).",
                fix="See whether the disk is full (df -h), else read the stage's stderr.log.",
            )


def _importance_rows(llama_cpp: Any, importance: Mapping[str, NDArray[np.float32]]) -> Any:
    """Return the array llama.cpp reads; it ends with a row without a name."""
    rows = (llama_cpp.llama_model_imatrix_data * (len(importance) + 1))()
    for row, (name, values) in zip(rows, importance.items(), strict=False):
        row.name = name.encode()
        row.data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        row.size = len(values)
    return rows


def effective_bits(path: Path, wanted: str) -> tuple[float, int, int]:
    """Return (bits per weight, tensors that fell back to another type, all tensors).

    K-quants need rows divisible by 256; llama.cpp stores the others in a larger legacy type. Its
    own count (the warning "180 of 272 tensor(s) required fallback" for SmolLM2) leaves out the
    output matrix, or the embedding where both are one: those have a rule of their own, which
    takes Q8_0 for such rows at once. This count follows it.

    Raises:
        UsageError: The file is no GGUF, or damaged.
    """
    header = read_header(path)
    output = "output.weight" if "output.weight" in header.tensors else "token_embd.weight"
    # What stays in float32 (norms, the router of a mixture of experts) was never to be quantised.
    rows = [
        shape[0]
        for name, shape in header.tensors.items()
        if header.kinds[name] != _F32 and name != output
    ]
    weights = sum(prod(shape) for shape in header.tensors.values())
    fallen_back = sum(row % 256 != 0 for row in rows) if "_K" in wanted else 0
    return 8 * header.weights / weights, fallen_back, len(header.tensors)
