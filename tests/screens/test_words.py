"""Numbers, times and foreign text as the screens show them."""

from datetime import UTC, datetime

import pytest

from fathom_tui.screens.words import ago, clean, clock, duration, plural, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.6, "1 h 00 min"),
        (7800, "2 h 10 min"),
        (-3, "0.0 s"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_clock_ticks_whole_seconds() -> None:
    assert [clock(s) for s in (-1, 9.9, 185, 7800)] == ["0:00", "0:09", "3:05", "2:10:00"]


def test_sizes_are_decimal() -> None:
    assert [size(n) for n in (12, 1_500, 101_217_728, 1_400_000_000)] == [
        "12 B",
        "2 kB",
        "101 MB",
        "1.4 GB",
    ]


def test_plurals() -> None:
    assert [plural(n, "run") for n in (0, 1, 1200)] == ["0 runs", "1 run", "1,200 runs"]


@pytest.mark.parametrize(
    ("at", "text"),
    [
        ("2026-11-21T10:00:00.000Z", "now"),
        ("2026-11-21T09:55:00.000Z", "5 min"),
        ("2026-11-20T11:00:00.000Z", "23 h"),
        ("2026-11-18T09:00:00.000Z", "3 d"),
        ("2027-01-01T00:00:00.000Z", "now"),
    ],
)
def test_ages(at: str, text: str) -> None:
    assert ago(at, datetime(2026, 11, 21, 10, 0, 30, tzinfo=UTC)) == text


def test_control_characters_and_direction_marks_become_blanks() -> None:
    assert clean("a\x1b[31mb\nc\u202ed\x9be") == "a [31mb c d e"
