"""What a manifest says, read together (Ollama v0.33.0-rc2, server/images.go GetModel)."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.ollama_double import gguf_header, names
from tests.ollama_double.answers import Failure
from tests.ollama_double.gguf_header import Header
from tests.ollama_double.go_lexer import TemplateError
from tests.ollama_double.names import Name
from tests.ollama_double.store import Manifest, Store
from tests.ollama_double.templates import (
    GoTemplate,
    Message,
    jinja_capabilities,
    prefers_jinja,
    render_jinja,
)
from tests.ollama_double.versions import LLAMA_SERVER, Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A stored model."""

    manifest: Manifest
    version: Version
    """Of the server: older ones know no Jinja and embed with every model."""
    config: dict[str, Any]
    files: tuple[Path, ...]
    """The GGUF, then its adapters."""
    header: Header
    go: GoTemplate | None
    system: str
    licenses: tuple[str, ...]
    options: dict[str, Any]
    messages: tuple[Message, ...]

    @property
    def name(self) -> Name:
        return self.manifest.name

    @property
    def native(self) -> bool:
        """Whether llama-server runs the GGUF's own template (routes.go chatModeForModel)."""
        jinja = self.header.chat_template
        if not self.version.since(LLAMA_SERVER) or not jinja:
            return False
        return self.go is None or prefers_jinja(jinja, self.go)

    @property
    def template(self) -> str:
        """The template in force."""
        if self.native:
            return self.header.chat_template
        return self.go.source if self.go else "{{ .Prompt }}"

    @property
    def capabilities(self) -> list[str]:
        if self.header.pooled:
            return ["embedding"]
        if self.native:
            return ["completion", *sorted(jinja_capabilities(self.header.chat_template))]
        return ["completion", *sorted(self.go.capabilities if self.go else ())]

    @property
    def embeds(self) -> bool:
        """Whether its runner embeds: since llama-server only where the model pools.

        (llm/llama_server.go NewLlamaServerRunner and appendBatchArgs.)
        """
        return self.header.pooled or not self.version.since(LLAMA_SERVER)

    @property
    def details(self) -> dict[str, Any]:
        return {
            "parent_model": "",
            "format": self.config.get("model_format", ""),
            "family": self.config.get("model_family", ""),
            "families": self.config.get("model_families"),
            "parameter_size": self.config.get("model_type", ""),
            "quantization_level": self.config.get("file_type", ""),
        }

    def render(self, messages: list[Message]) -> str:
        """Return the prompt for a chat.

        Raises:
            Failure: 500: the template does not take it.
        """
        try:
            if self.native:
                return render_jinja(self.header.chat_template, messages, self._special_tokens())
            go = self.go or GoTemplate("{{ .Prompt }}")
            return go.render(messages)
        except TemplateError as error:
            raise Failure(500, str(error)) from error

    def _special_tokens(self) -> dict[str, str]:
        tokens = self.header.values.get("tokenizer.ggml.tokens", [])
        ids = {
            name: self.header.values.get(f"tokenizer.ggml.{name}_token_id")
            for name in ("bos", "eos")
        }
        return {f"{name}_token": tokens[i] for name, i in ids.items() if i is not None}


def load(store: Store, version: Version, name: Name) -> Model | None:
    """Return a stored model, or None where there is none of that name."""
    manifest = store.read(name)
    if manifest is None:
        return None

    def texts(kind: str) -> tuple[str, ...]:
        return tuple(store.text(layer) for layer in manifest.of(kind))

    def last(kind: str, default: str) -> str:
        return (texts(kind) or (default,))[-1]

    template = last("template", "")
    files = [store.path(one.digest) for one in (*manifest.of("model"), *manifest.of("adapter"))]
    return Model(
        manifest=manifest,
        version=version,
        config=json.loads(store.text(manifest.config)),
        files=tuple(files),
        header=gguf_header.read(files[0]),
        go=GoTemplate(template) if template else None,
        system=last("system", ""),
        licenses=texts("license"),
        options=json.loads(last("params", "{}")),
        messages=tuple(json.loads(last("messages", "[]"))),
    )


def named(store: Store, version: Version, raw: str, empty: Failure) -> Model:
    """Return the model that a request means.

    Args:
        store: Where it is kept.
        version: The server's version.
        raw: The name in the request.
        empty: What to raise where there is no name.

    Raises:
        Failure: 400: the name is invalid. 404: there is no such model.
    """
    name = resolved(store, raw, empty, Failure(400, "invalid model name"))
    model = load(store, version, name)
    if model is None:
        raise Failure(404, f"model '{raw}' not found")
    return model


def resolved(store: Store, raw: str, empty: Failure, invalid: Failure) -> Name:
    """Return the full name that a request means, spelt as the store spells it.

    Raises:
        Failure: `empty`, `invalid`, or 403 where the name asks for Ollama's cloud.
    """
    try:
        return names.existing(names.reference(raw), store.names())
    except names.Required as error:
        raise empty from error
    except names.Unqualified as error:
        raise invalid from error
    except names.Cloud as error:
        raise Failure(403, str(error)) from error
