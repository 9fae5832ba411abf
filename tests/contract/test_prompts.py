"""What a chat becomes before the model sees it (server/routes.go, server/prompt.go, template/).

Seen through `_debug_render_only`: the same text that is decoded.
"""

from pathlib import Path

import pytest

from tests.contract.client import Api
from tests.contract.files import STRANGE, TOOLED, write_small

HI = {"role": "user", "content": "Hi"}
SYSTEM = {"role": "system", "content": "Be brief."}
TURNS = [SYSTEM, HI, {"role": "assistant", "content": "Hello."}, {"role": "user", "content": "Bye"}]
CHATML = (
    "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
    "<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n"
    "<|im_start|>assistant\n"
)


@pytest.fixture(autouse=True)
def _renders(api: Api) -> None:
    if not api.since(0, 11, 5):
        pytest.skip("not before 0.11.5")


def child(api: Api, parent: str, **request: object) -> str:
    """Create a model from another one and return its name."""
    name = api.name()
    answer = api.post("/api/create", **{"model": name, "from": parent, "stream": False, **request})
    assert answer.status_code == 200, answer.text
    return name


def test_rendering_answers_with_a_prompt_and_nothing_else(api: Api, chatty: str) -> None:
    answer = api.chat(chatty, TURNS, _debug_render_only=True)

    assert answer["done"] is False
    assert set(answer) == {"model", "created_at", "message", "done", "_debug_info"}
    assert answer["_debug_info"]["rendered_template"] == CHATML


def test_rendering_answers_whole_also_where_a_stream_was_asked_for(api: Api, chatty: str) -> None:
    assert api.render(chatty, TURNS, stream=True) == CHATML


def test_a_template_given_at_create_is_used(api: Api, chatty: str) -> None:
    template = "{{ range .Messages }}[{{ .Role }}] {{ .Content }}\n{{ end }}[assistant]"
    name = child(api, chatty, template=template)

    assert api.show(name)["template"] == template
    rendered = api.render(name, TURNS)
    assert rendered == "[system] Be brief.\n[user] Hi\n[assistant] Hello.\n[user] Bye\n[assistant]"


def test_a_template_of_system_prompt_and_response_is_run_for_every_turn(
    api: Api, chatty: str
) -> None:
    template = "{{ if .System }}S:{{ .System }} {{ end }}U:{{ .Prompt }} A:{{ .Response }};"
    name = child(api, chatty, template=template)

    assert api.render(name, TURNS) == "S:Be brief. U:Hi A:Hello.;U:Bye A:"


def test_a_template_without_response_gets_one_at_its_end(api: Api, chatty: str) -> None:
    name = child(api, chatty, template="<{{ .Prompt }}>")

    assert api.render(name, TURNS) == "<Hi>Hello.<Bye>"


def test_neighbours_of_one_role_are_joined(api: Api, chatty: str) -> None:
    name = child(api, chatty, template="{{ range .Messages }}[{{ .Role }}:{{ .Content }}]{{ end }}")

    assert api.render(name, [HI, HI]) == "[user:Hi\n\nHi]"


def test_trim_markers_and_comments_leave_no_trace(api: Api, chatty: str) -> None:
    template = (
        "{{- /* one turn after the other */ -}}\n{{- range .Messages }}\n"
        '{{- if eq .Role "user" -}}\n  {{ .Content }}\n{{- end }}\n{{- end }} {{ len .Messages }}'
    )
    name = child(api, chatty, template=template)

    assert api.render(name, TURNS) == "HiBye 4"


def test_conditions_chain(api: Api, chatty: str) -> None:
    template = (
        '{{ range $i, $m := .Messages }}{{ if and (eq $m.Role "user") (gt $i 1) }}last'
        '{{ else if eq .Role "user" }}first{{ else }}-{{ end }}{{ end }}{{ $.System }}'
    )
    name = child(api, chatty, template=template)

    assert api.render(name, TURNS) == "-first-lastBe brief."


def test_the_models_system_text_comes_first_unless_the_chat_has_one(api: Api, chatty: str) -> None:
    name = child(api, chatty, system="Answer in verse.")

    assert api.render(name, [HI]).startswith("<|im_start|>system\nAnswer in verse.<|im_end|>\n")
    assert api.render(name, TURNS) == CHATML


def test_the_models_messages_come_before_the_chats(api: Api, chatty: str) -> None:
    name = child(api, chatty, messages=TURNS[1:3], system="Be brief.")

    assert api.render(name, [TURNS[3]]) == CHATML


def test_a_system_text_is_rendered_as_it_went(api: Api, chatty: str) -> None:
    text = 'Say """hi""".\n\n\tÜber 日本 🙂 {{ .Prompt }} {% x %}'
    name = child(api, chatty, system=text)

    assert f"system\n{text}<|im_end|>" in api.render(name, [HI])


def test_an_alias_renders_as_the_version_it_stands_for(api: Api, chatty: str) -> None:
    versions = {text: child(api, chatty, system=text) for text in ("First.", "Second.")}
    alias = api.name("live")

    for text in ("First.", "Second.", "First."):
        api.post("/api/copy", source=versions[text], destination=alias)
        assert f"system\n{text}<|im_end|>" in api.render(alias, [HI])


def test_a_known_chat_template_is_run_as_the_go_template_it_resembles(
    api: Api, chatty: str
) -> None:
    # The file's own template would put a system text of its own before this chat.
    rendered = api.render(chatty, [HI])

    assert rendered == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert "{%" not in api.show(chatty)["template"]


@pytest.fixture(scope="module")
def strange(api: Api, small: Path) -> str:
    """Return the name of a model whose chat template is like no known one."""
    path = write_small(small.with_name("strange.gguf"), chat_template=STRANGE)
    name = api.name()
    assert not any("autodetected" in line for line in api.create(name, path))
    return name


def test_an_unknown_chat_template_is_run_as_it_is(api: Api, strange: str) -> None:
    if not api.since(0, 30, 0):
        pytest.skip("not before 0.30.0")
    assert api.render(strange, TURNS) == "<system><user><assistant><user><bot>"
    assert api.show(strange)["template"].startswith("{#~")


def test_a_template_given_wins_over_the_files_own(api: Api, strange: str) -> None:
    name = child(api, strange, template="{{ range .Messages }}({{ .Content }}){{ end }}")

    assert api.render(name, [HI]) == "(Hi)"


def test_a_template_given_loses_to_one_in_the_file_that_knows_tools(
    api: Api, tmp_path: Path
) -> None:
    if not api.since(0, 30, 0):
        pytest.skip("not before 0.30.0")
    path = write_small(tmp_path / "tooled.gguf", chat_template=TOOLED)
    name = api.name()
    api.create(name, path, template="{{ range .Messages }}({{ .Content }}){{ end }}")

    assert api.render(name, [HI]) == "<user><bot>"
    assert "tools" in api.show(name)["capabilities"]


def test_a_template_that_fails_on_a_chat_is_500(api: Api, chatty: str) -> None:
    name = child(api, chatty, template="{{ range .Messages }}{{ .Flavour }}{{ end }}")

    answer = api.post("/api/chat", model=name, messages=[HI])

    api.refused(answer, 500, "template: .*Flavour.*")


def test_a_chat_that_is_too_long_loses_its_oldest_turns_and_keeps_the_system(
    api: Api, chatty: str
) -> None:
    long = [
        {"role": role, "content": f"{n} " + "word " * 90}
        for n, role in enumerate(["user", "assistant"] * 4)
    ]
    chat = [SYSTEM, *long, HI]

    rendered = api.render(chatty, chat)

    assert rendered.startswith("<|im_start|>system\nBe brief.<|im_end|>\n")
    assert rendered.endswith("Hi<|im_end|>\n<|im_start|>assistant\n")
    assert "0 word" not in rendered
    assert "7 word" in rendered
