"""Looking at runs from outside: their journals as they grow, and the processes behind them."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from fathom_tui.events import Event
from fathom_tui.store import Home
from fathom_tui.store.journal import tail
from fathom_tui.store.requests import agent_alive

LOOK_S = 0.005
PATIENCE_S = 120.0
"""Long, because machines that test may be busy; nothing waits so long unless it is broken."""


def wait_until(what: str, condition: Callable[[], Any], *, patience_s: float = PATIENCE_S) -> Any:
    """Return what the condition gives as soon as that is true."""
    deadline = time.monotonic() + patience_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {patience_s:g} s for: {what}"
        time.sleep(LOOK_S)


class Seen:
    """What was read of a run's journal so far."""

    def __init__(self, home: Home, run_id: str) -> None:
        self.events: list[Event] = []
        self._path = home.run_journal(run_id)
        self._offset = 0
        self._next = 0

    def look(self) -> None:
        """Read what was appended; a number that does not go on from the last is an error."""
        events, self._offset = tail(self._path, self._offset)
        for event in events:
            assert event.seq == len(self.events) + 1, f"{event} after {len(self.events)} events"
            self.events.append(event)

    def until(self, kind: str, *, patience_s: float = PATIENCE_S, **data: Any) -> Event:
        """Return the next event like this, from those not yet gone past."""

        def found() -> Event | None:
            self.look()
            while self._next < len(self.events):
                event = self.events[self._next]
                self._next += 1
                if event.kind == kind and all(event.data.get(k) == v for k, v in data.items()):
                    return event
            return None

        wait = f"{kind} {data} in {self._path}"
        event: Event = wait_until(wait, found, patience_s=patience_s)
        return event

    def kinds(self, stage: str | None = None) -> list[str]:
        """Return the kinds so far, of one stage if given."""
        self.look()
        return [e.kind for e in self.events if stage is None or e.data.get("stage") == stage]


def stage_processes(run_dir: Path) -> list[int]:
    """Return the processes of this run's stages that live, except those that already are dead."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it ended meanwhile
                command = (entry / "cmdline").read_bytes().split(b"\0")
                if b"fathom_tui.runner.child" in command and any(
                    os.fsdecode(part).startswith(f"{run_dir}/") for part in command
                ):
                    found.append(int(entry.name))
    return found


def kill(pid: int) -> None:
    """End a process as nothing can resist, and wait until it is gone."""
    os.kill(pid, signal.SIGKILL)
    wait_until(f"the end of process {pid}", lambda: is_gone(pid))


def is_gone(pid: int) -> bool:
    """Say whether a process is no more, or only its number is still kept."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace")
    except OSError:
        return True
    return text.rsplit(")", 1)[1].split()[0] in "ZX"


def agent_pid(home: Home) -> int:
    """Return the process id of the agent at work."""
    beat = wait_until("an agent with a heartbeat", lambda: (agent_alive(home) or {}).get("pid"))
    return int(beat)


def end_agent(home: Home) -> None:
    """End the agent of a home, if there is one, and with it its child."""
    if agent_alive(home) is not None:
        with suppress(ProcessLookupError):
            kill(agent_pid(home))
        wait_until("the agent's lock", lambda: agent_alive(home) is None)
