"""The Ollama target against the double, which answers with llama.cpp and the embedded model."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from fathom_tui.errors import EnvironmentProblem
from fathom_tui.runner.base_model import BaseModel
from fathom_tui.runner.chat import Prompt, Template
from fathom_tui.runner.llama import Engine
from fathom_tui.runner.ollama_target import OllamaTarget
from fathom_tui.runner.ollama_template import create_as_trained
from fathom_tui.serving import ServingSpec
from tests.ollama_double.started import double

NAME = "acme-triage"

pytestmark = pytest.mark.slow


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "serving" / NAME


@pytest.fixture
def spec(q4: Path) -> ServingSpec:
    with q4.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return ServingSpec(sha256=sha256, system="Triage.", n_ctx=512, threads=1, max_new_tokens=8)


def test_a_file_is_uploaded_made_served_replaced_and_rolled_back(
    q4: Path, spec: ServingSpec, base: BaseModel, root: Path, tmp_path: Path
) -> None:
    asked = Prompt(name="t", system="Triage.").messages("My card is gone. 日本 🙂")
    trained = Template(base.directory).render(asked)
    with double(tmp_path / "models") as running:
        target = OllamaTarget(root, NAME, environment={"OLLAMA_HOST": running.url})

        assert [target.create(q4, spec) for _ in range(2)] == ["v1", "v1"]
        assert target.versions == ["v1"]
        target.activate("v1")
        first = target.ask(asked, max_tokens=8)

        assert target.live == "v1"
        assert first.text
        assert target.render(asked, version="v1") == trained
        assert first.prompt_tokens == _count_tokens(q4, trained)
        assert first.output_tokens is not None and first.output_tokens <= 8
        odd = replace(spec, system='"""Triage"""\n\n日本 👨\u200d👩')
        assert target.create(q4, odd) == "v2"
        target.activate("v2")
        assert target.live == "v2"
        assert odd.system in str(target.render(asked[1:], version="v2"))
        target.activate("v1")
        assert target.ask(asked, max_tokens=8).text == first.text


def test_a_template_guessed_for_another_family_is_mended(
    q4: Path, spec: ServingSpec, base: BaseModel, root: Path, tmp_path: Path
) -> None:
    template = Template(base.directory)
    chats = [Prompt(name="t", system="Triage.").messages(text) for text in ("one", "two")]
    with double(tmp_path / "models", faults=["wrong-template"]) as running:
        target = OllamaTarget(root, NAME, environment={"OLLAMA_HOST": running.url})

        made = create_as_trained(target, q4, spec, chats=chats, render=template.render)

        assert made.checked and made.mended is not None
        assert target.versions == [made.version]
        assert target.render(chats[0], version=made.version) == template.render(chats[0])


@pytest.mark.parametrize(
    "fault",
    ["cut-upload", "disk-full-create", "down-during-create", "down-after-create"],
)
def test_a_deploy_that_failed_goes_through_when_it_is_repeated(
    fault: str, q4: Path, spec: ServingSpec, root: Path, tmp_path: Path
) -> None:
    with double(tmp_path / "models", faults=[fault]) as running:
        target = OllamaTarget(root, NAME, environment={"OLLAMA_HOST": running.url})
        with pytest.raises(EnvironmentProblem, match="Ollama") as error:
            target.create(q4, spec)
        assert error.value.fix

    with double(tmp_path / "models") as running:
        target = OllamaTarget(root, NAME, environment={"OLLAMA_HOST": running.url})

        assert target.create(q4, spec) == "v1"
        assert target.versions == ["v1"]


def test_a_truncated_file_is_refused_and_named(
    q4: Path, spec: ServingSpec, root: Path, tmp_path: Path
) -> None:
    short = tmp_path / "short.gguf"
    short.write_bytes(q4.read_bytes()[:1_000_000])
    sha256 = hashlib.sha256(short.read_bytes()).hexdigest()
    with double(tmp_path / "models") as running:
        target = OllamaTarget(root, NAME, environment={"OLLAMA_HOST": running.url})

        with pytest.raises(EnvironmentProblem, match="EOF|exceeds file size") as error:
            target.create(short, replace(spec, sha256=sha256))

        assert "damaged or was cut" in error.value.fix
        assert target.versions == []


def _count_tokens(gguf: Path, text: str) -> int:
    with Engine(gguf, n_ctx=64, threads=1) as engine:
        return len(engine.tokenize(text))
