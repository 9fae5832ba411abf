"""What holds on every screen: keys, help, the palette, leaving, and states without colour."""

import os
from pathlib import Path

import pytest
from textual.color import Color
from textual.widgets import Footer

from fathom_tui.screens.app import PLACES, FathomApp
from fathom_tui.screens.create import CreateForm
from fathom_tui.screens.help import HelpScreen
from fathom_tui.screens.keys import Keys
from fathom_tui.screens.launch import calm_over_ssh
from fathom_tui.screens.masthead import Masthead
from fathom_tui.screens.symbols import ASCII, UNICODE, symbols_for
from fathom_tui.screens.theme import FATHOM
from fathom_tui.store.paths import Home
from tests.screens import story
from tests.screens.looking import NARROW, WIDE, Listener, opened, settle, text

ROOT = Path(__file__).parents[2]


def test_every_place_has_a_screen_a_key_and_a_style() -> None:
    assert {place.mode for place in PLACES} == set(FathomApp.MODES)
    for place in PLACES:
        assert (ROOT / "assets" / "styles" / f"{place.mode}.tcss").is_file()


@pytest.mark.parametrize("mode", [place.mode for place in PLACES])
@pytest.mark.parametrize("width", [40, 80, 140])
async def test_at_most_six_keys_are_shown_and_help_is_one_of_them(
    home: Home, agent: Listener, mode: str, width: int
) -> None:
    run = story.finished(home, story.engagement(home))

    async with opened(home, agent, run=run).run_test(size=(width, 24)) as pilot:
        await settle(pilot)
        pilot.app.switch_mode(mode)
        await settle(pilot)
        found = list(pilot.app.screen.query_one(Keys).children)
        [help_key] = [key for key in found if key.has_class("-help")]

        assert len(found) <= 6
        assert help_key.region.right <= width
        assert not any(help_key.region.overlaps(k.region) for k in found[:1])
        assert "? Help" in str(help_key.render())


@pytest.mark.parametrize("key", ["question_mark", "f1"])
async def test_help_lists_the_keys_of_the_screen_below(
    home: Home, agent: Listener, key: str
) -> None:
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await pilot.press("2")
        await settle(pilot)
        await pilot.press(key)
        await pilot.pause()
        said = text(pilot, "help")

        assert isinstance(pilot.app.screen, HelpScreen)
        for words in ("Cancel the run", "Lift a refused gate", "k", "refused by a gate"):
            assert words in said
        assert "goes on in the background" in said
        await pilot.press("escape")
        await settle(pilot)
        assert not isinstance(pilot.app.screen, HelpScreen)


async def test_the_palette_offers_what_has_a_key(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await settle(pilot)
        titles = [command.title for command in pilot.app.get_system_commands(pilot.app.screen)]

        assert {"New", "Runs", "Help", "Quit", "Theme"} <= set(titles)
        assert "Run" not in titles  # there is nothing to run
        assert len(titles) == len(set(titles))

        await pilot.press("ctrl+p")
        await pilot.pause()
        await pilot.press(*"New", "enter")
        await pilot.pause(0.5)
        assert isinstance(pilot.app.screen, CreateForm)


async def test_a_screen_that_is_not_shown_does_not_look(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await settle(pilot)
        first = pilot.app.screen
        await pilot.press("2")
        await settle(pilot)
        looks = []
        first.look = lambda: looks.append(1)  # type: ignore[attr-defined]
        await pilot.pause(2.2)

        assert looks == []


async def test_leaving_says_that_work_goes_on(home: Home, agent: Listener) -> None:
    live = story.training(home, story.engagement(home))
    agent.beat = story.heartbeat(live)
    app = opened(home, agent)

    async with app.run_test(size=NARROW) as pilot:
        await settle(pilot)
        await pilot.press("q")
        await pilot.pause()
        assert "acme-triage-1 goes on in the background" in str(app._exit_renderables)

    assert app.return_code == 0
    assert agent.asked == []


async def test_the_masthead_says_what_the_agent_does(home: Home, agent: Listener) -> None:
    live = story.training(home, story.engagement(home))

    async with opened(home, agent).run_test(size=NARROW) as pilot:
        said = []
        for beat in (None, {"run": None, "pid": 1}, story.heartbeat(live)):
            agent.beat = beat
            await settle(pilot)
            said.append(str(pilot.app.screen.query_one(Masthead).render()))

    assert "no agent running" in said[0]
    assert "agent idle" in said[1]
    assert "● acme-triage-1  train" in said[2]


async def test_the_terminal_is_resized_without_harm(home: Home, agent: Listener) -> None:
    run = story.finished(home, story.engagement(home))

    async with opened(home, agent, run=run).run_test(size=WIDE) as pilot:
        await settle(pilot)
        for size in (NARROW, (20, 6), (1, 1), (300, 90), NARROW):
            await pilot.resize_terminal(*size)
            await pilot.pause()

        assert "0.846" in text(pilot, "result")
        assert pilot.app.screen.query_one(Footer).size.width == 80


async def test_without_colour_states_are_told_by_symbols(
    home: Home, agent: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    run = story.refusal(home, story.engagement(home))

    async with opened(home, agent, run=run).run_test(size=NARROW) as pilot:
        await settle(pilot)
        strips = pilot.app.screen._compositor.render_strips()
        colours = {
            segment.style.color.triplet
            for strip in strips
            for segment in strip.apply_filter(pilot.app._filters[0], Color.parse("black"))
            if segment.style and segment.style.color and segment.style.color.triplet
        }

    assert "✗ data      refused" in "\n".join(strip.text for strip in strips)
    assert all(max(colour) - min(colour) <= 1 for colour in colours)


def test_every_symbol_means_one_thing_and_the_linux_console_has_it() -> None:
    names = ("done", "warned", "refused", "running", "waiting", "pending", "stopped")

    for symbols in (UNICODE, ASCII):
        assert len({getattr(symbols, name) for name in names}) == len(names)
    assert all(str(getattr(ASCII, name)).isascii() for name in ASCII._fields)
    assert symbols_for({"TERM": "linux"}) is ASCII
    assert symbols_for({"TERM": "xterm"}) is UNICODE


@pytest.mark.parametrize(
    "colour",
    ["foreground", "accent", "success", "warning", "error", "secondary"],
)
def test_text_stands_out_from_the_ground(colour: str) -> None:
    ground = Color.parse(FATHOM.panel or "")
    text_colour = Color.parse(getattr(FATHOM, colour) or "")

    assert contrast(text_colour, ground) >= 4.5
    assert contrast(Color.parse(FATHOM.variables["muted"]), ground) >= 4.5


def contrast(one: Color, other: Color) -> float:
    """Return the contrast ratio of two colours.

    Source: WCAG 2.1, 1.4.3 and the definition of relative luminance.
    """

    def luminance(colour: Color) -> float:
        parts = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
            for part in colour.normalized
        ]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_over_ssh_fewer_frames_are_drawn_unless_the_user_said_otherwise() -> None:
    local: dict[str, str] = {}
    remote = {"SSH_CONNECTION": "10.0.0.1 22", "TEXTUAL_FPS": "30"}

    calm_over_ssh(local)
    calm_over_ssh(remote)

    assert local == {}
    assert remote["TEXTUAL_FPS"] == "30"
    assert remote["TEXTUAL_ANIMATIONS"] == "none"


def test_nothing_heavy_is_loaded_before_the_first_frame(home: Home) -> None:
    import json
    import subprocess
    import sys

    code = (
        "import sys, json, fathom_tui.screens.app, fathom_tui.screens.engagements\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    loaded = set(json.loads(ended.stdout))
    assert loaded.isdisjoint({"duckdb", "numpy", "plotext", "textual_plotext", "torch"})
    assert loaded.isdisjoint({"fathom_tui.store.ledger", "fathom_tui.recipe"})
