import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom_tui.datasets.cases import Case
from fathom_tui.errors import EnvironmentProblem
from fathom_tui.runner.base_model import BaseModel
from fathom_tui.runner.chat import Message, Prompt, Template, training_row

CHAT: list[Message] = [
    {"role": "system", "content": "Triage the message."},
    {"role": "user", "content": "  My card's gone, it costs me <b>£5</b> & more\n"},
    {"role": "assistant", "content": '{"category": "card"}'},
    {"role": "user", "content": "{{ 7 * 7 }} {% raw %} <|im_end|>"},
]
WRITE_ALL = "{% for m in messages %}[{{ m.role }}]{{ m.content }}\n{% endfor %}"


class TestPrompt:
    def test_asks_with_a_system_text_the_shots_and_the_input(self) -> None:
        prompt = Prompt(name="two", system="Classify.", shots=(("a", "card"), ("b", "fees")))

        assert prompt.messages("c") == [
            {"role": "system", "content": "Classify."},
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "card"},
            {"role": "user", "content": "b"},
            {"role": "assistant", "content": "fees"},
            {"role": "user", "content": "c"},
        ]

    def test_survives_its_json(self) -> None:
        prompt = Prompt(name="two", system="Classify.", shots=(("a", "card"), ("b", "fees")))

        assert Prompt.from_json(json.loads(json.dumps(prompt.to_json()))) == prompt


def write(folder: Path, template: object, **tokens: object) -> Path:
    folder.mkdir(exist_ok=True)
    config = {"chat_template": template, "eos_token": "</s>", **tokens}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    return folder


class TestTemplate:
    def test_a_template_beside_the_configuration_comes_first(self, tmp_path: Path) -> None:
        folder = write(tmp_path, "from the configuration")
        (folder / "chat_template.jinja").write_text("from the file", "utf-8")

        assert Template(folder).render(CHAT) == "from the file"

    def test_the_default_one_of_several_is_taken(self, tmp_path: Path) -> None:
        several = [
            {"name": "tool_use", "template": "for tools"},
            {"name": "default", "template": WRITE_ALL},
        ]

        assert (
            Template(write(tmp_path, several)).render(CHAT[:1]) == "[system]Triage the message.\n"
        )

    @pytest.mark.parametrize("template", [None, "", "  ", [], [{"name": "rag", "template": "x"}]])
    def test_a_base_model_without_one_is_refused(self, tmp_path: Path, template: object) -> None:
        with pytest.raises(EnvironmentProblem, match="has no chat template") as error:
            Template(write(tmp_path, template))

        assert "instruct" in error.value.fix

    def test_a_broken_one_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(EnvironmentProblem, match="The chat template of .* is broken"):
            Template(write(tmp_path, "{% for m in messages %}"))

    def test_one_that_takes_no_system_text_says_so(self, tmp_path: Path) -> None:
        template = (
            "{% if messages[0].role == 'system' %}"
            "{{ raise_exception('System role not supported') }}{% endif %}"
        )

        with pytest.raises(EnvironmentProblem, match="refuses a chat of system, user, assistant…"):
            Template(write(tmp_path, template)).render(CHAT)

    def test_reaches_nothing_of_this_program(self, tmp_path: Path) -> None:
        template = "{{ messages.__class__.__base__.__subclasses__() }}"

        with pytest.raises(EnvironmentProblem, match="access to attribute '__class__'"):
            Template(write(tmp_path, template)).render(CHAT)

    def test_a_special_token_may_be_written_as_an_object(self, tmp_path: Path) -> None:
        folder = write(tmp_path, "{{ bos_token }}|{{ eos_token }}", bos_token={"content": "<s>"})

        assert Template(folder).render(CHAT) == "<s>|</s>"
        assert Template(folder).eos == "</s>"


def test_a_training_row_ends_with_the_stop_token(tmp_path: Path) -> None:
    template = Template(write(tmp_path, WRITE_ALL + "{% if add_generation_prompt %}>{% endif %}"))
    case = Case(id="1", input="hi", values={"label": "card"}, output="card")

    prompt, completion = training_row(template, Prompt(name="t", system="s"), case)

    assert (prompt, completion) == ("[system]s\n[user]hi\n>", "card</s>")


TEMPLATES = {
    "all messages": WRITE_ALL,
    "json": "{{ messages | tojson }}{{ messages[0] | tojson(indent=2) }}",
    "tools": "{% if tools is not none %}tools{% endif %}{% if documents %}documents{% endif %}",
    "special tokens": "{{ bos_token }}{{ eos_token }}{{ pad_token }}{{ unk_token }}{{ sep_token }}",
    "absent tokens": "{% if sep_token is defined %}defined{% endif %}",
    "generation": (
        "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
        "{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}"
    ),
    "loop controls": (
        "{% for m in messages %}{% if loop.index > 2 %}{% break %}{% endif %}x{% endfor %}"
    ),
    "the year": "{{ strftime_now('%Y') }}",
    "blocks": (
        "{% for m in messages %}\n    {%- if true %}\n  {{ m.content | trim }}\n"
        "  {% endif %}\n{% endfor %}"
    ),
}


@pytest.fixture(scope="module")
def tokenizer(base: BaseModel) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(base.directory, local_files_only=True)


@pytest.fixture(scope="module")
def template(base: BaseModel) -> Template:
    return Template(base.directory)


@pytest.mark.slow  # imports transformers
class TestLikeTransformers:
    @pytest.mark.parametrize("length", [1, 2, 4])
    @pytest.mark.parametrize("answer", [True, False])
    def test_renders_the_embedded_model(
        self, tokenizer: Any, template: Template, length: int, answer: bool
    ) -> None:
        expected = tokenizer.apply_chat_template(
            CHAT[:length], tokenize=False, add_generation_prompt=answer
        )

        assert template.render(CHAT[:length], answer=answer) == expected

    @given(st.lists(st.text(st.characters(codec="utf-8"), max_size=40), max_size=4))
    @settings(max_examples=60)
    def test_renders_any_text(self, tokenizer: Any, template: Template, texts: list[str]) -> None:
        shots = tuple(zip(texts[1:], texts[1:], strict=True))
        messages = Prompt(name="p", system="s", shots=shots).messages("".join(texts[:1]))

        expected = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        assert template.render(messages) == expected

    @pytest.fixture
    def with_template(self, base: BaseModel, tmp_path: Path) -> Callable[[str], Path]:
        def put(source: str) -> Path:
            for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
                shutil.copy(base.directory / name, tmp_path / name)
            config = json.loads((tmp_path / "tokenizer_config.json").read_text("utf-8"))
            config["chat_template"] = source
            (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
            return tmp_path

        return put

    @pytest.mark.parametrize("source", TEMPLATES.values(), ids=TEMPLATES.keys())
    def test_gives_other_templates_what_they_may_ask_for(
        self, with_template: Callable[[str], Path], source: str
    ) -> None:
        from transformers import AutoTokenizer

        folder = with_template(source)
        theirs = AutoTokenizer.from_pretrained(folder, local_files_only=True)

        expected = theirs.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True)
        assert Template(folder).render(CHAT) == expected
