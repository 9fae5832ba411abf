"""What holds for every request (server/routes.go GenerateRoutes, gin)."""

import json

import httpx
import pytest

from tests.contract.client import Api


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_root_says_that_ollama_is_running(api: Api, method: str) -> None:
    answer = api.http.request(method, "/")

    assert answer.status_code == 200
    assert answer.text == ("Ollama is running" if method == "GET" else "")


def test_the_version_is_a_text(api: Api) -> None:
    answer = api.http.get("/api/version")

    assert answer.status_code == 200
    assert list(answer.json()) == ["version"]
    assert api.http.head("/api/version").status_code == 200


def test_an_unknown_path_is_404_in_plain_text(api: Api) -> None:
    answer = api.http.get("/api/nothing")

    assert (answer.status_code, answer.text) == (404, "404 page not found")
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/chat"), ("POST", "/api/tags"), ("POST", "/api/delete"), ("PUT", "/api/create")],
)
def test_a_wrong_method_is_405(api: Api, method: str, path: str) -> None:
    assert api.http.request(method, path).status_code == 405


POSTS = ["/api/create", "/api/show", "/api/copy", "/api/chat", "/api/generate", "/api/embed"]


@pytest.mark.parametrize("path", POSTS)
def test_a_missing_body_is_named(api: Api, path: str) -> None:
    api.refused(api.http.post(path), 400, "missing request body")


def test_a_delete_without_a_body_is_named(api: Api) -> None:
    api.refused(api.http.delete("/api/delete"), 400, "missing request body")


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    ("body", "pattern"),
    [("{broken}", "invalid character .*"), ('{"model": ', "unexpected EOF")],
)
def test_bad_json_is_400_in_the_words_of_go(api: Api, path: str, body: str, pattern: str) -> None:
    api.refused(api.http.post(path, content=body), 400, pattern)


def test_a_field_of_another_type_is_400(api: Api) -> None:
    answer = api.post("/api/chat", model=5)

    api.refused(answer, 400, "json: cannot unmarshal number into Go struct field .*model.*string")


def test_a_message_whose_content_is_no_text_is_400(api: Api) -> None:
    parts = [{"type": "text", "text": "hello"}]
    answer = api.post("/api/chat", model="any", messages=[{"role": "user", "content": parts}])

    api.refused(answer, 400, "json: cannot unmarshal array into Go struct field .*content.*string")


def test_unknown_fields_are_passed_over(api: Api) -> None:
    api.refused(api.post("/api/show", model="", flavour="blue"), 400, "model is required")


def test_a_body_needs_no_content_type(api: Api) -> None:
    answer = api.http.post("/api/show", content=json.dumps({"model": ""}))

    api.refused(answer, 400, "model is required")


def _loopback(api: Api) -> bool:
    return api.http.base_url.host in ("127.0.0.1", "localhost", "::1")


def test_a_foreign_host_is_forbidden_on_the_loopback(api: Api) -> None:
    if not _loopback(api):
        pytest.skip("the server does not listen on the loopback alone")
    answer = api.http.get("/api/version", headers={"Host": "evil.example"})

    assert (answer.status_code, answer.content) == (403, b"")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "box.local", "box.internal"])
def test_a_local_host_is_allowed(api: Api, host: str) -> None:
    answer = api.http.get("/api/version", headers={"Host": host})

    assert answer.status_code == 200


def test_errors_are_objects_with_one_text(api: Api) -> None:
    answer: httpx.Response = api.post("/api/show", model="fathom-contract-absent")

    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert list(answer.json()) == ["error"]
