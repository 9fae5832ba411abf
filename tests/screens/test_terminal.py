"""The real driver on a real terminal: signals, a lost connection, a link that stalls."""

import re
import signal
import time
import warnings
from collections.abc import Callable, Iterator

import pytest

from fathom_tui.store.paths import Home
from tests.screens import story
from tests.screens.terminal import Terminal

LEAVE_ALTERNATE_SCREEN = b"\x1b[?1049l"
MOUSE_OFF = (b"\x1b[?1000l", b"\x1b[?1003l")
SHOW_CURSOR = b"\x1b[?25h"

Open = Callable[..., Terminal]


@pytest.fixture
def terminal(home: Home) -> Iterator[Open]:
    """Return a function that opens the screens on a terminal."""
    found: list[Terminal] = []

    def open_(*arguments: str) -> Terminal:
        with warnings.catch_warnings():
            # Python warns of a fork while threads of other tests are about; the child execs.
            warnings.simplefilter("ignore", DeprecationWarning)
            found.append(Terminal(home.data.parent, *arguments))
        return found[-1]

    yield open_
    for each in found:
        each.close()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=["SIGTERM", "SIGHUP"]
)
def test_a_signal_ends_it_in_order_with_the_terminal_restored(
    terminal: Open, number: signal.Signals, code: int
) -> None:
    screens = terminal()
    screens.read_until(b"No engagement yet")
    began = time.monotonic()

    screens.signal(number)
    screens.read_for(3.0)

    assert screens.exit_code() == code
    assert time.monotonic() - began < 2.0
    assert LEAVE_ALTERNATE_SCREEN in screens.received
    assert SHOW_CURSOR in screens.received
    for sequence in MOUSE_OFF:
        assert sequence in screens.received[screens.received.rindex(b"No engagement yet") :]


def test_q_leaves_with_zero_and_the_terminal_restored(terminal: Open) -> None:
    screens = terminal()
    screens.read_until(b"No engagement yet")

    screens.press(b"q")
    screens.read_for(3.0)

    assert screens.exit_code() == 0
    # Nothing is left on the user's screen, not even a warning of a library.
    last = screens.received.rindex(LEAVE_ALTERNATE_SCREEN)
    assert not re.sub(rb"\x1b\[[0-9;?<>=]*[a-zA-Z]|\s", b"", screens.received[last:])


def test_a_lost_connection_ends_it(terminal: Open) -> None:
    screens = terminal()
    screens.read_until(b"No engagement yet")

    screens.hang_up()

    assert screens.exit_code() == 129


def test_a_stalled_terminal_is_followed_again_once_it_reads(home: Home, terminal: Open) -> None:
    live = story.training(home, story.engagement(home), steps=1)
    screens = terminal("tui", "--run", live.run_id)
    screens.read_until(b"stopped")  # there is no agent

    for step in range(200):  # nobody reads meanwhile
        live.add("progress", stage="train", done=step, total=200, note=f"{step}/200 " * 30)
        live.add("note", stage="train", text=f"line {step} " * 20)
        time.sleep(0.02)
    live.finish("cancelled")
    screens.read_until(b"cancelled")
    screens.press(b"q")
    screens.read_for(3.0)

    assert screens.exit_code() == 0


def test_sigterm_ends_it_even_when_the_terminal_takes_no_more(home: Home, terminal: Open) -> None:
    live = story.training(home, story.engagement(home), steps=1)
    screens = terminal("tui", "--run", live.run_id)
    screens.read_until(b"stopped")
    # Each key repaints some of the screen: 64 kB of output fill the terminal, then the queue.
    for _ in range(400):
        screens.press(b"ljhk")
    time.sleep(2.0)

    screens.signal(signal.SIGTERM)

    assert screens.exit_code(timeout_s=10.0) == 143
    live.journal.close()
