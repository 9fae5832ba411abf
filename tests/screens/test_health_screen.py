"""The Health screen: the worst first, what is wrong with it, and a check made now."""

import asyncio
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from textual.pilot import Pilot

from fathom_tui.check_events import Check, Miss
from fathom_tui.screens.app import FathomApp
from fathom_tui.screens.grid import Grid
from fathom_tui.screens.health import HealthScreen
from fathom_tui.screens.health_history import plot
from fathom_tui.screens.health_misses import compared
from fathom_tui.screens.health_misses import lines as misses
from fathom_tui.screens.health_spark import level, spark
from fathom_tui.screens.symbols import ASCII, UNICODE
from fathom_tui.store.ledger import Store
from fathom_tui.store.paths import Home
from tests.screens import story
from tests.screens.fleet import Served, ago, fleet
from tests.screens.looking import (
    NARROW,
    NOW,
    WIDE,
    Listener,
    cells,
    keys,
    opened,
    settle,
    text,
    toasts,
    type_in,
)
from tests.screens.test_snapshots import SIZES, Compare, after

CHECK = """
import json, os, sys, time
from pathlib import Path
from fathom_tui.store import Home, Store
mode, slug, flag = sys.argv[1:]
assert flag == "--json"
gate = Path(os.environ["FATHOM_HOME"]) / f"go-{slug}"
while mode == "slow" and not gate.exists():
    time.sleep(0.02)
if mode == "broken":
    print("fathom: the server is not there.\\nfathom serve " + slug, file=sys.stderr)
    sys.exit(4)
store = Store(Home.from_env())
store.record(slug, "check", {
    "deployment": f"{slug}:v1", "passed": 20, "total": 20, "failures": [], "seconds": 1.0,
    "state": "ok", "reasons": [], "threshold": 0.9, "latency_s": 0.3,
})
print(json.dumps([{"engagement": slug, "state": "ok"}]))
"""
"""A check as the command makes one, without a model."""


def stand_in(mode: str) -> tuple[str, ...]:
    """Return a command that makes checks without a model."""
    return (sys.executable, "-c", CHECK, mode)


async def look(pilot: Pilot[None], *pressed: str) -> None:
    """Go to the screen and press keys."""
    await settle(pilot)
    for key in ("7", *pressed):
        await pilot.press(key)
        await settle(pilot)


async def until(pilot: Pilot[None], holds: Callable[[], bool]) -> None:
    """Wait for what another process brings about."""
    for _ in range(600):
        if holds():
            return
        await pilot.pause(0.05)
    raise AssertionError("it did not come about within half a minute")


def screen_of(pilot: Pilot[None]) -> HealthScreen:
    """Return the screen."""
    screen = pilot.app.screen
    assert isinstance(screen, HealthScreen)
    return screen


async def test_the_worst_is_first_and_those_that_nobody_wants_served_last(
    home: Home, agent: Listener
) -> None:
    fleet(home)
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot)

        assert keys(pilot, "watched") == [
            "acme-triage",
            "borealis-claims",
            "gulf-invoices",
            "foxtrot-mail",
            "banking-77",
            "east-contracts",
            "delta-forms",
            "harbour-old",
            "iris-draft",
        ]
        states = [cells(pilot, "watched", slug)[0] for slug in keys(pilot, "watched")]
        assert states == [
            "✗ critical",
            "! warning",
            "? unknown",
            "? unchecked",
            "? stale",
            "✓ ok",
            "✓ ok",
            "■ stopped",
            "· no model",
        ]


async def test_one_line_says_how_all_are_and_which_is_the_worst(
    home: Home, agent: Listener
) -> None:
    fleet(home)
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot)

        said = text(pilot, "summary")
        assert said.startswith("✗ 1 critical  ! 1 warning  ? 3 unknown  ✓ 2 ok ")
        assert said.endswith("worst: acme-triage 14/20")
        assert len(said) <= NARROW[0] - 2


async def test_a_row_has_version_anchors_history_age_latency_and_drift(
    home: Home, agent: Listener
) -> None:
    fleet(home)
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await look(pilot)

        row = cells(pilot, "watched", "acme-triage")
        assert row[2:5] == ["ollama", "v3", "14/20 −4"]
        assert row[5].endswith("▇▆▅▁")
        assert row[6:] == ["2 h", "0.87 s", "! yes", "critical 2 h ✗"]
        assert cells(pilot, "watched", "east-contracts")[6:9] == ["4 h", "84 ms", "no"]


async def test_what_is_wrong_and_what_to_type_stand_below_the_table(
    home: Home, agent: Listener
) -> None:
    fleet(home)
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot)

        said = text(pilot, "why")
        assert "✗ 14 of 20 anchors pass (0.48 to 0.85); 90 % must." in said
        assert re.search(
            r"→ fathom rollback acme-triage +serve v2, the version before, again", said
        )
        for slug, words in {
            "foxtrot-mail": "v1 serves and has not been checked yet.",
            "banking-77": "The last check was 3 d ago; once a day is expected.",
            "harbour-old": "v3 is stopped: nobody is served.",
            "iris-draft": "fathom run iris-draft",
            "delta-forms": "All 20 anchors pass.",
        }.items():
            pilot.app.screen.query_one("#watched", Grid).show(slug)
            await settle(pilot)
            assert words in text(pilot, "why")


async def test_enter_opens_the_failing_anchors_with_both_answers(
    home: Home, agent: Listener
) -> None:
    fleet(home)
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "enter")

        said = text(pilot, "story")
        assert "6 failing anchors of 20" in said
        assert 'expected {"category": "fraud", "urgency": "high"' in said
        assert 'answered {"category": "card", "urgency": "high"' in said
        assert "anchor-20   finish: length" in said
        assert "answered fraud fraud fraud fraud" in said
        assert pilot.app.screen.query_one("#story").has_focus
        assert not pilot.app.screen.query_one("#watched").is_on_screen
        await pilot.press("escape")
        await settle(pilot)
        assert pilot.app.screen.query_one("#watched").has_focus


async def test_an_open_engagement_shows_history_alerts_and_deployment(
    home: Home, agent: Listener
) -> None:
    fleet(home)
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "enter")

        said = text(pilot, "story")
        assert "Last 27 checks" in said
        assert re.search(r"^ 18 │┄.*! *┄+ 18 must pass$", said, re.MULTILINE)
        assert "warning → critical   command ✓   webhook ✗ (HTTP 500)" in said
        assert "v3, serving since 3 Nov 2026 10:20 UTC" in said
        assert "feedback   2 good, 1 bad" in said
        assert "data until 2026-12-31" in said


async def test_a_webhook_is_shown_without_its_secret(home: Home, agent: Listener) -> None:
    fleet(home)
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await look(pilot, "enter")

        said = text(pilot, "around")
        assert "hooks.example.com" in said
        assert "secret" not in said
        assert "T0" not in said


async def test_left_and_right_turn_to_the_next_engagement_while_one_is_open(
    home: Home, agent: Listener
) -> None:
    fleet(home)
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "enter", "right")
        assert text(pilot, "story").startswith("! warning   19/20 anchors")
        await pilot.press("left")
        await settle(pilot)

        assert text(pilot, "story").startswith("✗ critical   14/20 anchors")


async def test_words_narrow_the_list_and_escape_shows_all(home: Home, agent: Listener) -> None:
    fleet(home)
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "slash")
        await type_in(pilot, "unknown|ok v1")
        await settle(pilot)
        assert keys(pilot, "watched") == ["foxtrot-mail", "banking-77", "delta-forms"]
        await type_in(pilot, " zzz")
        await settle(pilot)
        assert "No engagement has these words" in text(pilot, "why")
        await pilot.press("escape")
        await settle(pilot)

        assert len(keys(pilot, "watched")) == 9


async def test_s_sorts_by_name_age_and_latency(home: Home, agent: Listener) -> None:
    fleet(home)
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "s")
        assert keys(pilot, "watched") == sorted(keys(pilot, "watched"))
        await pilot.press("s")
        await settle(pilot)
        assert keys(pilot, "watched")[0] == "banking-77"
        await pilot.press("s")
        await settle(pilot)
        assert keys(pilot, "watched")[:2] == ["borealis-claims", "acme-triage"]
        assert "slowest first" in str(pilot.app.screen.query_one("#watched").border_title)


async def test_an_empty_ledger_says_what_to_do(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "r", "enter", "s")

        assert "Nothing to watch yet" in text(pilot, "nothing")
        assert "fathom demo" in text(pilot, "nothing")


async def test_an_engagement_without_a_deployment_cannot_be_checked(
    home: Home, agent: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HealthScreen, "CHECK", stand_in("at once"))
    story.engagement(home, "Iris draft")
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "r", "R")

        assert screen_of(pilot).checks.current == ""
        assert Store(home).checks() == []


async def test_odd_events_are_shown_as_unknown_and_break_nothing(
    home: Home, agent: Listener
) -> None:
    odd = Served(home, "odd").deployed("v1", ago(days=3))
    odd.add("check", ago(days=2), deployment="odd:v1", passed="many", total=None)
    odd.add("check", ago(days=1), deployment=None, passed=3, total=2, answers=[1, {}], drift=[])
    odd.add(
        "check",
        ago(hours=1),
        deployment="odd:v1",
        passed=0,
        total=0,
        failures=7,
        answers={"id": 1},
        reasons="\x1b[31mred\nand [bold]more[/bold]",
        latency_s=float("nan"),
        threshold="high",
        drift={"p_value": "small"},
    )
    odd.add("alert", ago(hours=1), deployment="odd:v1", state=None, before=3, reasons=None)
    Served(home, "ahead").deployed("v1", ago(days=3)).checked(NOW + timedelta(days=400), 20)
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await look(pilot, "enter", "right", "escape")

        assert cells(pilot, "watched", "odd")[0] == "? unknown"
        assert cells(pilot, "watched", "odd")[4] == "0/0"
        assert cells(pilot, "watched", "ahead")[6] == "in future"
        assert cells(pilot, "watched", "ahead")[0] == "? unknown"
        pilot.app.screen.query_one("#watched", Grid).show("ahead")
        await settle(pilot)
        assert "400 d in the future" in text(pilot, "why").replace("\n  ", " ")
        pilot.app.screen.query_one("#watched", Grid).show("odd")
        await settle(pilot)
        assert "[31mred and [bold]more[/bold]" in text(pilot, "why")
        assert "\x1b" not in text(pilot, "why")


@pytest.mark.parametrize("size", [(40, 12), (60, 20), (80, 24), (109, 30), (200, 60)])
async def test_the_name_and_the_state_are_readable_at_every_size(
    home: Home, agent: Listener, size: tuple[int, int]
) -> None:
    fleet(home)
    async with opened(home, agent).run_test(size=size) as pilot:
        await look(pilot)
        grid = pilot.app.screen.query_one("#watched", Grid)
        line = grid.render_line(1).text

        assert "✗ critical" in line
        assert "acme" in line
        assert "14/20" in line


async def test_another_size_gives_other_columns(home: Home, agent: Listener) -> None:
    fleet(home)
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot)
        narrow = cells(pilot, "watched", "delta-forms")[5]
        await pilot.resize_terminal(*WIDE)
        await settle(pilot)

        assert len(cells(pilot, "watched", "delta-forms")[5]) == 2 * len(narrow)


async def test_without_colour_every_state_still_has_its_symbol_and_word(
    home: Home, agent: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    fleet(home)
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot)
        drawn = pilot.app.export_screenshot()

        for word in ("critical", "warning", "unknown", "stale", "unchecked", "stopped"):
            assert word in drawn


async def test_a_console_with_few_characters_gets_ascii(
    home: Home, agent: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FATHOM_ASCII", "1")
    fleet(home)
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await look(pilot, "enter")

        for slug in keys(pilot, "watched"):
            assert all(cell.isascii() for cell in cells(pilot, "watched", slug))
        for pane in ("story", "around", "summary"):
            assert text(pilot, pane).isascii()


async def test_r_makes_a_check_now_and_shows_what_it_found(
    home: Home, agent: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HealthScreen, "CHECK", stand_in("slow"))
    Served(home, "one").deployed("v1", ago(days=3))
    async with FathomApp(home, agent=agent).run_test(size=NARROW) as pilot:
        await look(pilot)
        await pilot.press("r", "r")
        await until(pilot, lambda: "checking" in cells(pilot, "watched", "one")[0])
        assert "checking one" in text(pilot, "summary")
        (home.data.parent / "go-one").touch()
        await until(pilot, lambda: cells(pilot, "watched", "one")[4] == "20/20")

        assert toasts(pilot) == []
        assert [check["passed"] for check in Store(home).checks("one")] == [20]


async def test_several_checks_wait_for_each_other(
    home: Home, agent: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HealthScreen, "CHECK", stand_in("slow"))
    for slug in ("one", "two", "three"):
        Served(home, slug).deployed("v1", ago(days=3))
    Served(home, "gone").deployed("v1", ago(days=3), "stopped")
    async with FathomApp(home, agent=agent).run_test(size=NARROW) as pilot:
        await look(pilot)
        await pilot.press("R")
        await until(pilot, lambda: "waiting" in text(pilot, "summary"))
        checks = screen_of(pilot).checks
        states = {slug: cells(pilot, "watched", slug)[0] for slug in keys(pilot, "watched")}
        first = checks.current

        assert states[first] == "● checking"
        assert [states[slug] for slug in checks.waiting] == ["○ waiting"] * 2
        assert states["gone"] == "■ stopped"
        for slug in ("one", "two", "three"):
            (home.data.parent / f"go-{slug}").touch()
        await until(pilot, lambda: not checks.current and not checks.waiting)
        assert {check["engagement"] for check in Store(home).checks()} == {"one", "two", "three"}


async def test_a_check_that_could_not_be_made_says_why_until_the_next(
    home: Home, agent: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HealthScreen, "CHECK", stand_in("broken"))
    Served(home, "one").deployed("v1", ago(days=3))
    async with FathomApp(home, agent=agent).run_test(size=NARROW) as pilot:
        await look(pilot)
        await pilot.press("r")
        await until(pilot, lambda: "could not be made" in text(pilot, "why"))
        assert "the server is not there." in text(pilot, "why").replace("\n  ", " ")
        assert "The check could not be made. one: fathom: the server is not there." in " ".join(
            toasts(pilot)
        )
        screen_of(pilot).checks.command = stand_in("at once")
        await pilot.press("r")
        await until(pilot, lambda: cells(pilot, "watched", "one")[0] == "✓ ok")

        assert "could not be made" not in text(pilot, "why")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("/nowhere/fathom",), "No such file or directory"),
        ((sys.executable, "-c", "import os, signal; os.kill(os.getpid(), 9)"), "signal 9"),
        ((sys.executable, "-c", "print('not JSON')"), "ended with 0 and said nothing"),
        ((sys.executable, "-c", "print('[]'); raise SystemExit(3)"), "ended with 3"),
    ],
    ids=["missing", "killed", "no JSON", "empty list"],
)
async def test_a_command_that_is_no_check_is_told(
    home: Home,
    agent: Listener,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.setattr(HealthScreen, "CHECK", command)
    Served(home, "one").deployed("v1", ago(days=3))
    async with FathomApp(home, agent=agent).run_test(size=WIDE) as pilot:
        await look(pilot)
        await pilot.press("r")
        await until(pilot, lambda: said in text(pilot, "why"))


async def test_a_check_under_way_is_finished_when_the_screens_are_left(
    home: Home, agent: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HealthScreen, "CHECK", stand_in("slow"))
    Served(home, "one").deployed("v1", ago(days=3))
    Served(home, "two").deployed("v1", ago(days=3))
    async with FathomApp(home, agent=agent).run_test(size=NARROW) as pilot:
        await look(pilot)
        await pilot.press("R")
        checks = screen_of(pilot).checks
        await until(pilot, lambda: bool(checks.current))
        under_way = checks.current
    assert Store(home).checks() == []
    (home.data.parent / f"go-{under_way}").touch()
    for _ in range(600):
        if Store(home).checks():
            break
        await asyncio.sleep(0.05)

    assert [check["engagement"] for check in Store(home).checks()] == [under_way]


async def test_a_check_goes_on_while_another_screen_is_shown(
    home: Home, agent: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HealthScreen, "CHECK", stand_in("slow"))
    Served(home, "one").deployed("v1", ago(days=3))
    async with FathomApp(home, agent=agent).run_test(size=NARROW) as pilot:
        await look(pilot)
        await pilot.press("r")
        checks = screen_of(pilot).checks
        await until(pilot, lambda: checks.current == "one")
        await pilot.press("1")
        (home.data.parent / "go-one").touch()
        await until(pilot, lambda: not checks.current)
        await look(pilot)

        assert cells(pilot, "watched", "one")[0] == "✓ ok"


async def test_a_check_that_a_timer_made_appears_by_itself(home: Home, agent: Listener) -> None:
    served = Served(home, "one").deployed("v1", ago(days=3))
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot)
        served.checked(ago(minutes=1), 12)
        await settle(pilot)

        assert cells(pilot, "watched", "one")[0] == "✗ critical"
        assert "12 of 20 anchors pass" in text(pilot, "why")


async def test_a_damaged_journal_of_the_open_engagement_is_told_and_the_rest_goes_on(
    home: Home, agent: Listener
) -> None:
    Served(home, "bad").deployed("v1", ago(days=3)).checked(ago(hours=1), 10)
    Served(home, "good").deployed("v1", ago(days=3)).checked(ago(hours=1), 20)
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "enter")
        path = home.engagement_journal("bad")
        path.write_text("{]\n" + path.read_text("utf-8"), "utf-8")
        await settle(pilot)

        assert any("bad" in toast for toast in toasts(pilot))
        assert cells(pilot, "watched", "good")[0] == "✓ ok"


def test_one_missing_anchor_is_one_level_and_none_is_rounded_away() -> None:
    assert [level(passed / 20) for passed in (20, 19, 18, 17, 16, 15, 14, 2)] == [
        6, 5, 4, 3, 2, 1, 0, 0,
    ]  # fmt: skip
    assert level(199 / 200) == 5


def test_the_line_of_checks_shows_the_newest_at_the_right() -> None:
    checks = [check(passed) for passed in (1, 20, 20, 19)]

    assert spark(checks, 3, UNICODE).plain == "▇▇▆"
    assert spark(checks, 6, UNICODE).plain == "  ▁▇▇▆"
    assert spark([check(None)], 3, ASCII).plain == "  ?"
    assert spark([], 3, ASCII).plain == "   "


@pytest.mark.parametrize("width", [20, 50, 120])
@pytest.mark.parametrize(
    "counts",
    [(20,), (0,), (20, 0, 20), tuple(range(21)), (None, 20), (None,), ()],
    ids=["all", "none", "dip", "rise", "one unknown", "all unknown", "no check"],
)
def test_the_plot_fits_and_has_every_counted_check(
    counts: tuple[int | None, ...], width: int
) -> None:
    lines = plot([check(count) for count in counts], 0.9, UNICODE, width)
    drawn = "\n".join(line.plain for line in lines[:-3])
    fitting = [count for count in counts[-(width - 5) :] if count is not None]

    assert len(lines) <= 11
    assert all(line.cell_length <= width for line in lines)
    assert sum(drawn.count(mark) for mark in "●!✗") == len(fitting)
    assert bool(lines) == bool(fitting)


@pytest.mark.parametrize("total", [1, 3, 20, 97, 500])
def test_the_plot_has_no_level_below_none(total: int) -> None:
    checks = [replace(check(count), total=total) for count in (0, 1, total)]
    levels = [int(line.plain[:3]) for line in plot(checks, 0.9, ASCII, 60)[:-3]]

    assert levels[0] == total
    assert min(levels) >= 0
    assert levels == sorted(levels, reverse=True)


def test_only_what_differs_between_two_answers_is_marked() -> None:
    expected, actual = compared('{"a": "high", "b": 1.5}', '{"a": "low", "b": 2}')

    assert [part for part, marked in expected if marked] == ["high", "1.5"]
    assert [part for part, marked in actual if marked] == ["low", "2"]
    assert "".join(part for part, _ in expected) == '{"a": "high", "b": 1.5}'


def test_answers_stand_side_by_side_where_there_is_room() -> None:
    miss = Miss(id="a1", expected="card", actual="", finish_reason="stop")
    wide = [line.plain for line in misses([miss], UNICODE, 110)]
    narrow = [line.plain for line in misses([miss], UNICODE, 60)]

    assert len(wide) == 2
    assert wide[1].split() == ["expected", "card", "answered", "(nothing)"]
    assert len(narrow) == 3


def test_an_answer_without_end_is_cut() -> None:
    endless = Miss(id="a1", expected="card", actual="x" * 5000, finish_reason="length")

    assert sum(len(line.plain) for line in misses([endless], UNICODE, 80)) < 1500


def check(passed: int | None) -> Check:
    """Return a check of 20 anchors."""
    state = "unknown" if passed is None else "ok" if passed == 20 else "warning"
    return Check(deployment="one:v1", state=state, passed=passed, total=20, at=NOW, latency_s=None)


@SIZES
@pytest.mark.parametrize("pressed", [(), ("enter",), ("j", "j")], ids=["worst", "open", "unknown"])
def test_health_looks_as_it_did(
    home: Home,
    agent: Listener,
    size: tuple[int, int],
    pressed: tuple[str, ...],
    snap_compare: Compare,
) -> None:
    fleet(home)

    async def bring(pilot: Pilot[None]) -> None:
        for key in ("7", *pressed):
            await after(key)(pilot)

    assert snap_compare(opened(home, agent), terminal_size=size, run_before=bring)
