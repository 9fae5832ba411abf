"""The stage `quantize`: the smallest file from the type wanted upwards that its text allows.

The f16 file reads the held-out text once; each quantised file reads it after that, and one whose
perplexity rises too much makes way for the next larger type. The 16-bit file stays where it is.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fathom_tui.gates import passed, refused, warned
from fathom_tui.ladder import REFUSED, Rung, upwards
from fathom_tui.perplexity import LEAST_CHUNKS, PerplexityChange, scored
from fathom_tui.runner.held_out import held_out_text, splits, training_text
from fathom_tui.runner.ladder import Ladder
from fathom_tui.runner.quantized import NOMINAL_BITS, effective_bits
from fathom_tui.runner.stage import Job, Report


def run(job: Job, report: Report) -> dict[str, Any]:
    """Write the quantised GGUF; return its path, sizes, effective bits and what it costs."""
    threads = int(job.results["preflight"]["threads"])
    f16, wanted = job.path("export", "f16"), job.plan.quantization
    for left_over in job.dir.glob("model.*"):
        left_over.unlink()
    importance, used = _importance(job, report, f16, threads)
    with Ladder(f16, job.dir, threads=threads, importance=importance) as ladder:
        report.progress(0, 3, "perplexity of the f16 file")
        ladder.read(lambda count: held_out_text(*splits(job), count))
        tried = _climb(report, ladder, job.dir, wanted)
    accepted = tried[-1]
    target = job.dir / file_name(accepted.type)
    tensors = effective_bits(target, accepted.type)[2]
    _judge_bits(report, accepted, tensors)
    _judge_perplexity(report, accepted, wanted)
    _judge_text(report, accepted, ladder.n_ctx)
    report.artifact("quantised", target)
    return {
        "quantised": f"quantize/{target.name}",
        "type": accepted.type,
        "wanted": wanted,
        "effective_bits": round(accepted.effective_bits, 3),
        "fallback_tensors": accepted.fallback_tensors,
        "tensors": tensors,
        "bytes": accepted.bytes,
        "f16_bytes": f16.stat().st_size,
        "perplexity": None if accepted.change is None else accepted.change.to_json(),
        "divergence": None if accepted.divergence is None else accepted.divergence.to_json(),
        "n_ctx": ladder.n_ctx,
        "steps": [rung.to_json() for rung in tried],
        "imatrix": used,
    }


def file_name(type_: str) -> str:
    """Return the name of a quantised file in the stage's folder."""
    return f"model.{type_.lower()}.gguf"


def _climb(report: Report, ladder: Ladder, folder: Path, wanted: str) -> list[Rung]:
    """Try types from the one wanted upwards; return all that were measured, the accepted last."""
    tried: list[Rung] = []
    steps = upwards(wanted)
    for place, name in enumerate(steps):
        report.progress(1 + place / len(steps), 3, f"{name}: quantise and read the text")
        target = folder / file_name(name)
        rung = ladder.climb(target, name)
        tried.append(rung)
        report.measured(f"quantize.kl_divergence.{name}", _mean(rung), "nats")
        if rung.band != REFUSED or name == steps[-1]:
            break
        report.note(f"{_said(rung)} Trying {steps[place + 1]}.")
        target.unlink()
    return tried


def _mean(rung: Rung) -> float:
    if rung.divergence is None:
        raise ValueError(f"{rung.type} was not compared")
    return rung.divergence.mean


def _importance(
    job: Job, report: Report, f16: Path, threads: int
) -> tuple[Mapping[str, NDArray[np.float32]] | None, dict[str, int] | None]:
    """Return the importance matrix over the training rows where the plan wants one."""
    if not job.plan.imatrix:
        return None, None
    from fathom_tui.runner.imatrix import importance

    found, tokens = importance(
        f16,
        training_text(job),
        threads=threads,
        progress=lambda done, total: report.progress(
            done / total, 3, f"importance matrix: {done} of {total} chunks of training text"
        ),
    )
    report.note(f"Importance matrix over {tokens} tokens of training text, {len(found)} matrices.")
    return found, {"tokens": tokens, "matrices": len(found)}


def _judge_bits(report: Report, rung: Rung, tensors: int) -> None:
    nominal, bits = NOMINAL_BITS[rung.type], rung.effective_bits
    if rung.fallback_tensors:
        report.gate(
            warned(
                "quantize.effective_bits",
                f"{rung.fallback_tensors} of {tensors} tensors cannot be {rung.type} (their rows "
                f"do not divide by 256): {bits:.2f} bits per weight in effect instead of "
                f"{nominal:g}.",
                "Nothing to do: judge the file by its size and its scores, not by its name.",
                effective_bits=bits,
            )
        )
    else:
        report.gate(
            passed("quantize.effective_bits", f"{bits:.2f} bits per weight.", effective_bits=bits)
        )


def _judge_perplexity(report: Report, rung: Rung, wanted: str) -> None:
    said = _said(rung)
    if rung.type != wanted:
        said = f"{wanted} rose too much, so the run went up to {rung.type}. {said}"
    if rung.band == REFUSED:
        fix = "No type keeps this model: ship the f16 file, or train a larger model."
        report.gate(refused("quantize.perplexity", said, fix))
    elif rung.band == "concerning" and rung.type != upwards(rung.type)[-1]:
        fix = f"Set quantization to {upwards(rung.type)[1]} and compare the scores."
        report.gate(warned("quantize.perplexity", said, fix))
    elif rung.band == "concerning":
        report.gate(warned("quantize.perplexity", said, "Compare the scores with those of f16."))
    else:
        report.gate(passed("quantize.perplexity", said))


def _said(rung: Rung) -> str:
    change, divergence = _change(rung), rung.divergence
    text = (
        f"{rung.type}: perplexity {change.f16:.3f} in f16, {change.quantised:.3f} quantised: "
        f"{change.rise:+.1%} ({change.low:+.1%} to {change.high:+.1%}, {change.tokens} tokens): "
        f"{change.band}."
    )
    if divergence is not None:
        text += (
            f" KL divergence {divergence.mean:.4f}, same top token {divergence.same_top:.1%} of "
            f"{divergence.tokens}."
        )
    return text


def _change(rung: Rung) -> PerplexityChange:
    if rung.change is None:
        raise ValueError(f"{rung.type} was not compared")
    return rung.change


def _judge_text(report: Report, rung: Rung, n_ctx: int) -> None:
    tokens = _change(rung).tokens
    if tokens < LEAST_CHUNKS * scored(n_ctx):
        report.gate(
            warned(
                "quantize.perplexity_text",
                f"Only {tokens} tokens were scored, fewer than {LEAST_CHUNKS} chunks.",
                "Give more validation rows for a narrower interval.",
            )
        )
