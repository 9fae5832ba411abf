"""The stage `verify`: the files say the same thing as the model that was trained.

Prompts are the same text and the same token ids in transformers and llama.cpp, the end token ends
answers in both, both GGUFs answer as the merged weights do, and the anchors are chosen: cases the
file that ships is known to answer.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fathom_tui.datasets.cases import Case, read_split
from fathom_tui.errors import GateRefused
from fathom_tui.gates import Gate, passed, refused, warned
from fathom_tui.parity import AGREE, NEAR_TIE, QUANTISED_AGREE, Mismatch, ParityReference
from fathom_tui.recipe import Plan
from fathom_tui.runner.chat import Prompt, Template
from fathom_tui.runner.llama import Engine
from fathom_tui.runner.parity import (
    Agreement,
    agreement,
    end_mismatch,
    forms_agree,
    prompt_mismatch,
    with_own_answers,
)
from fathom_tui.runner.reference import read_reference, write_reference
from fathom_tui.runner.score import Scorer
from fathom_tui.runner.stage import Job, Report

_ASK_AT_MOST = 6
"""Candidates asked for each anchor wanted, before the search ends."""
SAFE_MARGIN = 1.0
"""Least lead, in logits, of every token of an anchor's answer: batch layout alone moves the lead
of a quantised file by up to 0.6, and an anchor that may flip would alarm for nothing."""
_CURES = {
    "template": "Check the chat template of the model's directory and of the GGUF.",
    "BOS": "Let the template alone put the begin token in: see add_bos_token of the tokenizer.",
    "EOS": "Set eos_token to the token that training rows end with, and export again.",
    "tokenizer": "Check tokenizer.json of the model's directory; export again.",
}


def run(job: Job, report: Report) -> dict[str, Any]:
    """Check parity, choose anchors; return the numbers."""
    validation = read_split(job.run_dir / "data" / "validation.jsonl")
    quantised = job.path("quantize", "quantised")
    prompt = Prompt(name="tuned", system=job.plan.tuned_instruction)
    found = read_reference(job.path("merge", "parity"))
    report.progress(0, job.plan.anchors, "the same prompts in transformers and llama.cpp")
    parity = _parity(job, report, found, prompt)
    with Scorer(job, quantised) as scorer:
        anchors, asked = _choose_anchors(job, report, scorer, prompt, validation)
    path = job.dir / "anchors.json"
    path.write_text(json.dumps(anchors, ensure_ascii=False, indent=1), "utf-8")
    report.artifact("anchors", path)
    return {
        "parity_prompts": len(found.cases),
        "parity": "verify/parity.json",
        "answers": parity,
        "anchors": "verify/anchors.json",
        "anchors_total": len(anchors),
        "anchors_asked": asked,
        "perplexity": job.results["quantize"]["perplexity"],
        "divergence": job.results["quantize"]["divergence"],
    }


def _parity(job: Job, report: Report, found: ParityReference, prompt: Prompt) -> dict[str, Any]:
    """Hold both files against transformers; write down what the quantised one answers."""
    preflight = job.results["preflight"]
    n_ctx, threads = int(preflight["n_ctx"]), int(preflight["threads"])
    with Engine(job.path("export", "f16"), n_ctx=n_ctx, threads=threads) as engine:
        template = Template(Path(preflight["model_dir"]))
        _require(
            report,
            "verify.token_parity",
            prompt_mismatch(found, template, prompt, engine.tokenize),
            f"{len(found.cases)} prompts with their answers: equal text, equal token ids in "
            "transformers and llama.cpp.",
        )
        _require(
            report,
            "verify.end_token",
            end_mismatch(found, engine.is_end),
            f"Token {found.eos} ends answers in transformers and llama.cpp.",
        )
        f16 = agreement(engine, found)
    with Engine(job.path("quantize", "quantised"), n_ctx=n_ctx, threads=threads) as engine:
        quantised = agreement(engine, found)
        own = with_own_answers(engine, found, limit=job.plan.max_new_tokens)
    write_reference(job.dir / "parity.json", own)
    report.artifact("parity", job.dir / "parity.json")
    _judge_answers(report, f16, quantised)
    return {
        "merged": forms_agree(found),
        "f16": f16.to_json(),
        "quantised": quantised.to_json(),
    }


def _require(report: Report, name: str, mismatch: Mismatch | None, said: str) -> None:
    """Tell a gate; going on with other prompts than were trained would give wrong answers.

    Raises:
        GateRefused: Something differs.
    """
    if mismatch is None:
        report.gate(passed(name, said))
        return
    gate = refused(name, f"{mismatch}.", _cure(mismatch), waivable=False, **mismatch.to_json())
    report.gate(gate)
    raise GateRefused(gate.reason, fix=gate.fix)


def _cure(mismatch: Mismatch) -> str:
    name = mismatch.cause.value
    return next((cure for key, cure in _CURES.items() if key in name), _CURES["template"])


def _judge_answers(report: Report, f16: Agreement, quantised: Agreement) -> None:
    report.gate(_answers_gate(f16, quantised))
    share = quantised.share
    if share is not None and share < QUANTISED_AGREE:
        report.gate(
            warned(
                "verify.quantised_answers",
                f"The quantised file answers {quantised.agreed} of {quantised.compared} prompts as "
                f"the merged weights do; first {quantised.mismatches[0]}.",
                "Compare the scores of tuned and quantised, or set a larger quantization.",
            )
        )


def _answers_gate(f16: Agreement, quantised: Agreement) -> Gate:
    text = (
        f"{f16.agreed} of {f16.compared} greedy answers are those of the merged weights in f16, "
        f"{quantised.agreed} quantised (ties within {NEAR_TIE:g} logits count as equal)"
    )
    if f16.share is None:
        return warned("verify.answer_parity", "No answer was compared.", "Give validation rows.")
    if f16.share >= AGREE:
        return passed("verify.answer_parity", f"{text}; at least {AGREE:.0%} are wanted in f16.")
    return refused(
        "verify.answer_parity",
        f"{text}; at least {AGREE:.0%} are wanted in f16. First {f16.mismatches[0]}.",
        _cure(f16.mismatches[0]),
        mismatches=[mismatch.to_json() for mismatch in f16.mismatches],
    )


def _choose_anchors(
    job: Job, report: Report, scorer: Scorer, prompt: Prompt, validation: Sequence[Case]
) -> tuple[list[dict[str, Any]], int]:
    """Look for held-out cases whose right answer the quantised file gives with a safe lead."""
    plan = job.plan
    reserve = read_split(job.run_dir / "data" / "reserve.jsonl")
    queue = _stratified([*validation, *reserve], plan)[: plan.anchors * _ASK_AT_MOST]
    chosen: list[Case] = []
    doubtful: list[tuple[float, Case]] = []
    asked = 0
    for case in queue:
        if len(chosen) >= plan.anchors:
            break
        asked += 1
        lead = scorer.lead(prompt, case)
        if lead >= SAFE_MARGIN:
            chosen.append(case)
        elif lead > 0:
            doubtful.append((lead, case))
        report.progress(len(chosen), plan.anchors, f"anchors: {asked} cases asked")
    doubtful.sort(key=lambda entry: entry[0], reverse=True)
    missing = max(0, plan.anchors_least - len(chosen))
    chosen += [case for _, case in doubtful[:missing]]
    _judge_anchors(report, plan, len(chosen), asked)
    return [{"id": c.id, "input": c.input, "expected": c.output} for c in chosen], asked


def _stratified(cases: Sequence[Case], plan: Plan) -> list[Case]:
    """Order cases so that classes take turns; routine ones only, where strata are known."""
    routine = [case for case in cases if case.stratum in ("", "routine")] or list(cases)
    field = plan.contract.choice_fields[0].name
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in routine:
        groups[str(case.values[field])].append(case)
    turns = [(place, label) for label, group in groups.items() for place in range(len(group))]
    return [groups[label][place] for place, label in sorted(turns)]


def _judge_anchors(report: Report, plan: Plan, found: int, asked: int) -> None:
    text = f"{found} of {asked} held-out routine cases are answered exactly right"
    if found >= plan.anchors:
        report.gate(passed("verify.anchors", f"{text}: enough for {plan.anchors} anchors."))
    elif found >= plan.anchors_least:
        report.gate(
            warned(
                "verify.anchors",
                f"{text}; {plan.anchors} anchors are wanted.",
                "Give more held-out rows, or improve the model.",
            )
        )
    else:
        report.gate(
            refused(
                "verify.anchors",
                f"{text}; at least {plan.anchors_least} anchors are needed to watch a deployment.",
                "Give more held-out rows, or improve the model.",
            )
        )
