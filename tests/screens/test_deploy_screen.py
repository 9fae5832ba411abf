"""The Deploy screen: what is live by ledger and server, what proves it, and the way back."""

import asyncio
import json
import re
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Button, Input, Static

from fathom_tui.screens.confirm import Confirm
from fathom_tui.screens.deploy import DeployScreen
from fathom_tui.screens.deploy_path import PathForm
from fathom_tui.screens.grid import Grid
from fathom_tui.store.ledger import Store
from fathom_tui.store.paths import Home
from tests.screens import story
from tests.screens.fleet import Served, ago
from tests.screens.looking import (
    NARROW,
    WIDE,
    Listener,
    cells,
    keys,
    opened,
    settle,
    text,
    toasts,
)
from tests.screens.releasing import COMMAND, TARGET_MISSED, asked, released, server, tell
from tests.screens.test_snapshots import SIZES, Compare

SLUG = "acme-triage"
TAKEN_BACK = {
    "say": ["20 of 20 anchors pass before it goes live.", "The alias moved to v2."],
    "error": "v2 was taken back: 17 of 20 anchors pass when served. v3 answers again.",
    "fix": "Compare the served prompt with the trained one.",
    "code": 1,
}


@pytest.fixture(autouse=True)
def stand_in(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a program of the tests answer for the commands."""
    monkeypatch.setattr(DeployScreen, "COMMAND", COMMAND)
    home.data.parent.mkdir(parents=True, exist_ok=True)
    tell(home)


async def until(pilot: Pilot[None], holds: Callable[[], bool]) -> None:
    """Wait for what another process brings about."""
    for _ in range(600):
        if holds():
            await pilot.pause()
            return
        await pilot.pause(0.05)
    raise AssertionError("it did not come about within half a minute")


async def look(pilot: Pilot[None], *pressed: str) -> None:
    """Go to the screen and press keys; wait until nothing is asked any more."""
    await settle(pilot)
    for key in ("8", *pressed):
        await pilot.press(key)
        await rest(pilot)


async def rest(pilot: Pilot[None]) -> None:
    """Wait until the screen has looked, and asked what it wants to know."""
    await settle(pilot)
    screen = pilot.app.screen
    if isinstance(screen, DeployScreen):
        screen._ask()
        await settle(pilot)


def screen_of(pilot: Pilot[None]) -> DeployScreen:
    """Return the screen, also below a dialog."""
    [found] = [s for s in pilot.app.screen_stack if isinstance(s, DeployScreen)]
    return found


def dialog(pilot: Pilot[None]) -> str:
    """Return what a dialog says, on one line."""
    texts = [str(each.visual) for each in pilot.app.screen.query(Static)]
    return " ".join(" ".join(texts).split())


def said(pilot: Pilot[None], pane: str) -> str:
    """Return what a panel says, on one line."""
    return " ".join(text(pilot, pane).split())


async def test_versions_stand_beside_what_the_server_says(home: Home, agent: Listener) -> None:
    released(home)
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await look(pilot)

        assert keys(pilot, "benches") == [SLUG, "borealis-claims", "copper-forms"]
        assert keys(pilot, "versions") == ["v3", "v2", "v1"]
        assert cells(pilot, "versions", "v3") == [
            "●", "v3", "serving", "live", "14/20", "2 d", "0.846", "101 MB", "", "acme-triage-3",
        ]  # fmt: skip
        assert cells(pilot, "versions", "v2")[:5] == [" ", "v2", "superseded", "kept", "19/20"]
        headline = text(pilot, "headline")
        assert headline.startswith("✓ acme-triage  v3 is live  on ollama")
        assert "the server agrees" in headline
        assert "v3 fails its anchors: b on v2 goes back to it" in headline
        assert "server asked just now" in headline


async def test_a_server_that_serves_another_version_is_seen_at_once(
    home: Home, agent: Listener
) -> None:
    released(home)
    tell(home, versions_acme_triage=server(SLUG, "v2", "v3"))
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot)

        assert text(pilot, "headline").startswith(
            "✗ acme-triage  live in the ledger: v3   on the server: v2"
        )
        assert "b on the version that should be live sets both right" in text(pilot, "headline")
        assert cells(pilot, "versions", "v3")[0] == "✗"
        assert cells(pilot, "versions", "v2")[:4] == ["✗", "v2", "superseded", "live"]
        assert cells(pilot, "versions", "v1")[3] == "not there"
        assert cells(pilot, "benches", SLUG)[0] == "✗"
        assert "the server keeps it and does not answer with it" in said(pilot, "details")


def _stopped(*versions: str) -> dict[str, Any]:
    """Return what `versions` prints while the server of an engagement is stopped."""
    return {
        "data": [
            {"version": each, "live": False, "answering": False, "kept": True, "error": None}
            for each in versions
        ]
    }


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_a_server_that_is_stopped_has_only_to_be_started(
    home: Home, agent: Listener, size: tuple[int, int]
) -> None:
    slug = "borealis-claims"
    released(home)
    tell(home, versions_borealis_claims=_stopped("v1"))
    async with opened(home, agent).run_test(size=size) as pilot:
        await look(pilot)
        pilot.app.screen.query_one("#benches", Grid).show(slug)
        await rest(pilot)

        headline = text(pilot, "headline")
        assert headline.startswith(f"! {slug}  v1 is live in the ledger; its server is not running")
        assert f"→ fathom serve {slug}" in headline
        assert "sets both right" not in headline
        assert cells(pilot, "versions", "v1")[:4] == ["!", "v1", "serving", "stopped"]
        assert cells(pilot, "benches", slug)[0] == "!"
        assert said(pilot, "details").startswith(
            "! v1 is live in the ledger; its server is not running. "
            f"→ fathom serve {slug} state serving, the server: stopped"
        )
        await pilot.press("b")
        await pilot.press("d")
        await rest(pilot)
        [back, deploy] = toasts(pilot)
        assert f"v1 is live and its server is not running: fathom serve {slug}." in back
        assert f"Its server is not running: fathom serve {slug}." in deploy


async def test_the_cursor_begins_on_what_is_live_and_removed_versions_are_last(
    home: Home, agent: Listener
) -> None:
    slug = story.engagement(home)
    served = Served(home, slug, target="llama-cpp", version="v0")
    served.deployed("v1", ago(days=6)).deployed("v2", ago(days=5)).deployed("v3", ago(days=4))
    served.deployed("v4", ago(days=3), "failed").deployed("v3", ago(days=2), "removed")
    served.deployed("v1", ago(days=1), "superseded")
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot)

        assert keys(pilot, "versions") == ["v4", "v2", "v1", "v3"]
        assert pilot.app.screen.query_one("#versions", Grid).key == "v2"
        assert "Details of v2" in str(pilot.app.screen.query_one("#details").border_title)
        await pilot.press("j")
        served.deployed("v2", ago(hours=5), "removed")
        await rest(pilot)
        assert keys(pilot, "versions") == ["v4", "v1", "v3", "v2"]
        assert pilot.app.screen.query_one("#versions", Grid).key == "v1"


async def test_another_engagement_begins_on_its_own_live_version(
    home: Home, agent: Listener
) -> None:
    for slug, live in (("acme", "v1"), ("borealis", "v3")):
        served = Served(home, slug)
        for version in ("v1", "v2", "v3"):
            served.deployed(version, ago(days=2), "superseded")
        served.deployed(live, ago(days=1))
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot)
        benches, versions = (
            pilot.app.screen.query_one(f"#{grid}", Grid) for grid in ("benches", "versions")
        )
        assert (benches.key, versions.key) == ("acme", "v1")
        benches.show("borealis")
        await rest(pilot)
        assert versions.key == "v3"


async def test_a_dialog_is_not_covered_by_what_was_told_before(home: Home, agent: Listener) -> None:
    released(home)
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "b")
        [told] = pilot.app._notifications
        assert told.timeout < pilot.app.NOTIFICATION_TIMEOUT
        await pilot.press("j", "b")
        await pilot.pause()

        assert isinstance(pilot.app.screen, Confirm)
        assert toasts(pilot) == []
        assert not pilot.app.screen.query("Toast")


async def test_a_server_that_is_not_reached_is_not_taken_for_agreement(
    home: Home, agent: Listener
) -> None:
    released(home)
    tell(home, versions_acme_triage=server(SLUG, "", error="No Ollama server answers."))
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await look(pilot)

        assert "says the ledger; the server was not reached" in text(pilot, "headline")
        assert "No Ollama server answers." in text(pilot, "headline")
        assert cells(pilot, "versions", "v3")[3] == "not reached"
        tell(home, versions_acme_triage=server(SLUG, "v3", "v1", "v2"))
        await pilot.press("r")
        await rest(pilot)
        assert "the server agrees" in text(pilot, "headline")


async def test_a_command_that_fails_is_told_with_its_fix(home: Home, agent: Listener) -> None:
    released(home)
    tell(home, versions_acme_triage={"error": "The ledger is locked.", "fix": "Wait.", "code": 5})
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await look(pilot)

        assert "The ledger is locked. → Wait." in text(pilot, "headline")
        assert cells(pilot, "versions", "v3")[3] == "-"


async def test_gates_are_those_of_the_run_that_made_the_version_with_their_waivers(
    home: Home, agent: Listener
) -> None:
    released(home)
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await look(pilot)

        found = said(pilot, "gates")
        assert found.startswith("acme-triage-3 3 warned 16 passed 1 waived")
        assert "data.floor 460 training rows; from 500 nothing is said. waived by ann:" in found
        assert "they accept the wider interval" in found
        assert "✓ evaluate.target 0.846 reaches the target" in found
        await pilot.press("j")
        await rest(pilot)
        assert said(pilot, "gates").startswith("acme-triage-2 3 warned 16 passed")
        assert "waived" not in text(pilot, "gates")


async def test_details_hold_file_address_spec_and_history(home: Home, agent: Listener) -> None:
    released(home)
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "j", "enter")

        found = said(pilot, "details")
        for words in (
            "superseded, the server: kept",
            "ollama as acme-triage:live",
            "http://127.0.0.1:11434",
            "31ab" * 8,
            "0.846 (0.809 to 0.883), n = 154",
            "warning, 19 of 20 pass, 18 Nov 2026 10:20 UTC",
            "1024 tokens, at most 64 of them answer",
            "Read the message and fill in the fields.",
            "19 Nov 2026 10:19 UTC superseded v3 went live",
        ):
            assert words in found
        assert pilot.app.screen.query_one("#details").has_focus
        await pilot.press("escape")
        await settle(pilot)
        assert pilot.app.screen.query_one("#versions").has_focus


async def test_checklist_and_units_are_asked_for_when_they_are_looked_at(
    home: Home, agent: Listener
) -> None:
    released(home)
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot)
        assert asked(home, "package") == []
        assert asked(home, "runner") == []
        await pilot.press("tab", "tab", "tab")
        await rest(pilot)
        found = said(pilot, "checklist")
        assert found.startswith("2 of 4 ticked")
        assert "✓ Reaches the target that was set before gate evaluate.target: 0.846" in found
        assert "○ A call of 30 minutes → Walk through usage.md together." in found
        assert asked(home, "package") == [
            ["package", SLUG, "--run", "acme-triage-3", "--checklist", "--json"]
        ]
        await pilot.press("tab")
        await rest(pilot)
        units = said(pilot, "units")
        assert "✓ fathom-server-acme-triage.service active, 2 restarts" in units
        assert "✗ fathom-health.service failed, exit-code 2" in units
        assert units.index("acme-triage") < units.index("agent.service")
        assert "They end with your last session" in units
        assert [given[-1:] for given in asked(home, "runner")] == [["--json"], ["--json"]]


async def test_without_units_it_says_how_to_install_them(home: Home, agent: Listener) -> None:
    released(home)
    tell(home, runner_status={"data": None, "code": 3})
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await look(pilot)

        assert "fathom runner install" in said(pilot, "units")


async def test_a_checklist_that_cannot_be_gathered_says_why(home: Home, agent: Listener) -> None:
    released(home)
    tell(home, package={"error": "Its cases were purged.", "fix": "Restore them.", "code": 2})
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await look(pilot)

        assert said(pilot, "checklist") == "✗ Its cases were purged. → Restore them."


async def test_a_roll_back_asks_first_and_no_changes_nothing(home: Home, agent: Listener) -> None:
    released(home)
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "j", "b")

        assert isinstance(pilot.app.screen, Confirm)
        found = dialog(pilot)
        assert "Make v2 of acme-triage live?" in found
        assert "Live now: v3 on ollama, last check 14/20" in found
        assert "Live then: v2, acme-triage-2, score 0.846, last check 19/20" in found
        assert "asked its 20 anchors first: if one fails nothing changes" in found
        assert "asked again: if one fails v3 answers again" in found
        assert pilot.app.screen.query_one("#no", Button).has_focus
        await pilot.press("enter")
        await rest(pilot)
        assert asked(home, "rollback") == []


async def test_a_key_that_follows_a_move_at_once_is_about_the_new_version(
    home: Home, agent: Listener
) -> None:
    released(home)
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot)
        pilot.app.screen.query_one("#versions", Grid).action_move(2)
        screen_of(pilot).action_back()
        await pilot.pause()
        assert "Make v1 of acme-triage live?" in dialog(pilot)
        await pilot.press("escape")
        pilot.app.screen.query_one("#benches", Grid).action_move(1)
        screen_of(pilot).action_back()
        await rest(pilot)

        assert isinstance(pilot.app.screen, DeployScreen)
        assert any("still being read" in toast for toast in toasts(pilot))


async def test_where_a_version_can_be_asked_only_live_the_dialog_says_so(
    home: Home, agent: Listener
) -> None:
    slug = story.engagement(home)
    served = Served(home, slug, target="llama-cpp", version="v0")
    served.deployed("v1", ago(days=3)).deployed("v1", ago(days=2), "superseded")
    served.deployed("v2", ago(days=2))
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "j", "b")

        assert "nothing will say whether it answers as it should" in dialog(pilot)
        await pilot.press("escape")
        folder = home.data / "serving" / slug
        folder.mkdir(parents=True)
        (folder / "v1.anchors.json").write_text("{}", "utf-8")
        await rest(pilot)
        await pilot.press("b")
        await rest(pilot)
        assert "On llama-cpp a version can be asked only when it is live" in dialog(pilot)


async def test_a_roll_back_that_is_agreed_to_goes_there_and_all_is_asked_anew(
    home: Home, agent: Listener
) -> None:
    released(home)
    rows = {row["version"]: row for row in Store(home).deployments(SLUG)}
    tell(
        home,
        rollback_acme_triage={
            "say": ["20 of 20 anchors pass before it goes live."],
            "record": [
                [SLUG, "deployment", _changed(rows["v3"], "superseded")],
                [SLUG, "deployment", _changed(rows["v2"], "serving")],
            ],
            "then": {"versions acme-triage": server(SLUG, "v2", "v1", "v3")},
            "data": {
                "engagement": SLUG, "target": "ollama", "version": "v2", "previous": "v3",
                "url": "http://127.0.0.1:11434", "anchors": {"passed": 20, "total": 20},
            },
        },
    )  # fmt: skip
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "j", "b", "y")

        assert asked(home, "rollback") == [["rollback", SLUG, "--to", "v2", "--json"]]
        assert text(pilot, "headline").startswith("✓ acme-triage  v2 is live  on ollama")
        assert cells(pilot, "versions", "v2")[:4] == ["●", "v2", "serving", "live"]
        found = said(pilot, "action")
        assert "✓ Going to v2" in found
        assert "20 of 20 anchors pass before it goes live." in found
        assert "acme-triage v2 is live on ollama. 20 of 20 anchors pass." in found
        assert any("v2 is live on ollama" in toast for toast in toasts(pilot))


def _changed(row: dict[str, Any], state: str) -> dict[str, Any]:
    kept = {name: value for name, value in row.items() if name not in ("engagement", "seq", "at")}
    return {**kept, "state": state}


async def test_a_version_that_was_taken_back_says_why_and_what_to_do(
    home: Home, agent: Listener
) -> None:
    released(home)
    tell(home, rollback_acme_triage=TAKEN_BACK)
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "j", "b", "y")

        found = said(pilot, "action")
        assert "✗ v2 was taken back: 17 of 20 anchors pass when served. v3 answers again." in found
        assert "→ Compare the served prompt with the trained one." in found
        assert "error:" not in found
        assert any("v2 was taken back" in toast for toast in toasts(pilot))
        assert len(asked(home, "versions")) == 2  # asked anew


async def test_lines_come_as_they_are_said_and_a_second_action_is_refused(
    home: Home, agent: Listener
) -> None:
    released(home)
    tell(home, rollback_acme_triage={**TAKEN_BACK, "waits": True})
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "j", "b")
        await pilot.press("y")
        await until(pilot, lambda: "20 of 20 anchors pass" in text(pilot, "headline"))
        assert re.search(r"● Going to v2  0:\d\d", text(pilot, "headline"))
        assert "● Going to v2" in text(pilot, "action")
        assert "The alias moved" not in text(pilot, "action")
        assert cells(pilot, "benches", SLUG)[0] == "●"

        for key in ("b", "x", "d", "p", "v"):
            await pilot.press(key)
            await pilot.pause()
            assert isinstance(pilot.app.screen, DeployScreen)
        assert any("Going to v2 is still under way" in toast for toast in toasts(pilot))
        assert len(asked(home, "rollback")) == 1

        await pilot.press("1")
        await pilot.pause()
        await pilot.press("8")
        (home.data.parent / "go").touch()
        await until(pilot, lambda: "v2 was taken back" in said(pilot, "action"))
        assert "The alias moved to v2." in text(pilot, "action")


async def test_an_action_goes_on_when_the_screens_are_left_and_leaving_says_so(
    home: Home, agent: Listener
) -> None:
    released(home)
    event = {"key": "seen", "value": "to its end"}
    tell(
        home,
        rollback_acme_triage={"say": ["Asking."], "waits": True, "record": [[SLUG, "fact", event]]},
    )
    app = opened(home, agent)
    async with app.run_test(size=NARROW) as pilot:
        await look(pilot, "j", "b")
        await pilot.press("y")
        await until(pilot, lambda: "Asking." in text(pilot, "headline"))
        await pilot.press("q")
        await pilot.pause()
        assert "Going to v2 (acme-triage) goes on in the background." in str(app._exit_renderables)
    (home.data.parent / "go").touch()
    for _ in range(600):
        if any(row["key"] == "seen" for row in Store(home).facts(SLUG)):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the command was ended with the screens")


@pytest.mark.parametrize(
    ("pressed", "words"),
    [
        (("b",), "v3 is live. Put the cursor on the one to go back to. v2 was before it."),
        (("x",), "v3 is live. Go to another one first, with b."),
        (("d",), "v3 is the file of acme-triage-3, the last accepted run, and it is live."),
    ],
    ids=["back", "remove", "deploy"],
)
async def test_what_makes_no_sense_is_refused_with_the_reason(
    home: Home, agent: Listener, pressed: tuple[str, ...], words: str
) -> None:
    released(home)
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, *pressed)

        assert isinstance(pilot.app.screen, DeployScreen)
        assert any(words in toast for toast in toasts(pilot))


async def test_a_version_is_removed_after_a_question(home: Home, agent: Listener) -> None:
    released(home)
    path = home.data.parent / "told.json"
    told = json.loads(path.read_text("utf-8"))
    told["versions acme-triage --remove"] = {"say": ["v1 is removed."], "data": []}
    path.write_text(json.dumps(told), "utf-8")
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "j", "j", "x")
        assert "Remove v1 of acme-triage?" in dialog(pilot)
        assert "v3 stays live. There is no way back to v1 after this" in dialog(pilot)
        await pilot.press("y")
        await rest(pilot)

        assert ["versions", SLUG, "--remove", "v1", "--json"] in asked(home, "versions")
        assert "✓ v1 is removed." in said(pilot, "action")


async def test_an_accepted_run_is_deployed_after_a_question(home: Home, agent: Listener) -> None:
    released(home)
    tell(home, deploy={"error": "No server.", "fix": "ollama serve", "code": 4})
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot)
        pilot.app.screen.query_one("#benches", Grid).show("copper-forms")
        await rest(pilot)
        assert "nothing is live" in text(pilot, "headline")
        assert "copper-forms-1 was accepted and is not live: d deploys it" in text(
            pilot, "headline"
        )
        assert "Press d to serve its file" in said(pilot, "details")
        await pilot.press("d")
        await rest(pilot)
        found = dialog(pilot)
        assert "Live now: nothing" in found
        assert "a new version, the file of copper-forms-1, score 0.846, on llama-cpp" in found
        assert "if one fails it is taken back and nothing is served" in found
        await pilot.press("y")
        await rest(pilot)

        assert asked(home, "deploy") == [
            ["deploy", "copper-forms", "--run", "copper-forms-1", "--json"]
        ]
        assert "✗ No server. → ollama serve" in said(pilot, "action")


async def test_a_refused_run_is_no_reason_to_be_listed_until_its_refusal_is_waived(
    home: Home, agent: Listener
) -> None:
    slug = story.engagement(home)
    run = story.Story(home, Store(home).reserve_run(slug))
    run.attempt()
    for stage in list(story._SECONDS)[:9]:
        run.whole(stage)
    run.begin("evaluate")
    run.gates(TARGET_MISSED, stage="evaluate")
    run.end("evaluate", "refused", error={"message": "m", "fix": "f"})
    run.finish("refused")
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot)
        assert "Nothing to deploy yet" in text(pilot, "nothing")
        Store(home).record(
            slug,
            "waiver",
            {"run": run.run_id, "gate": TARGET_MISSED.name, "by": "ann", "reason": "A first look."},
        )
        await rest(pilot)

        assert keys(pilot, "benches") == [slug]
        await pilot.press("tab", "tab")
        await rest(pilot)
        assert "✗ evaluate.target 0.581 misses the target 0.609. waived by ann: A first look." in (
            said(pilot, "gates")
        )


async def test_a_package_is_written_and_verified(
    home: Home, agent: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = _deliveries(home, monkeypatch)
    (to / "acme-v3.tar.zst").write_bytes(b"")
    items = [{"section": "s", "text": "t", "done": True, "evidence": "e", "how": None}]
    _tell_package(home, str(to), items)
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await look(pilot, "p")
        assert isinstance(pilot.app.screen, PathForm)
        field = pilot.app.screen.query_one(Input)
        assert field.value == str(to)
        field.value = "/nowhere/at/all"
        await pilot.press("enter")
        await pilot.pause()
        assert "There is no directory /nowhere/at/all." in dialog(pilot)
        field.value = str(to)
        await pilot.press("enter")
        await rest(pilot)
        assert ["package", SLUG, "--run", "acme-triage-3", "--to", str(to), "--json"] in asked(
            home, "package"
        )
        assert f"in{to}archiveacme-v3.tar.zst" in "".join(text(pilot, "action").split())
        assert "1 of 1 verified" in said(pilot, "package")

        await pilot.press("v")
        await rest(pilot)
        assert pilot.app.screen.query_one(Input).value == f"{to}/acme-v3.tar.zst"
        await pilot.press("enter")
        await rest(pilot)
        found = said(pilot, "action")
        assert "acme-v3 is not right: 1 of 2 files, 1 of 2 anchors pass." in found
        assert "✗ model.gguf: differs" in found
        assert "✗ anchor a2: expected card, answered transfer (stop)" in found
        assert "acme-v3 is not right" in said(pilot, "package")


def _tell_package(home: Home, to: str, items: list[dict[str, Any]]) -> None:
    path = home.data.parent / "told.json"
    told = json.loads(path.read_text("utf-8"))
    told[f"package {SLUG} --run acme-triage-3 --to"] = {
        "say": ["Packing acme-v3-q4km.gguf of acme-triage-3 (101 MB) ..."],
        "data": {
            "package": "acme-v3", "directory": f"{to}/acme-v3",
            "archive": f"{to}/acme-v3.tar.zst", "run": "acme-triage-3", "version": "v3",
            "model": "acme-v3-q4km.gguf", "bytes": 101_000_000, "files": ["a"],
            "sums_sha256": "ab" * 32, "archive_sha256": "cd" * 32, "notes": ["The card is old."],
            "checklist": items,
        },
    }  # fmt: skip
    told["package verify"] = {
        "data": {
            "package": "acme-v3", "passed": False, "problems": [],
            "files": [
                {"path": "LICENSE", "state": "ok"},
                {"path": "model.gguf", "state": "differs"},
            ],
            "anchors": [
                {"id": "a1", "passed": True, "expected": "card", "actual": "card",
                 "finish_reason": "stop"},
                {"id": "a2", "passed": False, "expected": "card", "actual": "transfer",
                 "finish_reason": "stop"},
            ],
        },
        "code": 1,
    }  # fmt: skip
    path.write_text(json.dumps(told), "utf-8")


async def test_what_the_ledger_says_of_the_last_package_is_shown(
    home: Home, agent: Listener
) -> None:
    released(home)
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await look(pilot)

        found = said(pilot, "package")
        assert "in not recorded: v asks for it of acme-triage-3" in found
        assert "p writes it" in found


async def test_a_package_that_was_written_elsewhere_is_asked_for_and_not_guessed(
    home: Home, agent: Listener
) -> None:
    released(home)
    name = "acme-triage-extraction-smollm2-v3"
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "v")

        field = pilot.app.screen.query_one(Input)
        assert (field.value, field.placeholder) == ("", f"DIR/{name}")
        assert f"{name} and its sums, not where it was written" in dialog(pilot)
        assert "Type its path: DIR is what --to named." in dialog(pilot)
        await pilot.press("enter")
        await pilot.pause()
        assert "Give a path." in dialog(pilot)
        await pilot.press("escape")
        pilot.app.screen.query_one("#benches", Grid).show("copper-forms")
        await rest(pilot)
        await pilot.press("v")
        await pilot.pause()
        assert "The ledger knows of no package of copper-forms: type where one is." in dialog(pilot)


async def test_a_package_here_is_proposed_when_its_sums_are_the_recorded_ones(
    home: Home, agent: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    released(home)
    monkeypatch.chdir(home.data.parent)
    package = home.data.parent / "acme-v4"
    package.mkdir()
    (package / "SHA256SUMS").write_text("of an older one", "utf-8")
    sums = sha256(b"of the last one").hexdigest()
    _packed(home, f"acme-v4 of acme-triage-3, SHA256SUMS {sums}")
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await look(pilot)
        assert "in not recorded" in said(pilot, "package")
        (package / "SHA256SUMS").write_text("of the last one", "utf-8")
        await rest(pilot)
        assert f"in{package.parent}of" in "".join(text(pilot, "package").split())
        await pilot.press("v")
        await pilot.pause()
        assert pilot.app.screen.query_one(Input).value == str(package)


def _deliveries(home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory the screens are opened in; the engagement has its releases."""
    released(home)
    to = home.data.parent / "deliveries"
    to.mkdir()
    monkeypatch.chdir(to)
    return to


def _packed(home: Home, said: str) -> None:
    Store(home).record(SLUG, "fact", {"key": "package", "value": said})


async def test_a_package_from_the_command_line_takes_the_place_of_the_one_from_here(
    home: Home, agent: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = _deliveries(home, monkeypatch)
    _tell_package(home, str(to), [])
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await look(pilot, "p", "enter")
        assert "archive acme-v3.tar.zst" in said(pilot, "package")
        _packed(home, f"acme-v3 of acme-triage-3, SHA256SUMS {'ab' * 32}")
        await rest(pilot)
        assert "archive acme-v3.tar.zst" in said(pilot, "package")
        _packed(home, f"acme-v4 of acme-triage-3, SHA256SUMS {'cd' * 32}")
        await rest(pilot)

        assert "package acme-v4 in not recorded" in said(pilot, "package")
        await pilot.press("v")
        await pilot.pause()
        assert pilot.app.screen.query_one(Input).value == ""


async def test_an_empty_ledger_says_what_to_do(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot, "b", "d", "x", "p", "v", "r", "e", "z", "escape")

        assert "Nothing to deploy yet" in text(pilot, "nothing")
        assert "fathom demo" in text(pilot, "nothing")
        assert asked(home, "versions") == []


async def test_odd_events_lost_runs_and_damaged_files_break_nothing(
    home: Home, agent: Listener
) -> None:
    slug = story.engagement(home)
    served = Served(home, slug, version="v0")
    served.deployed("v1", ago(days=3))
    odd: dict[str, Any] = {
        "id": f"{slug}:x",
        "run": f"{slug}-9",
        "target": "nobody",
        "version": "\x1b[31m../x",
    }
    odd |= {"state": "odd_state", "sha256": 7, "url": [], "reason": "[bold]why[/bold]"}
    served.add("deployment", ago(days=2), **odd)
    served.add("deployment", ago(days=2), id=None, run="r", target="ollama", version="v9", state="")
    served.add("waiver", ago(days=2), run=f"{slug}-1", gate="data.floor", by="ann", reason="x")
    folder = home.data / "serving" / slug
    folder.mkdir(parents=True)
    (folder / "v1.spec.json").write_text('{"sha256": 1}', "utf-8")
    (folder / "v1.anchors.json").write_bytes(b"\xff\xfe")
    tell(
        home,
        versions_acme_triage={"data": {"no": "list"}},
        package={"data": [1, {"done": "x"}]},
        runner_status={"data": {"units": [3, {}, {"name": "a.timer", "last_run": 10**30}]}},
    )
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await look(pilot)

        assert len(keys(pilot, "versions")) == 2
        assert "There is no run" in said(pilot, "gates")
        assert "v1.spec.json cannot be understood" in said(pilot, "details")
        assert "cannot be understood" in text(pilot, "headline")
        await pilot.press("G")
        await rest(pilot)
        assert "[bold]why[/bold]" in said(pilot, "details")
        for pane in ("details", "gates", "checklist", "units", "package", "headline"):
            assert "\x1b" not in text(pilot, pane)
        assert "\x1b" not in "".join(cells(pilot, "versions", "\x1b[31m../x"))


async def test_a_damaged_journal_is_told_and_the_other_engagements_stay(
    home: Home, agent: Listener
) -> None:
    released(home)
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot)
        path = home.engagement_journal(SLUG)
        path.write_text("{]\n" + path.read_text("utf-8"), "utf-8")
        await rest(pilot)

        assert any(SLUG in toast for toast in toasts(pilot))
        pilot.app.screen.query_one("#benches", Grid).show("borealis-claims")
        await rest(pilot)
        assert keys(pilot, "versions") == ["v1"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("/nowhere/fathom",), "No such file or directory"),
        ((sys.executable, "-c", "import os, signal; os.kill(os.getpid(), 9)"), "signal 9"),
        ((sys.executable, "-c", "print('not JSON')"), "cannot be understood"),
        ((sys.executable, "-c", "raise SystemExit(3)"), "ended with 3 and said nothing"),
    ],
    ids=["missing", "killed", "no JSON", "silent"],
)
async def test_a_command_that_gives_no_answer_is_told(
    home: Home,
    agent: Listener,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.setattr(DeployScreen, "COMMAND", command)
    released(home)
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await look(pilot)

        assert words in text(pilot, "headline")


async def test_the_screen_asks_once_and_again_when_the_ledger_has_changed(
    home: Home, agent: Listener
) -> None:
    released(home)
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await look(pilot)
        await rest(pilot)
        assert len(asked(home, "versions")) == 1
        row = next(r for r in Store(home).deployments(SLUG) if r["version"] == "v1")
        Store(home).record(SLUG, "deployment", _changed(row, "removed"))
        await rest(pilot)

        assert len(asked(home, "versions")) == 2
        assert cells(pilot, "versions", "v1")[2:4] == ["removed", "kept"]
        assert cells(pilot, "versions", "v1")[0] == "!"


@pytest.mark.parametrize("size", [(40, 12), (60, 20), (109, 30), (110, 32), (200, 60)])
async def test_live_is_readable_at_every_size(
    home: Home, agent: Listener, size: tuple[int, int]
) -> None:
    released(home)
    async with opened(home, agent).run_test(size=size) as pilot:
        await look(pilot)

        assert "v3 is live" in text(pilot, "headline")
        line = pilot.app.screen.query_one("#versions", Grid).render_line(1).text
        assert "v3" in line
        for panel in ("details", "gates", "checklist", "units", "package", "action"):
            screen_of(pilot).action_panel(panel)
            await pilot.press("z")
            await pilot.pause()
            assert pilot.app.screen.query_one(f"#{panel}").size.width >= min(40, size[0] - 4)
            await pilot.press("escape")


async def test_without_colour_all_is_told_by_words_and_symbols(
    home: Home, agent: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FATHOM_ASCII", "1")
    released(home)
    tell(home, versions_acme_triage=server(SLUG, "v2", "v3"))
    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await look(pilot)

        assert cells(pilot, "versions", "v3")[0] == "x"
        assert text(pilot, "headline").startswith("x acme-triage  live in the ledger: v3")
        for pane in ("details", "checklist", "units", "package", "headline", "action"):
            assert text(pilot, pane).isascii()


@SIZES
@pytest.mark.parametrize(
    ("scene", "pressed"),
    [("agree", ()), ("differ", ()), ("back", ("j", "b")), ("taken back", ("j", "b", "y"))],
    ids=["agree", "differ", "back", "taken-back"],
)
def test_deploy_looks_as_it_did(
    home: Home,
    agent: Listener,
    size: tuple[int, int],
    scene: str,
    pressed: tuple[str, ...],
    snap_compare: Compare,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released(home)
    monkeypatch.setattr("fathom_tui.screens.deploy_actions.monotonic", lambda: 0.0)
    if scene == "differ":
        tell(home, versions_acme_triage=server(SLUG, "v2", "v3"))
    tell(home, rollback_acme_triage=TAKEN_BACK)

    async def bring(pilot: Pilot[None]) -> None:
        await look(pilot, *pressed)
        pilot.app.clear_notifications()
        await pilot.pause()

    assert snap_compare(opened(home, agent), terminal_size=size, run_before=bring)
