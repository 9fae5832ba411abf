"""Anchor files that are JSON and make no sense."""

import json
from typing import Any

import pytest

from fathom_tui.anchors import AnchorSet
from tests.served import anchor_set

GOOD = anchor_set([("one", "1"), ("two", "2")], version="v1", sha256="a" * 64).to_json()
TWICE = [GOOD["anchors"][0], GOOD["anchors"][0]]
HALF = [GOOD["anchors"][0] | {"input": "\ud800"}]
ODD: dict[str, list[Any]] = {
    "threshold": [float("nan"), 1e308, -0.1, "x"],
    "seconds": [float("nan"), float("inf"), -1],
    "max_new_tokens": [-1, 0, 10**30, True, float("inf")],
    "n_ctx": [0, 10**30],
    "system": ["\udfff"],
    "anchors": [TWICE, HALF],
}


@pytest.mark.parametrize(("name", "value"), [(name, v) for name, vs in ODD.items() for v in vs])
def test_a_value_out_of_range_is_refused(name: str, value: Any) -> None:
    data = json.loads(json.dumps(GOOD | {name: value}))

    with pytest.raises(ValueError):  # noqa: PT011  each kind of value has words of its own
        AnchorSet.from_json(data)


def test_a_set_is_read_as_it_was_written() -> None:
    assert AnchorSet.from_json(json.loads(json.dumps(GOOD))).to_json() == GOOD
