"""A real `systemd --user` manager of an unprivileged user, for tests that are run by root.

It lives in a mount namespace of its own (so that /run/systemd/system can be there without anybody
else seeing it), in a cgroup of its own, with its own session bus; everything it started is killed
with it. The user has no rights over anything but one directory: what a unit may do and what its
directives forbid is what it would be on a machine of somebody who logged in.
"""

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import fathom_tui

USER = "nobody"
SYSTEMD = next(
    (p for p in map(Path, ("/usr/lib/systemd/systemd", "/lib/systemd/systemd")) if p.exists()), None
)
REPOSITORY = Path(fathom_tui.__file__).resolve().parent.parent
_PATIENCE_S = 60.0
_NAMESPACE = """
import json, os, shutil, signal, subprocess, sys, time

order = json.loads(sys.argv[1])

def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)

mount("--make-rprivate", "/")
mount("-t", "tmpfs", "-o", "mode=755", "fathom-test", "/run/systemd")
os.mkdir("/run/systemd/system")
# Directories that only root may enter are replaced by empty ones, and what the services run is
# bound back into them.
kept = []
for number, path in enumerate(order["show"]):
    place = f"{order['root']}/.kept-{number}"
    os.mkdir(place)
    mount("--rbind", path, place)
    kept.append((path, place))
for path in order["open"]:
    mount("-t", "tmpfs", "-o", "mode=755", "fathom-test", path)
for path, place in kept:
    os.makedirs(path, exist_ok=True)
    mount("--rbind", place, path)
    subprocess.run(["umount", "--lazy", place], check=True)
    os.rmdir(place)
print("ready", flush=True)
sys.stdin.read()  # until whoever tests closes it, or is gone in whatever way
deadline = time.monotonic() + 60
for cgroup in order["cgroups"]:
    while os.path.isdir(cgroup) and time.monotonic() < deadline:
        for directory, _, _ in os.walk(cgroup, topdown=False):
            try:
                with open(os.path.join(directory, "cgroup.procs")) as stream:
                    for pid in stream.read().split():
                        os.kill(int(pid), signal.SIGKILL)
                os.rmdir(directory)
            except OSError:
                pass  # it goes on ending
        time.sleep(0.02)
shutil.rmtree(order["root"], ignore_errors=True)
"""


def why_not() -> str:
    """Return why no manager can be started here; empty when one can."""
    if SYSTEMD is None or shutil.which("systemctl") is None:
        return "systemd is not installed: apt-get install systemd"
    if shutil.which("dbus-daemon") is None:
        return "dbus-daemon is not installed: apt-get install dbus"
    if os.geteuid() != 0:
        return "only root can make another user's manager"
    return ""


class UserManager:
    """One manager; `run` does something as its user."""

    def __init__(self) -> None:
        self.uid = pwd.getpwnam(USER).pw_uid
        self.gid = pwd.getpwnam(USER).pw_gid
        self.root = Path(tempfile.mkdtemp(prefix="fathom-user-", dir="/tmp"))
        """The one directory that is the user's own."""
        self.home = self.root / "home"
        self.units = self.home / ".config" / "systemd" / "user"
        self._cgroups = _cgroups(f"fathom-test-{os.getpid()}-{self.root.name[-8:]}")
        self._capability: list[str] = []
        self._started: list[subprocess.Popen[bytes]] = []
        self._namespace: subprocess.Popen[str] | None = None
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.root / "run"),
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={self.root}/run/bus",
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def open(self) -> None:
        """Make the namespace, the bus and the cgroups, and start the manager."""
        self.root.chmod(0o755)
        for path in (self.home, self.root / "run", self.units):
            path.mkdir(parents=True, exist_ok=True)
        self._make_namespace()
        self.give(self.root)
        (self.root / "run").chmod(0o700)
        for path in self._cgroups:
            path.mkdir()
            self.give(path)
        self._check_readable()
        bus = f"--address=unix:path={self.root}/run/bus"
        self._start("dbus-daemon", "--session", bus, "--nofork", "--nopidfile", "--nosyslog")
        wait_for("the session bus", (self.root / "run" / "bus").exists)
        self.start()

    def close(self) -> None:
        """Kill all that was started, and remove every trace."""
        if self._namespace is not None:
            self._namespace.communicate()
        for process in self._started:
            process.wait()
        shutil.rmtree(self.root, ignore_errors=True)

    def start(self) -> None:
        """Start the manager, as logging in does."""
        assert SYSTEMD is not None
        self._start(str(SYSTEMD), "--user", "--log-target=console")
        wait_for("the manager", self._is_up)

    def _is_up(self) -> bool:
        # Degraded: it runs, and some unit has failed.
        return self.systemctl("is-system-running").strip() in ("running", "degraded")

    def stop(self) -> None:
        """End the manager and every service, as the last log-out does."""
        manager = self._started.pop()
        self.systemctl("exit")
        manager.wait(_PATIENCE_S)

    def give(self, path: Path) -> Path:
        """Make a file or tree the user's."""
        for directory, _, files in os.walk(path):
            for name in (directory, *(os.path.join(directory, name) for name in files)):
                os.chown(name, self.uid, self.gid, follow_symlinks=False)
        if path.is_file():
            os.chown(path, self.uid, self.gid)
        return path

    def run(
        self, *command: str, environment: Mapping[str, str] | None = None, timeout: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as the user and return what it said, whatever its exit code."""
        return subprocess.run(
            self._as_user(*command, environment=environment or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def systemctl(self, *arguments: str) -> str:
        """Run `systemctl --user ARGUMENTS` and return what it printed, whatever its exit code."""
        done = self.run("systemctl", "--user", "--no-pager", *arguments)
        return done.stdout or done.stderr

    def show(self, unit: str, *names: str) -> dict[str, str]:
        """Return a unit's properties."""
        text = self.systemctl("show", unit, f"--property={','.join(names)}")
        return dict(line.partition("=")[::2] for line in text.splitlines())

    def install(self, name: str, text: str) -> None:
        """Put a unit, or a drop-in named `UNIT.d/NAME.conf`, where the manager finds it."""
        path = self.units / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        self.give(self.units)
        self.systemctl("daemon-reload")

    def service(self, name: str, *settings: str, code: str) -> str:
        """Run Python inside a oneshot service with these settings and return what it printed."""
        out = self.root / f"{name}.out"
        script = self.root / f"{name}.py"
        script.write_text(code, "utf-8")
        self.give(script)
        lines = [
            *(
                "[Service]",
                "Type=oneshot",
                f"StandardOutput=truncate:{out}",
                "StandardError=inherit",
            ),
            *settings,
            f"ExecStart={sys.executable} -P {script}",
        ]
        self.install(f"{name}.service", "\n".join(lines) + "\n")
        self.systemctl("reset-failed", f"{name}.service")
        self.systemctl("start", f"{name}.service")
        return out.read_text("utf-8") if out.exists() else ""

    def _make_namespace(self) -> None:
        show, closed = _hidden(_needed())
        cgroups = [str(path) for path in self._cgroups]
        order = {"root": str(self.root), "show": show, "open": closed, "cgroups": cgroups}
        self._namespace = subprocess.Popen(
            ["unshare", "--mount", sys.executable, "-I", "-c", _NAMESPACE, json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # it outlives whoever ends these tests, to clear up
        )
        assert self._namespace.stdout is not None
        said = self._namespace.stdout.readline()
        assert said == "ready\n", f"the mount namespace could not be made: {said}"

    def _check_readable(self) -> None:
        """Make sure that the user can run what the services run."""
        script = "import fathom_tui.cli, fathom_tui.store, duckdb, llama_cpp"
        done = self.run(sys.executable, "-c", script)
        if done.returncode == 0:
            return
        # Files that only root may read (a strict umask): the user may read them too, and nothing
        # else that it could not; no directive that is tested has to do with reading files.
        rights = "+dac_read_search"
        self._capability = ["--inh-caps", rights, "--ambient-caps", rights]
        # The manager takes rights from its services unless they are to have them.
        everywhere = self.units / "service.d" / "read.conf"
        everywhere.parent.mkdir()
        everywhere.write_text("[Service]\nAmbientCapabilities=CAP_DAC_READ_SEARCH\n", "utf-8")
        self.give(self.units)
        again = self.run(sys.executable, "-c", script)
        assert again.returncode == 0, f"{done.stderr}\n{again.stderr}"

    def _as_user(self, *command: str, environment: Mapping[str, str]) -> list[str]:
        assert self._namespace is not None
        variables = [f"{k}={v}" for k, v in {**self.environment, **environment}.items()]
        user = [f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        user += ["--pdeathsig=KILL", *self._capability]
        return [
            *("nsenter", f"--target={self._namespace.pid}", "--mount", "--"),
            *("env", "--ignore-environment", *variables, "setpriv", *user, "--", *command),
        ]

    def _start(self, *command: str) -> None:
        """Start a process of the user in the cgroup."""
        enter = "".join(f"echo $$ > {path}/cgroup.procs; " for path in self._cgroups)
        told = self._as_user(*command, environment={})
        with (self.root / "said.log").open("ab") as stream:
            self._started.append(
                subprocess.Popen(
                    ["sh", "-c", f'{enter} exec "$@"', "sh", *told],
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=stream,
                    cwd="/",
                )
            )


@contextmanager
def user_manager() -> Iterator[UserManager]:
    """Run a manager for the block."""
    manager = UserManager()
    try:
        manager.open()
        yield manager
    finally:
        manager.close()


def wait_for(what: str, condition: Callable[[], object]) -> None:
    """Return as soon as the condition gives something true."""
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {_PATIENCE_S:g} s for {what}"
        time.sleep(0.05)


def _needed() -> list[Path]:
    """Return what the services read: the interpreter, the environment, the sources."""
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    paths = [sys.base_prefix, sys.prefix, str(REPOSITORY), *(path for path in given if path)]
    return list(dict.fromkeys(Path(path).resolve() for path in paths))


def _hidden(paths: Sequence[Path]) -> tuple[list[str], list[str]]:
    """Return the paths that stand below a directory others cannot enter, and these directories."""
    shown, closed = [], []
    for path in paths:
        shut = [p for p in reversed(path.parents) if not p.stat().st_mode & 0o001]
        if shut:
            shown.append(str(path))
            closed.append(str(shut[0]))
    return shown, list(dict.fromkeys(closed))


def _cgroups(name: str) -> list[Path]:
    """Return the cgroup to make in every hierarchy that systemd uses."""
    root = Path("/sys/fs/cgroup")
    if (root / "cgroup.controllers").exists():
        return [root / name]
    return [root / part / name for part in ("systemd", "unified") if (root / part).is_dir()]
