"""The stage `quantize`: f16 GGUF to the wanted type through llama.cpp, with its effective bits."""

import os
from pathlib import Path
from typing import Any

from fathom_tui.errors import EnvironmentProblem
from fathom_tui.gates import passed, warned
from fathom_tui.runner.llama import installed
from fathom_tui.runner.stage import Job, Report

NOMINAL_BITS = {"Q4_K_M": 4.85, "Q5_K_M": 5.69, "Q6_K": 6.56, "Q8_0": 8.5}
"""Bits per weight on models whose rows divide by 256, as files come out in practice (see `fathom
catalog errata`)."""


def run(job: Job, report: Report) -> dict[str, Any]:
    """Write the quantised GGUF; return its path, size and effective bits per weight."""
    wanted = job.plan.quantization
    target = job.dir / f"model.{wanted.lower()}.gguf"
    quantize(job.path("export", "f16"), target, wanted)
    bits, fallen_back, tensors = effective_bits(target, wanted)
    _judge(report, wanted, bits, fallen_back, tensors)
    report.artifact("quantised", target)
    return {
        "quantised": f"quantize/{target.name}",
        "type": wanted,
        "effective_bits": round(bits, 3),
        "fallback_tensors": fallen_back,
        "tensors": tensors,
        "bytes": target.stat().st_size,
        "f16_bytes": job.path("export", "f16").stat().st_size,
    }


def quantize(source: Path, target: Path, wanted: str) -> None:
    """Quantise a GGUF; the file appears whole or not at all.

    Raises:
        EnvironmentProblem: llama.cpp is not installed or refuses the file.
    """
    llama_cpp = installed()
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{wanted}")
    draft = target.with_name(target.name + ".part")
    code = llama_cpp.llama_model_quantize(str(source).encode(), str(draft).encode(), parameters)
    if code != 0:
        draft.unlink(missing_ok=True)
        raise EnvironmentProblem(
            f"llama.cpp could not quantise {source} to {wanted} (code {code}).",
            fix="Read the stage's stderr.log.",
        )
    os.replace(draft, target)


def effective_bits(path: Path, wanted: str) -> tuple[float, int, int]:
    """Return (bits per weight, tensors that fell back to another type, all tensors).

    K-quants need rows divisible by 256; llama.cpp stores the others in a larger legacy type. Its
    own count (the warning "180 of 272 tensor(s) required fallback" for SmolLM2) leaves out the
    output matrix, or the embedding where both are one: those have a rule of their own, which
    takes Q8_0 for such rows at once. This count follows it.
    """
    from gguf import GGUFReader

    reader = GGUFReader(str(path))
    names = {tensor.name for tensor in reader.tensors}
    output = "output.weight" if "output.weight" in names else "token_embd.weight"
    # What stays in float32 (norms, the router of a mixture of experts) was never to be quantised.
    matrices = [t for t in reader.tensors if t.tensor_type.name != "F32" and t.name != output]
    bits = 8 * sum(int(t.n_bytes) for t in reader.tensors)
    weights = sum(int(t.n_elements) for t in reader.tensors)
    fallen_back = 0
    if "_K" in wanted:
        fallen_back = sum(int(tensor.shape[0]) % 256 != 0 for tensor in matrices)
    return bits / weights, fallen_back, len(reader.tensors)


def _judge(report: Report, wanted: str, bits: float, fallen_back: int, tensors: int) -> None:
    nominal = NOMINAL_BITS[wanted]
    if fallen_back:
        report.gate(
            warned(
                "quantize.effective_bits",
                f"{fallen_back} of {tensors} tensors cannot be {wanted} (their rows do not divide "
                f"by 256): {bits:.2f} bits per weight in effect instead of {nominal:g}.",
                "Nothing to do: judge the file by its size and its scores, not by its name.",
                effective_bits=bits,
            )
        )
    else:
        report.gate(
            passed("quantize.effective_bits", f"{bits:.2f} bits per weight.", effective_bits=bits)
        )
