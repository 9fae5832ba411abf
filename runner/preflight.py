"""The stage `preflight`: disk for the whole chain, memory, versions, the model's files."""

import json
from pathlib import Path
from typing import Any

from fathom_tui.errors import EnvironmentProblem
from fathom_tui.gates import Gate, passed, refused, warned
from fathom_tui.runner.base_model import locate, prepare
from fathom_tui.runner.score import cpu_threads
from fathom_tui.runner.stage import Job, Report
from fathom_tui.sources import host, nvml
from fathom_tui.sources.installed import packages

RESERVE_BYTES = 512 << 20
"""Left free for the system, journals and the database."""
_RUNTIME_BYTES = 1 << 30
"""Resident size of torch, transformers and trl with their buffers, beside the weights."""
_EMBEDDED_BYTES = 269_060_552
"""16-bit weights of the embedded model, before they exist."""
CONTEXT = 4096
"""Tokens of context for scoring: 24 shots and an answer fit."""


def run(job: Job, report: Report) -> dict[str, Any]:
    """Check what the whole chain needs before its first step; prepare the base model once."""
    source = locate(job.plan.model)
    weights = weight_bytes(source) if source is not None else _EMBEDDED_BYTES
    _require(report, disk_gate(weights, host.disk(job.run_dir).free_bytes))
    _require(report, memory_gate(weights, host.memory().available_bytes))
    report.gate(versions_gate())
    report.progress(1, 2, "preparing the base model (converted once, then kept)")
    base = prepare(job.plan.model, job.cache)
    context = _context_length(base.directory)
    report.gate(
        passed(
            "preflight.model", f"{base.name}: {weights / 1e6:.0f} MB in 16 bit, {context} tokens."
        )
    )
    return {
        "model_dir": str(base.directory),
        "base_gguf": str(base.gguf),
        "model_name": base.name,
        "weights_bytes": weights,
        "threads": cpu_threads(),
        "precision": "bf16" if _has_bf16() else "float32",
        "n_ctx": min(CONTEXT, context),
    }


def weight_bytes(directory: Path) -> int:
    """Return the size of a model's weights in 16 bit, from its safetensors headers."""
    total = 0
    for path in directory.glob("*.safetensors"):
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(length)) if 0 < length < 100_000_000 else {}
        if not header:
            raise EnvironmentProblem(
                f"{path} is not a safetensors file.", fix="Download the model again."
            )
        for name, tensor in header.items():
            if name != "__metadata__":
                size = 1
                for extent in tensor["shape"]:
                    size *= extent
                total += 2 * size
    return total


def disk_gate(weights: int, free: int) -> Gate:
    """Judge that everything the run will write fits before it writes anything.

    Args:
        weights: Bytes of the model in 16 bit.
        free: Bytes free where runs are kept.
    """
    # merged + f16 GGUF + quantised (at most 0.6 of f16) + base in the cache (directory and GGUF)
    # + three checkpoints with optimizer state (measured: 0.22 of the weights each at r = 16).
    need = int(weights * (1 + 1 + 0.6 + 2 + 3 * 0.22)) + RESERVE_BYTES
    if free < need:
        return refused(
            "preflight.disk",
            f"The run needs {need / 1e9:.1f} GB on disk, {free / 1e9:.1f} GB are free.",
            "Free some space, or set FATHOM_HOME to a larger disk.",
            waivable=False,
            need_bytes=need,
            free_bytes=free,
        )
    return passed(
        "preflight.disk",
        f"{need / 1e9:.1f} GB needed for the whole chain, {free / 1e9:.1f} GB free.",
        need_bytes=need,
        free_bytes=free,
    )


def memory_gate(weights: int, available: int | None) -> Gate:
    """Judge that a training child fits into memory.

    Args:
        weights: Bytes of the model in 16 bit; training holds them in float32.
        available: Bytes of memory available, or None when unknown.
    """
    # float32 weights twice (once while loading) and as much again for activations.
    need = weights * 2 * 3 + _RUNTIME_BYTES
    if available is None:
        return warned(
            "preflight.memory",
            f"About {need / 1e9:.1f} GB are needed; how much is available is unknown.",
            "Watch memory during the train stage.",
        )
    if available < need:
        return refused(
            "preflight.memory",
            f"Training needs about {need / 1e9:.1f} GB of memory, {available / 1e9:.1f} GB are "
            "available.",
            "Stop other programs, choose a smaller model, or waive this if swap may be used.",
            need_bytes=need,
            available_bytes=available,
        )
    return passed(
        "preflight.memory",
        f"About {need / 1e9:.1f} GB needed at the peak, {available / 1e9:.1f} GB available.",
    )


def versions_gate() -> Gate:
    """Compare installed packages with the set that was tested together."""
    off, absent = [], []
    for extra in ("train", "serve"):
        for package in packages().get(extra, ()):
            if package.installed is None:
                absent.append(package.name)
            elif not package.as_tested:
                off.append(f"{package.name} {package.installed} (tested {package.tested})")
    if absent:
        return refused(
            "preflight.versions",
            f"Not installed: {', '.join(absent)}.",
            'Run: pip install "fathom-tui[train,serve]"',
            waivable=False,
        )
    if off:
        return warned(
            "preflight.versions",
            "Other versions than tested: " + ", ".join(off) + ".",
            "Install with -c constraints.txt if something breaks.",
        )
    return passed("preflight.versions", "The installed versions are the tested set.")


def _require(report: Report, gate: Gate) -> None:
    report.gate(gate)
    if gate.outcome == "refuse" and not gate.waivable:
        raise EnvironmentProblem(gate.reason, fix=gate.fix)


def _has_bf16() -> bool:
    gpus = nvml.gpus().devices
    if gpus and gpus[0].capability is not None:
        return gpus[0].capability >= (8, 0)
    return bool(host.cpu().bf16)


def _context_length(directory: Path) -> int:
    config = json.loads((directory / "config.json").read_text("utf-8"))
    return int(config.get("max_position_embeddings", CONTEXT))
