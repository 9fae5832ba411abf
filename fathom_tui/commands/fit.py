"""`fathom fit`: what memory a model needs, to answer and to be trained, and on which device."""

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fathom_tui.commands.output import add_json_flag, console, narrate, print_json, printable
from fathom_tui.errors import ExitCode, UsageError
from fathom_tui.figures import Figure, Kind

if TYPE_CHECKING:
    from fathom_tui.catalog import Catalog
    from fathom_tui.catalog_types import Gpu, Model, Quant
    from fathom_tui.fit import DeviceFit, Fit, Subject
    from fathom_tui.training_memory import TrainingMemory, TrainingPlan

CONTEXT = 8_192
"""Tokens of context where none are asked for; less where the model was made for less."""
QUANT = "q4_k_m"

EPILOG = f"""\
MODEL is a name of `fathom catalog models`, an Ollama tag (qwen2.5:7b-instruct-q8_0), a GGUF, a
Hugging Face directory, a config.json, or a hub id, for which config.json alone is fetched. Without
--quant a GGUF is taken as it is, a tag in the quantisation that it names, a model in the one that
it is published in (gpt-oss: mxfp4), any other in {QUANT}; without --context it is {CONTEXT:,}
tokens, or what the model was made for. Of tokens k is 1,024: 32k is 32,768.

exit codes: 0, or 1 when --gpu was given and what was asked about does not fit on it.

--json prints
  {{"model", "inference": {{"weights_bytes", "kv_cache_bytes", "compute_bytes", "overhead_bytes",
   "total_bytes"}}, "training": {{"trainable_parameters", "weights_bytes", "gradients_bytes",
   "optimizer_bytes", "activations_bytes", "logits_bytes", "total_bytes"}} or null,
   "devices": [{{"id", "fits", "trains", "tokens_per_s": {{"low", "high"}} or null}}],
   "notes": [text, ...]}}
where each number is {{"value", "unit", "kind", "source", "as_of"}} and terms add up to totals.
"notes" says what was assumed and what the numbers do not mean; stderr has it, too.
"trains" is null without --train, and where it is unknown whether a device can train at all.
"""

_TRAINING = ("rank", "targets", "batch", "seq", "backend", "no_checkpointing")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the model and what is asked of it."""
    from fathom_tui.memory import KV_TYPES

    parser.epilog = EPILOG
    parser.add_argument("model", metavar="MODEL", help="llama-3.1-8b, model.gguf, Qwen/Qwen2.5-7B")
    parser.add_argument(
        "--context", metavar="N", help="tokens, prompt and answer together: 32k is 32,768 (8k)"
    )
    parser.add_argument("--quant", metavar="ID", help="of: fathom catalog quants (q4_k_m)")
    kv_types = ", ".join(KV_TYPES)
    parser.add_argument("--kv", metavar="TYPE", default="f16", help=f"KV cache: {kv_types} (f16)")
    parser.add_argument("--gpu", metavar="ID", help="only this device, of: fathom catalog gpus")
    group = parser.add_argument_group("training")
    group.add_argument("--train", choices=("full", "lora", "qlora"), help="what is trained")
    group.add_argument("--rank", metavar="N", help="of the adapter (16)")
    group.add_argument(
        "--targets", metavar="SET", help="attention, all-linear, or names: q,v (attention)"
    )
    group.add_argument("--batch", metavar="N", help="rows computed at once (1)")
    group.add_argument("--seq", metavar="N", help="tokens a row: 2k is 2,048 (2k)")
    group.add_argument("--backend", choices=("trl", "unsloth"), help="what trains (trl)")
    group.add_argument(
        "--no-checkpointing",
        action="store_true",
        default=None,
        help="keep every layer's activations instead of computing them again",
    )
    add_json_flag(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compute the terms and print them, with every device's answer."""
    from fathom_tui.catalog import load
    from fathom_tui.fit import fit
    from fathom_tui.quantities import parse_context
    from fathom_tui.sources import overlay
    from fathom_tui.store.paths import Home

    catalog = load(overlay.read(Home.from_env().config))
    plan = _plan(arguments)
    gpus = catalog.gpus if arguments.gpu is None else (catalog.gpu(arguments.gpu),)
    if arguments.quant is not None:
        catalog.quant(arguments.quant)  # refused before anything is fetched
    asked = _find(arguments.model, arguments.quant, catalog)
    made_for = asked.subject.architecture.context
    if arguments.context is None:
        context = min(CONTEXT, made_for)
    else:
        context = parse_context(arguments.context, name="--context", high=10_000_000)
    found = fit(asked.subject, gpus, context=context, kv_type=arguments.kv.lower(), plan=plan)
    if arguments.json:
        print_json(_to_json(found, asked))
    else:
        _print(found, asked)
    for note in (*asked.notes, *found.notes):
        narrate(f"note: {note}")
    return _exit_code(found) if arguments.gpu is not None else ExitCode.DONE


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A model, and where its numbers are from."""

    subject: "Subject"
    quant: str
    """As it is shown."""
    source: str
    as_of: str
    weights: Figure
    notes: tuple[str, ...]
    """What was assumed of the model."""


def _find(name: str, quant: str | None, catalog: "Catalog") -> _Asked:
    """Return the model of a path, of the catalog, or of the hub, in that order.

    Raises:
        UsageError: None is named, there is none, or it is an encoder.
    """
    from fathom_tui.sources.model_files import HUB_ID, located

    if not name.strip():
        raise UsageError(
            f"No model was named: MODEL is {name!r}.",
            fix="fathom catalog models lists names; a path or a hub id will do, too.",
        )
    path = located(name)
    if path.exists() or path.suffix in (".gguf", ".json") or name.startswith((".", "~", os.sep)):
        return _from_file(name, quant, catalog)
    try:
        return _from_catalog(name, quant, catalog)
    except UsageError as error:
        _refuse_encoder(name, catalog)
        if HUB_ID.fullmatch(name) is None:
            raise
        if catalog.retired_family(name):
            narrate(f"warning: {error}")
        return _from_file(name, quant, catalog)


def _refuse_encoder(name: str, catalog: "Catalog") -> None:
    """Refuse a model that tasks of the catalog name and that has no row: those are encoders.

    Raises:
        UsageError: It is one.
    """
    plain = name.strip().rpartition("/")[2].partition(":")[0].lower()
    rows = {model.id for model in catalog.models}
    for task in catalog.tasks:
        for known in task.models:
            if known not in rows and (plain == known or plain.startswith(f"{known}-")):
                raise UsageError(
                    f"{name} is an encoder ({task.name.lower()}): it has no KV cache and does not "
                    "write, and embedding models are not sized here.",
                    fix="Name a model that writes text: fathom catalog models",
                )


def _from_catalog(name: str, quant: str | None, catalog: "Catalog") -> _Asked:
    from fathom_tui.fit import Subject

    model, tagged = catalog.tagged(name)
    own = tagged.id if tagged else model.native_quant or QUANT
    row = catalog.quant(own if quant is None else quant)
    origin = model.origins.get("architecture", model.origin)
    subject = Subject.of(model, row)
    return _Asked(
        subject=subject,
        quant=row.id,
        source=origin.source,
        as_of=origin.as_of,
        weights=_estimated(subject.weights, row.id, row.bits, origin.source, origin.as_of),
        notes=tuple(_notes_on(model, row, asked=quant is not None)),
    )


def _notes_on(model: "Model", quant: "Quant", *, asked: bool) -> Iterator[str]:
    """Yield what the quantisation means for this model."""
    from fathom_tui.memory import MIXTURES

    mixture = MIXTURES.get(quant.id)
    if mixture is not None and mixture.experts and model.architecture.moe is None:
        yield f"{quant.name} is for experts, and {model.name} has none: all of it is Q8_0"
    if model.native_quant and quant.id != model.native_quant and asked:
        yield (
            f"{model.name} is published in {model.native_quant}; files that are called "
            f"{quant.id} mostly keep its experts in that, so they are smaller than this"
        )


def _estimated(weights: int, quant: str, bits: float, source: str, as_of: str) -> Figure:
    from fathom_tui.memory import MIXTURES

    if quant in MIXTURES:
        how = f"every matrix in the type llama.cpp gives it in {quant}"
    else:
        how = f"{bits:g} bits a parameter in {quant}"
    return Figure(
        value=weights, unit="B", kind=Kind.COMPUTED, source=f"{how}; shape: {source}", as_of=as_of
    )


def _from_file(name: str, quant: str | None, catalog: "Catalog") -> _Asked:
    from fathom_tui.architecture import active_parameters, parameters
    from fathom_tui.fit import Subject
    from fathom_tui.memory import weights_bytes
    from fathom_tui.sources.model_files import read_model

    found = read_model(name)
    today, notes = _today().isoformat(), list(found.notes)
    counted = parameters(found.architecture)
    if abs(found.parameters / counted - 1) > 0.02:
        notes.append(
            f"the files hold {found.parameters:,} parameters, the shape explains {counted:,}"
        )
    stored = quant is None and Path(name).suffix == ".gguf" and found.weights_bytes is not None
    if stored:
        weights, shown = found.weights_bytes or 0, "as stored"
        figure = Figure(
            value=weights,
            unit="B",
            kind=Kind.MEASURED_HERE,
            source=f"tensors of {name}",
            as_of=today,
        )
    else:
        row = catalog.quant(_quant(quant))
        weights, shown = weights_bytes(found.architecture, row.id, row.bits), row.id
        figure = _estimated(weights, row.id, row.bits, name, today)
    label = Path(name).name or name
    subject = Subject(
        id=label,
        name=label,
        architecture=found.architecture,
        parameters=found.parameters,
        active_parameters=active_parameters(found.architecture),
        weights=weights,
    )
    return _Asked(
        subject=subject,
        quant=shown,
        source=name,
        as_of=today,
        weights=figure,
        notes=tuple(notes),
    )


def _quant(given: str | None) -> str:
    return QUANT if given is None else given


def _today() -> date:
    return datetime.now(UTC).date()


def _plan(arguments: argparse.Namespace) -> "TrainingPlan | None":
    """Return the training that was asked about.

    Raises:
        UsageError: A training's flag was given without --train, or cannot be used.
    """
    if arguments.train is None:
        given = [name for name in _TRAINING if getattr(arguments, name) is not None]
        if given:
            raise UsageError(
                f"--{given[0].replace('_', '-')} says how to train, and --train is missing.",
                fix="Add --train qlora, lora or full.",
            )
        return None
    from fathom_tui.training_memory import Backend, Method, TrainingPlan

    method = Method(arguments.train)
    for name in ("rank", "targets"):
        if method is Method.FULL and getattr(arguments, name) is not None:
            raise UsageError(
                f"--{name} describes an adapter, and --train full has none.",
                fix=f"Leave --{name} out, or choose --train lora.",
            )
    return TrainingPlan(
        method=method,
        rank=_count(arguments.rank, 16, "--rank", 1_024),
        targets=_targets(arguments.targets),
        batch=_count(arguments.batch, 1, "--batch", 4_096),
        seq=_tokens(arguments.seq, 2_048, "--seq", 1_048_576),
        backend=Backend(arguments.backend or "trl"),
        checkpointing=not arguments.no_checkpointing,
    )


def _count(text: str | None, default: int, flag: str, high: int) -> int:
    from fathom_tui.quantities import parse_count

    return default if text is None else parse_count(text, name=flag, high=high)


def _tokens(text: str | None, default: int, flag: str, high: int) -> int:
    from fathom_tui.quantities import parse_context

    return default if text is None else parse_context(text, name=flag, high=high)


def _targets(text: str | None) -> str | tuple[str, ...]:
    from fathom_tui.training_memory import TARGETS

    if text is None:
        return "attention"
    if text in TARGETS:
        return text
    return tuple(part.strip() for part in text.split(",") if part.strip()) or text


def _exit_code(found: "Fit") -> ExitCode:
    """Say whether what was asked about fits on the one device."""
    (device,) = found.devices
    if not device.fits or device.trains is False:
        return ExitCode.REFUSED
    if found.plan is not None and device.trains is None:
        narrate(f"It is unknown whether {device.gpu.name} can train at all.")
        return ExitCode.COULD_NOT_CHECK
    return ExitCode.DONE


# --- figures --------------------------------------------------------------------------------------


def _inference(found: "Fit", asked: _Asked) -> dict[str, Figure]:
    from fathom_tui.memory import OVERHEAD

    terms = found.inference
    return {
        "weights_bytes": asked.weights,
        "kv_cache_bytes": _bytes(
            terms.kv_cache,
            asked,
            f"llama.cpp's cache of {found.context:,} tokens in {found.kv_type}",
        ),
        "compute_bytes": _bytes(terms.compute, asked, "llama.cpp's largest stage of 512 tokens"),
        "overhead_bytes": Figure(
            value=OVERHEAD,
            unit="B",
            kind=Kind.ASSUMED,
            source="default footprint of gguf-parser-go 0.25.0",
            as_of="2026-07-13",
        ),
        "total_bytes": _bytes(terms.total, asked, "sum of the four terms"),
    }


def _training(memory: "TrainingMemory", plan: "TrainingPlan", asked: _Asked) -> dict[str, Figure]:
    how = f"{plan.method} with {plan.backend}"
    kept = "recomputed layer by layer" if plan.checkpointing else "kept by every layer"
    return {
        "trainable_parameters": _computed(
            memory.trainable_parameters, "parameters", asked, _trained(plan)
        ),
        "weights_bytes": _bytes(
            memory.weights, asked, f"as {how} keeps them, any adapter included"
        ),
        "gradients_bytes": _bytes(memory.gradients, asked, "one number a trained parameter"),
        "optimizer_bytes": _bytes(memory.optimizer, asked, "AdamW's two moments"),
        "activations_bytes": _bytes(
            memory.activations, asked, f"{plan.batch} x {plan.seq:,} tokens, {kept}"
        ),
        "logits_bytes": _bytes(
            memory.logits, asked, "logits of 256 tokens; the room is shared with activations"
        ),
        "total_bytes": _bytes(memory.total, asked, "sum of the five terms"),
    }


def _trained(plan: "TrainingPlan") -> str:
    if plan.method == "full":
        return "all parameters"
    targets = plan.targets if isinstance(plan.targets, str) else ",".join(plan.targets)
    return f"rank {plan.rank} on {targets}"


def _bytes(value: int, asked: _Asked, how: str) -> Figure:
    return _computed(value, "B", asked, how)


def _computed(value: float, unit: str, asked: _Asked, how: str) -> Figure:
    return Figure(
        value=value,
        unit=unit,
        kind=Kind.COMPUTED,
        source=f"{how}; shape: {asked.source}",
        as_of=asked.as_of,
    )


def _to_json(found: "Fit", asked: _Asked) -> dict[str, Any]:
    training = None
    if found.training is not None and found.plan is not None:
        training = _as_json(_training(found.training, found.plan, asked))
    return {
        "model": found.subject.id,
        "inference": _as_json(_inference(found, asked)),
        "training": training,
        "devices": [_device_json(device) for device in found.devices],
        "notes": [*asked.notes, *found.notes],
    }


def _as_json(figures: dict[str, Figure]) -> dict[str, Any]:
    return {name: figure.to_json() for name, figure in figures.items()}


def _device_json(device: "DeviceFit") -> dict[str, Any]:
    rate = device.tokens_per_s
    return {
        "id": device.gpu.id,
        "fits": device.fits,
        "trains": device.trains,
        "tokens_per_s": rate
        and {
            "low": _rate(device.gpu, rate.low, "full").to_json(),
            "high": _rate(device.gpu, rate.high, "empty").to_json(),
        },
    }


def _rate(gpu: "Gpu", value: float, cache: str) -> Figure:
    from fathom_tui.speed import efficiency

    known = efficiency(gpu.bandwidth_gb_s)
    share = known.low if cache == "full" else known.high
    origin = gpu.origins.get("bandwidth_gb_s", gpu.origin)
    return Figure(
        value=round(value, 2),
        unit="tokens/s",
        kind=Kind.COMPUTED,
        source=f"{share:g} of {gpu.bandwidth_gb_s:g} GB/s over what a token reads, the cache "
        f"{cache}; share: {known.source}; bandwidth: {origin.source}",
        as_of=origin.as_of,
    )


# --- table ----------------------------------------------------------------------------------------


def _print(found: "Fit", asked: _Asked) -> None:
    out = console()
    out.print(
        f"{printable(found.subject.name)}, {asked.quant}, {found.context:,} tokens of context, "
        f"cache in {found.kv_type}\n"
    )
    out.print("To answer")
    out.print(_terms(_inference(found, asked)))
    if found.training is not None and found.plan is not None:
        plan = found.plan
        rows = f"{plan.batch:,} x {plan.seq:,} tokens at once"
        out.print(f"\nTo train: {plan.method}, {_trained(plan)}, {plan.backend}, {rows}")
        out.print(_terms(_training(found.training, plan, asked)))
    out.print()
    out.print(_devices(found))
    out.print(_usable(found))


def _usable(found: "Fit") -> str:
    """Say in a line what `usable` leaves out, of the kinds of device that were printed."""
    from fathom_tui.fit import TAKEN_GIB, UNIFIED_SHARE, UNIFIED_SHARE_SMALL, UNIFIED_SMALL_GIB

    gpus = [device.gpu for device in found.devices]
    said = []
    if any(not gpu.unified for gpu in gpus):
        said.append(f"of a card all but {TAKEN_GIB:g} GiB for driver and display")
    if any(gpu.unified for gpu in gpus):
        said.append(
            f"of unified memory {UNIFIED_SHARE_SMALL:.0%}, from {UNIFIED_SMALL_GIB} GiB on "
            f"{UNIFIED_SHARE:.0%}"
        )
    if any(gpu.count > 1 for gpu in gpus):
        said.append(
            "of several cards (x2) all together: weights and cache are split over them, each "
            "has its own compute and overhead"
        )
    return f"Usable: {'; '.join(said)}. 1 GiB is 1.074 GB."


def _terms(figures: dict[str, Figure]) -> Any:
    from rich.table import Table

    table = Table("Term", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("GB", justify="right")
    table.add_column("GiB", justify="right")
    table.add_column("How", overflow="fold")
    for name, figure in figures.items():
        value, label = figure.value or 0, name.removesuffix("_bytes").replace("_", " ")
        how = printable(figure.source.partition("; shape: ")[0])
        if figure.unit == "B":
            table.add_row(label, f"{value / 1e9:,.3f}", f"{value / 2**30:,.3f}", how)
        else:
            table.add_row(label, f"{value:,.0f}", "", how)
    return table


def _devices(found: "Fit") -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table("Device", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("Usable GB", justify="right")
    table.add_column("Answers")
    table.add_column("Left GB", justify="right")
    table.add_column("Tokens/s", justify="right")
    if found.plan is not None:
        table.add_column("Trains")
        table.add_column("Left GB", justify="right")
    for device in found.devices:
        rate = device.tokens_per_s
        cells: list[str | Text] = [
            printable(device.gpu.id),
            f"{device.usable / 1e9:,.1f}",
            _yes_or_no(device.fits),
            f"{device.margin / 1e9:+,.1f}",
            f"{rate.low:,.0f}-{rate.high:,.0f}" if rate else "",
        ]
        if found.plan is not None:
            cells.append(_yes_or_no(device.trains))
            needed = device.training_needed
            cells.append("" if needed is None else f"{(device.usable - needed) / 1e9:+,.1f}")
        table.add_row(*cells)
    return table


def _yes_or_no(answer: bool | None) -> Any:
    from rich.text import Text

    if answer is None:
        return Text("unknown")
    return Text("yes") if answer else Text("no", style="red")
