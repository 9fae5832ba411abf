"""The stage `baseline`: what the untuned model and plain code score before anything is trained."""

import json
from pathlib import Path
from typing import Any

from fathom_tui.comparison import compare
from fathom_tui.contract import Values
from fathom_tui.datasets.cases import read_split
from fathom_tui.gates import passed, warned
from fathom_tui.recipe import Plan
from fathom_tui.runner.chat import Prompt
from fathom_tui.runner.plain_code import PlainCode
from fathom_tui.runner.score import Scorer, Sheet
from fathom_tui.runner.stage import Job, Report


def run(job: Job, report: Report) -> dict[str, Any]:
    """Score the untuned model, constrained and free, and plain code, on validation."""
    plan = job.plan
    cases = read_split(job.run_dir / "data" / "validation.jsonl")
    train = read_split(job.run_dir / "data" / "train.jsonl")
    code = PlainCode(plan.contract, train, seed=plan.seed).answer(cases)
    with Scorer(job, Path(job.results["preflight"]["base_gguf"])) as scorer:
        sheet = scorer.ask(untuned_prompt(plan), cases, report, note="untuned model")
    save(job.dir / "untuned.json", sheet)
    comparison = compare(
        plan.contract,
        [case.values for case in cases],
        {"untuned": parsed(plan, sheet), "plain_code": code},
        seed=plan.seed,
    )
    scores = comparison.to_json()
    share = sheet.free_valid / len(cases)
    report.measured("untuned.tokens_per_s", sheet.tokens / max(sheet.seconds, 1e-9), "tokens/s")
    text = (
        f"Untuned {scores['untuned']['value']:.3f} constrained on {len(cases)} validation cases; "
        f"{share:.0%} of its free answers are usable."
    )
    if share < 0.5:
        fix = "Constrain decoding (grammar or JSON schema) wherever this model is served untuned."
        report.gate(warned("baseline.free_answers", text, fix))
    else:
        report.gate(passed("baseline.free_answers", text))
    return {"scores": scores, "free_valid": share, "prompt_tokens": sheet.prompt_tokens}


def untuned_prompt(plan: Plan) -> Prompt:
    """Return the plain instruction with the contract spelt out and no examples."""
    return Prompt(name="untuned", system=f"{plan.instruction} {plan.contract.describe()}")


def parsed(plan: Plan, sheet: Sheet) -> list[Values | None]:
    """Return the values of every constrained answer."""
    return [plan.contract.parse(answer) for answer in sheet.constrained]


def save(path: Path, found: Sheet | Prompt) -> None:
    """Keep answers, or a prompt, as JSON that people can read too."""
    path.write_text(json.dumps(found.to_json(), ensure_ascii=False, indent=1), "utf-8")
