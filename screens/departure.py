"""Leaving when told to by a signal, with the terminal as it was found.

Textual handles neither SIGTERM nor SIGHUP: a closed SSH connection would leave the alternate
screen and mouse tracking on. And its event loop stands still while the terminal takes no more
bytes, so a deadline ends the program where it cannot leave in order.
"""

import asyncio
import contextlib
import os
import signal
import sys
import termios
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

GRACE_S = 2.0
"""Leaving in order takes 0.2 s; after so long the terminal is taken for stalled."""

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def leave_on_signals(leave: Callable[[None, int], None]) -> None:
    """Call `leave(None, 128 + signal)` when told to end; exit by force if that hangs.

    Must be called in the main thread with the event loop running.
    """
    loop = asyncio.get_running_loop()
    before = _terminal_settings()

    def force(number: int, frame: FrameType | None) -> None:
        deadline = threading.Timer(GRACE_S, _force_out, [128 + number, before])
        deadline.daemon = True
        deadline.start()

    for number in SIGNALS:
        loop.add_signal_handler(number, leave, None, 128 + number)
        # The loop learns of signals through its wake-up descriptor, whichever handler is
        # installed; this one also runs while the loop waits for a stalled terminal.
        signal.signal(number, force)


def _terminal_settings() -> list[Any] | None:
    try:
        return list(termios.tcgetattr(sys.__stdin__.fileno())) if sys.__stdin__ else None
    except (termios.error, OSError, ValueError):
        return None


def _force_out(code: int, settings: list[Any] | None) -> None:
    """End the process; gives the line discipline back, the terminal itself takes no bytes."""
    if settings is not None and sys.__stdin__ is not None:
        # A terminal that is gone has nothing left to restore.
        with contextlib.suppress(termios.error, OSError):
            termios.tcsetattr(sys.__stdin__.fileno(), termios.TCSANOW, settings)
    os._exit(code)
