"""Making a version on an Ollama server so that a cut at any point loses nothing.

The order is: record what is to be made, upload, create, look, record that it is made. The same file
and spec are the same version; one without the last step is made again under its number.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fathom_tui.errors import EnvironmentProblem
from fathom_tui.runner.modelfile import parameters
from fathom_tui.runner.numbers import next_version
from fathom_tui.runner.ollama_answers import FLOORS, can, dotted
from fathom_tui.runner.ollama_api import OllamaApi, Progress
from fathom_tui.runner.ollama_record import Record, read_records, write_record
from fathom_tui.runner.ollama_shelf import Shelf
from fathom_tui.serving import ServingSpec

_UPLOADED = "model.gguf"
"""Key of the file in a create: the server takes its kind from the ending (server/create.go)."""
_NEEDED = "make models of uploaded files"


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """Makes versions of one model name; the caller holds the folder's lock."""

    api: OllamaApi
    root: Path
    """The serving folder."""
    name: str
    """The model's name without a tag."""

    def make(self, gguf: Path, spec: ServingSpec, progress: Progress | None) -> str:
        """Return the version made of this file and spec, made now if it is not there yet.

        Raises:
            EnvironmentProblem: The file or the server does not allow it.
            CouldNotCheck: The server does not answer, or answers with an error.
        """
        _check_file(gguf)
        self._check_server()
        shelf = Shelf.of(self.name, self.api.tags())
        record = self._same(spec, shelf)
        if record is not None and record.digest is not None:
            return record.version
        if record is None:
            version = next_version(self.root, shelf.tags)
            record = Record(version=version, spec=spec, server=self.api.host.url)
        write_record(self.root, record)
        if not self.api.has_blob(spec.sha256):
            self.api.upload(gguf, spec.sha256, progress)
        self.api.create(create_request(f"{self.name}:{record.version}", spec), progress)
        made = replace(record, digest=self._made(record))
        twin = Shelf.of(self.name, self.api.tags()).twin(record.version)
        if twin is None:
            write_record(self.root, made)
            return record.version
        # The same manifest under a number that this folder did not know: that one is the version,
        # or the alias would stand for two.
        write_record(self.root, replace(made, version=twin))
        self.api.delete(f"{self.name}:{record.version}")
        write_record(self.root, replace(made, removed=True))
        return twin

    def _check_server(self) -> None:
        version = self.api.version()
        if not can(_NEEDED, version):
            raise EnvironmentProblem(
                f"Ollama at {self.api.host.url} is {version}, which cannot {_NEEDED}.",
                fix=f"Upgrade it to {dotted(FLOORS[_NEEDED])} or later.",
            )

    def _same(self, spec: ServingSpec, shelf: Shelf) -> Record | None:
        """Return the version of this spec; without its digest where it has to be made (again)."""
        for record in reversed(read_records(self.root).values()):
            if record.removed or not record.made_of(spec):
                continue
            listed = shelf.tags.get(record.version)
            if record.digest is None or listed is None:
                return replace(record, digest=None, spec=spec, server=self.api.host.url)
            if listed.digest == record.digest:
                return record
        return None  # none, or somebody made something else of its name

    def _made(self, record: Record) -> str:
        """Return the digest of what was made, after a look whether it is what was asked for.

        Not the weights: releases from 0.30 on write them anew, with a digest of their own.
        """
        name = f"{self.name}:{record.version}"
        listed = Shelf.of(self.name, self.api.tags()).tags.get(record.version)
        if listed is None:
            raise EnvironmentProblem(
                f"Ollama at {self.api.host.url} said success and does not list {name}.",
                fix="Read the server's log: journalctl -u ollama -e. Then repeat.",
            )
        shown, wanted = self.api.show(name), parameters(record.spec)
        differs = [key for key, value in wanted.items() if _other(shown.number(key), value)]
        if shown.system != record.spec.system:
            differs.append("system")
        if differs:
            raise EnvironmentProblem(
                f"Ollama at {self.api.host.url} keeps {name} with another {', '.join(differs)} "
                "than it was given.",
                fix=f"Look at it: ollama show {name} --modelfile. Then repeat.",
            )
        return listed.digest


def create_request(name: str, spec: ServingSpec) -> dict[str, Any]:
    """Return what POST /api/create is given: the one way in which any text gets through whole.

    Args:
        name: The model's name with its tag.
        spec: What to serve; its file has been uploaded.
    """
    request: dict[str, Any] = {
        "model": name,
        "files": {_UPLOADED: f"sha256:{spec.sha256}"},
        "parameters": parameters(spec),
    }
    texts: Mapping[str, str] = {
        "template": spec.template,
        "system": spec.system,
        "license": spec.license,
    }
    return request | {key: text for key, text in texts.items() if text}


def _other(shown: float | None, wanted: object) -> bool:
    return isinstance(wanted, int | float) and shown != wanted


def _check_file(gguf: Path) -> None:
    try:
        with gguf.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise EnvironmentProblem(
            f"{gguf} cannot be served: {error.strerror}.",
            fix="Finish the run that makes this file, then repeat.",
        ) from error
    if magic != b"GGUF":
        raise EnvironmentProblem(
            f"{gguf} is no GGUF file: it begins with {magic!r}.",
            fix="Make it again with a new run, then repeat.",
        )
