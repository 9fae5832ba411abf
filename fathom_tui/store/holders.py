"""Who holds a lock, in words a person can act on."""

import os
from pathlib import Path


def describe_process(pid: int) -> str:
    """Return "process 123 (fathom run acme)"; the command where it can be read."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return f"process {pid}"
    command = raw.replace(b"\0", b" ").decode("utf-8", "replace").strip()
    return f"process {pid} ({command[:120]})" if command else f"process {pid}"


def flock_holder(descriptor: int) -> str:
    """Return who holds a `flock` on this open file, from /proc/locks.

    Source: proc_locks(5): `1: FLOCK ADVISORY WRITE <pid> <major>:<minor>:<inode> 0 EOF`.
    """
    inode = str(os.fstat(descriptor).st_ino)
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return "another process"
    for line in lines:
        fields = line.split()
        if len(fields) >= 6 and fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == inode:
            return describe_process(int(fields[4]))
    return "another process"
