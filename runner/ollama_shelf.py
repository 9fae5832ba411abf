"""What an Ollama server keeps under one name: versions `NAME:vN` and the alias `NAME:live`."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from fathom_tui.errors import UsageError
from fathom_tui.runner.numbers import number
from fathom_tui.runner.ollama_answers import Listed

LIVE = "live"
"""Tag of the alias. `cloud` and `local` are no tags to use: there they mean another server."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
"""One part of a model's name (Ollama v0.33.0-rc2, types/model/name.go, isValidPart)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """What is listed under one name."""

    tags: Mapping[str, Listed]

    @classmethod
    def of(cls, name: str, listed: Iterable[Listed]) -> Self:
        """Pick what stands under a name; names there have no case."""
        parts = [(model.name.lower().rpartition(":"), model) for model in listed]
        return cls(tags={tag: model for (name_, _, tag), model in parts if name_ == name.lower()})

    @property
    def versions(self) -> list[str]:
        """Versions, oldest first."""
        return sorted(filter(number, self.tags), key=lambda tag: int(tag[1:]))

    @property
    def live(self) -> str | None:
        """The oldest version whose manifest the alias has: a later one is a copy of it.

        None without an alias, or where that stands for something else.
        """
        alias = self.tags.get(LIVE)
        if alias is None:
            return None
        return next((v for v in self.versions if self.stands_for(v)), None)

    def stands_for(self, version: str) -> bool:
        """Say whether the alias has a version's manifest."""
        alias, listed = self.tags.get(LIVE), self.tags.get(version)
        return alias is not None and listed is not None and alias.digest == listed.digest

    def twin(self, version: str) -> str | None:
        """Return another version with the same manifest, the oldest; None where it is alone."""
        digest = self.tags[version].digest
        others = (v for v in self.versions if v != version)
        return next((v for v in others if self.tags[v].digest == digest), None)


def check_name(name: str) -> str:
    """Return the name if a model can have it.

    Raises:
        UsageError: It cannot.
    """
    if _NAME.fullmatch(name):
        return name
    raise UsageError(
        f"{name[:100]!r} cannot be the name of a model in Ollama.",
        fix="Use letters, digits, dots, dashes and underscores, at most 80, the first one "
        "a letter, a digit or an underscore.",
    )
