"""Start the double: see the package's docstring."""

import argparse
import asyncio
import os
import socket
from pathlib import Path

import uvicorn

from tests.ollama_double.app import App
from tests.ollama_double.faults import FAULTS, Faults
from tests.ollama_double.rewrite import Rewriter
from tests.ollama_double.runners import Runners
from tests.ollama_double.server import Server
from tests.ollama_double.store import Store
from tests.ollama_double.versions import Version


def main() -> None:
    """Serve a models directory until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m tests.ollama_double")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--models", type=Path, required=True, help="directory of the state")
    parser.add_argument("--version", default="0.33.0")
    parser.add_argument("--fault", action="append", default=[], help=", ".join(FAULTS))
    options = parser.parse_args()
    try:
        faults = Faults(options.fault)
    except ValueError as error:
        parser.error(str(error))
    store = Store(options.models.absolute())
    if not os.environ.get("OLLAMA_NOPRUNE"):
        store.prune()
    version = Version(options.version)
    asyncio.run(_serve(store, version, faults, options.port))


async def _serve(store: Store, version: Version, faults: Faults, port: int) -> None:
    server = Server(store, Runners(faults), Rewriter(), version, faults)
    listener = socket.create_server(("127.0.0.1", port))
    # h11, because the cut faults reach through its cycle.
    config = uvicorn.Config(
        App(server),
        http="h11",
        ws="none",
        lifespan="off",
        log_level="critical",
        access_log=False,
        timeout_graceful_shutdown=2,
    )
    web = uvicorn.Server(config)
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    try:
        await web.serve(sockets=[listener])
    finally:
        await server.runners.close()
        await server.rewriter.close()


if __name__ == "__main__":
    main()
