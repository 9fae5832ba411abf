"""The `llama-cpp` server of one engagement in the foreground: what its unit runs.

It serves the live version, waits where there is none yet, starts anew when another version is
activated, and ends with an error when the server does: a unit then starts it again. The watchdog
is fed by the loop that asks the server, and only while the server answers or computes.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from fathom_tui.errors import EnvironmentProblem
from fathom_tui.runner import handover
from fathom_tui.runner.notify import Notify
from fathom_tui.runner.score import cpu_threads
from fathom_tui.runner.server import LlamaServer, Served, _free_port, _start_time
from fathom_tui.runner.server import server_environment as environment

DEFAULT_CONTEXT = 4096
"""Tokens of context where nothing was recorded of a version."""
LOADING_S = 600.0
"""Longest time for a model to load; 70 GB from a slow disk (200 MB/s) take 350 s."""
_TICK_S = 0.2
_PROBE_S = 5.0
_STOP_S = 10.0
_BUSY = 0.05
"""Share of a core's time that counts as computing; a server that waits uses a thousandth."""
_PR_SET_PDEATHSIG = 1

Say = Callable[[str], None]


def serve_in_foreground(
    root: Path, alias: str, *, notify: Notify, unit: str = "", scope: str = "", say: Say
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        root: The engagement's serving folder; it must exist.
        alias: What clients call the model.
        notify: Told of readiness, of life and of what is served.
        unit: The unit this process is of; empty without one.
        scope: `user` or `system`; empty without a unit.
        say: Told what happens, one line each.

    Raises:
        UsageError: Somebody else serves this folder in the foreground.
        EnvironmentProblem: The server ended, or did not come up.
    """
    with handover.hold(root, unit=unit, scope=scope):
        _Foreground(root, alias, notify, say).run()


class _Foreground(LlamaServer):
    """A server that is a child of this process."""

    def __init__(self, root: Path, alias: str, notify: Notify, say: Say) -> None:
        super().__init__(root, alias)
        self._notify = notify
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._served: Served | None = None
        self._answers = False
        """Whether this process's server has answered since it was started."""
        self._is_ready = False
        self._handled = ""
        """Token of the last request that was carried out."""
        self._ending = False
        self._since = 0.0
        self._probed = 0.0
        self._worked_s = 0.0

    def run(self) -> None:
        """Serve until told to end."""
        before = {n: signal.signal(n, self._end) for n in (signal.SIGTERM, signal.SIGINT)}
        try:
            self._take_over()
            while not self._ending:
                self._turn()
                time.sleep(_TICK_S)
        finally:
            self._notify.stopping()
            self._end_process()
            for number, action in before.items():
                signal.signal(number, action)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._ending = True

    def _take_over(self) -> None:
        """End a server that runs detached, once nobody is busy with this folder."""
        while not self._ending and handover.wish(self._root) is None:
            with handover.unless_held(self._root) as free:
                if free:
                    if self._stop():
                        self._say(f"Took {self._alias} over from a detached server.")
                    return
            self._notify.extend(60, f"waits: {self._alias} is being deployed")
            time.sleep(_TICK_S)

    def _turn(self) -> None:
        """Do one round: a request, a missing or dead server, or a look at the living one."""
        wish = handover.wish(self._root)
        if wish is not None and wish.token != self._handled:
            self._handled = wish.token
            self._end_process()
            self._begin(wish.n_ctx, wish.threads, wish.token)
        elif self._process is None:
            self._without_server(wish)
        elif self._process.poll() is not None:
            self._ended(self._process.returncode, wish)
        else:
            self._look(self._process)

    def _without_server(self, wish: handover.Wish | None) -> None:
        # While somebody activates, what is live may be put back at any moment.
        if wish is None and self.live is not None:
            self._begin(*self._settings(self.live), "")
            return
        status = f"waits for the first version of {self._alias}"
        if not self._is_ready:
            self._say(f"{status[:1].upper()}{status[1:]}.")
        self._alive(status)

    def _settings(self, version: str) -> tuple[int, int]:
        """Return context and threads to serve a version with."""
        path = self._root / f"{version}.spec.json"
        try:
            spec = json.loads(path.read_text("utf-8"))
            return int(spec["n_ctx"]), int(spec["threads"])
        except FileNotFoundError:
            kept = self.settings()  # a version from before specs were kept
            n_ctx = int(kept.get("n_ctx", DEFAULT_CONTEXT))
            return n_ctx, int(kept.get("threads", cpu_threads()))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EnvironmentProblem(
                f"{path} does not say how {version} is served: {error!r}.",
                fix="Restore the file from the delivery package, or run the engagement again.",
            ) from error

    def _begin(self, n_ctx: int, threads: int, token: str) -> None:
        version = self.live
        if version is None:
            return
        port = _free_port(int(self.settings().get("port", 0)))
        self._process = subprocess.Popen(
            self._command(port, n_ctx=n_ctx, threads=threads),
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            start_new_session=True,
            cwd=self._root,
            env=environment(),
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        pid = self._process.pid
        self._served = Served(
            pid=pid, port=port, alias=self._alias, version=version, started=_start_time(pid)
        )
        self._remember(self._served, n_ctx=n_ctx, threads=threads, token=token)
        self._answers = False
        self._since = time.monotonic()
        self._say(f"{self._alias} {version} is being loaded at {self._served.url}.")

    def _ended(self, code: int, wish: handover.Wish | None) -> None:
        """Take note of the server's end.

        Raises:
            EnvironmentProblem: Nobody waits who would choose another version.
        """
        version = self._served.version if self._served else self.live
        self._process = self._served = None
        message = f"The server of {self._alias} {version} ended with code {code}."
        if wish is None:
            raise EnvironmentProblem(message, fix="fathom runner logs")
        self._say(message)

    def _look(self, process: subprocess.Popen[bytes]) -> None:
        served = self._served
        now = time.monotonic()
        every = _PROBE_S if self._answers else _TICK_S
        if served is None or now - self._probed < min(every, self._notify.every_s or every):
            return
        elapsed, self._probed = now - self._probed, now
        worked_s, before = _worked_s(process.pid), self._worked_s
        self._worked_s = worked_s
        if self.healthy(served):
            self._alive(f"{served.version} at {served.url}")
            if not self._answers:
                self._answers = True
                self._say(f"{self._alias} {served.version} answers at {served.url}.")
        elif not self._answers:
            self._loading(now - self._since, served)
        elif worked_s - before > _BUSY * elapsed:
            # One long answer keeps every other request waiting.
            self._alive(f"{served.version} at {served.url}, computing")
        else:
            self._notify.status(f"{served.version} at {served.url} does not answer")

    def _loading(self, seconds: float, served: Served) -> None:
        if seconds > LOADING_S:
            raise EnvironmentProblem(
                f"{self._alias} {served.version} has not loaded within {LOADING_S:.0f} s.",
                fix="fathom runner logs",
            )
        status = f"loads {served.version}"
        if self._is_ready:
            self._notify.alive(status)
        else:
            self._notify.extend(60, status)

    def _alive(self, status: str) -> None:
        if not self._is_ready:
            self._is_ready = True
            self._notify.ready(status)
        self._notify.alive(status)

    def _end_process(self) -> None:
        process, self._process, self._served = self._process, None, None
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _die_with_parent() -> None:
    """In the child: ask the kernel to kill it when this process is gone, however it went."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _worked_s(pid: int) -> float:
    """Return the processor time a process has used; 0 where the system does not say."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace")
    except OSError:
        return 0.0
    fields = text.rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
