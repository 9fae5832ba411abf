"""What memory a model needs to be trained, on one device, term by term in bytes.

The optimizer is AdamW, the arithmetic bfloat16, attention never keeps its scores. Two backends:
PEFT with TRL 1.14 as it comes (loss in chunks of 256 tokens), and Unsloth, which moves the layers'
inputs to the computer's memory and keeps adapters in float32.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from fathom_tui.architecture import (
    Architecture,
    Shape,
    attention_shapes,
    matrix_parameters,
    mlp_shapes,
    parameters,
)
from fathom_tui.errors import UsageError

LOSS_CHUNK = 256
"""Tokens whose logits exist at once. Source: `_CHUNKED_LM_HEAD_CHUNK_SIZE` of TRL 1.14."""
_LOGIT_BYTES = 16
"""Of a logit: itself, its log-softmax, the exponent and their product, each float32.

Source: `_chunk` in TRL 1.14's SFT trainer.
"""
_NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Of a weight in NF4 with double quantisation: four bits, a byte a block of 64, and four bytes for
256 blocks. Source: arXiv:2305.14314, section 3; bitsandbytes' defaults."""
_HALF = 2
"""Bytes of a bfloat16."""


class Method(StrEnum):
    """What is trained."""

    FULL = "full"
    LORA = "lora"
    QLORA = "qlora"


class Backend(StrEnum):
    """What trains it."""

    TRL = "trl"
    UNSLOTH = "unsloth"


TARGETS: Mapping[str, tuple[str, ...]] = {
    "attention": ("q", "k", "v", "o", "qkv", "q_a", "q_b", "kv_a", "kv_b"),
    "all-linear": (
        *("q", "k", "v", "o", "qkv", "q_a", "q_b", "kv_a", "kv_b"),
        *("gate", "up", "down", "gate_up"),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """How a model is to be trained."""

    method: Method = Method.QLORA
    rank: int = 16
    targets: str | tuple[str, ...] = "attention"
    """`attention`, `all-linear`, or targets by name: q, k, v, o, gate, up, down."""
    batch: int = 1
    """Rows computed at once; accumulating gradients costs no memory."""
    seq: int = 2_048
    """Tokens a row."""
    backend: Backend = Backend.TRL
    checkpointing: bool = True
    """Whether layers are computed again in the backward pass instead of kept."""
    evaluation_batch: int | None = None
    """Rows evaluated at once; None is `batch`."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: A number is out of range.
        """
        for name, value, most in (
            ("rank", self.rank, 1_024),
            ("batch", self.batch, 4_096),
            ("seq", self.seq, 1_048_576),
            ("evaluation_batch", self.evaluation_batch or 1, 4_096),
        ):
            if not 1 <= value <= most:
                raise UsageError(f"The training's {name} is {value:,}.", fix=f"Give 1 to {most:,}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingMemory:
    """Bytes at the peak of a training step or of an evaluation, whichever is higher."""

    trainable_parameters: int
    weights: int
    """The frozen weights and the adapter."""
    gradients: int
    optimizer: int
    activations: int
    logits: int
    """The loss and one layer's backward pass use the same room in turn: it is shared out between
    logits and activations as each would need it alone."""
    evaluation: int
    """Peak of an evaluation, weights and optimizer included; `total` is never less."""

    @property
    def total(self) -> int:
        """The sum of the terms."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.logits


def training(architecture: Architecture, plan: TrainingPlan) -> TrainingMemory:
    """Return what a training takes on one device.

    The peak is the highest of four moments: the loss, the start of the backward pass, when nothing
    that was kept is freed yet, its end, when all gradients are there, and an evaluation.

    Raises:
        UsageError: The model has no such target.

    Source: terms as in fitcheck-llm 0.3.1 (docs/SPEC.md, 3.1); how many values a token keeps, from
    counting the tensors alive in steps of transformers 5.17, PEFT 0.21 and TRL 1.14
    (bench/results/training_memory.json).
    """
    trainable = trainable_parameters(architecture, plan)
    weights, gradients, optimizer = _states(architecture, plan, trainable)
    tokens = plan.batch * plan.seq
    kept, live = _kept(architecture, plan, tokens), _live(architecture, plan, tokens)
    loss = _loss(architecture, plan, tokens)
    # Gradients take the room of what was kept, layer by layer.
    first = live if plan.checkpointing else _HALF * _LAST * architecture.hidden * tokens
    last = gradients + max(live, 2 * _head_gradient(architecture, plan, tied=True))
    backward = max(kept + first + _head_gradient(architecture, plan), last)
    evaluation = _evaluation(architecture, plan)
    peak = max(backward, kept + loss, evaluation)
    logits = (peak - gradients) * loss // (loss + kept + live)
    return TrainingMemory(
        trainable_parameters=trainable,
        weights=weights,
        gradients=gradients,
        optimizer=optimizer,
        activations=peak - gradients - logits,
        logits=logits,
        evaluation=weights + optimizer + evaluation,
    )


# --- what is trained ----------------------------------------------------------------------------


def trainable_parameters(architecture: Architecture, plan: TrainingPlan) -> int:
    """Return the parameters that are trained: all, or rank x (inputs + outputs) of each target.

    The routed experts of a mixture are single tensors in transformers 5, which adapters do not
    reach; attention, shared experts and dense layers are.

    Raises:
        UsageError: The model has no such target.

    Source: arXiv:2106.09685.
    """
    if plan.method is Method.FULL:
        return parameters(architecture)
    wanted = _wanted(architecture, plan.targets)
    sides = sum(
        layers * sum(d_in + d_out for target, (d_in, d_out) in shapes.items() if target in wanted)
        for layers, shapes in _linear(architecture)
    )
    return plan.rank * sides


def routed_experts(architecture: Architecture) -> int:
    """Return the parameters of a mixture's routed experts; 0 without experts.

    bitsandbytes does not quantise them, and PEFT puts no adapter on them.

    Source: transformers 5.17 keeps a layer's experts as single tensors, not as linear layers.
    """
    a, moe = architecture, architecture.moe
    if moe is None:
        return 0
    each = sum(d_in * d_out for d_in, d_out in mlp_shapes(a, moe.intermediate).values())
    return (a.layers - moe.dense_layers) * moe.experts * each


def _linear(a: Architecture) -> list[tuple[int, dict[str, Shape]]]:
    """Return the linear matrices that adapters reach, as (layers that have them, shapes)."""
    groups = [(a.layers, _fused(attention_shapes(a)) if a.fused_qkv else attention_shapes(a))]
    if a.moe is None:
        return [*groups, (a.layers, _mlp(a, a.intermediate))]
    groups.append((a.moe.dense_layers, _mlp(a, a.intermediate)))
    if a.moe.shared_intermediate:
        groups.append((a.layers - a.moe.dense_layers, _mlp(a, a.moe.shared_intermediate)))
    return groups


def _fused(shapes: dict[str, Shape]) -> dict[str, Shape]:
    rows = sum(shapes[target][1] for target in ("q", "k", "v"))
    return {"qkv": (shapes["q"][0], rows), "o": shapes["o"]}


def _mlp(a: Architecture, width: int) -> dict[str, Shape]:
    shapes = mlp_shapes(a, width)
    if not (a.fused_qkv and a.gated_mlp):
        return shapes
    return {"gate_up": (a.hidden, 2 * width), "down": shapes["down"]}


def _wanted(a: Architecture, targets: str | tuple[str, ...]) -> frozenset[str]:
    known = {target for layers, shapes in _linear(a) if layers for target in shapes}
    if isinstance(targets, str):
        if targets not in TARGETS:
            raise UsageError(
                f"{targets!r} is no set of targets.", fix=f"Choose one of {', '.join(TARGETS)}."
            )
        return frozenset(TARGETS[targets]) & known
    given = {target.removesuffix("_proj") for target in targets}
    if unknown := sorted(given - known):
        raise UsageError(
            f"This model has no matrix named {', '.join(unknown)} that an adapter could be put on.",
            fix=f"Its targets are {', '.join(sorted(known))}.",
        )
    return frozenset(given)


# --- weights, gradients, optimizer --------------------------------------------------------------


def _states(a: Architecture, plan: TrainingPlan, trainable: int) -> tuple[int, int, int]:
    """Return the bytes of weights, gradients and AdamW's two moments.

    Full: everything float32, computed with under bfloat16 autocast (16 bytes a parameter). LoRA:
    bfloat16 weights, float32 adapter. QLoRA: NF4 weights, and TRL turns the adapter to bfloat16.
    """
    if plan.method is Method.FULL:
        return 4 * trainable, 4 * trainable, 8 * trainable
    each = _adapter_bytes(plan)
    return _frozen(a, plan) + each * trainable, each * trainable, 2 * each * trainable


def _adapter_bytes(plan: TrainingPlan) -> int:
    half = plan.method is Method.QLORA and plan.backend is Backend.TRL
    return _HALF if half else 4


def _frozen(a: Architecture, plan: TrainingPlan) -> int:
    if plan.method is Method.LORA:
        return _HALF * parameters(a)
    quantised = sum(
        layers * sum(d_in * d_out for d_in, d_out in shapes.values())
        for layers, shapes in _linear(a)
    )
    return round(_NF4_BYTES * quantised) + _HALF * (parameters(a) - quantised)


# --- activations --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Values:
    """Two-byte values a token has in a layer, in widths of the model."""

    hidden: float
    queries: float
    mlp: float

    def of(self, a: Architecture) -> float:
        """Return the values of a model."""
        width = a.moe.active * a.moe.intermediate + a.moe.shared_intermediate if a.moe else 0
        queries = attention_shapes(a)["o"][0]
        return self.hidden * a.hidden + self.queries * queries + self.mlp * max(width, _dense(a))


def _dense(a: Architecture) -> int:
    return a.intermediate if a.moe is None or a.moe.dense_layers else 0


_FULL, _LORA, _LORA_MLP, _QLORA, _QLORA_MLP, _UNSLOTH = range(6)
_KEPT: Mapping[int, _Values] = {
    _FULL: _Values(12, 5, 4),
    _LORA: _Values(7, 5, 3),
    _LORA_MLP: _Values(9, 5, 4),
    _QLORA: _Values(5, 4, 3),
    _QLORA_MLP: _Values(6, 4, 4),
    _UNSLOTH: _Values(5, 4, 3),
}
"""What a layer keeps for the backward pass without checkpointing."""
_LIVE: Mapping[int, _Values] = {
    _FULL: _Values(16, 6, 7),
    _LORA: _Values(8, 5, 6),
    _LORA_MLP: _Values(14, 5, 7),
    _QLORA: _Values(6, 4, 6),
    _QLORA_MLP: _Values(7, 4, 6),
    _UNSLOTH: _Values(6, 4, 4),
}
"""What one layer has at most while its gradients are computed.

Source of both: fitted to the tensors alive in steps of shapes that differ in one width at a time;
whole numbers within 0.3. Unsloth's are assumed: no more than QLoRA's, less what its MLP computes
in place.
"""
_LAST = 9
"""Widths of `hidden` a token has besides, without checkpointing: the last norm and its gradient."""


def _kind(a: Architecture, plan: TrainingPlan) -> int:
    if plan.method is Method.FULL:
        return _FULL
    if plan.backend is Backend.UNSLOTH:
        return _UNSLOTH
    mlp = bool(_wanted(a, plan.targets) & {"gate", "up", "down", "gate_up"})
    if plan.method is Method.LORA:
        return _LORA_MLP if mlp else _LORA
    return _QLORA_MLP if mlp else _QLORA


def _kept(a: Architecture, plan: TrainingPlan, tokens: int) -> int:
    """Return the bytes that all layers keep until the backward pass."""
    full = plan.method is Method.FULL
    if not plan.checkpointing:
        copies = _HALF * matrix_parameters(a) if full else 0  # autocast's, of float32 weights
        return round(_HALF * a.layers * _KEPT[_kind(a, plan)].of(a) * tokens) + copies
    if plan.backend is Backend.UNSLOTH:
        return 0  # the layers' inputs are moved to the computer's memory
    # Full training's inputs are float32, as its weights are.
    return a.layers * a.hidden * (4 if full else _HALF) * tokens


def _head_gradient(a: Architecture, plan: TrainingPlan, *, tied: bool = False) -> int:
    """Return the bytes of the output projection's gradient, which comes before all others.

    Args:
        a: The model's shape.
        plan: The training.
        tied: Count it only where the embedding is the same matrix and adds to it in the end.
    """
    if plan.method is not Method.FULL or (tied and not a.tied_embeddings):
        return 0
    return 4 * a.vocab * a.hidden


def _live(a: Architecture, plan: TrainingPlan, tokens: int) -> int:
    """Return the bytes that one layer has at most while its gradients are computed."""
    extra = 0
    if plan.method is Method.QLORA:  # one matrix at a time is bfloat16 again
        extra = _HALF * max(
            d_in * d_out for _, shapes in _linear(a) for d_in, d_out in shapes.values()
        )
    return round(_HALF * _LIVE[_kind(a, plan)].of(a) * tokens) + extra


def _loss(a: Architecture, plan: TrainingPlan, tokens: int) -> int:
    """Return the bytes of the logits of one chunk, and of the head where autocast copies it.

    Unsloth chooses its chunk by the memory that is free; this is the least it works with.
    """
    copy = _HALF * a.vocab * a.hidden if plan.method is Method.FULL else 0
    return _LOGIT_BYTES * min(tokens, LOSS_CHUNK) * a.vocab + copy


def _evaluation(a: Architecture, plan: TrainingPlan) -> int:
    """Return what an evaluation takes beside weights and optimizer: one layer forward, one chunk.

    A layer going forward has the MLP's gate, product and input, and five hidden widths.
    """
    tokens = (plan.evaluation_batch or plan.batch) * plan.seq
    forward = _HALF * round(_Values(5, 2, 3).of(a)) * tokens
    return max(forward, 2 * _HALF * a.hidden * tokens + _loss(a, plan, tokens))
