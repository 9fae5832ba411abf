"""A version on Ollama that renders chats as the model was trained, by a template where need be.

Fine in the notebook and gibberish in Ollama is the most reported failure of fine-tuned models: the
server had guessed another chat template. `_debug_render_only` (0.11.5) shows what it makes of a
chat, so a wrong guess is seen before anybody is served, and a template of our own takes its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fathom_tui.errors import GateRefused
from fathom_tui.parity import Mismatch, name_text
from fathom_tui.runner.go_template import Messages, Render, derive
from fathom_tui.runner.targets import Target
from fathom_tui.serving import ServingSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class AsTrained:
    """A version that renders as trained, as far as the server can say."""

    version: str
    spec: ServingSpec
    """What it was made of in the end: with a template where the server's guess was wrong."""
    checked: bool
    """False where the server cannot show what it renders."""
    mended: Mismatch | None = None
    """What was wrong before the template was given; None where nothing was."""


def create_as_trained(
    target: Target,
    gguf: Path,
    spec: ServingSpec,
    *,
    chats: Sequence[Messages],
    render: Render,
    bos: str = "",
    adds_bos: bool = False,
) -> AsTrained:
    """Create a version, compare what it makes of chats, and mend it where that is wrong.

    Args:
        target: Where to.
        gguf: The file.
        spec: What to serve.
        chats: Chats that end with the user, each with the spec's system text unless that is empty:
            the server puts it before a chat that has none.
        render: The model's own template.
        bos: Text of the model's begin token; empty where it has none.
        adds_bos: Whether the vocabulary puts that first by itself (`tokenizer.ggml.add_bos_token`),
            so that no template should.

    Raises:
        GateRefused: No template makes the server render as trained; the version is removed again.
        EnvironmentProblem: The server does not allow a create.
        CouldNotCheck: The server stopped answering.
    """

    def seen_as(version: str) -> Mismatch | bool:
        return _look(target, version, chats, render, bos=bos, adds_bos=adds_bos)

    version = target.create(gguf, spec)
    seen = seen_as(version)
    if not isinstance(seen, Mismatch):
        return AsTrained(version=version, spec=spec, checked=seen)
    _forget(target, version)
    found = None if spec.template else derive(render, chats, bos=bos if adds_bos else "")
    if found is None:
        raise _refusal(target, seen)
    given = replace(spec, template=found.go)
    version = target.create(gguf, given)
    again = seen_as(version)
    if isinstance(again, Mismatch):
        _forget(target, version)
        raise _refusal(target, again)
    return AsTrained(version=version, spec=given, checked=again, mended=seen)


def _look(
    target: Target,
    version: str,
    chats: Sequence[Messages],
    render: Render,
    *,
    bos: str,
    adds_bos: bool,
) -> Mismatch | bool:
    """Return the first difference; without one, whether the server showed what it renders."""
    for number, chat in enumerate(chats, 1):
        found = target.render(chat, version=version)
        if found is None:
            return False
        expected = render([dict(message) for message in chat])
        system = next((m["content"] for m in chat if m["role"] == "system"), "")
        # The vocabulary puts BOS before what is rendered: one in the text as well would be two.
        trained = expected.removeprefix(bos) if adds_bos else expected
        mismatch = name_text(f"chat {number}", trained, found, system=system, bos=bos)
        if mismatch is not None:
            return mismatch
    return bool(chats)


def _forget(target: Target, version: str) -> None:
    if target.live != version:  # the same file may have been served like this before
        target.remove(version)


def _refusal(target: Target, mismatch: Mismatch) -> GateRefused:
    return GateRefused(
        f"{target.name} does not render chats as the model was trained: {mismatch}.",
        fix="Give a Go template for this model, or serve with the target llama-cpp, which uses the "
        "template in the GGUF.",
    )
