"""What the directives of our user units do, seen from inside a service of an unprivileged user."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from fathom_tui.sandbox import EVERYWHERE, NO_NEW_CODE
from tests.user_manager import UserManager, user_manager, why_not

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "can be tested"),
]

PROBE = """
import ctypes, json, mmap, os, resource, socket

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p

def number(result):
    return ctypes.get_errno() if result in (-1, 2**64 - 1, None) else 0

def tried(act):
    try:
        act()
    except OSError as error:
        return error.errno
    return 0

def in_a_child(act):
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os._exit(act() or 0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def foreign_call():
    # mov eax, 20 (getpid); int 0x80; ret: a system call of 32-bit x86.
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(bytes([0xB8, 20, 0, 0, 0, 0xCD, 0x80, 0xC3]))
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    ctypes.CFUNCTYPE(ctypes.c_int)(address)()

status = dict(line.split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
own = os.path.expanduser("~/own-file")
open(own, "w").close()
found = {
    "no_new_privileges": int(status["NoNewPrivs"]),
    "umask": status["Umask"].strip(),
    "personality": number(libc.personality(0x0040000)),
    "user_namespace": in_a_child(lambda: number(libc.unshare(0x10000000))),
    "suid": tried(lambda: os.chmod(own, 0o4755)),
    "ptrace": number(libc.ptrace(16, 0, 0, 0)),
    "netlink": tried(lambda: socket.socket(16, socket.SOCK_RAW).close()),
    "internet": tried(lambda: socket.socket(socket.AF_INET).close()),
    "new_code": number(libc.mmap(None, ctypes.c_size_t(4096), 7, 0x22, -1, ctypes.c_long(0))),
}
if os.uname().machine == "x86_64" and not found["new_code"]:
    found["foreign_call"] = in_a_child(foreign_call)
print(json.dumps(found))
"""
EPERM, ESRCH, EAFNOSUPPORT, SIGSYS = 1, 3, 97, 31
FREE: dict[str, Any] = {
    "no_new_privileges": 0, "umask": "0022", "personality": 0, "user_namespace": 0, "suid": 0,
    "ptrace": ESRCH, "netlink": 0, "internet": 0, "new_code": 0, "foreign_call": 0,
}  # fmt: skip
EFFECTS: dict[str, dict[str, Any]] = {
    "NoNewPrivileges": {},
    "UMask": {"umask": "0077", "no_new_privileges": 0},
    "LockPersonality": {"personality": EPERM},
    "RestrictNamespaces": {"user_namespace": EPERM},
    "RestrictSUIDSGID": {"suid": EPERM},
    "SystemCallArchitectures": {"foreign_call": -SIGSYS},
    "SystemCallFilter": {"ptrace": EPERM},
    "RestrictAddressFamilies": {"netlink": EAFNOSUPPORT},
    "MemoryDenyWriteExecute": {"new_code": EPERM},
}
"""What each directive changes, beside no_new_privileges, which all but UMask switch on."""
DIRECTIVES = {
    **dict(EVERYWHERE),
    "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
    NO_NEW_CODE[0]: NO_NEW_CODE[1],
}


@pytest.fixture(scope="module")
def manager() -> Iterator[UserManager]:
    with user_manager() as manager:
        yield manager


class TestFromInside:
    def test_a_service_without_directives_is_free(self, manager: UserManager) -> None:
        assert json.loads(manager.service("free", code=PROBE)) == FREE

    @pytest.mark.parametrize("name", EFFECTS)
    def test_each_directive_of_our_user_units_does_what_it_says(
        self, manager: UserManager, name: str
    ) -> None:
        settings = [f"{name}={DIRECTIVES[name]}"]
        if name == "SystemCallFilter":
            settings.append(f"SystemCallErrorNumber={DIRECTIVES['SystemCallErrorNumber']}")

        found = json.loads(manager.service(f"with-{name.lower()}", *settings, code=PROBE))

        expected = {**FREE, "no_new_privileges": 1, **EFFECTS[name]}
        if expected["new_code"]:
            expected.pop("foreign_call")  # it needs new code itself
        assert found == expected

    def test_no_directive_of_our_user_units_is_left_out_here(self) -> None:
        assert set(EFFECTS) == set(DIRECTIVES) - {"SystemCallErrorNumber"}

    def test_a_directive_that_is_not_ours_for_users_would_do_nothing(
        self, manager: UserManager
    ) -> None:
        # The reason for two sets: the manager takes it, starts the service, and nothing happens.
        code = "import os; print(os.access(os.path.expanduser('~'), os.W_OK))"

        assert manager.service("strict", "ProtectSystem=strict", code=code) == "True\n"
