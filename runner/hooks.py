"""Telling people: a command of theirs, run without a shell, and an address that takes JSON.

A hook that fails is written down with the alert and tried again at the next check; it never costs
the check its answer.
"""

import hashlib
import json
import os
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from typing import IO, Any
from urllib.parse import urlsplit

from fathom_tui.alerts import Alert, Delivery
from fathom_tui.errors import UsageError

PATIENCE_S = 20.0
"""Longest wait for one hook; the next check must not find this one still waiting."""
_SAID = 200
"""Characters kept of what a hook said."""
_KEPT = 1 << 12
"""Bytes kept to take these characters from; the rest is read and forgotten."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: urllib would follow a POST with a GET, and lose the alert in silence."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any,
        newurl: str,
    ) -> None:  # fmt: skip
        return None


_open = urllib.request.build_opener(_NoRedirect).open


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """How people are told; None where there is no such way."""

    command: str | None = None
    webhook: str | None = None

    @property
    def names(self) -> list[str]:
        """What they are called in the ledger.

        Raises:
            UsageError: One is no command line, or no address.
        """
        return [
            *([command_name(self.command)] if self.command else []),
            *([webhook_name(self.webhook)] if self.webhook else []),
        ]

    def require_program(self) -> None:
        """See that the command's program is there, before it is needed at night.

        Raises:
            UsageError: It is not, or cannot be run.
        """
        if self.command and shutil.which(program := _words(self.command)[0]) is None:
            raise UsageError(
                f"The alert command's program {program!r} is not there, or cannot be run.",
                fix="Name one that is, with its whole path: services have another PATH.",
            )

    def usable(self) -> "tuple[Hooks, list[str]]":
        """Return those hooks that make sense, and what is wrong with the others."""
        command, webhook, faults = self.command, self.webhook, []
        try:
            _ = Hooks(command=command).names
        except UsageError as error:
            command, faults = None, [error.message]
        try:
            _ = Hooks(webhook=webhook).names
        except UsageError as error:
            webhook, faults = None, [*faults, error.message]
        return Hooks(command=command, webhook=webhook), faults

    def tell(self, alert: Alert, names: Collection[str]) -> list[Delivery]:
        """Call those of these names, and return what became of each."""
        found = []
        if self.command and command_name(self.command) in names:
            found.append(run_command(self.command, alert))
        if self.webhook and webhook_name(self.webhook) in names:
            found.append(post(self.webhook, alert))
        return found


def command_name(command: str) -> str:
    """Return what a command is called in the ledger: its program, and a mark of the whole line.

    Raises:
        UsageError: It is no command line.
    """
    return f"command {os.path.basename(_words(command)[0])} #{_mark(command)}"


def webhook_name(url: str) -> str:
    """Return what a webhook is called in the ledger: its host, and a mark of the whole address.

    Raises:
        UsageError: It is no http or https address.
    """
    try:
        parts = urlsplit(url)
        host, user = parts.hostname, parts.username
        _ = parts.port  # which may be none
    except ValueError:
        host = user = None
    odd = any(c.isspace() or not c.isprintable() for c in url)
    if user is not None:
        raise UsageError(
            "The webhook holds a name or a password before its host, which is not understood.",
            fix="Give the secret in its path or query, or tell people by a command: --on-alert",
        )
    if host is None or odd or parts.scheme not in ("http", "https"):
        raise UsageError(
            "The webhook is no address that begins with http:// or https:// and names a host.",
            fix="Give it whole, for example https://hooks.example.org/T0/B1",
        )
    return f"webhook {host} #{_mark(url)}"


def _mark(hook: str) -> str:
    """Return six digits that tell hooks apart whose arguments or paths may be secrets."""
    return hashlib.sha256(hook.encode("utf-8", "surrogateescape")).hexdigest()[:6]


def run_command(command: str, alert: Alert, *, patience_s: float = PATIENCE_S) -> Delivery:
    """Run an alert command: the alert as JSON on stdin, its fields in FATHOM_* variables."""
    hook = command_name(command)
    try:
        # From a file: nobody has to write while a hook that says much waits to be read.
        with tempfile.TemporaryFile() as payload:
            payload.write(json.dumps(alert.payload()).encode())
            payload.seek(0)
            process = subprocess.Popen(
                _words(command),
                stdin=payload,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, **_clean(alert.environment())},
                start_new_session=True,
            )
    except (OSError, ValueError) as error:
        return Delivery(hook=hook, ok=False, detail=f"it cannot be started: {error}")
    try:
        said = _heard(process, patience_s)
    except subprocess.TimeoutExpired:
        return Delivery(hook=hook, ok=False, detail=f"it did not end within {patience_s:g} s")
    text = " ".join(said.decode("utf-8", "replace").split())[:_SAID]
    if process.returncode:
        detail = f"it ended with code {process.returncode}: {text}".rstrip(": ")
        return Delivery(hook=hook, ok=False, detail=detail)
    return Delivery(hook=hook, ok=True, detail=text)


def _heard(process: subprocess.Popen[bytes], patience_s: float) -> bytes:
    """Wait for a hook to end and return the first `_KEPT` bytes that it said.

    Raises:
        TimeoutExpired: It did not end in time; it is ended now.
    """
    deadline = time.monotonic() + patience_s
    kept, pipe = bytearray(), process.stdout
    assert pipe is not None
    with pipe:
        try:
            while select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
                block = os.read(pipe.fileno(), 1 << 16)
                if not block:
                    process.wait(max(0.0, deadline - time.monotonic()))
                    return bytes(kept)
                kept += block[: _KEPT - len(kept)]
                if time.monotonic() > deadline:
                    break
            raise subprocess.TimeoutExpired(process.args, patience_s)
        except BaseException:
            _end(process)
            raise


def post(url: str, alert: Alert, *, patience_s: float = PATIENCE_S) -> Delivery:
    """Post an alert as JSON; anything but 2xx is a failure."""
    hook = webhook_name(url)
    try:
        request = urllib.request.Request(
            url,
            data=json.dumps(alert.payload()).encode(),
            headers={"Content-Type": "application/json", "User-Agent": "fathom"},
        )
        with _open(request, timeout=patience_s) as reply:
            return Delivery(hook=hook, ok=True, detail=f"HTTP {reply.status}")
    except urllib.error.HTTPError as error:
        error.close()
        return Delivery(hook=hook, ok=False, detail=f"HTTP {error.code} {error.reason}"[:_SAID])
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        return Delivery(hook=hook, ok=False, detail=f"it did not answer: {reason}"[:_SAID])


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(
            f"The alert command is no command line: {error}.", fix="Close its quotes."
        ) from error
    if not words:
        raise UsageError("The alert command is empty.", fix="Name a program.")
    return words


def _clean(values: Mapping[str, str]) -> dict[str, str]:
    """Return values that an environment can hold: a model may answer anything."""
    return {
        name: value.replace("\0", " ").encode("utf-8", "replace").decode()
        for name, value in values.items()
    }


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):  # it ended by itself
        os.killpg(process.pid, signal.SIGKILL)  # with whatever it started
    process.wait()
