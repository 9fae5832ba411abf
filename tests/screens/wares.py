"""A small catalog that stays the same, so that pictures of the screens do, too."""

from dataclasses import replace

from fathom_tui.catalog import Catalog, load

_GPUS = ("rtx-3060-12gb", "rtx-3090", "rtx-4090-x2", "h100-80gb", "m4-16gb", "raspberry-pi-5-8gb")
_MODELS = ("qwen2.5-0.5b", "qwen2.5-3b", "llama-3.1-8b", "qwen3-30b-a3b", "llama-3.3-70b")
_QUANTS = ("q3_k_m", "q4_k_m", "q8_0", "f16")
_PRICES = {
    "rtx-3060-12gb": (200.0, 280.0),
    "rtx-3090": (700.0, 900.0),
    "rtx-4090-x2": (3600.0, 4400.0),
}


def small() -> Catalog:
    """Return six devices, five models and four quantisations with prices of their own."""
    whole = load()
    gpus = []
    for row in _GPUS:
        low, high = _PRICES.get(row, (None, None))
        gpu = replace(whole.gpu(row), note="", rentals=(), price_new_low=None, price_new_high=None)
        gpus.append(replace(gpu, price_used_low=low, price_used_high=high))
    models = [replace(whole.model(row), note="") for row in _MODELS]
    quants = tuple(whole.quant(row) for row in _QUANTS)
    return replace(whole, gpus=tuple(gpus), models=tuple(models), quants=quants)
