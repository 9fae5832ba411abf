"""A template that the server guessed wrongly is seen, named and mended, or the version goes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fathom_tui.errors import GateRefused
from fathom_tui.parity import Cause
from fathom_tui.runner.ollama_target import OllamaTarget
from fathom_tui.runner.ollama_template import create_as_trained
from fathom_tui.serving import ServingSpec
from tests.runner.scripted_ollama import Scripted, scripted
from tests.runner.test_go_template import CHATML, LLAMA3, QUESTIONS_COUNTED, chat, jinja

NAME = "acme"
CHATS = [chat("hello", system="Triage."), chat("again", system="Triage.")]


def as_the_server(messages: list[dict[str, str]]) -> str:
    """Render as the scripted server does when it is given no template."""
    return "|".join(f"{m['role']}:{m['content']}" for m in messages)


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted() as running:
        yield running


@pytest.fixture
def target(server: Scripted, tmp_path: Path) -> OllamaTarget:
    return OllamaTarget(tmp_path / NAME, NAME, environment={"OLLAMA_HOST": server.url})


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    return path


SPEC = ServingSpec(
    # Of the four bytes above.
    sha256="b83633aa785344791618f2fddf131b010ea04912a60430760b070bad293f65bd",
    system="Triage.",
    n_ctx=512,
    threads=1,
    max_new_tokens=8,
)


@pytest.fixture(autouse=True)
def file_is_there(server: Scripted) -> None:
    server.blobs.add(SPEC.sha256)


def test_a_right_guess_is_left_alone(target: OllamaTarget, gguf: Path, server: Scripted) -> None:
    made = create_as_trained(target, gguf, SPEC, chats=CHATS, render=as_the_server)

    assert (made.version, made.spec, made.checked, made.mended) == ("v1", SPEC, True, None)
    assert "template" not in server.models["acme:v1"]


def test_a_wrong_guess_is_named_and_mended_by_a_template(
    target: OllamaTarget, gguf: Path, server: Scripted
) -> None:
    render = jinja(CHATML)

    made = create_as_trained(target, gguf, SPEC, chats=CHATS, render=render)

    assert made.checked and made.mended is not None
    assert made.mended.cause == Cause.TEMPLATE
    assert made.version == "v2"
    assert target.versions == ["v2"]
    assert server.models["acme:v2"]["template"] == made.spec.template
    assert target.render(CHATS[0], version="v2") == render(CHATS[0])
    again = create_as_trained(target, gguf, made.spec, chats=CHATS, render=render)
    assert (again.version, again.mended) == ("v2", None)


def test_a_begin_token_that_the_vocabulary_adds_is_not_rendered_as_well(
    target: OllamaTarget, gguf: Path
) -> None:
    made = create_as_trained(
        target, gguf, SPEC, chats=CHATS, render=jinja(LLAMA3), bos="<s>", adds_bos=True
    )

    assert made.mended is not None
    assert "<s>" not in made.spec.template
    rendered = target.render(CHATS[0], version=made.version)
    assert rendered is not None and rendered.startswith("<|start_header_id|>")


@pytest.mark.parametrize(
    ("found", "cause"),
    [
        (lambda text: "<s>" + text, Cause.BOS_TWICE),
        (lambda text: text.replace("[1]system: Triage.\n", ""), Cause.SYSTEM_LOST),
        (lambda text: text.replace("user", "human"), Cause.TEMPLATE),
    ],
)
def test_what_cannot_be_mended_is_refused_by_name_and_removed(
    target: OllamaTarget,
    gguf: Path,
    found: Callable[[str], str],
    cause: Cause,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    render = jinja(QUESTIONS_COUNTED.replace("{%", "<s>{%", 1))
    monkeypatch.setattr(
        OllamaTarget, "render", lambda self, messages, *, version: found(render(messages))
    )

    with pytest.raises(GateRefused, match=f"not render chats as the model was .*: {cause.value}"):
        create_as_trained(target, gguf, SPEC, chats=CHATS, render=render, bos="<s>")

    assert target.versions == []


def test_a_template_that_does_not_do_what_it_should_is_refused_and_removed(
    target: OllamaTarget, gguf: Path
) -> None:
    given = ServingSpec.from_json({**SPEC.to_json(), "template": "{{ .Messages }}"})

    with pytest.raises(GateRefused, match=r"ollama does not render .* \(case chat 1") as error:
        create_as_trained(target, gguf, given, chats=CHATS, render=jinja(CHATML))

    assert "llama-cpp" in error.value.fix
    assert target.versions == []


def test_a_version_that_is_live_already_is_not_removed(target: OllamaTarget, gguf: Path) -> None:
    target.activate(target.create(gguf, SPEC))

    made = create_as_trained(target, gguf, SPEC, chats=CHATS, render=jinja(CHATML))

    assert (made.version, target.versions, target.live) == ("v2", ["v1", "v2"], "v1")


def test_a_server_that_does_not_show_what_it_renders_leaves_it_unknown(
    target: OllamaTarget, gguf: Path, server: Scripted
) -> None:
    server.version = "0.11.4"

    made = create_as_trained(target, gguf, SPEC, chats=CHATS, render=jinja(CHATML))

    assert (made.version, made.checked, made.mended) == ("v1", False, None)
