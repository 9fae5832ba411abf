"""Blobs and manifests on disk (Ollama v0.33.0-rc2, manifest/paths.go, layer.go, manifest.go)."""

import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.ollama_double.names import Name

_DIGEST = re.compile(r"sha256[:-][0-9a-fA-F]{64}")
_GRACE_S = 3600.0
"""Orphans younger than this survive a start (images.go layerPruneGracePeriod)."""
_PREFIX = "application/vnd.ollama.image."


class InvalidDigest(ValueError):
    """Not a digest (manifest.ErrInvalidDigestFormat)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A blob in a manifest."""

    kind: str
    """`model`, `template`, `params`, `system`, `license`, `messages`, `adapter` or `config`."""
    digest: str
    size: int
    status: str = ""
    """What create says of it; not kept."""

    def to_json(self) -> dict[str, Any]:
        media = f"{_PREFIX}{self.kind}"
        if self.kind == "config":
            media = "application/vnd.docker.container.image.v1+json"
        return {"mediaType": media, "digest": self.digest, "size": self.size}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Layer":
        media = str(data["mediaType"])
        kind = media.removeprefix(_PREFIX) if media.startswith(_PREFIX) else "config"
        return cls(kind=kind, digest=str(data["digest"]), size=int(data["size"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a model's name stands for."""

    name: Name
    config: Layer
    layers: tuple[Layer, ...]
    digest: str
    """sha256 of the manifest file, in hex: equal for a name and its copies."""
    modified: float
    """Unix time."""

    @property
    def size(self) -> int:
        return self.config.size + sum(layer.size for layer in self.layers)

    def of(self, kind: str) -> list[Layer]:
        return [layer for layer in self.layers if layer.kind == kind]


class Store:
    """A models directory."""

    def __init__(self, root: Path) -> None:
        self.blobs = root / "blobs"
        self.manifests = root / "manifests"
        for directory in (self.blobs, self.manifests):
            directory.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Return where a blob is or would be.

        Raises:
            InvalidDigest: It has another form than `sha256:` or `sha256-` and 64 hex digits.
        """
        if not _DIGEST.fullmatch(digest):
            raise InvalidDigest("invalid digest format")
        return self.blobs / digest.replace(":", "-")

    def draft(self) -> Path:
        """Return a new name for a file on its way to becoming a blob."""
        return self.blobs / f"sha256-{secrets.randbelow(10**10)}"

    def add(self, draft: Path, kind: str, digest: str = "") -> Layer:
        """Make a draft the blob of its true digest (layer.go NewLayer)."""
        digest = digest or f"sha256:{_sha256(draft)}"
        size, target = draft.stat().st_size, self.path(digest)
        status = "using existing layer" if target.exists() else "creating new layer"
        os.replace(draft, target)
        return Layer(kind=kind, digest=digest, size=size, status=f"{status} {digest}")

    def add_text(self, text: str, kind: str, status: str = "") -> Layer:
        draft = self.draft()
        draft.write_text(text, "utf-8")
        layer = self.add(draft, kind)
        return Layer(kind=kind, digest=layer.digest, size=layer.size, status=status or layer.status)

    def text(self, layer: Layer) -> str:
        return self.path(layer.digest).read_text("utf-8")

    def write(self, name: Name, config: Layer, layers: Iterable[Layer]) -> None:
        """Write a manifest in place, as Ollama does: neither atomic nor locked."""
        data = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": config.to_json(),
            "layers": [layer.to_json() for layer in layers],
        }
        path = self._file(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data, separators=(",", ":")) + "\n", "utf-8")

    def read(self, name: Name) -> Manifest | None:
        path = self._file(name)
        if not path.is_file():
            return None
        content = path.read_bytes()
        data = json.loads(content)
        return Manifest(
            name=name,
            config=Layer.from_json(data["config"]),
            layers=tuple(Layer.from_json(layer) for layer in data["layers"]),
            digest=hashlib.sha256(content).hexdigest(),
            modified=path.stat().st_mtime,
        )

    def copy(self, source: Name, target: Name) -> bool:
        """Copy a manifest's bytes; return whether there was one (images.go CopyModel)."""
        path = self._file(source)
        if not path.is_file():
            return False
        if source != target:
            self._file(target).parent.mkdir(parents=True, exist_ok=True)
            self._file(target).write_bytes(path.read_bytes())
        return True

    def delete(self, manifest: Manifest) -> None:
        """Remove a name and the blobs that no other name needs."""
        self._file(manifest.name).unlink()
        self.drop([*manifest.layers, manifest.config])

    def drop(self, layers: Iterable[Layer]) -> None:
        used = self._used()
        for layer in layers:
            if layer.digest not in used:
                self.path(layer.digest).unlink(missing_ok=True)

    def names(self) -> list[Name]:
        files = (path for path in self.manifests.glob("*/*/*/*") if path.is_file())
        return [Name(*path.relative_to(self.manifests).parts) for path in files]

    def all(self) -> Iterator[Manifest]:
        for name in self.names():
            manifest = self.read(name)
            if manifest is not None:
                yield manifest

    def prune(self) -> None:
        """Remove old blobs that no name needs, and what is left of uploads (PruneLayers)."""
        used = {digest.replace(":", "-") for digest in self._used()}
        for blob in self.blobs.iterdir():
            young = time.time() - blob.stat().st_mtime < _GRACE_S
            if blob.is_file() and not young and blob.name not in used:
                blob.unlink()

    def _used(self) -> set[str]:
        manifests = list(self.all())
        return {layer.digest for one in manifests for layer in (*one.layers, one.config)}

    def _file(self, name: Name) -> Path:
        return self.manifests.joinpath(*name.parts)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
