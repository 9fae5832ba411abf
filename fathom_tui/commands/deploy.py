"""`fathom deploy`: serve the file that a run accepted; it proves itself or the old one returns."""

import argparse
from typing import TYPE_CHECKING

from fathom_tui.commands.ledger import ledger
from fathom_tui.commands.output import add_json_flag, narrate, print_json
from fathom_tui.errors import ExitCode, NotFound

if TYPE_CHECKING:
    from fathom_tui.runner.rollout import Rollout
    from fathom_tui.runs import RunView
    from fathom_tui.store import Store

EPILOG = """\
A version is created once and never changed. It answers its anchors before the alias stands for it
(where the server can do that) and again when it is served; a version that fails is taken back.
  fathom versions ENGAGEMENT    what is kept, what is live
  fathom rollback ENGAGEMENT    the version before
The Ollama server is the one of OLLAMA_HOST, 127.0.0.1:11434 when that is not set.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the engagement, the run and the target."""
    parser.epilog = EPILOG
    parser.add_argument("engagement", metavar="ENGAGEMENT")
    parser.add_argument("--run", metavar="RUN", help="whose file (default: the last accepted one)")
    parser.add_argument("--target", help="llama-cpp, ollama or vllm (default: as the run's recipe)")
    add_json_flag(parser)


def run(arguments: argparse.Namespace) -> int:
    """Create, prove, activate, prove again."""
    from fathom_tui.runner.rollout import Rollouts

    with ledger() as store:
        rollouts = Rollouts(store, arguments.engagement, say=narrate)
        chosen, waived = _run(store, arguments.engagement, arguments.run)
        done = rollouts.deploy(chosen, waived, arguments.target)
    tell(done, as_json=arguments.json)
    return ExitCode.DONE


def tell(done: "Rollout", *, as_json: bool) -> None:
    """Print what became live."""
    if as_json:
        print_json(done.to_json())
        return
    narrate(f"{done.engagement} {done.version} is live on {done.target} at {done.url}.")
    if done.anchors is not None:
        narrate(done.anchors.describe("when served"))
    else:
        narrate("It has no anchors, so nothing says that it answers as it should.")
    if done.previous:
        narrate(f"Before it was {done.previous}: fathom rollback {done.engagement}")


def _run(store: "Store", slug: str, wanted: str | None) -> tuple["RunView", set[str]]:
    """Return the run whose file is to be served, and its waived gates."""
    from fathom_tui.releases import accepted

    names = [wanted] if wanted is not None else [row.id for row in store.runs(slug)]
    for name in names:
        view = store.run_view(name)
        if view.engagement != slug:
            raise NotFound(
                f"{name} is a run of {view.engagement}, not of {slug}.",
                fix=f"fathom runs {slug}",
            )
        waived = {str(waiver["gate"]) for waiver in store.waivers(slug, name)}
        if wanted is not None or accepted(view, waived):
            return view, waived
    raise NotFound(
        f"No run of {slug} has accepted a file.",
        fix=f"Finish one: fathom run {slug}, or look at: fathom runs",
    )
