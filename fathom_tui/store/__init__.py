"""The ledger on disk: paths, journals and DuckDB. The only package with SQL in it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_PLACES = {
    "Journal": "journal",
    "utc_now": "journal",
    "Store": "ledger",
    "Home": "paths",
    "check_run_id": "paths",
    "check_slug": "paths",
    "slugify": "paths",
    "EngagementRow": "rows",
    "Finding": "rows",
    "FindingState": "rows",
    "RunRow": "rows",
    "StageRow": "rows",
}


def __getattr__(name: str) -> Any:
    # Loaded when first named: the screens need a path for their first frame, and no ledger.
    if name in _PLACES:
        return getattr(import_module(f"fathom_tui.store.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
