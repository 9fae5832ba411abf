"""The units that keep Fathom at work: the agent, the model servers, the daily check. Values in,
texts out; nothing here looks at the machine.

Sources: systemd.service(5), systemd.timer(5), systemd.path(5), sd_watchdog_enabled(3); Ollama's own
unit in scripts/install.sh at v0.33.0-rc2; vLLM's documentation of `vllm serve` and VLLM_API_KEY.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fathom_tui.errors import UsageError
from fathom_tui.sandbox import Settings, restrictions
from fathom_tui.unit_file import (
    UnitFile,
    bare_path,
    command,
    command_with_variables,
    render,
    word,
)

SCOPES = ("user", "system")
PREFIX = "fathom-"
AGENT = "fathom-agent.service"
HEALTH = "fathom-health.service"
HEALTH_TIMER = "fathom-health.timer"
OLLAMA = "fathom-ollama.service"
MARK = "Written by `fathom runner install`; `fathom runner uninstall` removes it."
"""First line of every unit of ours: what does not have it is somebody else's."""

WATCHDOG_S = 120
"""Our policy. The work loop takes its turn several times a second; what can hold it up longest is
a ledger locked by others (10 s) and a child that does not end (20 s)."""
GPU_MEMORY_SHARE = 0.9
"""Share of a GPU's memory that vLLM may take. Source: vLLM's default, and the deployment checklist
of the book (April 2026)."""
_ACCOUNT = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,30}", re.ASCII)
_STATE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_HEALTH_AT = "*-*-* 05:00:00"
_HEALTH_DELAY = "30min"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerUnit:
    """The server of one engagement."""

    slug: str
    target: str
    """`llama-cpp` or `vllm`; Ollama has one server for all."""
    root: str
    """The engagement's serving folder."""
    lora: tuple[tuple[str, str], ...] = ()
    """Adapters that vLLM offers beside the model: (name, directory)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """Everything that decides the units of one machine."""

    scope: str
    """`user` (the person's own manager) or `system`."""
    gpu: bool
    """The agent trains, and servers answer, on a GPU."""
    python: str
    """The interpreter that has Fathom installed; absolute."""
    writes: tuple[str, ...]
    """Fathom's own directories; absolute."""
    reads: tuple[str, ...] = ()
    """Other places the services cannot do without: the interpreter's, the sources'."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What the services find set."""
    account: str = ""
    """Who system services run as."""
    groups: tuple[str, ...] = ()
    """Groups of this machine that may open its GPUs."""
    servers: tuple[ServerUnit, ...] = ()
    ollama: str = ""
    """The program, where this installation is to run Ollama's server; absolute."""
    vllm: str = ""
    """The program; absolute."""

    def __post_init__(self) -> None:
        if self.scope not in SCOPES:
            raise UsageError(f"There is no scope {self.scope!r}.", fix="user or system")
        if self.scope == "system" and self.account in ("", "root"):
            raise UsageError(
                "System services need an account of their own, and root is none.",
                fix="fathom runner install --system --account fathom",
            )
        if self.account and not _ACCOUNT.fullmatch(self.account):
            raise UsageError(
                f"{self.account!r} cannot be an account's name.",
                fix="fathom runner install --system --account fathom",
            )


def server_name(server: ServerUnit) -> str:
    """Return the name of an engagement's server unit."""
    kind = "vllm" if server.target == "vllm" else "serve"
    return f"{PREFIX}{kind}-{server.slug}.service"


def units(installation: Installation) -> list[UnitFile]:
    """Return every unit of an installation, servers first.

    Raises:
        UsageError: A path or a value cannot stand in a unit.
    """
    found = [_ollama(installation)] if installation.ollama else []
    for server in installation.servers:
        if server.target == "vllm":
            found += [_vllm(installation, server), _vllm_path(installation, server)]
        else:
            found.append(_serve(installation, server))
    return [*found, _agent(installation), _health(installation), _timer()]


def enabled(installation: Installation) -> list[str]:
    """Return the units that start by themselves."""
    # The check is started by its timer, vLLM by the path of its first version.
    by_others = {HEALTH} | {server_name(s) for s in installation.servers if s.target == "vllm"}
    return [unit.name for unit in units(installation) if unit.name not in by_others]


def _agent(given: Installation) -> UnitFile:
    unit = _about("Fathom's agent: works through runs, one at a time", interval=300, burst=30)
    service = [
        ("Type", "notify"),
        ("NotifyAccess", "main"),
        *_gpu_check(given),
        ("ExecStart", _fathom(given, "runner", "run")),
        ("Restart", "on-failure"),
        ("RestartSec", "3"),
        ("WatchdogSec", str(WATCHDOG_S)),
        ("TimeoutStopSec", "60"),
        ("", "A stage killed for memory is tried again with less: the agent goes on."),
        ("OOMPolicy", "continue"),
        ("", "It ends its stages itself; a server that it left behind goes on answering."),
        ("KillMode", "process"),
        *_common(given),
        *restrictions(
            given.scope, gpu=given.gpu, new_code=True, reads=_seen(given), groups=given.groups
        ),
        *_writable(given, given.writes),
    ]
    return _unit(AGENT, unit, service, _install(given))


def _serve(given: Installation, server: ServerUnit) -> UnitFile:
    unit = _about(f"Fathom's model server of {server.slug}", interval=300, burst=5)
    service = [
        ("Type", "notify"),
        ("NotifyAccess", "main"),
        *_gpu_check(given),
        ("ExecStart", _fathom(given, "serve", server.slug, "--foreground")),
        ("Restart", "always"),
        ("RestartSec", "2"),
        ("WatchdogSec", str(WATCHDOG_S)),
        ("TimeoutStopSec", "30"),
        ("OOMPolicy", "stop"),
        *_common(given, FATHOM_UNIT=server_name(server), FATHOM_UNIT_SCOPE=given.scope),
        *restrictions(
            given.scope,
            gpu=given.gpu,
            new_code=False,
            only_this_machine=True,
            reads=_seen(given),
            groups=given.groups,
        ),
        *_writable(given, (server.root,)),
    ]
    return _unit(server_name(server), unit, service, _install(given))


def _vllm(given: Installation, server: ServerUnit) -> UnitFile:
    key, model = f"{server.root}/vllm.key", f"{server.root}/vllm.env"
    unit = _about(f"vLLM with the live version of {server.slug}", interval=900, burst=5)
    # Nothing to serve before the first version: that is no failure.
    unit.append(("ConditionPathExists", bare_path(model)))
    arguments = [
        *(given.vllm, "serve", "${FATHOM_VLLM_MODEL}"),
        *("--served-model-name", server.slug),
        *("--host", "127.0.0.1", "--port", "${FATHOM_VLLM_PORT}"),
        *("--max-model-len", "${FATHOM_VLLM_CONTEXT}"),
        *("--gpu-memory-utilization", f"{GPU_MEMORY_SHARE:g}"),
    ]
    if server.lora:
        arguments += ["--enable-lora", "--lora-modules"]
        arguments += [f"{name}={directory}" for name, directory in server.lora]
    service = [
        ("Type", "exec"),
        *_gpu_check(given),
        ("", "VLLM_API_KEY: in a file, because everybody may read a command line."),
        ("EnvironmentFile", bare_path(key)),
        ("EnvironmentFile", bare_path(model)),
        ("ExecStart", command_with_variables(arguments)),
        ("Restart", "always"),
        ("RestartSec", "5"),
        ("TimeoutStopSec", "60"),
        ("OOMPolicy", "stop"),
        *_common(
            given,
            VLLM_NO_USAGE_STATS="1",
            DO_NOT_TRACK="1",
            HF_HUB_OFFLINE="1",
            HOME=server.root,
            VLLM_CACHE_ROOT=f"{server.root}/vllm-cache",
        ),
        *restrictions(
            given.scope,
            gpu=given.gpu,
            new_code=True,
            netlink=True,
            only_this_machine=True,
            alone=True,
            reads=[*_seen(given), given.vllm, *(path for _, path in server.lora)],
            groups=given.groups,
        ),
        *_writable(given, (server.root,)),
    ]
    return _unit(server_name(server), unit, service, _install(given))


def _vllm_path(given: Installation, server: ServerUnit) -> UnitFile:
    name = server_name(server)
    unit = [("Description", f"Starts vLLM when {server.slug} gets a version")]
    path = [("PathChanged", bare_path(f"{server.root}/vllm.env")), ("Unit", name)]
    sections = [("Unit", unit), ("Path", path), ("Install", _install(given))]
    return UnitFile(name=name.replace(".service", ".path"), text=render(MARK, sections))


def _ollama(given: Installation) -> UnitFile:
    unit = _about("Ollama's server, for Fathom", interval=300, burst=5)
    unit += [("After", "network.target"), ("", "Ollama's installer brings one of that name.")]
    unit.append(("Conflicts", "ollama.service"))
    service = [
        ("Type", "exec"),
        *_gpu_check(given),
        ("ExecStart", command([given.ollama, "serve"])),
        ("Restart", "always"),
        ("RestartSec", "3"),
        ("TimeoutStopSec", "30"),
        ("OOMPolicy", "stop"),
    ]
    if given.scope == "system":
        service += [
            ("User", given.account),
            ("StateDirectory", "fathom-ollama"),
            ("StateDirectoryMode", "0700"),
            ("WorkingDirectory", "/var/lib/fathom-ollama"),
            ("Environment", "HOME=/var/lib/fathom-ollama"),
            ("Environment", "OLLAMA_MODELS=/var/lib/fathom-ollama/models"),
        ]
    service.append(("Environment", word(f"OLLAMA_HOST={_ollama_host(given)}")))
    service += restrictions(
        given.scope,
        gpu=given.gpu,
        new_code=False,
        only_this_machine=True,
        alone=True,
        reads=[given.ollama],
        groups=given.groups,
    )
    return _unit(OLLAMA, unit, service, _install(given))


def _ollama_host(given: Installation) -> str:
    return given.environment.get("OLLAMA_HOST") or "127.0.0.1:11434"


def _health(given: Installation) -> UnitFile:
    unit = [("Description", "Fathom asks every deployed model its anchors")]
    servers = [server_name(s) for s in given.servers] + ([OLLAMA] if given.ollama else [])
    if servers:
        # After a boot a missed check is made up for at once: not before the models are loaded.
        unit.append(("After", " ".join(servers)))
    service = [
        ("Type", "oneshot"),
        ("", "0 is healthy. Warning (1), critical (2) and could-not-check (3) all leave the unit"),
        ("", "failed, so that `systemctl --failed` shows them until a check is good again."),
        ("ExecStart", _fathom(given, "health")),
        ("TimeoutStartSec", "1h"),
        *_common(given),
        *restrictions(
            given.scope, gpu=given.gpu, new_code=False, reads=_seen(given), groups=given.groups
        ),
        *_writable(given, given.writes),
    ]
    return UnitFile(name=HEALTH, text=render(MARK, [("Unit", unit), ("Service", service)]))


def _timer() -> UnitFile:
    timer = [
        ("OnCalendar", _HEALTH_AT),
        ("", "A machine that was off at that hour checks when it is back."),
        ("Persistent", "true"),
        ("", "Many machines, one hour: each its own minute, every day the same."),
        ("RandomizedDelaySec", _HEALTH_DELAY),
        ("FixedRandomDelay", "true"),
        ("Unit", HEALTH),
    ]
    unit = [("Description", "Fathom's daily check of every deployed model")]
    sections = [("Unit", unit), ("Timer", timer), ("Install", [("WantedBy", "timers.target")])]
    return UnitFile(name=HEALTH_TIMER, text=render(MARK, sections))


def _unit(name: str, unit: Settings, service: Settings, install: Settings) -> UnitFile:
    sections = [("Unit", unit), ("Service", service), ("Install", install)]
    return UnitFile(name=name, text=render(MARK, sections))


def _about(description: str, *, interval: int, burst: int) -> Settings:
    return [
        ("Description", description.replace("%", "%%")),
        ("StartLimitIntervalSec", str(interval)),
        ("StartLimitBurst", str(burst)),
    ]


def _install(given: Installation) -> Settings:
    return [("WantedBy", "default.target" if given.scope == "user" else "multi-user.target")]


def _fathom(given: Installation, *arguments: str) -> str:
    return command([given.python, "-P", "-m", "fathom_tui", *arguments])


def _gpu_check(given: Installation) -> Settings:
    return [("ExecStartPre", _fathom(given, "runner", "check-gpu"))] if given.gpu else []


def _common(given: Installation, **variables: str) -> Settings:
    settings: Settings = []
    if given.scope == "system":
        settings.append(("User", given.account))
    everything = {"PYTHONUNBUFFERED": "1", **given.environment, **variables}
    return settings + [
        ("Environment", word(f"{name}={value}")) for name, value in sorted(everything.items())
    ]


def _writable(given: Installation, paths: Sequence[str]) -> Settings:
    if given.scope == "user":
        return []
    settings: Settings = []
    for path in paths:
        name = path.removeprefix("/var/lib/")
        if name != path and _STATE_NAME.fullmatch(name):
            # systemd makes it, with the right owner, where it is missing.
            settings += [("StateDirectory", name), ("StateDirectoryMode", "0700")]
        else:
            settings.append(("ReadWritePaths", word(path)))
    return settings


def _seen(given: Installation) -> list[str]:
    return [given.python, *given.reads, *given.writes]
