"""`fathom serve`: start, look at or stop the local server of an engagement's live version."""

import argparse
import json
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fathom_tui.commands.output import add_json_flag, narrate, print_json
from fathom_tui.errors import ExitCode

if TYPE_CHECKING:
    from fathom_tui.runner.server import Served


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the engagement and what to do."""
    parser.add_argument("engagement", metavar="ENGAGEMENT")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--stop", action="store_true", help="end the server")
    what.add_argument("--status", action="store_true", help="say what is served; exit 3 if nothing")
    add_json_flag(parser)


def run(arguments: argparse.Namespace) -> int:
    """Start the live version unless it is served already."""
    from fathom_tui.runner.score import cpu_threads
    from fathom_tui.runner.server import LlamaServer
    from fathom_tui.store import Home, Store

    home = Home.from_env()
    slug = Store(home).engagement(arguments.engagement).slug
    server = LlamaServer(home.data / "serving" / slug, slug)
    if arguments.stop:
        narrate(f"The server of {slug} has ended." if server.stop() else f"{slug} is not served.")
        return ExitCode.DONE
    served = server.running()
    if served is None and not arguments.status:
        settings = server.settings()
        n_ctx, threads = settings.get("n_ctx", 4096), settings.get("threads", cpu_threads())
        served = server.start(n_ctx=int(n_ctx), threads=int(threads))
    healthy = served is not None and server.healthy(served)
    data = {
        "engagement": slug,
        "versions": server.versions,
        "live": server.live,
        "url": served.url if served else None,
        "pid": served.pid if served else None,
        "healthy": healthy,
    }
    if arguments.json:
        print_json(data)
    elif served is None:
        narrate(f"{slug} is not served (live version: {server.live or 'none'}).")
    else:
        narrate(f"{slug} {served.version} at {served.url}, {'healthy' if healthy else 'silent'}.")
        narrate(f"Ask it:\n  {_example(served, server.about(served.version))}")
    return ExitCode.DONE if healthy else ExitCode.COULD_NOT_CHECK


def _example(served: "Served", about: Mapping[str, Any]) -> str:
    """Return a request as one types it, with the system text that the model was trained with."""
    messages = [{"role": "user", "content": "..."}]
    if about.get("system"):
        messages.insert(0, {"role": "system", "content": str(about["system"])})
    body = json.dumps({"model": served.alias, "temperature": 0, "messages": messages})
    header = shlex.quote("Content-Type: application/json")
    return f"curl -s {served.url}/chat/completions -H {header} -d {shlex.quote(body)}"
