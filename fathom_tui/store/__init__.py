"""The ledger on disk: paths, journals and DuckDB. The only package with SQL in it."""

from fathom_tui.store.journal import Journal, utc_now
from fathom_tui.store.ledger import Store
from fathom_tui.store.paths import Home, check_run_id, check_slug, slugify
from fathom_tui.store.rows import EngagementRow, Finding, FindingState, RunRow, StageRow

__all__ = [
    "EngagementRow",
    "Finding",
    "FindingState",
    "Home",
    "Journal",
    "RunRow",
    "StageRow",
    "Store",
    "check_run_id",
    "check_slug",
    "slugify",
    "utc_now",
]
