"""The end of a run as a short table and as JSON that others can build on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fathom_tui.comparison import NAMES
from fathom_tui.runs import RunView

ROWS = ("untuned", "prompt", "nearest_shots", "plain_code", "tuned", "quantised")
SCORES = ("untuned", "prompt", "tuned", "quantised")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRow:
    """One way to answer, as the table shows it."""

    name: str
    score: str
    """Value with its 95 % interval."""
    parts: Mapping[str, str]
    free: str
    """Share of free answers that are usable; blank where it does not apply."""
    prompt_tokens: str


def score_rows(run: RunView) -> list[ScoreRow]:
    """Return the rows of the comparison; empty before `evaluate` has ended."""
    scores = run.result.get("scores", {})
    free = run.result.get("free_valid", {})
    tokens = run.result.get("prompt_tokens", {})
    return [
        ScoreRow(
            name=NAMES[way] + _scope(run, scores[way]),
            score=interval_text(scores[way]),
            parts={name: f"{value:.2f}" for name, value in scores[way]["parts"].items()},
            free=f"{free[way]:.0%}" if way in free else "",
            prompt_tokens=str(tokens.get(way, "")),
        )
        for way in ROWS
        if way in scores
    ]


def interval_text(score: Mapping[str, Any]) -> str:
    """Return `0.71 (0.62–0.79)`."""
    return f"{score['value']:.3f} ({score['low']:.3f}–{score['high']:.3f})"


def facts(run: RunView) -> list[tuple[str, str]]:
    """Return what else a person asks at the end: sizes, perplexity, anchors, where it is."""
    found: list[tuple[str, str]] = []
    quantize, verify = run.stages["quantize"].result, run.stages["verify"].result
    if run.result:
        target = run.result["target"]
        found.append(("target", f"{target['explained']} (set before training)"))
        found.append(("test cases", str(run.result["scores"]["quantised"]["n"])))
    if quantize:
        found.append(
            (
                "size",
                f"{quantize['bytes'] / 1e6:.0f} MB {quantize['type']}, "
                f"{quantize['effective_bits']:.2f} bits per weight in effect "
                f"(f16: {quantize['f16_bytes'] / 1e6:.0f} MB)",
            )
        )
    if verify:
        p = verify["perplexity"]
        found.append(
            (
                "perplexity",
                f"{p['f16']:.2f} → {p['quantised']:.2f} ({p['rise']:+.1%}, {p['low']:+.1%} to "
                f"{p['high']:+.1%}): {p['band']}",
            )
        )
    anchors = run.stages["anchors"].result
    if anchors:
        found.append(("anchors", f"{anchors['passed']} of {anchors['total']} pass when served"))
    deploy = run.stages["deploy"].result
    if deploy:
        found.append(("served as", f"{deploy['alias']} {deploy['version']} by {deploy['target']}"))
    return found


def summary(run: RunView, run_dir: Path) -> dict[str, Any]:
    """Return the JSON of `fathom demo --json`; null where a stage did not get that far."""
    scores = run.result.get("scores")
    verify = run.stages["verify"].result
    anchors = run.stages["anchors"].result
    return {
        "run": run.id,
        "state": run.state.value,
        "verdict": run.result.get("verdict"),
        "headline": run.result.get("headline"),
        "scores": {way: _bare(scores[way]) for way in SCORES} if scores else None,
        "alternatives": {w: _bare(scores[w]) for w in scores if w not in SCORES}
        if scores
        else None,
        "target": run.result.get("target"),
        "perplexity": (
            {"f16": verify["perplexity"]["f16"], "quantised": verify["perplexity"]["quantised"]}
            if verify
            else None
        ),
        "anchors": ({"passed": anchors["passed"], "total": anchors["total"]} if anchors else None),
        "artifacts": {
            artifact.name: {
                "path": str(run_dir / artifact.path),
                "sha256": artifact.sha256,
                "bytes": artifact.bytes,
            }
            for artifact in run.artifacts.values()
        },
        "seconds": {name: stage.seconds for name, stage in run.stages.items()},
        "error": {"message": run.error, "fix": run.fix} if run.error else None,
    }


def _bare(score: Mapping[str, Any]) -> dict[str, Any]:
    return {key: score[key] for key in ("value", "low", "high", "n", "parts")}


def _scope(run: RunView, score: Mapping[str, Any]) -> str:
    fields = len(run.result["scores"]["quantised"]["parts"])
    answered = len(score["parts"])
    return f" ({answered} of {fields} fields)" if answered < fields else ""
