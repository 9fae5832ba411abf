"""A version as a Modelfile: what `ollama create` needs beside the GGUF.

How values are quoted follows the reader in Ollama v0.33.0-rc2, parser/parser.go (ParseFile,
unquote): it knows no escapes, drops what Go does not call printable, and takes a line that ends
with the closing quotes for the end of the value.
"""

import re

from fathom_tui.errors import UsageError
from fathom_tui.serving import ServingSpec

SEED = 0

_QUOTES = '"""'
_NEWLINES = re.compile(r"[\r\n]")
_KEPT = " \t\r\n"
"""Blanks that the reader keeps; of the rest it keeps what is printable: Go's strconv.IsPrint. That
is Python's isprintable but for characters newer than the Unicode of either (Go 1.24: 15.0)."""


def parameters(spec: ServingSpec) -> dict[str, float | int | list[str]]:
    """Return what is pinned in every version, so that no default of a release changes an answer.

    `stop` is there also when it is empty: a template that Ollama guesses brings texts of its own
    (setParameters in server/create.go lets ours win). A `repeat_penalty` other than 1 makes
    greedy answers depend on the prompt's words; older releases have 1.1.
    """
    return {
        "num_ctx": spec.n_ctx,
        "temperature": 0,
        "seed": SEED,
        "num_predict": spec.max_new_tokens,
        "repeat_penalty": 1.0,
        "stop": list(spec.stop),
    }


def modelfile(spec: ServingSpec, *, source: str) -> str:
    """Return the text of a Modelfile.

    Args:
        spec: What to serve.
        source: The GGUF as seen from the Modelfile's folder, for example `./triage-q4km.gguf`.

    Raises:
        UsageError: A text cannot be written so that Ollama reads the same; through the HTTP API
            any text can be given.
    """
    lines = [f"FROM {_quoted('FROM', source)}"]
    if spec.template:
        lines.append(f"TEMPLATE {_quoted('TEMPLATE', spec.template)}")
    if spec.system:
        lines.append(f"SYSTEM {_quoted('SYSTEM', spec.system)}")
    for name, value in parameters(spec).items():
        for text in value if isinstance(value, list) else [str(value)]:
            lines.append(f"PARAMETER {name} {_quoted(f'PARAMETER {name}', text)}")
    if spec.license:
        lines.append(f"LICENSE {_quoted('LICENSE', _plain(spec.license))}")
    return "\n".join(lines) + "\n"


def _quoted(name: str, text: str) -> str:
    lost = next((c for c in text if not c.isprintable() and c not in _KEPT), None)
    if lost is not None:
        raise _unwritable(name, f"holds U+{ord(lost):04X}, which Ollama leaves out")
    if text and text == text.strip() and not _NEWLINES.search(text) and not text.startswith('"'):
        return text
    # The reader looks for the end at every newline, blanks before it passed over.
    for newline in _NEWLINES.finditer(text):
        if text[: newline.start()].rstrip().endswith(_QUOTES):
            raise _unwritable(name, "has a line that ends with three quotation marks")
    return f"{_QUOTES}{text}{_QUOTES}"


def _plain(text: str) -> str:
    """Return a licence without form feeds and the like, which say nothing in it."""
    spaced = text.replace("\u00a0", " ")
    return "".join(c for c in spaced if c.isprintable() or c in _KEPT)


def _unwritable(name: str, problem: str) -> UsageError:
    return UsageError(
        f"The {name} text {problem}: a Modelfile cannot hold it.",
        fix="Serve it through the API (target ollama), which takes any text, or change the text "
        "and train again.",
    )
