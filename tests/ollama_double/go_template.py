"""Go templates as far as chat templates need them (Go 1.24, text/template).

Known: texts with trim markers, comments, fields and variables with chains, strings, numbers,
`if`/`else if`/`else`, `range` with one or two variables, `with`, pipes, and the functions of
`_FUNCTIONS`. `define`, `template` and `block` are refused: no chat template that Ollama builds in
needs them.
"""

import json
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.ollama_double.go_lexer import Piece, TemplateError, Token, pieces

Scope = dict[str, Any]
_Evaluate = Callable[[Any, Scope], Any]


@dataclass(frozen=True, slots=True)
class Pipe:
    """An expression and the field names in it."""

    evaluate: _Evaluate
    names: frozenset[str]
    assigns: str = ""
    prints_response: bool = False
    """Whether `.Response` is one of its operands."""


@dataclass(slots=True)
class Branch:
    """`if`, `with` or `range`."""

    word: str
    pipe: Pipe
    variables: tuple[str, ...] = ()
    then: "list[Node]" = field(default_factory=list)
    otherwise: "list[Node]" = field(default_factory=list)


Node = str | Pipe | Branch


def _truth(value: Any) -> bool:
    return bool(value)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        value = value[key]
    return value


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "eq": lambda left, *rights: left in rights,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "and": lambda *all_of: next((one for one in all_of if not _truth(one)), all_of[-1]),
    "or": lambda *any_of: next((one for one in any_of if _truth(one)), any_of[-1]),
    "not": lambda value: not _truth(value),
    "len": len,
    "index": _index,
    "slice": lambda value, start=0, end=None: value[start:end],
    "print": lambda *values: "".join(map(_shown, values)),
    # template/template.go adds this one.
    "json": lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")),
}
_WORDS = {"true": True, "false": False, "nil": None}


class _Parser:
    def __init__(self, found: list[Piece]) -> None:
        self._pieces = found
        self._at = 0

    def nodes(self, depth: int) -> tuple[list[Node], list[Token]]:
        """Return nodes up to an `end` or `else` of this depth, and that action."""
        nodes: list[Node] = []
        while self._at < len(self._pieces):
            piece = self._pieces[self._at]
            self._at += 1
            if isinstance(piece, str):
                nodes.append(piece)
                continue
            word = piece[0].text if piece[0].kind == "word" else ""
            if word in ("end", "else"):
                if not depth:
                    raise TemplateError(f"template: :1: unexpected {{{{{word}}}}}")
                return nodes, piece
            if word in ("if", "with", "range"):
                nodes.append(self._branch(piece, depth))
            elif word in ("define", "template", "block", "break", "continue"):
                raise TemplateError(f"template: :1: {{{{{word}}}}} is unknown to this double")
            else:
                nodes.append(_pipe(piece))
        if depth:
            raise TemplateError("template: :1: unexpected EOF")
        return nodes, []

    def _branch(self, action: list[Token], depth: int) -> Branch:
        word, rest = action[0].text, action[1:]
        variables: tuple[str, ...] = ()
        signs = [token.text for token in rest]
        if word == "range" and ":=" in signs:
            cut = signs.index(":=")
            variables = tuple(t.text for t in rest[:cut] if t.kind == "variable")
            rest = rest[cut + 1 :]
        branch = Branch(word, _pipe(rest), variables)
        branch.then, stop = self.nodes(depth + 1)
        if stop[0].text == "else":
            if len(stop) > 1:  # else if: one more branch that shares this one's end
                branch.otherwise = [self._branch(stop[1:], depth)]
                return branch
            branch.otherwise, _ = self.nodes(depth + 1)
        return branch


def _pipe(tokens: list[Token]) -> Pipe:
    if not tokens:
        raise TemplateError("template: :1: missing value for command")
    assigns = ""
    if len(tokens) > 2 and tokens[0].kind == "variable" and tokens[1].text in (":=", "="):
        assigns, tokens = tokens[0].text, tokens[2:]
    names = frozenset(t.text.strip(".$") for t in tokens if t.kind in ("field", "variable"))
    reader = _Expression(tokens)
    evaluate = reader.pipeline()
    if reader.left():
        raise TemplateError(f"template: :1: unexpected {reader.left()[0].text!r} in command")
    return Pipe(evaluate, names - {""}, assigns, ".Response" in {t.text for t in tokens})


class _Expression:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def left(self) -> list[Token]:
        return self._tokens[self._at :]

    def _next(self, text: str) -> bool:
        if self.left() and self.left()[0].text == text and self.left()[0].kind == "sign":
            self._at += 1
            return True
        return False

    def pipeline(self) -> _Evaluate:
        stages = [self._command()]
        while self._next("|"):
            stages.append(self._command())

        def evaluate(dot: Any, scope: Scope) -> Any:
            value = stages[0](dot, scope)
            for stage in stages[1:]:
                value = stage(dot, {**scope, "|": value})
            return value

        return evaluate

    def _command(self) -> _Evaluate:
        function: Callable[..., Any] | None = None
        if self.left() and self.left()[0].kind == "word" and self.left()[0].text not in _WORDS:
            word = self.left()[0].text
            self._at += 1
            if word not in _FUNCTIONS:
                raise TemplateError(f'template: :1: function "{word}" not defined')
            function = _FUNCTIONS[word]
        operands: list[_Evaluate] = []
        while self.left() and self.left()[0].text not in ("|", ")"):
            operands.append(self._operand())
        if function is None:
            if len(operands) != 1:
                raise TemplateError("template: :1: missing value for command")
            return operands[0]
        called = function
        return lambda dot, scope: called(
            *(operand(dot, scope) for operand in operands),
            *([scope["|"]] if "|" in scope else []),
        )

    def _operand(self) -> _Evaluate:
        token = self.left()[0]
        self._at += 1
        if token.text == "(" and token.kind == "sign":
            inner = self.pipeline()
            if not self._next(")"):
                raise TemplateError("template: :1: unclosed left paren")
            # The inner pipeline has no use for what is piped into the outer one.
            start = _without_piped(inner)
        else:
            start = _operand(token)
        chain = []
        while self.left() and self.left()[0].kind == "field" and not self.left()[0].spaced:
            chain.append(self.left()[0].text[1:])
            self._at += 1
        return _chained(start, chain)


def _without_piped(inner: _Evaluate) -> _Evaluate:
    return lambda dot, scope: inner(dot, {k: v for k, v in scope.items() if k != "|"})


def _chained(start: _Evaluate, chain: list[str]) -> _Evaluate:
    def evaluate(dot: Any, scope: Scope) -> Any:
        value = start(dot, scope)
        for name in chain:
            value = _field(value, name)
        return value

    return evaluate if chain else start


def _operand(token: Token) -> _Evaluate:
    if token.kind == "string":
        text = token.text[1:-1] if token.text[0] == "`" else json.loads(token.text)
        return lambda dot, scope: text
    if token.kind == "number":
        number = float(token.text) if "." in token.text else int(token.text)
        return lambda dot, scope: number
    if token.kind == "word" and token.text in _WORDS:
        return lambda dot, scope: _WORDS[token.text]
    if token.kind == "field":
        return lambda dot, scope: _field(dot, token.text[1:])
    if token.kind == "variable":
        return lambda dot, scope: _variable(scope, token.text)
    if token.text == ".":
        return lambda dot, scope: dot
    raise TemplateError(f'template: :1: unexpected "{token.text}" in operand')


def _variable(scope: Scope, name: str) -> Any:
    if name not in scope:
        raise TemplateError(f'template: :1: undefined variable "{name}"')
    return scope[name]


def _field(value: Any, name: str) -> Any:
    if value is None:
        raise TemplateError(f'template: :1: nil data; no entry for key "{name}"')
    if isinstance(value, dict):
        if name not in value and "Role" in value:
            raise TemplateError(f"template: :1: can't evaluate field {name} in type *api.Message")
        return value.get(name)
    raise TemplateError(f"template: :1: can't evaluate field {name} in type {type(value)}")


def _shown(value: Any) -> str:
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def parse(source: str) -> list[Node]:
    """Return a template's nodes.

    Raises:
        TemplateError: It cannot be parsed; the message is Go's where Go refuses it too.
    """
    return _Parser(pieces(source)).nodes(0)[0]


def names(nodes: list[Node]) -> set[str]:
    """Return the names of all fields and variables, in lower case (template.go Vars)."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, Pipe):
            found |= {name.lower() for name in node.names}
        elif isinstance(node, Branch):
            found |= {name.lower() for name in node.pipe.names}
            found |= names(node.then) | names(node.otherwise)
    return found


def execute(nodes: list[Node], values: dict[str, Any]) -> str:
    """Return the text that a template makes of its values.

    Raises:
        TemplateError: A value has no such field, or a function does not fit its arguments.
    """
    try:
        return "".join(_run(nodes, values, {"$": values}))
    except (TypeError, LookupError) as error:
        raise TemplateError(f"template: :1: {error}") from error


def _run(nodes: list[Node], dot: Any, scope: Scope) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, str):
            yield node
        elif isinstance(node, Pipe):
            value = node.evaluate(dot, scope)
            if node.assigns:
                scope[node.assigns] = value
            else:
                yield _shown(value)
        else:
            yield from _run_branch(node, dot, scope)


def _run_branch(branch: Branch, dot: Any, scope: Scope) -> Iterator[str]:
    value = branch.pipe.evaluate(dot, scope)
    if branch.pipe.assigns:
        scope = {**scope, branch.pipe.assigns: value}
    if not _truth(value):
        yield from _run(branch.otherwise, dot, scope)
    elif branch.word == "range":
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in pairs:
            bound = dict(zip(reversed(branch.variables), (item, key), strict=False))
            yield from _run(branch.then, item, {**scope, **bound})
    else:
        yield from _run(branch.then, value if branch.word == "with" else dot, scope)
