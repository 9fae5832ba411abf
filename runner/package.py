"""Build a delivery package: copy what a run made, write the documents, sum up every file.

Nothing is a hard link: whoever changes a file of a package must not change the one that serves.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fathom_tui.checklist import Item, checklist
from fathom_tui.errors import EnvironmentProblem, UsageError
from fathom_tui.package import CHECKSUMS, MANIFEST, Delivery, Entry, checksums, manifest
from fathom_tui.runner.archive import ENDING, write, zstandard_library
from fathom_tui.runner.package_texts import texts
from fathom_tui.store import Home

_BLOCK = 1 << 20
_ADAPTER = ("adapter_model.safetensors", "adapter_config.json")
"""What an adapter is; whatever else the trainer left beside it stays here."""
_DOCUMENTS_BYTES = 64 << 20
"""Room for everything that is not weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A package that was written."""

    directory: Path
    archive: Path | None
    entries: tuple[Entry, ...]
    """Every file but the sums themselves."""
    sums_sha256: str
    """Of SHA256SUMS: what the receiver compares with what was told in another way."""
    archive_sha256: str | None
    items: tuple[Item, ...]
    notes: tuple[str, ...]
    """What a person should know before it is handed over."""


def build(delivery: Delivery, home: Home, to: Path, *, archive: bool = True) -> Built:
    """Write the package's directory, and its archive unless told otherwise.

    Args:
        delivery: What `gather` found.
        home: Where the run's files are.
        to: An existing directory; the package's own is made in it, whole or not at all.
        archive: Whether to write the `.tar.zst` beside it.

    Raises:
        UsageError: Something of another kind has the package's name already.
        EnvironmentProblem: The disk is full, a file of the run is damaged, or a delivered file
            would name a directory of this machine.
    """
    target = to / delivery.name
    _require_replaceable(target)
    if archive:
        zstandard_library()  # says now what would fail later
    draft = to / f".{delivery.name}.{os.getpid()}"
    try:
        _require_room(delivery, home, to, archive=archive)
        draft.mkdir(mode=0o700)
        entries, notes = _fill(delivery, home, draft)
        _put_in_place(draft, target)
        packed = _pack(delivery, target, entries) if archive else None
    except OSError as error:
        raise EnvironmentProblem(
            f"The package cannot be written to {to}: {error.strerror or error}.",
            fix=f"Free some space or choose another place with --to: df -h {to}",
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Built(
        directory=target,
        archive=packed,
        entries=tuple(entries),
        sums_sha256=_hash(target / CHECKSUMS),
        archive_sha256=_hash(packed) if packed else None,
        items=checklist(delivery),
        notes=tuple(notes),
    )


def _require_replaceable(target: Path) -> None:
    """Refuse to write over anything but a package with nothing of anybody else's in it."""
    if not target.exists() and not target.is_symlink():
        return
    try:
        data = json.loads((target / MANIFEST).read_text("utf-8"))
        known = {str(row["path"]) for row in data["files"]} | {MANIFEST, CHECKSUMS}
    except (OSError, ValueError, KeyError, TypeError):
        known = set()
    found = set(_names(target)) if target.is_dir() and not target.is_symlink() else {"itself"}
    strange = sorted(found - known)
    if strange or not known:
        what = strange[0] if strange else "something"
        raise UsageError(
            f"{target} is there already, and holds {what}, which no package of ours does.",
            fix="Move it away, or choose another place with --to.",
        )


def _names(directory: Path) -> Iterator[str]:
    for path in sorted(directory.rglob("*")):
        if path.is_symlink() or not path.is_dir():
            yield path.relative_to(directory).as_posix()


def _require_room(delivery: Delivery, home: Home, to: Path, *, archive: bool) -> None:
    weights = delivery.bytes + _adapter_bytes(delivery)
    need = (weights + _DOCUMENTS_BYTES) * (2 if archive else 1)
    free = shutil.disk_usage(to).free
    if need > free:
        raise EnvironmentProblem(
            f"The package needs {need / 1e9:,.2f} GB, and {to} has {free / 1e9:,.2f} GB free.",
            fix="Choose another place with --to" + (", or add --no-archive." if archive else "."),
        )


def _adapter_bytes(delivery: Delivery) -> int:
    found = delivery.view.artifacts.get("adapter")
    return found.bytes if found else 0


def _fill(delivery: Delivery, home: Home, draft: Path) -> tuple[list[Entry], list[str]]:
    """Write every file; return them with the manifest first, and what is to be said."""
    written, notes = texts(delivery)
    _copy_model(delivery, home, draft / delivery.gguf)
    _copy_adapter(delivery, home, draft)
    for name, text in written.items():
        path = draft / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_text(text, "utf-8")
    _require_public(draft, delivery)
    entries = [_entry(draft, name) for name in _names(draft)]
    text = json.dumps(manifest(delivery, entries), ensure_ascii=False, indent=1) + "\n"
    (draft / MANIFEST).write_text(text, "utf-8")
    entries.insert(0, _entry(draft, MANIFEST))
    (draft / CHECKSUMS).write_text(checksums(entries), "utf-8")
    for name in _names(draft):
        _sync(draft / name)
    return entries, notes


def _entry(directory: Path, name: str) -> Entry:
    path = directory / name
    return Entry(path=name, bytes=path.stat().st_size, sha256=_hash(path))


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _copy_model(delivery: Delivery, home: Home, target: Path) -> None:
    """Copy the accepted file from the run, or from the deployment where the run's is gone."""
    wanted = delivery.view.artifacts["quantised"]
    places = (
        home.run(delivery.view.id) / wanted.path,
        home.data / "serving" / delivery.slug / f"{delivery.version}.gguf",
    )
    for source in places:
        if source.is_file() and source.stat().st_size == wanted.bytes:
            shutil.copyfile(source, target)
            if _hash(target) == wanted.sha256:
                return
            target.unlink()
    raise EnvironmentProblem(
        f"The file of {delivery.view.id} is gone or was changed: neither {places[0]} nor "
        f"{places[1]} has the sha256 {wanted.sha256[:12]}….",
        fix=f"Run the engagement again: fathom run {delivery.slug}",
    )


def _copy_adapter(delivery: Delivery, home: Home, draft: Path) -> None:
    found = delivery.view.artifacts.get("adapter")
    source = home.run(delivery.view.id) / (found.path if found else "train/adapter")
    missing = [name for name in _ADAPTER if not (source / name).is_file()]
    if missing:
        raise EnvironmentProblem(
            f"The adapter of {delivery.view.id} is not whole: {source / missing[0]} is missing.",
            fix=f"Run the engagement again: fathom run {delivery.slug}",
        )
    target = draft / "adapter"
    target.mkdir(mode=0o700)
    shutil.copyfile(source / _ADAPTER[0], target / _ADAPTER[0])
    settings = json.loads((source / _ADAPTER[1]).read_text("utf-8"))
    settings["base_model_name_or_path"] = delivery.base  # it held a directory of this machine
    text = json.dumps(settings, indent=2, sort_keys=True) + "\n"
    (target / _ADAPTER[1]).write_text(text, "utf-8")
    (target / "README.md").write_text(_adapter_readme(delivery), "utf-8")


def _adapter_readme(delivery: Delivery) -> str:
    return (
        f"# The adapter of {delivery.gguf}\n\n"
        f"LoRA, not merged, for the base model {delivery.base}: what the training changed, and "
        "nothing else. Load it with PEFT on the base model in 16 bit to train on, or to merge and "
        "quantise in another way. It is not needed to serve the GGUF.\n"
    )


def _require_public(draft: Path, delivery: Delivery) -> None:
    """Refuse to deliver a file that names a directory of this machine."""
    secrets = [text.encode() for text in delivery.private]
    for name in _names(draft):
        for secret in secrets:
            if _holds(draft / name, secret):
                raise EnvironmentProblem(
                    f"{name} would name the directory {secret.decode()} of this machine.",
                    fix="Move the data set or the model elsewhere and run the engagement again, "
                    "or report this as an error of Fathom.",
                )


def _holds(path: Path, secret: bytes) -> bool:
    rest = b""
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            if secret in rest + block:
                return True
            rest = block[-len(secret) :]
    return False


def _put_in_place(draft: Path, target: Path) -> None:
    old = target.with_name(f".{target.name}.old.{os.getpid()}")
    if target.exists():
        target.rename(old)
    draft.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _pack(delivery: Delivery, target: Path, entries: Sequence[Entry]) -> Path:
    archive = target.with_name(target.name + ENDING)
    # The manifest first, the sums before what they sum up, the weights last.
    small = sorted(e.path for e in entries if e.path not in (MANIFEST, delivery.gguf))
    names = (MANIFEST, CHECKSUMS, *small, delivery.gguf)
    write(archive, target, names, at=delivery.view.finished_at or delivery.view.created_at)
    return archive
