"""Which model fits on which device, to answer and to be trained, and how fast it answers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fathom_tui.architecture import Architecture
from fathom_tui.catalog_types import Gpu, Model, Quant
from fathom_tui.errors import UsageError
from fathom_tui.memory import InferenceMemory, inference, weights_bytes
from fathom_tui.speed import Rate, Reading, decode_rate, prefill_rate, reading
from fathom_tui.training_memory import (
    Backend,
    Method,
    TrainingMemory,
    TrainingPlan,
    routed_experts,
    training,
)

GIB = 2**30
TAKEN_GIB = 0.75
"""What driver and display take of a card's nominal memory before any model.

Source: ridgepoint 0.1.2, calibration against vLLM 0.28 (September 2026).
"""
UNIFIED_SHARE, UNIFIED_SHARE_SMALL, UNIFIED_SMALL_GIB = 0.75, 2 / 3, 36
"""Share of unified memory that a GPU may use, below and from so many GiB on.

Source: the default `recommendedMaxWorkingSetSize` of Apple's Metal, as llama.cpp reports it. For
other devices with unified memory it is an assumption: they have no such limit, but a system.
"""
TRAINERS = frozenset({"nvidia", "amd", "intel"})
"""Vendors whose GPUs torch, PEFT and bitsandbytes train on; of others it is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is to be fitted: a row of the catalog, or a model read from a file."""

    id: str
    name: str
    architecture: Architecture
    parameters: float
    active_parameters: float
    weights: int
    """Bytes in the quantisation that is asked about."""

    @classmethod
    def of(cls, model: Model, quant: Quant) -> "Subject":
        """Return a model of the catalog in a quantisation."""
        return cls(
            id=model.id,
            name=model.name,
            architecture=model.architecture,
            parameters=model.parameters,
            active_parameters=model.active_parameters,
            weights=weights_bytes(model.architecture, quant.id, quant.bits),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFit:
    """What one device can do with a model."""

    gpu: Gpu
    usable: int
    """Bytes of all its cards that a model can have."""
    needed: int
    """Bytes that answering takes on all cards: compute buffer and overhead are each card's own."""
    training_needed: int | None
    """Bytes that training takes on all cards together; None where none was asked about."""
    trains: bool | None
    """None is unknown or not asked."""
    tokens_per_s: Rate | None
    """None where it does not fit, or nothing is known of the bandwidth."""
    prompt_tokens_per_s: Rate | None

    @property
    def fits(self) -> bool:
        """Whether it answers from the device's own memory."""
        return self.needed <= self.usable

    @property
    def margin(self) -> int:
        """Bytes left, or lacking where negative."""
        return self.usable - self.needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A model's terms, and every device's answer."""

    subject: Subject
    context: int
    kv_type: str
    inference: InferenceMemory
    plan: TrainingPlan | None
    training: TrainingMemory | None
    devices: tuple[DeviceFit, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to be known to read the numbers."""
        made_for, found = self.subject.architecture.context, list[str]()
        if self.context > made_for:
            found.append(
                f"the model was made for {made_for:,} tokens of context, not {self.context:,}"
            )
        if self.plan is None or self.training is None:
            return tuple(found)
        if self.plan.seq > made_for:
            found.append(
                f"the model was made for {made_for:,} tokens of context, not for training on rows "
                f"of {self.plan.seq:,}"
            )
        found += _expert_notes(self.subject.architecture, self.plan)
        return (*found, *_card_notes(self.devices, self.training))


def _expert_notes(architecture: Architecture, plan: TrainingPlan) -> list[str]:
    routed = routed_experts(architecture)
    if not routed or plan.method is Method.FULL:
        return []
    same = "; Unsloth is counted the same" if plan.backend is Backend.UNSLOTH else ""
    return [
        f"with TRL and PEFT the experts stay in 16 bit, {2 * routed / 1e9:,.1f} GB, and get no "
        f"adapter: transformers keeps them as single tensors{same}"
    ]


def _card_notes(devices: Sequence[DeviceFit], memory: TrainingMemory) -> list[str]:
    """Return a note where all cards together hold a training that one of them does not."""
    several = [device for device in devices if device.gpu.count > 1 and device.trains]
    sharded = [d.gpu.id for d in several if memory.total > d.usable / d.gpu.count]
    if not sharded:
        return []
    return [
        f"on {', '.join(sharded)} training fits only sharded over all cards (FSDP), which is how "
        "it is counted; copied to each card (DDP) it does not fit"
    ]


def usable_bytes(gpu: Gpu) -> int:
    """Return what a model can have of a device's memory, all cards together."""
    if gpu.unified:
        small = gpu.memory_gib < UNIFIED_SMALL_GIB
        return int(gpu.memory_gib * GIB * (UNIFIED_SHARE_SMALL if small else UNIFIED_SHARE))
    return max(0, int((gpu.memory_gib - TAKEN_GIB * gpu.count) * GIB))


def fit(
    subject: Subject,
    gpus: Iterable[Gpu],
    *,
    context: int,
    kv_type: str = "f16",
    plan: TrainingPlan | None = None,
) -> Fit:
    """Return the terms and what each device can do.

    Args:
        subject: The model in its quantisation.
        gpus: The devices.
        context: Tokens, prompt and answer together.
        kv_type: What the KV cache is stored in.
        plan: How it is to be trained, where that is asked.

    Raises:
        UsageError: The context, the cache's type or a target cannot be used.
    """
    terms = _Terms(subject, context, kv_type, () if plan is None else (plan,))
    return Fit(
        subject=subject,
        context=context,
        kv_type=kv_type,
        inference=terms.inference,
        plan=plan,
        training=terms.trainings[0][1] if plan else None,
        devices=tuple(terms.on(gpu, usable_bytes(gpu)) for gpu in gpus),
    )


class _Terms:
    """What does not depend on the device, computed once a model."""

    def __init__(
        self, subject: Subject, context: int, kv_type: str, plans: Sequence[TrainingPlan]
    ) -> None:
        self.subject = subject
        self.inference = inference(subject.architecture, subject.weights, context, kv_type)
        self.read: Reading = reading(
            subject.architecture, subject.parameters, subject.weights, self.inference.kv_cache
        )
        self.trainings = [(plan, training(subject.architecture, plan)) for plan in plans]

    def needed(self, cards: int) -> int:
        """Return the bytes on so many cards: weights and cache are split, the rest is not."""
        i = self.inference
        return i.weights + i.kv_cache + cards * (i.compute + i.overhead)

    def training_needed(self, cards: int) -> list[int]:
        """Return the bytes of each training on so many cards.

        TRL: weights, gradients and optimizer are sharded (FSDP), activations are each card's own.
        Unsloth uses one card, so several have to be as large as one.
        """
        return [
            m.total + (cards - 1) * (m.activations + m.logits)
            if plan.backend is Backend.TRL
            else cards * m.total
            for plan, m in self.trainings
        ]

    def rates(self, gpu: Gpu, fits: bool) -> tuple[Rate | None, Rate | None]:
        """Return how fast a device writes and reads, where the model fits."""
        if not fits:
            return None, None
        return (
            decode_rate(gpu.bandwidth_gb_s, self.read, cards=gpu.count),
            prefill_rate(gpu.bf16_tflops, self.subject.active_parameters, cards=gpu.count),
        )

    def on(self, gpu: Gpu, usable: int) -> DeviceFit:
        """Return one device's answer, for the first training where one was asked about."""
        needed = self.needed(gpu.count)
        trainings = self.training_needed(gpu.count)
        decode, prefill = self.rates(gpu, needed <= usable)
        return DeviceFit(
            gpu=gpu,
            usable=usable,
            needed=needed,
            training_needed=trainings[0] if trainings else None,
            trains=_trains(gpu, trainings[0], usable) if trainings else None,
            tokens_per_s=decode,
            prompt_tokens_per_s=prefill,
        )


def _trains(gpu: Gpu, needed: int, usable: int) -> bool | None:
    return needed <= usable if gpu.vendor in TRAINERS else None


# --- the matrix -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cell:
    """One model on one device."""

    fits: bool
    margin: int
    """Bytes left, or lacking where negative."""
    tokens_per_s: Rate | None
    trains: tuple[bool | None, ...]
    """For each of the matrix's plans; None is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Every model on every device."""

    models: tuple[Model, ...]
    gpus: tuple[Gpu, ...]
    plans: tuple[TrainingPlan, ...]
    cells: tuple[tuple[Cell | None, ...], ...]
    """By model, then by device; None where the cache cannot be stored in the type asked for."""


PLANS = tuple(TrainingPlan(method=method) for method in (Method.QLORA, Method.LORA, Method.FULL))
"""What the matrix answers unless told otherwise: rank 16 on attention, one row of 2,048 tokens."""


def matrix(
    models: Sequence[Model],
    gpus: Sequence[Gpu],
    quant: Quant,
    *,
    context: int,
    kv_type: str = "f16",
    plans: Sequence[TrainingPlan] = PLANS,
) -> Matrix:
    """Return whether each model fits on each device, to answer and for each training.

    The answers are those of `fit`; what depends on the model alone is computed once a model.

    Raises:
        UsageError: The context, the cache's type or a target cannot be used by any model.
    """
    usable = [usable_bytes(gpu) for gpu in gpus]
    rows: list[tuple[Cell | None, ...]] = []
    refused: UsageError | None = None
    for model in models:
        try:
            terms = _Terms(Subject.of(model, quant), context, kv_type, plans)
        except UsageError as error:
            refused = error
            rows.append((None,) * len(gpus))
        else:
            rows.append(_row(terms, gpus, usable))
    if refused is not None and all(row[:1] == (None,) for row in rows):
        raise refused
    return Matrix(models=tuple(models), gpus=tuple(gpus), plans=tuple(plans), cells=tuple(rows))


def _row(terms: _Terms, gpus: Sequence[Gpu], usable: Sequence[int]) -> tuple[Cell, ...]:
    by_cards = {
        cards: (terms.needed(cards), terms.training_needed(cards))
        for cards in {gpu.count for gpu in gpus}
    }
    return tuple(
        _cell(terms, gpu, have, *by_cards[gpu.count])
        for gpu, have in zip(gpus, usable, strict=True)
    )


def _cell(terms: _Terms, gpu: Gpu, usable: int, needed: int, trainings: Sequence[int]) -> Cell:
    fits = needed <= usable
    return Cell(
        fits=fits,
        margin=usable - needed,
        tokens_per_s=terms.rates(gpu, fits)[0],
        trains=tuple(_trains(gpu, each, usable) for each in trainings),
    )
