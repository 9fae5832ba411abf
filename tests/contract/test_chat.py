"""Chats, whole and streamed (server/routes.go ChatHandler, llm/llama_server.go)."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.contract.client import FRANCE, GREEDY, Api, lines_of

METRICS = ("total_duration", "prompt_eval_count", "eval_count", "eval_duration")


class TestAnAnswer:
    def test_has_a_message_a_reason_and_metrics(self, api: Api, chatty: str) -> None:
        answer = api.chat(chatty)

        assert answer["model"] == chatty
        assert datetime.fromisoformat(answer["created_at"]).tzinfo is not None
        assert answer["message"]["role"] == "assistant"
        assert "Paris" in answer["message"]["content"]
        assert (answer["done"], answer["done_reason"]) == (True, "stop")
        for key in METRICS:
            assert isinstance(answer[key], int), key
            assert answer[key] > 0, key
        assert answer["total_duration"] >= answer["eval_duration"]

    def test_is_the_same_each_time_at_temperature_zero(self, api: Api, chatty: str) -> None:
        answers = [api.chat(chatty)["message"]["content"] for _ in range(3)]

        assert len(set(answers)) == 1

    def test_is_the_same_each_time_with_a_seed(self, api: Api, chatty: str) -> None:
        options = {**GREEDY, "temperature": 1.5, "seed": 11, "num_predict": 12}
        api.chat(chatty, options=options)  # the prompt is in the cache from here on

        answers = [api.chat(chatty, options=options)["message"]["content"] for _ in range(3)]

        assert len(set(answers)) == 1

    def test_counts_the_prompt_whole_though_it_was_cached(self, api: Api, chatty: str) -> None:
        if not api.since(0, 30, 1):
            pytest.skip("not before 0.30.1")
        counts = [api.chat(chatty)["prompt_eval_count"] for _ in range(2)]

        assert counts[0] == counts[1]

    def test_that_reaches_num_predict_was_cut(self, api: Api, chatty: str) -> None:
        answer = api.chat(chatty, options={**GREEDY, "num_predict": 3})

        assert (answer["done_reason"], answer["eval_count"]) == ("length", 3)

    def test_ends_before_a_stop_text(self, api: Api, chatty: str) -> None:
        whole = api.chat(chatty)["message"]["content"]

        answer = api.chat(chatty, options={**GREEDY, "stop": ["France", "nowhere"]})

        assert "France" in whole
        assert answer["message"]["content"] == whole[: whole.index("France")]
        assert answer["done_reason"] == "stop"

    def test_goes_on_from_what_the_assistant_said(self, api: Api, chatty: str) -> None:
        more = [*FRANCE, {"role": "assistant", "content": "Paris."}]
        more.append({"role": "user", "content": "And of Italy?"})

        assert api.chat(chatty, more)["prompt_eval_count"] > api.chat(chatty)["prompt_eval_count"]


class TestAStream:
    def test_is_ndjson_whose_pieces_are_the_whole_answer(self, api: Api, chatty: str) -> None:
        answer = api.post("/api/chat", model=chatty, messages=FRANCE, options=GREEDY)
        *pieces, last = lines_of(answer)

        assert answer.headers["content-type"] == "application/x-ndjson"
        assert len(pieces) > 1
        assert all(piece["done"] is False for piece in pieces)
        assert all(piece["message"]["role"] == "assistant" for piece in pieces)
        assert (last["done"], last["done_reason"]) == (True, "stop")
        text = "".join(line["message"]["content"] for line in (*pieces, last))
        assert text == api.chat(chatty)["message"]["content"]

    def test_gives_its_metrics_with_the_last_line_only(self, api: Api, chatty: str) -> None:
        answer = api.post("/api/chat", model=chatty, messages=FRANCE, options=GREEDY)
        *pieces, last = lines_of(answer)

        assert set(METRICS) <= set(last)
        assert not any(set(METRICS) & set(piece) for piece in pieces)

    def test_that_fails_at_once_has_the_status_of_the_error(self, api: Api) -> None:
        answer = api.post("/api/chat", model="fathom-contract-absent", messages=FRANCE)

        api.refused(answer, 404, "model 'fathom-contract-absent' not found")


class TestLoading:
    def test_no_messages_load_the_model(self, api: Api, chatty: str) -> None:
        api.unload(chatty)

        answer = api.post("/api/chat", model=chatty, options={"num_ctx": 512}).json()

        assert (answer["done"], answer["done_reason"]) == (True, "load")
        assert answer["message"] == {"role": "assistant", "content": ""}
        assert not {"eval_count", "prompt_eval_count", "eval_duration"} & set(answer)
        assert chatty in api.listed("/api/ps")

    def test_ps_tells_what_is_loaded(self, api: Api, chatty: str) -> None:
        api.chat(chatty, keep_alive="10m")

        loaded = api.listed("/api/ps")[chatty]

        keys = {"name", "model", "size", "digest", "details", "expires_at", "size_vram"}
        assert keys <= set(loaded)
        assert loaded["digest"] == api.digest(chatty)
        assert loaded["size"] > 0
        assert datetime.fromisoformat(loaded["expires_at"]).tzinfo is not None
        if api.since(0, 10, 0):
            assert loaded["context_length"] == 512

    @pytest.mark.parametrize("keep_alive", [0, "0", "0s"])
    def test_no_messages_and_no_time_to_live_unload_it(
        self, api: Api, chatty: str, keep_alive: Any
    ) -> None:
        api.chat(chatty)

        answer = api.post("/api/chat", model=chatty, keep_alive=keep_alive).json()

        assert (answer["done"], answer["done_reason"]) == (True, "unload")
        api.unload(chatty)
        assert chatty not in api.listed("/api/ps")

    def test_unloading_what_is_not_loaded_is_no_error(self, api: Api, chatty: str) -> None:
        api.unload(chatty)

        answer = api.post("/api/chat", model=chatty, keep_alive=0).json()

        assert answer["done_reason"] == "unload"

    def test_minus_one_keeps_a_model_for_ever(self, api: Api, chatty: str) -> None:
        api.post("/api/chat", model=chatty, keep_alive=-1, options={"num_ctx": 512})

        expires = datetime.fromisoformat(api.listed("/api/ps")[chatty]["expires_at"])
        api.unload(chatty)
        assert expires.year > datetime.now().year + 100

    def test_a_keep_alive_that_is_no_duration_is_400(self, api: Api, chatty: str) -> None:
        answer = api.post("/api/chat", model=chatty, keep_alive="a while")

        api.refused(answer, 400, "time: invalid duration .*")

    def test_names_that_share_weights_share_a_runner(self, api: Api, chatty: str) -> None:
        alias = api.name("live")
        api.post("/api/copy", source=chatty, destination=alias)
        api.unload(chatty)
        api.chat(chatty)

        api.chat(alias)

        assert set(api.listed("/api/ps")) & {chatty, alias} == {chatty}


class TestAFormat:
    SCHEMA = {
        "type": "object",
        "properties": {"label": {"enum": ["card", "transfer"]}},
        "required": ["label"],
    }
    ASK = [{"role": "user", "content": "My card is gone. Which label?"}]

    def test_that_is_a_schema_is_kept(self, api: Api, chatty: str) -> None:
        answer = api.chat(chatty, self.ASK, format=self.SCHEMA)

        said = json.loads(answer["message"]["content"])
        assert list(said) == ["label"]
        assert said["label"] in ("card", "transfer")

    def test_that_is_json_gives_an_object(self, api: Api, chatty: str) -> None:
        ask = [{"role": "user", "content": 'Write the JSON object {"city": "Paris"}.'}]
        answer = api.chat(chatty, ask, format="json")

        said = answer["message"]["content"]
        assert said.lstrip().startswith("{")
        # A small model may write white space until it is cut.
        assert answer["done_reason"] == "length" or isinstance(json.loads(said), dict)

    @pytest.mark.parametrize("nothing", [None, ""])
    def test_of_nothing_is_none(self, api: Api, chatty: str, nothing: str | None) -> None:
        plain = api.chat(chatty)["message"]["content"]

        assert api.chat(chatty, format=nothing)["message"]["content"] == plain

    @pytest.mark.parametrize("stream", [False, True])
    def test_of_another_kind_is_500(self, api: Api, chatty: str, stream: bool) -> None:
        answer = api.post("/api/chat", model=chatty, messages=FRANCE, format="xml", stream=stream)

        api.refused(
            answer, 500, 'invalid format: .*xml.*; expected "json" or a valid JSON Schema.*'
        )


class TestOptions:
    @pytest.mark.parametrize(
        ("option", "value", "kind"),
        [
            ("temperature", "hot", "float32"),
            ("seed", "one", "integer"),
            ("num_ctx", True, "integer"),
            ("use_mmap", 1, "boolean"),
            ("stop", "END", "array"),
        ],
    )
    def test_of_another_type_are_500(
        self, api: Api, chatty: str, option: str, value: Any, kind: str
    ) -> None:
        answer = api.post("/api/chat", model=chatty, messages=FRANCE, options={option: value})

        api.refused(answer, 500, f'option "{option}" must be of type {kind}')

    def test_that_nobody_knows_are_passed_over(self, api: Api, chatty: str) -> None:
        plain = api.chat(chatty)["message"]["content"]

        answer = api.chat(chatty, options={**GREEDY, "no_such_option": "x"})

        assert answer["message"]["content"] == plain

    def test_of_the_model_hold_where_the_request_says_nothing(self, api: Api, chatty: str) -> None:
        child = api.name()
        request = {"from": chatty, "parameters": {"num_predict": 2}, "stream": False}
        api.post("/api/create", model=child, **request)

        cut = api.chat(child, options={"temperature": 0})
        asked = api.chat(child, options={"temperature": 0, "num_predict": 4})

        assert (cut["done_reason"], cut["eval_count"]) == ("length", 2)
        assert asked["eval_count"] == 4

    @pytest.mark.parametrize("messages", [FRANCE, []], ids=["a chat", "a load"])
    def test_a_stop_of_the_wrong_type_in_the_model_fails_every_request(
        self, api: Api, name: str, small: Path, messages: list[dict[str, str]]
    ) -> None:
        api.create(name, small, parameters={"stop": "END"})

        answer = api.post("/api/chat", model=name, messages=messages)

        api.refused(answer, 500, 'option "stop" must be of type array')


class TestRefusals:
    def test_no_name_is_400(self, api: Api) -> None:
        api.refused(api.post("/api/chat", model="", messages=FRANCE), 400, "model is required")

    def test_a_bad_name_is_400(self, api: Api) -> None:
        answer = api.post("/api/chat", model="fathom contract", messages=FRANCE)

        api.refused(answer, 400, "invalid model name")

    def test_an_unknown_model_is_404_as_it_was_written(self, api: Api) -> None:
        answer = api.post("/api/chat", model="fathom-contract-absent:v1", messages=FRANCE)

        api.refused(answer, 404, "model 'fathom-contract-absent:v1' not found")

    def test_a_model_that_cannot_chat_is_400(self, api: Api, embedder: str) -> None:
        answer = api.post("/api/chat", model=embedder, messages=FRANCE)

        api.refused(answer, 400, f'"{embedder}" does not support chat')

    def test_tools_for_a_model_without_them_are_400(self, api: Api, chatty: str) -> None:
        tool = {"type": "function", "function": {"name": "f", "description": "", "parameters": {}}}
        answer = api.post("/api/chat", model=chatty, messages=FRANCE, tools=[tool])

        api.refused(answer, 400, ".*does not support tools")

    def test_thinking_for_a_model_without_it_is_400(self, api: Api, chatty: str) -> None:
        if not api.since(0, 9, 0):
            pytest.skip("not before 0.9.0")
        answer = api.post("/api/chat", model=chatty, messages=FRANCE, think=True)

        api.refused(answer, 400, f'"{chatty}" does not support thinking')
