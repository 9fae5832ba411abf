"""Which template a model is prompted with, and what it renders.

Ollama v0.33.0-rc2: template/template.go (Named, Parse, Execute, collate), server/model.go
(detectChatTemplate), server/images.go (shouldPreferChatTemplate) and server/routes.go
(chatModeForModel).
"""

import copy
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from tests.ollama_double import go_template
from tests.ollama_double.go_lexer import TemplateError
from tests.ollama_double.go_template import Branch, Node, Pipe

Message = dict[str, Any]

_LIMIT = 100
"""Edits up to which a chat template counts as a known one (template.go Named)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltIn:
    """A Go template that Ollama stores for GGUFs whose chat template it knows."""

    name: str
    go: str
    stop: tuple[str, ...]
    jinja: tuple[str, ...]
    """Chat templates it stands for."""


_TURN = (
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_DEFAULT_SYSTEM = (
    "{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
)
CHATML = BuiltIn(
    name="chatml",
    go="{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}"
    "<|im_start|>assistant\n",
    stop=("<|im_start|>", "<|im_end|>"),
    jinja=(
        "{% for message in messages %}" + _TURN,
        "{% for message in messages %}" + _DEFAULT_SYSTEM + _TURN,
        "{{ bos_token }}{% for message in messages %}" + _TURN,
    ),
)
ZEPHYR = BuiltIn(
    name="zephyr",
    go="{{ range .Messages }}<|{{ .Role }}|>\n{{ .Content }}</s>\n{{ end }}<|assistant|>\n",
    stop=("<|system|>", "<|user|>", "<|assistant|>", "</s>"),
    jinja=(),
)
BUILT_IN = (CHATML, ZEPHYR)


@lru_cache(maxsize=32)
def detect(chat_template: str) -> BuiltIn | None:
    """Return the built-in template nearest to a GGUF's chat template, if one is near enough."""
    ranked = [
        (distance(chat_template, known, _LIMIT), place)
        for place, built_in in enumerate(BUILT_IN)
        for known in built_in.jinja
    ]
    nearest, place = min(ranked)
    return BUILT_IN[place] if nearest < _LIMIT else None


def distance(one: str, other: str, limit: int) -> int:
    """Return the Levenshtein distance, or `limit` where it is at least that."""
    if abs(len(one) - len(other)) >= limit:
        return limit
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        before, row[0] = row[0], i
        # A path that leaves this band costs more than the limit.
        first, last = max(1, i - limit), min(len(other), i + limit)
        if first > 1:
            before, row[first - 1] = row[first - 1], limit
        for j in range(first, last + 1):
            changed = before + (left != other[j - 1])
            before = row[j]
            row[j] = min(changed, (row[j] if j < i + limit else limit) + 1, row[j - 1] + 1)
    return min(row[-1], limit)


class GoTemplate:
    """A stored Go template."""

    def __init__(self, source: str) -> None:
        """Parse it.

        Raises:
            TemplateError: It cannot be parsed.
        """
        self.source = source
        self._nodes = go_template.parse(source)
        self.names = go_template.names(self._nodes)
        if not {"messages", "response"} & self.names:
            self._nodes += go_template.parse("{{ .Response }}")

    @property
    def capabilities(self) -> set[str]:
        return {name for name, mark in _GO_MARKS.items() if mark in self.names}

    def render(self, messages: Sequence[Message]) -> str:
        """Return the prompt; it ends where the answer begins.

        Raises:
            TemplateError: It fails on these messages.
        """
        system, turns = _collate(messages)
        common = {"Response": "", "Think": False, "ThinkLevel": "", "IsThinkSet": False}
        if "messages" in self.names:
            values = {**common, "System": system, "Messages": turns, "Tools": None}
            return go_template.execute(self._nodes, values)
        return self._render_turn_by_turn(turns, common)

    def _render_turn_by_turn(self, turns: list[Message], common: dict[str, Any]) -> str:
        """Run a template of `.System`, `.Prompt` and `.Response` once for every exchange."""
        written, turn = "", {"System": "", "Prompt": "", "Response": ""}
        for message in turns:
            role, content = message["Role"], message["Content"]
            started = turn["Response"] or (role == "system" and turn["Prompt"])
            if started and role in ("system", "user"):
                written += go_template.execute(self._nodes, {**common, **turn})
                turn = {"System": "", "Prompt": "", "Response": ""}
            if role in _SLOTS:
                turn[_SLOTS[role]] = content
        # What comes after `.Response` belongs to a finished answer.
        last = _cut_after_response(copy.deepcopy(self._nodes), [False])
        return written + go_template.execute(last, {**common, **turn})


_SLOTS = {"system": "System", "user": "Prompt", "assistant": "Response"}
_GO_MARKS = {"tools": "tools", "insert": "suffix", "thinking": "thinking"}


def _collate(messages: Sequence[Message]) -> tuple[str, list[Message]]:
    """Return all system texts, and the messages with neighbours of one role joined."""
    turns: list[Message] = []
    for message in messages:
        role, content = message.get("role", ""), message.get("content", "")
        if turns and turns[-1]["Role"] == role != "tool":
            turns[-1]["Content"] += "\n\n" + content
        else:
            empty = {"Thinking": "", "Images": None, "ToolCalls": None, "ToolName": ""}
            turns.append({**empty, "Role": role, "Content": content})
    systems = [message["content"] for message in messages if message.get("role") == "system"]
    return "\n\n".join(systems), turns


def _cut_after_response(nodes: list[Node], cut: list[bool]) -> list[Node]:
    kept: list[Node] = []
    for node in nodes:
        if cut[0]:
            break
        if isinstance(node, Branch):
            node.then = _cut_after_response(node.then, cut)
            node.otherwise = [] if cut[0] else _cut_after_response(node.otherwise, cut)
        elif isinstance(node, Pipe):
            cut[0] = node.prints_response
        kept.append(node)
    return kept


def jinja_capabilities(chat_template: str) -> set[str]:
    """Return what a chat template can do beyond completion, told by its words."""
    marks = {"tools": r"\btools\b", "thinking": r"</think>"}
    return {name for name, mark in marks.items() if re.search(mark, chat_template)}


def prefers_jinja(chat_template: str, go: GoTemplate) -> bool:
    """Return whether the GGUF's own template is run although a Go template is stored.

    That is so where it can do more, be the Go template detected or given with the create.
    """
    able, go_able = jinja_capabilities(chat_template), go.capabilities
    round_trip = bool(re.search(r"role['\"]?\]? == ['\"]tool['\"]|ipython", chat_template))
    go_round_trip = "tools" in go_able and "toolcalls" in go.names and "tool" in go.source
    if len(able) > len(go_able):
        return not go_round_trip or round_trip
    same = able == go_able and "tools" in able
    return same and round_trip and not go_round_trip


def render_jinja(chat_template: str, messages: Sequence[Message], tokens: dict[str, str]) -> str:
    """Return the prompt as llama-server renders it from a GGUF's own chat template.

    Raises:
        TemplateError: The template is broken or refuses these messages.
    """
    from jinja2.exceptions import TemplateError as Refused
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def raise_exception(message: str) -> None:
        raise Refused(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = lambda value, **how: json.dumps(value, ensure_ascii=False)
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    try:
        template = environment.from_string(chat_template)
        return template.render(messages=list(messages), add_generation_prompt=True, **tokens)
    except Refused as error:
        raise TemplateError(f"llama-server template error: {error}") from error
