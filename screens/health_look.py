"""A look at the ledger for the Health screen; made in a thread."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from fathom_tui.errors import FathomError
from fathom_tui.screens.health_record import Record
from fathom_tui.screens.health_rows import WIDE_SPARK

if TYPE_CHECKING:
    # Loaded by the first look, after the first frame.
    from fathom_tui.store.ledger import Store
    from fathom_tui.watching import Watched

HISTORY = 60
"""Checks of the engagement that is open: two months of daily ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What a look found."""

    rows: "Sequence[Watched]"
    record: Record | None
    """Of the engagement that is open; None while none is."""
    problem: FathomError | None
    """Why the record could not be read."""


def look(store: "Store", opened: str, now: datetime) -> News:
    """Read what the ledger holds of deployments, checks and alerts.

    Args:
        store: The ledger.
        opened: Short name of the engagement that is open; "" while none is.
        now: UTC.

    Raises:
        StoreError: The ledger cannot be used.
    """
    from fathom_tui.watching import watch

    seen = store.watched(WIDE_SPARK)
    rows = watch(seen.slugs, seen.deployments, seen.checks, seen.alerts, now)
    record, problem = None, None
    if opened in seen.slugs:
        try:
            record = _record(store, opened)
        except FathomError as error:  # a damaged journal: the others can be shown
            problem = error
    return News(rows=rows, record=record, problem=problem)


def _record(store: "Store", slug: str) -> Record:
    from fathom_tui.check_events import check_of

    return Record(
        slug=slug,
        checks=[check_of(row) for row in store.recent_checks(HISTORY, slug)],
        alerts=store.alerts(slug),
        feedback=store.feedback(slug),
        facts={row["key"]: row["value"] for row in store.facts(slug)},
    )
