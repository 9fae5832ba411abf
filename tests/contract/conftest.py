"""The server under test and the models on it."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fathom_tui.errors import EnvironmentProblem
from fathom_tui.runner.embedded import embedded_gguf
from tests.contract.client import GREEDY, PREFIX, Api
from tests.contract.doubles import Start
from tests.contract.files import CHATML, write_small

# At import: what every test gets has no setting of the person who runs it.
_HOST = os.environ.get("OLLAMA_HOST", "")


def _url(host: str) -> str:
    url = host if "://" in host else f"http://{host}"
    scheme, _, rest = url.partition("://")
    place = rest.partition("/")[0].replace("0.0.0.0", "127.0.0.1")
    return f"{scheme}://{place}" if ":" in place else f"{scheme}://{place}:11434"


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Return the server that OLLAMA_HOST names, else a double."""
    if _HOST:
        api = Api(_url(_HOST))
        api.clean()
        yield api
        api.clean()
        api.close()
        return
    for module in ("llama_cpp", "uvicorn"):
        pytest.importorskip(module, reason='needs: pip install "fathom-tui[demo]"')
    from tests.ollama_double.started import double

    with double(tmp_path_factory.mktemp("ollama")) as running:
        api = Api(running.url)
        yield api
        api.close()


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """Return the embedded model's file."""
    try:
        return embedded_gguf()
    except EnvironmentProblem as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a GGUF of a few kilobytes without a chat template; what it says means nothing."""
    pytest.importorskip("gguf")
    return write_small(tmp_path_factory.mktemp("small") / "small.gguf")


@pytest.fixture(scope="session")
def chatty(api: Api, smollm2: Path) -> str:
    """Return the name of SmolLM2 on the server, created as our client would."""
    name = f"{PREFIX}smollm2:v1"
    api.create(name, smollm2, parameters={key: GREEDY[key] for key in ("temperature", "num_ctx")})
    return name


@pytest.fixture(scope="session")
def embedder(api: Api, small: Path) -> str:
    """Return the name of an embedding model on the server."""
    name = f"{PREFIX}embedder:v1"
    path = small.with_name("embedder.gguf")
    api.create(name, write_small(path, pooled=True))
    return name


@pytest.fixture(scope="session")
def small_chatml(small: Path) -> Path:
    """Return the small model with ChatML as its chat template."""
    return write_small(small.with_name("chatml.gguf"), chat_template=CHATML)


@pytest.fixture
def name(api: Api) -> str:
    """Return a name that is free."""
    return api.name()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return what starts doubles, one after the other, on one models directory."""
    for module in ("llama_cpp", "uvicorn"):
        pytest.importorskip(module)
    from tests.ollama_double.started import Double, double

    with ExitStack() as stack:

        def started(*faults: str, version: str = "0.33.0") -> tuple[Api, Double]:
            running = double(tmp_path / "models", version=version, faults=faults)
            process = stack.enter_context(running)
            api = Api(process.url)
            stack.callback(api.close)
            return api, process

        yield started
