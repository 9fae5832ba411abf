"""What the ledger keeps of a version that is served: one event for each change of its state."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any


class DeploymentState(StrEnum):
    """Where a version stands."""

    CREATED = "created"
    SERVING = "serving"
    SUPERSEDED = "superseded"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"
    STOPPED = "stopped"
    REMOVED = "removed"


Row = Mapping[str, Any]
"""A deployment event: id, run, target, version, previous, alias, url, artifact, sha256, state."""


def deployment_id(slug: str, version: str) -> str:
    """Return the name of a version in the ledger: `acme-triage:v3`."""
    return f"{slug}:{version}"


def latest(rows: Iterable[Row]) -> dict[str, Row]:
    """Return each deployment as it was last recorded, in the order of these last records."""
    found: dict[str, Row] = {}
    for row in rows:
        found.pop(str(row["id"]), None)
        found[str(row["id"])] = row
    return found


def live(rows: Iterable[Row]) -> Row | None:
    """Return the deployment that the ledger holds for live: the last one that is serving."""
    serving = [r for r in latest(rows).values() if r["state"] == DeploymentState.SERVING]
    return serving[-1] if serving else None


def served_last(rows: Iterable[Row]) -> Row | None:
    """Return the deployment that serves, else the last one that did and was not taken back.

    One that was only created, failed its proofs or was removed since is nothing to rely on.
    """
    known = latest(rows).values()
    left = (DeploymentState.SUPERSEDED, DeploymentState.STOPPED)
    before = [row for row in known if row["state"] in left]
    return live(known) or (before[-1] if before else None)


def went_live(rows: Iterable[Row], new: Row) -> list[dict[str, Any]]:
    """Return the events of an activation: what was serving is superseded, then the new one serves.

    Args:
        rows: All deployment events of the engagement, oldest first.
        new: The new deployment; its state is set here.
    """
    before = [
        changed(row, DeploymentState.SUPERSEDED, reason=f"{new['version']} went live")
        for row in latest(rows).values()
        if row["state"] == DeploymentState.SERVING and row["id"] != new["id"]
    ]
    return [*before, changed(new, DeploymentState.SERVING)]


def returned(rows: Iterable[Row], failed: str, previous: str | None, reason: str) -> list[Any]:
    """Return the events of a roll-back.

    Args:
        rows: All deployment events of the engagement, oldest first.
        failed: The id of the deployment that is withdrawn.
        previous: The id of the one that serves again; None where there was none.
        reason: Why.
    """
    known = latest(rows)
    events = []
    if failed in known:
        events.append(changed(known[failed], DeploymentState.ROLLED_BACK, reason=reason))
    if previous is not None and previous in known:
        events.append(changed(known[previous], DeploymentState.SERVING, reason="rolled back to"))
    return events


_KEPT = ("id", "run", "target", "version", "previous", "alias", "url", "artifact", "sha256")


def changed(row: Row, state: DeploymentState, *, reason: str = "") -> dict[str, Any]:
    """Return the event that gives a deployment another state."""
    event = {name: row.get(name) for name in _KEPT}
    return {**event, "state": state.value, **({"reason": reason} if reason else {})}
