"""The tables equal the fold of the journals, however the journals grew."""

import itertools
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom_tui.runs import fold
from fathom_tui.stages import STAGE_NAMES
from fathom_tui.store import Home, Journal, Store, journal
from fathom_tui.store.migrations import migrate
from fathom_tui.store.replay import replay, rows_of, sources
from fathom_tui.store.tables import COLUMNS
from tests.store.conftest import WriteRun

Events = list[tuple[str, dict[str, Any]]]

NUMBER = itertools.count(1)
"""Names for examples: two journals of one name, size and instant could not be told apart."""
STAGE = st.sampled_from((*STAGE_NAMES[:5], "a stage of tomorrow"))
STEP = st.integers(0, 12)
LOSS = st.floats(0, 10) | st.none()
VALUE = st.none() | st.booleans() | st.integers() | st.text("a\x00é\u2028\"'\\\n") | st.floats(0, 1)

RUN_EVENT = st.one_of(
    st.tuples(
        st.just("metric"),
        st.fixed_dictionaries({"stage": st.just("train"), "step": STEP, "train_loss": LOSS}),
    ),
    st.tuples(
        st.just("metric"),
        st.fixed_dictionaries({"stage": st.just("train"), "step": STEP, "validation_loss": LOSS}),
    ),
    st.tuples(
        st.just("progress"), st.fixed_dictionaries({"stage": STAGE, "done": STEP, "note": VALUE})
    ),
    st.tuples(st.just("note"), st.fixed_dictionaries({"stage": STAGE, "text": VALUE})),
    st.tuples(
        st.just("stage_started"),
        st.fixed_dictionaries({"stage": STAGE}, optional={"from_step": STEP, "input_hash": VALUE}),
    ),
    st.tuples(
        st.just("stage_finished"),
        st.fixed_dictionaries(
            {
                "stage": STAGE,
                "state": st.sampled_from(("done", "failed")),
                "seconds": st.floats(0, 9),
                "result": st.dictionaries(st.text("ab"), VALUE, max_size=2),
            }
        ),
    ),
    st.tuples(
        st.just("gate"),
        st.fixed_dictionaries(
            {
                "stage": STAGE,
                "gate": st.fixed_dictionaries(
                    {
                        "name": st.just("data.floor"),
                        "outcome": st.sampled_from(("pass", "warn", "refuse")),
                        "reason": st.text(),
                        "evidence": st.dictionaries(st.text("ab"), VALUE, max_size=2),
                    }
                ),
            }
        ),
    ),
    st.tuples(
        st.just("artifact"),
        st.fixed_dictionaries(
            {
                "stage": STAGE,
                "name": st.sampled_from(("adapter", "model")),
                "path": st.just("x"),
                "sha256": st.just("00"),
                "bytes": st.integers(0, 2**40),
                "inputs": st.dictionaries(st.text("ab"), st.text("01"), max_size=2),
            }
        ),
    ),
    st.tuples(
        st.just("measured"),
        st.fixed_dictionaries({"name": VALUE, "figure": VALUE}, optional={"hardware": VALUE}),
    ),
    st.tuples(st.just("attempt"), st.fixed_dictionaries({"number": STEP})),
    st.tuples(st.just("run_finished"), st.fixed_dictionaries({"state": st.just("done")})),
)
ENGAGEMENT_EVENT = st.tuples(
    st.sampled_from(("fact", "decision", "waiver", "deployment", "check", "test_opened", "later")),
    st.dictionaries(
        st.sampled_from(("key", "value", "by", "passed", "seconds", "failures", "at", "data")),
        VALUE,
        max_size=4,
    ),
)


def stored(connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """Return all rows of all tables in one comparable form."""
    found_rows = {}
    for table, columns in COLUMNS.items():
        names = ", ".join(f'"{name}"' for name in columns)
        found = connection.execute(f"SELECT {names} FROM {table}").fetchall()
        found_rows[table] = canonical(dict(zip(columns, row, strict=True)) for row in found)
    return found_rows


def fresh(home: Home) -> dict[str, list[str]]:
    """Return what the journals give when they are folded from their first lines on."""
    rows: dict[str, list[dict[str, Any]]] = {table: [] for table in COLUMNS}
    for source in sources(home):
        for table, found in rows_of(source, journal.read(source.path)[0]).items():
            rows[table] += found
    return {table: canonical(found) for table, found in rows.items()}


def canonical(rows: Iterable[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


def test_a_run_that_grows_in_parts_has_the_rows_of_its_whole_fold() -> None:
    # One set of tables for all examples: opening costs more than an example, and the rows of
    # the one before have to go away by themselves.
    with duckdb.connect(config={"threads": 1}) as connection:
        migrate(connection)

        @given(parts=st.lists(st.lists(RUN_EVENT, max_size=6), max_size=5))
        @settings(deadline=None, max_examples=25)
        def grow(parts: list[Events]) -> None:
            with tempfile.TemporaryDirectory() as root:
                home = Home.at(Path(root))
                run_id = f"acme-{next(NUMBER)}"
                with Journal(home.run_journal(run_id)) as writer:
                    created = {"run": run_id, "engagement": "acme"}
                    for part in [[("run_created", created)], *parts]:
                        for kind, data in part:
                            writer.append(kind, data, durable=False)
                        assert replay(connection, home) == {}

                        assert stored(connection) == fresh(home)

        grow()


def test_an_engagement_that_grows_in_parts_has_the_rows_of_all_its_events() -> None:
    with duckdb.connect(config={"threads": 1}) as connection:
        migrate(connection)

        @given(parts=st.lists(st.lists(ENGAGEMENT_EVENT, max_size=4), max_size=4))
        @settings(deadline=None, max_examples=25)
        def grow(parts: list[Events]) -> None:
            with tempfile.TemporaryDirectory() as root:
                home = Home.at(Path(root))
                slug = f"acme-{next(NUMBER)}"
                for part in parts:
                    with Journal(home.engagement_journal(slug)) as writer:
                        for kind, data in part:
                            writer.append(kind, data, durable=False)
                    assert replay(connection, home) == {}

                    assert stored(connection) == fresh(home)

        grow()


def test_a_run_under_way_is_not_folded_again_for_each_metric(
    store: Store, acme: str, write_run: WriteRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = write_run(acme)
    store.runs()
    with Journal(store.home.run_journal(run_id)) as writer:
        writer.append("progress", {"stage": "train", "done": 2})
        writer.append("metric", {"stage": "train", "step": 2, "train_loss": 2.0})
    offsets: list[int] = []
    really_read = journal.read

    def read(path: Path, *, after_seq: int = 0, offset: int = 0) -> Any:
        offsets.append(offset)
        return really_read(path, after_seq=after_seq, offset=offset)

    monkeypatch.setattr(journal, "read", read)
    store.runs()

    assert len(offsets) == 1
    assert offsets[0] > 0
    assert store.rebuild()["metrics"] == 3


def test_a_journal_that_was_replaced_or_cut_gives_its_new_rows(store: Store, acme: str) -> None:
    path = store.home.engagement_journal(acme)
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(store.decisions(acme)) == 1

    path.write_bytes(b"".join(lines[:2]))
    after_cut = store.decisions(acme)
    changed = b"".join(lines).replace(b"privacy", b"secrecy")
    path.with_name("new").write_bytes(changed)
    os.replace(path.with_name("new"), path)

    assert after_cut == []
    assert store.decisions(acme)[0]["why"] == "secrecy"
    path.write_bytes(changed.replace(b"secrecy", b"privacy"))
    assert store.decisions(acme)[0]["why"] == "privacy"


def test_a_journal_overwritten_in_place_by_a_longer_one_gives_its_rows(
    store: Store, acme: str, tmp_path: Path
) -> None:
    path = store.home.engagement_journal(acme)
    with Journal(tmp_path / "other.jsonl") as writer:
        for number in range(20):
            writer.append("fact", {"key": f"fact {number}", "value": number})
    assert len(store.facts(acme)) == 1

    path.write_bytes((tmp_path / "other.jsonl").read_bytes())

    assert len(store.facts(acme)) == 20
    assert store.waivers(acme) == []


def test_rows_of_a_journal_that_is_gone_are_gone(
    store: Store, acme: str, write_run: WriteRun
) -> None:
    run_id = write_run(acme)
    assert len(store.runs()) == 1

    store.home.run_journal(run_id).unlink()

    assert store.runs() == []
    assert store.rebuild()["metrics"] == 0


def test_rows_of_a_run_are_what_its_view_says(store: Store, acme: str, write_run: WriteRun) -> None:
    run_id = write_run(acme)

    view = fold(journal.read(store.home.run_journal(run_id))[0])
    row = store.runs()[0]

    assert (row.id, row.engagement, row.state) == (view.id, view.engagement, view.state)
    assert [(s.name, s.state, s.seconds, s.verdict) for s in row.stages] == [
        (s.name, s.state, s.seconds, s.verdict) for s in view.stages.values()
    ]
