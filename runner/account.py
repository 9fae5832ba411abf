"""The account that system services run as: it exists, can read Fathom, and owns its home."""

import os
import pwd
import stat
from collections.abc import Iterable
from pathlib import Path

from fathom_tui.errors import EnvironmentProblem, UsageError

HOME = Path("/var/lib/fathom")
"""Where system services work unless FATHOM_HOME says otherwise."""
_PRIVATE = (Path("/tmp"), Path("/var/tmp"))


def account(name: str) -> pwd.struct_passwd:
    """Return an account.

    Raises:
        EnvironmentProblem: There is none of that name.
    """
    try:
        return pwd.getpwnam(name)
    except KeyError as error:
        raise EnvironmentProblem(
            f"There is no account {name} for the services to run as.",
            fix=f"useradd --system --home-dir {HOME} --shell /usr/sbin/nologin {name}",
        ) from error


def must_be_readable(path: Path, who: pwd.struct_passwd) -> None:
    """Make sure that services of an account can get at what is installed in a path.

    Raises:
        EnvironmentProblem: They cannot.
    """
    if any(path.is_relative_to(hidden) for hidden in _PRIVATE):
        raise EnvironmentProblem(
            f"Fathom is installed in {path}, and system services have a /tmp of their own.",
            fix="Install Fathom elsewhere, for example: python3 -m venv /opt/fathom",
        )
    for part in (path, *path.parents):
        if not _may_enter(part.stat(), who):
            raise EnvironmentProblem(
                f"The account {who.pw_name} cannot enter {part}, and Fathom is installed below it.",
                fix="Install Fathom where everybody can read it, for example: "
                "python3 -m venv /opt/fathom",
            )


def _may_enter(found: os.stat_result, who: pwd.struct_passwd) -> bool:
    if found.st_uid == who.pw_uid:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid == who.pw_gid:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)


def must_be_theirs(roots: Iterable[Path], who: pwd.struct_passwd) -> None:
    """Refuse to take somebody's home away; root's becomes the account's.

    Raises:
        UsageError: It belongs to somebody else.
    """
    for root in roots:
        owner = root.stat().st_uid if root.exists() else 0
        if owner not in (0, who.pw_uid):
            raise UsageError(
                f"{root} belongs to {_name(owner)}, not to {who.pw_name}.",
                fix=f"fathom runner install --system --account {_name(owner)}; or leave "
                f"FATHOM_HOME unset for {HOME}",
            )


def give(roots: Iterable[Path], who: pwd.struct_passwd) -> None:
    """Make all that root owns below some directories the account's."""
    for root in roots:
        # Through descriptors: the account may write here and could put a link in root's way.
        for _, directories, files, descriptor in os.fwalk(root):
            _take(descriptor, ".", who)
            for name in (*directories, *files):
                _take(descriptor, name, who)


def _take(directory: int, name: str, who: pwd.struct_passwd) -> None:
    found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if found.st_uid == 0:
        os.chown(name, who.pw_uid, who.pw_gid, dir_fd=directory, follow_symlinks=False)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
