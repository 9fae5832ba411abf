"""The stage `verify`: the files say the same thing as the model that was trained.

Token ids of rendered prompts are equal in transformers and llama.cpp, quantisation costs no more
than its band allows, and the anchors are chosen: cases the file that ships is known to answer.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fathom_tui.datasets.cases import Case, read_split
from fathom_tui.errors import GateRefused
from fathom_tui.gates import passed, refused, warned
from fathom_tui.perplexity import LEAST_CHUNKS, PerplexityChange, change
from fathom_tui.recipe import Plan
from fathom_tui.runner.chat import Prompt, Template
from fathom_tui.runner.losses import text_losses
from fathom_tui.runner.score import Scorer
from fathom_tui.runner.stage import Job, Report

_PARITY_CASES = 16
_SEPARATOR = "\n\n"
_ASK_AT_MOST = 6
"""Candidates asked for each anchor wanted, before the search ends."""
SAFE_MARGIN = 1.0
"""Least lead, in logits, of every token of an anchor's answer: batch layout alone moves the lead
of a quantised file by up to 0.6, and an anchor that may flip would alarm for nothing."""
CONTEXTS = (512, 256, 128, 64)
"""Chunk lengths in tokens, best first: the longest that gives enough chunks is taken."""
_ENOUGH = CONTEXTS[1] * LEAST_CHUNKS
"""Tokens below which spare rows fill up the validation text."""


def run(job: Job, report: Report) -> dict[str, Any]:
    """Check parity and perplexity, choose anchors; return the numbers."""
    validation = read_split(job.run_dir / "data" / "validation.jsonl")
    quantised, f16 = job.path("quantize", "quantised"), job.path("export", "f16")
    prompt = Prompt(name="tuned", system=job.plan.tuned_instruction)
    with Scorer(job, quantised) as scorer:
        checked = _parity(job, report, scorer, prompt, validation[:_PARITY_CASES])
        anchors, asked = _choose_anchors(job, report, scorer, prompt, validation)
    report.progress(1, 3, "perplexity of the f16 file")
    measured = _perplexity(job, report, validation, f16, quantised)
    path = job.dir / "anchors.json"
    path.write_text(json.dumps(anchors, ensure_ascii=False, indent=1), "utf-8")
    report.artifact("anchors", path)
    return {
        "parity_prompts": checked,
        "anchors": "verify/anchors.json",
        "anchors_total": len(anchors),
        "anchors_asked": asked,
        "perplexity": {
            "f16": round(measured.f16, 4),
            "quantised": round(measured.quantised, 4),
            "rise": round(measured.rise, 5),
            "low": round(measured.low, 5),
            "high": round(measured.high, 5),
            "tokens": measured.tokens,
            "band": measured.band,
        },
    }


def _parity(job: Job, report: Report, scorer: Scorer, prompt: Prompt, cases: Sequence[Case]) -> int:
    """Compare rendered text and token ids between transformers and what llama.cpp is fed."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(job.path("merge", "merged"), local_files_only=True)
    template = Template(Path(job.results["preflight"]["model_dir"]))
    for case in cases:
        messages = prompt.messages(case.input)
        ours = template.render(messages)
        theirs = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        problem = _difference(ours, theirs, tokenizer, scorer, case)
        if problem:
            gate = refused(
                "verify.token_parity",
                problem,
                "Check the tokenizer and chat template of the model's directory.",
                waivable=False,
            )
            report.gate(gate)
            raise GateRefused(gate.reason, fix=gate.fix)
    report.gate(
        passed(
            "verify.token_parity",
            f"{len(cases)} prompts with their answers: equal text, equal token ids in "
            "transformers and llama.cpp.",
        )
    )
    return len(cases)


def _difference(ours: str, theirs: str, tokenizer: Any, scorer: Scorer, case: Case) -> str:
    if ours != theirs:
        return f"The chat template renders case {case.id} differently: {ours!r} and {theirs!r}."
    whole = ours + case.output + str(tokenizer.eos_token)
    expected = tokenizer(whole, add_special_tokens=False)["input_ids"]
    found = scorer.tokenize(whole)
    if expected == found:
        return ""
    at = next(
        (i for i, (a, b) in enumerate(zip(expected, found, strict=False)) if a != b),
        min(len(expected), len(found)),
    )
    return (
        f"Token ids differ at position {at} of case {case.id}: transformers "
        f"{expected[at : at + 4]}, llama.cpp {found[at : at + 4]}."
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


def _perplexity(
    job: Job, report: Report, validation: Sequence[Case], f16: Path, quantised: Path
) -> PerplexityChange:
    """Measure both files on held-out text; the test split stays unread."""
    reserve = read_split(job.run_dir / "data" / "reserve.jsonl")
    text, n_ctx = held_out_text(validation, reserve, _counter(job))
    threads = int(job.results["preflight"]["threads"])
    before = text_losses(f16, text, n_ctx=n_ctx, threads=threads)
    report.progress(2, 3, "perplexity of the quantised file")
    after = text_losses(quantised, text, n_ctx=n_ctx, threads=threads)
    found = change(before, after)
    _judge_perplexity(report, found, n_ctx)
    return found


def _counter(job: Job) -> Callable[[str], int]:
    """Return what counts a text's tokens; parity has shown that llama.cpp's are the same."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(job.path("merge", "merged"), local_files_only=True)
    return lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"])


def held_out_text(
    validation: Sequence[Case], reserve: Sequence[Case], count: Callable[[str], int]
) -> tuple[str, int]:
    """Return the text that perplexity is measured on, and the tokens of a chunk.

    All validation cases; from the rows that no split holds, as many as short validation text
    lacks for enough chunks of a good length.
    """
    pieces = [f"{case.input}\n{case.output}" for case in validation]
    missing = _ENOUGH - count(_SEPARATOR.join(pieces))
    for case in reserve:
        if missing <= 0:
            break
        pieces.append(f"{case.input}\n{case.output}")
        missing -= count(_SEPARATOR + pieces[-1])
    text = _SEPARATOR.join(pieces)
    tokens = count(text)
    fitting = (size for size in CONTEXTS if tokens >= size * LEAST_CHUNKS)
    return text, next(fitting, CONTEXTS[-1])


def _judge_perplexity(report: Report, found: PerplexityChange, n_ctx: int) -> None:
    text = (
        f"Perplexity {found.f16:.3f} in f16, {found.quantised:.3f} quantised: {found.rise:+.1%} "
        f"({found.low:+.1%} to {found.high:+.1%}, {found.tokens} tokens): {found.band}."
    )
    if found.band == "refused":
        report.gate(
            refused("verify.perplexity", text, "Quantise less: set quantization to Q5_K_M or Q6_K.")
        )
    elif found.band == "concerning":
        report.gate(warned("verify.perplexity", text, "Try Q5_K_M or Q6_K and compare the scores."))
    else:
        report.gate(passed("verify.perplexity", text))
    if found.tokens < LEAST_CHUNKS * (n_ctx - n_ctx // 2 - 1):
        report.gate(
            warned(
                "verify.perplexity_text",
                f"Only {found.tokens} tokens were scored, fewer than {LEAST_CHUNKS} chunks.",
                "Give more validation rows for a narrower interval.",
            )
        )
