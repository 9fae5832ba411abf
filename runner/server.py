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
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from fathom_tui.datasets.cases import write_private
from fathom_tui.errors import CouldNotCheck, EnvironmentProblem, NotFound, UsageError
from fathom_tui.runner import handover
from fathom_tui.runner.folder import held
from fathom_tui.runner.numbers import next_version

HOST = "127.0.0.1"
_READY_S = 120.0
_STOP_S = 10.0
_RETURN_S = 30.0
"""How long who runs the server in the foreground may be gone; a unit comes back in seconds."""
_KEPT_ENVIRONMENT = (
    "PATH", "HOME", "USER", "LANG", "LC_", "TZ", "TMPDIR", "LD_", "PYTHON", "VIRTUAL_ENV",
    "GGML_", "OMP_", "GOMP_", "CUDA_", "NVIDIA_", "HIP_", "ROCR_",
)  # fmt: skip
"""Beginnings of what a server inherits. llama_cpp.server takes every setting from the environment
too, some of them before its arguments: an exported HOST would open it to the network, CONFIG_FILE
replace the model, API_KEY lock us out."""

# Straight to 127.0.0.1: a proxy in the environment would be asked for it otherwise.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
_children: dict[int, subprocess.Popen[bytes]] = {}
"""Servers that this process started, so that their end is noticed."""


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

    def create(
        self, gguf: Path, sha256: str, system: str, *, same: Callable[[str], bool] | None = None
    ) -> str:
        """Keep a file as the next version, unless the same file is a version already.

        Args:
            gguf: The file.
            sha256: Its content, in hex.
            system: The system text it was trained with.
            same: Asked of a version with the same file, whether it is the same in all else too.

        Raises:
            EnvironmentProblem: The file is missing, or the disk has no room for it.
        """
        with self._alone():
            for version in self.versions:
                known = self.about(version).get("sha256") == sha256
                if known and (same is None or same(version)):
                    return version
            target = self._root / f"{next_version(self._root)}.gguf"
            draft = target.with_suffix(".part")
            _link_or_copy(gguf, draft)
            about = {"sha256": sha256, "bytes": gguf.stat().st_size, "system": system}
            self._write(target.with_suffix(".json"), about)
            draft.rename(target)
            return target.stem

    def about(self, version: str) -> dict[str, Any]:
        """Return what was recorded of a version; empty when nothing readable was."""
        try:
            data = json.loads((self._root / f"{version}.json").read_text("utf-8"))
        except (OSError, ValueError):
            return {}  # its sha256 is unknown then: the same file becomes a version of its own
        return data if isinstance(data, dict) else {}

    def activate(self, version: str, *, n_ctx: int, threads: int) -> Served:
        """Make a version the live one: move the link, restart, wait until it answers.

        A version that does not come up leaves everything as it was.

        Raises:
            NotFound: There is no such version.
            EnvironmentProblem: The server does not come up.
        """
        if version not in self.versions:
            raise NotFound(
                f"There is no version {version!r} of {self._alias}.",
                fix="Versions: " + (", ".join(self.versions) or "none"),
            )
        with self._alone():
            before, was_running = self.live, self.running() is not None
            self._point_at(version)
            try:
                return self._start(version, n_ctx=n_ctx, threads=threads)
            except EnvironmentProblem as error:
                if before == version:
                    raise
                self._point_at(before)
                again = ""
                if before is not None and was_running:
                    self._start(before, n_ctx=n_ctx, threads=threads)
                    again = f" {before} is served again."
                raise EnvironmentProblem(error.message + again, fix=error.fix) from error

    def _point_at(self, version: str | None) -> None:
        link = self._root / "live.gguf"
        if version is None:
            link.unlink(missing_ok=True)
            return
        draft = self._root / "live.part"
        draft.unlink(missing_ok=True)
        draft.symlink_to(f"{version}.gguf")
        draft.rename(link)

    def start(self, *, n_ctx: int, threads: int) -> Served:
        """Serve the live version; a server already there is replaced.

        Raises:
            NotFound: No version is live.
            EnvironmentProblem: The server does not come up.
        """
        if self.live is None:
            raise NotFound(f"No version of {self._alias} is live.", fix="Finish a run first.")
        with self._alone():
            return self._start(self.live, n_ctx=n_ctx, threads=threads)

    def _start(self, version: str, *, n_ctx: int, threads: int) -> Served:
        if handover.holder(self._root) is not None:
            return self._start_through_holder(version, n_ctx=n_ctx, threads=threads)
        self._stop()
        # The port of last time where it is free: clients know it.
        port = _free_port(int(self.settings().get("port", 0)))
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

    def _start_through_holder(self, version: str, *, n_ctx: int, threads: int) -> Served:
        """Let whoever runs the server in the foreground start it anew, and wait for that."""
        deadline = time.monotonic() + _READY_S
        seen = time.monotonic()
        with handover.asking(self._root, n_ctx=n_ctx, threads=threads) as wish:
            while time.monotonic() < min(deadline, seen + _RETURN_S):
                if handover.holder(self._root) is not None:
                    seen = time.monotonic()
                if self.settings().get("token") == wish.token:
                    served = self.running()
                    if served is None:
                        break
                    if served.version == version and self.healthy(served):
                        return served
                time.sleep(0.1)
        raise EnvironmentProblem(
            f"The server of {self._alias} did not come up with {version}.",
            fix="fathom runner logs",
        )

    def _spawn(self, port: int, *, n_ctx: int, threads: int) -> subprocess.Popen[bytes]:
        log = os.open(self._root / "server.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            process = subprocess.Popen(
                self._command(port, n_ctx=n_ctx, threads=threads),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self._root,
                env=server_environment(),
            )
        finally:
            os.close(log)
        _children[process.pid] = process
        return process

    def _command(self, port: int, *, n_ctx: int, threads: int) -> list[str]:
        return [
            sys.executable, "-P", "-m", "llama_cpp.server",
            "--model", str(self._root / "live.gguf"), "--model_alias", self._alias,
            "--host", HOST, "--port", str(port),
            "--n_ctx", str(n_ctx), "--n_threads", str(threads),
            "--n_threads_batch", str(threads), "--verbose", "False",
            # On by default: logits of every prompt token, and 0.8 GB to keep them.
            "--logits_all", "False",
            # On by default: a second request would cut the answer to the first.
            "--interrupt_requests", "False",
        ]  # fmt: skip

    def _alone(self) -> AbstractContextManager[None]:
        """Hold the folder's lock, so that two processes never start two servers; makes it."""
        return held(self._root)

    def _write(self, path: Path, data: Mapping[str, Any]) -> None:
        write_private(path, json.dumps(data).encode())

    def _remember(self, served: Served, **settings: int | str) -> None:
        data = {
            "pid": served.pid,
            "port": served.port,
            "version": served.version,
            "started": served.started,
            **settings,
        }
        self._write(self._root / "server.json", data)

    def _wait_ready(self, served: Served, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                break
            if self.healthy(served):
                return
            time.sleep(0.1)
        code = process.poll()
        self._stop()
        ended = "did not answer" if code is None else f"ended with code {code}"
        raise EnvironmentProblem(
            f"The server of {self._alias} {served.version} {ended} on port {served.port}.",
            fix=f"Read {self._root / 'server.log'}",
        )

    def settings(self) -> dict[str, Any]:
        """Return how the server was last started; empty before that.

        Raises:
            EnvironmentProblem: What was written of it is damaged.
        """
        path = self._root / "server.json"
        if not path.is_file():
            return {}
        try:
            data: dict[str, Any] = json.loads(path.read_text("utf-8"))
            numbers = {"pid", "port", *({"n_ctx", "threads"} & set(data))}
            return {**data, **{name: int(data[name]) for name in numbers}}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EnvironmentProblem(
                f"{path} does not say which server was started: {error!r}.",
                fix="End that server if it still runs (pgrep -f llama_cpp.server), then remove "
                f"the file: rm {path}",
            ) from error

    def running(self) -> Served | None:
        """Return the server under way, or None."""
        data = self.settings()
        # A server that ended at once left no start time, and equals any process that is gone.
        if not data.get("started") or _start_time(data["pid"]) != data["started"]:
            return None
        return Served(
            pid=data["pid"],
            port=data["port"],
            alias=self._alias,
            version=str(data.get("version", "unknown")),
            started=str(data["started"]),
        )

    def healthy(self, served: Served) -> bool:
        """Say whether it answers and offers the alias."""
        try:
            models = _get(f"{served.url}/models", timeout=5.0)
            return any(model["id"] == self._alias for model in models["data"])
        except (OSError, HTTPException, ValueError, KeyError, TypeError):
            return False  # nobody there, or something else has the port

    def stop(self) -> bool:
        """End the server; return whether there was one.

        Raises:
            EnvironmentProblem: It does not end.
            UsageError: Somebody runs it in the foreground, and is to be stopped instead.
        """
        if not self._root.is_dir():
            return False
        holder = handover.holder(self._root)
        if holder is not None:
            raise UsageError(
                f"The server of {self._alias} is run by {holder.describe()}, "
                "which would start it again.",
                fix=holder.how_to_stop(),
            )
        with self._alone():
            return self._stop()

    def _stop(self) -> bool:
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
                if _start_time(served.pid) != served.started:
                    _reap(served.pid)  # after the look: it may have ended just before
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
        with _open(request, timeout=120) as reply:
            data = json.load(reply)
        choice = data["choices"][0]
        return (
            str(choice["message"]["content"] or ""),
            str(choice["finish_reason"]),
            int(data["usage"]["prompt_tokens"]),
        )
    except (OSError, HTTPException, ValueError, KeyError, IndexError, TypeError) as error:
        raise CouldNotCheck(
            f"{served.url} did not answer a chat request: {error}.",
            fix="Look at the server: fathom serve ENGAGEMENT --status",
        ) from error


def _get(url: str, *, timeout: float) -> dict[str, Any]:
    with _open(url, timeout=timeout) as reply:
        data: dict[str, Any] = json.load(reply)
        return data


def server_environment() -> dict[str, str]:
    """Return what a server finds set: nothing that it would take for one of its own settings."""
    # Here, because a health check starts no server and supervision takes 15 ms to load.
    from fathom_tui.runner.supervise import GOOD_NEIGHBOUR

    return {**GOOD_NEIGHBOUR, **_environment(os.environ)}


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in given.items() if name.startswith(_KEPT_ENVIRONMENT)}


def _link_or_copy(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)  # no copy of gigabytes
    except OSError:  # another file system, or one without links
        _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
        target.chmod(0o600)
    except OSError as error:
        target.unlink(missing_ok=True)
        raise EnvironmentProblem(
            f"{source} cannot be kept as a version in {target.parent}: {error.strerror}.",
            fix="Free some space there, or finish the run that makes this file.",
        ) from error


def _free_port(preferred: int) -> int:
    """Return a port that nobody listens on: the preferred one unless it is taken or 0."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            # As the server does it: connections that are just being closed do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise EnvironmentProblem(f"No port is free on {HOST}.", fix="End some servers.")


def _start_time(pid: int) -> str:
    """Return field 22 of /proc/PID/stat; empty when there is no such process, or a dead one."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace")
    except OSError:
        return ""
    fields = text.rsplit(")", 1)[1].split()
    return "" if fields[0] == "Z" else fields[19]


def _reap(pid: int) -> None:
    """Collect a server of this process that has ended."""
    child = _children.pop(pid, None)
    if child is not None:
        # Its first thread may be gone a moment before the others.
        child.wait(_STOP_S)
