"""The one protocol of the serving targets: create a version, activate, ask, look, remove."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from fathom_tui.errors import UsageError
from fathom_tui.serving import TARGETS, Answer, ServingSpec


class Target(Protocol):
    """Where versions are served. A version is immutable; activation moves the alias."""

    @property
    def name(self) -> str:
        """One of `TARGETS`."""

    @property
    def alias(self) -> str:
        """What clients call the model."""

    @property
    def asks_any_version(self) -> bool:
        """Whether a version can be asked before the alias stands for it."""

    @property
    def url(self) -> str | None:
        """Base address that clients use; None while nothing listens."""

    @property
    def versions(self) -> list[str]:
        """Versions kept (`v1`, `v2`, ...), oldest first, as the target itself lists them.

        Raises:
            CouldNotCheck: The server does not answer.
        """

    @property
    def live(self) -> str | None:
        """The version the alias stands for, as the target itself says; None if there is none.

        Raises:
            CouldNotCheck: The server does not answer.
        """

    def create(self, gguf: Path, spec: ServingSpec) -> str:
        """Keep a file as the next version, unless the same file and spec is one already.

        Raises:
            EnvironmentProblem: The file, the disk or the server does not allow it.
        """

    def activate(self, version: str) -> None:
        """Point the alias at a version and wait until it answers; else leave all as it was.

        Raises:
            NotFound: There is no such version.
            EnvironmentProblem: It does not come up.
        """

    def ask(
        self, messages: Sequence[Mapping[str, str]], *, max_tokens: int, version: str | None = None
    ) -> Answer:
        """Answer greedily; the live version unless another is named.

        Raises:
            CouldNotCheck: The server does not answer, or answers with an error.
        """

    def render(self, messages: Sequence[Mapping[str, str]], *, version: str) -> str | None:
        """Return the prompt as the server renders it; None where it cannot say."""

    def embed(self, texts: Sequence[str]) -> list[list[float]] | None:
        """Return one vector for each text from the served model; None where it cannot.

        Raises:
            CouldNotCheck: The server does not answer.
        """

    def remove(self, version: str) -> None:
        """Delete a version.

        Raises:
            UsageError: It is live.
            NotFound: There is no such version.
        """

    def stop(self) -> bool:
        """Stop answering for this alias; return whether it did before."""


def open_target(
    name: str, *, root: Path, alias: str, environment: Mapping[str, str] = os.environ
) -> Target:
    """Return the target of that name.

    Args:
        name: One of `TARGETS`.
        root: The engagement's serving folder (`<data>/serving/<slug>`); it need not exist.
        alias: What clients call the model: the engagement's short name.
        environment: Where `OLLAMA_HOST` and the like are looked up.

    Raises:
        UsageError: There is no such target.
    """
    if name == "llama-cpp":
        from fathom_tui.runner.llama_target import LlamaCppTarget

        return LlamaCppTarget(root, alias)
    if name == "ollama":
        from fathom_tui.runner.ollama_target import OllamaTarget

        return OllamaTarget(root, alias, environment=environment)
    if name == "vllm":
        from fathom_tui.runner.vllm_target import VllmTarget

        return VllmTarget(root, alias, environment=environment)
    raise UsageError(
        f"There is no serving target {name!r}.", fix="Choose " + ", ".join(TARGETS) + "."
    )
