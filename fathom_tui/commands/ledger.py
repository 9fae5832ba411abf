"""Opening the ledger for one command, and passing on what it has to say."""

from collections.abc import Iterator
from contextlib import contextmanager

from fathom_tui.commands.output import narrate
from fathom_tui.store import Home, Store


@contextmanager
def ledger() -> Iterator[Store]:
    """Give the store of this home; its notes go to stderr, also when the command fails."""
    store = Store(Home.from_env())
    try:
        yield store
    finally:
        for note in store.notes:
            narrate(f"note: {note}")
