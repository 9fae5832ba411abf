"""`fathom demo`: a ticket dataset to a served, healthy model, end to end."""

import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fathom_tui.commands.output import add_json_flag, narrate, print_json

if TYPE_CHECKING:
    from fathom_tui.recipe import Plan
    from fathom_tui.store.paths import Home

EPILOG = """\
In a terminal the screens open on the run; elsewhere, or with --plain, progress is printed. Leaving
does not stop the run: it goes on in the agent. --json ends with one line on stdout:
  {"run", "state", "verdict", "headline", "scores": {"untuned"|"prompt"|"tuned"|"quantised":
   {"value", "low", "high", "n", "parts"}}, "perplexity": {"f16", "quantised"},
   "anchors": {"passed", "total"}, "artifacts": {name: {"path", "sha256", "bytes"}}}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how much, and how to show it."""
    parser.epilog = EPILOG
    parser.add_argument("--quick", action="store_true", help="256 training rows, one epoch: a look")
    parser.add_argument("--plain", action="store_true", help="print progress instead of screens")
    parser.add_argument("--keep", action="store_true", help="leave the model server running")
    add_json_flag(parser)


def run(arguments: argparse.Namespace) -> int:
    """Create the demo engagement if needed, run it, show the end."""
    from fathom_tui.store import Home
    from fathom_tui.store.requests import ensure_agent, start_run

    home = Home.from_env()
    slug = demo_engagement(home, quick=arguments.quick)
    # Named again each time: the checkout that the engagement was made from may be gone.
    changes = {"dataset": demo_plan(quick=arguments.quick).dataset}
    run_id = start_run(home, slug, changes=changes, created_by="fathom demo")
    ensure_agent(home)
    screens = sys.stdin.isatty() and sys.stdout.isatty() and not (arguments.plain or arguments.json)
    narrate(f"Run {run_id}: the stages run in the agent and outlive this terminal.")
    try:
        code = _in_screens(run_id) if screens else _in_lines(home, run_id, arguments)
    finally:
        if not arguments.keep:
            _stop_server(home, slug)
    return code


def demo_engagement(home: "Home", *, quick: bool) -> str:
    """Return the slug of the demo engagement, created on first use.

    Full and quick are two engagements: their versions and histories must not mix.
    """
    from fathom_tui.errors import NotFound
    from fathom_tui.store import Store

    slug, name = ("demo-quick", "Ticket triage, quick look") if quick else ("demo", "Ticket triage")
    store = Store(home)
    try:
        store.engagement(slug)
    except NotFound:
        wanted = demo_plan(quick=quick).to_json()
        store.create_engagement(f"{name} (demo)", wanted, slug=slug)
    return slug


def demo_plan(*, quick: bool) -> "Plan":
    """Return the plan of the demo as this version of Fathom ships it."""
    from importlib.resources import as_file, files

    from fathom_tui import recipe
    from fathom_tui.engagement import configure, read_settings

    with as_file(files("fathom_tui.assets").joinpath("demo")) as folder:
        config: dict[str, Any] = configure(read_settings(folder / "engagement.toml"))
    plan = recipe.Plan.from_json(config)
    return recipe.quick(plan) if quick else plan


def _in_screens(run_id: str) -> int:
    from fathom_tui.screens.launch import open_screens
    from fathom_tui.store import Home

    return open_screens(Home.from_env(), open_run=run_id)


def _in_lines(home: "Home", run_id: str, arguments: argparse.Namespace) -> int:
    from fathom_tui.commands.follow import EXIT_CODES, follow, print_result
    from fathom_tui.stages import RunState
    from fathom_tui.summary import summary

    try:
        view = follow(home, run_id)
    except KeyboardInterrupt:
        narrate(f"\nThe run goes on without you. Follow: fathom logs {run_id} -f; "
                f"stop: fathom cancel {run_id}")  # fmt: skip
        raise
    print_result(view, home)
    if view.state is RunState.DONE:
        _say_next(view.engagement, run_id, keep=arguments.keep)
    if arguments.json:
        print_json(summary(view, home.run(run_id)))
    return EXIT_CODES[view.state]


def _say_next(slug: str, run_id: str, *, keep: bool) -> None:
    narrate("\nNext:")
    if not keep:
        narrate(f"  fathom serve {slug}               serve it again (the demo stops its server)")
    narrate(f"  fathom runs --run {run_id}       every gate with its reason")
    narrate("  fathom engagement create NAME --data FILE --input COLUMN --output COLUMN")
    narrate("                                  the same for your own messages")
    if shutil.which("fathom") is None:
        here = Path(sys.executable).parent
        narrate(f"fathom is not on the PATH: {here}/fathom, or first: . {here}/activate")


def _stop_server(home: "Home", slug: str) -> None:
    """Stop the demo's model server, unless somebody else keeps it or a run is still under way."""
    from fathom_tui.runner import handover
    from fathom_tui.runner.server import LlamaServer
    from fathom_tui.stages import RunState
    from fathom_tui.store import Store
    from fathom_tui.store.requests import live_state

    # Asked of the journals: the agent's heartbeat may be two seconds behind them.
    states = {live_state(home, row.id) for row in Store(home).runs(slug)}
    if states & {RunState.QUEUED, RunState.RUNNING}:
        narrate(
            f"The run goes on; its model server stays up when it ends: fathom serve {slug} --stop"
        )
        return
    root = home.data / "serving" / slug
    holder = handover.holder(root)
    if holder is not None:
        narrate(f"{slug} stays served by {holder.describe()}.")
    else:
        LlamaServer(root, slug).stop()
