"""The stage `merge`: fold the adapter into 16-bit weights, and check that the merge is the adapter.

The adapter is merged in float32 and stored in 16 bit; never into quantised weights, whose rounding
would swallow it. What transformers makes of some validation prompts is written down here, where
the weights are in memory: the files made from them are held against it. Adapter and 16-bit weights
stay in the run.
"""

from pathlib import Path
from typing import Any

from fathom_tui.datasets.cases import Case, read_split
from fathom_tui.errors import GateRefused
from fathom_tui.gates import passed, refused
from fathom_tui.runner.base_model import require_16_bit
from fathom_tui.runner.chat import Prompt, Template
from fathom_tui.runner.reference import ANSWERED, answered, reference, write_reference
from fathom_tui.runner.stage import Job, Report
from fathom_tui.runner.whole import whole

TOLERANCE = 2e-3
"""Largest |logit(merged) - logit(adapter)| in float32; sums in another order differ by ~1e-4."""
_PROBES = 4


def run(job: Job, report: Report) -> dict[str, Any]:
    """Write the merged model; return its directory and the three-way logit comparison."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model_dir = Path(job.results["preflight"]["model_dir"])
    require_16_bit(model_dir)
    torch.set_num_threads(int(job.results["preflight"]["threads"]))
    tokenizer = AutoTokenizer.from_pretrained(model_dir, local_files_only=True)
    cases = read_split(job.run_dir / "data" / "validation.jsonl")
    prompts = _probes(job, model_dir, tokenizer, cases)
    base = AutoModelForCausalLM.from_pretrained(
        model_dir, local_files_only=True, dtype=torch.float32
    )
    before = _logits(base, prompts)
    tuned = PeftModel.from_pretrained(base, job.path("train", "adapter")).eval()
    with_adapter = _logits(tuned, prompts)
    prompt = Prompt(name="tuned", system=job.plan.tuned_instruction)
    found = reference(tokenizer, _ends(base), prompt, cases)
    limit = job.plan.max_new_tokens
    found = answered(found, tuned, tokenizer, form="adapter", limit=limit)
    merged = tuned.merge_and_unload()
    after = _logits(merged, prompts)
    report.progress(1, 2, "merged; comparing logits and answers")
    drift = max(float((a - b).abs().max()) for a, b in zip(after, with_adapter, strict=True))
    change = max(float((a - b).abs().max()) for a, b in zip(after, before, strict=True))
    _judge(report, drift, change)
    target = job.dir / "model"
    with whole(target) as draft:
        merged.to(torch.float16).save_pretrained(draft)
        tokenizer.save_pretrained(draft)
    report.artifact("merged", target)
    # Rounded to 16 bit as they are in the file; computed in float32, which a CPU is faster at.
    found = answered(found, merged.float(), tokenizer, form="merged", limit=limit)
    write_reference(job.dir / "parity.json", found)
    report.artifact("parity_reference", job.dir / "parity.json")
    return {
        "merged": "merge/model",
        "max_logit_drift": round(drift, 6),
        "max_logit_change": round(change, 4),
        "parity": "merge/parity.json",
        "parity_answers": min(ANSWERED, len(found.cases)),
    }


def _ends(model: Any) -> list[int]:
    """Return the ids that the model's own settings let an answer end with."""
    settings = getattr(model, "generation_config", None)
    ends = getattr(settings, "eos_token_id", None)
    return [] if ends is None else [int(e) for e in (ends if isinstance(ends, list) else [ends])]


def _probes(job: Job, model_dir: Path, tokenizer: Any, cases: list[Case]) -> list[Any]:
    import torch

    template = Template(model_dir)
    prompt = Prompt(name="tuned", system=job.plan.tuned_instruction)
    texts = [template.render(prompt.messages(case.input)) for case in cases[:_PROBES]]
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
