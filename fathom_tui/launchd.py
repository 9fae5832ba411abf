"""The same services for macOS: property lists for launchd. Values in, bytes out.

Source: launchd.plist(5), launchctl(1). launchd knows no readiness, no watchdog and no sandbox like
systemd's; what it has is used: restart after a failure, a private umask, a daily hour that is made
up for when the machine was asleep.
"""

import plistlib
from typing import Any

from fathom_tui.units import Installation

_LABEL = "io.fathom"
_HEALTH_AT = {"Hour": 5, "Minute": 0}
_UMASK = 0o077


def plists(installation: Installation, *, logs: str) -> dict[str, bytes]:
    """Return each property list by its file name.

    Args:
        installation: What to run; its scope decides nothing but where the files go. Ollama and
            vLLM are left out: Ollama brings its own app for macOS, vLLM needs CUDA.
        logs: The directory for what the services print; absolute.
    """
    jobs = {"agent": _always(installation, logs, "agent", "runner", "run")}
    for server in installation.servers:
        if server.target == "llama-cpp":
            name = f"serve-{server.slug}"
            jobs[name] = _always(installation, logs, name, "serve", server.slug, "--foreground")
    jobs["health"] = {
        **_job(installation, logs, "health", "health"),
        "StartCalendarInterval": dict(_HEALTH_AT),
    }
    return {f"{label(name)}.plist": plistlib.dumps(job) for name, job in jobs.items()}


def label(name: str) -> str:
    """Return what launchd calls a service of ours."""
    return f"{_LABEL}.{name}"


def _always(given: Installation, logs: str, name: str, *arguments: str) -> dict[str, Any]:
    return {
        **_job(given, logs, name, *arguments),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
    }


def _job(given: Installation, logs: str, name: str, *arguments: str) -> dict[str, Any]:
    job: dict[str, Any] = {
        "Label": label(name),
        "ProgramArguments": [given.python, "-P", "-m", "fathom_tui", *arguments],
        "EnvironmentVariables": {"PYTHONUNBUFFERED": "1", **given.environment},
        "StandardOutPath": f"{logs}/{name}.log",
        "StandardErrorPath": f"{logs}/{name}.log",
        "ProcessType": "Background" if name == "health" else "Standard",
        "Umask": _UMASK,
    }
    if given.scope == "system":
        job["UserName"] = given.account
    return job
