"""Prompts as chats, rendered by the model's own template: one rendering for every engine."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
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
        source = _default(config.get("chat_template"))
        beside = model_dir / "chat_template.jinja"
        if beside.is_file():
            source = beside.read_text("utf-8")
        if not isinstance(source, str) or not source.strip():
            raise EnvironmentProblem(
                f"{model_dir} has no chat template: it is a base model, or its template is lost.",
                fix="Use the instruct version of the model.",
            )
        self.eos = _token_text(config.get("eos_token"))
        # Left out where the model has none, as transformers does: a template may ask for that.
        named = {name: _token_text(config.get(name)) for name in _SPECIAL_TOKENS}
        self._tokens = {name: text for name, text in named.items() if text}
        self._template = _compile(source, model_dir)

    def render(self, messages: Sequence[Message], *, answer: bool = True) -> str:
        """Return the text the model sees; with `answer` it ends where the answer begins.

        Raises:
            EnvironmentProblem: The template refuses this chat.
        """
        from jinja2.exceptions import TemplateError

        try:
            return str(
                self._template.render(
                    messages=list(messages),
                    tools=None,
                    documents=None,
                    add_generation_prompt=answer,
                    **self._tokens,
                )
            )
        except TemplateError as error:
            raise EnvironmentProblem(
                f"The model's chat template refuses a chat of "
                f"{', '.join(message['role'] for message in messages[:3])}…: {error}",
                fix="Choose a model whose template takes a system text.",
            ) from error


_SPECIAL_TOKENS = (
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
)  # fmt: skip


def _default(template: object) -> object:
    """Return the template for plain chats where a model has one for tools as well."""
    if not isinstance(template, list):
        return template
    return next((entry["template"] for entry in template if entry["name"] == "default"), None)


def _token_text(value: object) -> str:
    if isinstance(value, Mapping):
        return str(value.get("content", ""))
    return str(value or "")


def _compile(source: str, model_dir: Path) -> Any:
    """Compile a template with what transformers gives chat templates, and nothing more."""
    from jinja2 import nodes
    from jinja2.exceptions import TemplateError
    from jinja2.ext import Extension
    from jinja2.parser import Parser
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """Passes over the tag that marks an assistant's words."""

        tags = {"generation"}

        def parse(self, parser: Parser) -> list[nodes.Node]:
            parser.stream.skip(1)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    def raise_exception(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    try:
        return environment.from_string(source)
    except TemplateError as error:
        raise EnvironmentProblem(
            f"The chat template of {model_dir} is broken: {error}", fix="Download the model again."
        ) from error


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # jinja's own filter escapes for HTML.
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def training_row(template: Template, prompt: Prompt, case: Case) -> tuple[str, str]:
    """Return (prompt text, completion text) of one training row; the latter ends with the stop."""
    return template.render(prompt.messages(case.input)), case.output + template.eos
