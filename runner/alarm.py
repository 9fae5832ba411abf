"""Telling people at once that a version was taken back, and writing down whom it reached."""

from fathom_tui.alerts import Alert
from fathom_tui.health import HealthState
from fathom_tui.runner.health import hooks_of
from fathom_tui.runner.hooks import Hooks
from fathom_tui.store import Store, utc_now
from fathom_tui.store.live import watched


def taken_back(
    store: Store, slug: str, deployment: str, reason: str, *, passed: int, total: int
) -> list[str]:
    """Call the engagement's hooks and record the alert; return what did not arrive.

    Args:
        store: The ledger.
        slug: The engagement.
        deployment: The one that was taken back.
        reason: Why, and what serves now.
        passed: Anchors that it answered as it must.
        total: Anchors that it was asked.
    """
    alert = Alert(
        engagement=slug,
        deployment=deployment,
        state=HealthState.CRITICAL,
        before=HealthState.UNKNOWN,
        reasons=(reason,),
        passed=passed,
        total=total,
        checked_at=utc_now(),
    )
    hooks, faults = hooks_of(watched(store.home, slug), Hooks()).usable()
    delivered = hooks.tell(alert, hooks.names)
    store.record(slug, "alert", alert.event(delivered))
    failed = [delivery.complaint for delivery in delivered if not delivery.ok]
    return [*(f"Nobody can be told: {fault}" for fault in faults), *failed]
