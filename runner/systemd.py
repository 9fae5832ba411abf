"""systemd through its own commands: systemctl, journalctl, loginctl; every failure explained."""

import getpass
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fathom_tui.errors import EnvironmentProblem

_RUNS_HERE = Path("/run/systemd/system")
"""Source: sd_booted(3)."""
_LINGER = Path("/var/lib/systemd/linger")
"""One empty file for each user whose manager starts at boot. Source: loginctl(1)."""
_PATIENCE_S = 120.0
_NO_BUS = ("failed to connect to bus", "no medium found", "not defined")
_NO_RIGHTS = ("access denied", "interactive authentication required", "permission denied")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitState:
    """How a unit stands."""

    name: str
    active: str
    """`active`, `inactive`, `failed`, `activating`, ..."""
    sub: str
    """`running`, `dead`, `waiting`, ..."""
    enabled: str
    """`enabled`, `disabled`, `static`; empty where the unit is not known."""
    status: str
    """What the service says of itself."""
    pid: int | None
    restarts: int
    """Automatic restarts since it was last started by hand."""
    result: str
    """`success`, or why it failed: `exit-code`, `watchdog`, `signal`, ..."""
    exit_code: int
    """What the main process ended with last; a signal's number where one ended it."""
    moving: bool
    """It is being started or stopped, or waits for that."""
    last_run: int | None = None
    """Of a timer: when it last fired, in seconds since 1970; None for never."""
    next_run: int | None = None
    """Of a timer: when it fires next."""


class Systemd:
    """The service manager of one scope."""

    def __init__(self, scope: str, *, environment: Mapping[str, str] = os.environ) -> None:
        """Choose a manager; nothing is asked of it yet.

        Args:
            scope: `user` or `system`.
            environment: Where XDG_CONFIG_HOME and HOME are looked up.
        """
        self.scope = scope
        self._environment = environment

    @property
    def directory(self) -> Path:
        """Where units of this scope are put. Source: systemd.unit(5)."""
        if self.scope == "system":
            return Path("/etc/systemd/system")
        configured = self._environment.get("XDG_CONFIG_HOME", "")
        home = Path(self._environment.get("HOME") or Path.home())
        root = Path(configured) if configured.startswith("/") else home / ".config"
        return root / "systemd" / "user"

    def check(self) -> None:
        """Make sure that there is a manager that answers.

        Raises:
            EnvironmentProblem: There is none; says what to do.
        """
        if shutil.which("systemctl") is None:
            raise EnvironmentProblem(
                "This machine has no systemctl, so nothing can be installed as a unit.",
                fix="fathom runner start runs the agent without one; on macOS: "
                "fathom runner install --launchd",
            )
        if not _RUNS_HERE.is_dir():
            raise EnvironmentProblem(
                "systemd does not run this machine (/run/systemd/system is not there).",
                fix="fathom runner start runs the agent without it; to look at the units: "
                "fathom runner install --dry-run --directory DIR",
            )
        if self.scope == "system" and os.geteuid() != 0:
            raise EnvironmentProblem(
                "System units are installed by root.", fix="sudo fathom runner install --system"
            )
        self.call("show", "--property=Version")

    def call(self, *arguments: str) -> str:
        """Run `systemctl ARGUMENTS` and return what it prints.

        Raises:
            EnvironmentProblem: It failed; no bus and no rights are explained.
        """
        done = self._run("systemctl", *arguments)
        if done.returncode:
            raise self._problem(arguments, done.stderr.strip() or done.stdout.strip())
        return done.stdout

    def states(self, names: Iterable[str]) -> list[UnitState]:
        """Return how units stand; one that is not known is `inactive` and enabled ``.

        Raises:
            EnvironmentProblem: The manager does not answer.
        """
        asked = list(names)
        if not asked:
            return []
        text = self.call("show", f"--property={','.join(_ASKED)}", *asked)
        blocks = [block for block in text.split("\n\n") if block.strip()]
        return [_state(dict(_pairs(block))) for block in blocks]

    def journal(self, names: Sequence[str], *, lines: int, follow: bool) -> list[str]:
        """Return the command that prints what units said."""
        user = ["--user"] if self.scope == "user" else []
        units = [f"--unit={name}" for name in names]
        rest = ["--follow"] if follow else ["--no-pager"]
        return ["journalctl", *user, *units, f"--lines={lines}", "--output=short-iso", *rest]

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        program, *arguments = command
        user = ["--user"] if self.scope == "user" else []
        try:
            return subprocess.run(
                [program, *user, "--no-pager", *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_PATIENCE_S,
                check=False,
                env={**self._environment, "LC_ALL": "C", "TZ": "UTC", "SYSTEMD_COLORS": "0"},
            )
        except FileNotFoundError as error:
            raise EnvironmentProblem(
                f"This machine has no {program}.", fix="Install systemd, or work without units."
            ) from error
        except subprocess.TimeoutExpired as error:
            raise EnvironmentProblem(
                f"{program} {' '.join(arguments)} did not end within {_PATIENCE_S:.0f} s.",
                fix=f"Look what it waits for: {self.how('list-jobs')}",
            ) from error

    def how(self, *arguments: str) -> str:
        """Return a systemctl command of this scope as one types it."""
        return " ".join(["systemctl", *(["--user"] if self.scope == "user" else []), *arguments])

    def _problem(self, arguments: Sequence[str], said: str) -> EnvironmentProblem:
        if any(part in said.lower() for part in _NO_BUS):
            return EnvironmentProblem(
                f"There is no way to {self._whose()} service manager: {said}",
                fix="Log in directly (ssh, not su or sudo), or: "
                f"sudo loginctl enable-linger {user_name()}; "
                "export XDG_RUNTIME_DIR=/run/user/$(id -u)",
            )
        if any(part in said.lower() for part in _NO_RIGHTS):
            return EnvironmentProblem(
                f"Not allowed: {self.how(*arguments)}: {said}", fix="Run it with sudo."
            )
        return EnvironmentProblem(
            f"{self.how(*arguments)} failed: {said or 'it says nothing'}",
            fix="Read what the unit said: fathom runner logs"
            + (" --system" if self.scope == "system" else ""),
        )

    def _whose(self) -> str:
        return f"{user_name()}'s" if self.scope == "user" else "the system's"


def user_name() -> str:
    """Return who runs this process; the number where it has no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        try:
            return getpass.getuser()
        except (KeyError, OSError):
            return str(os.geteuid())


def lingers(user: str, *, directory: Path = _LINGER) -> bool:
    """Say whether a user's services run without the user being logged in."""
    return (directory / user).exists()


_ASKED = (
    *("Id", "ActiveState", "SubState", "UnitFileState", "StatusText", "MainPID", "NRestarts"),
    *("Result", "ExecMainStatus", "Job", "LastTriggerUSec", "NextElapseUSecRealtime"),
)


def _pairs(block: str) -> Iterable[tuple[str, str]]:
    for line in block.splitlines():
        name, _, value = line.partition("=")
        yield name, value


def _state(found: Mapping[str, str]) -> UnitState:
    return UnitState(
        name=found.get("Id", ""),
        active=found.get("ActiveState", "unknown"),
        sub=found.get("SubState", ""),
        enabled=found.get("UnitFileState", ""),
        status=found.get("StatusText", ""),
        pid=_number(found.get("MainPID", "")) or None,
        restarts=_number(found.get("NRestarts", "")) or 0,
        result=found.get("Result", ""),
        exit_code=int(found.get("ExecMainStatus") or 0),
        moving=_number(found.get("Job", "")) is not None
        or found.get("ActiveState") in ("activating", "deactivating", "reloading"),
        last_run=_seconds(found.get("LastTriggerUSec", "")),
        next_run=_seconds(found.get("NextElapseUSecRealtime", "")),
    )


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and int(text) else None


def _seconds(text: str) -> int | None:
    """Return a time as `systemctl show` prints it, in seconds since 1970; None for never."""
    try:
        return int(datetime.strptime(f"{text} +0000", "%a %Y-%m-%d %H:%M:%S UTC %z").timestamp())
    except ValueError:  # empty, or n/a
        return None
