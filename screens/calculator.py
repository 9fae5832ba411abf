"""The memory of one model: every quantisation's file, the KV cache, and what holds it all."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from textual.content import Content

from fathom_tui.errors import UsageError
from fathom_tui.screens import origins
from fathom_tui.screens.dials import (
    START_CONTEXT,
    START_KV,
    START_QUANT,
    gigabytes,
    price,
    price_of,
)
from fathom_tui.screens.origins import Named
from fathom_tui.screens.pane import wrapped
from fathom_tui.screens.symbols import Symbols
from fathom_tui.screens.words import clean, size

if TYPE_CHECKING:
    from fathom_tui.architecture import Architecture
    from fathom_tui.catalog import Catalog
    from fathom_tui.catalog_types import Gpu, Model, Quant
    from fathom_tui.fit import Fit, Subject

_LABEL = 11
_BAR = 24
"""Cells of the longest bar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the memory is computed for."""

    quant: str = START_QUANT
    context: int = START_CONTEXT
    """Tokens, prompt and answer together."""
    kv_type: str = START_KV


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """A quantisation of a model."""

    quant: "Quant"
    file: int
    """Bytes of the weights."""
    exact: bool
    """Whether every matrix was counted in its type; else it is bits times parameters."""
    bits: float
    """A parameter, in effect."""
    device: "Gpu | None"
    """The smallest one that holds it with the context; None where none does."""


class Calculator:
    """A model's memory for every choice; what was computed once is kept.

    Args:
        catalog: The devices and quantisations.
        model: The model.
    """

    def __init__(self, catalog: "Catalog", model: "Model") -> None:
        self.catalog, self.model = catalog, model
        self._subjects: dict[str, Subject] = {}
        self._by_size = sorted(catalog.gpus, key=_size)

    def subject(self, quant: "Quant") -> "Subject":
        """Return the model in a quantisation."""
        from fathom_tui.fit import Subject

        if quant.id not in self._subjects:
            self._subjects[quant.id] = Subject.of(self.model, quant)
        return self._subjects[quant.id]

    def fit(self, choice: Choice, quant: "Quant") -> "Fit":
        """Return what it takes and what each device can do.

        Raises:
            UsageError: The context or the type of the cache cannot be used.
        """
        from fathom_tui.fit import fit

        return fit(
            self.subject(quant),
            self.catalog.gpus,
            context=choice.context,
            kv_type=choice.kv_type,
        )

    def rungs(self, choice: Choice) -> list[Rung]:
        """Return every quantisation, smallest first.

        Raises:
            UsageError: The context or the type of the cache cannot be used.
        """
        from fathom_tui.architecture import parameters
        from fathom_tui.memory import MIXTURES

        count = parameters(self.model.architecture)
        quants = sorted(self.catalog.quants, key=lambda quant: quant.rank)
        devices = self._smallest(quants, choice)
        return [
            Rung(
                quant=quant,
                file=self.subject(quant).weights,
                exact=quant.id in MIXTURES,
                bits=8 * self.subject(quant).weights / count,
                device=devices[quant.id],
            )
            for quant in quants
        ]

    def _smallest(self, quants: "Sequence[Quant]", choice: Choice) -> "dict[str, Gpu | None]":
        """Return the smallest device of each; what is too small for one is so for larger ones."""
        from fathom_tui.fit import fit

        left = self._by_size
        found: dict[str, Gpu | None] = {}
        for quant in sorted(quants, key=lambda quant: self.subject(quant).weights):
            subject = self.subject(quant)
            ask = partial(fit, subject, context=choice.context, kv_type=choice.kv_type)
            while left and not ask(left[:1]).devices[0].fits:
                left = left[1:]
            found[quant.id] = left[0] if left else None
        return found


def smallest(fit: "Fit") -> "Gpu | None":
    """Return the device with the least memory that holds it; of equals the cheaper one."""
    holding = [device for device in fit.devices if device.fits]
    return min((device.gpu for device in holding), key=_size, default=None)


def cheapest(fit: "Fit") -> "Gpu | None":
    """Return the device with the least known price that holds it."""
    holding = [d.gpu for d in fit.devices if d.fits and price_of(d.gpu) is not None]
    return min(holding, key=_asked, default=None)


def _size(gpu: "Gpu") -> tuple[int, float]:
    from fathom_tui.fit import usable_bytes

    return usable_bytes(gpu), _asked(gpu)


def _asked(gpu: "Gpu") -> float:
    known = price_of(gpu)
    return known[0] if known is not None else float("inf")


def lines(
    calculator: Calculator, choice: Choice, symbols: Symbols, width: int
) -> Sequence[Content]:
    """Return what answering takes, term by term, and what holds it."""
    quant = calculator.catalog.quant(choice.quant)
    try:
        fit = calculator.fit(choice, quant)
    except UsageError as error:
        said = Content.styled(f"{symbols.refused} {clean(error.message)} ", "$error")
        return [
            *_chosen(calculator.model, quant, choice, symbols, width),
            *wrapped(said + clean(error.fix), width),
        ]
    found = _chosen(calculator.model, quant, choice, symbols, width)
    found += _terms(fit, symbols)
    for label, gpu in (("smallest", smallest(fit)), ("cheapest", cheapest(fit))):
        found.append(_device(label, gpu, fit, symbols).truncate(width, ellipsis=True))
    return found


def _chosen(
    model: "Model", quant: "Quant", choice: Choice, symbols: Symbols, width: int
) -> list[Content]:
    """Return the choice, and how the cache comes about."""
    beyond = choice.context > model.architecture.context
    context = Content.assemble((f"{choice.context:,}", "bold"), " tokens")
    if beyond:
        context += Content.styled(
            f"  {symbols.warned} made for {model.architecture.context:,}", "$warning"
        )
    use = f"  {clean(quant.use)}" if quant.use else ""
    entries = (
        ("b quant", Content.assemble((clean(quant.name), "bold"), (use, "$muted"))),
        ("c context", context),
        ("t KV type", Content.assemble((choice.kv_type, "bold"))),
    )
    return [
        Content.assemble((label[0], "$accent"), (f"{label[1:]:<{_LABEL - 1}}", "$muted"))
        + text.truncate(max(0, width - _LABEL), ellipsis=True)
        for label, text in entries
    ]


def _terms(fit: "Fit", symbols: Symbols) -> list[Content]:
    inference = fit.inference
    terms = (
        ("weights", inference.weights),
        ("KV cache", inference.kv_cache),
        ("compute", inference.compute),
        ("overhead", inference.overhead),
    )
    most = max(count for _, count in terms)
    each = {"KV cache": f"  {size(inference.kv_cache / fit.context)} a token"}
    found = [
        Content.assemble(
            (f"{label:<{_LABEL}}", "$muted"),
            f"{gigabytes(count):>6} GB  ",
            (symbols.full * max(1, round(_BAR * count / most)), "$accent"),
            (each.get(label, ""), "$muted"),
        )
        for label, count in terms
    ]
    total = Content.assemble(
        (f"{'total':<{_LABEL}}", "$muted"), (f"{gigabytes(inference.total):>6} GB", "bold")
    )
    return [*found, total]


def _device(label: str, gpu: "Gpu | None", fit: "Fit", symbols: Symbols) -> Content:
    heading = Content.styled(f"{label:<{_LABEL}}", "$muted")
    if gpu is None:
        return heading + Content.styled(f"{symbols.refused} no device here holds it", "$error")
    usable = next(device.usable for device in fit.devices if device.gpu is gpu)
    said = f" of {gigabytes(usable)} GB" if label == "smallest" else ""
    asked = price(gpu)
    return heading + Content.assemble(
        (f"{symbols.done} ", "$success"),
        (clean(gpu.id), "bold"),
        said,
        f", {asked}" if asked else ", price unknown",
    )


def shape(a: "Architecture") -> str:
    """Return the numbers of a shape that memory follows from."""
    parts = [f"{a.layers} layers of {a.hidden:,}"]
    if a.mla is not None:
        parts.append(f"latent attention of {a.mla.kv_lora_rank} + {a.mla.rope_head_dim}")
    else:
        parts.append(f"{a.heads} heads, {a.kv_heads} KV heads of {a.head_dim}")
    if a.sliding_window is not None and a.sliding_layers:
        parts.append(f"{a.sliding_layers} layers see {a.sliding_window:,} tokens")
    if a.moe is not None:
        parts.append(f"{a.moe.active} of {a.moe.experts} experts a token")
    return ", ".join(parts)


def figures(calculator: Calculator, choice: Choice) -> list[Named]:
    """Return every number that the panels show, each with its origin."""
    model, quant = calculator.model, calculator.catalog.quant(choice.quant)
    found = list(origins.of_model(model, quant))
    try:
        fit = calculator.fit(choice, quant)
    except UsageError:
        return found  # why there is nothing more stands in the panel
    found += origins.of_inference(fit, model, quant)
    for gpu in {gpu.id: gpu for gpu in (smallest(fit), cheapest(fit)) if gpu is not None}.values():
        device = next(each for each in fit.devices if each.gpu is gpu)
        found += [*origins.of_device(gpu), *origins.of_answer(device, model)]
    return found
