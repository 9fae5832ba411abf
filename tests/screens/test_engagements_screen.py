"""The Engagements screen: nothing, a list, a new one, a run of one."""

from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Button, Input

from fathom_tui.screens.create import CreateForm
from fathom_tui.screens.engagements import EngagementsScreen
from fathom_tui.screens.grid import Grid
from fathom_tui.screens.runs import RunsScreen
from fathom_tui.screens.start import StartForm
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


def write_tickets(directory: Path, *rows: str, name: str = "tickets.csv") -> Path:
    """Write a small data file."""
    path = directory / name
    path.write_text("\n".join(["text,label,urgency,amount", *rows]) + "\n", "utf-8")
    return path


@pytest.fixture
def tickets(tmp_path: Path) -> Path:
    """Return a data file that makes an engagement."""
    return write_tickets(tmp_path, "lost my card,card,high,", "a fee of 3?,fees,low,3.00")


async def fill(pilot: Pilot[None], **values: object) -> None:
    """Fill in the fields of the form, by name, and let them be checked."""
    for name, value in values.items():
        pilot.app.screen.query_one(f"#{name}", Input).value = str(value)
    await pilot.pause(0.5)
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


async def test_engagements_screen_says_what_to_do_when_there_is_none(
    home: Home, agent: Listener
) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await settle(pilot)

        said = text(pilot, "nothing")
        assert "No engagement yet" in said
        assert "n            create one" in said
        assert "fathom demo" in said


async def test_nothing_is_written_by_looking(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await settle(pilot)
        await pilot.press("2")
        await settle(pilot)

    assert list(home.data.parent.rglob("*.jsonl")) == []


async def test_engagements_are_listed_newest_first(home: Home, agent: Listener) -> None:
    story.finished(home, story.engagement(home))
    other = story.engagement(home, "Banking 77", dataset="/srv/data/train.csv", model="/srv/m/qwen")

    async with opened(home, agent).run_test(size=WIDE) as pilot:
        await settle(pilot)

        assert keys(pilot, "engagements") == [other, "acme-triage"]
        assert cells(pilot, "engagements", "acme-triage") == [
            "Acme triage",
            "tickets.jsonl",
            "category, urgency, amount_gbp, action",
            "embedded",
            "1",
            "✓ done #1",
        ]
        assert cells(pilot, "engagements", other)[3:] == ["qwen", "0", "not run yet"]
        assert "/srv/m/qwen" in text(pilot, "settings")


async def test_an_engagement_made_elsewhere_appears(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await settle(pilot)
        slug = story.engagement(home)
        await settle(pilot)

        assert keys(pilot, "engagements") == [slug]


async def test_enter_opens_the_last_run(home: Home, agent: Listener) -> None:
    slug = story.engagement(home)
    story.refusal(home, slug)
    last = story.finished(home, slug)

    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)

        screen = pilot.app.screen
        assert isinstance(screen, RunsScreen)
        assert screen.view.id == last
        await pilot.press("1")
        await settle(pilot)
        assert isinstance(pilot.app.screen, EngagementsScreen)


async def test_a_run_is_asked_for_in_full(home: Home, agent: Listener) -> None:
    story.engagement(home)

    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await settle(pilot)
        await pilot.press("r")
        await pilot.pause()
        assert isinstance(pilot.app.screen, StartForm)
        await pilot.press("enter")
        await settle(pilot)

        assert agent.asked == [("start", ("acme-triage", {}))]
        assert isinstance(pilot.app.screen, RunsScreen)


async def test_a_quick_run_changes_the_sizes_only(home: Home, agent: Listener) -> None:
    story.engagement(home)

    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await settle(pilot)
        await pilot.press("r", "u")
        await settle(pilot)

        [(asked, request)] = agent.asked
        assert asked == "start"
        assert isinstance(request, tuple)
        assert request[1]["train_rows"] == 256
        assert request[1]["test_rows"] == 64
        assert "dataset" not in request[1]


async def test_a_run_is_not_asked_for_when_one_leaves(home: Home, agent: Listener) -> None:
    story.engagement(home)

    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await settle(pilot)
        await pilot.press("r", "escape")
        await settle(pilot)

        assert agent.asked == []


async def test_an_engagement_is_created(home: Home, agent: Listener, tickets: Path) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await settle(pilot)
        await pilot.press("n")
        await pilot.pause()
        await fill(pilot, name="Acme triage", dataset=tickets)
        assert label(pilot, "found") == "Good. Short name acme-triage; label: 2 values."
        await pilot.press("enter")
        await settle(pilot)

        assert keys(pilot, "engagements") == ["acme-triage"]
        assert "Press r to start its first run." in toasts(pilot)[0]

    config = Store(home).engagement("acme-triage").config
    assert config["dataset"] == str(tickets)
    assert config["contract"]["fields"][0]["choices"] == ["card", "fees"]


async def test_the_cursor_is_on_the_engagement_that_was_just_created(
    home: Home, agent: Listener, tickets: Path
) -> None:
    Store(home).create_engagement("Earlier", {"dataset": str(tickets)})
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await settle(pilot)
        await pilot.press("n")
        await pilot.pause()
        await fill(pilot, name="Acme triage", dataset=tickets)
        await pilot.press("enter")
        await settle(pilot)

        assert pilot.app.screen.query_one("#engagements", Grid).key == "acme-triage"


async def test_several_output_columns_make_fields(
    home: Home, agent: Listener, tickets: Path
) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await settle(pilot)
        await pilot.press("n")
        await pilot.pause()
        await fill(pilot, name="Acme", dataset=tickets, output="label, urgency, amount")
        assert label(pilot, "found") == (
            "Good. Short name acme; label: 2 values, urgency: 2 values, amount: a number."
        )
        await pilot.press("enter")
        await settle(pilot)

    contract = Store(home).engagement("acme").config["contract"]
    assert [field["name"] for field in contract["fields"]] == ["label", "urgency", "amount"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"name": "../etc"}, "'../etc' cannot be an engagement's name."),
        ({"name": "Acme"}, "No data file was given."),
        ({"name": "Acme", "dataset": "/nowhere.csv"}, "There is no file /nowhere.csv."),
        ({"name": "Acme", "dataset": "TICKETS", "output": "clas"}, "has no column 'clas'."),
        ({"name": "Acme", "dataset": "TICKETS", "output": "label,nope"}, "no column 'nope'"),
        ({"name": "Acme", "dataset": "TICKETS", "model": "/none"}, "/none is not a Hugging Face"),
        ({"name": "!!!", "dataset": "TICKETS"}, "No short name can be made from '!!!'"),
        ({"name": "Acme", "dataset": "BROKEN"}, "broken.csv"),
    ],
)
async def test_the_form_says_what_is_wrong_and_creates_nothing(
    home: Home, agent: Listener, tickets: Path, tmp_path: Path, values: dict[str, str], said: str
) -> None:
    broken = write_tickets(tmp_path, "one class,card,low,", "only,card,low,", name="broken.csv")
    paths = {"TICKETS": str(tickets), "BROKEN": str(broken)}

    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await settle(pilot)
        await pilot.press("n")
        await pilot.pause()
        await fill(pilot, **{name: paths.get(value, value) for name, value in values.items()})
        assert said in label(pilot, "found").replace("\n", " ")
        await pilot.press("enter")
        await fill(pilot)

        assert isinstance(pilot.app.screen, CreateForm)
        assert pilot.app.screen.query_one("#yes", Button).disabled
        await pilot.press("escape")
        await settle(pilot)

    assert Store(home).engagements() == []


async def test_a_taken_name_is_told(home: Home, agent: Listener, tickets: Path) -> None:
    story.engagement(home)

    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await settle(pilot)
        await pilot.press("n")
        await pilot.pause()
        await fill(pilot, name="ACME Triage", dataset=tickets)

        assert "There is an engagement 'acme-triage' already." in label(pilot, "found")


async def test_keys_typed_into_a_field_do_nothing_else(home: Home, agent: Listener) -> None:
    async with opened(home, agent).run_test(size=NARROW) as pilot:
        await settle(pilot)
        await pilot.press("n")
        await pilot.pause()
        await type_in(pilot, "q12 nrj")

        assert isinstance(pilot.app.screen, CreateForm)
        assert pilot.app.is_running
