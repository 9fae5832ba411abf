"""What all routes share."""

from dataclasses import dataclass

from tests.ollama_double.faults import Faults
from tests.ollama_double.rewrite import Rewriter
from tests.ollama_double.runners import Runners
from tests.ollama_double.store import Store
from tests.ollama_double.versions import Version


@dataclass(frozen=True, slots=True)
class Server:
    """A server's state."""

    store: Store
    runners: Runners
    rewriter: Rewriter
    version: Version
    faults: Faults
