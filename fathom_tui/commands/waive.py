"""`fathom waive`: a person takes responsibility for a refused gate."""

import argparse
from typing import TYPE_CHECKING

from fathom_tui.commands.ledger import ledger
from fathom_tui.commands.output import add_json_flag, narrate, print_json
from fathom_tui.errors import ExitCode, GateRefused, NotFound, UsageError

if TYPE_CHECKING:
    from fathom_tui.gates import Gate
    from fathom_tui.runs import RunView

EPILOG = """\
A waiver is kept in the ledger and printed in every report. It lifts one gate of one run; the run
then goes on with: fathom resume RUN
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the run, the gate, who and why."""
    parser.epilog = EPILOG
    parser.add_argument("run_id", metavar="RUN", help="for example acme-triage-3")
    parser.add_argument("gate", metavar="GATE", help="as the run names it, for example data.floor")
    parser.add_argument("--by", metavar="NAME", required=True, help="who waives it")
    parser.add_argument("--reason", metavar="TEXT", required=True, help="why going on is right")
    add_json_flag(parser)


def run(arguments: argparse.Namespace) -> int:
    """Record the waiver if the gate can be waived."""
    by, reason = _said("--by", arguments.by), _said("--reason", arguments.reason)
    with ledger() as store:
        view = store.run_view(arguments.run_id)
        gate = _refused_gate(view, arguments.gate)
        for waiver in store.waivers(view.engagement, view.id):
            if waiver["gate"] == gate.name:
                raise UsageError(
                    f"{gate.name} of {view.id} was waived already, by {waiver['by']}: "
                    f"{waiver['reason']}",
                    fix=f"fathom resume {view.id}",
                )
        data = {"run": view.id, "gate": gate.name, "by": by, "reason": reason}
        store.record(view.engagement, "waiver", data)
    if arguments.json:
        print_json(data)
    narrate(f"{gate.name} of {view.id} is waived by {by}. Next: fathom resume {view.id}")
    return ExitCode.DONE


def _said(flag: str, text: str) -> str:
    if not text.strip():
        raise UsageError(
            f"{flag} is blank: {text!r}.", fix="A waiver needs a person's name and a reason."
        )
    return text.strip()


def _refused_gate(view: "RunView", name: str) -> "Gate":
    """Return the gate if it refused and may be waived.

    Raises:
        NotFound: No gate of that name has spoken in this run.
        UsageError: It did not refuse.
        GateRefused: It refused, and nobody can waive it.
    """
    from fathom_tui.gates import Outcome

    gates = {gate.name: gate for stage in view.stages.values() for gate in stage.gates}
    refused = [g.name for g in gates.values() if g.outcome is Outcome.REFUSE and g.waivable]
    waivable = f"Can be waived: {', '.join(refused)}." if refused else "No gate is to be waived."
    gate = gates.get(name)
    if gate is None:
        raise NotFound(f"No gate {name[:80]!r} has spoken in {view.id}.", fix=waivable)
    if gate.outcome is not Outcome.REFUSE:
        raise UsageError(
            f"{name} of {view.id} did not refuse, its verdict is {gate.outcome.value}.",
            fix=waivable,
        )
    if not gate.waivable:
        raise GateRefused(
            f"{name} of {view.id} cannot be waived: going on would give a wrong answer. "
            f"{gate.reason}",
            fix=gate.fix,
        )
    return gate
