"""Opening the screens; imports Textual only after saying how lively they may be."""

import gc
import os
from collections.abc import MutableMapping

from fathom_tui.store.paths import Home

_OVER_SSH = {"TEXTUAL_FPS": "12", "TEXTUAL_ANIMATIONS": "none", "TEXTUAL_SMOOTH_SCROLL": "0"}
"""Over a wire bytes are the cost: a log at 60 frames a second is 180 kB/s, at 4 it is 19."""


def open_screens(home: Home, *, open_run: str | None = None) -> int:
    """Show the screens until they are left and return the exit code; no run is stopped by it.

    Args:
        home: Where everything lives.
        open_run: The run to show first; None shows the engagements.

    Raises:
        UsageError: The run's id has not the form `<slug>-<n>`.
        NotFound: There is no such run; names those that come close.
    """
    if open_run is not None and not home.run(open_run).is_dir():
        from fathom_tui.store.ledger import Store

        Store(home).run_view(open_run)
    calm_over_ssh(os.environ)
    # The start makes much and throws little away: looking for garbage meanwhile costs 20 ms.
    # The app looks for it again once its first frame is out.
    gc.disable()
    from fathom_tui.screens.app import FathomApp

    app = FathomApp(home, open_run=open_run)
    app.run()
    return app.return_code or 0


def calm_over_ssh(env: MutableMapping[str, str]) -> None:
    """Lower frames and stop animations where the terminal is at the other end of SSH.

    Textual reads these when it is imported. What the user has set stays.
    """
    if env.get("SSH_CONNECTION"):
        for name, value in _OVER_SSH.items():
            env.setdefault(name, value)
