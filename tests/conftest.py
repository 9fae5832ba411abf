"""What every test gets: a home of its own, and no setting of the person who runs it."""

from pathlib import Path

import pytest

from fathom_tui.store.paths import Home


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Return an empty home that FATHOM_HOME points at; nothing is made in it yet."""
    root = tmp_path / "home"
    monkeypatch.setenv("FATHOM_HOME", str(root))
    for name in ("FATHOM_DEBUG", "OLLAMA_HOST", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return Home.at(root)
