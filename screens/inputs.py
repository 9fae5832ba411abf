"""The inputs of the Advise screen: a workload, and what it is compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from fathom_tui.catalog import Catalog
from fathom_tui.catalog_types import ApiPrice, Gpu, Task
from fathom_tui.economics import millions
from fathom_tui.errors import UsageError
from fathom_tui.quantities import parse_count, parse_quantity, parse_share
from fathom_tui.screens.slider import Choice, Entry, Flags, Number, Option, Switch
from fathom_tui.screens.words import clean
from fathom_tui.setting import REFERENCE_API, REFERENCE_MACHINE
from fathom_tui.workload import MOST_TOKENS, REGULATIONS, Workload

START = Workload(name="workload", tokens_per_day=2e6, growth=0.0)
"""What the screen begins with: the volume of the sources' first example."""

BOOK, INSTALLED = "book", "current"
"""The two dated tables of prices, as `--snapshot` names them."""

_MANTISSAS = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
_TOKENS = tuple(m * 10**k for k in range(3, 10) for m in _MANTISSAS) + (1e10,)
_PEAKS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 48, 64, 100, 200, 500, 1000)
_LATENCIES = (50, 100, 150, 200, 300, 500, 750, 1000, 1500, 2000, 3000, 5000, 10_000)

OF_SETTING = frozenset({"input_share", "against", "gpu", "prices"})
"""Inputs that a setting is made of; the others change the workload alone."""


def entries(catalog: Catalog, devices: Sequence[str]) -> tuple[Entry, ...]:
    """Return every input, in the order they are shown.

    Args:
        catalog: Where names of APIs and devices are from.
        devices: Ids of the devices that can be compared with.
    """
    gpus = {gpu.id: gpu for gpu in catalog.gpus}
    return (
        *_WORK,
        Choice(
            key="task",
            label="task",
            hint="The nearest kind of work; it decides the technique, not the verdict.",
            title="Which kind of work this is nearest to",
            options=(Option("", "not said"), *(_task(task) for task in catalog.tasks)),
        ),
        Choice(
            key="against",
            label="API",
            hint="The API compared with, at full price and with the discounts that apply.",
            title="Which API to compare with",
            options=tuple(_api(price) for price in catalog.prices),
        ),
        Choice(
            key="gpu",
            label="device",
            hint="What would be bought; devices without a known price or draw are left out.",
            title="Which device to compare with",
            options=tuple(_device(gpus[device]) for device in devices),
        ),
        Choice(
            key="prices",
            label="prices",
            hint="The dated table that API prices are from.",
            title="Prices of which date",
            options=(Option(BOOK, "book, April 2026"), Option(INSTALLED, "newest installed")),
        ),
        Choice(
            key="currency",
            label="shown in",
            hint="The currency of all sums; the rate is an assumption: e shows it.",
            title="Sums in which currency",
            options=(Option("gbp", "pounds"), Option("usd", "dollars")),
        ),
    )


def _api(price: ApiPrice) -> Option:
    note = f"${price.input_usd:g} in, ${price.output_usd:g} out per 1M"
    return Option(price.id, clean(price.name), note)


def _task(task: Task) -> Option:
    return Option(task.id, clean(task.name), task.approach)


def _device(gpu: Gpu) -> Option:
    return Option(gpu.id, clean(gpu.name), f"{gpu.memory_gib:g} GiB")


def values_of(workload: Workload, others: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the values of all inputs for a workload; the others keep theirs."""
    mine = {field.name: getattr(workload, field.name) for field in fields(workload)}
    del mine["name"]
    return {**_OTHERS, **(others or {}), **mine}


def workload_of(values: Mapping[str, Any], name: str) -> Workload:
    """Return the workload that the values describe.

    Raises:
        UsageError: A value is out of range.
    """
    mine = {field.name: values[field.name] for field in fields(Workload) if field.name in values}
    return Workload(name=name, **mine)


_OTHERS = {
    "against": REFERENCE_API,
    "gpu": REFERENCE_MACHINE,
    "prices": BOOK,
    "currency": "gbp",
}


def _share(text: str, name: str, low: float = 0.0, high: float = 1.0) -> float:
    """Read a share; a bare number above one is per cent, for that is what is shown."""
    try:
        bare = abs(float(text)) > 1
    except ValueError:
        bare = False
    return parse_share(f"{text}%" if bare else text, name=name, low=low, high=high)


def _optional(
    text: str, name: str, *, high: float, low: float | None = None, above: float | None = None
) -> float | None:
    """Read a quantity that may be left unknown: "none" and "unknown" say so."""
    if text.strip().lower() in ("none", "no", "unknown"):
        return None
    return parse_quantity(text, name=name, low=low, above=above, high=high)


def _latency(text: str) -> float | None:
    """Read milliseconds; the unit may be written."""
    return _optional(text.strip().removesuffix("ms"), "latency", above=0, high=1e9)


def _hours(text: str) -> float | None:
    """Read hours a day; the unit may be written."""
    return _optional(
        text.strip().removesuffix("/day").removesuffix("h"), "GPU hours", low=0, high=24
    )


def _per_cent(value: float) -> str:
    return f"{value * 100:.4g} %"


_WORK: tuple[Entry, ...] = (
    Number(
        key="tokens_per_day",
        label="tokens/day",
        hint="Input and output together, on an average day: 8M, 2.5k, 1_000_000.",
        stops=_TOKENS,
        coarse=len(_MANTISSAS),
        show=millions,
        read=lambda text: parse_quantity(text, name="tokens/day", above=0, high=MOST_TOKENS),
    ),
    Number(
        key="input_share",
        label="input",
        hint="Share of the tokens that is read; the rest is written, and costs more.",
        stops=tuple(n / 100 for n in range(0, 101, 5)),
        coarse=4,
        show=_per_cent,
        read=lambda text: _share(text, "input"),
    ),
    Number(
        key="growth",
        label="growth",
        hint="A month: 15 % more each month doubles the volume in five.",
        stops=tuple(n / 100 for n in range(-20, 51)),
        coarse=10,
        show=lambda value: f"{value * 100:.4g} %/mon.",
        read=lambda text: _share(text, "growth", -0.99, 10),
    ),
    Number(
        key="peak",
        label="peak",
        hint="Requests under way at once at the busiest moment.",
        stops=_PEAKS,
        coarse=4,
        show=lambda value: f"{value:,} at once",
        read=lambda text: parse_count(text, name="peak", low=1, high=10**6),
    ),
    Number(
        key="latency_ms",
        label="latency",
        hint="Longest wait for the first token; below 200 ms asks for a model of your own.",
        stops=_LATENCIES,
        coarse=4,
        show=lambda value: "no limit" if value is None else f"{value:,g} ms",
        read=_latency,
        blank=-1,
    ),
    Flags(
        key="regulations",
        label="regulation",
        hint="Any of these decides alone: GDPR, HIPAA, FCA, NHS DSPT.",
        names=tuple(REGULATIONS),
    ),
    Switch(
        key="personal",
        label="personal",
        hint="Whether the regulated data is personal; what is not may stay in a cloud.",
    ),
    Switch(
        key="batchable",
        label="can wait",
        hint="Whether answers may take 24 hours: batches cost half.",
    ),
    Number(
        key="cache_hits",
        label="cached",
        hint="Share of the input that a prompt cache would hold; it costs a tenth.",
        stops=tuple(n / 100 for n in range(0, 101, 5)),
        coarse=4,
        show=_per_cent,
        read=lambda text: _share(text, "cached"),
    ),
    Number(
        key="gpu_hours",
        label="GPU busy",
        hint="Hours a day; rule 6 says from it whether to own or to rent.",
        stops=tuple(n / 2 for n in range(49)),
        coarse=8,
        show=lambda value: "unknown" if value is None else f"{value:g} h/day",
        read=_hours,
        blank=0,
    ),
)


def usable(catalog: Catalog, against: str) -> tuple[str, ...]:
    """Return the ids of the devices whose price and draw are known."""
    from fathom_tui.setting import setting

    found = []
    for gpu in catalog.gpus:
        try:
            setting(catalog, gpu=gpu.id, against=against)
        except UsageError:
            continue
        found.append(gpu.id)
    return tuple(found)
