"""Architectures of published models, for tests that need real numbers."""

from fathom_tui.architecture import Architecture, Mla, Moe

LLAMA_8B = Architecture(
    layers=32,
    hidden=4_096,
    intermediate=14_336,
    heads=32,
    kv_heads=8,
    head_dim=128,
    vocab=128_256,
    tied_embeddings=False,
    context=131_072,
)
QWEN25_7B = Architecture(
    layers=28,
    hidden=3_584,
    intermediate=18_944,
    heads=28,
    kv_heads=4,
    head_dim=128,
    vocab=152_064,
    tied_embeddings=False,
    context=32_768,
    qkv_bias=True,
)
QWEN3_8B = Architecture(
    layers=36,
    hidden=4_096,
    intermediate=12_288,
    heads=32,
    kv_heads=8,
    head_dim=128,
    vocab=151_936,
    tied_embeddings=False,
    context=40_960,
    qk_norm=True,
)
TINYLLAMA = Architecture(
    layers=22,
    hidden=2_048,
    intermediate=5_632,
    heads=32,
    kv_heads=4,
    head_dim=64,
    vocab=32_000,
    tied_embeddings=False,
    context=2_048,
)
GEMMA3_1B = Architecture(
    layers=26,
    hidden=1_152,
    intermediate=6_912,
    heads=4,
    kv_heads=1,
    head_dim=256,
    vocab=262_144,
    tied_embeddings=True,
    context=32_768,
    norms=4,
    qk_norm=True,
    sliding_window=512,
    sliding_layers=22,
)
MIXTRAL = Architecture(
    layers=32,
    hidden=4_096,
    intermediate=14_336,
    heads=32,
    kv_heads=8,
    head_dim=128,
    vocab=32_000,
    tied_embeddings=False,
    context=32_768,
    moe=Moe(experts=8, active=2, intermediate=14_336),
)
DEEPSEEK_V2_LITE = Architecture(
    layers=27,
    hidden=2_048,
    intermediate=10_944,
    heads=16,
    kv_heads=16,
    head_dim=192,
    vocab=102_400,
    tied_embeddings=False,
    context=163_840,
    mla=Mla(kv_lora_rank=512, rope_head_dim=64, nope_head_dim=128, value_head_dim=128),
    moe=Moe(experts=64, active=6, intermediate=1_408, shared_intermediate=2_816, dense_layers=1),
)
LLAMA_70B = Architecture(
    layers=80,
    hidden=8_192,
    intermediate=28_672,
    heads=64,
    kv_heads=8,
    head_dim=128,
    vocab=128_256,
    tied_embeddings=False,
    context=131_072,
)
PHI_4 = Architecture(
    layers=40,
    hidden=5_120,
    intermediate=17_920,
    heads=40,
    kv_heads=10,
    head_dim=128,
    vocab=100_352,
    tied_embeddings=False,
    context=16_384,
    fused_qkv=True,
)
