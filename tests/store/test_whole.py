"""Deployment events that no reader could use are left out, and said."""

from typing import Any

import pytest

from fathom_tui.store import Home, Store
from fathom_tui.store.journal import Journal
from fathom_tui.store.live import watched
from fathom_tui.watching import watch
from tests.store.test_watched import NOON

GOOD = {"id": "acme:v1", "run": "acme-1", "target": "vllm", "version": "v1", "state": "serving"}
ODD: list[dict[str, Any]] = [
    {name: value for name, value in GOOD.items() if name != "id"},
    {name: value for name, value in GOOD.items() if name != "version"},
    GOOD | {"id": ["acme:v1"]},
    GOOD | {"version": 2},
    GOOD | {"target": None},
    GOOD | {"state": {"is": "serving"}},
    {},
]


@pytest.mark.parametrize("odd", ODD)
def test_a_deployment_that_cannot_be_used_is_left_out_once_and_said(
    home: Home, odd: dict[str, Any]
) -> None:
    home.prepare()
    path = home.engagement_journal("acme")
    with Journal(path) as journal:
        journal.append("engagement_created", {"slug": "acme", "name": "Acme", "config": {}})
        journal.append("deployment", GOOD)
        journal.append("deployment", odd)
    store = Store(home)

    seen = store.watched(9)
    known = watched(home, "acme")

    assert [row["id"] for row in store.deployments("acme")] == ["acme:v1"]
    assert [row["state"] for row in seen.deployments] == ["serving"]
    assert watch(seen.slugs, seen.deployments, [], [], NOON)[0].version == "v1"
    assert known.live is not None and known.live["version"] == "v1"
    assert len(store.notes) == 1
    assert list(known.notes) == store.notes
    assert f"{path}, event 3: a deployment without a usable" in store.notes[0]
