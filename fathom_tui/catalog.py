"""What is known of devices, models, quantisations, prices and services; every row has a source.

The rows are in `assets/catalog/*.toml`. A user's own file adds rows and overrides fields; what was
measured on this machine outranks both.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from datetime import date
from functools import cache
from types import NoneType, UnionType
from typing import Any, Never, TypeVar, get_args, get_origin

from fathom_tui.architecture import Architecture, Mla, Moe
from fathom_tui.errors import UsageError
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


R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """Every row; lookups take ids, names and aliases in any case."""

    gpus: tuple[Gpu, ...]
    models: tuple[Model, ...]
    quants: tuple[Quant, ...]
    prices: tuple[ApiPrice, ...]
    """The book's snapshot, and what the user added."""
    compliance: tuple[ComplianceLine, ...]
    services: tuple[Service, ...]
    tiers: tuple[Tier, ...]
    tasks: tuple[Task, ...]
    retired: tuple[Retired, ...]
    assumptions: tuple[Assumption, ...]

    def gpu(self, text: str) -> Gpu:
        """Return the device of that id, name or alias.

        Raises:
            UsageError: There is none; it offers the nearest names.
        """
        return find(self.gpus, text, "device", "fathom catalog gpus")

    def model(self, text: str) -> Model:
        """Return the model of that id, name, alias, Ollama name or hub id.

        Raises:
            UsageError: There is none; it offers the nearest names, and says so where the family
                is a retired one.
        """
        try:
            return find(self.models, text, "model", "fathom catalog models")
        except UsageError as error:
            old = self.retired_family(text)
            if old is None:
                raise
            raise UsageError(
                f"{error.message} {old.name} is a retired family: {old.note}",
                fix=f"Use {old.instead} or newer.",
            ) from error

    def quant(self, text: str) -> Quant:
        """Return the quantisation of that id or name.

        Raises:
            UsageError: There is none; it offers the nearest names.
        """
        return find(self.quants, text, "quantisation", "fathom catalog quants")

    def price(self, text: str) -> ApiPrice:
        """Return the API price of that id, name or alias.

        Raises:
            UsageError: There is none; it offers the nearest names.
        """
        return find(self.prices, text, "API price", "fathom catalog prices")

    def tier(self, text: str) -> Tier:
        """Return the size class of that id.

        Raises:
            UsageError: There is none; it offers the nearest names.
        """
        return find(self.tiers, text, "size class", "")

    def assumption(self, text: str) -> Assumption:
        """Return the assumption of that id.

        Raises:
            UsageError: There is none; it offers the nearest names.
        """
        return find(self.assumptions, text, "assumption", "")

    def retired_family(self, text: str) -> Retired | None:
        """Return the warning for a model of a family that newer ones have replaced, or None."""
        import re

        name = text.strip().lower()
        for row in self.retired:
            if any(re.search(pattern, name) for pattern in row.matches):
                return row
        return None


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


def find(rows: Iterable[R], text: str, what: str, listing: str) -> R:
    """Return the row of that id, name or alias; case, spaces, colons and underscores are one.

    Args:
        rows: Where to look.
        text: What a person typed.
        what: The noun for the message.
        listing: The command that lists them all; empty where there is none.

    Raises:
        UsageError: There is none; it offers the nearest names.
    """
    wanted, known = _plain(text), tuple(rows)
    for row in known:
        if row.id in (text, wanted):
            return row
    for row in known:
        if wanted in names(row):
            return row
    return _unknown(known, text, what, listing)


def names(row: Row) -> tuple[str, ...]:
    """Return every name a row answers to, in the form that is compared."""
    given = [row.id, row.name, *row.aliases]
    if isinstance(row, Model):
        given += [row.ollama, row.hub, row.hub.rpartition("/")[2]]
    return tuple(_plain(name) for name in given if name)


def _plain(text: str) -> str:
    return "-".join(text.lower().replace(":", " ").replace("_", " ").replace("-", " ").split())


def _unknown(rows: Sequence[Row], text: str, what: str, listing: str) -> Never:
    from difflib import get_close_matches

    known = {name: row.id for row in rows for name in names(row)}
    close = get_close_matches(_plain(text[:80]), known, n=6, cutoff=0.5)
    offered = list(dict.fromkeys(known[name] for name in close))[:3]
    near = f"Did you mean {' or '.join(offered)}?" if offered else ""
    every = f"{listing} lists them all." if listing else ""
    raise UsageError(
        f"There is no {what} {text[:80]!r}.", fix=" ".join(part for part in (near, every) if part)
    )


def grade_by_price(output_usd: float) -> str:
    """Return frontier, middle or small by the price of a million output tokens.

    A stand-in for quality, because the price tables quote none: 8 dollars and more is frontier,
    2 and more is middle. Source: our own cut through the book's table (April 2026), whose Sonnet,
    GPT-4o and Gemini Pro ask 10 or 15, Haiku 4, and the light models 0.4 to 0.6.
    """
    if output_usd >= 8:
        return "frontier"
    return "middle" if output_usd >= 2 else "small"


def stale(row: Row, today: date, days: int = 90, field: str = "") -> bool:
    """Say whether a row, or one field of it, was stated more than so many days ago."""
    return (today - date.fromisoformat(row.origin_of(field).as_of)).days > days


def load(overlay: Mapping[str, Sequence[Raw]] | None = None) -> Catalog:
    """Return the catalog, with a user's rows added or laid over the fields of rows of their id.

    An overlay's row has a source, a date and a kind of its own; they hold for the fields it
    gives. Without an overlay the answer is made once and kept.

    Raises:
        UsageError: A row has an unknown key, lacks one, holds a wrong type or a number out of
            range, or answers to what another row is called; it names file, row and key.
    """
    return _shipped() if not overlay else _made({**_raw(), **_laid_over(overlay)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong with a row."""

    key: str
    """As it was written; dotted where it is inside another: `architecture.layers`."""
    says: str
    item: int = 0
    """Which entry of a list the key is in, from 0: the second of `rentals` is 1."""

    def sentence(self) -> str:
        """Return key and complaint, with a full stop or the question mark it has."""
        text = f"{self.key} {self.says}"
        return text if text.endswith("?") else f"{text}."


def problem(table: str, row: Raw, today: date | None = None) -> Problem | None:
    """Return what is wrong with a user's row, laid over ours where the id is known; None is fine.

    Args:
        table: One of `TABLES`.
        row: The row as it was read.
        today: No date may be later; None leaves that unchecked.
    """
    ours = next((known for known in _raw()[table] if known["id"] == row.get("id")), None)
    try:
        _check_written(TABLES[table], row)
        if table == "assumptions":
            _check_assumption(ours, row)
        _row(TABLES[table], _over(ours, row))
        if today is not None:
            _check_dates(row, today)
    except _Wrong as wrong:
        return wrong.problem(row)
    return None


def clash(table: str, rows: Sequence[Raw]) -> tuple[int, Problem] | None:
    """Return the first of a user's rows that answers to what another row is called, and how.

    Two rows of one id, or an id or alias that is another row's id, name or alias: which of the two
    a person means would depend on the order of the rows.

    Args:
        table: One of `TABLES`.
        rows: The user's rows, each of which alone is fine.
    """
    renamed = {row["id"] for row in rows if "aliases" in row}
    taken = {
        name: ours.id
        for ours in getattr(_shipped(), table)
        for name in names(replace(ours, aliases=()) if ours.id in renamed else ours)
    }
    seen: set[str] = set()
    for index, row in enumerate(rows):
        if row["id"] in seen:
            return index, Problem(key="id", says=f"is {row['id'][:80]!r}, as in a row above")
        seen.add(row["id"])
        found = _taken(row, taken)
        if found is not None:
            return index, found
    return None


def _taken(row: Raw, taken: dict[str, str]) -> Problem | None:
    """Return which name of a row is another's; else note its names as taken."""
    aliases = row.get("aliases", ())
    for key, name in (("id", row["id"]), *(("aliases", alias) for alias in aliases)):
        other = taken.setdefault(_plain(name), row["id"])
        if other != row["id"]:
            says = f"has {name[:80]!r}" if key == "aliases" else f"is {name[:80]!r}"
            return Problem(key=key, says=f"{says}, to which {other[:80]!r} answers already")
    return None


@cache
def _shipped() -> Catalog:
    return _made(_raw())


@cache
def _raw() -> dict[str, tuple[Raw, ...]]:
    import tomllib
    from importlib.resources import files

    folder = files("fathom_tui.assets").joinpath("catalog")
    return {
        table: tuple(tomllib.loads(folder.joinpath(f"{table}.toml").read_text("utf-8"))[table])
        for table in TABLES
    }


def _laid_over(overlay: Mapping[str, Sequence[Raw]]) -> dict[str, tuple[Raw, ...]]:
    unknown = sorted(set(overlay) - set(TABLES))
    if unknown:
        raise UsageError(
            f"catalog.toml has a table {unknown[0][:80]!r}, which the catalog has not.",
            fix=f"The tables are {', '.join(TABLES)}.",
        )
    return {table: _with(table, rows) for table, rows in overlay.items()}


def _with(table: str, rows: Sequence[Raw]) -> tuple[Raw, ...]:
    for row in rows:
        _refuse("catalog.toml", row, problem(table, row))
    found = clash(table, rows)
    if found is not None:
        _refuse("catalog.toml", rows[found[0]], found[1])
    merged: dict[str, Raw] = {row["id"]: row for row in _raw()[table]}
    for row in rows:
        merged[row["id"]] = _over(merged.get(row["id"]), row)
    return tuple(merged.values())


_ORIGIN = ("source", "as_of", "kind")


def _over(ours: Raw | None, row: Raw) -> Raw:
    """Return a user's row with our fields where it has none; its origin holds for its own."""
    if ours is None or any(key not in row for key in _ORIGIN):
        return row
    given = row.get("origins", [])
    if not isinstance(given, list):
        return row
    own = [key for key in row if key not in ("id", "origins", *_ORIGIN)]
    here = {"fields": own, **{key: row[key] for key in _ORIGIN}}
    kept = {key: ours[key] for key in _ORIGIN}
    return {**ours, **row, **kept, "origins": [*ours.get("origins", ()), here, *given]}


def _made(raw: Mapping[str, Sequence[Raw]]) -> Catalog:
    tables: dict[str, tuple[Any, ...]] = {}
    for table, kind in TABLES.items():
        tables[table] = tuple(_row_in(f"catalog/{table}.toml", kind, row) for row in raw[table])
    return Catalog(**tables)


def _row_in(where: str, kind: type[R], row: Raw) -> R:
    try:
        return _row(kind, row)
    except _Wrong as wrong:
        _refuse(where, row, wrong.problem(row))
        raise


def _refuse(where: str, row: Raw, found: Problem | None) -> None:
    if found is not None:
        raise UsageError(
            f"{where}, row {str(row.get('id', '?'))[:80]!r}: {found.sentence()}",
            fix="fathom catalog --help shows what a row looks like.",
        )


class _Wrong(Exception):
    """A key of a row that cannot be used."""

    def __init__(self, key: str, says: str, *, or_else: Problem | None = None) -> None:
        super().__init__(key, says)
        self.key, self.says, self.item = key, says, 0
        self.or_else = or_else
        """The same of the other key of a pair, for a row in which only that one is written."""

    def problem(self, row: Raw) -> Problem:
        """Return it for a person who wrote the row."""
        found = Problem(key=self.key, says=self.says, item=self.item)
        other = self.or_else
        return found if other is None or self.key in row or other.key not in row else other


def _check_written(kind: type[Row], row: Raw) -> None:
    """Refuse keys that no row has, and an origin that cannot be used, as the user wrote them."""
    for key in row:
        if key == "origin" or (key not in _shape(kind) and key not in _ORIGIN):
            raise _Wrong(key, f"is unknown; {_nearest(key, [*_shape(kind), *_ORIGIN])}")
    _origin(dict(row))


def _check_assumption(ours: Raw | None, row: Raw) -> None:
    """Refuse a row that no sum would read, and one that counts in another unit than the sums."""
    from difflib import get_close_matches

    if ours is None:
        known = [known["id"] for known in _raw()["assumptions"]]
        near = get_close_matches(str(row.get("id")), known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"they are {', '.join(known)}"
        given = _shown(row["id"]) if "id" in row else "missing"
        raise _Wrong("id", f"is {given}, which no sum reads; {hint}")
    if row.get("unit", ours["unit"]) != ours["unit"]:
        raise _Wrong("unit", f"is {_shown(row['unit'])}, but the sums count it in {ours['unit']}")


def _check_dates(row: Raw, today: date) -> None:
    """Refuse a date after today, of the row or of a part that has a source of its own."""
    _not_later(row, "as_of", today)
    for key in ("origins", "rentals"):
        for item, part in enumerate(row.get(key, ())):
            try:
                _not_later(part, f"{key}.as_of", today)
            except _Wrong as wrong:
                wrong.item = item
                raise


def _not_later(part: Raw, key: str, today: date) -> None:
    given = str(part.get("as_of", ""))
    if given > today.isoformat():
        raise _Wrong(key, f"is {given}, which is after today, {today.isoformat()}")


def _row(kind: type[R], row: Raw) -> R:
    """Make a row of TOML's values.

    Raises:
        _Wrong: The first key that cannot be used, and why.
    """
    data = dict(row)
    data["origin"] = _origin(data)
    data["origins"] = _origins(data.get("origins", []), kind)
    made: R = _built(kind, data, "")
    for key in ("id", "name"):
        if not getattr(made, key).strip():
            raise _Wrong(key, "is empty")
    _check_content(made)
    return made


def _origin(data: dict[str, Any], within: str = "") -> Origin:
    """Take source, date and kind out of a row's values."""
    taken = {}
    for key in _ORIGIN:
        value = data.pop(key, None)
        if isinstance(value, date):
            value = value.isoformat()
        if not isinstance(value, str) or not value.strip():
            raise _Wrong(
                within + key, "is missing" if value is None else f"is {_shown(value)}, no text"
            )
        taken[key] = value
    if not _is_date(taken["as_of"]):
        raise _Wrong(f"{within}as_of", f"is {taken['as_of'][:40]!r}, not a date like 2026-11-22")
    if taken["kind"] not in _KINDS:
        raise _Wrong(f"{within}kind", f"is {taken['kind'][:40]!r}, not one of {', '.join(_KINDS)}")
    return Origin(source=taken["source"], as_of=taken["as_of"], kind=Kind(taken["kind"]))


_KINDS = tuple(kind.value for kind in Kind)


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _origins(given: Any, kind: type[Row]) -> dict[str, Origin]:
    """Read `[{fields = [...], source, as_of, kind}]`; a later one wins."""
    found: dict[str, Origin] = {}
    if not isinstance(given, list) or any(not isinstance(part, Mapping) for part in given):
        raise _Wrong("origins", "is not a list of tables")
    for item, part in enumerate(given):
        try:
            found |= _origins_of(part, kind)
        except _Wrong as wrong:
            wrong.item = item
            raise
    return found


def _origins_of(part: Raw, kind: type[Row]) -> dict[str, Origin]:
    data, known = dict(part), [name for name in _shape(kind) if name not in ("origin", "origins")]
    names = data.pop("fields", None)
    if not isinstance(names, list):
        raise _Wrong("origins.fields", f"is {_shown(names)}, not a list of the row's fields")
    for name in names:
        if name not in known:
            raise _Wrong(
                "origins.fields", f"has {_shown(name)}, no field; {_nearest(str(name), known)}"
            )
    origin = _origin(data, "origins.")
    if data:
        key = next(iter(data))
        raise _Wrong(f"origins.{key}", f"is unknown; {_nearest(key, ['fields', *_ORIGIN])}")
    return dict.fromkeys(names, origin)


def _shape(kind: type[Any]) -> Mapping[str, tuple[Any, bool]]:
    """Return each field's type and whether it may be left out."""
    if kind not in _SHAPES:
        _SHAPES[kind] = {
            item.name: (
                item.type,
                item.default is not MISSING or item.default_factory is not MISSING,
            )
            for item in fields(kind)
        }
    return _SHAPES[kind]


_SHAPES: dict[Any, Mapping[str, tuple[Any, bool]]] = {}


def _built(kind: type[Any], data: Raw, within: str) -> Any:
    shape = _shape(kind)
    for key in data:
        if key not in shape:
            raise _Wrong(f"{within}{key}", f"is unknown; {_nearest(key, shape)}")
    values = {}
    for key, (wanted, optional) in shape.items():
        if key in data:
            values[key] = _value(wanted, data[key], f"{within}{key}")
            _check_number(kind, key, values[key], within)
        elif not optional:
            raise _Wrong(f"{within}{key}", "is missing")
    made = kind(**values)
    _check_order(made, within)
    return made


def _nearest(key: str, known: Iterable[str]) -> str:
    """Return a question for the keys that were meant; where none is near, all there are."""
    from difflib import get_close_matches

    names = [name for name in known if name != "origin"]
    near = get_close_matches(key, names, n=1)
    if not near:  # `prise` is near no key, but near a word of four
        words = {word for name in names for word in name.split("_") if len(word) > 2}
        word = get_close_matches(key, sorted(words), n=1)
        near = [name for name in names if word and word[0] in name.split("_")][:4]
    return f"did you mean {' or '.join(near)}?" if near else f"the keys are {', '.join(names)}"


def _value(wanted: Any, value: Any, key: str) -> Any:
    """Return a value in the wanted type; whole numbers are numbers, lists become tuples."""
    if isinstance(wanted, UnionType):  # only ever something or None, and TOML has no None
        wanted = next(part for part in get_args(wanted) if part is not NoneType)
    if wanted is Origin or get_origin(wanted) is Mapping:
        return value
    if get_origin(wanted) is tuple:
        return _items(get_args(wanted)[0], value, key)
    if wanted in (str, bool, int, float):
        return _scalar(wanted, value, key)
    if not isinstance(value, Mapping):
        raise _Wrong(key, f"is {_shown(value)}, not a table")
    return _rental(value, key) if wanted is Rental else _built(wanted, value, f"{key}.")


def _items(wanted: Any, value: Any, key: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _Wrong(key, f"is {_shown(value)}, not a list")
    return tuple(_item(wanted, item, key, index) for index, item in enumerate(value))


def _item(wanted: Any, value: Any, key: str, index: int) -> Any:
    try:
        return _value(wanted, value, key)
    except _Wrong as wrong:
        wrong.item = index
        raise


def _rental(value: Raw, key: str) -> Rental:
    data = dict(value)
    own = any(name in data for name in _ORIGIN)
    origin = _origin(data, f"{key}.") if own else None
    made: Rental = _built(Rental, {**data, "origin": origin}, f"{key}.")
    return made


def _scalar(wanted: type[Any], value: Any, key: str) -> Any:
    right = isinstance(value, wanted) or (wanted is float and isinstance(value, int))
    if not right or (isinstance(value, bool) and wanted is not bool):
        raise _Wrong(key, f"is {_shown(value)}, not {_TYPES[wanted]}")
    if wanted in (int, float):
        # Never isfinite, which a whole number of 400 digits overflows.
        if not 0 <= value < math.inf:
            raise _Wrong(key, f"is {_shown(value)}, not a number of 0 or more")
        if value > _LARGEST:
            raise _Wrong(key, f"is {_shown(value)}, above {_LARGEST:g}")
    elif isinstance(value, str) and value not in _CHOICES.get(key, (value,)):
        raise _Wrong(key, f"is {value[:40]!r}, not one of {', '.join(_CHOICES[key])}")
    return float(value) if wanted is float else value


_TYPES: Mapping[type[Any], str] = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
}
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "vendor": ("nvidia", "amd", "intel", "apple", "other"),
    "form": ("consumer", "workstation", "datacentre", "apple", "edge"),
    "grade": ("frontier", "middle", "small"),
}


_LARGEST = 1e15
"""Nothing a row counts comes near it; what is larger overflows the sums."""
_AMOUNT = 1e12
"""The most of an assumption, as for `fathom advise --assume`."""
_SHARE = "share"
_ABOVE_ZERO_UNITS = ("USD/GBP", "months")
"""Units of assumptions that sums divide by."""
_ABOVE_ZERO: Mapping[type[Any], tuple[str, ...]] = {
    Gpu: (
        "memory_gib", "bandwidth_gb_s", "bf16_tflops", "watts", "count", "price_new_low",
        "price_new_high", "price_used_low", "price_used_high", "tokens_per_s_low",
        "tokens_per_s_high",
    ),
    Model: ("parameters", "active_parameters"),
    Quant: ("bits",),
    ApiPrice: ("context",),
    Architecture: (
        "layers", "hidden", "heads", "kv_heads", "head_dim", "vocab", "context", "sliding_window",
    ),
    Moe: ("experts", "active", "intermediate"),
    Mla: ("kv_lora_rank", "rope_head_dim", "nope_head_dim", "value_head_dim", "q_lora_rank"),
}  # fmt: skip
"""Fields that are never 0: memory, rates and shapes, and prices as for `--gpu-price`."""
_AT_MOST: Mapping[tuple[type[Any], str], float] = {
    (Quant, "bits"): 64,
    (Service, "rework"): 1,
    (Gpu, "count"): 1e6,
}
_ORDERED: Mapping[type[Any], tuple[tuple[str, str], ...]] = {
    Model: (("active_parameters", "parameters"),),
    Architecture: (("kv_heads", "heads"), ("sliding_layers", "layers")),
    Moe: (("active", "experts"),),
}
"""Fields of which the first is at most the second."""


def _check_number(kind: type[Any], key: str, value: Any, within: str) -> None:
    """Refuse a number that its field cannot have."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    most = _AT_MOST.get((kind, key), math.inf)
    if not value and key in _ABOVE_ZERO.get(kind, ()):
        raise _Wrong(f"{within}{key}", "is 0, not more than 0")
    if value > most:
        raise _Wrong(f"{within}{key}", f"is {value:g}, above {most:g}")


def _check_order(made: Any, within: str) -> None:
    """Refuse a range of which the low end is above the high one, and a part above its whole."""
    shape = _shape(type(made))
    ends = [
        (key, f"{key.removesuffix('low')}high")
        for key in shape
        if key == "low" or key.endswith("_low")
    ]
    for first, second in (*ends, *_ORDERED.get(type(made), ())):
        low, high = getattr(made, first), getattr(made, second)
        if low is not None and high is not None and low > high:
            raise _Wrong(
                f"{within}{first}",
                f"is {low:g}, above {second} of {high:g}",
                or_else=Problem(
                    key=f"{within}{second}", says=f"is {high:g}, below {first} of {low:g}"
                ),
            )


def _check_content(row: Row) -> None:
    """Refuse what only a row's own kind knows to be wrong."""
    if isinstance(row, Assumption):
        for key in ("value", "low", "high"):
            _check_amount(key, getattr(row, key), row.unit)
    if isinstance(row, Retired):
        for pattern in row.matches:
            _check_pattern(pattern)
    if isinstance(row, Model):
        by_layer, layers = row.architecture.kv_heads_by_layer, row.architecture.layers
        if by_layer and len(by_layer) != layers:
            says = f"has {len(by_layer)} numbers for {layers} layers"
            raise _Wrong("architecture.kv_heads_by_layer", says)


def _check_amount(key: str, value: float | None, unit: str) -> None:
    """Refuse an assumption's number that its unit cannot have."""
    most = 1.0 if unit == _SHARE else _AMOUNT
    if value is None:
        return
    if value > most:
        raise _Wrong(key, f"is {value:g} {unit}, not 0 to {most:g}")
    if key == "value" and not value and unit in _ABOVE_ZERO_UNITS:
        raise _Wrong(key, f"is 0 {unit}, not more than 0")


def _check_pattern(pattern: str) -> None:
    import re

    try:
        re.compile(pattern)
    except re.error as error:
        says = f"has {pattern[:80]!r}, no regular expression: {error}"
        raise _Wrong("matches", says) from error


def _shown(value: Any) -> str:
    """Return a value for a message, cut to one line."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python prints
        return "too long a number"
    return text if len(text) <= 60 else f"{text[:60]}..."
