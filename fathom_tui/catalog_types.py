"""The types of the catalog's rows: every row has a source."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fathom_tui.architecture import Architecture
from fathom_tui.figures import Figure, Kind

BOOK = "book-2026-04"
"""The snapshot of API prices that the book printed."""
CURRENT = "current"
"""The snapshot of API prices that comes with the price package, or was fetched."""

Raw = Mapping[str, Any]
"""One row as TOML gives it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a row, or one field of it, is from."""

    source: str
    as_of: str
    """ISO date."""
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row: an id, a name people know, and where its numbers are from."""

    id: str
    name: str
    origin: Origin
    origins: Mapping[str, Origin] = field(default_factory=dict)
    """Fields that are from elsewhere than the row."""
    aliases: tuple[str, ...] = ()
    note: str = ""

    def origin_of(self, name: str) -> Origin:
        """Return where a field is from."""
        return self.origins.get(name, self.origin)

    def figure(self, name: str, unit: str) -> Figure:
        """Return a field's number with its origin; an unknown one has the value None."""
        origin = self.origin_of(name)
        value: Any = getattr(self, name)
        return Figure(
            value=value, unit=unit, kind=origin.kind, source=origin.source, as_of=origin.as_of
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rental:
    """What a provider asks for an hour."""

    provider: str
    usd_per_hour_low: float
    usd_per_hour_high: float
    eu: bool
    """Whether the machine can be held in the EU or the UK."""
    origin: Origin | None = None
    """None is the origin of the device's field `rentals`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu(Row):
    """A GPU, several of one, or another device that runs models."""

    vendor: str
    """nvidia, amd, intel, apple or other."""
    form: str
    """consumer, workstation, datacentre, apple or edge."""
    memory_gib: float
    """Of all cards together."""
    bandwidth_gb_s: float
    """GB (10^9 bytes) a second, of one card."""
    bf16_tflops: float | None = None
    """Dense, without sparsity, of one card; float16 where the device has no bfloat16."""
    watts: float | None = None
    """Board power, of all cards together."""
    count: int = 1
    unified: bool = False
    """Whether the memory is the system's: a part of it is not the GPU's to use."""
    price_new_low: float | None = None
    price_new_high: float | None = None
    price_used_low: float | None = None
    price_used_high: float | None = None
    """GBP, all cards together; None is unknown."""
    tokens_per_s_low: float | None = None
    tokens_per_s_high: float | None = None
    """Quoted decode rate of an 8B model in Q4_K_M."""
    rentals: tuple[Rental, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Model(Row):
    """An open-weights model."""

    family: str
    tier: str
    """Id of a row of `tiers.toml`."""
    architecture: Architecture
    parameters: float
    """All of them, as the publisher counts."""
    active_parameters: float
    """Those a token is computed with."""
    licence: str
    """SPDX id where there is one, else the licence's name."""
    licence_note: str = ""
    commercial: bool = True
    languages: tuple[str, ...] = ()
    """ISO 639-1 codes; empty is unknown."""
    released: str = ""
    """YYYY-MM."""
    reasoning: bool = False
    hub: str = ""
    ollama: str = ""
    native_quant: str = ""
    """Id of the quantisation that the publisher trained and ships it in; empty is 16 bit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quant(Row):
    """A quantisation of llama.cpp, or the 16-bit file."""

    bits: float
    """Bits a weight in effect, of the whole file."""
    rank: int
    """0 is the smallest."""
    use: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiPrice(Row):
    """What an API asks for a million tokens, in US dollars."""

    provider: str
    input_usd: float
    output_usd: float
    context: int | None
    """Tokens; None where the source does not say."""
    cached_input_usd: float | None = None
    """None where the source does not say; the general cache discount is assumed then."""
    snapshot: str = BOOK
    """The dated table it is from."""
    grade: str = "frontier"
    """frontier, middle or small; see `grade_by_price`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplianceLine(Row):
    """What keeping regulated data in a cloud costs a year."""

    gbp_low: float
    gbp_high: float
    """GBP a year."""
    total: bool = False
    """Whether it is a sum that a source quotes, not a line of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service(Row):
    """A piece of work that can be bought."""

    gbp_low: float
    gbp_high: float
    """GBP, once."""
    gives: str
    rework: float | None = None
    """Share of such projects that are done again, 0 to 1, as the source guesses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier(Row):
    """A size class of models, for what it can and cannot be trusted with."""

    parameters_low: float
    parameters_high: float
    """From (included) and up to: every model falls into one tier by all of its parameters."""
    memory_gb_low: float
    memory_gb_high: float
    """Quoted for the 4-bit weights; the calculator's figure outranks it."""
    good_at: tuple[str, ...]
    not_at: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Row):
    """A kind of work, with the approach or the models that the sources name for it."""

    approach: str = ""
    """plain-code, prompt, rag, prompt+rag, sft, dpo, grpo or embedding; empty where not named."""
    models: tuple[str, ...] = ()
    """Ids of models; encoders, which have no row, by their usual name."""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired(Row):
    """A model family that newer ones have replaced."""

    instead: str
    """Id of a model that does the same work today."""
    matches: tuple[str, ...]
    """Regular expressions, searched in a lower-case name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption(Row):
    """A number that the sums need and nobody has measured for this user."""

    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    """The range that the source gives, if any."""


TABLES: Mapping[str, type[Row]] = {
    "gpus": Gpu,
    "models": Model,
    "quants": Quant,
    "prices": ApiPrice,
    "compliance": ComplianceLine,
    "services": Service,
    "tiers": Tier,
    "tasks": Task,
    "retired": Retired,
    "assumptions": Assumption,
}
"""Tables of the catalog, each in a file of its name, and the type of their rows."""

R = TypeVar("R", bound=Row)
