"""Go templates for Ollama: derived from a model's own template, and equal to it wherever used."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jinja2.sandbox import ImmutableSandboxedEnvironment

from fathom_tui.runner.base_model import BaseModel
from fathom_tui.runner.chat import Template
from fathom_tui.runner.go_template import Render, derive, go_text
from tests.ollama_double.templates import GoTemplate

# The shapes of well-known chat formats, written down anew.
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n"
)
WITH_DEFAULT_SYSTEM = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are kind {{ '{{' }} "
    "👨\u200d👩.<|im_end|>\n{% endif %}" + CHATML
)
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content }}<|eot_id|>{% endfor %}<|start_header_id|>assistant<|end_header_id|>\n\n"
)
SYSTEM_IN_FIRST_QUESTION = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{% set first = messages[0].content ~ "
    "'\n\n' %}{% set rest = messages[1:] %}{% else %}{% set first = '' %}{% set rest = messages %}"
    "{% endif %}{% for m in rest %}<start_of_turn>"
    "{{ 'model' if m.role == 'assistant' else m.role }}"
    "\n{{ first if loop.first else '' }}{{ m.content }}<end_of_turn>\n{% endfor %}"
    "<start_of_turn>model\n"
)
THINKS_LAST = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>"
    "{% if m.role == 'user' %}<assistant>{% if loop.last %}<think>{% endif %}{% endif %}"
    "{% endfor %}"
)
QUESTIONS_COUNTED = (
    "{% for m in messages %}[{{ loop.index }}]{{ m.role }}: {{ m.content }}\n{% endfor %}"
)
LINEAR = {
    "chatml": CHATML,
    "default system": WITH_DEFAULT_SYSTEM,
    "llama3": LLAMA3,
    "system in first question": SYSTEM_IN_FIRST_QUESTION,
}


def jinja(source: str) -> Render:
    template = ImmutableSandboxedEnvironment().from_string(source)
    return lambda messages: template.render(messages=messages, bos_token="<s>")


def chat(*contents: str, system: str | None = None) -> list[dict[str, str]]:
    """Return a chat of questions and answers in turn."""
    roles = ("user", "assistant")
    turns = [{"role": roles[n % 2], "content": c} for n, c in enumerate(contents)]
    return turns if system is None else [{"role": "system", "content": system}, *turns]


CHATS = [
    chat("hello"),
    chat("hello", system="Be brief."),
    chat("one\n", " {{ two }}", 'three """\n'),
    chat("one", "two", "three", "four", "日本 👨\u200d👩", system="Say 'ja'.\n\nOr \"nein\"."),
]


@pytest.mark.parametrize("source", LINEAR.values(), ids=LINEAR)
def test_go_renders_as_the_models_own_template(source: str) -> None:
    render = jinja(source)

    found = derive(render)

    assert found is not None
    for messages in CHATS:
        assert GoTemplate(found.go).render(messages) == render([dict(m) for m in messages])


@pytest.mark.parametrize("source", LINEAR.values(), ids=LINEAR)
def test_what_the_vocabulary_puts_first_is_left_out(source: str) -> None:
    render = jinja(source)

    found = derive(render, bos="<s>")

    assert found is not None
    for messages in CHATS:
        expected = render([dict(m) for m in messages]).removeprefix("<s>")
        assert GoTemplate(found.go).render(messages) == expected


def test_the_last_question_may_be_followed_by_something_of_its_own() -> None:
    # Answers in the past have no <think>: between them and the last there is a difference.
    source = THINKS_LAST.replace("</{{ m.role }}>", "</>").replace("<{{ m.role }}>", "", 1)
    render = jinja(source)

    found = derive(render)

    assert found is not None
    assert found.generate != found.between
    for messages in CHATS:
        assert GoTemplate(found.go).render(messages) == render([dict(m) for m in messages])


@pytest.mark.parametrize(
    "source",
    [
        QUESTIONS_COUNTED,
        "{{ messages[-1].content }}",
        "{% for m in messages %}{{ m.content | upper }}{% endfor %}",
        "{% for m in messages if m.role != 'system' %}{{ m.content }}{% endfor %}",
        "no messages at all",
    ],
)
def test_of_a_format_that_is_not_linear_nothing_is_believed(source: str) -> None:
    assert derive(jinja(source)) is None


def test_chats_that_must_come_out_equal_are_tried() -> None:
    shouts = jinja("{% for m in messages %}{{ m.role }}: {{ m.content | trim }}\n{% endfor %}A: ")

    assert derive(shouts) is not None
    assert derive(shouts, [chat("hello ")]) is None


def test_the_embedded_model_gets_a_template_with_its_default_system_text(base: BaseModel) -> None:
    render = Template(base.directory).render

    found = derive(render)

    assert found is not None
    assert "SmolLM" in found.opening
    for messages in CHATS:
        assert GoTemplate(found.go).render(messages) == render([dict(m) for m in messages])


# The double reads Go's constants as JSON, which has no \U: hence not beyond the first plane.
@given(
    st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=30)
    | st.text(alphabet='{}"\\ \n\u200da', max_size=15)
)
@example("{{")
@example("a{")
@example('"""')
@example("{\u200d{")
def test_any_text_stands_in_a_template_as_itself_and_is_safe_in_a_modelfile(text: str) -> None:
    written = go_text(text)

    assert GoTemplate(written + "{{ .Content }}{{ .Messages }}").render([]).startswith(text)
    assert all(c.isprintable() or c in "\n\t\r" for c in written)
    assert '"""' not in written.replace('\\"', "")


def test_a_mended_template_can_be_packed(tmp_path: Path) -> None:
    from fathom_tui.runner.modelfile import modelfile
    from fathom_tui.serving import ServingSpec

    found = derive(jinja(WITH_DEFAULT_SYSTEM))
    assert found is not None
    spec = ServingSpec(
        sha256="0" * 64, system="", n_ctx=8, threads=1, max_new_tokens=1, template=found.go
    )

    assert f'TEMPLATE """{found.go}"""' in modelfile(spec, source="m.gguf")
