"""Reading the catalog's rows as TOML gives them, and what is wrong with one that cannot be used."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import date
from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

from fathom_tui.architecture import Architecture, Mla, Moe
from fathom_tui.catalog_types import (
    TABLES,
    ApiPrice,
    Assumption,
    Gpu,
    Model,
    Origin,
    Quant,
    R,
    Raw,
    Rental,
    Retired,
    Row,
    Service,
)
from fathom_tui.figures import Kind


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
    ours = next((known for known in shipped_rows()[table] if known["id"] == row.get("id")), None)
    try:
        _check_written(TABLES[table], row)
        if table == "assumptions":
            _check_assumption(ours, row)
        made_row(TABLES[table], over(ours, row))
        if today is not None:
            _check_dates(row, today)
    except Wrong as wrong:
        return wrong.problem(row)
    return None


@cache
def shipped_rows() -> dict[str, tuple[Raw, ...]]:
    """Return our own rows as TOML gives them, by table."""
    import tomllib
    from importlib.resources import files

    folder = files("fathom_tui.assets").joinpath("catalog")
    return {
        table: tuple(tomllib.loads(folder.joinpath(f"{table}.toml").read_text("utf-8"))[table])
        for table in TABLES
    }


_ORIGIN = ("source", "as_of", "kind")


def over(ours: Raw | None, row: Raw) -> Raw:
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


class Wrong(Exception):
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
            raise Wrong(key, f"is unknown; {_nearest(key, [*_shape(kind), *_ORIGIN])}")
    _origin(dict(row))


def _check_assumption(ours: Raw | None, row: Raw) -> None:
    """Refuse a row that no sum would read, and one that counts in another unit than the sums."""
    from difflib import get_close_matches

    if ours is None:
        known = [known["id"] for known in shipped_rows()["assumptions"]]
        near = get_close_matches(str(row.get("id")), known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"they are {', '.join(known)}"
        given = _shown(row["id"]) if "id" in row else "missing"
        raise Wrong("id", f"is {given}, which no sum reads; {hint}")
    if row.get("unit", ours["unit"]) != ours["unit"]:
        raise Wrong("unit", f"is {_shown(row['unit'])}, but the sums count it in {ours['unit']}")


def _check_dates(row: Raw, today: date) -> None:
    """Refuse a date after today, of the row or of a part that has a source of its own."""
    _not_later(row, "as_of", today)
    for key in ("origins", "rentals"):
        for item, part in enumerate(row.get(key, ())):
            try:
                _not_later(part, f"{key}.as_of", today)
            except Wrong as wrong:
                wrong.item = item
                raise


def _not_later(part: Raw, key: str, today: date) -> None:
    given = str(part.get("as_of", ""))
    if given > today.isoformat():
        raise Wrong(key, f"is {given}, which is after today, {today.isoformat()}")


def made_row(kind: type[R], row: Raw) -> R:
    """Make a row of TOML's values.

    Raises:
        Wrong: The first key that cannot be used, and why.
    """
    data = dict(row)
    data["origin"] = _origin(data)
    data["origins"] = _origins(data.get("origins", []), kind)
    made: R = _built(kind, data, "")
    for key in ("id", "name"):
        if not getattr(made, key).strip():
            raise Wrong(key, "is empty")
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
            raise Wrong(
                within + key, "is missing" if value is None else f"is {_shown(value)}, no text"
            )
        taken[key] = value
    if not _is_date(taken["as_of"]):
        raise Wrong(f"{within}as_of", f"is {taken['as_of'][:40]!r}, not a date like 2026-11-22")
    if taken["kind"] not in _KINDS:
        raise Wrong(f"{within}kind", f"is {taken['kind'][:40]!r}, not one of {', '.join(_KINDS)}")
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
        raise Wrong("origins", "is not a list of tables")
    for item, part in enumerate(given):
        try:
            found |= _origins_of(part, kind)
        except Wrong as wrong:
            wrong.item = item
            raise
    return found


def _origins_of(part: Raw, kind: type[Row]) -> dict[str, Origin]:
    data, known = dict(part), [name for name in _shape(kind) if name not in ("origin", "origins")]
    names = data.pop("fields", None)
    if not isinstance(names, list):
        raise Wrong("origins.fields", f"is {_shown(names)}, not a list of the row's fields")
    for name in names:
        if name not in known:
            raise Wrong(
                "origins.fields", f"has {_shown(name)}, no field; {_nearest(str(name), known)}"
            )
    origin = _origin(data, "origins.")
    if data:
        key = next(iter(data))
        raise Wrong(f"origins.{key}", f"is unknown; {_nearest(key, ['fields', *_ORIGIN])}")
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
            raise Wrong(f"{within}{key}", f"is unknown; {_nearest(key, shape)}")
    values = {}
    for key, (wanted, optional) in shape.items():
        if key in data:
            values[key] = _value(wanted, data[key], f"{within}{key}")
            _check_number(kind, key, values[key], within)
        elif not optional:
            raise Wrong(f"{within}{key}", "is missing")
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
        raise Wrong(key, f"is {_shown(value)}, not a table")
    return _rental(value, key) if wanted is Rental else _built(wanted, value, f"{key}.")


def _items(wanted: Any, value: Any, key: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise Wrong(key, f"is {_shown(value)}, not a list")
    return tuple(_item(wanted, item, key, index) for index, item in enumerate(value))


def _item(wanted: Any, value: Any, key: str, index: int) -> Any:
    try:
        return _value(wanted, value, key)
    except Wrong as wrong:
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
        raise Wrong(key, f"is {_shown(value)}, not {_TYPES[wanted]}")
    if wanted in (int, float):
        # Never isfinite, which a whole number of 400 digits overflows.
        if not 0 <= value < math.inf:
            raise Wrong(key, f"is {_shown(value)}, not a number of 0 or more")
        if value > _LARGEST:
            raise Wrong(key, f"is {_shown(value)}, above {_LARGEST:g}")
    elif isinstance(value, str) and value not in _CHOICES.get(key, (value,)):
        raise Wrong(key, f"is {value[:40]!r}, not one of {', '.join(_CHOICES[key])}")
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
        raise Wrong(f"{within}{key}", "is 0, not more than 0")
    if value > most:
        raise Wrong(f"{within}{key}", f"is {value:g}, above {most:g}")


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
            raise Wrong(
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
            raise Wrong("architecture.kv_heads_by_layer", says)


def _check_amount(key: str, value: float | None, unit: str) -> None:
    """Refuse an assumption's number that its unit cannot have."""
    most = 1.0 if unit == _SHARE else _AMOUNT
    if value is None:
        return
    if value > most:
        raise Wrong(key, f"is {value:g} {unit}, not 0 to {most:g}")
    if key == "value" and not value and unit in _ABOVE_ZERO_UNITS:
        raise Wrong(key, f"is 0 {unit}, not more than 0")


def _check_pattern(pattern: str) -> None:
    import re

    try:
        re.compile(pattern)
    except re.error as error:
        says = f"has {pattern[:80]!r}, no regular expression: {error}"
        raise Wrong("matches", says) from error


def _shown(value: Any) -> str:
    """Return a value for a message, cut to one line."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python prints
        return "too long a number"
    return text if len(text) <= 60 else f"{text[:60]}..."
