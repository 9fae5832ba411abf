"""The stage `evaluate`: every way to answer, on the unread test split, by the same engine."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fathom_tui.comparison import (
    Comparison,
    cheaper,
    cheaper_gate,
    compare,
    headline,
    ship_gates,
)
from fathom_tui.contract import Values
from fathom_tui.datasets.cases import Case, read_split
from fathom_tui.gates import Gate, worst
from fathom_tui.runner.baseline import parsed, save, untuned_prompt
from fathom_tui.runner.chat import Prompt
from fathom_tui.runner.plain_code import PlainCode
from fathom_tui.runner.prompt import ask_nearest, chosen
from fathom_tui.runner.score import Scorer, Sheet
from fathom_tui.runner.stage import Job, Report


def run(job: Job, report: Report) -> dict[str, Any]:
    """Score untuned, prompt, tuned and quantised, and what is cheaper; judge what may ship."""
    plan = job.plan
    cases = read_split(job.run_dir / "data" / "test.jsonl")
    train = read_split(job.run_dir / "data" / "train.jsonl")
    sheets = _sheets(job, report, cases, train)
    answers: dict[str, Sequence[Values | None]] = {
        way: parsed(plan, sheet) for way, sheet in sheets.items()
    }
    answers["plain_code"] = PlainCode(plan.contract, train, seed=plan.seed).answer(cases)
    truth = [case.values for case in cases]
    comparison = compare(plan.contract, truth, answers, seed=plan.seed)
    gates, line = _judge(job, report, comparison)
    _save(job, report, cases, sheets, answers)
    rates = {way: sheet.free_valid / len(cases) for way, sheet in sheets.items() if sheet.free}
    for way in ("tuned", "quantised"):
        sheet = sheets[way]
        report.measured(f"{way}.tokens_per_s", sheet.tokens / max(sheet.seconds, 1e-9), "tokens/s")
    return {
        "scores": comparison.to_json(),
        "differences": _differences(comparison),
        "free_valid": rates,
        "prompt_tokens": {way: sheet.prompt_tokens for way, sheet in sheets.items()},
        "target": job.results["prompt"]["target"],
        "verdict": worst(gate.outcome for gate in gates).value,
        "headline": line,
        "cheaper": [way for way, _ in cheaper(comparison, margin=plan.margin)],
    }


def _sheets(
    job: Job, report: Report, cases: Sequence[Case], train: Sequence[Case]
) -> dict[str, Sheet]:
    plan = job.plan
    tuned = Prompt(name="tuned", system=plan.tuned_instruction)
    best = chosen(job)
    base = Path(job.results["preflight"]["base_gguf"])
    sheets: dict[str, Sheet] = {}
    rounds = (
        (base, (("untuned", untuned_prompt(plan)), ("prompt", best))),
        (job.path("export", "f16"), (("tuned", tuned),)),
        (job.path("quantize", "quantised"), (("quantised", tuned),)),
    )
    total, done = 4 * len(cases), 0
    for gguf, prompts in rounds:
        with Scorer(job, gguf) as scorer:
            for way, prompt in prompts:
                note = f"{way} on {len(cases)} test cases"
                sheets[way] = scorer.ask(prompt, cases, report, note=note, done=done, total=total)
                done += len(cases)
            if gguf == base and plan.nearest_on_test:
                nearest = ask_nearest(plan, scorer, train, cases, report)
                if nearest is not None:
                    sheets["nearest_shots"] = nearest
    return sheets


def _judge(job: Job, report: Report, comparison: Comparison) -> tuple[list[Gate], str]:
    aim = job.results["prompt"]["target"]
    gates = ship_gates(comparison, target=float(aim["value"]), explained=str(aim["explained"]))
    alternatives = cheaper(comparison, margin=job.plan.margin)
    gates.append(cheaper_gate(comparison, alternatives))
    for gate in gates:
        report.gate(gate)
    return gates, headline(comparison, gates, alternatives)


def _differences(comparison: Comparison) -> dict[str, Any]:
    pairs = (
        ("quantised", "prompt"),
        ("quantised", "untuned"),
        ("tuned", "prompt"),
        ("tuned", "quantised"),
    )
    return {f"{a} - {b}": comparison.difference(a, b).to_json() for a, b in pairs}


def _save(
    job: Job,
    report: Report,
    cases: Sequence[Case],
    sheets: dict[str, Sheet],
    answers: dict[str, Sequence[Values | None]],
) -> None:
    """Keep every answer beside its case, so that a score can be argued with."""
    for way, sheet in sheets.items():
        save(job.dir / f"{way}.json", sheet)
    path = job.dir / "answers.jsonl"
    lines = []
    for row, case in enumerate(cases):
        given = {way: values[row] for way, values in answers.items()}
        line = {"id": case.id, "input": case.input, "stratum": case.stratum}
        lines.append(
            json.dumps({**line, "expected": case.values, "answers": given}, ensure_ascii=False)
        )
    path.write_text("\n".join(lines) + "\n", "utf-8")
    report.artifact("answers", path)
