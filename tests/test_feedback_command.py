"""`fathom feedback`: what people say, kept for the version that is live."""

import json

import pytest

from fathom_tui.store import Home, Store
from tests.running import fathom
from tests.served import SLUG, record_live


@pytest.fixture
def live(home: Home) -> Home:
    """Return a home whose ledger holds version 1 for live."""
    store = Store(home.prepare())
    store.create_engagement("Acme triage", {}, SLUG)
    record_live(store, "v1", "a" * 64, None)
    return home


def test_is_kept_for_the_live_version(live: Home) -> None:
    said = ["--by", " Ann ", "--note", "calls a lost card stolen", "--expected", "card_lost"]

    ended = fathom(live, "feedback", SLUG, "bad", *said, "--json")

    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == {
        "deployment": f"{SLUG}:v1",
        "verdict": "bad",
        "by": "Ann",
        "note": "calls a lost card stolen",
        "expected": "card_lost",
    }
    (row,) = Store(live).feedback(SLUG)
    assert (row["verdict"], row["by"], row["expected"]) == ("bad", "Ann", "card_lost")


def test_is_listed_with_its_sum(live: Home) -> None:
    for verdict in ("good", "good", "bad"):
        fathom(live, "feedback", SLUG, verdict, "--by", "Ann")

    shown = fathom(live, "feedback", SLUG, "--list")
    as_json = json.loads(fathom(live, "feedback", SLUG, "--list", "--json").stdout)

    assert [line.split()[3] for line in shown.stdout.splitlines()] == ["good", "good", "bad"]
    assert "2 of 3 good (95 %: 0.21–0.94)" in shown.stderr
    assert (as_json["good"], as_json["bad"], len(as_json["feedback"])) == (2, 1, 3)


def test_a_note_with_control_characters_does_not_reach_the_terminal(live: Home) -> None:
    fathom(live, "feedback", SLUG, "bad", "--by", "Ann", "--note", "red \x1b[31m text")

    shown = fathom(live, "feedback", SLUG, "--list").stdout

    assert "\x1b" not in shown
    assert r"red \x1b[31m text" in shown


def test_nothing_said_yet_is_told(live: Home) -> None:
    ended = fathom(live, "feedback", SLUG, "--list")

    assert (ended.returncode, ended.stdout) == (0, "")
    assert "Nobody has said anything yet" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([SLUG], "Good or bad"),
        ([SLUG, "good"], "needs a person's name"),
        ([SLUG, "good", "--by", "  "], "needs a person's name"),
        ([SLUG, "great", "--by", "Ann"], "invalid choice: 'great'"),
        ([SLUG, "good", "--by", "Ann", "--list"], "--list only shows"),
        (["nobody", "good", "--by", "Ann"], "no engagement 'nobody'"),
        (["nobody", "--list"], "no engagement 'nobody'"),
    ],
)
def test_what_makes_no_sense_is_refused(live: Home, arguments: list[str], message: str) -> None:
    ended = fathom(live, "feedback", *arguments)

    assert ended.returncode == 2
    assert message in ended.stderr


def test_nothing_live_has_nothing_to_speak_of(home: Home) -> None:
    Store(home.prepare()).create_engagement("Acme triage", {}, SLUG)

    ended = fathom(home, "feedback", SLUG, "good", "--by", "Ann")

    assert ended.returncode == 2
    assert "Nothing of acme-triage is live" in ended.stderr


def test_a_note_of_two_lines_stays_in_its_row(live: Home) -> None:
    fathom(live, "feedback", SLUG, "bad", "--by", "Ann", "--note", "first\nsecond")

    assert len(fathom(live, "feedback", SLUG, "--list").stdout.splitlines()) == 1


def test_a_note_that_is_a_book_is_refused(live: Home) -> None:
    ended = fathom(live, "feedback", SLUG, "bad", "--by", "Ann", "--note", "x" * 2001)

    assert ended.returncode == 2
    assert "2,001 characters; 2,000 are the most" in ended.stderr
    assert Store(live).feedback(SLUG) == []
