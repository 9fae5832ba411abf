"""What a workload is judged against: an API, a machine, and the assumptions between them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from fathom_tui import fit, speed
from fathom_tui.catalog import Catalog
from fathom_tui.catalog_types import ApiPrice, Gpu, Model, Origin, Quant, Task
from fathom_tui.economics import Machine, Market, mixed_rate
from fathom_tui.errors import UsageError
from fathom_tui.figures import Figure, Kind
from fathom_tui.memory import inference

REFERENCE_MACHINE = "rtx-4090-x2"
"""The sources' local machine; its price and draw are theirs, not the shop's of today."""
REFERENCE_API = "claude-sonnet-4"
REFERENCE_MODEL, REFERENCE_QUANT = "llama-3.1-8b", "q4_k_m"
SNAPSHOT = "book-2026-04"
REQUEST_TOKENS = 8_192
"""Our own assumption: tokens of a request, prompt and answer, where it is asked how many a machine
holds at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a workload is judged against."""

    price: ApiPrice
    """The API compared with."""
    prices: tuple[ApiPrice, ...]
    """All APIs of the snapshot."""
    gpu: Gpu
    machine: Machine
    market: Market
    rent_usd_per_hour: float | None = None
    """What the same device costs an hour to rent, all cards together; None is unknown."""
    tasks: tuple[Task, ...] = ()
    """The catalog's tasks, one of which a workload may name."""
    grades: tuple[str, ...] = ()
    """Grades of API that are good enough; none means all."""
    today: date | None = None
    """For the age of the prices; None leaves it unsaid."""
    held: int | None = None
    """Requests of `REQUEST_TOKENS` whose caches fit into the device's memory at once, with a copy
    of the model on each card; None is unknown."""
    origins: Mapping[str, Origin] = field(default_factory=dict)
    """Where each field of the market is from, by name."""

    @property
    def datacentre(self) -> bool:
        """Whether the card is of the H100 class: a datacentre's, with 80 GB or about that."""
        return self.gpu.form == "datacentre" and self.gpu.memory_gib / self.gpu.count >= 70


def setting(
    catalog: Catalog,
    *,
    input_share: float = 0.8,
    against: str = REFERENCE_API,
    gpu: str = REFERENCE_MACHINE,
    gpu_price_gbp: float | None = None,
    model: str = REFERENCE_MODEL,
    quant: str = REFERENCE_QUANT,
    grades: tuple[str, ...] = (),
    assumptions: Mapping[str, float] | None = None,
    today: date | None = None,
) -> Setting:
    """Return a setting from names in the catalog.

    Args:
        catalog: Where the names are looked up.
        input_share: Share of the tokens that is input; the machine's rate follows from it.
        against: The API compared with.
        gpu: The device that would be bought.
        gpu_price_gbp: What it costs; the catalog's price if None.
        model: What it would serve.
        quant: How that is quantised.
        grades: Grades of API that are good enough; none means all.
        assumptions: Fields of `Market` in place of the catalog's.
        today: For the age of the prices; None leaves it unsaid.

    Raises:
        UsageError: A name is unknown (the nearest are offered), or no price of the device is known.
    """
    device, served, how = catalog.gpu(gpu), catalog.model(model), catalog.quant(quant)
    market = Market.of(catalog, **(assumptions or {}))
    return Setting(
        price=catalog.price(against),
        prices=catalog.prices,
        gpu=device,
        machine=machine_of(catalog, device, served, how, input_share, gpu_price_gbp),
        market=market,
        rent_usd_per_hour=rent_usd(catalog, device),
        tasks=catalog.tasks,
        grades=grades,
        today=today,
        held=_held(device, served, how),
        origins=_origins(catalog, market, today),
    )


def _held(gpu: Gpu, model: Model, quant: Quant) -> int:
    """Return how many requests all cards hold at once; 0 where the model does not fit."""
    subject = fit.Subject.of(model, quant)
    one = inference(model.architecture, subject.weights, REQUEST_TOKENS)
    room = fit.usable_bytes(gpu) // gpu.count - (one.total - one.kv_cache)
    return gpu.count * max(0, room // one.kv_cache)


def _origins(catalog: Catalog, market: Market, today: date | None) -> dict[str, Origin]:
    """Return where each assumption is from; one that differs from the catalog's was given."""
    found = {}
    for name in Market.__dataclass_fields__:
        row = catalog.assumption(name)
        kept = row.value == getattr(market, name)
        as_of = row.origin.as_of if today is None else today.isoformat()
        given = Origin(source="given", as_of=as_of, kind=Kind.ASSUMED)
        found[name] = row.origin_of("value") if kept else given
    return found


def machine_of(
    catalog: Catalog,
    gpu: Gpu,
    model: Model,
    quant: Quant,
    input_share: float,
    price_gbp: float | None = None,
) -> Machine:
    """Return a device as a machine to compare with; its rate is the low end of the estimate."""
    reference = gpu.id == REFERENCE_MACHINE
    paid = price_gbp
    if paid is None:
        paid = catalog.assumption("pair_price_gbp").value if reference else _price(gpu)
    watts = catalog.assumption("pair_watts").value if reference else gpu.watts
    if watts is None:
        raise UsageError(
            f"How much power {gpu.name} draws is unknown.",
            fix="Choose another device: fathom catalog gpus",
        )
    return Machine(
        name=gpu.name,
        price_gbp=paid,
        watts=watts,
        tokens_per_s=_rate(gpu, model, quant, input_share),
    )


def _price(gpu: Gpu) -> float:
    """Return the middle of the new price, or of the used one where it is not sold new."""
    for name in ("new", "used"):
        low, high = getattr(gpu, f"price_{name}_low"), getattr(gpu, f"price_{name}_high")
        if low is not None and high is not None:
            return float(low + high) / 2
    raise UsageError(
        f"No price of {gpu.name} is known.", fix="Say what it costs: --gpu-price POUNDS"
    )


def rent_usd(catalog: Catalog, gpu: Gpu) -> float | None:
    """Return the middle of the cheapest rent of a device; several cards cost as many times one."""
    rented, times = gpu, 1
    if not gpu.rentals and gpu.count > 1:
        single = gpu.id.removesuffix(f"-x{gpu.count}")
        rented = next((row for row in catalog.gpus if row.id == single), gpu)
        times = gpu.count
    middles = [(r.usd_per_hour_low + r.usd_per_hour_high) / 2 for r in rented.rentals]
    return times * min(middles) if middles else None


def _middle_price(gpu: Gpu) -> Figure:
    name = "price_new_low" if gpu.price_new_low is not None else "price_used_low"
    origin = gpu.figure(name, "GBP")
    try:
        middle = _price(gpu)
    except UsageError:
        return origin  # unknown here: what was paid was given
    return Figure(
        value=middle,
        unit="GBP",
        kind=Kind.COMPUTED,
        source=f"the middle of the range, {origin.source}",
        as_of=origin.as_of,
    )


def _rate(gpu: Gpu, model: Model, quant: Quant, input_share: float) -> float | None:
    """Return tokens a second of all cards, each with a copy of the model."""
    decode = speed.decode(gpu, model.architecture, model.parameters, quant.bits)
    prefill = speed.prefill(gpu, model.active_parameters)
    if decode is None or prefill is None:
        return None
    return gpu.count * mixed_rate(prefill.low, decode.low, input_share)


def assumptions(found: Setting, catalog: Catalog) -> dict[str, Figure]:
    """Return every number a sum rests on, each with where it is from, by name.

    What differs from the catalog was given by the user and says so.
    """
    price, machine = found.price, found.machine
    reference = found.gpu.id == REFERENCE_MACHINE
    rows = {name: catalog.assumption(name) for name in Market.__dataclass_fields__}
    return {
        "input_usd": price.figure("input_usd", "USD/1M tokens"),
        "output_usd": price.figure("output_usd", "USD/1M tokens"),
        "machine_price_gbp": _known(
            machine.price_gbp,
            catalog.assumption("pair_price_gbp").figure("value", "GBP")
            if reference
            else _middle_price(found.gpu),
        ),
        "machine_watts": _known(
            machine.watts,
            catalog.assumption("pair_watts").figure("value", "W")
            if reference
            else found.gpu.figure("watts", "W"),
        ),
        **{
            name: _known(getattr(found.market, name), row.figure("value", row.unit))
            for name, row in rows.items()
        },
    }


def _known(value: float, figure: Figure) -> Figure:
    """Return the catalog's figure where the value is its own, else one that was given."""
    if value == figure.value:
        return figure
    return Figure(
        value=value, unit=figure.unit, kind=Kind.ASSUMED, source="given", as_of=figure.as_of
    )
