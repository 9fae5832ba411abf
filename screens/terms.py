"""Everything about one model on one device: each term of the memory sums, speed and price."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content

from fathom_tui.screens import origins
from fathom_tui.screens.cells import Answers, Asked, View, between, times
from fathom_tui.screens.dials import gigabytes, price
from fathom_tui.screens.origins import Named
from fathom_tui.screens.pane import wrapped
from fathom_tui.screens.symbols import Symbols
from fathom_tui.screens.words import clean

if TYPE_CHECKING:
    from fathom_tui.catalog_types import Gpu, Model
    from fathom_tui.fit import DeviceFit, Fit

_LABEL, _COLUMN = 12, 10
TABLE = _LABEL + 4 * _COLUMN
"""Cells of the table of terms."""
_BESIDE = TABLE + 46
"""From this width on the words stand beside the table."""
_INFERENCE = (
    ("weights", "weights"),
    ("KV cache", "kv_cache"),
    ("compute", "compute"),
    ("overhead", "overhead"),
)
_TRAINING = ("weights", "gradients", "optimizer", "activations", "logits")
_ROWS = ("weights", "KV cache", "compute", "overhead", *_TRAINING[1:])
_COLUMNS = (
    (View.ANSWER, "answer"),
    (View.QLORA, "QLoRA"),
    (View.LORA, "LoRA"),
    (View.FULL, "full"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """A model on a device, in each of the ways it can be used."""

    gpu: "Gpu"
    model: "Model"
    asked: Asked
    fits: "tuple[tuple[Fit, DeviceFit], ...]"
    """To answer, then QLoRA, LoRA and full."""


def meeting(answers: Answers, gpu: str, model: str, asked: Asked) -> Meeting:
    """Return what there is to say of a model on a device.

    Raises:
        UsageError: It cannot be computed for this model.
    """
    found = []
    for view, _ in _COLUMNS:
        ask = Asked(view=view, quant=asked.quant, context=asked.context)
        fit = answers.fit(model, ask)
        device = next(each for each in fit.devices if each.gpu.id == gpu)
        found.append((fit, device))
    return Meeting(gpu=answers.gpu(gpu), model=answers.model(model), asked=asked, fits=tuple(found))


def lines(met: Meeting, symbols: Symbols, width: int) -> list[Content]:
    """Return the table of terms and what is said of speed and price, beside it or below."""
    table = list(_table(met, symbols))
    if width < _BESIDE:
        return [*table, Content(""), *_words(met, symbols, width)]
    words = _words(met, symbols, width - TABLE - 3)
    blank = Content(" " * TABLE)
    return [
        (table[n] if n < len(table) else blank).pad_right(
            TABLE + 3 - (table[n].cell_length if n < len(table) else TABLE)
        )
        + (words[n] if n < len(words) else Content(""))
        for n in range(max(len(table), len(words)))
    ]


def _table(met: Meeting, symbols: Symbols) -> Iterator[Content]:
    titles = "".join(f"{title:>{_COLUMN}}" for _, title in _COLUMNS)
    yield Content.styled(f"{'GB':<{_LABEL}}{titles}", "$muted")
    sums = [_terms(fit, device) for fit, device in met.fits]
    rows = [*_ROWS, *(["other cards"] if met.gpu.count > 1 else [])]
    for name in rows:
        numbers = [gigabytes(terms[name]) if name in terms else "" for terms in sums]
        yield _line(name, [Content(number) for number in numbers])
    yield _line("total", [Content.styled(gigabytes(_needed(*each)), "bold") for each in met.fits])
    usable = [Content(gigabytes(device.usable)) for _, device in met.fits]
    yield _line("of usable", usable)
    yield _line("", [_verdict(*each, symbols) for each in met.fits])


def _line(label: str, cells: Sequence[Content]) -> Content:
    line = Content.styled(f"{label:<{_LABEL}}", "$muted")
    for cell in cells:
        line += cell.pad_left(max(0, _COLUMN - cell.cell_length))
    return line


def _terms(fit: "Fit", device: "DeviceFit") -> dict[str, int]:
    """Return the terms by name; what more cards add is a term of its own."""
    if fit.training is None:
        found = {label: int(getattr(fit.inference, field)) for label, field in _INFERENCE}
    else:
        found = {name: int(getattr(fit.training, name)) for name in _TRAINING}
    more = _needed(fit, device) - sum(found.values())
    return {**found, "other cards": more} if more else found


def _needed(fit: "Fit", device: "DeviceFit") -> int:
    if fit.training is None or device.training_needed is None:
        return device.needed
    return device.training_needed


def _verdict(fit: "Fit", device: "DeviceFit", symbols: Symbols) -> Content:
    if fit.training is not None and device.trains is None:
        return Content.styled("? unknown", "$muted")
    needed = _needed(fit, device)
    if needed <= device.usable:
        return Content.styled(f"{symbols.done} fits", "bold $success")
    return Content.styled(
        f"{symbols.refused} {times(needed, device.usable, symbols)}", "bold $error"
    )


def _mark(fit: "Fit", device: "DeviceFit", symbols: Symbols) -> Content:
    """Return the verdict's symbol alone."""
    verdict = _verdict(fit, device, symbols)
    return verdict[:1]


def _words(met: Meeting, symbols: Symbols, width: int) -> list[Content]:
    found: list[Content] = []
    for label, text in _entries(met, symbols):
        entry = Content.styled(f"{label:<9}", "$muted") + text
        found += wrapped(entry, width, indent=9)
    return found


def _entries(met: Meeting, symbols: Symbols) -> Iterator[tuple[str, Content]]:
    from fathom_tui.speed import MFU_HIGH, MFU_LOW

    gpu, (fit, device) = met.gpu, met.fits[0]
    yield "writes", _written(met, fit, device, symbols)
    if device.prompt_tokens_per_s is not None:
        rate = device.prompt_tokens_per_s
        text = Content.assemble((between(rate.low, rate.high, symbols), "bold"), " tokens/s")
        yield "reads", text + f": {MFU_LOW:g} to {MFU_HIGH:g} of {gpu.bf16_tflops:g} TFLOPS"
    if gpu.tokens_per_s_low is not None and gpu.tokens_per_s_high is not None:
        quoted = between(gpu.tokens_per_s_low, gpu.tokens_per_s_high, symbols)
        yield "quoted", Content(f"{quoted} tokens/s for an 8B model in Q4_K_M")
    yield "price", Content(price(gpu) or "unknown")
    for rental in gpu.rentals:
        low, high = rental.usd_per_hour_low, rental.usd_per_hour_high
        asked = f"${low:g}" if low == high else f"${low:g} to {high:g}"
        where = ", EU or UK possible" if rental.eu else ""
        yield "rent", Content(f"{asked} an hour at {clean(rental.provider)}{where}")
    yield "with", Content(_with(met, fit))
    yield "training", Content(_trained(met))
    if gpu.note:
        yield "note", Content(clean(gpu.note))


def _written(met: Meeting, fit: "Fit", device: "DeviceFit", symbols: Symbols) -> Content:
    from fathom_tui.speed import efficiency

    rate, share = device.tokens_per_s, efficiency(met.gpu.bandwidth_gb_s)
    if rate is None:
        return Content("unknown" if device.fits else "nothing: it does not fit")
    text = Content.assemble((between(rate.low, rate.high, symbols), "bold $accent"), " tokens/s")
    cards = f" of {met.gpu.count} cards" if met.gpu.count > 1 else ""
    cache = gigabytes(fit.inference.kv_cache)
    return text + (
        f": {share.low:g} to {share.high:g} of {met.gpu.bandwidth_gb_s:g} GB/s{cards} over "
        f"what a token reads; the low end with a full cache of {cache} GB"
    )


def _with(met: Meeting, fit: "Fit") -> str:
    made = met.model.architecture.context
    beyond = f"; the model was made for {made:,}" if met.asked.context > made else ""
    return (
        f"{met.asked.quant.upper()}, {met.asked.context:,} tokens of context, "
        f"cache in {fit.kv_type}{beyond}"
    )


def _trained(met: Meeting) -> str:
    plan, terms = met.fits[1][0].plan, met.fits[1][0].training
    assert plan is not None and terms is not None
    return (
        f"adapters of rank {plan.rank} on {plan.targets}, {terms.trainable_parameters:,} "
        f"parameters; {plan.batch} row of {plan.seq:,} tokens, AdamW, checkpointing, "
        f"{plan.backend.value.upper()}"
    )


def summary(met: Meeting, symbols: Symbols, width: int) -> list[Content]:
    """Return two lines for a terminal without room for the table."""
    fit, device = met.fits[0]
    said = _verdict(fit, device, symbols)
    said += f"  {gigabytes(device.needed)} of {gigabytes(device.usable)} GB"
    rate = device.tokens_per_s
    if rate is not None:
        said += f"   {between(rate.low, rate.high, symbols)} tokens/s"
    said += f"   {price(met.gpu) or 'price unknown'}"
    training = Content("")
    for (_, method), (each, on) in zip(_COLUMNS[1:], met.fits[1:], strict=True):
        training += Content.styled(f"{method} ", "$muted") + _mark(each, on, symbols)
        training += Content(f" {gigabytes(_needed(each, on))} GB   ")
    training += Content.styled("enter: all terms", "$muted")
    return [said.truncate(width, ellipsis=True), training.truncate(width, ellipsis=True)]


def title(met: Meeting) -> str:
    """Return the two names."""
    return f"{clean(met.model.name)} on {clean(met.gpu.name)}"


def figures(met: Meeting, answers: Answers) -> list[Named]:
    """Return every number about the two, each with its origin; the cell's own come first."""
    fit, device = met.fits[0]
    quant = answers.catalog.quant(met.asked.quant)
    found = [*origins.of_inference(fit, met.model, quant), *origins.of_answer(device, met.model)]
    for trained, _ in met.fits[1:]:
        found += origins.of_training(trained, met.model)
    return [*found, *origins.of_device(met.gpu), *origins.of_model(met.model, quant)]
