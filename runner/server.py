"""The `llama-cpp` target: versions in a folder, a link that says which is live, one local server.

llama-cpp-python's OpenAI-compatible server has no reload: activation moves the link and restarts
it. It listens on 127.0.0.1 and calls the model by its alias, never by its path.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fathom_tui.errors import CouldNotCheck, EnvironmentProblem, NotFound

HOST = "127.0.0.1"
_READY_S = 120.0
_STOP_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A server under way."""

    pid: int
    port: int
    alias: str
    version: str
    started: str
    """The process's start time as the kernel counts it, so that a reused pid is not mistaken."""

    @property
    def url(self) -> str:
        """Base address of the OpenAI-compatible API."""
        return f"http://{HOST}:{self.port}/v1"


class LlamaServer:
    """One engagement's versions and its server."""

    def __init__(self, root: Path, alias: str) -> None:
        """Use a folder for versions; it need not exist.

        Args:
            root: The engagement's serving folder.
            alias: What clients call the model.
        """
        self._root = root
        self._alias = alias

    @property
    def versions(self) -> list[str]:
        """Versions kept, oldest first."""
        found = [p.stem for p in self._root.glob("v*.gguf") if p.stem[1:].isdigit()]
        return sorted(found, key=lambda name: int(name[1:]))

    @property
    def live(self) -> str | None:
        """The version that the link names; None before the first activation."""
        link = self._root / "live.gguf"
        return Path(os.readlink(link)).stem if link.is_symlink() else None

    def create(self, gguf: Path, sha256: str, system: str) -> str:
        """Keep a file as the next version, unless the same file is a version already."""
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for version in self.versions:
            if self.about(version).get("sha256") == sha256:
                return version
        number = 1 + max((int(name[1:]) for name in self.versions), default=0)
        target = self._root / f"v{number}.gguf"
        draft = target.with_suffix(".part")
        draft.unlink(missing_ok=True)
        try:
            os.link(gguf, draft)  # the same file system: no copy of gigabytes
        except OSError:
            shutil.copyfile(gguf, draft)
        about = {"sha256": sha256, "bytes": gguf.stat().st_size, "system": system}
        (self._root / f"v{number}.json").write_text(json.dumps(about), "utf-8")
        draft.rename(target)
        return target.stem

    def about(self, version: str) -> dict[str, Any]:
        """Return what was recorded of a version; empty when nothing was."""
        path = self._root / f"{version}.json"
        data: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        return data

    def activate(self, version: str, *, n_ctx: int, threads: int) -> Served:
        """Make a version the live one: move the link, restart, wait until it answers.

        Raises:
            NotFound: There is no such version.
            EnvironmentProblem: The server does not come up.
        """
        if version not in self.versions:
            raise NotFound(
                f"There is no version {version!r} of {self._alias}.",
                fix="Versions: " + (", ".join(self.versions) or "none"),
            )
        draft = self._root / "live.part"
        draft.unlink(missing_ok=True)
        draft.symlink_to(f"{version}.gguf")
        draft.rename(self._root / "live.gguf")
        return self.start(n_ctx=n_ctx, threads=threads)

    def start(self, *, n_ctx: int, threads: int) -> Served:
        """Serve the live version; a server already there is replaced.

        Raises:
            NotFound: No version is live.
            EnvironmentProblem: The server does not come up.
        """
        version = self.live
        if version is None:
            raise NotFound(f"No version of {self._alias} is live.", fix="Finish a run first.")
        self.stop()
        port = _free_port()
        process = self._spawn(port, n_ctx=n_ctx, threads=threads)
        served = Served(
            pid=process.pid,
            port=port,
            alias=self._alias,
            version=version,
            started=_start_time(process.pid),
        )
        self._remember(served, n_ctx=n_ctx, threads=threads)
        self._wait_ready(served, process)
        return served

    def _spawn(self, port: int, *, n_ctx: int, threads: int) -> subprocess.Popen[bytes]:
        with (self._root / "server.log").open("ab") as log:
            return subprocess.Popen(
                [
                    sys.executable, "-P", "-m", "llama_cpp.server",
                    "--model", str(self._root / "live.gguf"), "--model_alias", self._alias,
                    "--host", HOST, "--port", str(port),
                    "--n_ctx", str(n_ctx), "--n_threads", str(threads),
                    "--n_threads_batch", str(threads), "--verbose", "False",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self._root,
            )  # fmt: skip

    def _remember(self, served: Served, **settings: int) -> None:
        data = {
            "pid": served.pid,
            "port": served.port,
            "version": served.version,
            "started": served.started,
            **settings,
        }
        draft = self._root / "server.json.part"
        draft.write_text(json.dumps(data), "utf-8")
        draft.rename(self._root / "server.json")

    def _wait_ready(self, served: Served, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                break
            if self.healthy(served):
                return
            time.sleep(0.1)
        self.stop()
        raise EnvironmentProblem(
            f"The server of {self._alias} {served.version} did not come up on port {served.port}.",
            fix=f"Read {self._root / 'server.log'}",
        )

    def settings(self) -> dict[str, Any]:
        """Return how the server was last started; empty before that."""
        path = self._root / "server.json"
        data: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        return data

    def running(self) -> Served | None:
        """Return the server under way, or None."""
        data = self.settings()
        if not data or _start_time(int(data["pid"])) != data["started"]:
            return None
        return Served(
            pid=int(data["pid"]),
            port=int(data["port"]),
            alias=self._alias,
            version=str(data["version"]),
            started=str(data["started"]),
        )

    def healthy(self, served: Served) -> bool:
        """Say whether it answers and offers the alias."""
        try:
            models = _get(f"{served.url}/models", timeout=5.0)
        except OSError:
            return False
        return any(model.get("id") == self._alias for model in models.get("data", ()))

    def stop(self) -> bool:
        """End the server; return whether there was one."""
        served = self.running()
        if served is None:
            return False
        for number, patience in ((signal.SIGTERM, _STOP_S), (signal.SIGKILL, _STOP_S)):
            try:
                os.kill(served.pid, number)
            except ProcessLookupError:
                return True
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline:
                _reap(served.pid)
                if _start_time(served.pid) != served.started:
                    return True
                time.sleep(0.05)
        raise EnvironmentProblem(
            f"The server with process id {served.pid} does not end.", fix=f"kill -9 {served.pid}"
        )


def chat(
    served: Served, messages: Sequence[dict[str, str]], *, max_tokens: int
) -> tuple[str, str, int]:
    """Ask greedily; return (answer, finish reason, prompt tokens).

    Raises:
        CouldNotCheck: The server does not answer, or answers with an error.
    """
    body = {
        "model": served.alias,
        "messages": list(messages),
        "temperature": 0.0,
        "max_tokens": max_tokens,
        "seed": 0,
    }
    request = urllib.request.Request(
        f"{served.url}/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as reply:
            data = json.load(reply)
        choice = data["choices"][0]
        return (
            str(choice["message"]["content"] or ""),
            str(choice["finish_reason"]),
            int(data["usage"]["prompt_tokens"]),
        )
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise CouldNotCheck(
            f"{served.url} did not answer a chat request: {error}.",
            fix="Look at the server: fathom serve ENGAGEMENT --status",
        ) from error


def _get(url: str, *, timeout: float) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=timeout) as reply:
        data: dict[str, Any] = json.load(reply)
        return data


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _start_time(pid: int) -> str:
    """Return field 22 of /proc/PID/stat; empty when there is no such process, or a dead one."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace")
    except OSError:
        return ""
    fields = text.rsplit(")", 1)[1].split()
    return "" if fields[0] == "Z" else fields[19]


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return  # somebody else's child
