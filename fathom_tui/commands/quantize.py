"""`fathom quantize`: what each quantisation of a model costs and saves, measured here."""

import argparse
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fathom_tui.commands.ledger import ledger
from fathom_tui.commands.output import add_json_flag, narrate, print_json, printable
from fathom_tui.errors import EnvironmentProblem, ExitCode, UsageError
from fathom_tui.recipe import QUANTIZATIONS, Plan
from fathom_tui.store.paths import Home

if TYPE_CHECKING:
    from fathom_tui.ladder import Rung
    from fathom_tui.runner.ladder_child import Measured, Work

DEFAULT_TYPE = "Q4_K_M"
_SCRATCH = "ladder-"
_RUNS_OWN = "-"
"""Of --imatrix without a file: the run's training rows."""

EPILOG = """\
examples:
  fathom quantize acme-triage-3 --svg ladder.svg
  fathom quantize acme-triage-3 --types Q4_K_M,Q5_K_M --imatrix
  fathom quantize model.f16.gguf --text held-out.txt --out quantised/

Each type is written, read over held-out text and compared with its own 16-bit file: size, bits per
weight in effect, rise of perplexity with its 95 % interval, KL divergence (KLD), how often both
find the same next token likeliest, and tokens a second here. An arrow marks the file that ships:
the first, from the wanted type (a run's own; else Q4_K_M) upwards, whose rise is not over 30 % at
the upper bound. The text of a run is its validation rows; the test split is not opened.
An importance matrix (--imatrix) is made of training text, never of the text that judges.

exit codes: 0, or 1 when no measured type from the wanted one upwards may ship.

--json prints
  {"subject", "f16", "n_ctx", "wanted", "ships": type or null, "imatrix": bool,
   "rungs": [{"type", "band", "fallback_tensors", "file": path or null, "bytes", "effective_bits",
     "perplexity", "rise", "rise_low", "rise_high", "kl_divergence", "kl_divergence_error",
     "same_top", "tokens_per_s"}, ...]}
where numbers are {"value", "unit", "kind", "source", "as_of"}; the 16-bit file comes first.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is quantised and what is measured."""
    parser.epilog = EPILOG
    parser.add_argument("subject", metavar="RUN|FILE.gguf", help="a run, or a 16-bit GGUF")
    parser.add_argument("--types", metavar="LIST", help=f"of {', '.join(QUANTIZATIONS)} (all)")
    parser.add_argument("--text", type=Path, metavar="FILE", help="held-out text to judge by")
    parser.add_argument(
        "--imatrix",
        nargs="?",
        const=_RUNS_OWN,
        metavar="FILE",
        help="guide quantising by training text: a run's own rows, or FILE",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep the quantised files there")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write the plot as SVG, too")
    add_json_flag(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure the ladder, print it, and say which file ships."""
    from fathom_tui.ladder import chosen

    types = _types(arguments.types)
    _check_outputs(arguments)
    with _work(arguments, types) as (work, wanted):
        measured = _measured(work)
    found = chosen(measured.rungs, wanted)
    ships = None if found is None else found.type
    if arguments.svg:
        _write_chart(arguments, measured, ships)
    if arguments.json:
        print_json(_to_json(arguments, work, measured, wanted, ships))
    else:
        _print(arguments.subject, measured, wanted, ships)
    return ExitCode.DONE if ships else ExitCode.REFUSED


def _types(given: str | None) -> tuple[str, ...]:
    """Return the types to measure, largest first."""
    asked = QUANTIZATIONS if given is None else tuple(t.strip().upper() for t in given.split(","))
    unknown = [name for name in asked if name not in QUANTIZATIONS]
    if unknown:
        raise UsageError(
            f"There is no type {', '.join(map(repr, unknown))}.",
            fix="Choose of " + ",".join(QUANTIZATIONS) + ".",
        )
    return tuple(name for name in reversed(QUANTIZATIONS) if name in asked)


def _check_outputs(arguments: argparse.Namespace) -> None:
    if arguments.svg is not None and not arguments.svg.absolute().parent.is_dir():
        raise UsageError(
            f"There is no directory {arguments.svg.absolute().parent}.", fix="Make it first."
        )
    if arguments.out is not None and not arguments.out.is_dir():
        raise UsageError(f"There is no directory {arguments.out}.", fix=f"mkdir {arguments.out}")


@contextmanager
def _work(arguments: argparse.Namespace, types: tuple[str, ...]) -> "Iterator[tuple[Work, str]]":
    """Give the order of what is to be measured, and the type wanted; its folder ends with it."""
    home = Home.from_env().prepare()
    _clear_after_killed(home.cache)
    name = f"{_SCRATCH}{os.getpid()}-"
    with tempfile.TemporaryDirectory(prefix=name, dir=home.cache) as scratch:
        subject = str(arguments.subject)
        if subject.endswith(".gguf") or Path(subject).is_file():
            yield _of_file(arguments, types, Path(scratch)), DEFAULT_TYPE
        else:
            yield _of_run(arguments, types, Path(scratch), home)


def _clear_after_killed(cache: Path) -> None:
    """Delete what a command that was killed left of its work: up to the size of a model."""
    for folder in cache.glob(f"{_SCRATCH}*"):
        owner = folder.name.removeprefix(_SCRATCH).split("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists() and Path("/proc/self").exists():
            shutil.rmtree(folder, ignore_errors=True)


def _of_file(arguments: argparse.Namespace, types: tuple[str, ...], scratch: Path) -> "Work":
    path = Path(arguments.subject)
    if not path.is_file():
        raise UsageError(f"There is no file {path}.", fix="Name a 16-bit GGUF.")
    if arguments.text is None:
        raise UsageError(
            f"{path} brings no text to judge by.", fix="Add --text FILE with held-out text."
        )
    if arguments.imatrix == _RUNS_OWN:
        raise UsageError(
            f"{path} brings no training rows for an importance matrix.",
            fix="Add --imatrix FILE with training text, another than --text.",
        )
    return _order(arguments, types, scratch, f16=path, job=None)


def _of_run(
    arguments: argparse.Namespace, types: tuple[str, ...], scratch: Path, home: Home
) -> "tuple[Work, str]":
    from fathom_tui.runner.stage import Job
    from fathom_tui.store.purged import refuse_purged

    with ledger() as store:
        view = store.run_view(arguments.subject)
        if not (home.run(view.id) / "data" / "validation.jsonl").is_file():
            refuse_purged(store, view.id, "no rows are left to judge by")
    plan = Plan.from_json(view.config)
    results = {name: dict(stage.result) for name, stage in view.stages.items()}
    job = Job(
        run=view.id,
        stage="quantize",
        run_dir=home.run(view.id),
        cache=home.cache,
        serving=home.data / "serving" / view.engagement,
        engagement=view.engagement,
        plan=plan,
        results=results,
    )
    f16 = job.path("export", "f16") if results["export"] else None
    if f16 is None or not f16.is_file():
        raise UsageError(
            f"Run {view.id} has no 16-bit GGUF{' yet' if f16 is None else ' any more'}.",
            fix=f"fathom resume {view.id}",
        )
    order = scratch / "job.json"
    job.write(order)
    return _order(arguments, types, scratch, f16=f16, job=order), plan.quantization


def _order(
    arguments: argparse.Namespace,
    types: tuple[str, ...],
    scratch: Path,
    *,
    f16: Path,
    job: Path | None,
) -> "Work":
    from fathom_tui.runner.ladder_child import Work
    from fathom_tui.runner.score import cpu_threads

    given = arguments.imatrix
    for path in (arguments.text, None if given in (None, _RUNS_OWN) else Path(given)):
        if path is not None and not path.is_file():
            raise UsageError(f"There is no file {path}.", fix="Name a text in UTF-8.")
    if arguments.text is not None and given not in (None, _RUNS_OWN):
        _require_apart(arguments.text, Path(given))
    return Work(
        f16=f16.absolute(),
        scratch=scratch,
        folder=scratch if arguments.out is None else arguments.out.absolute(),
        keep=arguments.out is not None,
        types=types,
        threads=cpu_threads(),
        job=job,
        text=None if arguments.text is None else arguments.text.absolute(),
        imatrix=given is not None,
        imatrix_text=None if given in (None, _RUNS_OWN) else Path(given).absolute(),
    )


def _require_apart(text: Path, training: Path) -> None:
    if text.samefile(training):
        raise UsageError(
            f"{text} would both guide quantising and judge it.",
            fix="Give --imatrix another text: training rows, not the held-out ones.",
        )


def _measured(work: "Work") -> "Measured":
    from fathom_tui.runner.ladder_child import measure

    return measure(work, narrate)


def _print(subject: str, measured: "Measured", wanted: str, ships: str | None) -> None:
    from fathom_tui.ladder import plot, remarks, table

    tokens = next((r.change.tokens for r in measured.rungs if r.change), None)
    known = "" if tokens is None else f": {tokens:,} tokens scored in chunks of {measured.n_ctx}"
    print(printable(f"{subject}{known}\n"))
    print(table(measured.rungs, ships))
    print()
    print(plot(measured.rungs, ships))
    print()
    for remark in remarks(measured.rungs):
        print(remark)
    if ships is None:
        print(f"None ships: from {wanted} upwards perplexity rises by more than 30 % or unknown.")
    elif ships == wanted:
        print(f"{ships} ships.")
    else:
        print(f"{ships} ships: the first from {wanted} upwards, of those measured, that may.")


def _write_chart(arguments: argparse.Namespace, measured: "Measured", ships: str | None) -> None:
    from fathom_tui.reports.ladder_chart import ladder_chart

    path: Path = arguments.svg
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        draft.write_text(ladder_chart(Path(arguments.subject).name, measured.rungs, ships), "utf-8")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise EnvironmentProblem(
            f"{path} cannot be written: {error.strerror}.", fix="Choose another --svg."
        ) from error
    narrate(f"Written: {path}")


def _to_json(
    arguments: argparse.Namespace,
    work: "Work",
    measured: "Measured",
    wanted: str,
    ships: str | None,
) -> dict[str, Any]:
    return {
        "subject": arguments.subject,
        "f16": str(work.f16),
        "n_ctx": measured.n_ctx,
        "wanted": wanted,
        "ships": ships,
        "imatrix": work.imatrix,
        "rungs": [_rung(rung, work) for rung in measured.rungs],
    }


def _rung(rung: "Rung", work: "Work") -> dict[str, Any]:
    from datetime import UTC, datetime

    from fathom_tui.figures import Figure, Kind

    today = datetime.now(UTC).date().isoformat()

    def figure(value: float | None, unit: str) -> dict[str, Any]:
        return Figure(
            value=value,
            unit=unit,
            kind=Kind.MEASURED_HERE,
            source=f"fathom quantize of {work.f16.name}, llama.cpp, flash attention off",
            as_of=today,
        ).to_json()

    change, divergence = rung.change, rung.divergence
    kept = work.keep and rung.type != "F16"
    return {
        "type": rung.type,
        "band": rung.band,
        "fallback_tensors": rung.fallback_tensors,
        "file": str(work.folder / f"{work.f16.stem}.{rung.type.lower()}.gguf") if kept else None,
        "bytes": figure(rung.bytes, "bytes"),
        "effective_bits": figure(rung.effective_bits, "bits per weight"),
        "perplexity": figure(rung.perplexity, ""),
        "rise": figure(None if change is None else change.rise, "fraction"),
        "rise_low": figure(None if change is None else change.low, "fraction"),
        "rise_high": figure(None if change is None else change.high, "fraction"),
        "kl_divergence": figure(None if divergence is None else divergence.mean, "nats"),
        "kl_divergence_error": figure(None if divergence is None else divergence.error, "nats"),
        "same_top": figure(None if divergence is None else divergence.same_top, "fraction"),
        "tokens_per_s": figure(rung.tokens_per_s, "tokens/s"),
    }
