"""A Go template for Ollama, derived from what the model's own chat template renders.

Ollama guesses a Go template from the GGUF's chat template by edit distance (template/template.go,
Named), and the guess can be wrong: fine in training, gibberish when served. Chat formats are linear
almost always: fixed texts stand before, between and after the messages. Rendering four chats with
marks in the place of messages shows these texts; that they reproduce other chats is then checked,
so that nothing is believed of a template that is not linear.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

Messages = Sequence[Mapping[str, str]]
Render = Callable[[list[dict[str, str]]], str]
"""What the model's own template makes of a chat, up to where the answer begins."""

_MARKS = {role: f"\u27e6{role} text\u27e7" for role in ("system", "user", "assistant", "again")}
_AWKWARD = re.compile(r"\{+|\"{3,}")
_GO_ESCAPES = {"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """The fixed texts of a linear chat format."""

    opening: str
    """Before the first message where there is no system text; holds a default one, if any."""
    before_system: str
    after_system: str
    between: str
    """After a message of the user that an answer follows."""
    generate: str
    """After the last message of the user: what comes next is the answer."""
    after_answer: str

    def render(self, messages: Messages) -> str:
        """Return what the Go template makes of a chat that ends with the user."""
        parts = [] if any(m["role"] == "system" for m in messages) else [self.opening]
        for index, message in enumerate(messages):
            parts += self._around(message, last=index == len(messages) - 1)
        return "".join(parts)

    def _around(self, message: Mapping[str, str], *, last: bool) -> tuple[str, ...]:
        if message["role"] == "system":
            return self.before_system, message["content"], self.after_system
        if message["role"] == "user":
            return message["content"], self.generate if last else self.between
        return message["content"], self.after_answer

    def without(self, bos: str) -> Self:
        """Return the format for a vocabulary that puts this text first by itself."""
        return type(self)(
            opening=self.opening.removeprefix(bos),
            before_system=self.before_system.removeprefix(bos),
            after_system=self.after_system,
            between=self.between,
            generate=self.generate,
            after_answer=self.after_answer,
        )

    @property
    def go(self) -> str:
        """The template's text; `.Messages` and `.System` are as in Ollama's template.go."""
        if self.generate == self.between:
            loop, after_user = "{{ range .Messages }}", go_text(self.generate)
        else:
            loop = "{{ range $i, $_ := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}"
            after_user = (
                "{{ if $last }}" + go_text(self.generate) + "{{ else }}" + go_text(self.between)
                + "{{ end }}"
            )  # fmt: skip
        return (
            "{{ if not .System }}" + go_text(self.opening) + "{{ end }}" + loop
            + '{{ if eq .Role "system" }}'
            + go_text(self.before_system) + "{{ .Content }}" + go_text(self.after_system)
            + '{{ else if eq .Role "user" }}{{ .Content }}' + after_user
            + '{{ else if eq .Role "assistant" }}{{ .Content }}' + go_text(self.after_answer)
            + "{{ end }}{{ end }}"
        )  # fmt: skip


def derive(render: Render, checks: Sequence[Messages] = (), *, bos: str = "") -> Format | None:
    """Return the format that renders as the model's own template does; None where none does.

    Args:
        render: The model's own template.
        checks: Chats that end with the user, beside our own, which must come out equal.
        bos: The text that the vocabulary puts first by itself, left out of the format; empty where
            it does not.

    Raises:
        Whatever `render` raises for a chat of system, user, assistant and user.
    """
    system, user, answer, again = (
        {"role": role, "content": _MARKS[mark]}
        for role, mark in (
            ("system", "system"), ("user", "user"), ("assistant", "assistant"), ("user", "again"),
        )
    )  # fmt: skip
    found = _read(
        alone=render([dict(user)]),
        asked=render([dict(system), dict(user)]),
        long=render([dict(system), dict(user), dict(answer), dict(again)]),
    )
    if found is None:
        return None
    ours: list[Messages] = [
        [user], [system, user], [user, answer, again],
        [system, user, answer, again, answer, user],
    ]  # fmt: skip
    for chat in (*ours, *checks):
        if found.render(chat) != render([dict(message) for message in chat]):
            return None
    return found.without(bos) if bos else found


def _read(*, alone: str, asked: str, long: str) -> Format | None:
    opening, generate = _around(alone, ["user"]) or ("", "")
    short = _around(asked, ["system", "user"])
    full = _around(long, ["system", "user", "assistant", "again"])
    if short is None or full is None:
        return None
    return Format(
        opening=opening,
        before_system=short[0],
        after_system=short[1],
        between=full[2],
        generate=generate,
        after_answer=full[3],
    )


def _around(text: str, marks: Sequence[str]) -> list[str] | None:
    """Return the texts around marks that stand in this order, each once; else None."""
    parts = []
    for mark in marks:
        before, found, text = text.partition(_MARKS[mark])
        if not found:
            return None
        parts.append(before)
    return [*parts, text]


def go_text(text: str) -> str:
    """Return a text as it stands in a Go template, and in a Modelfile as well.

    Braces would begin an action, three quotation marks could end the Modelfile's value, and what Go
    does not call printable would be dropped by its reader: these are written as constants.
    """
    parts, position = [], 0
    for start, end in _awkward(text):
        parts += [text[position:start], '{{ "', _escaped(text[start:end]), '" }}']
        position = end
    return "".join([*parts, text[position:]])


def _awkward(text: str) -> list[tuple[int, int]]:
    spans = [found.span() for found in _AWKWARD.finditer(text)]
    spans += [(i, i + 1) for i, c in enumerate(text) if not c.isprintable() and c not in "\n\t\r"]
    return sorted(spans)


def _escaped(text: str) -> str:
    return "".join(_GO_ESCAPES.get(c) or (c if c.isprintable() else _by_number(c)) for c in text)


def _by_number(character: str) -> str:
    number = ord(character)
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"
