"""Ollama and systemd: are they there, and do they answer? Short time-outs, no side effects."""

import http.client
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from fathom_tui.machine import Ollama, Systemd

OLLAMA_PORT = 11434
TIMEOUT_S = 1.0
_SYSTEMD_RUNS_HERE = Path("/run/systemd/system")
"""Source: sd_booted(3)."""


def ollama(env: Mapping[str, str] = os.environ) -> Ollama:
    """Look for the program, and ask the server at OLLAMA_HOST for its version."""
    host, port, secure = ollama_address(env.get("OLLAMA_HOST", ""))
    return Ollama(
        program=shutil.which("ollama", path=env.get("PATH")),
        address=f"{host}:{port}",
        version=_ollama_version(host, port, secure),
    )


def ollama_address(value: str) -> tuple[str, int, bool]:
    """Read OLLAMA_HOST: host, port and whether it is https.

    Source: envconfig.Host of Ollama: `host`, `host:port` or a URL; the port of a URL without one
    is its scheme's. 0.0.0.0 is where the server listens, not where a client asks.
    """
    value = value.strip().strip("\"'")
    url = urlsplit(value if "://" in value else f"//{value}")
    default = {"http": 80, "https": 443}.get(url.scheme, OLLAMA_PORT)
    try:
        port = url.port or default
    except ValueError:  # not a number, or out of range: Ollama falls back as well
        port = default
    host = url.hostname or "127.0.0.1"
    return ("127.0.0.1" if host in ("0.0.0.0", "::") else host), port, url.scheme == "https"


def _ollama_version(host: str, port: int, secure: bool) -> str | None:
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/api/version")
        answer = connection.getresponse()
        body = json.loads(answer.read(4096)) if answer.status == 200 else {}
    except (OSError, http.client.HTTPException, ValueError):
        # Nobody there, or somebody who is not Ollama: both are "no server answers".
        return None
    finally:
        connection.close()
    found = body.get("version") if isinstance(body, dict) else None
    return found if isinstance(found, str) else None


def systemd() -> Systemd:
    """Ask the user's own service manager how it is."""
    program = shutil.which("systemctl")
    return Systemd(
        installed=program is not None,
        system=_SYSTEMD_RUNS_HERE.is_dir(),
        user=_user_manager(program) if program else "",
    )


def _user_manager(program: str) -> str:
    try:
        answer = subprocess.run(
            [program, "--user", "is-system-running"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    state = answer.stdout.strip()
    return "" if state in ("offline", "unknown") else state
