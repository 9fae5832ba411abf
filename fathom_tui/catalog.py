"""What is known of devices, models, quantisations, prices and services; every row has a source.

The rows are in `assets/catalog/*.toml`. A user's own file adds rows and overrides fields; what was
measured on this machine outranks both.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from typing import Any, Never

from fathom_tui.catalog_rows import Problem, Wrong, made_row, over, problem, shipped_rows
from fathom_tui.catalog_types import (
    TABLES,
    ApiPrice,
    Assumption,
    ComplianceLine,
    Gpu,
    Model,
    Quant,
    R,
    Raw,
    Retired,
    Row,
    Service,
    Task,
    Tier,
)
from fathom_tui.errors import UsageError


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
            sizes = self._sizes(text)
            if len(sizes) == 1:
                return sizes[0]
            old = self.retired_family(text)
            if old is None and sizes:
                names = " or ".join(row.id for row in sizes)
                raise UsageError(
                    f"{text[:80]} is a family of {len(sizes)} sizes.", fix=f"Name one: {names}"
                ) from error
            if old is None:
                raise
            raise UsageError(
                f"{error.message} {old.name} is a retired family: {old.note}",
                fix=f"Use {old.instead} or newer.",
            ) from error

    def _sizes(self, text: str) -> list[Model]:
        """Return the models of a family, by its Ollama name without a tag or its own name."""
        wanted = _plain(text)
        return [
            row
            for row in self.models
            if wanted in (_plain(row.ollama.partition(":")[0]), _plain(row.family))
        ]

    def tagged(self, text: str) -> tuple[Model, Quant | None]:
        """Return the model and the quantisation that a full Ollama tag names.

        `qwen2.5:7b-instruct-q8_0` is `qwen2.5-7b` in `q8_0`; a tag that names none has None.

        Raises:
            UsageError: There is no such model, or a part of the tag is not known.
        """
        family, colon, tag = text.strip().partition(":")
        parts = tag.lower().split("-")
        quant = None
        for row in self.quants if colon else ():
            if _plain(parts[-1]) in names(row):
                quant, parts = row, parts[:-1]
                break
        while parts and parts[-1] in _VARIANTS:
            parts = parts[:-1]
        shorter = ":".join(part for part in (family, "-".join(parts)) if part)
        try:
            return self.model(text), None
        except UsageError:
            if not colon or shorter.lower() == text.strip().lower():
                raise
            return self.model(shorter), quant

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


_VARIANTS = ("instruct", "chat", "it", "text")
"""Parts of an Ollama tag that say what the model was tuned for; its size does not change."""


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
    wanted = _plain(text[:80])
    # "3090" is a whole part of a name: nearer than anything that only looks like it.
    parts = [name for name in known if wanted and f"-{wanted}-" in f"-{name}-"]
    close = parts or get_close_matches(wanted, known, n=6, cutoff=0.5)
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
    return _shipped() if not overlay else _made({**shipped_rows(), **_laid_over(overlay)})


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
    return _made(shipped_rows())


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
    merged: dict[str, Raw] = {row["id"]: row for row in shipped_rows()[table]}
    for row in rows:
        merged[row["id"]] = over(merged.get(row["id"]), row)
    return tuple(merged.values())


def _made(raw: Mapping[str, Sequence[Raw]]) -> Catalog:
    tables: dict[str, tuple[Any, ...]] = {}
    for table, kind in TABLES.items():
        tables[table] = tuple(_row_in(f"catalog/{table}.toml", kind, row) for row in raw[table])
    return Catalog(**tables)


def _row_in(where: str, kind: type[R], row: Raw) -> R:
    try:
        return made_row(kind, row)
    except Wrong as wrong:
        _refuse(where, row, wrong.problem(row))
        raise


def _refuse(where: str, row: Raw, found: Problem | None) -> None:
    if found is not None:
        raise UsageError(
            f"{where}, row {str(row.get('id', '?'))[:80]!r}: {found.sentence()}",
            fix="fathom catalog --help shows what a row looks like.",
        )
