"""What a serving target is told of a version, and what it answers: values shared by all targets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

TARGETS = ("llama-cpp", "ollama", "vllm")
"""Names of the serving targets; the first is the default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingSpec:
    """Everything that makes a served version answer as it was trained."""

    sha256: str
    """Content of the GGUF, in hex."""
    system: str
    """The system text the model was trained with; empty means none."""
    n_ctx: int
    """Tokens of context to serve with."""
    threads: int
    """CPU threads for decoding."""
    max_new_tokens: int
    stop: tuple[str, ...] = ()
    """Texts that end an answer, beside the model's own end token."""
    template: str = ""
    """Go template for Ollama; empty means the chat template in the GGUF."""
    license: str = ""
    """Licence of the base model."""

    def to_json(self) -> dict[str, Any]:
        """Return the spec as it stands beside its version."""
        return {
            "sha256": self.sha256,
            "system": self.system,
            "n_ctx": self.n_ctx,
            "threads": self.threads,
            "max_new_tokens": self.max_new_tokens,
            "stop": list(self.stop),
            "template": self.template,
            "license": self.license,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read a spec.

        Raises:
            KeyError, TypeError, ValueError: It is not one.
        """
        return cls(
            sha256=str(data["sha256"]),
            system=str(data["system"]),
            n_ctx=int(data["n_ctx"]),
            threads=int(data["threads"]),
            max_new_tokens=int(data["max_new_tokens"]),
            stop=tuple(str(text) for text in data.get("stop", ())),
            template=str(data.get("template", "")),
            license=str(data.get("license", "")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One greedy answer of a served model."""

    text: str
    finish_reason: str
    """`stop` where the model ended by itself, `length` where it was cut, else what the server
    said; `degenerate` where it gave up on repetition."""
    prompt_tokens: int | None
    """None where the server does not say."""
    output_tokens: int | None
    seconds: float
    """From the request to the last byte."""
