"""How commands speak: data on stdout as one line of JSON, narration on stderr."""

import argparse
import json
import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console
    from rich.table import Table

    from fathom_tui.figures import Figure

# Everything that could move the cursor or change colours, but for tab and newline.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def add_json_flag(parser: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    parser.add_argument("--json", action="store_true", help="print one line of JSON on stdout")


def print_json(value: Any) -> None:
    """Print one line of JSON on stdout; ASCII only, so that any terminal and locale takes it."""
    print(json.dumps(value, allow_nan=False))


def narrate(text: str) -> None:
    """Say something to the person, on stderr."""
    print(printable(text), file=sys.stderr)


def printable(text: str) -> str:
    """Return text in which control characters are spelled out.

    Names, messages of models and rows of datasets come from elsewhere: an escape sequence in
    them must not reach the terminal.
    """
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def console() -> "Console":
    """Return a console for tables on stdout; text in square brackets is text, not markup."""
    from rich.console import Console

    return Console(markup=False, highlight=False, emoji=False)


def sources_table(known: "Mapping[str, Figure]") -> "Table":
    """Return numbers by name, each with where it is from."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 1), pad_edge=False)
    for title in ("Assumption", "Value", "Where from"):
        table.add_column(title, no_wrap=title != "Where from", overflow="fold")
    for name, figure in known.items():
        table.add_row(name, str(figure), printable(f"{figure.source}, {figure.as_of}"))
    return table


def duration(seconds: float | None) -> str:
    """Return seconds as people write them: 9.4 s, 3 min 05 s, 2 h 10 min; blank when unknown."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
