"""How fast a device answers: tokens a second from its bandwidth and its arithmetic.

Writing a token reads every active weight and the cache once, so bandwidth over those bytes is a
ceiling that nothing passes. What of it is reached is a range with two measured ends.
"""

from dataclasses import dataclass
from typing import NamedTuple

from fathom_tui.architecture import Architecture, active_parameters
from fathom_tui.architecture import parameters as all_parameters
from fathom_tui.catalog_types import Gpu
from fathom_tui.memory import kv_cache_bytes

GB = 1_000_000_000

BENCHMARK = "https://pavlokhmel.com/llm_throughput_benchmark_on_13_gpus_and_10_models.html"
"""13 GPUs with llama.cpp and Q4_K_M files, one request at a time; 7 June 2026."""


class Efficiency(NamedTuple):
    """Shares of a bandwidth that were measured while one sequence was written."""

    low: float
    high: float
    source: str


_EFFICIENCIES = (
    (
        6_000,
        Efficiency(0.15, 0.63, f"{BENCHMARK}: B300, Qwen3.5-9B 213 tokens/s; as below from 1,800"),
    ),
    (
        1_800,
        Efficiency(
            0.23,
            0.63,
            f"{BENCHMARK}: H200 SXM, Qwen3.5-9B 197 tokens/s; ridgepoint 0.1.2: A100 with vLLM, 8B "
            "in 16 bit 79.3 tokens/s",
        ),
    ),
    (
        0,
        Efficiency(
            0.41,
            0.88,
            f"{BENCHMARK}: A100 PCIe 40GB, Qwen3.5-9B 113 tokens/s; book, ch. 2 (April 2026): "
            "MacBook Air M5, Qwen3-8B Q4_K_M 27 tokens/s",
        ),
    ),
)
"""By bandwidth in GB/s, from there on: one sequence cannot keep the fastest memory busy.

Between the ends lie an RTX 4090 at 0.77 and an M5 at 0.82 (the same benchmark), an RTX 2070 at 0.46
(book, ch. 2) and the 0.55 that llmfit 1.1 assumes for every GPU.
"""
MFU_LOW, MFU_HIGH = 0.25, 0.55
"""Share of the dense bfloat16 TFLOPS that reading a prompt reaches. Source: the band of ridgepoint
0.1.2."""
PARALLEL = 0.9
"""Share of several cards' added bandwidth that tensor parallelism reaches at most. Source: llmfit
1.1. Cards that take layers in turn (llama.cpp's way) are as fast as one."""


class Rate(NamedTuple):
    """Tokens a second, from one measured end of the efficiency to the other."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Bytes read for a token."""

    weights: float
    """Active weights."""
    cache: float = 0.0
    """The KV cache of a full context; an empty one is read at the high end of the range."""


def reading(
    architecture: Architecture, parameters: float, weights: float, cache: float = 0.0
) -> Reading:
    """Return what is read for a token: of a mixture of experts the active share of the weights.

    Args:
        architecture: The model's shape.
        parameters: All of them, as the publisher counts.
        weights: Bytes of all weights.
        cache: Bytes of the KV cache.
    """
    if architecture.moe is None:
        return Reading(weights=weights, cache=cache)
    share = active_parameters(architecture) / max(parameters, all_parameters(architecture))
    return Reading(weights=weights * share, cache=cache)


def efficiency(bandwidth_gb_s: float) -> Efficiency:
    """Return which share of a bandwidth is reached, at least and at most."""
    return next(found for least, found in _EFFICIENCIES if bandwidth_gb_s >= least)


def decode_rate(bandwidth_gb_s: float | None, read: Reading, *, cards: int = 1) -> Rate | None:
    """Return the tokens a second of one sequence; unknown where the bandwidth is.

    Args:
        bandwidth_gb_s: 10^9 bytes a second, of one card.
        read: Bytes a token.
        cards: Cards that hold the model together.
    """
    if bandwidth_gb_s is None or read.weights <= 0:
        return None
    share = efficiency(bandwidth_gb_s)
    together = 1.0 if cards == 1 else cards * PARALLEL
    return Rate(
        low=share.low * bandwidth_gb_s * GB / (read.weights + read.cache),
        high=share.high * together * bandwidth_gb_s * GB / read.weights,
    )


def ceiling(bandwidth_gb_s: float, read_bytes: float, *, cards: int = 1) -> float:
    """Return the tokens a second that no engine passes: bandwidth over what a token reads."""
    return cards * bandwidth_gb_s * GB / read_bytes


def cannot_be(
    tokens_per_s: float, bandwidth_gb_s: float | None, read_bytes: float, *, cards: int = 1
) -> bool:
    """Say whether a quoted rate is above the ceiling; of an unknown bandwidth nothing is said."""
    if bandwidth_gb_s is None:
        return False
    return tokens_per_s > ceiling(bandwidth_gb_s, read_bytes, cards=cards)


def prefill_rate(bf16_tflops: float | None, active: float, *, cards: int = 1) -> Rate | None:
    """Return the tokens of a prompt read in a second; unknown where the TFLOPS are.

    Two operations a token and active parameter; attention's share, small below 10,000 tokens, is
    left out.
    """
    if bf16_tflops is None or active <= 0:
        return None
    most = bf16_tflops * 1e12 / (2 * active)
    return Rate(
        low=MFU_LOW * most, high=MFU_HIGH * most * (1.0 if cards == 1 else cards * PARALLEL)
    )


def decode(
    gpu: Gpu,
    architecture: Architecture,
    parameters: float,
    bits: float,
    *,
    context: int = 0,
    kv_type: str = "f16",
) -> Rate | None:
    """Return the tokens a second that one card of a device writes, the model whole on it.

    Args:
        gpu: The device.
        architecture: The model's shape.
        parameters: All of them.
        bits: Bits a weight in effect.
        context: Tokens in the cache at the low end of the range.
        kv_type: What the cache is stored in.
    """
    cache = kv_cache_bytes(architecture, context, kv_type) if context else 0
    read = reading(architecture, parameters, parameters * bits / 8, cache)
    return decode_rate(gpu.bandwidth_gb_s, read)


def prefill(gpu: Gpu, active_parameters: float) -> Rate | None:
    """Return the tokens of a prompt that one card of a device reads in a second."""
    return prefill_rate(gpu.bf16_tflops, active_parameters)
