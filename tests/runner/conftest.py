"""Homes in which agents work, and the toy task they work on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fathom_tui.store import Home
from tests.runner.toy import put_in_cache, write_model, write_toy
from tests.runner.watching import end_agent


@pytest.fixture
def lively(home: Home) -> Iterator[Home]:
    """Return a home whose agent, if the test starts one, is ended with the test."""
    yield home.prepare()
    end_agent(home)


@pytest.fixture
def model(lively: Home, tmp_path: Path) -> Path:
    """Return a model that `preflight` finds complete and `baseline` cannot load."""
    directory = write_model(tmp_path / "tiny")
    put_in_cache(lively, directory, b"this is no GGUF")
    return directory


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Return a dataset with fewer rows than the floor: `data` refuses it, waivably."""
    return write_toy(tmp_path / "few.csv", 60)
