"""Processor, memory, disk and terminal, read from the system and nothing else."""

import os
import platform
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from fathom_tui.machine import Cpu, Disk, Memory, Terminal

_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")
_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
_CPU_MODEL = re.compile(r"^(?:model name|Hardware|Processor)\s*:\s*(.+)$", re.MULTILINE)
_CPU_FLAGS = re.compile(r"^(?:flags|Features)\s*:\s*(.+)$", re.MULTILINE)
_NO_LIMIT = 1 << 60
"""Control groups of version 1 write a number near 2^63 for "no limit"."""


def cpu(proc: Path = _PROC) -> Cpu:
    """Read the processor."""
    text = _read(proc / "cpuinfo")
    model, flags = _CPU_MODEL.search(text), _CPU_FLAGS.search(text)
    return Cpu(
        model=model[1].strip() if model else platform.processor() or platform.machine(),
        cores=_cores(),
        bf16=bool(_BF16_FLAGS & set(flags[1].split())) if flags else None,
    )


def _cores() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory(proc: Path = _PROC, cgroup: Path = _CGROUP) -> Memory:
    """Read total and available memory; a control group's limit counts where it is lower."""
    found = dict(re.findall(r"^(\w+):\s+(\d+) kB$", _read(proc / "meminfo"), re.MULTILINE))
    total = int(found["MemTotal"]) * 1024 if "MemTotal" in found else None
    available = int(found["MemAvailable"]) * 1024 if "MemAvailable" in found else None
    limit, used = _limit(cgroup)
    if limit is not None and total is not None and limit < total:
        total = limit
        if available is not None and used is not None:
            available = min(available, max(0, limit - used))
    return Memory(total_bytes=total, available_bytes=available)


def _limit(cgroup: Path) -> tuple[int | None, int | None]:
    for limit_name, used_name in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        limit, used = _read(cgroup / limit_name).strip(), _read(cgroup / used_name).strip()
        if limit.isdigit() and int(limit) < _NO_LIMIT:
            return int(limit), int(used) if used.isdigit() else None
    return None, None


def disk(path: Path) -> Disk:
    """Read the file system a path is on; the path itself need not exist yet.

    Raises:
        OSError: The file system does not answer.
    """
    there = existing(path)
    usage = shutil.disk_usage(there)
    return Disk(path=str(there), free_bytes=usage.free, total_bytes=usage.total)


def existing(path: Path) -> Path:
    """Return the path, or its nearest ancestor that exists."""
    return next(p for p in (path, *path.parents) if p.exists())


def unwritable(paths: tuple[Path, ...]) -> tuple[str, ...]:
    """Return those of the directories that this user cannot create or write."""
    there = {existing(path) for path in paths}
    return tuple(
        sorted(str(p) for p in there if not (p.is_dir() and os.access(p, os.W_OK | os.X_OK)))
    )


def terminal(env: Mapping[str, str] = os.environ) -> Terminal:
    """Read the terminal that any of the standard streams is connected to."""
    for stream in (sys.__stdout__, sys.__stderr__, sys.__stdin__):
        if stream is None or stream.closed or not stream.isatty():
            continue
        size = os.get_terminal_size(stream.fileno())
        return Terminal(
            attached=True,
            columns=size.columns,
            lines=size.lines,
            term=env.get("TERM", ""),
            colorterm=env.get("COLORTERM", ""),
        )
    return Terminal(attached=False)


def _read(path: Path) -> str:
    # Absent outside Linux, or hidden in a sandbox: both mean "unknown", which callers report.
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""
