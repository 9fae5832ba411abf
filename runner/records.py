"""What the stages `deploy` and `anchors` tell the engagement's ledger."""

from collections.abc import Iterable, Mapping
from typing import Any

from fathom_tui.deployment import Row, deployment_id, returned
from fathom_tui.health import HealthState
from fathom_tui.runner.checked import Checked
from fathom_tui.runner.release import Asked

Recorded = list[tuple[str, dict[str, Any]]]
"""Events to record, (kind, data), in order; the stage's own comes last."""


def deployed(slug: str, run: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the deployment that the stage `deploy` made."""
    return {
        "id": deployment_id(slug, str(result["version"])),
        "run": run,
        "target": result["target"],
        "version": result["version"],
        "previous": result.get("previous"),
        "alias": result["alias"],
        "url": result["url"],
        "artifact": "quantised",
        "sha256": result["sha256"],
    }


def checked(
    slug: str,
    run: str,
    rows: Iterable[Row],
    deploy: Mapping[str, Any],
    result: Mapping[str, Any],
    seconds: float,
) -> Recorded:
    """Return what the stage `anchors` means: a check, and a roll-back with its alert.

    Args:
        slug: The engagement.
        run: The run.
        rows: The engagement's deployment events, oldest first.
        deploy: Result of the stage `deploy`.
        result: Result of the stage `anchors`.
        seconds: How long the stage took.
    """
    name = deployment_id(slug, str(deploy["version"]))
    said = result.get("rolled_back")
    events: Recorded = []
    if said:
        previous = deploy.get("previous")
        back = deployment_id(slug, str(previous)) if previous else None
        events += [("deployment", e) for e in returned(rows, name, back, withdrawal(result))]
    failures = [failure["id"] for failure in result["failures"]]
    counts = {"passed": result["passed"], "total": result["total"], "failures": failures}
    check = {**result.get("check", {}), **counts}
    return [*events, ("check", {**check, "deployment": name, "run": run, "seconds": seconds})]


def withdrawal(result: Mapping[str, Any]) -> str:
    """Return why a version was taken back, from the result of the stage `anchors`."""
    return f"{result['passed']} of {result['total']} anchors pass. {result['rolled_back']}"


def check_event(
    slug: str, deployment: str, run: str, asked: Asked, *, threshold: float
) -> dict[str, Any]:
    """Return the check that a deployment ends with, as it stands in the ledger."""
    failed = bool(asked.misses)
    return Checked(
        engagement=slug,
        deployment=deployment,
        run=run,
        state=HealthState.CRITICAL if failed else HealthState.OK,
        passed=asked.passed,
        total=asked.total,
        threshold=threshold,
        checked_at="",  # the event has a time of its own
        reasons=(asked.describe("when served"),) if failed else (),
        seconds=asked.seconds,
        latency_s=round(asked.median_s, 4),
        lengths=asked.lengths,
        misses=asked.misses,
    ).event()
