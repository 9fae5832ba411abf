"""The stage `deploy`: the accepted file becomes a version, proves itself and goes live."""

import json
from pathlib import Path
from typing import Any

from fathom_tui.anchors import Anchor, AnchorSet
from fathom_tui.errors import GateRefused
from fathom_tui.gates import passed, refused, warned
from fathom_tui.parity import AGREE
from fathom_tui.runner.made import compare, make
from fathom_tui.runner.ollama_template import AsTrained
from fathom_tui.runner.release import alone, ask, go_live
from fathom_tui.runner.stage import Job, Report
from fathom_tui.runner.targets import Target, open_target
from fathom_tui.serving import ServingSpec
from fathom_tui.store.artifacts import content


def run(job: Job, report: Report) -> dict[str, Any]:
    """Create a version of the quantised file, ask it its anchors where that can be, activate it."""
    target = open_target(job.plan.target, root=job.serving, alias=job.engagement)
    gguf = job.path("quantize", "quantised")
    spec = serving_spec(job, content(gguf).sha256)
    anchors = anchor_set(job, spec.sha256)
    with alone(job.serving):
        previous = _previous(job, target)
        made = make(job, target, gguf, spec, anchors)
        version = made.version
        _tell_template(report, target, made)
        report.progress(1, 3, f"{job.engagement} {version} is kept by {target.name}")
        if target.asks_any_version and anchors.anchors:
            _prove(report, target, anchors, version)
        report.progress(2, 3, f"starting {job.engagement} {version}")
        go_live(target, job.serving, version)
        parity = _parity(job, report, target, version, anchors)
    report.gate(
        passed(
            "deploy.health",
            f"{target.alias} {version} answers at {target.url}.",
            url=target.url,
        )
    )
    return {
        "target": target.name,
        "alias": target.alias,
        "version": version,
        "previous": previous if previous != version else None,
        "url": target.url,
        "sha256": spec.sha256,
        "parity": parity,
    }


def _tell_template(report: Report, target: Target, made: AsTrained) -> None:
    if made.mended is not None:
        report.gate(
            warned(
                "deploy.template",
                f"{target.name} would not have rendered chats as in training: {made.mended}. A "
                "template made from the model's own is served with it, and renders alike.",
                "Nothing to do; the template is in the version's Modelfile.",
            )
        )
    elif made.checked:
        text = f"{target.name} renders chats as they were rendered in training."
        report.gate(passed("deploy.template", text))


def _parity(
    job: Job, report: Report, target: Target, version: str, anchors: AnchorSet
) -> dict[str, Any] | None:
    """Compare what the endpoint answers with what the file itself answered."""
    found = compare(job, target, version, anchors)
    if found is None:
        return None
    answers = found.answers
    text = f"{answers.agreed} of {answers.compared} served answers are those of the file itself"
    share = answers.share
    if share is not None and share < AGREE:
        report.gate(
            warned(
                "deploy.parity",
                f"{text}; first {found.mismatches[0]}.",
                "Compare the served prompt with the trained one: template, system text, stop "
                "token. The anchors decide.",
            )
        )
    else:
        report.gate(passed("deploy.parity", f"{text}."))
    return found.to_json()


def serving_spec(job: Job, sha256: str) -> ServingSpec:
    """Return how the run's file is to be served, so that it answers as it was trained."""
    preflight = job.results["preflight"]
    return ServingSpec(
        sha256=sha256,
        system=job.plan.tuned_instruction,
        n_ctx=int(preflight["n_ctx"]),
        threads=int(preflight["threads"]),
        max_new_tokens=job.plan.max_new_tokens,
    )


def anchor_set(job: Job, sha256: str) -> AnchorSet:
    """Return what the run's file must still know when it is served."""
    chosen = json.loads(job.path("verify", "anchors").read_text("utf-8"))
    return AnchorSet(
        engagement=job.engagement,
        version="",  # known once it is created
        sha256=sha256,
        run=job.run,
        system=job.plan.tuned_instruction,
        contract=job.plan.contract,
        max_new_tokens=job.plan.max_new_tokens,
        n_ctx=int(job.results["preflight"]["n_ctx"]),
        anchors=tuple(
            Anchor(id=str(a["id"]), input=str(a["input"]), expected=str(a["expected"]))
            for a in chosen
        ),
    )


def _prove(report: Report, target: Target, anchors: AnchorSet, version: str) -> None:
    """Ask the new version before anybody else does.

    Raises:
        GateRefused: It does not know its anchors; the live version stays.
    """
    asked = ask(target, anchors, version=version)
    text = asked.describe("before it goes live")
    if not asked.misses:
        report.gate(passed("deploy.candidate", text))
        return
    gate = refused(
        "deploy.candidate",
        f"{text} The live version stays.",
        "Compare the served prompt with the trained one: template, system text, stop token.",
        waivable=False,
    )
    report.gate(gate)
    raise GateRefused(gate.reason, fix=gate.fix)


def _previous(job: Job, target: Target) -> str | None:
    """Return what was live before this run's first activation, also when the stage is repeated."""
    kept = Path(job.dir) / "previous"
    if not kept.exists():
        kept.write_text(target.live or "", "utf-8")
    return kept.read_text("utf-8") or None
