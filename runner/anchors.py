"""The stage `anchors`: the served model knows what the file knew; else the old one returns."""

from dataclasses import replace
from typing import Any

from fathom_tui.anchors import AnchorSet
from fathom_tui.deployment import deployment_id
from fathom_tui.errors import CouldNotCheck
from fathom_tui.gates import passed, refused
from fathom_tui.runner.deploy import anchor_set
from fathom_tui.runner.records import check_event
from fathom_tui.runner.release import Asked, alone, ask, concluded, confirm, roll_back
from fathom_tui.runner.stage import Job, Report
from fathom_tui.runner.targets import Target, open_target


def run(job: Job, report: Report) -> dict[str, Any]:
    """Ask every anchor through the served endpoint; roll back when one fails."""
    deployed = job.results["deploy"]
    target = open_target(str(deployed["target"]), root=job.serving, alias=job.engagement)
    version = str(deployed["version"])
    anchors = _anchors(job, version, str(deployed["sha256"]))
    with alone(job.serving):
        if target.url is None or target.live != version:
            # After a reboot, or a kill between deploy and here.
            target.activate(version)
        asked = ask(target, anchors, tell=report.progress)
        said = _judge(job, report, target, anchors, asked)
    # The messages stand in the version's anchors alone: they are data, and a journal is for ever.
    return {
        "passed": asked.passed,
        "total": asked.total,
        "failures": [
            {
                "id": miss.anchor.id,
                "expected": miss.anchor.expected,
                "actual": miss.actual,
                "finish_reason": miss.finish_reason,
            }
            for miss in asked.misses
        ],
        "check": check_event(
            job.engagement,
            deployment_id(job.engagement, version),
            job.run,
            asked,
            threshold=anchors.threshold,
        ),
        "rolled_back": said,
        "url": target.url,
        "live": target.live,
    }


def _anchors(job: Job, version: str, sha256: str) -> AnchorSet:
    return replace(anchor_set(job, sha256), version=version)


def _judge(
    job: Job, report: Report, target: Target, anchors: AnchorSet, asked: Asked
) -> str | None:
    """Keep the version or take it back; return what was said of that, None where it is kept."""
    if not asked.total:
        concluded(job.serving)
        raise CouldNotCheck(
            "There are no anchors, so the deployment cannot be checked.",
            fix="Give more held-out rows; the server is running unchecked.",
        )
    report.measured("anchors.seconds_per_answer", asked.seconds / asked.total, "s")
    text = asked.describe("when served")
    if not asked.misses:
        confirm(job.serving, anchors, asked)
        concluded(job.serving)
        report.gate(passed("anchors.served", text))
        return None
    said = roll_back(target, job.results["deploy"].get("previous"))
    concluded(job.serving)
    report.gate(
        refused(
            "anchors.served",
            f"{text} {said}",
            "Compare the served prompt with the trained one: template, system text, stop token.",
            failures=[miss.anchor.id for miss in asked.misses],
        )
    )
    return said
