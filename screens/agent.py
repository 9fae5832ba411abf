"""What the screens ask of the agent: requests in its inbox, and whether it lives."""

import getpass
from collections.abc import Mapping
from typing import Any

from fathom_tui.store.paths import Home


class Agent:
    """The agent of a home, as the screens see it; every call is short and off the event loop."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def heartbeat(self) -> Mapping[str, Any] | None:
        """Return what the agent does, {pid, run, stage, …}; None when no agent lives."""
        from fathom_tui.store import requests

        return requests.agent_alive(self._home)

    def start(self, slug: str, changes: Mapping[str, Any]) -> str:
        """Ask for a run with some settings changed and return its id."""
        from fathom_tui.store import requests

        run_id = requests.start_run(self._home, slug, changes=dict(changes), created_by=_who())
        requests.ensure_agent(self._home)
        return run_id

    def cancel(self, run_id: str) -> None:
        """Ask for the end of a run."""
        from fathom_tui.store import requests

        requests.cancel(self._home, run_id)

    def resume(self, run_id: str) -> None:
        """Ask that a run goes on at its first unfinished stage."""
        from fathom_tui.store import requests

        requests.resume(self._home, run_id)
        requests.ensure_agent(self._home)


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no name for this user id, as in many containers
        return "unknown"
