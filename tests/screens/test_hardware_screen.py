"""The Hardware screen: what fits where, how fast and at what price, cell by cell."""

from pathlib import Path

import pytest
from textual.pilot import Pilot

from fathom_tui import catalog
from fathom_tui.catalog import load
from fathom_tui.fit import PLANS, Subject, fit, usable_bytes
from fathom_tui.screens import cells, terms
from fathom_tui.screens.cell import CellDialog
from fathom_tui.screens.cells import Answers, Asked, Sort, View
from fathom_tui.screens.dials import price_of
from fathom_tui.screens.hardware import HardwareScreen, wanted
from fathom_tui.screens.matrix import Cell, Matrix, Place
from fathom_tui.screens.matrix import fit as fitted
from fathom_tui.screens.sources import SourcesDialog
from fathom_tui.screens.symbols import UNICODE
from fathom_tui.store.paths import Home
from tests.screens.looking import (
    NARROW,
    WIDE,
    Listener,
    keys,
    opened,
    settle,
    text,
    toasts,
    type_in,
)
from tests.screens.test_snapshots import SIZES, Compare, after
from tests.screens.wares import small

GB = 1e9


def lines(pilot: Pilot[None]) -> list[str]:
    """Return the matrix as it is drawn."""
    matrix = pilot.app.screen.query_one(Matrix)
    return [matrix.render_line(y).text.rstrip() for y in range(matrix.size.height)]


def row(pilot: Pilot[None], device: str) -> str:
    """Return a device's line."""
    return next(line for line in lines(pilot) if line.startswith(device))


def hardware(pilot: Pilot[None]) -> HardwareScreen:
    """Return the screen."""
    screen = pilot.app.screen
    assert isinstance(screen, HardwareScreen)
    return screen


async def look(pilot: Pilot[None], *pressed: str) -> None:
    """Go to the screen and press keys."""
    await settle(pilot)
    await pilot.press("4")
    await settle(pilot)
    await pilot.press(*pressed)
    await settle(pilot)


async def test_the_cursor_begins_on_a_known_card_and_model(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot)

        assert pilot.app.screen.query_one(Matrix).place == Place("rtx-3090", "llama-3.1-8b")
        assert "rtx-3090" in "\n".join(lines(pilot))
        assert "6.53 of 25.0 GB" in text(pilot, "cell")
        assert "£700 to 900 used" in text(pilot, "cell")


async def test_a_cell_says_how_much_of_the_memory_is_taken(home: Home, agent: Listener) -> None:
    known = load()
    subject = Subject.of(known.model("llama-3.1-8b"), known.quant("q4_k_m"))
    [device] = fit(subject, [known.gpu("rtx-3090")], context=8192).devices
    share = 100 * device.needed / device.usable

    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await look(pilot)

        assert f"✓ {share:.0f} %" in row(pilot, "rtx-3090 ")
        assert f"{device.needed / GB:.2f} GB" in lines(pilot)[2]


async def test_views_show_speed_and_each_way_of_training(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await look(pilot)
        shown = []
        for _ in View:
            matrix = pilot.app.screen.query_one(Matrix)
            assert matrix.place is not None
            shown.append(matrix._cell(*matrix.place).text)
            await pilot.press("v")
            await settle(pilot)

        assert shown == ["✓ 26 %", "✓ 64–168", "✓ 28 %", "✓ 69 %", "✗ 5.2×"]
        assert hardware(pilot).asked.view is View.ANSWER
        await pilot.press("V")
        await settle(pilot)
        assert hardware(pilot).asked.view is View.FULL


async def test_a_view_can_be_clicked(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot)
        await pilot.click("#views", offset=(22, 0))
        await settle(pilot)

        assert hardware(pilot).asked.view is View.QLORA


async def test_more_bits_and_a_longer_context_need_more(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot)
        await pilot.press("b", "b")
        await settle(pilot)
        assert hardware(pilot).asked.quant == "q5_k_m"
        assert "7.34 of 25.0 GB" in text(pilot, "cell")
        await pilot.press("B", "B", "c", "c")
        await settle(pilot)

        assert hardware(pilot).asked == Asked(context=32_768)
        assert "9.75 of 25.0 GB" in text(pilot, "cell")
        await pilot.press(*("C" * 9))
        await settle(pilot)
        assert hardware(pilot).asked.context == 2048


async def test_a_context_beyond_the_model_is_marked(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await look(pilot, "c", "c", "c")

        heads = lines(pilot)[2]
        assert "!7.98 GB" in heads or "!" in heads
        assert hardware(pilot).asked.context == 65_536


async def test_devices_are_sorted_and_unknown_prices_come_last(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await look(pilot)
        matrix, known = pilot.app.screen.query_one(Matrix), load()
        memory = [known.gpu(head.key).memory_gib for head in matrix.rows]
        await pilot.press("s")
        await settle(pilot)
        prices = [price_of(known.gpu(head.key)) for head in matrix.rows]
        lows = [each[0] for each in prices if each is not None]
        await pilot.press("s")
        await settle(pilot)
        fastest = matrix.rows[0].key
        await pilot.press("s")
        await settle(pilot)
        names = [head.key for head in matrix.rows]

        assert memory == sorted(memory)
        assert lows == sorted(lows)
        assert all(each is None for each in prices[len(lows) :])
        assert fastest == "h100-80gb-x8"
        assert names == sorted(names)
        assert matrix.place == Place("rtx-3090", "llama-3.1-8b")


async def test_words_narrow_devices_and_models(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "slash")
        await type_in(pilot, "apple qwen2.5")
        await settle(pilot)
        matrix = pilot.app.screen.query_one(Matrix)
        devices, models = {head.key for head in matrix.rows}, set(matrix.columns)
        await pilot.press("enter")
        await settle(pilot)
        assert matrix.has_focus
        await pilot.press("escape")
        await settle(pilot)

        assert {load().gpu(device).vendor for device in devices} == {"apple"}
        assert {load().model(model).family for model in models} == {"qwen2.5"}
        assert len(matrix.rows) == len(load().gpus)
        assert matrix.place == Place("rtx-3090", "llama-3.1-8b")


async def test_words_that_nothing_has_say_so(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "slash")
        await type_in(pilot, "voodoo")
        await settle(pilot)

        assert "No device or no model has these words" in text(pilot, "cell")
        await pilot.press("enter", "enter", "e")
        await settle(pilot)
        assert isinstance(pilot.app.screen, HardwareScreen)


def test_a_word_narrows_the_side_that_has_it() -> None:
    known = load()
    gpus, models = wanted(known, ["3090|4090", "8b"])

    assert {gpu.id for gpu in gpus} == {"rtx-3090", "rtx-3090-x2", "rtx-4090", "rtx-4090-x2"}
    assert all("8b" in f"{model.id} {model.tier} {model.name.lower()}" for model in models)
    assert [model.parameters for model in models] == sorted(m.parameters for m in models)
    assert wanted(known, ["voodoo"]) == ((), ())
    assert len(wanted(known, [])[0]) == len(known.gpus)


async def test_enter_shows_every_term_and_the_terms_add_up(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "enter")
        assert isinstance(pilot.app.screen, CellDialog)
        said = text(pilot, "terms")
        await pilot.press("e")
        await settle(pilot)
        assert isinstance(pilot.app.screen, SourcesDialog)
        await pilot.press("escape", "escape")
        await settle(pilot)
        assert isinstance(pilot.app.screen, HardwareScreen)

    for term in ("weights", "KV cache", "compute", "overhead", "gradients", "optimizer"):
        assert term in said
    for part in ("activations", "logits", "64–168 tokens/s", "13,631,488 parameters", "Vast.ai"):
        assert part in said


@pytest.mark.parametrize("gpu", ["rtx-3090", "rtx-4090-x2", "h100-80gb-x8"])
@pytest.mark.parametrize("model", ["llama-3.1-8b", "qwen3-30b-a3b", "deepseek-v2-lite"])
def test_terms_of_a_cell_add_up_to_what_fit_says(gpu: str, model: str) -> None:
    known = load()
    met = terms.meeting(Answers(known, UNICODE), gpu, model, Asked())

    for (found, device), plan in zip(met.fits, (None, *PLANS), strict=True):
        subject = Subject.of(known.model(model), known.quant("q4_k_m"))
        [same] = fit(subject, [known.gpu(gpu)], context=8192, plan=plan).devices
        assert sum(terms._terms(found, device).values()) == terms._needed(found, device)
        assert (same.needed, same.training_needed) == (device.needed, device.training_needed)


async def test_sources_of_a_cell_are_all_dated(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "e")

        assert isinstance(pilot.app.screen, SourcesDialog)
        figures = pilot.app.screen._figures
        names = [name for name, _ in figures]
        assert {"weights", "KV cache", "rtx-3090: used, from", "qlora: total"} <= set(names)
        assert all(figure.source and figure.as_of for _, figure in figures)
        assert len(keys(pilot, "figures")) == len(figures)


def test_training_where_no_library_trains_is_unknown() -> None:
    answers = Answers(load(), UNICODE)

    assert answers.cell("m4-16gb", "llama-3.1-8b", Asked(view=View.QLORA)).tone == "unknown"
    assert answers.cell("m4-16gb", "llama-3.1-8b", Asked()).tone == "good"


def test_cells_tell_tight_from_good_and_never_say_once_too_large() -> None:
    assert cells._share(50, 100, UNICODE) == ("✓ 50 %", "good")
    assert cells._share(91, 100, UNICODE) == ("! 91 %", "tight")
    assert cells._share(10_001, 10_000, UNICODE) == ("✗ 1.01×", "bad")
    assert cells._share(1234, 100, UNICODE) == ("✗ 12×", "bad")
    assert cells.between(3.14, 5.9, UNICODE) == "3.1–5.9"
    assert cells.between(812, 1700, UNICODE) == "0.8–1.7k"
    assert cells.between(12_000, 23_400, UNICODE) == "12–23k"


async def test_only_cells_in_sight_are_asked_for(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot)
        answers = hardware(pilot)._answers
        assert answers is not None
        seen: set[tuple[str, str]] = set()
        whole = answers.cell

        def noted(gpu: str, model: str, asked: Asked) -> Cell:
            seen.add((gpu, model))
            return whole(gpu, model, asked)

        answers.cell = noted  # type: ignore[method-assign]
        await pilot.press("c")
        await settle(pilot)

        assert 0 < len(seen) <= 15 * 5


async def test_the_matrix_moves_both_ways_and_stays_inside(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "g", "home")
        matrix = pilot.app.screen.query_one(Matrix)
        first = matrix.place
        await pilot.press("k", "h")
        assert matrix.place == first == Place(matrix.rows[0].key, matrix.columns[0])
        await pilot.press("j", "l", "pagedown", "L")
        await settle(pilot)
        assert matrix.place == Place(matrix.rows[15].key, matrix.columns[5])
        await pilot.press("G", "end", "j", "l")
        await settle(pilot)
        assert matrix.place == Place(matrix.rows[-1].key, matrix.columns[-1])
        assert f"to {len(matrix.columns)} of {len(matrix.columns)} models" in lines(pilot)[0]
        await pilot.resize_terminal(140, 40)
        await settle(pilot)
        assert matrix.rows[-1].key in "\n".join(lines(pilot))


async def test_a_click_chooses_a_cell(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "g", "home")
        await pilot.click(Matrix, offset=(35 + 9, 5))
        matrix = pilot.app.screen.query_one(Matrix)

        assert matrix.place == Place(matrix.rows[2].key, matrix.columns[1])


async def test_rows_of_the_user_are_shown_and_wrong_ones_complained_about(
    home: Home, agent: Listener
) -> None:
    home.config.mkdir(parents=True)
    path = Path(home.config / "catalog.toml")
    path.write_text(
        '[[gpus]]\nid = "rtx-3090"\nprice_used_low = 555\nprice_used_high = 600\n'
        'source = "dealer"\nas_of = "2026-11-20"\nkind = "community"\n',
        "utf-8",
    )
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await look(pilot)
        assert "555 u   600" in row(pilot, "rtx-3090 ")
        path.write_text('[[gpus]]\nid = "rtx-3090"\nwatts = "many"\n', "utf-8")
        await settle(pilot)

        assert any("line 1" in said or "line 3" in said for said in toasts(pilot))
        assert "555 u   600" in row(pilot, "rtx-3090 ")


async def test_ascii_symbols_stand_where_the_font_has_no_others(
    home: Home, agent: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FATHOM_ASCII", "1")
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await look(pilot)

        assert "+ 26 %" in row(pilot, "rtx-3090 ")
        assert not set("✓✗×–") & set("".join(lines(pilot)) + text(pilot, "cell"))


def test_usable_memory_is_never_more_than_there_is() -> None:
    assert all(0 < usable_bytes(gpu) < gpu.memory_gib * 2**30 for gpu in load().gpus)


def test_text_is_fitted_to_cells() -> None:
    assert fitted("abcdef", 4) == "abc…"
    assert fitted("ab", 4) == "ab  "
    assert fitted("ab", 4, right=True) == "  ab"
    assert fitted("日本語", 4) == "日 …"
    assert fitted("ab", 0) == ""


def test_sort_orders_have_names() -> None:
    assert [order.value for order in Sort] == ["memory", "price", "tokens/s", "name"]


@SIZES
@pytest.mark.parametrize(
    "pressed",
    [(), ("v",), ("v", "v", "s"), ("enter",)],
    ids=["answer", "speed", "qlora", "terms"],
)
def test_hardware_looks_as_it_did(
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
        await after("4")(pilot)
        await after(*pressed)(pilot)

    assert snap_compare(opened(home, agent), terminal_size=size, run_before=bring)
