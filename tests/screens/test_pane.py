"""Text and tables that lay themselves out."""

import pytest
from textual.app import App, ComposeResult
from textual.content import Content

from fathom_tui.screens.grid import Column, Grid, Row
from fathom_tui.screens.pane import Pane, wrapped


@pytest.mark.parametrize("width", [8, 20, 33, 80])
@pytest.mark.parametrize("text", ["", "one", "some words " * 9, "x" * 70, "漢字 " * 20])
def test_wrapped_lines_fit_and_lose_no_word(text: str, width: int) -> None:
    lines = wrapped(Content(text), width, indent=4)

    assert max(line.cell_length for line in lines) <= width
    assert "".join("".join(line.plain for line in lines).split()) == "".join(text.split())


class Follower(App[None]):
    """A pane that follows its end."""

    def compose(self) -> ComposeResult:
        yield Pane(id="pane", follow=True)


async def test_a_pane_follows_its_end_until_one_scrolls_up() -> None:
    app = Follower()

    async with app.run_test(size=(20, 5)) as pilot:
        pane = app.query_one(Pane)
        seen = []
        for count, key in ((20, ""), (30, "k"), (40, "G"), (50, "")):
            pane.draw(lambda width, count=count: [Content(str(n)) for n in range(count)])  # type: ignore[misc]
            await pilot.pause()
            seen.append(round(pane.scroll_y))
            if key:
                await pilot.press(key)
                await pilot.pause(0.3)

    assert seen == [15, 25, 24, 45]


async def test_a_pane_loses_no_letter_beside_its_scrollbar() -> None:
    app = Follower()
    words = [f"word{n}" for n in range(30)]

    async with app.run_test(size=(20, 5)) as pilot:
        pane = app.query_one(Pane)
        for count in (30, 3, 30):
            shown = words[:count]
            pane.draw(lambda width, shown=shown: wrapped(Content(" ".join(shown)), width))  # type: ignore[misc]
            await pilot.pause()
            drawn = [pane.render_line(y - pane.scroll_offset.y).text for y in range(40)]
            assert "".join("".join(drawn).split()) == "".join(shown)


class Table(App[None]):
    """A table of three rows in sight."""

    def compose(self) -> ComposeResult:
        yield Grid(Column(width=3), Column(cut="middle"), Column(width=4, from_width=30), id="grid")


def rows(*keys: str) -> list[Row]:
    """Return rows that repeat their key."""
    return [Row(key=k, cells=(Content(k), Content(k * 30), Content("end"))) for k in keys]


async def test_a_table_moves_as_vim_does_and_keeps_its_row() -> None:
    app = Table()

    async with app.run_test(size=(24, 4)) as pilot:
        grid = app.query_one(Grid)
        grid.fill(rows(*"abcdef"))
        await pilot.pause()
        visited = [grid.key]
        for key in ("j", "G", "k", "g", "pagedown", "end", "j"):
            await pilot.press(key)
            visited.append(grid.key)
        grid.fill(rows("x", "f", "a"))
        await pilot.pause()

        assert visited == ["a", "b", "f", "e", "a", "c", "f", "f"]
        assert grid.key == "f"
        grid.fill([])
        await pilot.pause()
        assert grid.key is None


async def test_a_table_fits_its_columns_to_the_width() -> None:
    app = Table()

    async with app.run_test(size=(40, 4)) as pilot:
        grid = app.query_one(Grid)
        grid.fill(rows("ab"))
        await pilot.pause()
        wide = grid.render_line(1).text
        await pilot.resize_terminal(20, 4)
        await pilot.pause()
        narrow = grid.render_line(1).text

    assert wide == "ab  " + "ab" * 13 + "…abab" + " end "
    assert len(narrow) == 20
    assert "end" not in narrow
    assert narrow.endswith("abab")
