"""What tests of the screens share: an agent that only listens, and a terminal that is the same."""

import pytest

from tests.screens.looking import Listener


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the terminal of the person who runs the tests would change."""
    for name in ("SSH_CONNECTION", "TEXTUAL_THEME", "FATHOM_ASCII", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture
def agent() -> Listener:
    """Return an agent that notes what it is asked for."""
    return Listener()
