"""The `ollama` target: versions are models `NAME:vN`, the live one is a copy named `NAME:live`.

Which version is live is what the server says: the one whose manifest is that of the alias. The
alias moves by copying a version onto it and in no other way, so rollback is activating an old one.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

from fathom_tui.errors import EnvironmentProblem, FathomError, NotFound, UsageError
from fathom_tui.runner.folder import held
from fathom_tui.runner.modelfile import SEED
from fathom_tui.runner.ollama_answers import FLOORS, can, dotted
from fathom_tui.runner.ollama_api import OllamaApi, Progress
from fathom_tui.runner.ollama_create import Maker
from fathom_tui.runner.ollama_host import read_host
from fathom_tui.runner.ollama_problem import ServerProblem
from fathom_tui.runner.ollama_record import read_records, write_record
from fathom_tui.runner.ollama_shelf import LIVE, Shelf, check_name
from fathom_tui.serving import Answer, ServingSpec

_LOOK_S = 2.0
"""How long to wait when it is only asked whether somebody listens."""


class OllamaTarget:
    """One engagement's versions on an Ollama server."""

    asks_any_version = True

    def __init__(self, root: Path, alias: str, *, environment: Mapping[str, str]) -> None:
        """Use a server; nothing is asked of it yet.

        Args:
            root: The engagement's serving folder; it need not exist.
            alias: The engagement's short name.
            environment: Where OLLAMA_HOST is looked up.

        Raises:
            UsageError: The alias cannot be a model's name, or OLLAMA_HOST no address.
        """
        self._root = root
        self._model = check_name(alias)
        self._api = OllamaApi(read_host(environment))

    @property
    def name(self) -> str:
        """`ollama`."""
        return "ollama"

    @property
    def alias(self) -> str:
        """What clients call the model: `NAME:live`."""
        return self._named(LIVE)

    @property
    def url(self) -> str | None:
        """Base address of the OpenAI-compatible API; None while nobody listens."""
        try:
            self._api.version(wait_s=_LOOK_S)
        except ServerProblem:
            return None
        return f"{self._api.host.url}/v1"

    @property
    def versions(self) -> list[str]:
        """Versions that the server lists, oldest first.

        Raises:
            CouldNotCheck: The server does not answer.
        """
        return self._shelf().versions

    @property
    def live(self) -> str | None:
        """The version whose manifest the alias has; None without an alias, or for a strange one.

        Raises:
            CouldNotCheck: The server does not answer.
        """
        return self._shelf().live

    def notes(self) -> list[str]:
        """Return what the user should know of the server before a deploy.

        Raises:
            CouldNotCheck: The server does not answer.
        """
        version = self._api.version()
        where = [self._api.host.note] if self._api.host.remote else []
        return where + [
            f"Ollama {version} cannot {ability}: that needs {dotted(floor)}."
            for ability, floor in FLOORS.items()
            if not can(ability, version)
        ]

    def spec(self, version: str) -> ServingSpec | None:
        """Return what a version was made of; None where that was not recorded here."""
        record = read_records(self._root).get(version)
        return None if record is None else record.spec

    def create(self, gguf: Path, spec: ServingSpec, progress: Progress | None = None) -> str:
        """Upload a file and make it the next version, unless the same is one already.

        A create that was cut anywhere is taken up under its number.

        Raises:
            EnvironmentProblem: The file, or the server, does not allow it.
        """
        with self._alone(), _changing():
            maker = Maker(api=self._api, root=self._root, name=self._model)
            return maker.make(gguf, spec, progress)

    def activate(self, version: str) -> None:
        """Move the alias once the version answers, and free the memory of the one before.

        Raises:
            NotFound: There is no such version.
            EnvironmentProblem: It does not answer, or its create was cut; the alias is as it was.
        """
        with self._alone(), _changing():
            shelf = self._shelf()
            self._check_whole(version, shelf)
            self._answers(self._named(version))
            try:
                if not shelf.stands_for(version):
                    self._api.copy(self._named(version), self.alias)
                self._check_moved(version)
                self._free(shelf.live, version)
                self._answers(self.alias)
            except FathomError as error:
                self._put_back(shelf, version, error)
                raise

    def _check_whole(self, version: str, shelf: Shelf) -> None:
        if version not in shelf.versions:
            raise self._no_version(version, shelf)
        record = read_records(self._root).get(version)
        if record is not None and record.digest is None:
            raise EnvironmentProblem(
                f"The create of {self._named(version)} was cut: it may lack a part.",
                fix="Run the deploy again: it is taken up where it was cut.",
            )

    def _answers(self, model: str) -> None:
        """Load a model and have it say one token."""
        ping = [{"role": "user", "content": "ping"}]
        self._api.chat(model, ping, options=_greedy(1))

    def _check_moved(self, version: str) -> None:
        now = self._shelf()
        if not now.stands_for(version):
            raise EnvironmentProblem(
                f"{self.alias} was to be {version}, and Ollama at {self._api.host.url} says it is "
                f"{now.live or 'none of its versions'}.",
                fix="Somebody else may be deploying to the same name: repeat when they are done.",
            )

    def _free(self, before: str | None, version: str) -> None:
        """Unload what was live, unless its weights serve on: memory there goes by file."""
        if before is None or before == version:
            return
        old, new = self.spec(before), self.spec(version)
        if old is None or new is None or old.sha256 != new.sha256:
            self._api.unload(self._named(before))

    def _put_back(self, shelf: Shelf, version: str, error: FathomError) -> None:
        """Let the alias stand for what it stood for, unless somebody else has moved it since."""
        try:
            now = self._shelf()
            unmoved = now.tags.get(LIVE) == shelf.tags.get(LIVE)
            if unmoved or not (now.live is None or now.stands_for(version)):
                return
            if shelf.live is not None:
                self._api.copy(self._named(shelf.live), self.alias)
            elif LIVE in now.tags:
                self._api.delete(self.alias)
        except ServerProblem as problem:
            undo = f"cp {self._named(shelf.live)}" if shelf.live else "rm"
            raise EnvironmentProblem(
                f"{error.message} And {self.alias} could not be put back to "
                f"{shelf.live or 'nothing'}: {problem.message}",
                fix=f"When the server is back: ollama {undo} {self.alias}",
            ) from error

    def ask(
        self, messages: Sequence[Mapping[str, str]], *, max_tokens: int, version: str | None = None
    ) -> Answer:
        """Answer greedily; the live version unless another is named.

        Raises:
            CouldNotCheck: The server does not answer, or answers with an error.
        """
        model = self.alias if version is None else self._named(version)
        begun = time.monotonic()
        reply = self._api.chat(model, messages, options=_greedy(max_tokens))
        return Answer(
            text=reply.text,
            # After more than 30 equal tokens the server stops and never says that it is done
            # (llm/llama_server.go).
            finish_reason=(reply.reason or "unknown") if reply.done else "degenerate",
            prompt_tokens=reply.prompt_tokens,
            output_tokens=reply.output_tokens,
            seconds=time.monotonic() - begun,
        )

    def render(self, messages: Sequence[Mapping[str, str]], *, version: str) -> str | None:
        """Return the prompt as the server renders it; None before 0.11.5.

        Raises:
            CouldNotCheck: The server does not answer, or answers with an error.
        """
        if not can("show the prompt that a chat renders", self._api.version()):
            return None
        return self._api.render(self._named(version), messages)

    def embed(self, texts: Sequence[str]) -> list[list[float]] | None:
        """Return one vector for each text from the live version; None where it makes none.

        Raises:
            CouldNotCheck: The server does not answer, or answers with another error.
        """
        if not texts:
            return []
        try:
            return self._api.embed(self.alias, texts)
        except ServerProblem as problem:
            if "not support" in problem.said and "embed" in problem.said:
                return None
            raise

    def remove(self, version: str) -> None:
        """Delete a version; its number is not given again.

        Raises:
            UsageError: It is live.
            NotFound: There is no such version.
            EnvironmentProblem: The server does not allow it.
        """
        with self._alone(), _changing():
            shelf = self._shelf()
            if version not in shelf.versions:
                raise self._no_version(version, shelf)
            if version == shelf.live:
                raise UsageError(
                    f"{self._named(version)} is live.", fix="Activate another version first."
                )
            self._api.delete(self._named(version))
            record = read_records(self._root).get(version)
            if record is not None:
                write_record(self._root, replace(record, removed=True))

    def stop(self) -> bool:
        """Take the alias away and free its memory; return whether there was one.

        Raises:
            EnvironmentProblem: The server does not answer.
        """
        with _changing():
            if LIVE not in self._shelf().tags:
                return False
            with self._alone():
                self._api.unload(self.alias)
                self._api.delete(self.alias)
                return True

    def _shelf(self) -> Shelf:
        return Shelf.of(self._model, self._api.tags())

    def _named(self, tag: str) -> str:
        return f"{self._model}:{tag}"

    def _no_version(self, version: str, shelf: Shelf) -> NotFound:
        return NotFound(
            f"There is no version {version!r} of {self._model} on {self._api.host.url}.",
            fix="Versions: " + (", ".join(shelf.versions) or "none"),
        )

    def _alone(self) -> AbstractContextManager[None]:
        """Hold the folder's lock, so that two deploys never give one number twice; makes it."""
        return held(self._root)


@contextmanager
def _changing() -> Iterator[None]:
    """Say as a problem of the environment what stands in the way of a change."""
    try:
        yield
    except ServerProblem as problem:
        raise EnvironmentProblem(problem.message, fix=problem.fix) from problem


def _greedy(max_tokens: int) -> dict[str, float]:
    return {"temperature": 0, "seed": SEED, "repeat_penalty": 1.0, "num_predict": max_tokens}
