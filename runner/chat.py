"""Prompts as chats, rendered by the model's own template: one rendering for every engine."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fathom_tui.datasets.cases import Case
from fathom_tui.errors import EnvironmentProblem

Message = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A static prompt: a system text and worked examples, the same for every case."""

    name: str
    system: str
    shots: tuple[tuple[str, str], ...] = ()
    """(input, output) pairs."""

    def messages(self, text: str) -> list[Message]:
        """Return the chat that asks about one input."""
        # Always with a system text: SmolLM2's template inserts a default one where none is given.
        chat: list[Message] = [{"role": "system", "content": self.system}]
        for question, answer in self.shots:
            chat += [
                {"role": "user", "content": question},
                {"role": "assistant", "content": answer},
            ]
        return [*chat, {"role": "user", "content": text}]

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "system": self.system, "shots": [list(s) for s in self.shots]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Prompt":
        return cls(
            name=data["name"],
            system=data["system"],
            shots=tuple((question, answer) for question, answer in data["shots"]),
        )


class Template:
    """A model's chat template, read from its Hugging Face directory."""

    def __init__(self, model_dir: Path) -> None:
        """Read the template and the special tokens it names.

        Raises:
            EnvironmentProblem: The directory has no chat template.
        """
        config = json.loads((model_dir / "tokenizer_config.json").read_text("utf-8"))
        source = config.get("chat_template")
        beside = model_dir / "chat_template.jinja"
        if beside.is_file():
            source = beside.read_text("utf-8")
        if not isinstance(source, str) or not source.strip():
            raise EnvironmentProblem(
                f"{model_dir} has no chat template: it is a base model, or its template is lost.",
                fix="Use the instruct version of the model.",
            )
        self.eos = _token_text(config.get("eos_token"))
        self._bos = _token_text(config.get("bos_token"))
        self._template = _compile(source)

    def render(self, messages: Sequence[Message], *, answer: bool = True) -> str:
        """Return the text the model sees; with `answer` it ends where the answer begins."""
        return str(
            self._template.render(
                messages=list(messages),
                add_generation_prompt=answer,
                eos_token=self.eos,
                bos_token=self._bos,
            )
        )


def _token_text(value: object) -> str:
    if isinstance(value, Mapping):
        return str(value.get("content", ""))
    return str(value or "")


def _compile(source: str) -> Any:
    from jinja2.exceptions import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def raise_exception(message: str) -> None:
        raise TemplateError(message)

    # The settings transformers renders chat templates with.
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = raise_exception
    return environment.from_string(source)


def training_row(template: Template, prompt: Prompt, case: Case) -> tuple[str, str]:
    """Return (prompt text, completion text) of one training row; the stop token is in the latter."""
    return template.render(prompt.messages(case.input)), case.output + template.eos
