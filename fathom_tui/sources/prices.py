"""Current API prices: what the package genai-prices carries, or its feed, when asked for.

Importing the package takes a third of a second, so what is read from it is kept as JSON, under a
name with the package's version in it. Nothing here goes to the network but `refresh`.
"""

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from fathom_tui.catalog import grade_by_price
from fathom_tui.catalog_types import CURRENT, ApiPrice, Origin
from fathom_tui.errors import EnvironmentProblem
from fathom_tui.figures import Kind

_FETCHED = "api-prices-fetched.json"
_RELEASED = {"0.2.3": "2026-11-10"}
"""Days on which versions of the package came out; the package does not say it itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A model of the package that we list."""

    provider: str
    model: str
    """Its id in the package."""
    id: str
    """Ours, as in the book's snapshot where it is there."""
    aliases: tuple[str, ...] = ()


def _wanted(provider: str, *models: str | tuple[str, ...]) -> list[Wanted]:
    rows = [(name,) if isinstance(name, str) else name for name in models]
    return [
        Wanted(provider=provider, model=row[0], id=(row[1:2] or row)[0], aliases=row[2:])
        for row in rows
    ]


WANTED = (
    *_wanted("openai", "gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "gpt-5-mini"),
    *_wanted("openai", "gpt-5-nano", "gpt-5.4-mini", "gpt-6-luna", "gpt-6.1-terra"),
    *_wanted("openai", "gpt-6.1-sol", "gpt-6-astra"),
    *_wanted(
        "anthropic",
        ("claude-sonnet-4-0", "claude-sonnet-4", "sonnet-4"),
        ("claude-3-5-haiku-latest", "claude-haiku-3.5", "claude-3.5-haiku", "claude-3-5-haiku"),
        ("claude-haiku-4-5", "claude-haiku-4.5"),
        ("claude-haiku-5-5", "claude-haiku-5.5", "haiku"),
        ("claude-sonnet-4-5", "claude-sonnet-4.5"),
        ("claude-sonnet-4-6", "claude-sonnet-4.6"),
        ("claude-sonnet-5-5", "claude-sonnet-5.5", "sonnet"),
        ("claude-opus-5-5", "claude-opus-5.5", "opus"),
    ),
    *_wanted("google", "gemini-2.0-flash", "gemini-2.5-flash-lite", "gemini-2.5-flash"),
    *_wanted("google", "gemini-2.5-pro", "gemini-3.1-flash-lite", "gemini-3.5-flash-lite"),
    *_wanted("google", ("gemini-3.8-flash", "gemini-3.8-flash", "gemini-flash")),
    *_wanted("google", ("gemini-3.1-pro-preview", "gemini-3.1-pro"), "gemini-4-argon"),
    *_wanted(
        "mistral",
        ("ministral-8b-2512", "ministral-3-8b"),
        ("mistral-small-2603", "mistral-small-4"),
        ("mistral-medium-3-5", "mistral-medium-3.5"),
        "mistral-large-4",
    ),
    *_wanted("deepseek", ("deepseek-flash", "deepseek-v4.1-flash"), "deepseek-v4-pro"),
)
"""The book's six, their successors, and the usual cheap ones; one that a version of the package
does not know is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a refresh found different, in US dollars for a million tokens."""

    id: str
    before: tuple[float, float] | None
    """Input and output; None where the model is new."""
    after: tuple[float, float] | None
    """None where the model is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """The prices after a refresh, and what changed by it."""

    prices: tuple[ApiPrice, ...]
    changes: tuple[Change, ...]


def current_prices(cache: Path | None = None) -> tuple[ApiPrice, ...]:
    """Return today's known prices: the later of the package's and those fetched last.

    Args:
        cache: Directory to keep what was read in; None reads the package every time.

    Raises:
        EnvironmentProblem: The package is not installed.
    """
    packaged = _packaged(cache)
    fetched = _read(cache / _FETCHED) if cache else None
    if fetched and (not packaged or fetched[0].origin.as_of > packaged[0].origin.as_of):
        return fetched
    return packaged


def refresh(cache: Path, url: str | None = None) -> Refreshed:
    """Fetch the package's feed, keep it, and say what changed; the only request to the network.

    Args:
        cache: Directory to keep the prices in.
        url: Where the feed is; None is the address that the package names.

    Raises:
        EnvironmentProblem: The package is not installed, the feed cannot be reached, or what came
            back is no price list. What was known before stays.
    """
    before = current_prices(cache)
    today = datetime.now(UTC).date()
    origin = Origin(
        source=f"feed of genai-prices, fetched {today}", as_of=today.isoformat(), kind=Kind.VENDOR
    )
    prices = _prices(_fetched(url), origin, today)
    if not prices:
        raise EnvironmentProblem(
            "The price feed names none of the models that are listed here.",
            fix="pip install --upgrade genai-prices; until then the packaged prices are used.",
        )
    _write(cache / _FETCHED, prices)
    return Refreshed(prices=prices, changes=changes(before, prices))


def changes(before: Iterable[ApiPrice], after: Iterable[ApiPrice]) -> tuple[Change, ...]:
    """Return the models whose price differs, is new or is gone, by id."""
    old = {row.id: (row.input_usd, row.output_usd) for row in before}
    new = {row.id: (row.input_usd, row.output_usd) for row in after}
    return tuple(
        Change(id=name, before=old.get(name), after=new.get(name))
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    )


def _packaged(cache: Path | None) -> tuple[ApiPrice, ...]:
    version = _version()
    path = cache / f"api-prices-genai-{version}.json" if cache else None
    kept = _read(path) if path else None
    if kept:
        return kept
    from genai_prices.data import providers

    released = _released(version, providers)
    origin = Origin(
        source=f"genai-prices {version} (packaged data)", as_of=released, kind=Kind.VENDOR
    )
    prices = _prices(providers, origin, date.fromisoformat(released))
    if path:
        _write(path, prices)
    return prices


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("genai-prices")
    except PackageNotFoundError as error:
        raise EnvironmentProblem(
            "The Python package 'genai-prices' is not installed, so current prices are unknown.",
            fix="pip install 'genai-prices>=0.2.3,<0.3', or use the book's snapshot of April 2026.",
        ) from error


def _released(version: str, providers: Iterable[Any]) -> str:
    """Return the day of the release; of one we do not know, the last price change in it.

    The last change is never after the release, so such prices count as older than they are.
    """
    if version in _RELEASED:
        return _RELEASED[version]
    today = datetime.now(UTC).date()
    starts = [
        constraint.start_date
        for provider in providers
        for model in provider.models
        for price in (model.prices if isinstance(model.prices, list) else [])
        if (constraint := getattr(price, "constraint", None)) is not None
        if hasattr(constraint, "start_date") and constraint.start_date <= today
    ]
    return max(starts, default=date(2026, 11, 10)).isoformat()


def _fetched(url: str | None) -> Iterable[Any]:
    import httpx2
    from genai_prices.update_prices import DEFAULT_UPDATE_URL, UpdatePrices

    address = url or DEFAULT_UPDATE_URL
    try:
        snapshot = UpdatePrices(url=address).fetch()
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        raise EnvironmentProblem(
            f"The price feed at {address} cannot be reached: {error}.",
            fix="Check the network; until then the packaged prices are used.",
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        raise EnvironmentProblem(
            f"What came from {address} is no price list: {str(error)[:200]}.",
            fix="pip install --upgrade genai-prices; until then the packaged prices are used.",
        ) from error
    return () if snapshot is None else snapshot.providers


def _prices(providers: Iterable[Any], origin: Origin, day: date) -> tuple[ApiPrice, ...]:
    known = {(provider.id, model.id): model for provider in providers for model in provider.models}
    found = ((want, known.get((want.provider, want.model))) for want in WANTED)
    rows = (_price(want, model, origin, day) for want, model in found if model is not None)
    return tuple(row for row in rows if row is not None)


def _price(want: Wanted, model: Any, origin: Origin, day: date) -> ApiPrice | None:
    """Return our row for a model of the package; None where it is not sold by the token."""
    asked = _dearest(model, day)
    cost, answer = _base(asked, "input_mtok"), _base(asked, "output_mtok")
    if cost is None or answer is None:
        return None
    return ApiPrice(
        id=want.id,
        name=model.name or want.id,
        origin=origin,
        aliases=(*want.aliases, *((want.model,) if want.model != want.id else ())),
        note=_note(model, asked, day),
        provider=want.provider,
        input_usd=cost,
        output_usd=answer,
        context=model.context_window,
        cached_input_usd=_base(asked, "cache_read_mtok"),
        snapshot=CURRENT,
        grade=grade_by_price(answer),
    )


def _base(asked: Any, name: str) -> float | None:
    price = getattr(asked, name, None)
    price = getattr(price, "base", price)  # a tiered one begins with its base
    return float(price) if isinstance(price, Decimal | int | float) else None


def _hourly(model: Any, day: date) -> list[Any]:
    return [
        model.get_prices(datetime(day.year, day.month, day.day, hour, 30, tzinfo=UTC))
        for hour in range(24)
    ]


def _dearest(model: Any, day: date) -> Any:
    """Return the price of the dearest hour: some providers halve theirs at night."""
    return max(_hourly(model, day), key=lambda price: _base(price, "output_mtok") or 0.0)


def _note(model: Any, asked: Any, day: date) -> str:
    notes = ["Withdrawn or about to be, says the provider."] if model.deprecated else []
    cheapest = min(_base(price, "output_mtok") or 0.0 for price in _hourly(model, day))
    if cheapest < (_base(asked, "output_mtok") or 0.0):
        notes.append(f"At some hours {cheapest:g} USD out.")
    for tier in getattr(asked.input_mtok, "tiers", ())[:1]:
        notes.append(f"Dearer from {tier.start:,} input tokens: {float(tier.price):g} USD in.")
    return " ".join(notes)


def _read(path: Path) -> tuple[ApiPrice, ...] | None:
    """Return kept prices; None where there are none, or they are not what we wrote."""
    try:
        rows = json.loads(path.read_text("utf-8"))
        return tuple(_from_json(row) for row in rows) or None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _from_json(row: Mapping[str, Any]) -> ApiPrice:
    origin = {**row["origin"], "kind": Kind(row["origin"]["kind"])}
    return ApiPrice(**{**row, "origin": Origin(**origin), "aliases": tuple(row["aliases"])})


def _write(path: Path, prices: Iterable[ApiPrice]) -> None:
    """Keep prices under a name that appears when they are whole; a full disk loses only time."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    with suppress(OSError):
        _make_directory(path.parent)
        part.write_text(json.dumps([asdict(row) for row in prices]), "utf-8")
        part.chmod(0o600)
        part.replace(path)
        return
    with suppress(OSError):
        part.unlink()


def _make_directory(path: Path) -> None:
    """Create a directory and its parents for the owner alone; `parents=True` would not."""
    if not path.parent.exists():
        _make_directory(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
