"""From this machine and this home to an installation: which units, for whom, with what set."""

import grp
import os
import shutil
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from fathom_tui.deployment import live
from fathom_tui.errors import EnvironmentProblem, NotFound, UsageError
from fathom_tui.runner import account
from fathom_tui.runner.systemd import Systemd, UnitState
from fathom_tui.runner.vllm_target import FIRST_PORT, VllmTarget
from fathom_tui.serving import TARGETS
from fathom_tui.sources import services
from fathom_tui.store import Home, Store
from fathom_tui.store.private import make_directory
from fathom_tui.unit_file import UnitFile
from fathom_tui.units import MARK, PREFIX, Installation, ServerUnit, enabled, units

ACCOUNT = "fathom"
EXAMPLE = "example"
"""Whose server is shown where nothing was deployed yet and units are only looked at."""
_KEPT = (
    *("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"),
    *("PYTHONPATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"),
    "OLLAMA_HOST",
)
"""What of the installing person's environment the services find too: a manager starts with none."""
_GPU_GROUPS = ("render", "video")


def home_for(scope: str, environment: Mapping[str, str] = os.environ) -> Home:
    """Return the home that the services of a scope work in."""
    if scope == "system" and not environment.get("FATHOM_HOME"):
        return Home.at(account.HOME)
    return Home.from_env(environment)


def plan_installation(
    home: Home,
    scope: str,
    *,
    target: str | None = None,
    slugs: Sequence[str] = (),
    gpu: bool = False,
    who: str = ACCOUNT,
    lora: Sequence[tuple[str, str]] = (),
    missing_allowed: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> Installation:
    """Return what is to be installed.

    Args:
        home: Where the services will work.
        scope: `user` or `system`.
        target: Serves the engagements; None means the one each is served by, or planned for.
        slugs: Engagements that get a server; none means every one that has a version.
        gpu: Whether the services use a GPU.
        who: The account that system services run as.
        lora: Adapters that vLLM offers beside the model: (name, directory).
        missing_allowed: Whether programs may be absent, as when units are only looked at.
        environment: What the installing person has set.

    Raises:
        NotFound: There is no such engagement.
        UsageError: A name or a path cannot stand in a unit, or nothing is there to be served.
        EnvironmentProblem: Ollama or vLLM is needed and not installed.
    """
    chosen = [Store(home).engagement(slug).slug for slug in slugs] or _deployed(home)
    wanted = {slug: target or _target(home, slug) for slug in chosen}
    if not wanted and missing_allowed:
        wanted = {EXAMPLE: target or TARGETS[0]}
    if not wanted and target not in (None, "ollama"):
        raise UsageError(
            f"Nothing was deployed yet, so there is nothing for {target} to serve.",
            fix=f"fathom runner install --target {target} --engagement SLUG",
        )
    kinds = set(wanted.values()) | ({target} if target else set())
    servers = tuple(
        ServerUnit(
            slug=slug,
            target=kind,
            root=str(home.data / "serving" / slug),
            lora=tuple(lora) if kind == "vllm" else (),
        )
        for slug, kind in wanted.items()
        if kind != "ollama"
    )
    _check_lora(lora, servers)
    return Installation(
        scope=scope,
        gpu=gpu,
        python=sys.executable,
        reads=(sys.base_prefix, sys.prefix, str(Path(__file__).resolve().parent.parent)),
        writes=_roots(home),
        environment=_environment(home, scope, environment),
        account=who if scope == "system" else "",
        groups=_gpu_groups() if gpu else (),
        servers=servers,
        ollama=_ollama(missing_allowed, environment) if "ollama" in kinds else "",
        vllm=_vllm(missing_allowed, environment)
        if any(s.target == "vllm" for s in servers)
        else "",
    )


def served(home: Home) -> list[str]:
    """Return the engagements that have a serving folder: somebody deployed them once."""
    root = home.data / "serving"
    return sorted(path.name for path in root.glob("*") if path.is_dir()) if root.is_dir() else []


def _deployed(home: Home) -> list[str]:
    """Return the engagements that have a serving folder and are in the ledger."""
    found = served(home)
    known = {row.slug for row in Store(home).engagements()} if found else set()
    return [slug for slug in found if slug in known]


def _target(home: Home, slug: str) -> str:
    """Return what serves an engagement: its live version's target, else its plan's."""
    store = Store(home)
    engagement = store.engagement(slug)
    current = live(store.deployments(engagement.slug))
    # The plan as it was written: one that is incomplete otherwise is no reason to install nothing.
    known = str(current["target"] if current else engagement.config.get("target"))
    return known if known in TARGETS else TARGETS[0]


def _check_lora(lora: Sequence[tuple[str, str]], servers: Sequence[ServerUnit]) -> None:
    if lora and not any(server.target == "vllm" for server in servers):
        raise UsageError("Adapters are for vLLM, and no engagement uses it.", fix="--target vllm")
    for name, directory in lora:
        if not (Path(directory) / "adapter_config.json").is_file():
            raise NotFound(
                f"There is no adapter {name!r} in {directory}.",
                fix="Give the directory that holds adapter_config.json.",
            )


def _roots(home: Home) -> tuple[str, ...]:
    parts = (home.data, home.config, home.state, home.cache)
    parents = {part.parent for part in parts}
    if len(parents) == 1 and home == Home.at(home.data.parent):
        return (str(home.data.parent),)
    return tuple(str(part) for part in parts)


def _environment(home: Home, scope: str, given: Mapping[str, str]) -> dict[str, str]:
    kept = {name: given[name] for name in _KEPT if given.get(name)}
    if "PYTHONPATH" in kept:
        parts = kept["PYTHONPATH"].split(os.pathsep)
        kept["PYTHONPATH"] = os.pathsep.join(os.path.abspath(part) for part in parts)
    if scope == "system" or given.get("FATHOM_HOME"):
        kept["FATHOM_HOME"] = str(home.data.parent)
    return kept


def _gpu_groups() -> tuple[str, ...]:
    known = {group.gr_name for group in grp.getgrall()}
    return tuple(name for name in _GPU_GROUPS if name in known)


def _ollama(missing_allowed: bool, environment: Mapping[str, str]) -> str:
    """Return Ollama's program, or nothing where the server is on another machine."""
    host = services.ollama_address(environment.get("OLLAMA_HOST", ""))[0]
    if host not in ("127.0.0.1", "localhost", "::1"):
        return ""
    return _program("ollama", "https://ollama.com/download", missing_allowed, environment)


def _vllm(missing_allowed: bool, environment: Mapping[str, str]) -> str:
    beside = str(Path(sys.executable).parent)
    path = os.pathsep.join([beside, environment.get("PATH", os.defpath)])
    fix = "pip install vllm (in an environment of its own; then put its bin on PATH)"
    return _program("vllm", fix, missing_allowed, {**environment, "PATH": path})


def _program(name: str, fix: str, missing_allowed: bool, environment: Mapping[str, str]) -> str:
    found = shutil.which(name, path=environment.get("PATH"))
    if found:
        return os.path.abspath(found)
    if missing_allowed:
        return f"/usr/local/bin/{name}"
    raise EnvironmentProblem(
        f"{name} is not installed, so no unit can run it.",
        fix=f"Install it: {fix}. To look at the unit: add --dry-run.",
    )


def prepare(home: Home, given: Installation) -> None:
    """Make the directories that the units need, for the account that they run as.

    Raises:
        EnvironmentProblem: The account is missing, or cannot read the interpreter.
        UsageError: The home belongs to another account.
    """
    if given.scope == "system":
        who = account.account(given.account)
        account.must_be_theirs(map(Path, _roots(home)), who)
        for path in given.reads:
            account.must_be_readable(Path(path).resolve(), who)
    home.prepare()
    for server in given.servers:
        root = Path(server.root)
        make_directory(root)
        if server.target == "vllm":
            port = _port(home, server.slug)
            VllmTarget(root, server.slug).prepare(scope=given.scope, port=port)
    if given.scope == "system":
        account.give(map(Path, _roots(home)), who)


def _port(home: Home, slug: str) -> int:
    """Return the port an engagement's vLLM has, or the first that none has and nobody uses."""
    known = _kept_port(home, slug)
    if known is not None:
        return known
    taken = {_kept_port(home, name) for name in served(home)}
    for port in range(FIRST_PORT, FIRST_PORT + 1000):
        if port not in taken and _is_free(port):
            return port
    raise EnvironmentProblem("No port is free for vLLM.", fix="End some servers.")


def _kept_port(home: Home, slug: str) -> int | None:
    from fathom_tui.runner.vllm_api import VllmApi

    try:
        return VllmApi(home.data / "serving" / slug, slug).place.port
    except EnvironmentProblem:
        return None


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def write(directory: Path, files: Sequence[UnitFile]) -> list[Path]:
    """Write units into a directory and return their paths.

    Raises:
        UsageError: A file of that name is not one of ours.
    """
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for unit in files:
        path = directory / unit.name
        if path.exists() and not _is_ours(path):
            raise UsageError(
                f"{path} was written by somebody else and stays as it is.",
                fix="Move it away first, if it is not needed.",
            )
        draft = path.with_name(f".{path.name}.part")
        draft.write_text(unit.text, "utf-8")
        draft.chmod(0o644)
        draft.replace(path)
        paths.append(path)
    return paths


def install(systemd: Systemd, given: Installation) -> list[str]:
    """Write the units, enable and start them; return the names that start by themselves.

    Units of an earlier installation that this one has no more are removed.

    Raises:
        EnvironmentProblem: systemd does not allow it.
    """
    files = units(given)
    names = {unit.name for unit in files}
    remove(systemd, [name for name in installed(systemd) if name not in names])
    changed = [unit.name for unit in files if differs(systemd.directory / unit.name, unit.text)]
    write(systemd.directory, files)
    systemd.call("daemon-reload")
    starting = enabled(given)
    systemd.call("enable", *starting)
    # Not waited for: a model may take minutes to load.
    if changed:
        systemd.call("try-restart", "--no-block", *changed)
    systemd.call("start", "--no-block", *starting)
    return starting


def settled(systemd: Systemd, names: Sequence[str], *, patience_s: float) -> list[UnitState]:
    """Return how units stand once none of them is on its way any more, or patience has run out."""
    deadline = time.monotonic() + patience_s
    while True:
        states = systemd.states(names)
        if not any(state.moving for state in states) or time.monotonic() > deadline:
            return states
        time.sleep(0.1)


def remove(systemd: Systemd, names: Sequence[str]) -> list[Path]:
    """Stop, disable and delete units of ours; return the files."""
    if not names:
        return []
    # Timers and paths first: they would start again what is being stopped.
    ordered = sorted(names, key=lambda name: name.endswith(".service"))
    systemd.call("disable", "--now", *ordered)
    paths = [systemd.directory / name for name in ordered]
    for path in paths:
        path.unlink(missing_ok=True)
    systemd.call("daemon-reload")
    known = [state.name for state in systemd.states(ordered) if state.active == "failed"]
    if known:
        systemd.call("reset-failed", *known)
    return paths


def installed(systemd: Systemd) -> list[str]:
    """Return the names of the units of ours that are there."""
    if not systemd.directory.is_dir():
        return []
    found = systemd.directory.glob(f"{PREFIX}*")
    return sorted(path.name for path in found if path.is_file() and _is_ours(path))


def _is_ours(path: Path) -> bool:
    return path.read_text("utf-8", errors="replace").startswith(f"# {MARK}")


def differs(path: Path, text: str) -> bool:
    """Say whether a unit is there and is not this one."""
    return path.is_file() and path.read_text("utf-8", errors="replace") != text
