"""The stage `merge`: fold the adapter into 16-bit weights, and check that the merge is the adapter.

The adapter is merged in float32 and stored in 16 bit; never into quantised weights.
"""

import shutil
from pathlib import Path
from typing import Any

from fathom_tui.datasets.cases import read_split
from fathom_tui.errors import GateRefused
from fathom_tui.gates import passed, refused
from fathom_tui.runner.chat import Prompt, Template
from fathom_tui.runner.stage import Job, Report

TOLERANCE = 2e-3
"""Largest |logit(merged) - logit(adapter)| in float32; sums in another order differ by ~1e-4."""
_PROBES = 4


def run(job: Job, report: Report) -> dict[str, Any]:
    """Write the merged model; return its directory and the three-way logit comparison."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model_dir = Path(job.results["preflight"]["model_dir"])
    torch.set_num_threads(int(job.results["preflight"]["threads"]))
    tokenizer = AutoTokenizer.from_pretrained(model_dir, local_files_only=True)
    prompts = _probes(job, model_dir, tokenizer)
    base = AutoModelForCausalLM.from_pretrained(
        model_dir, local_files_only=True, dtype=torch.float32
    )
    before = _logits(base, prompts)
    tuned = PeftModel.from_pretrained(base, job.path("train", "adapter")).eval()
    with_adapter = _logits(tuned, prompts)
    merged = tuned.merge_and_unload()
    after = _logits(merged, prompts)
    report.progress(1, 2, "merged; comparing logits")
    drift = max(float((a - b).abs().max()) for a, b in zip(after, with_adapter, strict=True))
    change = max(float((a - b).abs().max()) for a, b in zip(after, before, strict=True))
    _judge(report, drift, change)
    target = job.dir / "model"
    shutil.rmtree(target, ignore_errors=True)
    merged.to(torch.float16).save_pretrained(target)
    tokenizer.save_pretrained(target)
    report.artifact("merged", target)
    return {
        "merged": "merge/model",
        "max_logit_drift": round(drift, 6),
        "max_logit_change": round(change, 4),
    }


def _probes(job: Job, model_dir: Path, tokenizer: Any) -> list[Any]:
    import torch

    template = Template(model_dir)
    prompt = Prompt(name="tuned", system=job.plan.tuned_instruction)
    cases = read_split(job.run_dir / "data" / "validation.jsonl")[:_PROBES]
    texts = [template.render(prompt.messages(case.input)) for case in cases]
    return [
        torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]]) for text in texts
    ]


def _logits(model: Any, prompts: list[Any]) -> list[Any]:
    import torch

    with torch.inference_mode():
        return [model(input_ids=ids).logits[0, -1].float() for ids in prompts]


def _judge(report: Report, drift: float, change: float) -> None:
    if drift > TOLERANCE:
        reason = (
            f"The merged model's logits differ from base + adapter by {drift:.4g} "
            f"(allowed {TOLERANCE:g})."
        )
    elif change <= drift:
        reason = f"The merged model is the base model: its logits changed by {change:.4g}."
    else:
        report.gate(
            passed(
                "merge.logits",
                f"Merged and adapter agree within {drift:.2g} and are {change:.3g} from base.",
            )
        )
        return
    gate = refused("merge.logits", reason, "Train again, and update peft.", waivable=False)
    report.gate(gate)
    raise GateRefused(reason, fix=gate.fix)
