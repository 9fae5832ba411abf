"""What a purge of an engagement would delete, and whether it may.

In a run's directory what is not known to be weights is data: a file that a later version leaves
there is deleted, not overlooked.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from fathom_tui.deployment import DeploymentState
from fathom_tui.errors import EnvironmentProblem, GateRefused, UsageError
from fathom_tui.reports.certificate import Certificate, Deleted
from fathom_tui.runs import RunView
from fathom_tui.stages import RunState
from fathom_tui.store.journal import utc_now
from fathom_tui.store.ledger import Store
from fathom_tui.store.paths import Home
from fathom_tui.store.purged import begun, run_ids

WEIGHTS = ("adapter", "merged", "f16", "quantised")
"""Artifacts that stay: what the client owns, and what a deployment serves."""
_LEDGER = ("journal.jsonl", "lock")


def plan_purge(
    store: Store, slug: str, *, by: str, reason: str, also_original: bool = False
) -> Certificate:
    """Return what a purge would delete; nothing is changed.

    A purge that was cut short is planned anew together with what its own plan names.

    Raises:
        NotFound: There is no such engagement.
        UsageError: A run is under way, or an original is not this engagement's alone.
        GateRefused: A deployment still needs what would be deleted.
        EnvironmentProblem: A file cannot be read.
    """
    home, row = store.home, store.engagement(slug)
    runs = run_ids(home, slug)
    _require_idle(home, runs)
    views = _views(store, runs)
    files, removed = _of_runs(home, runs, views)
    found = [*files, *_originals(store, slug, views, also_original=also_original)]
    _require_unneeded(store, slug, files)
    until = next((f["value"] for f in store.facts(slug) if f["key"] == "retention_until"), None)
    fresh = Certificate(
        slug=slug,
        title=row.name,
        number=1 + len(store.purges(slug)),
        by=by,
        reason=reason,
        planned_at=utc_now(),
        done_at="",
        retention_until=None if until is None else str(until),
        files=tuple(found),
        removed=tuple(removed),
        kept=tuple(_kept(store, slug, views, also_original=also_original)),
    )
    before = begun(home, slug)
    if before is not None and before.number <= len(store.purges(slug)):
        before = None  # it was finished and recorded; only its plan is left over
    return _joined(before, fresh)


def _require_idle(home: Home, runs: Iterable[str]) -> None:
    from fathom_tui.store.requests import live_state, waiting

    asked = waiting(home)
    for run in runs:
        known = home.run_journal(run).exists()
        state = RunState.QUEUED if run in asked else live_state(home, run) if known else None
        if state in (RunState.QUEUED, RunState.RUNNING):
            raise UsageError(
                f"Run {run} is {state.value}: its data is in use.",
                fix=f"fathom cancel {run}, then purge again.",
            )


def _views(store: Store, runs: Iterable[str]) -> dict[str, RunView]:
    known = (run for run in runs if store.home.run_journal(run).exists())
    return {run: store.run_view(run) for run in known}


def _of_runs(
    home: Home, runs: Iterable[str], views: Mapping[str, RunView]
) -> tuple[list[Deleted], list[str]]:
    """Return the files that go, and the fewest paths below the data directory that cover them."""
    files: list[Deleted] = []
    removed: list[str] = []
    for run in runs:
        view = views.get(run)
        artifacts = view.artifacts.values() if view else ()
        weights = {a.path for a in artifacts if a.name in WEIGHTS}
        paths, covered = _going(home.run(run), "", weights)
        files += [_described(home.run(run) / path, f"runs/{run}/{path}", run) for path in paths]
        removed += [f"runs/{run}/{path}" for path in covered]
    return files, removed


def _going(root: Path, prefix: str, weights: set[str]) -> tuple[list[str], list[str]]:
    """Return the files below a directory that go, and the paths that cover them."""
    going: list[str] = []
    covered: list[str] = []
    for entry in sorted(os.scandir(root / prefix), key=lambda e: e.name):
        name = prefix + entry.name
        if name in weights or name in _LEDGER or name.endswith(".gguf"):
            continue
        if not entry.is_dir(follow_symlinks=False):
            going.append(name)
            covered.append(name)
            continue
        inner, parts = _going(root, f"{name}/", weights)
        going += inner
        covered += parts if _keeps(root / name, f"{name}/", weights) else [name]
    return going, covered


def _keeps(directory: Path, prefix: str, weights: set[str]) -> bool:
    """Say whether anything below a directory stays."""
    return any(
        f"{prefix}{path.relative_to(directory).as_posix()}" in weights or path.suffix == ".gguf"
        for path in directory.rglob("*")
    )


def _described(path: Path, name: str, run: str) -> Deleted:
    try:
        if path.is_symlink():
            content = os.fsencode(os.readlink(path))
            return Deleted(path=name, sha256=hashlib.sha256(content).hexdigest(), bytes=0, run=run)
        if not path.is_file():
            # A pipe or a socket: nothing is in it, and reading it would wait for ever.
            return Deleted(path=name, sha256=hashlib.sha256().hexdigest(), bytes=0, run=run)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise EnvironmentProblem(
            f"{path} cannot be read, so it cannot be certified: {error.strerror}.",
            fix=f"Give yourself the right to read it: ls -l {path}",
        ) from error
    return Deleted(path=name, sha256=digest, bytes=size, run=run)


def _settings(store: Store, slug: str, views: Mapping[str, RunView]) -> list[Mapping[str, Any]]:
    return [store.engagement(slug).config, *(view.config for view in views.values())]


def _sources(settings: Iterable[Mapping[str, Any]]) -> list[Path]:
    """Return the data files that plans name and that are there, each once."""
    named = [str(each[key]) for each in settings for key in ("dataset", "test") if each.get(key)]
    paths = dict.fromkeys(Path(os.path.abspath(os.path.expanduser(name))) for name in named)
    return [path for path in paths if path.is_file()]


def _is_ours(home: Home, path: Path) -> bool:
    roots = (home.data, home.config, home.state, home.cache)
    return any(path.resolve().is_relative_to(root.resolve()) for root in roots)


def _originals(
    store: Store, slug: str, views: Mapping[str, RunView], *, also_original: bool
) -> Iterator[Deleted]:
    """Yield the data files to delete: those in our own directories, others only if asked for.

    Raises:
        UsageError: An original that was asked for is not this engagement's alone, or not what
            its runs read.
    """
    for path in _sources(_settings(store, slug, views)):
        if also_original:
            _require_ownership(store, slug, path)
            _require_unchanged(path, views)
        elif not _is_ours(store.home, path) or _shared(store, slug, path):
            continue
        name = path.relative_to(store.home.data).as_posix() if _below(store.home, path) else path
        yield _described(path, str(name), "")


def _below(home: Home, path: Path) -> bool:
    return path.is_relative_to(home.data)


def _require_ownership(store: Store, slug: str, path: Path) -> None:
    """Refuse to delete a file that is not this engagement's alone.

    Raises:
        UsageError: It is part of Fathom, or another engagement's too.
    """
    demo = Path(str(resources.files("fathom_tui.assets"))) / "demo" / path.name
    # By content: the demo of another checkout or release is nobody's data either.
    if demo.is_file() and _described(demo, "", "").sha256 == _described(path, "", "").sha256:
        raise UsageError(
            f"{path} is part of Fathom itself: the demo's own tickets, and nobody's data.",
            fix="Leave out --also-original.",
        )
    other = _shared(store, slug, path)
    if other:
        raise UsageError(
            f"{path} is the data of {other} as well.",
            fix="Leave out --also-original, or give that engagement a file of its own.",
        )


def _require_unchanged(path: Path, views: Mapping[str, RunView]) -> None:
    """Refuse to delete a file that has the name of the data, but is not what the runs read.

    Raises:
        UsageError: No run read a file of this content under this name.
    """
    read = {
        str(view.stages["data"].result.get("sha256", {}).get(name))
        for view in views.values()
        for setting, name in (("dataset", "dataset"), ("test", "test_file"))
        if view.config.get(setting) and _same_name(str(view.config[setting]), path)
    } - {"None"}
    if read and _described(path, "", "").sha256 not in read:
        raise UsageError(
            f"{path} is not what the runs read under this name: it was changed since.",
            fix="Leave out --also-original, and delete the file by hand if it is to go.",
        )


def _same_name(named: str, path: Path) -> bool:
    return os.path.abspath(os.path.expanduser(named)) == str(path)


def _shared(store: Store, slug: str, path: Path) -> str:
    """Return another engagement whose data a file is; empty where there is none."""
    for other in store.engagements():
        names = (other.config.get("dataset"), other.config.get("test"))
        same = (name for name in names if name and os.path.exists(name))
        if other.slug != slug and any(os.path.samefile(name, path) for name in same):
            return other.slug
    return ""


def _require_unneeded(store: Store, slug: str, files: Sequence[Deleted]) -> None:
    """Refuse while a deployment needs what would go.

    Raises:
        GateRefused: A live version has no anchors of its own, or what it serves is a link to a
            file that would be deleted.
    """
    home = store.home
    serving = home.data / "serving" / slug
    going = {str((home.data / found.path).resolve()) for found in files}
    for row in store.deployments(slug):
        own = serving / f"{row['version']}.anchors.json"
        if row["state"] == DeploymentState.SERVING and not own.is_file():
            raise GateRefused(
                f"{row['id']} is live and has no anchors of its own: without the run's it could "
                "never be checked again.",
                fix=f"fathom deploy {slug} gives it anchors of its own.",
            )
    for path in serving.glob("*"):
        if path.is_symlink() and str(path.resolve()) in going:
            raise GateRefused(
                f"{path.name} of {slug} is served from the run's own file.",
                fix=f"fathom deploy {slug} gives it a file of its own.",
            )


def _kept(
    store: Store, slug: str, views: Mapping[str, RunView], *, also_original: bool
) -> Iterator[str]:
    home = store.home
    for path in sorted((home.data / "serving" / slug).glob("v*.anchors.json")):
        version = path.name.partition(".")[0]
        yield (
            f"serving/{slug}/{path.name}: the anchors of {version}, held-out messages by which its "
            "health is checked for as long as it serves."
        )
    if store.feedback(slug):
        yield f"{len(store.feedback(slug))} notes of feedback, as people wrote them, in the ledger."
    if not also_original:
        for path in _sources(_settings(store, slug, views)):
            if not _is_ours(home, path):
                yield f"The original {path}: it lies outside Fathom."
            elif other := _shared(store, slug, path):
                yield f"{path}: it is the data of {other} as well."


def _joined(before: Certificate | None, fresh: Certificate) -> Certificate:
    """Return a plan that names what an earlier one named too, as it was then."""
    if before is None:
        return fresh
    files = {found.path: found for found in (*fresh.files, *before.files)}
    return replace(
        fresh,
        number=before.number,
        planned_at=before.planned_at,
        files=tuple(files[path] for path in sorted(files)),
        removed=tuple(sorted({*before.removed, *fresh.removed})),
    )
