"""`fathom serve`: start, look at or stop the server of an engagement's live version."""

import argparse
import json
import os
import shlex
from typing import TYPE_CHECKING, Any

from fathom_tui.commands.output import add_json_flag, narrate, print_json
from fathom_tui.errors import CouldNotCheck, ExitCode, UsageError

if TYPE_CHECKING:
    from fathom_tui.runner.server import Served
    from fathom_tui.serving import ServingSpec
    from fathom_tui.store import Store
    from fathom_tui.store.paths import Home

EPILOG = """\
With --foreground the server runs here until interrupted: it serves what is live, waits for a first
version, and takes up what is activated meanwhile. Units do that: fathom runner install
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the engagement and what to do."""
    parser.epilog = EPILOG
    parser.add_argument("engagement", metavar="ENGAGEMENT")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--stop", action="store_true", help="end the server")
    what.add_argument("--status", action="store_true", help="say what is served; exit 3 if nothing")
    what.add_argument("--foreground", action="store_true", help="serve here, until interrupted")
    add_json_flag(parser)


def run(arguments: argparse.Namespace) -> int:
    """Start the live version unless it is served already."""
    from fathom_tui.store import Home, Store

    home = Home.from_env()
    if arguments.foreground:
        return _foreground(home, arguments.engagement)
    store = Store(home)
    slug = store.engagement(arguments.engagement).slug
    target = _target(store, slug)
    if target != "llama-cpp":
        return _elsewhere(home, slug, target, arguments)
    return _llama_cpp(home, slug, arguments)


def _target(store: "Store", slug: str) -> str:
    from fathom_tui.deployment import live
    from fathom_tui.serving import TARGETS

    current = live(store.deployments(slug))
    return str(current["target"]) if current else TARGETS[0]


def _foreground(home: "Home", engagement: str) -> int:
    from fathom_tui.runner.foreground import serve_in_foreground
    from fathom_tui.runner.notify import Notify
    from fathom_tui.store import Store
    from fathom_tui.store.paths import check_slug

    root = home.data / "serving" / check_slug(engagement)
    if not root.is_dir():
        # A unit finds its folder, and its sandbox has no ledger to open.
        Store(home).engagement(engagement)
        root.mkdir(parents=True, mode=0o700)
    serve_in_foreground(
        root,
        engagement,
        notify=Notify.from_env(),
        unit=os.environ.get("FATHOM_UNIT", ""),
        scope=os.environ.get("FATHOM_UNIT_SCOPE", ""),
        say=narrate,
    )
    return ExitCode.DONE


def _llama_cpp(home: "Home", slug: str, arguments: argparse.Namespace) -> int:
    from fathom_tui.runner.llama_target import LlamaCppTarget
    from fathom_tui.runner.score import cpu_threads
    from fathom_tui.runner.server import LlamaServer

    root = home.data / "serving" / slug
    server = LlamaServer(root, slug)
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
        "target": "llama-cpp",
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
        narrate(f"Start it: fathom serve {slug}" if server.live else f"fathom deploy {slug}")
    else:
        narrate(f"{slug} {served.version} at {served.url}, {'healthy' if healthy else 'silent'}.")
        narrate(f"Ask it:\n  {_example(served, LlamaCppTarget(root, slug).spec(served.version))}")
    return ExitCode.DONE if healthy else ExitCode.COULD_NOT_CHECK


def _elsewhere(home: "Home", slug: str, name: str, arguments: argparse.Namespace) -> int:
    """Look at or stop what another program serves; that program is started by its own unit."""
    from fathom_tui.runner.targets import open_target

    target = open_target(name, root=home.data / "serving" / slug, alias=slug)
    if arguments.stop:
        narrate(f"{slug} was unloaded." if target.stop() else f"{slug} was not loaded.")
        return ExitCode.DONE
    try:
        live, url = target.live, target.url
    except CouldNotCheck as error:
        if not arguments.status:
            raise UsageError(
                f"{slug} is served by {name}, which does not answer: {error.message}",
                fix=f"fathom runner install --target {name} --engagement {slug}",
            ) from error
        live, url = None, None
    data = {
        "engagement": slug,
        "target": name,
        "versions": target.versions if url else [],
        "live": live,
        "url": url,
        "pid": None,
        "healthy": live is not None and url is not None,
    }
    if arguments.json:
        print_json(data)
    else:
        narrate(f"{slug} {live or '(no version)'} at {url or 'no address'}, by {name}.")
    return ExitCode.DONE if data["healthy"] else ExitCode.COULD_NOT_CHECK


def _example(served: "Served", spec: "ServingSpec | None") -> str:
    """Return a request as one types it, with the system text that the model was trained with."""
    messages = [{"role": "user", "content": "..."}]
    body: dict[str, Any] = {"model": served.alias, "temperature": 0, "messages": messages}
    if spec is not None:
        body["max_tokens"] = spec.max_new_tokens
        body |= {"stop": list(spec.stop)} if spec.stop else {}
        messages[:0] = [{"role": "system", "content": spec.system}] if spec.system else []
    header = shlex.quote("Content-Type: application/json")
    return f"curl -s {served.url}/chat/completions -H {header} -d {shlex.quote(json.dumps(body))}"
