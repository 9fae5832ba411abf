"""What was purged, as the ledger knows it: for whoever looks for a file that is gone on purpose."""

import json
import os
from collections.abc import Mapping

from fathom_tui.errors import StoreError, UsageError
from fathom_tui.reports.certificate import Certificate
from fathom_tui.store import journal
from fathom_tui.store.ledger import Store
from fathom_tui.store.paths import Home


def run_ids(home: Home, slug: str) -> list[str]:
    """Return every run directory of an engagement, those without a journal too."""
    found = []
    for path in home.runs.glob(f"{slug}-*"):
        number = path.name[len(slug) + 1 :]
        if number.isascii() and number.isdigit() and path.is_dir():
            found.append((int(number), path.name))
    return [name for _, name in sorted(found)]


def purged(home: Home, slug: str) -> dict[str, str]:
    """Return what was purged, path below the data directory to ISO date, from the journal."""
    try:
        events = journal.read(home.engagement_journal(slug))[0]
    except (FileNotFoundError, StoreError):
        return {}  # whoever looks after the journals says so
    found = {
        str(path): event.at[:10]
        for event in events
        if event.kind == "purge"
        for path in event.data.get("removed", ())
    }
    cut_short = begun(home, slug)
    if cut_short is not None:
        found.update(dict.fromkeys(cut_short.removed, cut_short.planned_at[:10]))
    return found


def covers(gone: Mapping[str, str], path: str) -> str | None:
    """Return the date on which a path, or a directory above it, was purged; None if it was not."""
    parts = path.split("/")
    above = ("/".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((gone[step] for step in above if step in gone), None)


def refuse_purged(store: Store, run_id: str, what: str) -> None:
    """Say that a run's data is gone where it was purged; return where it was not.

    Raises:
        UsageError: It was purged.
    """
    slug = run_id.rpartition("-")[0]
    date = covers(purged(store.home, slug), f"runs/{run_id}/data")
    if date is not None:
        raise UsageError(
            f"The data of {run_id} was purged on {date}: {what}.",
            fix=f"With the data file still at hand, begin anew: fathom run {slug}",
        )


def refuse_without_data(store: Store, slug: str, dataset: str) -> None:
    """Say that the data file is gone because it was purged; return where that is not so.

    Raises:
        UsageError: The engagement was purged, and its data file is not there.
    """
    if os.path.exists(os.path.expanduser(dataset)):
        return
    rows = store.purges(slug)
    if rows:
        raise UsageError(
            f"The data of {slug} was purged on {str(rows[-1]['at'])[:10]} by {rows[-1]['by']}: "
            f"{dataset} is not there any more.",
            fix="Ask the client for it again, and put it there.",
        )


def begun(home: Home, slug: str) -> Certificate | None:
    """Return the plan of a purge that was cut short, or None.

    Raises:
        StoreError: The plan is damaged.
    """
    paths = sorted(home.engagement(slug).glob("purge-*.plan.json"))
    if not paths:
        return None
    try:
        return Certificate.from_json(json.loads(paths[-1].read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{paths[-1]} does not say what a purge had begun to delete: {error!r}.",
            fix="Restore it from a backup; without it a certificate cannot be whole.",
        ) from error
