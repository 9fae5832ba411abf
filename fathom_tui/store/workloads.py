"""The workloads of an engagement: facts in its journal, one for each name."""

from fathom_tui.store.ledger import Store
from fathom_tui.workload import Workload, check_name

_PREFIX = "workload/"


def keep_workload(store: Store, slug: str, workload: Workload) -> None:
    """Keep a workload with an engagement; one of the same name is replaced.

    Raises:
        NotFound: There is no such engagement.
        UsageError: The name cannot be shown as it is.
    """
    check_name(workload.name)
    store.engagement(slug)
    store.record(slug, "fact", {"key": _PREFIX + workload.name, "value": workload.to_json()})


def workloads(store: Store, slug: str) -> list[Workload]:
    """Return an engagement's workloads in the order they were first kept.

    Raises:
        NotFound: There is no such engagement.
        UsageError: A workload was written by a newer version.
    """
    store.engagement(slug)
    return [
        Workload.from_json(fact["value"])
        for fact in store.facts(slug)
        if fact["key"].startswith(_PREFIX)
    ]
