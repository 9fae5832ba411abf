"""The order of training rows: from the seed alone, whole epochs, alike lengths together."""

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.contract import Contract
from fathom_tui.recipe import Plan
from fathom_tui.runner.train import _adapted, head_chunk, in_training_order


def a_plan(batch: int, seed: int = 1) -> Plan:
    return Plan(
        dataset="rows.csv",
        contract=Contract.of_labels(("a", "b")),
        instruction="Sort.",
        batch=batch,
        micro_batch=batch,
        seed=seed,
    )


def some_rows(count: int) -> list[dict[str, Any]]:
    return [{"input_ids": list(range(1 + n % 7)), "row": n} for n in range(count)]


@given(count=st.integers(1, 90), batch=st.integers(1, 9), epochs=st.integers(1, 3))
def test_every_epoch_holds_every_row(count: int, batch: int, epochs: int) -> None:
    each = -(-count // batch)

    ordered = in_training_order(some_rows(count), a_plan(batch), each * epochs)

    assert len(ordered) == each * epochs * batch
    for epoch in range(epochs):
        seen = [row["row"] for row in ordered[epoch * each * batch : (epoch + 1) * each * batch]]
        assert set(seen) == set(range(count))


def test_the_order_follows_from_the_seed_alone() -> None:
    rows = some_rows(50)

    assert in_training_order(rows, a_plan(4), 20) == in_training_order(rows, a_plan(4), 20)
    assert in_training_order(rows, a_plan(4), 20) != in_training_order(rows, a_plan(4, 2), 20)


def test_a_shorter_training_is_the_beginning_of_a_longer_one() -> None:
    rows = some_rows(50)

    assert in_training_order(rows, a_plan(4), 20)[:40] == in_training_order(rows, a_plan(4), 10)


def test_a_batch_holds_rows_of_like_length() -> None:
    ordered = in_training_order(some_rows(64), a_plan(4), 16)
    lengths = [len(row["input_ids"]) for row in ordered]

    spread = [max(lengths[i : i + 4]) - min(lengths[i : i + 4]) for i in range(0, 64, 4)]

    assert sum(spread) / len(spread) < 2


def answers_of(*trained: int) -> list[dict[str, Any]]:
    return [{"input_ids": [0] * 9, "labels": [-100] * 3 + [7] * count} for count in trained]


def test_the_loss_projects_the_largest_batch_of_answers_at_once() -> None:
    assert head_chunk(answers_of(10, 11, 30, 35, 5, 6), micro=2) == 72
    assert head_chunk(answers_of(10, 11, 30, 35, 5, 6), micro=1) == 40


def test_long_answers_are_projected_in_chunks_of_bounded_memory() -> None:
    assert head_chunk(answers_of(400, 400), micro=2) == 256


def test_the_pinned_trl_still_has_the_chunk_that_is_set() -> None:
    code = (
        "from trl.trainer import sft_trainer as s\n"
        "import inspect\n"
        "assert s._CHUNKED_LM_HEAD_CHUNK_SIZE == 256\n"
        "assert 'chunk_size=_CHUNKED_LM_HEAD_CHUNK_SIZE' in inspect.getsource(s.SFTTrainer)\n"
    )

    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


class TestAdaptedLayers:
    def test_are_the_ones_nearest_the_output(self) -> None:
        assert _adapted(3, 30) == [27, 28, 29]

    @pytest.mark.parametrize("top", [None, 30, 40])
    def test_are_all_where_no_fewer_are_asked_for(self, top: int | None) -> None:
        assert _adapted(top, 30) is None
