"""Prompts without a chat (server/routes.go GenerateHandler)."""

import pytest

from tests.contract.client import GREEDY, Api, lines_of

ASK = {"prompt": "What is the capital of France?", "options": GREEDY}


def test_an_answer_has_a_response_a_reason_and_the_context(api: Api, chatty: str) -> None:
    answer = api.post("/api/generate", model=chatty, stream=False, **ASK).json()

    assert "Paris" in answer["response"]
    assert (answer["done"], answer["done_reason"]) == (True, "stop")
    assert answer["eval_count"] > 0
    assert all(isinstance(token, int) for token in answer["context"])


def test_a_prompt_is_asked_as_a_chat_of_one_message(api: Api, chatty: str) -> None:
    answer = api.post("/api/generate", model=chatty, stream=False, **ASK).json()

    assert answer["response"] == api.chat(chatty)["message"]["content"]


def test_a_stream_ends_with_its_only_done_line(api: Api, chatty: str) -> None:
    *pieces, last = lines_of(api.post("/api/generate", model=chatty, **ASK))

    assert [piece["done"] for piece in pieces] == [False] * len(pieces)
    assert (last["done"], last["done_reason"]) == (True, "stop")


def test_raw_sends_the_prompt_as_it_is(api: Api, chatty: str) -> None:
    if not api.since(0, 11, 5):
        pytest.skip("not before 0.11.5")
    body = {"raw": True, "_debug_render_only": True, **ASK}
    answer = api.post("/api/generate", model=chatty, **body).json()

    assert answer["_debug_info"]["rendered_template"] == ASK["prompt"]


def test_a_template_and_a_system_text_may_come_with_the_request(api: Api, chatty: str) -> None:
    if not api.since(0, 11, 5):
        pytest.skip("not before 0.11.5")
    body = {"template": "{{ .System }}|{{ .Prompt }}|", "system": "S", "_debug_render_only": True}
    answer = api.post("/api/generate", model=chatty, **{**ASK, **body}).json()

    assert answer["_debug_info"]["rendered_template"] == f"S|{ASK['prompt']}|"


def test_raw_and_a_template_are_400(api: Api, chatty: str) -> None:
    answer = api.post("/api/generate", model=chatty, raw=True, template="{{ .Prompt }}", **ASK)

    api.refused(answer, 400, "raw mode does not support template, system, or context")


def test_no_prompt_loads_and_no_time_to_live_unloads(api: Api, chatty: str) -> None:
    options = {"num_ctx": 512}
    loaded = api.post("/api/generate", model=chatty, options=options).json()
    unloaded = api.post("/api/generate", model=chatty, keep_alive=0).json()

    assert (loaded["done"], loaded["done_reason"], loaded["response"]) == (True, "load", "")
    assert (unloaded["done"], unloaded["done_reason"]) == (True, "unload")


@pytest.mark.parametrize(
    ("model", "status", "pattern"),
    [
        ("", 404, "model '' not found"),
        ("fathom contract", 400, "invalid model name"),
        ("fathom-contract-absent", 404, "model 'fathom-contract-absent' not found"),
    ],
)
def test_generate_refuses(api: Api, model: str, status: int, pattern: str) -> None:
    api.refused(api.post("/api/generate", model=model, **ASK), status, pattern)


def test_a_model_that_cannot_generate_is_400(api: Api, embedder: str) -> None:
    answer = api.post("/api/generate", model=embedder, **ASK)

    api.refused(answer, 400, f'"{embedder}" does not support generate')
