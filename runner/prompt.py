"""The stage `prompt`: the best static prompt, by successive halving on validation.

Static, because only a fixed instruction with fixed examples fits a Modelfile. The nearest
examples of each case are tried beside it and reported: they need a retriever at serving time.
The target for training is set here, before any training.
"""

import json
import os
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fathom_tui.comparison import NAMES, compare
from fathom_tui.datasets.cases import Case, read_split
from fathom_tui.errors import StoreError, UsageError
from fathom_tui.gates import passed, warned
from fathom_tui.recipe import DEFAULT_FLOOR, Plan
from fathom_tui.runner.baseline import parsed, save, untuned_prompt
from fathom_tui.runner.chat import Prompt
from fathom_tui.runner.plain_code import Nearest
from fathom_tui.runner.score import Scorer, Sheet
from fathom_tui.runner.stage import Job, Report
from fathom_tui.target import target

_SHOT_STEPS = (0.5, 1.0, 0.25, 0.75)
"""Shares of `plan.shots`, in the order candidates are made."""


def run(job: Job, report: Report) -> dict[str, Any]:
    """Choose the prompt; return it, its score, the nearest-shots score and the target."""
    plan = job.plan
    cases = read_split(job.run_dir / "data" / "validation.jsonl")
    train = read_split(job.run_dir / "data" / "train.jsonl")
    with Scorer(job, Path(job.results["preflight"]["base_gguf"])) as scorer:
        best, sheet, rounds = _halving(plan, candidates(plan, train), cases, scorer, report)
        near = cases[: plan.nearest_cases]
        sheets = ask_nearest(plan, scorer, train, near, report)
    save(job.dir / "answers.json", sheet)
    # In a file, not in the result: its examples are training rows, and a journal is for ever.
    save(job.dir / "prompt.json", best)
    scores = _score(plan, cases, sheet)
    nearest = _score(plan, near, sheets) if sheets else None
    untuned = job.results["baseline"]["scores"]["untuned"]["value"]
    aim = target(max(untuned, scores["value"]), floor=plan.floor, threshold=plan.threshold)
    report.gate(passed("prompt.target", f"The tuned model must reach {aim.explain()}."))
    if aim.rule == "floor" and plan.floor < DEFAULT_FLOOR:
        report.gate(
            warned(
                "prompt.low_floor",
                f"The floor of this run is {plan.floor:.2f}, below the usual {DEFAULT_FLOOR:.2f}.",
                "Take its result as a look, not as a reason to ship.",
            )
        )
    _judge(report, plan, scores["value"], aim.value, nearest)
    return {
        "prompt": {"name": best.name, "shots": len(best.shots)},
        "prompt_file": os.path.relpath(job.dir / "prompt.json", job.run_dir),
        "score": scores,
        "rounds": rounds,
        "nearest_shots": nearest,
        "target": {**aim.to_json(), "explained": aim.explain()},
        "prompt_tokens": sheet.prompt_tokens,
    }


def chosen(job: Job) -> Prompt:
    """Return the prompt that the stage chose.

    Raises:
        StoreError: What it kept of it is gone or damaged.
    """
    path = job.path("prompt", "prompt_file")
    try:
        return Prompt.from_json(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path} does not say which prompt was chosen: {error!r}.",
            fix="Run the engagement again: the prompt is chosen anew.",
        ) from error


def candidates(plan: Plan, train: Sequence[Case]) -> list[Prompt]:
    """Return static prompts: two instructions, each with several numbers of examples."""
    described = untuned_prompt(plan).system
    terse = plan.contract.describe()
    strict = f"{described} Answer with that alone: no explanation, no other words."
    found: list[Prompt] = []
    for system in (described, strict, terse):
        for share in _SHOT_STEPS:
            count = round(plan.shots * share)
            shots = tuple((c.input, c.output) for c in pick_shots(train, plan, count))
            name = f"{('described', 'strict', 'terse')[len(found) // 4]}+{len(shots)}"
            found.append(Prompt(name=name, system=system, shots=shots))
    # Breadth first: each instruction at its most promising size before more sizes.
    order = sorted(range(len(found)), key=lambda i: (i % 4, i // 4))
    # Few examples, or few rows to take them from, make some sizes the same prompt.
    distinct: dict[tuple[Any, ...], Prompt] = {}
    for i in order:
        distinct.setdefault((found[i].system, found[i].shots), found[i])
    return list(distinct.values())[: plan.candidates]


def pick_shots(train: Sequence[Case], plan: Plan, count: int) -> list[Case]:
    """Return short examples spread evenly over the first choice field's classes."""
    field = plan.contract.choice_fields[0].name
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in train:
        groups[str(case.values[field])].append(case)
    rng = random.Random(plan.seed)
    queues = []
    for label in sorted(groups):
        # The shorter half of a class: long examples cost context on every single request.
        rows = sorted(groups[label], key=lambda case: (len(case.input), case.id))
        half = rows[: max(1, len(rows) // 2)]
        rng.shuffle(half)
        queues.append(half)
    picked: list[Case] = []
    while len(picked) < count and any(queues):
        for queue in queues:
            if queue and len(picked) < count:
                picked.append(queue.pop())
    rng.shuffle(picked)
    return picked


def _halving(
    plan: Plan, prompts: list[Prompt], cases: Sequence[Case], scorer: Scorer, report: Report
) -> tuple[Prompt, Sheet, list[dict[str, Any]]]:
    """Score all prompts on few cases, the better half on twice as many, the best on all cases."""
    rounds: list[dict[str, Any]] = []
    size = max(8, len(cases) // 8)
    while True:
        last = len(prompts) == 1 or size >= len(cases)
        used = cases if last else cases[:size]
        ranked = []
        for index, prompt in enumerate(prompts):
            note = f"{prompt.name}: candidate {index + 1} of {len(prompts)} on {len(used)} cases"
            try:
                sheet = scorer.ask(
                    prompt, used, report, note=note, done=index * len(used),
                    total=len(prompts) * len(used), free=last,
                )  # fmt: skip
            except UsageError as error:
                report.note(f"{prompt.name} is left out: {error.message}")
                continue
            score = _score(plan, used, sheet)["value"]
            rounds.append({"prompt": prompt.name, "cases": len(used), "score": score})
            ranked.append((score, -index, prompt, sheet))
        if not ranked:
            return _fall_back(plan, cases, scorer)
        ranked.sort(key=lambda entry: entry[:2], reverse=True)
        if last:
            return ranked[0][2], ranked[0][3], rounds
        prompts = [entry[2] for entry in ranked[: max(1, len(ranked) // 2)]]
        size *= 2


def _fall_back(
    plan: Plan, cases: Sequence[Case], scorer: Scorer
) -> tuple[Prompt, Sheet, list[dict[str, Any]]]:
    prompt = untuned_prompt(plan)
    return prompt, scorer.ask(prompt, cases), []


def ask_nearest(
    plan: Plan, scorer: Scorer, train: Sequence[Case], cases: Sequence[Case], report: Report
) -> Sheet | None:
    """Answer each case with its own nearest training rows as shots; None when switched off."""
    if not plan.nearest_shots or not cases:
        return None
    nearest = Nearest(train)
    system = untuned_prompt(plan).system
    sheets = []
    for index, case in enumerate(cases):
        shots = nearest.shots(case.input, plan.nearest_shots)
        prompt = Prompt(name="nearest", system=system, shots=shots)
        sheets.append(scorer.ask(prompt, [case], free=False))
        report.progress(index + 1, len(cases), NAMES["nearest_shots"])
    return Sheet(
        constrained=[answer for sheet in sheets for answer in sheet.constrained],
        free=[],
        free_valid=0,
        prompt_tokens=max(sheet.prompt_tokens for sheet in sheets),
        tokens=sum(sheet.tokens for sheet in sheets),
        seconds=sum(sheet.seconds for sheet in sheets),
    )


def _score(plan: Plan, cases: Sequence[Case], sheet: Sheet) -> dict[str, Any]:
    truth = [case.values for case in cases]
    comparison = compare(plan.contract, truth, {"prompt": parsed(plan, sheet)}, seed=plan.seed)
    scores: dict[str, Any] = comparison.to_json()["prompt"]
    return scores


def _judge(
    report: Report, plan: Plan, score: float, aim: float, nearest: dict[str, Any] | None
) -> None:
    if score >= max(aim, plan.floor):
        report.gate(
            warned(
                "prompt.good_enough",
                f"A static prompt alone scores {score:.3f} on validation.",
                "Consider stopping here: a prompt needs no training and is changed in a minute.",
            )
        )
    elif nearest is not None and nearest["value"] >= aim:
        report.gate(
            warned(
                "prompt.nearest_shots",
                f"Nearest examples as shots score {nearest['value']:.3f} on {nearest['n']} "
                "validation cases without training.",
                "Consider retrieval of examples before fine-tuning.",
            )
        )
    else:
        report.gate(
            passed("prompt.tried", f"The best static prompt scores {score:.3f} on validation.")
        )
