"""The numbers of a model on a device with their origins, for the key `e`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fathom_tui.figures import Figure, Kind
from fathom_tui.screens.words import clean

if TYPE_CHECKING:
    from fathom_tui.catalog_types import Gpu, Model, Quant, Row
    from fathom_tui.fit import DeviceFit, Fit
    from fathom_tui.speed import Rate

Named = tuple[str, Figure]
GB = 1e9


def given(row: "Row", field: str, value: float | None, unit: str) -> Figure:
    """Return a number of a row that is part of a field, with that field's origin."""
    origin = row.origin_of(field)
    return Figure(
        value=value, unit=unit, kind=origin.kind, source=origin.source, as_of=origin.as_of
    )


def of_model(model: "Model", quant: "Quant") -> Iterator[Named]:
    """Return what is known of a model and of its quantisation."""
    yield "parameters", model.figure("parameters", "parameters")
    if model.active_parameters != model.parameters:
        yield "active parameters", model.figure("active_parameters", "parameters")
    yield "context", given(model, "architecture", model.architecture.context, "tokens")
    yield f"bits of {clean(quant.name)}", quant.figure("bits", "bits/weight")


_DEVICE = (
    ("memory_gib", "GiB", "memory"),
    ("bandwidth_gb_s", "GB/s", "bandwidth of a card"),
    ("bf16_tflops", "TFLOPS", "BF16 of a card"),
    ("watts", "W", "power"),
    ("price_new_low", "GBP", "new, from"),
    ("price_new_high", "GBP", "new, up to"),
    ("price_used_low", "GBP", "used, from"),
    ("price_used_high", "GBP", "used, up to"),
    ("tokens_per_s_low", "tokens/s", "quoted for 8B, from"),
    ("tokens_per_s_high", "tokens/s", "quoted for 8B, up to"),
)


def of_device(gpu: "Gpu") -> Iterator[Named]:
    """Return what is known of a device."""
    name = clean(gpu.id)
    for field, unit, what in _DEVICE:
        figure = gpu.figure(field, unit)
        if figure.value is not None:
            yield f"{name}: {what}", figure
    for rental in gpu.rentals:
        origin = rental.origin or gpu.origin_of("rentals")
        for value, what in ((rental.usd_per_hour_low, "from"), (rental.usd_per_hour_high, "to")):
            figure = Figure(
                value=value,
                unit="USD/h",
                kind=origin.kind,
                source=origin.source,
                as_of=origin.as_of,
            )
            yield f"{name}: rent at {clean(rental.provider)}, {what}", figure


def of_inference(fit: "Fit", model: "Model", quant: "Quant") -> Iterator[Named]:
    """Return the terms of answering."""
    from fathom_tui.memory import MIXTURES

    terms, known = fit.inference, quant.id in MIXTURES
    by_type = "each matrix in the type that llama.cpp gives it"
    by_bits = f"{quant.bits:g} bits x parameters"
    yield "weights", computed(terms.weights / GB, "GB", by_type if known else by_bits, model)
    yield "KV cache", computed(terms.kv_cache / GB, "GB", cache_sum(fit), model)
    batch = "the largest stage of a batch of 512 tokens in llama.cpp's graph"
    yield "compute buffer", computed(terms.compute / GB, "GB", batch, model)
    yield (
        "overhead",
        Figure(
            value=round(terms.overhead / GB, 3),
            unit="GB",
            kind=Kind.ASSUMED,
            source="footprint of a process on a GPU, the default of gguf-parser-go 0.25.0",
            as_of=model.origin.as_of,
        ),
    )
    total = "the sum of weights, KV cache, compute buffer and overhead"
    yield "total to answer", computed(terms.total / GB, "GB", total, model)


def cache_sum(fit: "Fit") -> str:
    """Return the sum that a KV cache is, in words where layers differ."""
    a = fit.subject.architecture
    if a.mla is not None:
        width = a.mla.kv_lora_rank + a.mla.rope_head_dim
        return f"{a.layers} layers x {width} values x {fit.context:,} tokens in {fit.kv_type}"
    if a.kv_heads_by_layer or a.sliding_layers:
        return f"layer by layer, as llama.cpp {fit.kv_type} caches hold {fit.context:,} tokens"
    return (
        f"{a.layers} layers x {a.kv_heads} KV heads x {a.head_dim} x 2 (key and value) "
        f"x {fit.context:,} tokens in {fit.kv_type}"
    )


def of_answer(device: "DeviceFit", model: "Model") -> Iterator[Named]:
    """Return what a device has, and how fast it answers."""
    from fathom_tui.speed import MFU_HIGH, MFU_LOW, efficiency

    gpu, name = device.gpu, clean(device.gpu.id)
    held = "what driver, display or the system leave of the nominal memory"
    yield f"{name}: usable memory", computed(device.usable / GB, "GB", held, model)
    share = efficiency(gpu.bandwidth_gb_s)
    of = f"of {gpu.bandwidth_gb_s:g} GB/s over what a token reads, the cache"
    written = (
        f"{share.low:g} {of} full; share: {share.source}",
        f"{share.high:g} {of} empty; share: {share.source}",
    )
    peak = f"of {gpu.bf16_tflops or 0:g} TFLOPS over two operations a parameter and token"
    read = (f"{MFU_LOW:g} {peak}", f"{MFU_HIGH:g} {peak}")
    yield from _rate(name, "tokens/s written", device.tokens_per_s, written, model)
    yield from _rate(name, "tokens/s read", device.prompt_tokens_per_s, read, model)


def _rate(
    name: str, what: str, rate: "Rate | None", sources: tuple[str, str], model: "Model"
) -> Iterator[Named]:
    if rate is not None:
        for value, end, source in zip(rate, ("from", "to"), sources, strict=True):
            yield f"{name}: {what}, {end}", computed(value, "tokens/s", source, model)


def of_training(fit: "Fit", model: "Model") -> Iterator[Named]:
    """Return the terms of a training."""
    plan, terms = fit.plan, fit.training
    if plan is None or terms is None:
        return
    source = (
        f"{plan.method.value}, rank {plan.rank} on {plan.targets}, {plan.batch} x {plan.seq:,} "
        f"tokens, {plan.backend.value}; terms counted from tensors alive in real steps"
    )
    for what in ("weights", "gradients", "optimizer", "activations", "logits", "total"):
        count = getattr(terms, what)
        yield f"{plan.method.value}: {what}", computed(count / GB, "GB", source, model)


def computed(value: float, unit: str, source: str, model: "Model") -> Figure:
    """Return a number that was computed from the model's."""
    return Figure(
        value=round(value, 3 if unit == "GB" else 1),
        unit=unit,
        kind=Kind.COMPUTED,
        source=source,
        as_of=model.origin_of("architecture").as_of,
    )
