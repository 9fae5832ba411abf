"""The data stage: read, remove copies, keep the test clean, cut, lock, judge.

What it leaves behind: `train.jsonl`, `validation.jsonl`, `test.jsonl`, `findings.json` (every
finding with its lines) and, written last, `manifest.json` with the sha256 of each split.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fathom_tui.datasets import gates
from fathom_tui.datasets.cases import Case, write_private, write_split
from fathom_tui.datasets.checks import (
    Finding,
    check,
    class_counts,
    exact_duplicates,
    label_conflicts,
    without_copies,
)
from fathom_tui.datasets.formats import Dataset, read_dataset
from fathom_tui.datasets.near_duplicates import THRESHOLD, near_groups
from fathom_tui.datasets.splits import TEST_SHARE, Leakage, Limits, Splits, cut, leakage
from fathom_tui.gates import Gate
from fathom_tui.recipe import Plan
from fathom_tui.runner.stage import Job, Report

_STEPS = 6


def run(job: Job, report: Report) -> dict[str, Any]:
    """Lock the splits of a run and judge them.

    Returns:
        Paths of the split files relative to the run, counts, hashes, rows by class and split,
        and the findings without their lines.

    Raises:
        DatasetError: The dataset or the fixed test cannot be read or breaks the contract.
    """
    plan = job.plan
    report.progress(0, _STEPS, "reading")
    sources = _read(plan)
    for note in (*sources.dataset.notes, *(sources.test.notes if sources.test else ())):
        report.note(note)
    report.progress(1, _STEPS, "checking rows")
    findings = _findings(sources, plan)
    report.progress(2, _STEPS, "removing copies and rows of the test")
    cleaned = _clean(sources)
    report.progress(3, _STEPS, "looking for near duplicates")
    groups = near_groups([case.input for case in cleaned.kept])
    report.progress(4, _STEPS, "cutting")
    splits = _cut(plan, sources, cleaned, groups)
    report.progress(5, _STEPS, "locking")
    counts = _counts(sources, cleaned, groups, splits)
    hashes = _lock(job, report, splits, findings, sources, counts)
    for gate in _judge(plan, sources, findings, splits, counts):
        report.gate(gate)
    report.progress(_STEPS, _STEPS, "locked")
    return {
        **{name: f"{job.stage}/{name}.jsonl" for name, _ in splits.items()},
        "counts": counts,
        "sha256": hashes,
        "classes": _classes(plan, splits),
        "findings": [finding.summary() for finding in findings],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sources:
    dataset: Dataset
    test: Dataset | None
    """The fixed test; None where a share of the dataset becomes the test."""

    @property
    def test_cases(self) -> tuple[Case, ...]:
        return self.test.cases if self.test else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cleaned:
    kept: list[Case]
    copies: list[Case]
    leaked: Leakage


def _read(plan: Plan) -> _Sources:
    def read(path: str) -> Dataset:
        return read_dataset(
            Path(path), plan.contract, input=plan.input, output=plan.output, stratum=plan.stratum
        )

    return _Sources(dataset=read(plan.dataset), test=read(plan.test) if plan.test else None)


def _findings(sources: _Sources, plan: Plan) -> list[Finding]:
    found = check(sources.dataset.cases, plan.contract, max_tokens=plan.max_length)
    # A fixed test is never changed, but what is wrong with it weakens every score.
    in_test = (label_conflicts(sources.test_cases), exact_duplicates(sources.test_cases))
    found += [
        replace(
            finding,
            name=f"test_{finding.name}",
            message=f"in the fixed test, {finding.message}; they stay",
        )
        for finding in in_test
        if finding is not None
    ]
    return found


def _clean(sources: _Sources) -> _Cleaned:
    kept, copies = without_copies(sources.dataset.cases)
    leaked = leakage(kept, sources.test_cases)
    kept = [case for case in kept if case.id not in leaked.ids]
    return _Cleaned(kept=kept, copies=copies, leaked=leaked)


def _cut(
    plan: Plan, sources: _Sources, cleaned: _Cleaned, groups: Sequence[Sequence[int]]
) -> Splits:
    limits = Limits(train=plan.train_rows, validation=plan.validation_rows, test=plan.test_rows)
    return cut(
        cleaned.kept,
        groups,
        plan.contract,
        seed=plan.seed,
        limits=limits,
        test=sources.test_cases if sources.test else None,
    )


def _counts(
    sources: _Sources, cleaned: _Cleaned, groups: Sequence[Sequence[int]], splits: Splits
) -> dict[str, int]:
    if sources.test:
        possible = len(sources.test_cases)
        spare = len(cleaned.kept) - len(splits.train) - len(splits.validation)
    else:
        possible = round(TEST_SHARE * len(cleaned.kept))
        spare = len(cleaned.kept) - sum(len(cases) for _, cases in splits.items())
    return {
        "rows": len(sources.dataset.cases),
        "test_file_rows": len(sources.test_cases),
        "copies_removed": len(cleaned.copies),
        "leaked_exact": len(cleaned.leaked.exact),
        "leaked_near": len(cleaned.leaked.near),
        "leaked_test_rows": cleaned.leaked.test_rows,
        "near_duplicate_rows": sum(map(len, groups)),
        "near_duplicate_groups": len(groups),
        **{name: len(cases) for name, cases in splits.items()},
        "unused": spare,
        "test_possible": max(possible, len(splits.test)),
        "across_splits": _across(splits),
    }


def _across(splits: Splits) -> int:
    """Return the rows that stand in two splits, looked for again in what was cut."""
    learned = [*splits.train, *splits.validation]
    return len(leakage(learned, splits.test).ids) + len(
        leakage(splits.validation, splits.train).ids
    )


def _lock(
    job: Job,
    report: Report,
    splits: Splits,
    findings: Sequence[Finding],
    sources: _Sources,
    counts: Mapping[str, int],
) -> dict[str, str]:
    (job.dir / "manifest.json").unlink(missing_ok=True)
    hashes = {"dataset": sources.dataset.sha256}
    if sources.test:
        hashes["test_file"] = sources.test.sha256
    for name, cases in splits.items():
        path = job.dir / f"{name}.jsonl"
        hashes[name] = write_split(path, cases)
        report.artifact(name, path)
    # Never trained on and never scored: where more anchors are looked for.
    write_split(job.dir / "reserve.jsonl", splits.reserve)
    path = job.dir / "findings.json"
    write_private(path, _json([finding.to_json() for finding in findings]))
    report.artifact("findings", path)
    manifest = {
        "version": 1,
        "seed": job.plan.seed,
        "near_duplicate_threshold": THRESHOLD,
        "sources": [_source(s) for s in (sources.dataset, sources.test) if s is not None],
        "splits": {
            name: {"file": f"{name}.jsonl", "sha256": hashes[name], "rows": len(cases)}
            for name, cases in splits.items()
        },
        "counts": dict(counts),
    }
    # Written last: a manifest means that the splits it names are whole.
    path = job.dir / "manifest.json"
    write_private(path, _json(manifest))
    report.artifact("manifest", path)
    return hashes


def _source(dataset: Dataset) -> dict[str, Any]:
    return {
        "path": str(dataset.path),
        "sha256": dataset.sha256,
        "syntax": dataset.syntax,
        "shape": dataset.shape,
        "rows": len(dataset.cases),
    }


def _judge(
    plan: Plan,
    sources: _Sources,
    findings: Sequence[Finding],
    splits: Splits,
    counts: Mapping[str, int],
) -> list[Gate]:
    rows = counts["rows"]
    described = f"{sources.dataset.path.name} ({sources.dataset.syntax}, {sources.dataset.shape})"
    trained = class_counts(splits.train, plan.contract)
    by_name = {finding.name: finding for finding in findings}
    return [
        gates.parse(rows, described, findings),
        gates.one_class(trained),
        gates.conflicts(rows, by_name.get("label_conflicts"), by_name.get("test_label_conflicts")),
        gates.duplicates(
            rows,
            counts["copies_removed"],
            counts["near_duplicate_rows"],
            counts["near_duplicate_groups"],
        ),
        gates.leakage(
            exact=counts["leaked_exact"],
            near=counts["leaked_near"],
            test_rows=counts["leaked_test_rows"],
            remaining=counts["across_splits"],
            fixed_test=sources.test is not None,
        ),
        gates.floor(counts["train"], counts["validation"], unused=counts["unused"]),
        gates.class_floor(trained, unused=counts["unused"]),
        gates.balance(trained),
        gates.test_size(counts["test"], possible=counts["test_possible"]),
        gates.personal_data(findings, rows),
    ]


def _classes(plan: Plan, splits: Splits) -> dict[str, dict[str, dict[str, int]]]:
    """Return rows by field, choice and split."""
    counted = {name: class_counts(cases, plan.contract) for name, cases in splits.items()}
    return {
        field.name: {
            choice: {name: counts[field.name][choice] for name, counts in counted.items()}
            for choice in field.choices
        }
        for field in plan.contract.choice_fields
    }


def _json(value: object) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()
