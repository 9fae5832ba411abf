"""A real system manager, systemd as process 1, in namespaces of its own; for tests run by root.

It sees this machine's files, with a /run, a /root, a /var/lib and an /etc/systemd/system of its
own and one account more, `fathom`. What a sandboxed system unit can and cannot do is seen from
inside it, as on a machine that systemd runs.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import fathom_tui
from tests import user_manager
from tests.user_manager import REPOSITORY, SYSTEMD, wait_for

ACCOUNT = "fathom"
UID = 64055
PLACE = Path("/opt/fathom-test")
"""Where Fathom is installed, as the services see it: not below /tmp, which they do not see."""
PYTHON = PLACE / "venv" / "bin" / "python"
HOME = Path("/var/lib/fathom")
_TARGET = "[Unit]\nDescription=Nothing but what a test starts\nAllowIsolate=yes\n"
_NAMESPACE = """
import glob, json, os, subprocess, sys

order = json.loads(sys.argv[1])

def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)

def empty(path):
    mount("-t", "tmpfs", "-o", "mode=755", "fathom-test", path)

mount("--make-rprivate", "/")
mount("-t", "proc", "proc", "/proc")
kept = [(place, f"{order['root']}/.kept-{number}") for number, (place, _) in
        enumerate(order["bind"])]
for (_, place), (_, source) in zip(kept, order["bind"]):
    os.mkdir(place)
    mount("--rbind", source, place)
for path in ("/run", "/root", "/opt", "/var/lib", "/etc/systemd/system"):
    empty(path)
os.mkdir("/run/lock")
for path, place in kept:
    os.makedirs(path, exist_ok=True)
    mount("--rbind", place, path)
    subprocess.run(["umount", "--lazy", place], check=True)
for name in ("passwd", "group"):
    mount("--bind", f"{order['root']}/{name}", f"/etc/{name}")
with open("/etc/systemd/system/fathom-test.target", "w") as stream:
    stream.write(order["target"])
# What a machine does as it boots is not for these namespaces.
for wanted in glob.glob("/usr/lib/systemd/system/sysinit.target.wants/*"):
    os.symlink("/dev/null", f"/etc/systemd/system/{os.path.basename(wanted)}")
mount("--bind", "/dev/null", "/etc/fstab")
environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "container": "fathom-test"}
os.execve(order["systemd"], [order["systemd"], "--system", "--unit=fathom-test.target",
          "--log-target=console", "--show-status=false"], environment)
"""


def why_not() -> str:
    """Return why no manager can be started here; empty when one can."""
    told = user_manager.why_not()
    if told:
        return told
    paths = (fathom_tui.__file__, os.path.join(sys.prefix, "pyvenv.cfg"))
    if not all(os.stat(path).st_mode & 0o004 for path in paths):
        return "the checkout or its .venv is for root alone, and services run as another account"
    return ""


class SystemManager:
    """One manager; `run` does something as root beside it."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="fathom-system-", dir="/tmp"))
        self.root.chmod(0o755)
        hierarchies = ("", "systemd", "unified", "devices")
        base = Path("/sys/fs/cgroup")
        unified = (base / "cgroup.controllers").exists()
        found = [base] if unified else [base / h for h in hierarchies if h and (base / h).is_dir()]
        self._cgroups = [
            path / f"fathom-test-{os.getpid()}-{self.root.name[-8:]}" for path in found
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self.pid = 0

    def open(self) -> None:
        """Make the namespaces and start the manager."""
        for name, line in (
            ("passwd", f"{ACCOUNT}:x:{UID}:{UID}::{HOME}:/usr/sbin/nologin\n"),
            ("group", f"{ACCOUNT}:x:{UID}:\n"),
        ):
            text = Path("/etc", name).read_text("utf-8").rstrip("\n") + "\n" + line
            (self.root / name).write_text(text, "utf-8")
        order = {
            "root": str(self.root),
            "systemd": str(SYSTEMD),
            "target": _TARGET,
            "bind": [
                (str(Path(sys.base_prefix)), str(Path(sys.base_prefix))),
                (str(PLACE / "venv"), str(Path(sys.prefix))),
                (str(PLACE / "repository"), str(REPOSITORY)),
            ],
        }
        for path in self._cgroups:
            path.mkdir()
        enter = "".join(f"echo $$ > {path}/cgroup.procs; " for path in self._cgroups)
        spaces = "unshare --mount --pid --fork --kill-child --cgroup --ipc --uts"
        command = f'{enter} exec setpriv --pdeathsig=KILL {spaces} "$0" -I -c "$1" "$2"'
        with (self.root / "manager.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", command, sys.executable, _NAMESPACE, json.dumps(order)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
            )
        wait_for("process 1", self._find)
        wait_for("the manager", lambda: "running" in self.systemctl("is-system-running"))

    def close(self) -> None:
        """Kill all of it, and remove every trace."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)  # process 1: the kernel ends everything with it
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        for path in self._cgroups:
            _remove(path)
        shutil.rmtree(self.root, ignore_errors=True)

    def run(self, *command: str, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run a command as root where the manager is."""
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LC_ALL": "C.UTF-8",
        }
        environment["PYTHONPATH"] = str(PLACE / "repository")
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        variables = [f"{name}={value}" for name, value in environment.items()]
        return subprocess.run(
            [
                *("nsenter", f"--target={self.pid}", "--mount", "--pid", "--"),
                *("env", "--ignore-environment", *variables, *command),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def python(self, code: str, *arguments: str, account: bool = True) -> str:
        """Run Python in the services' environment, as their account, and return what it printed."""
        user = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--"]
        home = ["env", f"FATHOM_HOME={HOME}", f"HOME={HOME}"]
        who = [*home, *(user if account else [])]
        done = self.run(*who, str(PYTHON), "-P", "-c", code, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def fathom(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `fathom ARGUMENTS` as root."""
        return self.run(str(PYTHON), "-m", "fathom_tui", *arguments)

    def systemctl(self, *arguments: str) -> str:
        """Run `systemctl ARGUMENTS` and return what it printed, whatever its exit code."""
        done = self.run("systemctl", "--no-pager", *arguments)
        return done.stdout or done.stderr

    def show(self, unit: str, *names: str) -> dict[str, str]:
        """Return a unit's properties."""
        text = self.systemctl("show", unit, f"--property={','.join(names)}")
        return dict(line.partition("=")[::2] for line in text.splitlines())

    def path(self, path: Path | str) -> Path:
        """Return a path of the manager's as this process can open it."""
        return Path(f"/proc/{self.pid}/root{path}")

    def _find(self) -> bool:
        """Find process 1 by its cgroup: the only child of `unshare` once it is there."""
        assert self._process is not None
        assert self._process.poll() is None, (self.root / "manager.log").read_text("utf-8")
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        found = children.read_text("ascii").split()
        self.pid = int(found[0]) if found else 0
        return bool(self.pid) and self.path("/run/systemd/private").exists()


@contextmanager
def system_manager() -> Iterator[SystemManager]:
    """Run a manager for the block."""
    manager = SystemManager()
    try:
        manager.open()
        yield manager
    finally:
        manager.close()


def _remove(cgroup: Path) -> None:
    """Remove a cgroup and those below, once what was in them has ended."""

    def is_gone() -> bool:
        for directory, _, _ in os.walk(cgroup, topdown=False):
            with suppress(OSError):
                os.rmdir(directory)
        return not cgroup.exists()

    wait_for(f"the end of {cgroup}", is_gone)
