"""Embeddings (server/routes.go EmbedHandler, llm/llama_server.go)."""

import math

import pytest

from tests.contract.client import Api
from tests.contract.files import WIDTH


def length(vector: list[float]) -> float:
    return math.sqrt(sum(value * value for value in vector))


def test_each_text_has_a_vector_of_length_one(api: Api, embedder: str) -> None:
    answer = api.post("/api/embed", model=embedder, input=["my card is gone", "send money"]).json()

    first, second = answer["embeddings"]
    assert len(first) == len(second) == WIDTH
    assert [length(first), length(second)] == pytest.approx([1, 1], abs=1e-3)
    assert first != second
    assert answer["model"] == embedder
    assert answer["prompt_eval_count"] > 0
    assert isinstance(answer["total_duration"], int)


def test_one_text_has_the_vector_it_has_among_others(api: Api, embedder: str) -> None:
    alone = api.post("/api/embed", model=embedder, input="my card is gone").json()
    among = api.post("/api/embed", model=embedder, input=["send money", "my card is gone"]).json()

    same = sum(a * b for a, b in zip(alone["embeddings"][0], among["embeddings"][1], strict=True))
    assert same == pytest.approx(1, abs=1e-2)


def test_fewer_dimensions_are_normalised_anew(api: Api, embedder: str) -> None:
    if not api.since(0, 11, 11):
        pytest.skip("not before 0.11.11")
    answer = api.post("/api/embed", model=embedder, input="card", dimensions=8).json()

    assert len(answer["embeddings"][0]) == 8
    assert length(answer["embeddings"][0]) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("nothing", [{}, {"input": None}, {"input": ""}, {"input": []}])
def test_no_text_has_no_vector(api: Api, embedder: str, nothing: dict[str, object]) -> None:
    answer = api.post("/api/embed", model=embedder, **nothing)

    assert answer.status_code == 200
    assert answer.json()["embeddings"] == []


@pytest.mark.parametrize("wrong", [5, True, {"text": "a"}, ["a", 5]])
def test_what_is_no_text_is_400(api: Api, embedder: str, wrong: object) -> None:
    answer = api.post("/api/embed", model=embedder, input=wrong)

    api.refused(answer, 400, "invalid input type")


def test_a_text_that_is_too_long_is_cut_unless_that_is_forbidden(api: Api, embedder: str) -> None:
    text, options = "word " * 60, {"num_ctx": 128}

    cut = api.post("/api/embed", model=embedder, input=text, options=options)
    refused = api.post("/api/embed", model=embedder, input=text, options=options, truncate=False)

    assert cut.status_code == 200, cut.text
    api.refused(refused, 400, "the input length exceeds the context length")


def test_a_chat_model_embeds_before_llama_server_and_not_since(api: Api, chatty: str) -> None:
    answer = api.post("/api/embed", model=chatty, input="my card is gone")

    if not api.since(0, 30, 0):
        assert length(answer.json()["embeddings"][0]) == pytest.approx(1, abs=1e-3)
        return
    assert answer.status_code >= 400
    assert "embeddings" in answer.json()["error"]


def test_an_embedding_model_says_so(api: Api, embedder: str) -> None:
    if not api.since(0, 6, 4):
        pytest.skip("not before 0.6.4")
    assert api.show(embedder)["capabilities"] == ["embedding"]


@pytest.mark.parametrize(
    ("model", "status", "pattern"),
    [
        ("fathom contract", 400, "invalid model name"),
        (
            "fathom-contract-absent",
            404,
            'model "fathom-contract-absent" not found, try pulling it first',
        ),
    ],
)
def test_embed_refuses(api: Api, model: str, status: int, pattern: str) -> None:
    api.refused(api.post("/api/embed", model=model, input="a"), status, pattern)
