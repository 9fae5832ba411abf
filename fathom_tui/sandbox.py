"""What a service may not do: the directives of our units, and why each one is there or is not.

User units carry only what a test sees working from inside a service of an unprivileged user
manager: such a manager starts units with most other directives, reports success, and leaves them
without effect. System units carry all of it.

Sources: systemd.exec(5), systemd.resource-control(5); the NixOS module for Ollama, whose unit hid
NVIDIA devices once (nixpkgs issue 331069), for the list of devices.
"""

from collections.abc import Iterable, Sequence

Settings = list[tuple[str, str]]

EVERYWHERE: Sequence[tuple[str, str]] = (
    ("NoNewPrivileges", "yes"),
    ("UMask", "0077"),
    ("LockPersonality", "yes"),
    ("RestrictNamespaces", "yes"),
    ("RestrictSUIDSGID", "yes"),
    ("SystemCallArchitectures", "native"),
    ("SystemCallFilter", "@system-service"),
    ("SystemCallErrorNumber", "EPERM"),
)
"""Work in the manager of an unprivileged user as well."""

NO_NEW_CODE = ("MemoryDenyWriteExecute", "yes")
"""For llama.cpp and Ollama; torch compiles kernels as it runs and stops under it."""

_FAMILIES = "AF_INET AF_INET6 AF_UNIX"
_SYSTEM: Sequence[tuple[str, str]] = (
    ("CapabilityBoundingSet", ""),
    ("AmbientCapabilities", ""),
    ("SystemCallFilter", "~@privileged"),
    ("ProtectSystem", "strict"),
    ("PrivateTmp", "yes"),
    ("PrivateMounts", "yes"),
    ("ProtectProc", "invisible"),
    ("ProtectClock", "yes"),
    ("ProtectControlGroups", "yes"),
    ("ProtectHostname", "yes"),
    ("ProtectKernelLogs", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelTunables", "yes"),
    ("RemoveIPC", "yes"),
    ("RestrictRealtime", "yes"),
)
_CPU_DEVICES: Sequence[tuple[str, str]] = (
    ("PrivateDevices", "yes"),
    ("DevicePolicy", "closed"),
)
_GPU_DEVICES: Sequence[tuple[str, str]] = (
    ("PrivateDevices", "no"),
    ("DevicePolicy", "closed"),
    ("DeviceAllow", "char-nvidiactl rw"),
    ("DeviceAllow", "char-nvidia-caps rw"),
    ("DeviceAllow", "char-nvidia-frontend rw"),
    ("DeviceAllow", "char-nvidia-uvm rw"),
    ("DeviceAllow", "char-drm rw"),
    ("DeviceAllow", "char-kfd rw"),
    ("DeviceAllow", "/dev/dxg rw"),
)
"""NVIDIA (195, the driver's own major, is nvidiactl's), AMD's kfd and drm, and WSL's dxg."""

_HOMES = ("/home", "/root", "/run/user")


def restrictions(
    scope: str,
    *,
    gpu: bool,
    new_code: bool,
    netlink: bool = False,
    only_this_machine: bool = False,
    alone: bool = False,
    reads: Iterable[str] = (),
    groups: Sequence[str] = (),
) -> Settings:
    """Return the directives of one service.

    Args:
        scope: `user` or `system`.
        gpu: The service uses a GPU.
        new_code: It compiles machine code as it runs, as torch does.
        netlink: It asks the kernel for network interfaces, as torch.distributed does.
        only_this_machine: It talks to this machine alone.
        alone: No other unit looks at its processes.
        reads: Paths it cannot do without; they decide whether home directories stay visible.
        groups: Groups of this machine that may open its GPUs.
    """
    settings = list(EVERYWHERE)
    settings.append(("RestrictAddressFamilies", _FAMILIES + (" AF_NETLINK" if netlink else "")))
    if not new_code:
        settings.append(NO_NEW_CODE)
    if scope == "user":
        return settings
    settings += _SYSTEM
    settings.append(("ProtectHome", "read-only" if _in_a_home(reads) else "yes"))
    if alone:
        # A user namespace of its own also hides a service's processes from its siblings, which
        # look whether the server still lives.
        settings.append(("PrivateUsers", "yes"))
    if only_this_machine:
        settings += [("IPAddressDeny", "any"), ("IPAddressAllow", "localhost")]
    settings += _GPU_DEVICES if gpu else _CPU_DEVICES
    if gpu and groups:
        settings.append(("SupplementaryGroups", " ".join(groups)))
    return settings


def _in_a_home(paths: Iterable[str]) -> bool:
    return any(path == home or path.startswith(f"{home}/") for path in paths for home in _HOMES)
