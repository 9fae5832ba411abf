"""A home of its own for each test, and runs as the agent writes them."""

from collections.abc import Callable
from typing import Any

import pytest

from fathom_tui.store import Home, Journal, Store

RUN_EVENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("attempt", {"number": 1, "pid": 4711}),
    ("stage_started", {"stage": "preflight", "input_hash": "a1", "expected_seconds": 2}),
    (
        "gate",
        {
            "stage": "preflight",
            "gate": {"name": "preflight.disk", "outcome": "warn", "reason": "3 GB are free"},
        },
    ),
    (
        "stage_finished",
        {
            "stage": "preflight",
            "state": "done",
            "seconds": 1.25,
            "input_hash": "a1",
            "result": {"free_gb": 3},
        },
    ),
    ("stage_started", {"stage": "train", "input_hash": "b2", "expected_seconds": 840}),
    ("progress", {"stage": "train", "done": 1, "total": 250, "note": "step 1"}),
    ("metric", {"stage": "train", "step": 1, "epoch": 0.5, "train_loss": 2.5}),
    ("metric", {"stage": "train", "step": 1, "epoch": 0.5, "validation_loss": 2.25}),
    (
        "measured",
        {
            "stage": "train",
            "name": "tokens_per_s",
            "figure": {
                "value": 420.5,
                "unit": "tokens/s",
                "kind": "measured-here",
                "source": "run",
                "as_of": "2026-11-21",
            },
            "hardware": {"cpu": "two cores"},
        },
    ),
)

WriteRun = Callable[..., str]


@pytest.fixture
def home(home: Home) -> Home:
    return home.prepare()


@pytest.fixture
def store(home: Home) -> Store:
    return Store(home)


@pytest.fixture
def acme(store: Store) -> str:
    """An engagement with one event of each kind."""
    slug = store.create_engagement("Acme triage", {"task": "classify"}, "acme")
    store.record(slug, "fact", {"key": "volume", "value": 1200})
    store.record(slug, "decision", {"what": "run locally", "why": "privacy", "by": "Ann"})
    store.record(
        slug,
        "waiver",
        {"run": "acme-1", "gate": "data.floor", "by": "Ann", "reason": "a pilot"},
    )
    store.record(
        slug,
        "deployment",
        {
            "id": "acme-1-v1",
            "run": "acme-1",
            "target": "ollama",
            "version": "v1",
            "alias": "acme",
            "url": "http://127.0.0.1:11434",
            "state": "active",
            "artifact": "model.gguf",
            "sha256": "00",
        },
    )
    store.record(
        slug,
        "check",
        {
            "deployment": "acme-1-v1",
            "run": "acme-1",
            "passed": 19,
            "total": 20,
            "failures": ["case-7"],
            "seconds": 3.5,
        },
    )
    store.record(slug, "test_opened", {"run": "acme-1", "split_sha256": "ff"})
    return slug


@pytest.fixture
def write_run(store: Store) -> WriteRun:
    """Return a function that reserves a run and writes its journal."""

    def write(slug: str, *events: tuple[str, dict[str, Any]]) -> str:
        run_id = store.reserve_run(slug)
        created = {"run": run_id, "engagement": slug, "config": {"seed": 7}, "created_by": "Ann"}
        with Journal(store.home.run_journal(run_id)) as journal:
            journal.append("run_created", created)
            for kind, data in events or RUN_EVENTS:
                journal.append(kind, data, durable=False)
        return run_id

    return write
