"""Deleting an engagement's data for good, with a certificate; the ledger's journals stay.

A plan with every file's sha256 is written before the first file goes, so that a purge that was
cut short is repeated and its certificate still names everything.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from fathom_tui.errors import EnvironmentProblem, UsageError
from fathom_tui.reports.certificate import Certificate, Deleted, certificate
from fathom_tui.store.journal import utc_now
from fathom_tui.store.ledger import Store
from fathom_tui.store.paths import Home
from fathom_tui.store.private import open_private, sync_directory, write_fully
from fathom_tui.store.purged import run_ids


def purge(store: Store, plan: Certificate) -> tuple[Certificate, Path]:
    """Delete what a plan names; return the certificate and its file for people.

    Raises:
        UsageError: A process works in one of the runs.
        EnvironmentProblem: A file cannot be deleted, or the certificate not be written; what was
            deleted until then is in the plan, and a repetition goes on with it.
    """
    home, slug = store.home, plan.slug
    directory = home.engagement(slug)
    plan_path = directory / f"purge-{plan.number}.plan.json"
    with _alone(home, slug):
        _write(plan_path, plan.to_json())
        for found in plan.files:
            _delete(home, found)
        _sweep(home, plan)
        done = replace(plan, done_at=utc_now())
        report = directory / f"purge-{plan.number}.md"
        _write(directory / f"purge-{plan.number}.json", done.to_json())
        _write_text(report, _markdown(done))
        store.record(slug, "purge", _event(home, done, report))
        plan_path.unlink()
        sync_directory(directory)
    return done, report


@contextmanager
def purging(home: Home, slug: str) -> Iterator[None]:
    """Be the only one who plans and carries out a purge of an engagement.

    Raises:
        UsageError: Somebody else is at it: two certificates would name the same files.
    """
    busy = UsageError(
        f"Another purge of {slug} is under way.",
        fix=f"Wait for its end, then look at its certificate: fathom engagement show {slug}",
    )
    with _held(home.engagement(slug) / "purge.lock", busy):
        yield


def _markdown(done: Certificate) -> str:
    from fathom_tui.reports.markdown import to_markdown

    return to_markdown(certificate(done))


def _event(home: Home, done: Certificate, report: Path) -> dict[str, Any]:
    return {
        "by": done.by,
        "reason": done.reason,
        "files": len(done.files),
        "bytes": done.bytes,
        "certificate": report.relative_to(home.data).as_posix(),
        "removed": list(done.removed),
    }


def _delete(home: Home, found: Deleted) -> None:
    path = home.data / found.path  # an absolute path stays what it is
    try:
        path.unlink(missing_ok=True)
    except NotADirectoryError:
        return  # its directory went, and something else has the name
    except OSError as error:
        raise EnvironmentProblem(
            f"{path} cannot be deleted: {error.strerror}.",
            fix=f"Give yourself the right to ({path.parent}), then purge again: it goes on.",
        ) from error


def _sweep(home: Home, plan: Certificate) -> None:
    """Remove the directories that are empty now, and make every deletion last."""
    runs = {home.run(found.run) for found in plan.files if found.run}
    for run in runs:
        inside = [path for path in run.rglob("*") if path.is_dir() and not path.is_symlink()]
        for directory in sorted(inside, key=lambda path: len(path.parts), reverse=True):
            with suppress(OSError):  # something is kept in it
                directory.rmdir()
    parents = {(home.data / found.path).parent for found in plan.files}
    for directory in {*runs, *(path for path in parents if path.is_dir())}:
        sync_directory(directory)


@contextmanager
def _alone(home: Home, slug: str) -> Iterator[None]:
    """Hold the locks of all runs, so that no stage begins while its data goes.

    Raises:
        UsageError: A process holds one.
    """
    with ExitStack() as held:
        for run in run_ids(home, slug):
            busy = UsageError(
                f"A process works in {run}, or another purge does.",
                fix=f"Wait for it, or: fathom cancel {run}",
            )
            held.enter_context(_held(home.run(run) / "lock", busy))
        yield


@contextmanager
def _held(path: Path, busy: UsageError) -> Iterator[None]:
    """Hold the lock of a file, or raise what is said where somebody else does."""
    descriptor = open_private(path, os.O_RDWR)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy from None
        yield
    finally:
        os.close(descriptor)


def _write(path: Path, data: Mapping[str, Any]) -> None:
    _write_text(path, json.dumps(data, ensure_ascii=False, indent=1) + "\n")


def _write_text(path: Path, text: str) -> None:
    """Write a file, whole or not at all, so that it survives a power cut."""
    draft = path.with_name(f".{path.name}.part")
    try:
        descriptor = open_private(draft, os.O_WRONLY | os.O_TRUNC)
        try:
            write_fully(descriptor, text.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        draft.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise EnvironmentProblem(
            f"{path} cannot be written: {error.strerror}.",
            fix=f"Free some space, then purge again: df -h {path.parent}",
        ) from error
