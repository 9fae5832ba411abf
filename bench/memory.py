"""How far are the estimates of memory from what llama.cpp allocates and writes?

    python bench/memory.py

KV cache and compute buffer: llama.cpp's own report, a child process for each row, on the embedded
SmolLM2 and on random models of other shapes (grouped and single key heads, a sliding window,
latent attention, experts). Weights: the tensors in files that llama.cpp quantised; what the header
adds (the vocabulary: 1.8 MB in SmolLM2's) stands beside it. Targets: the cache equal in the two
decimals that are reported, weights within 1 %.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tiny_gguf
from results import keep

from fathom_tui.architecture import Architecture, Mla, Moe
from fathom_tui.memory import compute_bytes, kv_cache_bytes, weights_bytes
from fathom_tui.recipe import EMBEDDED
from fathom_tui.runner.base_model import prepare
from fathom_tui.runner.embedded import embedded_gguf
from fathom_tui.runner.quantized import quantize
from fathom_tui.sources.model_files import read_model

MIB = 2**20
TYPES = {"f16": 1, "q4_0": 2, "q8_0": 8}
FEW_QUANTS = ("F16", "Q8_0", "Q4_K_M", "Q2_K")
QUANTS = ("F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_K_S", "Q3_K_M", "Q2_K", "Q4_0")
MOST_WEIGHTS_ERROR = 0.01

PLAIN = Architecture(
    layers=9,
    hidden=512,
    intermediate=1_536,
    heads=8,
    kv_heads=2,
    head_dim=64,
    vocab=2_048,
    tied_embeddings=False,
    context=32_768,
)
LATENT = Mla(kv_lora_rank=512, rope_head_dim=64, nope_head_dim=128, value_head_dim=128)
SHAPES = {
    "grouped": ("llama", PLAIN),
    "single-key-head": ("llama", replace(PLAIN, kv_heads=1)),
    "wide-mlp": ("llama", replace(PLAIN, intermediate=16_384, layers=3)),
    "many-heads": ("llama", replace(PLAIN, heads=32, kv_heads=4, head_dim=128)),
    "sliding-window": (
        "gemma3",
        replace(
            PLAIN,
            layers=12,
            sliding_window=512,
            sliding_layers=10,
            norms=4,
            qk_norm=True,
            tied_embeddings=True,
        ),
    ),
    "latent": (
        "deepseek2",
        replace(
            PLAIN,
            layers=27,  # llama.cpp knows DeepSeek-V2-Lite by its layers
            head_dim=192,
            kv_heads=8,
            mla=LATENT,
            moe=Moe(experts=4, active=2, intermediate=256, shared_intermediate=256, dense_layers=1),
        ),
    ),
    "experts": (
        "qwen3moe",
        replace(PLAIN, qk_norm=True, moe=Moe(experts=16, active=4, intermediate=384)),
    ),
    "eight-experts": (
        "qwen3moe",
        replace(PLAIN, qk_norm=True, moe=Moe(experts=8, active=2, intermediate=768)),
    ),
}
ASKED = (
    # context, cache, flash attention, windows kept whole
    (300, "f16", True, False),
    (1_000, "q8_0", True, False),
    (4_096, "q4_0", True, False),
    (4_096, "f16", False, False),
    (20_000, "f16", True, False),
    (4_096, "f16", True, True),
)
LOAD = """
import sys
from llama_cpp import Llama
path, context, kind, flash, whole = sys.argv[1], *map(int, sys.argv[2:])
Llama(path, n_ctx=context, n_batch=512, type_k=kind, type_v=kind, flash_attn=bool(flash),
      swa_full=bool(whole), n_threads=1, verbose=True)
"""


def main() -> int:
    """Compare every row and keep the table; 1 when a target is missed."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None).parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        models = dict(_models(Path(scratch)))
        buffers = [row for name, path in models.items() for row in _buffers(name, path)]
        weights = [row for name, path in models.items() for row in _weights(name, path, FEW_QUANTS)]
        base = prepare(EMBEDDED, Path(scratch) / "cache")
        weights += _weights("SmolLM2-135M", base.gguf, QUANTS)
    unequal = [row for row in buffers if row["kv_cache"]["error_mib"] > 0.005 * row["buffers"]]
    worst = max(abs(row["error_percent"]) for row in weights)
    keep(
        "memory",
        {
            "kv_cache_equal": len(buffers) - len(unequal),
            "of": len(buffers),
            "weights_worst_percent": worst,
            "compute_worst_percent": max(abs(r["compute"]["error_percent"]) for r in buffers),
            "buffers": buffers,
            "weights": weights,
        },
    )
    return 1 if unequal or worst > 100 * MOST_WEIGHTS_ERROR else 0


def _models(scratch: Path) -> Iterator[tuple[str, Path]]:
    yield "SmolLM2-135M (embedded)", embedded_gguf()
    for name, (kind, shape) in SHAPES.items():
        yield name, tiny_gguf.write(scratch / f"{name}.gguf", kind, shape)


def _buffers(name: str, path: Path) -> Iterator[dict[str, Any]]:
    architecture = read_model(path).architecture
    for context, kind, flash, whole in ASKED:
        if whole and architecture.sliding_window is None:
            continue
        cache, compute = _report(path, context, kind, flash, whole)
        estimate = kv_cache_bytes(architecture, context, kind, whole_window=whole) / MIB
        buffer = (
            compute_bytes(architecture, context, flash_attention=flash, whole_window=whole) / MIB
        )
        yield {
            "model": name,
            "context": context,
            "cache_type": kind,
            "flash_attention": flash,
            "whole_window": whole,
            "buffers": len(cache),
            "kv_cache": {
                "reported_mib": round(sum(cache), 2),
                "estimated_mib": round(estimate, 4),
                "error_mib": round(abs(estimate - sum(cache)), 4),
            },
            "compute": {
                "reported_mib": compute,
                "estimated_mib": round(buffer, 2),
                "error_percent": round(100 * (buffer / compute - 1), 1),
            },
        }


def _report(
    path: Path, context: int, kind: str, flash: bool, whole: bool
) -> tuple[list[float], float]:
    """Return the sizes of the cache's buffers and of the compute buffer, in MiB."""
    numbers = map(str, (context, TYPES[kind], int(flash), int(whole)))
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(path), *numbers],
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
    )
    said = done.stdout + done.stderr
    cache = re.findall(r"llama_kv_cache: +\S+ KV buffer size = +([\d.]+) MiB", said)
    compute = re.findall(r"sched_reserve: +\S+ compute buffer size = +([\d.]+) MiB", said)
    return [float(size) for size in cache], float(compute[-1])


def _weights(name: str, path: Path, quants: Sequence[str]) -> Iterator[dict[str, Any]]:
    if name.endswith("(embedded)"):
        return  # its mixture is its publisher's
    for quant in quants:
        file = path
        if quant != "F16":
            file = path.with_suffix(f".{quant}.gguf")
            quantize(path, file, quant)
        found = read_model(file)
        estimate = weights_bytes(found.architecture, quant.lower(), 0.0)
        tensors = found.weights_bytes or 0
        yield {
            "model": name,
            "quant": quant,
            "tensor_bytes": tensors,
            "header_bytes": file.stat().st_size - tensors,
            "estimated_bytes": estimate,
            "error_percent": round(100 * (estimate / tensors - 1), 3),
        }
        if file != path:
            file.unlink()


if __name__ == "__main__":
    raise SystemExit(main())
