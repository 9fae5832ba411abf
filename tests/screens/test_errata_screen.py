"""The Errata screen: every correction with its arithmetic."""

import pytest
from textual.pilot import Pilot

from fathom_tui import errata
from fathom_tui.errata import load, parse
from fathom_tui.screens.errata import ErrataScreen, figures, lines
from fathom_tui.screens.grid import Grid
from fathom_tui.screens.sources import SourcesDialog
from fathom_tui.screens.symbols import ASCII, UNICODE
from fathom_tui.store.paths import Home
from tests.screens.looking import NARROW, WIDE, Listener, keys, opened, settle, text, type_in
from tests.screens.test_snapshots import SIZES, Compare, after

FEW = """
[[document]]
id = "book"
name = "A book"

[[errata]]
id = "cache"
area = "memory"
source = "book, ch. 2"
says = "The KV cache of an 8B model at 32K takes about 2.1 GB."
explanation = "Half of it was left out: there are keys and values."
as_of = "2026-11-22"
kind = "computed"
arithmetic = "32*8*128*2*2*32768/1e9"
value = 4.29
unit = "GB"
said = 2.1

[[errata]]
id = "rate"
area = "money"
source = "book, ch. 1"
says = "A million tokens cost $97 a month with a cache, $162 without."
explanation = "The discount is on input alone."
as_of = "2026-11-22"
kind = "computed"

[[errata.sums]]
label = "with 60 % cache hits"
arithmetic = "30*(0.8*3*(1-0.6*0.9)+0.2*15)"
value = 123.12
unit = "USD/month"
said = 97

[[errata.sums]]
label = "without a cache"
arithmetic = "30*(0.8*3+0.2*15)"
value = 162
unit = "USD/month"
said = 162

[[errata]]
id = "speed"
area = "memory"
source = "book, ch. 2"
says = "One card writes 106 and 24 tokens a second."
explanation = "The memory allows 95."
conflict = true
as_of = "2026-11-22"
kind = "computed"

[[errata.quotes]]
label = "chapter 2"
value = 106
unit = "tokens/s"
source = "book, ch. 2"
as_of = "2026-04-01"
kind = "measured-by-source"

[[errata.quotes]]
label = "chapter 3"
value = 24
unit = "tokens/s"
source = "book, ch. 3"
as_of = "2026-04-01"
kind = "measured-by-source"
"""


async def look(pilot: Pilot[None], *pressed: str) -> None:
    """Go to the screen and press keys."""
    await settle(pilot)
    await pilot.press("6")
    await settle(pilot)
    await pilot.press(*pressed)
    await settle(pilot)


async def test_every_correction_is_listed_with_its_arithmetic(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await look(pilot)

        assert keys(pilot, "errata") == [row.id for row in load()]
        assert "30 × (0.8 × 3 × (1 - 0.6 × 0.9) + 0.2 × 15)" in text(pilot, "sums")
        assert "= 123.12 USD/month ✓   the source: 97.00 USD/month" in text(pilot, "sums")
        await pilot.press("j")
        await settle(pilot)
        assert load()[1].says[:40] in text(pilot, "sums").replace("\n", " ")


@pytest.mark.parametrize("width", [40, 76, 136])
def test_every_correction_can_be_read_at_every_width(width: int) -> None:
    for row in load():
        said = lines(row, UNICODE, width)
        assert all(line.cell_length <= width for line in said)
        whole = " ".join(" ".join(line.plain for line in said).split())
        assert row.explanation[:20] in whole
        for entry in row.sums:
            assert entry.text() in whole


def test_a_number_that_agrees_is_not_called_wrong() -> None:
    rows = {row.id: row for row in parse(FEW, "few.toml").rows}
    said = lines(rows["rate"], UNICODE, 100)
    agreeing = next(line for line in said if "162 USD/month" in line.plain)
    wrong = next(line for line in said if "97.00 USD/month" in line.plain)

    assert not any("$error" in str(span.style) for span in agreeing.spans)
    assert any("$error" in str(span.style) for span in wrong.spans)


def test_a_conflict_shows_both_sides() -> None:
    row = next(row for row in parse(FEW, "few.toml").rows if row.conflict)
    said = "\n".join(line.plain for line in lines(row, ASCII, 100))

    assert "106 tokens/s" in said
    assert "24 tokens/s" in said
    assert len(figures(row)) == 2


def test_ascii_arithmetic_has_no_other_characters() -> None:
    row = parse(FEW, "few.toml").rows[0]
    said = "\n".join(line.plain for line in lines(row, ASCII, 100))

    assert "32 * 8 * 128 * 2 * 2 * 32768 / 1e9" in said
    assert said.isascii()


async def test_words_narrow_the_corrections(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "slash")
        await type_in(pilot, "h100")
        await settle(pilot)
        found = keys(pilot, "errata")
        await type_in(pilot, " voodoo")
        await settle(pilot)

        assert 0 < len(found) < len(load())
        assert keys(pilot, "errata") == []
        assert "No correction has these words" in text(pilot, "sums")
        await pilot.press("escape")
        await settle(pilot)
        assert len(keys(pilot, "errata")) == len(load())
        assert pilot.app.screen.query_one("#errata", Grid).has_focus


async def test_enter_and_tab_lead_to_the_sums_and_back(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "enter")
        assert pilot.app.screen.query_one("#sums").has_focus
        await pilot.press("tab")
        await settle(pilot)

        assert pilot.app.screen.query_one("#errata").has_focus


async def test_sources_of_a_correction_show_the_expression(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "e")
        assert isinstance(pilot.app.screen, SourcesDialog)
        assert "corrects book, ch. 1" in text(pilot, "origin").replace("\n", " ")
        await pilot.press("escape")
        await settle(pilot)

        assert isinstance(pilot.app.screen, ErrataScreen)


@SIZES
@pytest.mark.parametrize("pressed", [(), ("j",)], ids=["sum", "sums"])
def test_errata_look_as_they_did(
    home: Home,
    agent: Listener,
    size: tuple[int, int],
    pressed: tuple[str, ...],
    snap_compare: Compare,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few = parse(FEW, "few.toml").rows
    monkeypatch.setattr(errata, "load", lambda: few)

    async def bring(pilot: Pilot[None]) -> None:
        await after("6")(pilot)
        await after(*pressed)(pilot)

    assert snap_compare(opened(home, agent), terminal_size=size, run_before=bring)
