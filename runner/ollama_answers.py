"""Ollama's answers as values. Source of their fields: Ollama v0.33.0-rc2, api/types.go.

Whole numbers that are zero are left out of them, and lists that are empty may be null.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

Version = tuple[int, int, int]

FLOORS: Mapping[str, Version] = {
    "make models of uploaded files": (0, 5, 5),
    "show the prompt that a chat renders": (0, 11, 5),
    "refuse a chat longer than the context": (0, 12, 4),
    "give log-probabilities": (0, 12, 11),
    "render with the template in the GGUF": (0, 30, 0),
}
"""What a server can do, and since which release: `files` of create, `_debug_render_only`,
`truncate` with `shift`, `logprobs` (api/types.go), OLLAMA_GO_TEMPLATE (envconfig/config.go)."""

_VERSION = re.compile(r"v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})")
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A model that the server keeps."""

    name: str
    """With its tag, for example `acme-triage:v1`."""
    digest: str
    """sha256 of its manifest, 64 hex digits: equal where two names stand for one thing."""
    size: int
    """Bytes."""

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """Read an entry of /api/tags; raises KeyError, TypeError or ValueError if it is none."""
        return cls(
            name=str(data["name"]), digest=_hex(data["digest"]), size=int(data.get("size", 0))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A model that the server holds in memory."""

    name: str
    digest: str
    """As in `Listed`."""
    size: int
    """Bytes in memory."""
    vram: int
    """Bytes of them on GPUs."""
    context: int | None
    """Tokens of context it was loaded with; None before 0.10.0."""

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """Read an entry of /api/ps; raises KeyError, TypeError or ValueError if it is none."""
        return cls(
            name=str(data["name"]),
            digest=_hex(data["digest"]),
            size=int(data.get("size", 0)),
            vram=int(data.get("size_vram", 0)),
            context=_whole(data.get("context_length")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the server keeps of a model beside its weights."""

    system: str
    template: str
    """The one in force: of the Go kind, or the GGUF's own."""
    parameters: Mapping[str, tuple[str, ...]]
    """As Go writes them: numbers plain, texts in quotes; one entry each for a list."""

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """Read the answer of /api/show; raises AttributeError if it is none."""
        return cls(
            system=str(data.get("system") or ""),
            template=str(data.get("template") or ""),
            parameters=_parameters(str(data.get("parameters") or "")),
        )

    def number(self, name: str) -> float | None:
        """Return a parameter that is one number; None where it is missing or something else."""
        values = self.parameters.get(name, ())
        try:
            return float(values[0]) if len(values) == 1 else None
        except ValueError:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer of a chat."""

    text: str
    done: bool
    """False where the server gave up on repetition and sent no last part."""
    reason: str
    """`stop`, `length`, `load`, `unload`; empty where the server does not say."""
    prompt_tokens: int | None
    """None where it does not say: before 0.30 also for a prompt that was still cached."""
    output_tokens: int | None
    rendered: str | None
    """The prompt's text, where only that was asked for."""

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """Read the answer of /api/chat; raises AttributeError or ValueError if it is none."""
        done = bool(data.get("done", False))
        rendered = (data.get("_debug_info") or {}).get("rendered_template")
        return cls(
            text=str((data.get("message") or {}).get("content") or ""),
            done=done,
            reason=str(data.get("done_reason") or ""),
            # No prompt has 0 tokens: left out means not counted.
            prompt_tokens=_whole(data.get("prompt_eval_count")),
            # Left out of a finished answer means 0.
            output_tokens=_whole(data.get("eval_count", 0 if done else None)),
            rendered=None if rendered is None else str(rendered),
        )


def release(version: str) -> Version | None:
    """Return (major, minor, patch) of a server's version; None for a build without a number.

    Builds from source call themselves 0.0.0 (version/version.go).
    """
    found = _VERSION.match(version)
    if found is None:
        return None
    major, minor, patch = (int(part) for part in found.groups())
    return (major, minor, patch) if (major, minor, patch) != (0, 0, 0) else None


def can(ability: str, version: str) -> bool:
    """Say whether a server of a version has an ability of `FLOORS`; one without a number has."""
    known = release(version)
    return known is None or known >= FLOORS[ability]


def dotted(version: Version) -> str:
    """Return the version as it is written."""
    return ".".join(str(part) for part in version)


def _hex(digest: object) -> str:
    found = _DIGEST.fullmatch(str(digest).lower())
    if found is None:
        raise ValueError(f"{digest!r} is no digest")
    return found[1]


def _whole(value: object) -> int | None:
    return None if value is None else int(str(value))


def _parameters(text: str) -> dict[str, tuple[str, ...]]:
    """Read the lines `name   value`; texts among the values have their newlines escaped."""
    found: dict[str, tuple[str, ...]] = {}
    for line in text.split("\n"):
        name, _, value = line.strip().partition(" ")
        if name:
            found[name] = (*found.get(name, ()), value.strip())
    return found
