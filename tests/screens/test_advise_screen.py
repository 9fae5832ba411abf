"""The Advise screen: inputs by keyboard, the answer at once, sources, and keeping workloads."""

import re
from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.content import Content
from textual.events import Key, Paste
from textual.pilot import Pilot
from textual.widgets import Input

from fathom_tui import catalog
from fathom_tui.advice import Advice, advise
from fathom_tui.currency import Currency
from fathom_tui.errors import EnvironmentProblem, UsageError
from fathom_tui.figures import Figure, Kind
from fathom_tui.screens import answer, crossover, decision, inputs
from fathom_tui.screens.advise import AdviseScreen, figures_of
from fathom_tui.screens.lettering import big
from fathom_tui.screens.pick import Pick
from fathom_tui.screens.runs import RunsScreen
from fathom_tui.screens.slider import Number, Sliders
from fathom_tui.screens.sources import SourcesDialog, origin
from fathom_tui.screens.symbols import ASCII, UNICODE, Symbols
from fathom_tui.setting import setting
from fathom_tui.store.ledger import Store
from fathom_tui.store.paths import Home
from fathom_tui.store.workloads import keep_workload, workloads
from fathom_tui.workload import REGULATIONS, Workload
from tests.screens import story
from tests.screens.looking import (
    NARROW,
    NOW,
    WIDE,
    Listener,
    keys,
    label,
    opened,
    settle,
    text,
    toasts,
    type_in,
)

POUNDS = Currency(code="gbp", per_gbp=1.0)


async def arrive(pilot: Pilot[None]) -> AdviseScreen:
    """Show the Advise screen with its first answer."""
    await pilot.press("3")
    await settle(pilot)
    screen = pilot.app.screen
    assert isinstance(screen, AdviseScreen)
    assert screen.advice is not None
    return screen


async def go_to(pilot: Pilot[None], key: str) -> None:
    """Put the cursor on an input."""
    sliders = pilot.app.screen.query_one(Sliders)
    sliders.cursor = [entry.key for entry in sliders.entries].index(key)
    await pilot.pause()


def shown(screen: AdviseScreen) -> Advice:
    """Return the answer on the screen."""
    assert screen.advice is not None
    return screen.advice


async def test_the_first_answer_is_there_without_a_key(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await arrive(pilot)

        said = text(pilot, "verdict-line")
        assert "rule 2  1M to 10M tokens/day" in said
        assert "! on cost: cloud, £259 a month, not £" in said
        assert "█" in said
        assert "yes 2M ≤ 10M tokens/day" in text(pilot, "tree")
        assert "rule 2 → HYBRID" in text(pilot, "tree")


async def test_every_key_answers_anew(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        screen = await arrive(pilot)
        await pilot.press("right", "l")
        assert shown(screen).workload.tokens_per_day == 3e6
        await pilot.press("left", "h")
        assert shown(screen).workload.tokens_per_day == 2e6

        await pilot.press("right_square_bracket")

        assert shown(screen).workload.tokens_per_day == 2e7
        assert "yes 20M ≤ 30M tokens/day" in text(pilot, "tree")
        assert "rule 4 → LOCAL" in text(pilot, "tree")
        assert "A month at 20M tokens/day" in text(pilot, "answer")
        await pilot.press("shift+left", "H")
        assert shown(screen).workload.tokens_per_day == 2e5
        assert "rule 1 → CLOUD" in text(pilot, "tree")


async def test_a_digit_begins_an_exact_value(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        screen = await arrive(pilot)
        await type_in(pilot, "7.3m")
        assert label(pilot, "hint").startswith("enter sets 7.3M")
        assert shown(screen).workload.tokens_per_day == 2e6
        await pilot.press("enter")
        await pilot.pause()

        assert shown(screen).workload.tokens_per_day == 7.3e6
        assert pilot.app.focused is screen.sliders
        await pilot.press("right")
        assert shown(screen).workload.tokens_per_day == 8e6


async def test_keys_that_arrive_at_once_are_taken_in_their_order(
    home: Home, agent: Listener
) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        screen = await arrive(pilot)
        burst = ("8", "upper_m", "enter", "down", "down", "1", "5", "enter", "down", "2", "escape")
        for key in (*burst, "up", "right"):
            character = {"upper_m": "M"}.get(key, key if len(key) == 1 else None)
            pilot.app.post_message(Key(key, character))
        await pilot.pause(0.2)

        workload = shown(screen).workload
        assert workload == Workload(tokens_per_day=8e6, growth=0.16)
        assert pilot.app.screen is screen


async def test_what_is_pasted_is_typed(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        screen = await arrive(pilot)
        pilot.app.post_message(Paste("12.5M\nrm -rf"))
        await pilot.pause()
        await pilot.press("backspace", "k", "enter")
        await pilot.pause()

        assert shown(screen).workload.tokens_per_day == 12_500


async def test_escape_leaves_the_value_as_it_was(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        screen = await arrive(pilot)
        await pilot.press("enter", "9", "escape")

        assert shown(screen).workload.tokens_per_day == 2e6
        assert pilot.app.focused is screen.sliders
        assert label(pilot, "hint").startswith("Input and output together")


async def test_what_cannot_be_is_told_beside_the_field(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        screen = await arrive(pilot)
        before = shown(screen).workload
        await pilot.press("enter")
        for typed, said in (
            ("8x", "tokens/day is '8x', which is not a quantity."),
            ("0", "it has to be more than 0"),
            ("1e30", "it has to be at most"),
        ):
            await type_in(pilot, typed)
            await pilot.press("enter")
            await pilot.pause()

            assert said in label(pilot, "hint")
            assert label(pilot, "hint").startswith("✗ ")
            assert f"tokens/day  {typed} " in text(pilot, "sliders")
            assert shown(screen).workload == before
            await pilot.press("ctrl+u")


async def test_the_digit_of_a_screen_leads_there_with_tab(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        screen = await arrive(pilot)
        await pilot.press("2")
        assert "tab goes to 2 Runs instead" in label(pilot, "hint")
        await pilot.press("tab")
        await settle(pilot)

        assert isinstance(pilot.app.screen, RunsScreen)
        assert shown(screen).workload.tokens_per_day == 2e6


async def test_regulation_decides_alone_and_says_what_also_holds(
    home: Home, agent: Listener
) -> None:
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        screen = await arrive(pilot)
        await type_in(pilot, "40M")
        await pilot.press("enter")
        await pilot.pause()
        await go_to(pilot, "regulations")
        await pilot.press("space", "right", "right", "enter")

        assert shown(screen).workload.regulations == ("gdpr", "fca")
        said = text(pilot, "tree")
        assert "yes regulation: GDPR, FCA" in said
        assert "rule 3 → LOCAL" in said
        assert "also true: rule 4 and rule 5" in said
        assert "for compliance" in text(pilot, "answer")
        await pilot.press("space", "left", "left", "space")
        assert shown(screen).workload.regulations == ()


async def test_yes_and_no_follow_the_arrows(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        screen = await arrive(pilot)
        await go_to(pilot, "batchable")
        await pilot.press("right")
        assert shown(screen).workload.batchable
        assert "with discounts; £259 in full" in text(pilot, "answer")
        await pilot.press("left")
        assert not shown(screen).workload.batchable
        await pilot.press("space")
        assert shown(screen).workload.batchable


async def test_an_api_is_chosen_from_the_list_by_typing(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        screen = await arrive(pilot)
        await go_to(pilot, "against")
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(pilot.app.screen, Pick)
        await type_in(pilot, "2.0 flash")
        assert keys(pilot, "options") == ["gemini-2.0-flash"]
        await pilot.press("enter")
        await pilot.pause()

        assert shown(screen).setting.price.id == "gemini-2.0-flash"


async def test_a_device_is_another_machine(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        screen = await arrive(pilot)
        before = shown(screen).costs.local
        await go_to(pilot, "gpu")
        await pilot.press("left")

        assert shown(screen).setting.gpu.id != "rtx-4090-x2"
        assert shown(screen).costs.local != before


async def test_the_setting_is_made_anew_only_for_its_own_inputs(
    home: Home, agent: Listener
) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        screen = await arrive(pilot)
        first = shown(screen).setting
        for key in ("tokens_per_day", "growth", "gpu_hours"):
            await go_to(pilot, key)
            await pilot.press("right")
            assert shown(screen).setting is first
        await go_to(pilot, "input_share")
        await pilot.press("right")

        assert shown(screen).setting is not first


async def test_sums_are_shown_in_dollars(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await arrive(pilot)
        await go_to(pilot, "currency")
        await pilot.press("right")

        assert "on cost: cloud, $324 a month" in text(pilot, "verdict-line")


async def test_newest_prices_replace_the_books(
    home: Home, agent: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = tuple(
        price for price in catalog.load().prices if price.id in ("gpt-4o", "claude-haiku-3.5")
    )
    monkeypatch.setattr("fathom_tui.sources.prices.current_prices", lambda cache: newer)

    async with opened(home, agent).run_test(size=NARROW) as pilot:
        screen = await arrive(pilot)
        await go_to(pilot, "prices")
        await pilot.press("right")
        await settle(pilot)

        assert {price.id for price in shown(screen).setting.prices} == {row.id for row in newer}
        assert shown(screen).setting.price in newer  # Sonnet is not among them
        await pilot.press("left")
        assert len(shown(screen).setting.prices) > len(newer)


async def test_without_newer_prices_the_books_stay(
    home: Home, agent: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(cache: object) -> Any:
        raise EnvironmentProblem("The price package is not installed.", fix="pip install it")

    monkeypatch.setattr("fathom_tui.sources.prices.current_prices", missing)

    async with opened(home, agent).run_test(size=NARROW) as pilot:
        screen = await arrive(pilot)
        await go_to(pilot, "prices")
        await pilot.press("right")
        await settle(pilot)

        assert toasts(pilot) == ["The price package is not installed. pip install it"]
        assert screen.sliders.values["prices"] == "book"
        assert shown(screen).setting.price.id == "claude-sonnet-4"


OVERLAY = """\
[[prices]]
id = "claude-sonnet-4"
input_usd = 30
output_usd = 150
source = "an offer in writing"
as_of = 2026-11-20
kind = "vendor"
"""


async def test_a_row_of_the_users_own_is_taken_over_at_the_next_look(
    home: Home, agent: Listener
) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        screen = await arrive(pilot)
        await pilot.press("right")
        home.config.mkdir(parents=True, exist_ok=True)
        (home.config / "catalog.toml").write_text(OVERLAY, "utf-8")
        await settle(pilot)

        assert shown(screen).setting.price.input_usd == 30
        assert shown(screen).workload.tokens_per_day == 2.5e6


async def test_a_broken_row_is_told_and_the_answer_stays(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        screen = await arrive(pilot)
        home.config.mkdir(parents=True, exist_ok=True)
        broken = OVERLAY.replace("150", '"lots"')
        (home.config / "catalog.toml").write_text(broken, "utf-8")
        await settle(pilot)

        assert "catalog.toml, line 4" in toasts(pilot)[0]
        assert shown(screen).setting.price.input_usd == 3
        await pilot.press("right")
        assert shown(screen).workload.tokens_per_day == 2.5e6


async def test_e_says_where_each_number_is_from(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await arrive(pilot)
        await pilot.press("e")
        await pilot.pause()

        assert isinstance(pilot.app.screen, SourcesDialog)
        assert "Claude Sonnet 4, book, ch. 1" in " ".join(text(pilot, "origin").split())
        assert "computed: computed by this program" in text(pilot, "origin")
        await pilot.press("j", "j", "j", "j", "j", "j")
        assert "local: operations" in text(pilot, "origin")
        assert "assumed; nobody has measured it" in text(pilot, "origin")
        await pilot.press("e")
        assert isinstance(pilot.app.screen, AdviseScreen)


async def test_e_begins_with_what_the_cursor_is_on(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await arrive(pilot)
        await go_to(pilot, "against")
        await pilot.press("e")
        await pilot.pause()

        said = text(pilot, "origin")
        assert "price of Claude Sonnet 4, input: 3 USD/1M" in said
        assert "! 2026-04-01, 234 days ago" in said


def test_an_old_figure_is_flagged_and_a_new_one_is_not() -> None:
    figure = Figure(value=3, unit="USD/1M", kind=Kind.VENDOR, source="a page", as_of="2026-08-22")

    old = plain(origin("a price", figure, date(2026, 11, 21), UNICODE, 60))
    young = plain(origin("a price", figure, date(2026, 11, 20), UNICODE, 60))

    assert "! 2026-08-22, 91 days ago" in old
    assert "date     2026-08-22, 90 days ago" in young


def test_every_assumption_of_the_costs_has_a_source() -> None:
    found = dict(figures_of(answered(Workload(tokens_per_day=2e6)), POUNDS, catalog.load()))

    assert all(figure.source and figure.as_of for figure in found.values())
    assert sum(name.startswith("assumed: ") for name in found) == 14


async def test_a_workload_is_saved_and_opened_again(home: Home, agent: Listener) -> None:
    slug = story.engagement(home)

    async with opened(home, agent).run_test(size=NARROW) as pilot:
        screen = await arrive(pilot)
        await pilot.press("right", "s")
        await pilot.pause()
        await type_in(pilot, "triage")
        await pilot.press("enter")
        await settle(pilot)
        assert toasts(pilot) == [f"triage is saved in {slug}."]
        assert str(screen.query_one("#inputs").border_title) == f"triage · {slug}"
        await pilot.press("right_square_bracket", "o")
        await settle(pilot)
        assert isinstance(pilot.app.screen, Pick)
        await pilot.press("enter")
        await pilot.pause()

        assert shown(screen).workload == Workload(name="triage", tokens_per_day=2.5e6)

    assert workloads(Store(home), slug) == [Workload(name="triage", tokens_per_day=2.5e6)]


async def test_the_same_name_replaces_and_another_one_is_added(home: Home, agent: Listener) -> None:
    slug = story.engagement(home)
    store = Store(home)
    keep_workload(store, slug, Workload(name="triage", tokens_per_day=8e6))
    keep_workload(store, slug, Workload(name="search", tokens_per_day=5e5))

    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await arrive(pilot)
        await pilot.press("o")
        await settle(pilot)
        await type_in(pilot, "triage")
        await pilot.press("enter")
        await pilot.pause()
        await pilot.press("right", "s")
        await pilot.pause()
        await pilot.press("enter")
        await settle(pilot)

    kept = {work.name: work.tokens_per_day for work in workloads(store, slug)}
    assert kept == {"triage": 1e7, "search": 5e5}


async def test_a_name_that_cannot_be_kept_is_told(home: Home, agent: Listener) -> None:
    slug = story.engagement(home)

    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await arrive(pilot)
        await pilot.press("s")
        await pilot.pause()
        pilot.app.screen.query_one("#name", Input).value = "a/b"
        await pilot.press("enter")
        await pilot.pause()

        assert "'a/b' cannot be" in label(pilot, "problem")
        await pilot.press("escape")

    assert workloads(Store(home), slug) == []


async def test_saving_and_opening_say_what_is_missing(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await arrive(pilot)
        await pilot.press("s", "o")
        await settle(pilot)

        assert "There is no engagement yet" in toasts(pilot)[0]
        assert "No engagement has a workload yet" in toasts(pilot)[1]


async def test_panels_take_turns_where_there_is_no_room(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        screen = await arrive(pilot)
        seen = []
        for _ in range(4):
            await pilot.press("tab")
            await pilot.pause()
            seen.append([p for p in ("tree", "answer", "crossover") if _visible(screen, p)])
        assert seen == [["tree"], ["answer"], ["crossover"], ["crossover"]]
        assert screen.sliders.has_focus
        await pilot.press("tab", "tab", "escape")
        await pilot.pause()
        assert screen.sliders.has_focus
        assert _visible(screen, "answer")
        assert _visible(screen, "verdict-line")


async def test_everything_is_seen_where_there_is_room(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        screen = await arrive(pilot)
        panels = ("inputs", "tree", "answer", "crossover")
        assert [panel for panel in panels if _visible(screen, panel)] == list(panels)
        assert "█" in text(pilot, "answer")
        await pilot.press("tab", "z")
        await pilot.pause()
        assert [panel for panel in panels if _visible(screen, panel)] == ["tree"]
        await pilot.press("escape")
        await pilot.pause()
        assert [panel for panel in panels if _visible(screen, panel)] == list(panels)


def _visible(screen: AdviseScreen, panel: str) -> bool:
    return screen.query_one(f"#{panel}").region.area > 0


async def test_the_mouse_sets_a_slider(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        screen = await arrive(pilot)
        row = [entry.key for entry in screen.sliders.entries].index("cache_hits")
        await pilot.click(Sliders, offset=(25, row))

        assert 0.5 < shown(screen).workload.cache_hits <= 1.0


async def test_no_state_is_told_by_colour_alone(
    home: Home, agent: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FATHOM_ASCII", "1")
    monkeypatch.setenv("NO_COLOR", "1")

    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await arrive(pilot)
        await go_to(pilot, "regulations")
        await pilot.press("space")

        assert "+= yes regulation: GDPR" in text(pilot, "tree")
        assert "L O C A L" in text(pilot, "answer")
        assert "+gdpr .hipaa" in text(pilot, "sliders")


# The pieces.


def plain(found: Sequence[Content]) -> str:
    """Return lines as text."""
    return "\n".join(line.plain for line in found)


def answered(workload: Workload) -> Advice:
    """Return the answer for a workload in the sources' own setting."""
    return advise(workload, setting(catalog.load(), input_share=workload.input_share))


WORKLOADS = st.builds(
    Workload,
    tokens_per_day=st.floats(1.0, 1e13),
    growth=st.sampled_from((0.0, 0.15, -0.05)),
    regulations=st.lists(st.sampled_from(tuple(REGULATIONS)), unique=True).map(tuple),
    personal=st.booleans(),
    batchable=st.booleans(),
    gpu_hours=st.none() | st.floats(0.0, 24.0),
)


@given(WORKLOADS, st.integers(24, 140), st.sampled_from((UNICODE, ASCII)))
def test_no_line_is_wider_than_its_panel(workload: Workload, width: int, symbols: Symbols) -> None:
    advice = answered(workload)

    found = [
        *decision.lines(advice, symbols, width, 20),
        *answer.headline(advice, POUNDS, symbols, width),
        *answer.lines(advice, POUNDS, symbols, NOW.date(), True, width),
    ]

    assert max(line.cell_length for line in found) <= width


@given(WORKLOADS)
def test_the_plot_holds_what_it_marks(workload: Workload) -> None:
    advice = answered(workload)
    low, high = crossover.span(advice)
    frame = crossover.frame_of(advice, 16)
    found = crossover.paths(advice, frame, 40)

    assert low <= min(1e5, workload.tokens_per_day)
    assert high >= max(1e8, workload.tokens_per_day)
    assert all(frame.holds(x, y) for points in found.values() for x, y in points)


NUMBERS = [entry for entry in inputs.entries(catalog.load(), ()) if isinstance(entry, Number)]


@pytest.mark.parametrize("entry", NUMBERS, ids=lambda entry: entry.key)
@given(data=st.data())
def test_a_step_moves_and_steps_back(entry: Number, data: st.DataObject) -> None:
    value = data.draw(st.sampled_from(entry.stops[1:-1]))

    right, left = entry.moved(value, 1), entry.moved(value, -1)

    assert left < value < right
    assert entry.moved(right, -1) == value == entry.moved(left, 1)
    assert 0 <= entry.fraction(left) < entry.fraction(value) < entry.fraction(right) <= 1
    assert entry.at(entry.fraction(value)) == value


@pytest.mark.parametrize("entry", NUMBERS, ids=lambda entry: entry.key)
@given(data=st.data())
def test_a_step_from_between_two_stops_ends_on_one(entry: Number, data: st.DataObject) -> None:
    value = data.draw(st.floats(entry.stops[0], entry.stops[-1]))

    right, left = entry.moved(value, 1), entry.moved(value, -1)

    assert right is None or right >= value
    assert left is None or left <= value
    assert 0 <= entry.fraction(value) <= 1


@pytest.mark.parametrize(
    ("key", "typed", "value"),
    [
        ("tokens_per_day", "1_000_000", 1e6),
        ("input_share", "65", 0.65),
        ("input_share", "0.65", 0.65),
        ("growth", "15%", 0.15),
        ("growth", "15", 0.15),
        ("growth", "-5", -0.05),
        ("latency_ms", "180 ms", 180.0),
        ("latency_ms", "none", None),
        ("gpu_hours", "2.25h", 2.25),
        ("gpu_hours", "unknown", None),
        ("peak", "7", 7),
    ],
)
def test_a_value_is_read_in_the_unit_it_is_shown_in(
    key: str, typed: str, value: float | None
) -> None:
    [entry] = [entry for entry in NUMBERS if entry.key == key]

    assert entry.read(typed) == value


@pytest.mark.parametrize(
    ("key", "typed", "said"),
    [
        ("tokens_per_day", "-5", "tokens/day is '-5'; it has to be more than 0"),
        ("tokens_per_day", "nan", "which is not a quantity"),
        ("input_share", "120", "outside 0 to 1"),
        ("growth", "-100%", "outside -0.99 to 10"),
        ("peak", "1.5", "which is not a whole number"),
        ("latency_ms", "0", "it has to be more than 0"),
        ("gpu_hours", "25", "it has to be at most 24"),
    ],
)
def test_a_value_that_cannot_be_is_refused(key: str, typed: str, said: str) -> None:
    [entry] = [entry for entry in NUMBERS if entry.key == key]

    with pytest.raises(UsageError, match=re.escape(said)):
        entry.read(typed)


def test_a_value_beyond_the_scale_stays_until_it_goes_back() -> None:
    [tokens] = [entry for entry in NUMBERS if entry.key == "tokens_per_day"]

    assert tokens.moved(5e12, 1) == 5e12
    assert tokens.moved(5e12, -1) == 1e10
    assert tokens.fraction(5e12) == 1.0


@pytest.mark.parametrize("word", ["cloud", "hybrid", "local"])
def test_big_letters_are_as_wide_as_each_other(word: str) -> None:
    lines = big(word, UNICODE)

    assert len({len(line) for line in lines}) == 1
    assert len(lines[0]) <= 32
    assert set("".join(lines)) <= set(" ▀▄█")
    assert " ".join(word.upper()) in big(word, ASCII)


@given(WORKLOADS, st.integers(40, 140), st.sampled_from((UNICODE, ASCII)))
def test_a_machine_of_unknown_speed_has_no_sum_and_no_line(
    workload: Workload, width: int, symbols: Symbols
) -> None:
    pi = setting(catalog.load(), gpu="raspberry-pi-5-8gb", gpu_price_gbp=80)
    advice = advise(workload, pi)

    found = list(answer.lines(advice, POUNDS, symbols, NOW.date(), True, width))

    assert max(line.cell_length for line in found) <= width
    assert "cannot be compared" in " ".join(plain(found).split())
    assert (
        sum(line.plain.split() in (["hybrid", "unknown"], ["local", "unknown"]) for line in found)
        == 2
    )
    lines = crossover.paths(advice, crossover.frame_of(advice, 20), 30)
    assert {way.value for way in lines} == {"cloud"}
    assert "unknown" in crossover.marks(advice, symbols)[0].plain
