"""A market, a machine and prices as the book has them, for tests of the advisor."""

from fathom_tui.catalog_types import ApiPrice, Gpu, Origin
from fathom_tui.economics import Machine, Market
from fathom_tui.figures import Kind
from fathom_tui.setting import Setting

BOOK = Origin(source="book, ch. 1", as_of="2026-04-15", kind=Kind.MEASURED_BY_SOURCE)

MARKET = Market(
    usd_per_gbp=1.25,
    gbp_per_kwh=0.14,
    months=36,
    utilisation=1.0,
    operations_gbp=320,
    operations_further=0.25,
    tuning_gbp=9_750,
    tuning_months=24,
    router_gbp=12,
    local_share=0.7,
    batch_discount=0.5,
    cache_discount=0.9,
    compliance_gbp=50_000 / 12,
    compliance_avoided=0.5,
)
MACHINE = Machine(name="2 x RTX 4090", price_gbp=3_200, watts=900, tokens_per_s=900)


def price(name: str, input_usd: float, output_usd: float, grade: str = "frontier") -> ApiPrice:
    return ApiPrice(
        id=name,
        name=name,
        origin=BOOK,
        provider="x",
        input_usd=input_usd,
        output_usd=output_usd,
        context=200_000,
        grade=grade,
    )


SONNET = price("claude-sonnet-4", 3, 15)
FLASH = price("gemini-2.0-flash", 0.10, 0.40, "small")
PRICES = (SONNET, FLASH, price("gpt-4o", 2.5, 10))
PAIR = Gpu(
    id="rtx-4090-x2",
    name="2 x RTX 4090",
    origin=BOOK,
    vendor="nvidia",
    form="consumer",
    memory_gib=48,
    bandwidth_gb_s=1008,
    count=2,
)
SETTING = Setting(price=SONNET, prices=PRICES, gpu=PAIR, machine=MACHINE, market=MARKET)
