"""Numbers, times and foreign text as the screens show them."""

import re
from datetime import datetime

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def clean(text: object) -> str:
    """Return text on one line without control characters.

    Names, messages of models and rows of datasets come from elsewhere: an escape sequence in
    them must not reach the terminal, nor may a direction mark turn a line around.
    """
    return _UNSAFE.sub(" ", str(text))


def duration(seconds: float | None) -> str:
    """Return seconds as people write them: 9.4 s, 3 min 05 s, 2 h 10 min; blank when unknown."""
    if seconds is None:
        return ""
    if seconds < 59.95:
        return f"{max(0.0, seconds):.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def clock(seconds: float) -> str:
    """Return whole seconds as they tick: 0:09, 3:05, 2:10:00."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def size(count: float) -> str:
    """Return bytes in the unit people read: 101 MB, 1.4 GB (decimal, as disks are sold)."""
    for unit in ("B", "kB", "MB"):
        if count < 999.5:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def plural(count: int, noun: str) -> str:
    """Return "1 run", "3 runs"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def moment(at: str) -> datetime | None:
    """Return a journal's time; None for an empty one."""
    return datetime.fromisoformat(at) if at else None


def since(at: str | None, now: datetime) -> float:
    """Return the seconds from a journal's time until now, never negative."""
    began = moment(at or "")
    return max(0.0, (now - began).total_seconds()) if began else 0.0


def ago(at: str, now: datetime) -> str:
    """Return how long ago something was, in the largest unit: now, 5 min, 3 d."""
    seconds = since(at, now)
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return "now"
