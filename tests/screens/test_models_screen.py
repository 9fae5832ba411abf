"""The Models screen: tiers, licences, the ladder of quantisations, and the memory calculator."""

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from fathom_tui import catalog
from fathom_tui.catalog import load
from fathom_tui.memory import kv_cache_bytes, weights_bytes
from fathom_tui.screens import calculator, licences
from fathom_tui.screens.calculator import Calculator, Choice, smallest
from fathom_tui.screens.dials import billions, gigabytes, pounds, price, stepped, thousands
from fathom_tui.screens.grid import Grid
from fathom_tui.screens.models import ModelsScreen
from fathom_tui.screens.sources import SourcesDialog
from fathom_tui.screens.symbols import ASCII, UNICODE
from fathom_tui.store.paths import Home
from tests.screens.looking import (
    NARROW,
    WIDE,
    Listener,
    cells,
    keys,
    opened,
    settle,
    text,
    type_in,
)
from tests.screens.test_snapshots import SIZES, Compare, after
from tests.screens.wares import small


async def look(pilot: Pilot[None], *pressed: str) -> None:
    """Go to the screen and press keys."""
    await settle(pilot)
    await pilot.press("5")
    await settle(pilot)
    await pilot.press(*pressed)
    await settle(pilot)


def warning(pilot: Pilot[None]) -> str:
    """Return what is said above the list; empty while nothing is."""
    line = pilot.app.screen.query_one("#warning", Static)
    return str(line.visual) if line.display else ""


def said(choice: Choice, model: str = "llama-3.1-8b", width: int = 70) -> str:
    """Return the memory panel."""
    known = load()
    worked = Calculator(known, known.model(model))
    return "\n".join(line.plain for line in calculator.lines(worked, choice, UNICODE, width))


async def test_models_stand_by_tier_with_their_licence(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await look(pilot)
        known = load()
        order = [tier.id for tier in known.tiers]
        tiers = [order.index(known.model(key).tier) for key in keys(pilot, "models")]

        assert tiers == sorted(tiers)
        assert len(tiers) == len(known.models)
        row = cells(pilot, "models", "qwen3-30b-a3b")
        assert row == [
            "Qwen3 30B-A3B",
            "qwen3",
            "32-35B",
            "30.5B",
            "3.3B",
            "40K",
            "13",
            "✓ Apache-2.0",
        ]
        assert cells(pilot, "models", "command-r7b")[-1] == "✗ CC-BY-NC-4.0"
        assert cells(pilot, "models", "llama-3.1-8b")[-1] == "! Llama 3.1 Community License"


async def test_the_ladder_has_the_exact_size_of_every_file(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await look(pilot)
        known = load()
        model = known.model("llama-3.1-8b")

        assert pilot.app.screen.query_one("#models", Grid).key == model.id
        for quant in known.quants:
            size = weights_bytes(model.architecture, quant.id, quant.bits)
            assert cells(pilot, "ladder", quant.id)[2].lstrip("~") == gigabytes(size)
        assert cells(pilot, "ladder", "q4_k_m") == [
            "Q4_K_M",
            "4.89",
            "4.91",
            "rtx-2070",
            "the default",
        ]


async def test_the_ladder_and_the_keys_choose_the_same_quantisation(
    home: Home, agent: Listener
) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "tab", "j")
        screen = pilot.app.screen
        assert isinstance(screen, ModelsScreen)
        assert screen.choice.quant == "q5_k_s"
        await pilot.press("tab", "b", "b")
        await settle(pilot)

        assert screen.choice.quant == "q6_k"
        assert screen.query_one("#ladder", Grid).key == "q6_k"
        assert "Q6_K" in text(pilot, "memory")
        assert "6.59 GB" in text(pilot, "memory")


async def test_context_and_cache_type_are_chosen_by_keys(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "tab", "tab", "c", "c")
        assert "32,768 tokens" in text(pilot, "memory")
        assert "4.29 GB" in text(pilot, "memory")
        await pilot.press("C", "t", "t")
        await settle(pilot)

        assert "16,384 tokens" in text(pilot, "memory")
        assert "q8_0" in text(pilot, "memory")
        assert "1.14 GB" in text(pilot, "memory")
        await pilot.press("T", "T", "T")
        await settle(pilot)
        assert "f32" in text(pilot, "memory")


@pytest.mark.parametrize(("model", "cache"), [("llama-3.1-8b", "4.29"), ("qwen2.5-7b", "1.88")])
def test_the_cache_at_32k_is_what_the_arithmetic_gives(model: str, cache: str) -> None:
    architecture = load().model(model).architecture

    assert gigabytes(kv_cache_bytes(architecture, 32_768)) == cache
    assert f"{cache} GB" in said(Choice(context=32_768), model)


def test_the_memory_names_what_holds_it_and_what_nothing_holds() -> None:
    assert "smallest   ✓ rtx-2070 of 7.78 GB, £140 to 200 used" in said(Choice())
    assert "made for 8,192" in said(Choice(context=16_384), "gemma2-9b")
    assert "✗ no device here holds it" in said(
        Choice(context=1_048_576, quant="f16", kv_type="f32"), "qwen2.5-72b"
    )
    assert "KV type" in said(Choice(kv_type="q3_0"))
    assert "✗ 'q3_0' is no type of a KV cache" in said(Choice(kv_type="q3_0"))


def test_the_smallest_device_of_the_ladder_is_the_one_that_fit_names() -> None:
    known = load()
    for model in ("qwen2.5-0.5b", "llama-3.3-70b", "qwen3-30b-a3b"):
        worked, choice = Calculator(known, known.model(model)), Choice(context=32_768)
        for rung in worked.rungs(choice):
            assert rung.device is smallest(worked.fit(choice, rung.quant))


@pytest.mark.parametrize(
    ("words", "family"), [("llama 2", "Llama 2"), ("vicuna", "Vicuna"), ("falcon-40b", "Falcon")]
)
async def test_a_retired_family_is_warned_about(
    home: Home, agent: Listener, words: str, family: str
) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "slash")
        await type_in(pilot, words)
        await settle(pilot)
        assert f"! {family}" in warning(pilot)
        assert "is retired" in warning(pilot)
        assert "Today: " in warning(pilot)
        await pilot.press("escape")
        await settle(pilot)

        assert warning(pilot) == ""
        assert len(keys(pilot, "models")) == len(load().models)


async def test_words_narrow_the_list_and_nothing_found_says_so(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "slash")
        await type_in(pilot, "non-commercial")
        await settle(pilot)
        assert keys(pilot, "models") == ["qwen2.5-3b", "command-r7b"]
        await type_in(pilot, " voodoo")
        await settle(pilot)

        assert keys(pilot, "models") == []
        assert "No model has these words" in warning(pilot)
        await pilot.press("enter", "e", "b", "c")
        await settle(pilot)
        assert isinstance(pilot.app.screen, ModelsScreen)


async def test_about_tells_the_terms_of_a_licence(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await look(pilot)

        about = text(pilot, "about")
        assert "! Llama 3.1 Community License. Above 700 million" in about
        assert "32 layers of 4,096, 32 heads, 8 KV heads of 128" in about
        assert "Hindi, Spanish, Thai" in about


async def test_sources_of_a_model_are_all_dated(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "e")

        assert isinstance(pilot.app.screen, SourcesDialog)
        figures = dict(pilot.app.screen._figures)
        assert all(figure.source and figure.as_of for figure in figures.values())
        assert figures["KV cache"].value == 1.074
        assert "32 layers x 8 KV heads x 128" in figures["KV cache"].source


async def test_a_panel_can_be_shown_alone(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "tab", "tab", "tab", "z")
        screen = pilot.app.screen
        assert screen.query_one("#about").size.height > 15
        assert not screen.query_one("#models").is_on_screen
        await pilot.press("escape", "tab")
        await settle(pilot)

        assert screen.query_one("#models").has_focus
        assert screen.query_one("#models").size.height > 4


def test_numbers_are_short() -> None:
    assert [thousands(n) for n in (2048, 131_072, 1_048_576, 1000)] == ["2K", "128K", "1M", "1,000"]
    assert [billions(n) for n in (134_515_008, 7_615_616_512)] == ["135M", "7.6B"]
    assert [gigabytes(n) for n in (4.68e9, 42.51e9, 141.1e9, 1.2e12)] == [
        "4.68",
        "42.5",
        "141",
        "1,200",
    ]
    assert [pounds(n) for n in (140, 1400, 25_000)] == ["140", "1.4k", "25k"]
    assert [stepped("abc", "b", n) for n in (-5, 1, 5)] == ["a", "c", "c"]
    assert price(load().gpu("rtx-3080-10gb")) == ""


def test_licences_are_told_apart_without_colour() -> None:
    known = load()
    marks = {
        licences.licence(known.model(model), ASCII).plain[0]
        for model in ("qwen2.5-7b", "gemma3-4b", "qwen2.5-3b")
    }

    assert marks == {"+", "!", "x"}
    assert licences.languages(known.model("gemma3-4b")).startswith("unknown")


@SIZES
@pytest.mark.parametrize(
    "pressed", [(), ("tab", "tab", "c", "t", "t"), ("tab", "z")], ids=["list", "memory", "zoom"]
)
def test_models_look_as_they_did(
    home: Home,
    agent: Listener,
    size: tuple[int, int],
    pressed: tuple[str, ...],
    snap_compare: Compare,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    same = small()
    monkeypatch.setattr(catalog, "load", lambda overlay=None: same)

    async def bring(pilot: Pilot[None]) -> None:
        await after("5")(pilot)
        await after(*pressed)(pilot)

    assert snap_compare(opened(home, agent), terminal_size=size, run_before=bring)
