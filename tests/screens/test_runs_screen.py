"""The Runs screen: live, ended in every way, and what can be asked for from it."""

from datetime import timedelta

import pytest

from fathom_tui.screens.board import Board
from fathom_tui.screens.confirm import Confirm
from fathom_tui.screens.grid import Grid
from fathom_tui.screens.loss import Loss, curves
from fathom_tui.screens.runs import RunsScreen
from fathom_tui.screens.waive import WaiveForm
from fathom_tui.stages import STAGE_NAMES, RunState
from fathom_tui.store.ledger import Store
from fathom_tui.store.paths import Home
from tests.screens import story
from tests.screens.looking import (
    NARROW,
    WIDE,
    Listener,
    cells,
    keys,
    label,
    opened,
    settle,
    text,
    toasts,
    type_in,
)


async def test_runs_screen_says_what_to_do_when_there_is_no_run(
    home: Home, agent: Listener
) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await pilot.press("2")
        await settle(pilot)

        assert "No run yet" in text(pilot, "nothing")
        assert "fathom demo" in text(pilot, "nothing")


async def test_runs_are_listed_newest_first_with_their_state(home: Home, agent: Listener) -> None:
    slug = story.engagement(home)
    refused = story.refusal(home, slug, began=story.BEGAN - timedelta(days=1))
    done = story.finished(home, slug)

    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await pilot.press("2")
        await settle(pilot)

        assert keys(pilot, "runs") == [done, refused]
        assert cells(pilot, "runs", done) == ["✓", done, "50 min"]
        assert cells(pilot, "runs", refused) == ["✗", refused, "1 d"]


async def test_a_run_grows_while_one_looks(home: Home, agent: Listener) -> None:
    slug = story.engagement(home)
    live = story.training(home, slug, steps=20)
    agent.beat = story.heartbeat(live)

    async with opened(home, agent, run=live.run_id, now=live.now).run_test(size=WIDE) as pilot:
        await settle(pilot)
        before = cells(pilot, "stages", "train")
        live.losses(116, of=116)
        live.end("train")
        live.begin("merge")
        agent.beat = story.heartbeat(live, "merge")
        await settle(pilot)

        assert before[2:] == ["running", "1:45 of ~2:51", "━─────── step 20 of 116"]
        assert cells(pilot, "stages", "train")[:4] == ["✓", "train", "done", "2 min 51 s"]
        assert cells(pilot, "stages", "merge")[2] == "running"
        assert pilot.app.screen.query_one("#stages", Grid).key == "merge"
        assert "merge" in text(pilot, "journal").splitlines()[-1]


async def test_a_running_stage_ticks(home: Home, agent: Listener) -> None:
    live = story.training(home, story.engagement(home))
    agent.beat = story.heartbeat(live)
    app = opened(home, agent, run=live.run_id)

    async with app.run_test(size=NARROW) as pilot:
        times = []
        for seconds in (0, 1, 65):
            app.now = lambda seconds=seconds: live.now + timedelta(seconds=seconds)  # type: ignore[misc]
            await settle(pilot)
            times.append(cells(pilot, "stages", "train")[3].split()[0])

    assert times == ["1:45", "1:46", "2:50"]


async def test_a_half_written_line_waits(home: Home, agent: Listener) -> None:
    live = story.training(home, story.engagement(home))
    agent.beat = story.heartbeat(live)
    live.journal.close()
    path = story.path_of(home, live.run_id)
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])

    async with opened(home, agent, run=live.run_id).run_test(size=NARROW) as pilot:
        await settle(pilot)
        screen = pilot.app.screen
        assert isinstance(screen, RunsScreen)
        seen = screen.view.seq
        path.write_bytes(whole)
        await settle(pilot)

        assert screen.view.seq == seen + 1
        assert toasts(pilot) == []


async def test_a_damaged_journal_is_told_once_and_the_screen_lives(
    home: Home, agent: Listener
) -> None:
    run = story.finished(home, story.engagement(home))
    path = story.path_of(home, run)
    lines = path.read_bytes().split(b"\n")
    lines[3] = b"noise"
    path.write_bytes(b"\n".join(lines))

    async with opened(home, agent, run=run).run_test(size=NARROW) as pilot:
        await settle(pilot)
        await settle(pilot)

        assert len(toasts(pilot)) == 1
        assert f"{path}, line 4 cannot be read" in toasts(pilot)[0]


async def test_a_run_without_an_agent_is_interrupted_and_stands_still(
    home: Home, agent: Listener
) -> None:
    live = story.training(home, story.engagement(home))

    async with opened(home, agent, run=live.run_id).run_test(size=NARROW) as pilot:
        await settle(pilot)

        assert cells(pilot, "runs", live.run_id)[0] == "■"
        assert cells(pilot, "stages", "train")[:3] == ["■", "train", "stopped"]
        assert "interrupted" in text(pilot, "headline")
        assert "R goes on" in text(pilot, "headline")


async def test_losses_are_plotted_without_what_is_not_a_number(home: Home, agent: Listener) -> None:
    live = story.training(home, story.engagement(home), steps=30)
    live.add("metric", stage="train", step=31, train_loss=float("nan"))
    agent.beat = story.heartbeat(live)

    async with opened(home, agent, run=live.run_id).run_test(size=WIDE) as pilot:
        await settle(pilot)
        screen = pilot.app.screen
        assert isinstance(screen, RunsScreen)
        training, validation = curves(screen.view.metrics)

        assert [step for step, _ in training] == list(range(1, 31))
        assert [step for step, _ in validation] == [14, 28]
        assert "validation 0.668 best yet" in label(pilot, "legend")
        assert screen.query_one(Loss).query("PlotextPlot")


async def test_warnings_of_every_stage_are_in_sight(home: Home, agent: Listener) -> None:
    run = story.finished(home, story.engagement(home))

    async with opened(home, agent, run=run).run_test(size=WIDE) as pilot:
        await settle(pilot)
        gates = text(pilot, "gates")

        assert "! 3 warnings" in text(pilot, "headline")
        assert "anchors.served" in gates
        assert "quantize.effective_bits" in gates
        assert "Label 46 more rows" in gates


async def test_the_cursor_on_a_stage_shows_its_gates(home: Home, agent: Listener) -> None:
    run = story.finished(home, story.engagement(home))

    async with opened(home, agent, run=run).run_test(size=WIDE) as pilot:
        await settle(pilot)
        await pilot.press("l", "g", "j")
        await settle(pilot)

        assert text(pilot, "gates").startswith("data  parse, deduplicate")


async def test_the_comparison_shows_every_way_and_what_it_cost(home: Home, agent: Listener) -> None:
    run = story.finished(home, story.engagement(home))

    async with opened(home, agent, run=run).run_test(size=WIDE) as pilot:
        await settle(pilot)
        lines = text(pilot, "result").splitlines()

        assert [line[:16].strip() for line in lines[1:7]] == [
            "untuned",
            "best prompt",
            "nearest examples",
            "plain code",
            "tuned",
            "tuned, quantised",
        ]
        assert "0.846" in lines[6]
        assert "0.81–0.88" in lines[6]
        assert "0.95" in lines[6]
        assert "n = 154   target 0.609   271 MB to 101 MB, 6.17 bits/weight" in lines[7]
        assert "perplexity 12.41 to 12.65 (+1.9%)   anchors 20 of 20 passed" in lines[8]
        assert "✓ Ship it: 0.846 against 0.555" in text(pilot, "headline")


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_the_result_comes_to_the_front_when_evaluate_ends(
    home: Home, agent: Listener, size: tuple[int, int]
) -> None:
    run = story.finished(home, story.engagement(home))

    async with opened(home, agent, run=run).run_test(size=size) as pilot:
        await settle(pilot)
        panel = pilot.app.screen.query_one("#result")

        assert panel.display
        assert panel.size.height >= 8


async def test_cancelling_asks_and_enter_means_no(home: Home, agent: Listener) -> None:
    live = story.training(home, story.engagement(home))
    agent.beat = story.heartbeat(live)

    async with opened(home, agent, run=live.run_id).run_test(size=NARROW) as pilot:
        await settle(pilot)
        await pilot.press("c")
        await pilot.pause()
        assert isinstance(pilot.app.screen, Confirm)
        await pilot.press("enter")
        await settle(pilot)
        assert agent.asked == []

        await pilot.press("c")
        await pilot.pause()
        await pilot.press("tab", "enter")
        await settle(pilot)
        assert agent.asked == [("cancel", live.run_id)]


@pytest.mark.parametrize("key", ["n", "escape", "q"])
async def test_a_question_is_left_without_an_answer(home: Home, agent: Listener, key: str) -> None:
    live = story.training(home, story.engagement(home))
    agent.beat = story.heartbeat(live)

    async with opened(home, agent, run=live.run_id).run_test(size=NARROW) as pilot:
        await settle(pilot)
        await pilot.press("c")
        await pilot.pause()
        await pilot.press(key)
        await settle(pilot)

        assert isinstance(pilot.app.screen, RunsScreen)
        assert agent.asked == []


async def test_only_what_makes_sense_can_be_asked_for(home: Home, agent: Listener) -> None:
    slug = story.engagement(home)
    done = story.finished(home, slug)
    refused = story.refusal(home, slug)

    async with opened(home, agent, run=done).run_test(size=NARROW) as pilot:
        await settle(pilot)
        await pilot.press("c", "R", "w")
        await settle(pilot)
        assert isinstance(pilot.app.screen, RunsScreen)
        assert agent.asked == []

        pilot.app.screen.query_one("#runs", Grid).show(refused)
        await settle(pilot)
        await pilot.press("R")
        await settle(pilot)
        assert agent.asked == [("resume", refused)]


async def test_a_waiver_needs_a_name_and_a_reason(home: Home, agent: Listener) -> None:
    run = story.refusal(home, story.engagement(home))
    store = Store(home)

    async with opened(home, agent, run=run).run_test(size=NARROW) as pilot:
        await settle(pilot)
        await pilot.press("w")
        await pilot.pause()
        await pilot.press("tab", "enter")
        assert label(pilot, "problem") == "A waiver needs a name and a reason."
        await type_in(pilot, "a first look")
        await pilot.press("enter")
        assert label(pilot, "problem") == "A waiver needs a name."
        assert isinstance(pilot.app.screen, WaiveForm)
        assert store.waivers("acme-triage") == []

        await pilot.press("shift+tab")
        await type_in(pilot, "Ann")
        await pilot.press("enter", "enter")
        await settle(pilot)

        [waiver] = store.waivers("acme-triage", run)
        assert (waiver["gate"], waiver["by"], waiver["reason"]) == (
            "data.floor",
            "Ann",
            "a first look",
        )
        assert "waived by Ann: a first look" in text(pilot, "gates")
        assert "R goes on" in text(pilot, "headline")


async def test_escape_sequences_from_elsewhere_are_not_drawn(home: Home, agent: Listener) -> None:
    run_id = Store(home).reserve_run(story.engagement(home))
    live = story.Story(home, run_id)
    live.attempt()
    live.begin("preflight")
    evil = "\x1b]52;c;cm0gLXJm\x07\x1b[2J\u202egnp"
    live.add("note", stage="preflight", text=evil)
    live.add("progress", stage="preflight", done=1, total=2, note=evil)
    live.end("preflight", "failed", error={"message": evil, "fix": evil})
    live.finish("failed", error={"message": evil, "fix": evil})

    async with opened(home, agent, run=run_id).run_test(size=WIDE) as pilot:
        await settle(pilot)
        drawn = "".join(strip.text for strip in pilot.app.screen._compositor.render_strips())

    assert "52;c;cm0gLXJm" in drawn
    assert not {"\x1b", "\x07", "\u202e"} & set(drawn)


async def test_a_run_asked_for_is_shown_before_its_journal_is_there(
    home: Home, agent: Listener
) -> None:
    from fathom_tui.store import requests

    slug = story.engagement(home)
    run = requests.start_run(home, slug, created_by="ann")

    async with opened(home, agent, run=run).run_test(size=NARROW) as pilot:
        await settle(pilot)

        assert cells(pilot, "runs", run)[:2] == ["○", run]
        assert "queued" in text(pilot, "headline")


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_every_panel_is_reached_by_tab_and_shown_alone_by_zoom(
    home: Home, agent: Listener, size: tuple[int, int]
) -> None:
    run = story.finished(home, story.engagement(home))

    async with opened(home, agent, run=run).run_test(size=size) as pilot:
        await settle(pilot)
        visited = []
        for _ in range(6):
            await pilot.press("tab")
            await pilot.pause()
            focused = pilot.app.focused
            assert focused is not None
            assert focused.size.height > 0
            visited.append(focused.id)
            await pilot.press("z")
            await pilot.pause()
            shown = [w.id for w in pilot.app.screen.query_one(Board).children if w.display]
            assert shown == [focused.id]
            board = pilot.app.screen.query_one(Board)
            assert focused.outer_size.height == board.size.height
            await pilot.press("z")
            await pilot.pause()

    assert visited == ["stages", "gates", "loss", "result", "journal", "runs"]


async def test_another_run_is_shown_when_the_cursor_moves(home: Home, agent: Listener) -> None:
    slug = story.engagement(home)
    story.refusal(home, slug)
    done = story.finished(home, slug)

    async with opened(home, agent, run=done).run_test(size=NARROW) as pilot:
        await settle(pilot)
        await pilot.press("G")
        await settle(pilot)
        screen = pilot.app.screen
        assert isinstance(screen, RunsScreen)

        assert screen.state is RunState.REFUSED
        assert "120 training rows" in text(pilot, "headline")
        assert [*screen.view.stages] == [*STAGE_NAMES]
