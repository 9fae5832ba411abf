"""What memory a model needs to answer: weights, KV cache, compute buffer and overhead, in bytes.

The engine is llama.cpp as llama-cpp-python 0.3.36 carries it; other engines keep the same weights
and the same cache, in blocks of their own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fathom_tui.architecture import (
    Architecture,
    Shape,
    attention_shapes,
    mlp_shapes,
    parameters,
    vector_parameters,
)
from fathom_tui.errors import UsageError

UBATCH = 512
"""Tokens that llama.cpp computes at once. Source: its default `n_ubatch`."""
_CELLS = 256
"""The cache grows in steps of so many tokens. Source: `GGML_PAD(cparams.n_ctx, 256)` in
llama-context.cpp."""
OVERHEAD = 250 * 2**20
"""Bytes of a process on a GPU before it holds a model: driver context and libraries.

Source: the default footprint of gguf-parser-go 0.25.0.
"""
LONGEST = 10_000_000
"""No context is longer; a longer one is a slip of the finger."""

_BLOCKS: Mapping[str, tuple[int, int]] = {
    "f32": (4, 1),
    "f16": (2, 1),
    "bf16": (2, 1),
    "q8_0": (34, 32),
    "q5_1": (24, 32),
    "q5_0": (22, 32),
    "q4_1": (20, 32),
    "q4_0": (18, 32),
    "mxfp4": (17, 32),
    "q6_k": (210, 256),
    "q5_k": (176, 256),
    "q4_k": (144, 256),
    "iq4_xs": (136, 256),
    "iq4_nl": (18, 32),
    "q3_k": (110, 256),
    "q2_k": (84, 256),
}
"""Bytes of a block and the values in it. Source: the block structures in ggml-common.h."""

KV_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")
"""What a KV cache can be stored in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceMemory:
    """Bytes that answering takes."""

    weights: int
    kv_cache: int
    """Of one sequence that fills the context."""
    compute: int
    """Intermediate results of one batch."""
    overhead: int

    @property
    def total(self) -> int:
        """The sum of the terms."""
        return self.weights + self.kv_cache + self.compute + self.overhead


def inference(
    architecture: Architecture,
    weights: int,
    context: int,
    kv_type: str = "f16",
    *,
    flash_attention: bool = True,
) -> InferenceMemory:
    """Return what answering with a context of so many tokens takes.

    Args:
        architecture: The model's shape.
        weights: Bytes of the weights, from `weights_bytes` or from a file.
        context: Tokens, prompt and answer together.
        kv_type: One of `KV_TYPES`.
        flash_attention: On where the engine decides; off, the scores of a batch are kept whole.

    Raises:
        UsageError: The context or the cache's type cannot be used.
    """
    return InferenceMemory(
        weights=weights,
        kv_cache=kv_cache_bytes(architecture, context, kv_type),
        compute=compute_bytes(architecture, context, flash_attention=flash_attention),
        overhead=OVERHEAD,
    )


# --- KV cache ---------------------------------------------------------------------------------


def kv_cache_bytes(
    architecture: Architecture,
    context: int,
    kv_type: str = "f16",
    *,
    ubatch: int = UBATCH,
    whole_window: bool = False,
) -> int:
    """Return the bytes of the KV cache of one sequence.

    A layer holds a key and a value of kv_heads x head_dim for each token; with latent attention
    one vector of kv_lora_rank + rope_head_dim instead of both. A layer with a sliding window
    holds the window and one batch, no more.

    Args:
        architecture: The model's shape.
        context: Tokens; rounded up to 256, as llama.cpp does.
        kv_type: One of `KV_TYPES`.
        ubatch: Tokens computed at once.
        whole_window: Layers with a window hold the whole context, too (`swa_full`, the default of
            llama-cpp-python; llama-server and Ollama leave it off).

    Raises:
        UsageError: The context or the type cannot be used.

    Source: llama-kv-cache.cpp and llama-kv-cache-iswa.cpp of llama-cpp-python 0.3.36.
    """
    a = architecture
    _check(a, context, kv_type)
    cells = _padded(context)
    window = cells if whole_window else window_cells(a, context, ubatch=ubatch)
    if a.kv_heads_by_layer:  # which layers slide is not known then
        heads = sum(a.kv_heads_by_layer) * cells
    else:
        heads = (1 if a.mla else a.kv_heads) * (
            (a.layers - a.sliding_layers) * cells + a.sliding_layers * window
        )
    return heads * _cache_row(a, kv_type)


def window_cells(architecture: Architecture, context: int, *, ubatch: int = UBATCH) -> int:
    """Return how many tokens a layer with a sliding window holds; without a window, all."""
    cells = _padded(context)
    if architecture.sliding_window is None:
        return cells
    return _padded(min(cells, architecture.sliding_window + min(ubatch, context)))


def _padded(tokens: int) -> int:
    return -(-tokens // _CELLS) * _CELLS


def _cache_row(a: Architecture, kv_type: str) -> int:
    """Return the bytes of a token's key and value of one head."""
    size, block = _BLOCKS[kv_type]
    values = a.mla.kv_lora_rank + a.mla.rope_head_dim if a.mla else 2 * a.head_dim
    return values // block * size


def _check(a: Architecture, context: int, kv_type: str) -> None:
    if not 1 <= context <= LONGEST:
        raise UsageError(
            f"A context of {context:,} tokens cannot be used.",
            fix=f"Give 1 to {LONGEST:,}; this model was made for {a.context:,}.",
        )
    if kv_type not in KV_TYPES:
        raise UsageError(
            f"{kv_type!r} is no type of a KV cache.", fix=f"Choose one of {', '.join(KV_TYPES)}."
        )
    block = _BLOCKS[kv_type][1]
    width = a.mla.kv_lora_rank + a.mla.rope_head_dim if a.mla else a.head_dim
    if width % block:
        raise UsageError(
            f"A cache of {kv_type} needs heads of a multiple of {block}; here they have {width}.",
            fix="Choose f16.",
        )


# --- compute buffer ---------------------------------------------------------------------------


def compute_bytes(
    architecture: Architecture,
    context: int,
    *,
    ubatch: int = UBATCH,
    flash_attention: bool = True,
    whole_window: bool = False,
) -> int:
    """Return the bytes of llama.cpp's compute buffer, the largest stage of one batch's graph.

    The stages share their room: the output (logits of every token in the batch), attention, and
    the MLP. Without flash attention the scores of a batch against the whole cache are kept.

    Args:
        architecture: The model's shape.
        context: Tokens; rounded up to 256.
        ubatch: Tokens computed at once.
        flash_attention: Whether the engine uses it.
        whole_window: As in `kv_cache_bytes`.

    Source: the stages as gguf-parser-go 0.25.0 lists them; how many rows of which width each
    holds, from llama.cpp's own report on models of many shapes (bench/results/memory.json, where
    the largest error is).
    """
    a, cells = architecture, _padded(context)
    window = cells if whole_window else window_cells(a, context, ubatch=ubatch)
    mask = cells + (window if a.sliding_layers else 0)  # one of the context, one of the window
    scores = mask / 2 if flash_attention else mask + a.heads * cells
    stages = (
        a.vocab + 2 * a.hidden,
        _attention_values(a, flash_attention) + scores,
        _mlp_values(a) + mask / 2,
    )
    return int(4 * min(ubatch, context) * max(stages))


def _attention_values(a: Architecture, flash: bool) -> int:
    """Return the float32 values a token has in the stage of attention, but for scores and mask."""
    if a.mla:
        each = 2 * a.mla.kv_lora_rank + 2 * a.mla.rope_head_dim + a.mla.nope_head_dim
        return 5 * a.hidden + a.heads * each
    own = 2 * a.heads * a.head_dim + 2 * a.kv_heads * a.head_dim
    return (1 if flash else 3) * a.hidden + own


def _mlp_values(a: Architecture) -> int:
    width = a.intermediate
    if a.moe:
        width = a.moe.active * a.moe.intermediate
        return max(3 * width + 4 * a.hidden, width + (a.moe.active + 2) * a.hidden)
    return 3 * width + 4 * a.hidden


# --- weights ----------------------------------------------------------------------------------


def weights_bytes(architecture: Architecture, quant: str, bits: float) -> int:
    """Return the bytes of a model's weights in a quantisation.

    Where the mixture is llama.cpp's own, every matrix is counted in the type it gets, with the
    fallbacks of rows that do not divide by 256; another one is bits x parameters.

    Args:
        architecture: The model's shape.
        quant: Id of the quantisation: q4_k_m, q8_0, f16, ...
        bits: Bits a weight in effect, for a quantisation that is not known here.
    """
    mixture = MIXTURES.get(quant.lower())
    if mixture is None:
        return round(parameters(architecture) * bits / 8)
    return _Tensors(architecture, mixture).total()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """Which type each matrix gets; a layer is known by its index and how many there are."""

    base: str
    value: Callable[[Architecture, int], str] | None = None
    """The values' matrix, or q, k and v in one."""
    down: Callable[[Architecture, int], str] | None = None
    out: str = ""
    """The attention's output, where it is not `base`."""
    eight_experts_out: str = ""
    """The same in a model of eight experts."""
    experts: str = ""
    """Every expert's matrices, where they are not `base`."""


def _more_bits(a: Architecture, i: int) -> bool:
    """Say whether a layer is one of those that get more bits: the outer eighths, then a third."""
    n = a.layers
    return i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2


MIXTURES: Mapping[str, Mixture] = {
    "f32": Mixture(base="f32"),
    "f16": Mixture(base="f16"),
    "bf16": Mixture(base="bf16"),
    "q8_0": Mixture(base="q8_0"),
    "q6_k": Mixture(base="q6_k"),
    "q5_0": Mixture(base="q5_0"),
    "q4_0": Mixture(base="q4_0"),
    "mxfp4": Mixture(base="q8_0", experts="mxfp4"),
    "q5_k_s": Mixture(base="q5_k"),
    "q5_k_m": Mixture(
        base="q5_k",
        value=lambda a, i: "q6_k" if _more_bits(a, i) else "q5_k",
        down=lambda a, i: "q6_k" if _more_bits(a, i) else "q5_k",
    ),
    "q4_k_s": Mixture(
        base="q4_k",
        value=lambda _, i: "q5_k" if i < 4 else "q4_k",
        down=lambda a, i: "q5_k" if i < a.layers // 8 else "q4_k",
        eight_experts_out="q5_k",
    ),
    "q4_k_m": Mixture(
        base="q4_k",
        value=lambda a, i: "q6_k" if _more_bits(a, i) else "q4_k",
        down=lambda a, i: "q6_k" if _more_bits(a, i) else "q4_k",
        eight_experts_out="q5_k",
    ),
    "iq4_xs": Mixture(
        base="iq4_xs",
        value=lambda a, _: "q5_k" if a.heads // a.kv_heads >= 4 else "iq4_xs",
        down=lambda a, i: "q5_k" if i < a.layers // 8 else "iq4_xs",
        eight_experts_out="q5_k",
    ),
    "q3_k_s": Mixture(base="q3_k", eight_experts_out="q5_k"),
    "q3_k_m": Mixture(
        base="q3_k",
        value=lambda _, i: "q5_k" if i < 2 else "q4_k",
        down=lambda a, i: "q5_k" if i < a.layers // 16 else "q4_k",
        out="q4_k",
        eight_experts_out="q5_k",
    ),
    "q3_k_l": Mixture(
        base="q3_k", value=lambda _a, _i: "q5_k", down=lambda _a, _i: "q5_k", out="q5_k"
    ),
    "q2_k": Mixture(
        base="q2_k",
        value=lambda a, _: "q4_k" if a.heads // a.kv_heads >= 4 else "q3_k",
        down=lambda _a, _i: "q3_k",
        out="q3_k",
        eight_experts_out="q5_k",
    ),
}
"""Source: `llama_tensor_get_type_impl` in llama-quant.cpp of llama-cpp-python 0.3.36."""

_FALLBACK = {
    "q2_k": "q4_0",
    "q3_k": "q4_0",
    "iq4_xs": "iq4_nl",
    "q4_k": "q5_0",
    "q5_k": "q5_1",
    "q6_k": "q8_0",
}
"""What rows get that do not divide by 256. Source: `tensor_type_fallback` in llama-quant.cpp."""
_SEVENTY_B_LAYERS = 80
"""llama.cpp takes a model of so many layers for a 70B and gives its small v matrix more bits."""


class _Tensors:
    """A model's matrices in a mixture."""

    def __init__(self, architecture: Architecture, mixture: Mixture) -> None:
        self.a, self.mixture = architecture, mixture

    def total(self) -> int:
        """Return the bytes of all tensors: matrices as the mixture says, vectors in float32."""
        a, layers = self.a, range(self.a.layers)
        attention = self._fixed_attention() * a.layers + sum(map(self._value_bytes, layers))
        mlps = sum(self._mlp_bytes(layer) for layer in layers)
        return self._embeddings() + attention + mlps + 4 * vector_parameters(a)

    def _embeddings(self) -> int:
        a = self.a
        base, output = self.mixture.base, self._output_type()
        embedding = _stored(output if a.tied_embeddings else base, (a.hidden, a.vocab))
        return embedding + (0 if a.tied_embeddings else _stored(output, (a.hidden, a.vocab)))

    def _output_type(self) -> str:
        base = self.mixture.base
        if base in ("f32", "f16", "bf16", "q8_0"):
            return base
        return "q8_0" if self.a.hidden % _BLOCKS[base][1] else "q6_k"

    def _fixed_attention(self) -> int:
        """Return the bytes of one layer's matrices that are of one type in every layer."""
        shapes = dict(attention_shapes(self.a))
        if self.a.fused_qkv or "v" in shapes:
            shapes.pop("v", None)
        if self.a.fused_qkv:
            shapes = {"o": shapes["o"]}
        if self.a.mla:  # split by head, keys and values apart
            mla, heads = self.a.mla, self.a.heads
            del shapes["kv_b"]
            shapes["k_b"] = (mla.nope_head_dim, mla.kv_lora_rank * heads)
            shapes["v_b"] = (mla.kv_lora_rank, mla.value_head_dim * heads)
        return sum(_stored(self._attention_type(target), shape) for target, shape in shapes.items())

    def _attention_type(self, target: str) -> str:
        m, eight = self.mixture, self._eight()
        if target == "o":
            return (m.eight_experts_out if eight else m.out) or m.base
        return "q8_0" if target == "k" and eight else m.base

    def _eight(self) -> bool:
        quantised = self.mixture.base not in ("f32", "f16", "bf16")
        return self.a.moe is not None and self.a.moe.experts == 8 and quantised

    def _value_bytes(self, layer: int) -> int:
        a = self.a
        if a.mla:
            return 0
        shapes = attention_shapes(a)
        rows = sum(shapes[t][1] for t in ("q", "k", "v")) if a.fused_qkv else shapes["v"][1]
        wanted = self.mixture.value(a, layer) if self.mixture.value else self.mixture.base
        if a.layers == _SEVENTY_B_LAYERS and wanted in ("q3_k", "q4_k"):
            wanted = "q5_k"
        return _stored("q8_0" if self._eight() else wanted, (a.hidden, rows))

    def _mlp_bytes(self, layer: int) -> int:
        a, moe = self.a, self.a.moe
        if moe is None or layer < moe.dense_layers:
            return self._mlp(layer, a.intermediate)
        shared = self._mlp(layer, moe.shared_intermediate) if moe.shared_intermediate else 0
        router = 4 * a.hidden * moe.experts
        routed = self._mlp(layer, moe.intermediate, self.mixture.experts)
        return moe.experts * routed + shared + router

    def _mlp(self, layer: int, width: int, kind: str = "") -> int:
        """Return the bytes of one MLP; in the mixture's types unless another one is given."""
        m = self.mixture
        base = kind or m.base
        down = m.down(self.a, layer) if m.down and not kind else base
        return sum(
            _stored(down if target == "down" else base, shape)
            for target, shape in mlp_shapes(self.a, width).items()
        )


def _stored(kind: str, shape: Shape) -> int:
    """Return the bytes of a matrix (d_in, d_out), whose rows have d_in values."""
    columns, rows = shape
    if columns % _BLOCKS[kind][1]:
        kind = _FALLBACK.get(kind, kind)
    if columns % _BLOCKS[kind][1]:
        kind = "f16"
    size, block = _BLOCKS[kind]
    return columns // block * size * rows
