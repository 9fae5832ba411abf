"""Current API prices: the packaged data, what is kept of it, and the opt-in refresh."""

import http.server
import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fathom_tui import catalog
from fathom_tui.catalog_types import CURRENT, ApiPrice
from fathom_tui.errors import EnvironmentProblem
from fathom_tui.figures import Kind
from fathom_tui.sources import prices

PACKAGED = prices.current_prices()
FEED = [
    {
        "id": "openai",
        "name": "OpenAI",
        "api_pattern": r"https://api\.openai\.com",
        "models": [
            {
                "id": "gpt-4o",
                "match": {"equals": "gpt-4o"},
                "context_window": 128_000,
                "prices": {"input_mtok": 2.0, "output_mtok": 8},
            }
        ],
    }
]


def row(name: str) -> ApiPrice:
    """Return one of the packaged prices."""
    return catalog.find(PACKAGED, name, "API price", "")


def test_five_providers_and_fifteen_models_are_listed() -> None:
    assert {price.provider for price in PACKAGED} == {
        "openai", "anthropic", "google", "mistral", "deepseek",
    }  # fmt: skip
    assert len(PACKAGED) >= 15
    assert len({price.id for price in PACKAGED}) == len(PACKAGED)


def test_every_model_of_the_book_is_there_under_its_id() -> None:
    assert {price.id for price in catalog.load().prices} <= {price.id for price in PACKAGED}


def test_every_price_says_where_it_is_from() -> None:
    for price in PACKAGED:
        assert price.origin.source == "genai-prices 0.2.3 (packaged data)"
        assert price.origin.as_of == "2026-11-10"
        assert (price.origin.kind, price.snapshot) == (Kind.VENDOR, CURRENT)
        assert price.grade == catalog.grade_by_price(price.output_usd)
        assert 0 < price.input_usd <= price.output_usd


def test_no_two_prices_share_a_name() -> None:
    taken: dict[str, str] = {}
    for price in PACKAGED:
        for name in set(catalog.names(price)):
            assert taken.setdefault(name, price.id) == price.id


def test_a_price_that_rises_with_the_prompt_begins_low_and_says_so() -> None:
    assert row("gemini-2.5-pro").input_usd == 1.25
    assert "200,000" in row("gemini-2.5-pro").note


def test_a_price_that_changes_with_the_hour_is_the_dearest_and_says_so() -> None:
    assert row("deepseek-v4.1-flash").output_usd == 1.2
    assert "At some hours 0.6 USD" in row("deepseek-v4.1-flash").note


def test_a_model_about_to_go_says_so() -> None:
    assert "Withdrawn" in row("gemini-2.0-flash").note


def test_what_was_read_is_kept_and_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "home/cache"
    assert prices.current_prices(cache) == PACKAGED
    kept = next(cache.iterdir())
    assert [path.stat().st_mode & 0o777 for path in (cache.parent, cache, kept)] == [
        0o700, 0o700, 0o600,
    ]  # fmt: skip

    monkeypatch.setitem(sys.modules, "genai_prices.data", None)
    assert prices.current_prices(cache) == PACKAGED


@pytest.mark.parametrize("text", ["", "[]", "{}", "[1]", '[{"id": "x"}]', "\udcff"])
def test_a_broken_cache_is_read_anew(text: str, tmp_path: Path) -> None:
    assert prices.current_prices(tmp_path) == PACKAGED
    kept = next(tmp_path.iterdir())
    kept.write_text(text, "utf-8", errors="surrogateescape")

    assert prices.current_prices(tmp_path) == PACKAGED
    assert json.loads(kept.read_text("utf-8"))


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")

    assert prices.current_prices(tmp_path / "file") == PACKAGED


def test_a_missing_package_is_said_with_its_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata

    def version(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    with pytest.raises(EnvironmentProblem, match="not installed") as caught:
        prices.current_prices()

    assert "pip install" in caught.value.fix


def test_the_day_of_an_unknown_release_is_the_last_change_in_it() -> None:
    from genai_prices.data import providers

    assert "2026-08-01" < prices._released("0.2.99", providers) <= "2026-11-22"


def test_changes_name_what_is_new_gone_or_different() -> None:
    first, second = PACKAGED[:2]
    dearer = replace(first, input_usd=9.0)
    new = replace(first, id="new")

    assert prices.changes([first, second], [dearer, new]) == (
        prices.Change(
            id=first.id,
            before=(first.input_usd, first.output_usd),
            after=(9.0, first.output_usd),
        ),
        prices.Change(id=second.id, before=(second.input_usd, second.output_usd), after=None),
        prices.Change(id="new", before=None, after=(first.input_usd, first.output_usd)),
    )


class TestRefresh:
    def test_new_prices_are_kept_and_outrank_the_packaged(self, tmp_path: Path, feed: str) -> None:
        done = prices.refresh(tmp_path, feed)

        assert [(price.id, price.input_usd) for price in done.prices] == [("gpt-4o", 2.0)]
        change = next(change for change in done.changes if change.id == "gpt-4o")
        assert (change.before, change.after) == ((2.5, 10.0), (2.0, 8.0))
        assert prices.current_prices(tmp_path) == done.prices

    def test_a_second_refresh_says_nothing_changed(self, tmp_path: Path, feed: str) -> None:
        prices.refresh(tmp_path, feed)

        assert prices.refresh(tmp_path, feed).changes == ()

    def test_offline_it_says_so_and_keeps_what_was_known(self, tmp_path: Path) -> None:
        with pytest.raises(EnvironmentProblem, match="cannot be reached") as caught:
            prices.refresh(tmp_path, "http://127.0.0.1:9/data.json")

        assert "packaged prices" in caught.value.fix
        assert prices.current_prices(tmp_path) == PACKAGED

    @pytest.mark.parametrize("body", [b"<html>", b"{}", b"[1]", b"[]", b'[{"id": 3}]'])
    def test_what_is_no_price_list_is_refused(self, body: bytes, tmp_path: Path) -> None:
        with serving(body) as address, pytest.raises(EnvironmentProblem):
            prices.refresh(tmp_path, address)

        assert prices.current_prices(tmp_path) == PACKAGED


class serving:  # noqa: N801 - reads as a verb
    """Serve one answer on a free port while the block runs."""

    def __init__(self, body: bytes) -> None:
        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = http.server.HTTPServer(("127.0.0.1", 0), Answer)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_port}/data.json"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def feed() -> Iterator[str]:
    """Serve a feed with one model."""
    with serving(json.dumps(FEED).encode()) as address:
        yield address


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask the local server itself."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
