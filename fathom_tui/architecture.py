"""The shape of a transformer: the numbers that memory and speed follow from."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Mla:
    """Multi-head latent attention (DeepSeek-V2): one compressed vector a token in the cache."""

    kv_lora_rank: int
    rope_head_dim: int
    nope_head_dim: int
    value_head_dim: int
    q_lora_rank: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moe:
    """Mixture of experts: every expert is resident, few are read for a token."""

    experts: int
    active: int
    """Routed experts a token is sent to."""
    intermediate: int
    """Width of one routed expert."""
    shared_intermediate: int = 0
    """Width of what every token passes besides, all shared experts together."""
    dense_layers: int = 0
    """Layers, from the first, with an ordinary MLP of width `Architecture.intermediate`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A decoder-only transformer."""

    layers: int
    hidden: int
    intermediate: int
    """Width of a dense MLP."""
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    tied_embeddings: bool
    """Whether the output projection is the embedding matrix."""
    context: int
    """Tokens the model was made for."""
    gated_mlp: bool = True
    """Three matrices in an MLP (SwiGLU, GeGLU) instead of two."""
    qkv_bias: bool = False
    output_bias: bool = False
    """A bias on the attention's output projection."""
    mlp_bias: bool = False
    """Biases on the MLP, on each expert and on the router."""
    norms: int = 2
    """Norms of width `hidden` in a layer."""
    qk_norm: bool = False
    """A norm of width `head_dim` on queries and one on keys."""
    attention_sinks: bool = False
    """One learned number a head (gpt-oss)."""
    fused_qkv: bool = False
    """Whether q, k and v are one matrix in a GGUF, which llama.cpp quantises as v."""
    sliding_window: int | None = None
    sliding_layers: int = 0
    """Layers that see the sliding window only; the others see the whole context."""
    kv_heads_by_layer: tuple[int, ...] = ()
    """Where layers differ; 0 is a layer without a KV cache (state space, linear attention,
    convolution). Empty: all layers have `kv_heads`."""
    mla: Mla | None = None
    moe: Moe | None = None


Shape = tuple[int, int]
"""Inputs and outputs of a matrix."""


def attention_shapes(architecture: Architecture) -> dict[str, Shape]:
    """Return the matrices of one layer's attention by target: (d_in, d_out).

    Source: the modelling files of transformers 5.17; latent attention as in arXiv:2405.04434.
    """
    a = architecture
    if a.mla is None:
        queries, keys = a.heads * a.head_dim, a.kv_heads * a.head_dim
        return {
            "q": (a.hidden, queries),
            "k": (a.hidden, keys),
            "v": (a.hidden, keys),
            "o": (queries, a.hidden),
        }
    mla = a.mla
    queries = a.heads * (mla.nope_head_dim + mla.rope_head_dim)
    if mla.q_lora_rank is None:
        query = {"q": (a.hidden, queries)}
    else:
        query = {"q_a": (a.hidden, mla.q_lora_rank), "q_b": (mla.q_lora_rank, queries)}
    return {
        **query,
        "kv_a": (a.hidden, mla.kv_lora_rank + mla.rope_head_dim),
        "kv_b": (mla.kv_lora_rank, a.heads * (mla.nope_head_dim + mla.value_head_dim)),
        "o": (a.heads * mla.value_head_dim, a.hidden),
    }


def mlp_shapes(architecture: Architecture, width: int) -> dict[str, Shape]:
    """Return the matrices of one MLP or expert of a width by target: (d_in, d_out)."""
    hidden = architecture.hidden
    gate = {"gate": (hidden, width)} if architecture.gated_mlp else {}
    return {**gate, "up": (hidden, width), "down": (width, hidden)}


def linear_shapes(architecture: Architecture) -> dict[str, Shape]:
    """Return the matrices of one layer by target: (d_in, d_out).

    Targets are q, k, v, o, gate, up and down; with latent attention q_a, q_b, kv_a and kv_b
    instead of what they replace. Gate, up and down are one expert's in a mixture of experts.
    """
    width = architecture.moe.intermediate if architecture.moe else architecture.intermediate
    return {**attention_shapes(architecture), **mlp_shapes(architecture, width)}


def parameters(architecture: Architecture) -> int:
    """Return the exact number of parameters, a tied embedding counted once.

    The embedding, the output projection, norms, biases, routers, experts and sinks are all in it.
    """
    a = architecture
    embeddings = a.vocab * a.hidden * (1 if a.tied_embeddings else 2)
    mlps = _dense_layers(a) * _mlp(a, a.intermediate) + _moe_layers(a) * _experts(a)
    return embeddings + attention_parameters(a) + mlps + a.layers * a.norms * a.hidden + a.hidden


def attention_parameters(architecture: Architecture) -> int:
    """Return the parameters of all layers' attention, with its biases, norms and sinks."""
    a = architecture
    each = sum(d_in * d_out for d_in, d_out in attention_shapes(a).values())
    return a.layers * (each + _attention_vectors(a))


def active_parameters(architecture: Architecture) -> int:
    """Return the parameters that a token is computed with: of the experts only the active ones."""
    a = architecture
    if a.moe is None:
        return parameters(a)
    idle = a.moe.experts - a.moe.active
    return parameters(a) - _moe_layers(a) * idle * _mlp(a, a.moe.intermediate)


def matrix_parameters(architecture: Architecture) -> int:
    """Return the parameters of the layers' linear matrices, routers and experts included.

    That is all but embeddings, norms and biases.
    """
    a = architecture
    embeddings = a.vocab * a.hidden * (1 if a.tied_embeddings else 2)
    return parameters(a) - embeddings - vector_parameters(a)


def vector_parameters(architecture: Architecture) -> int:
    """Return the parameters in vectors: norms, biases and sinks. A GGUF keeps them in float32."""
    a = architecture
    mlps = _dense_layers(a) * _mlp_biases(a, a.intermediate)
    if a.moe:
        each = _mlp_biases(a, a.moe.intermediate) * a.moe.experts + _router_biases(a)
        mlps += _moe_layers(a) * (each + _mlp_biases(a, a.moe.shared_intermediate))
    return a.layers * (_attention_vectors(a) + a.norms * a.hidden) + mlps + a.hidden


def _dense_layers(a: Architecture) -> int:
    return a.layers if a.moe is None else a.moe.dense_layers


def _moe_layers(a: Architecture) -> int:
    return a.layers - _dense_layers(a)


def _mlp(a: Architecture, width: int) -> int:
    matrices = sum(d_in * d_out for d_in, d_out in mlp_shapes(a, width).values())
    return matrices + _mlp_biases(a, width)


def _mlp_biases(a: Architecture, width: int) -> int:
    if not a.mlp_bias or not width:
        return 0
    return sum(d_out for _, d_out in mlp_shapes(a, width).values())


def _experts(a: Architecture) -> int:
    if a.moe is None:
        return 0
    router = a.hidden * a.moe.experts + _router_biases(a)
    routed = a.moe.experts * _mlp(a, a.moe.intermediate)
    return router + routed + _mlp(a, a.moe.shared_intermediate)


def _router_biases(a: Architecture) -> int:
    return a.moe.experts if a.moe and a.mlp_bias else 0


def _attention_vectors(a: Architecture) -> int:
    shapes = attention_shapes(a)
    count = a.heads if a.attention_sinks else 0
    if a.qk_norm:
        count += 2 * a.head_dim
    if a.mla:
        count += a.mla.kv_lora_rank + (a.mla.q_lora_rank or 0)  # the norms of what is compressed
    if a.qkv_bias:
        count += sum(d_out for target, (_, d_out) in shapes.items() if target in "qkv")
    return count + (a.hidden if a.output_bias else 0)
