"""`fathom advise`: cloud, hybrid or local for a workload, why, and what would change it."""

import argparse
from typing import TYPE_CHECKING, Any

from fathom_tui.commands.assumptions import (
    add_setting_flags,
    chosen_currency,
    make_setting,
    read_catalog,
)
from fathom_tui.commands.output import add_json_flag, console, narrate, print_json
from fathom_tui.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from fathom_tui.workload import Workload

EPILOG = """\
examples:
  fathom advise --tokens-per-day 2M
  fathom advise --tokens-per-day 8M --regulation gdpr,fca --gpu-hours 2 --growth 15%
  fathom engagement create acme-triage --advice-only            (once, to keep workloads)
  fathom advise --tokens-per-day 8M --name triage --engagement acme-triage    (keeps it there)
  fathom advise --engagement acme-triage                            (answers all it has)

--json prints one object, or with --engagement alone {"workloads": [object, ...]}:
  {"workload", "verdict": "cloud|hybrid|local", "rule": 1-6, "cost_verdict", "agree",
   "disagreement", "follow", "also": [rules], "path": [{"id", "condition", "holds", "rule"}],
   "flips": [{"input", "from", "to", "verdict"}], "confidence", "say",
   "ownership": {"label", "why", "rent_or_buy"}, "technique",
   "cheapest_api": {"id", "name", "month", "crossover"},
   "monthly": {way or term: figure}, "compared": {way: figure}, "crossover",
   "crossover_optimised", "hybrid_from",
   "cost_edges": [{"tokens_per_day", "below", "above"}], "cost_growth_months", "outgrown_month",
   "price_decline": [{"years", "yearly_fall", "crossover"}], "capacity", "machines", "warnings"}
"monthly" has each way's own sum; "compared" has what is compared, compliance and discounts in it.
Where the device's speed is unknown, so is what a hybrid and local cost: "cost_verdict", "agree",
"machines" and crossovers are null then, and so are the values of figures.
"ownership" has "rent_or_buy" where a rent is known, "technique" is {"choice", "answer", "wanted",
"reasons", "blocks", "cautions", "then", "unknown", "next"}.
A crossover is {"tokens_per_day": figure, "within_capacity"} or null; a figure is {"value", "unit",
"kind", "source", "as_of"}.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the workload and what it is judged against."""
    from fathom_tui.questions import ASKED

    names = "\n".join(f"  {name:<20} {question}" for name, question in ASKED.items())
    parser.epilog = f"{EPILOG}\nquestions of the technique, for --answer NAME=VALUE:\n{names}\n"
    work = parser.add_argument_group("workload")
    work.add_argument("--tokens-per-day", metavar="N", help="input and output: 8M, 2.5k, 1_000_000")
    work.add_argument("--input-share", metavar="F", default="0.8", help="0 to 1 or per cent (0.8)")
    work.add_argument("--growth", metavar="F", default="0", help="a month: 15%% or 0.15 (0)")
    work.add_argument("--peak", metavar="N", default="1", help="requests at once at most (1)")
    work.add_argument("--latency-ms", metavar="MS", help="longest wait for the first token")
    work.add_argument("--regulation", metavar="LIST", default="", help="gdpr, hipaa, fca, dspt")
    work.add_argument(
        "--not-personal", action="store_true", help="regulated, but not personal data"
    )
    work.add_argument("--batchable", action="store_true", help="answers may take 24 hours")
    work.add_argument("--cache-hits", metavar="F", default="0", help="share of input cached (0)")
    work.add_argument("--gpu-hours", metavar="H", help="hours a day a GPU would be busy")
    work.add_argument("--task", metavar="ID", help="the nearest kind of task: fathom catalog tasks")
    work.add_argument(
        "--answer",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="answer a question of the technique (names below): yes, no or a number",
    )
    work.add_argument("--name", metavar="NAME", help="what this work is called (workload)")
    parser.add_argument(
        "--engagement", metavar="SLUG", help="keep the workload there, or answer those kept"
    )
    add_setting_flags(parser)
    add_json_flag(parser)


def run(arguments: argparse.Namespace) -> int:
    """Answer one workload, or all that an engagement has."""
    from fathom_tui.advice import advise

    if arguments.engagement == "":
        raise UsageError("--engagement is empty.", fix="Name one: fathom engagement list")
    catalog = read_catalog(arguments)
    workloads = _workloads(arguments)
    found = []
    for workload in workloads:
        setting = make_setting(arguments, catalog, input_share=workload.input_share)
        found.append((advise(workload, setting), chosen_currency(arguments, setting)))
    if arguments.tokens_per_day is not None and arguments.engagement:
        _keep(arguments.engagement, workloads[0])
    if arguments.json:
        objects = [advice.to_json(currency) for advice, currency in found]
        print_json(objects[0] if arguments.tokens_per_day is not None else {"workloads": objects})
        return ExitCode.DONE
    from fathom_tui.commands.advice_text import show

    for advice, currency in found:
        show(console(), advice, currency)
    return ExitCode.DONE


def _workloads(arguments: argparse.Namespace) -> "list[Workload]":
    if arguments.tokens_per_day is not None:
        return [_workload(arguments)]
    if not arguments.engagement:
        raise UsageError(
            "No volume was given.", fix="fathom advise --tokens-per-day 2M, or name --engagement."
        )
    from fathom_tui.commands.ledger import ledger
    from fathom_tui.store.workloads import workloads

    with ledger() as store:
        kept = workloads(store, arguments.engagement)
    if not kept:
        raise UsageError(
            f"{arguments.engagement} has no workload yet.",
            fix="fathom advise --tokens-per-day 2M --name NAME "
            f"--engagement {arguments.engagement}",
        )
    return kept


def _workload(arguments: argparse.Namespace) -> "Workload":
    from fathom_tui.quantities import parse_count, parse_quantity, parse_share
    from fathom_tui.workload import MOST_TOKENS, Workload, check_name, parse_regulations

    def optional(flag: str, text: str | None, **limits: Any) -> float | None:
        return None if text is None else parse_quantity(text, name=flag, **limits)

    return Workload(
        name="workload" if arguments.name is None else check_name(arguments.name),
        tokens_per_day=parse_quantity(
            arguments.tokens_per_day, name="--tokens-per-day", above=0, high=MOST_TOKENS
        ),
        input_share=parse_share(arguments.input_share, name="--input-share"),
        growth=parse_share(arguments.growth, name="--growth", low=-0.99, high=10),
        peak=parse_count(arguments.peak, name="--peak", high=1_000_000),
        latency_ms=optional("--latency-ms", arguments.latency_ms, above=0),
        regulations=parse_regulations(arguments.regulation),
        personal=not arguments.not_personal,
        batchable=arguments.batchable,
        cache_hits=parse_share(arguments.cache_hits, name="--cache-hits"),
        gpu_hours=optional("--gpu-hours", arguments.gpu_hours, low=0, high=24, unit="hours a day"),
        task=arguments.task or "",
        answers=_answers(arguments.answer),
    )


def _answers(given: list[str]) -> dict[str, bool | float]:
    """Read NAME=yes, NAME=no and NAME=NUMBER.

    Raises:
        UsageError: Not of that form, or no such question; the nearest are offered.
    """
    from difflib import get_close_matches

    from fathom_tui.quantities import parse_quantity
    from fathom_tui.questions import ASKED

    found: dict[str, bool | float] = {}
    for text in given:
        name, _, value = text.partition("=")
        name, value = name.strip().replace("-", "_"), value.strip().lower()
        if name not in ASKED:
            near = get_close_matches(name, ASKED, n=1, cutoff=0.6)
            hint = f"Did you mean {near[0]}? " if near else ""
            raise UsageError(
                f"--answer {text[:60]} is no answer to a question.",
                fix=f"{hint}Write NAME=VALUE; names: fathom advise --help",
            )
        if not value:
            example = "300" if name in _NUMBERS else "yes"
            raise UsageError(
                f"--answer {text[:60]} has no value: {ASKED[name]}",
                fix=f"Write NAME=VALUE, for example {name}={example}",
            )
        if (value in _YES_OR_NO) == (name in _NUMBERS):
            wanted = "a number" if name in _NUMBERS else "yes or no"
            raise UsageError(
                f"--answer {name}={value[:40]} does not fit: {ASKED[name]}", fix=f"Give {wanted}."
            )
        if value in _YES_OR_NO:
            found[name] = _YES_OR_NO[value]
        else:
            found[name] = parse_quantity(value, name=f"--answer {name}", low=0)
    return found


_YES_OR_NO = {"yes": True, "no": False, "true": True, "false": False}
_NUMBERS = {
    *("prompt_tokens", "examples", "preference_pairs"),
    *("latency_ms", "monthly_api_usd", "budget_usd"),
}


def _keep(slug: str, workload: "Workload") -> None:
    from fathom_tui.commands.ledger import ledger
    from fathom_tui.store.workloads import keep_workload

    with ledger() as store:
        keep_workload(store, slug, workload)
    narrate(f"Kept as {workload.name!r} in {slug}.")
