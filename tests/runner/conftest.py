"""Homes in which agents work, the toy task they work on, and the embedded model for engines."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fathom_tui.recipe import EMBEDDED
from fathom_tui.runner.base_model import BaseModel, prepare
from fathom_tui.runner.llama import Engine
from fathom_tui.runner.quantized import quantize
from fathom_tui.store import Home
from tests.runner.tiny import write_tiny
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


@pytest.fixture(scope="session")
def base(embedded_cache: Path) -> BaseModel:
    """Return the embedded model as a Hugging Face directory and as an f16 GGUF."""
    return prepare(EMBEDDED, embedded_cache)


@pytest.fixture(scope="session")
def q4(base: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the embedded model in Q4_K_M."""
    path = tmp_path_factory.mktemp("q4") / "model.q4_k_m.gguf"
    quantize(base.gguf, path, "Q4_K_M")
    return path


@pytest.fixture(scope="session")
def tiny(base: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a GGUF of random weights in f16 with the embedded model's vocabulary."""
    return write_tiny(tmp_path_factory.mktemp("tiny") / "tiny.f16.gguf", base.gguf)


@pytest.fixture(scope="session")
def engine(base: BaseModel) -> Iterator[Engine]:
    """Return the embedded model in f16, loaded: known to be whole, so it may be in this process."""
    with Engine(base.gguf, n_ctx=1024, threads=1) as engine:
        yield engine
