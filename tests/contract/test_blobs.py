"""Blobs (server/routes.go HeadBlobHandler and CreateBlobHandler, manifest/layer.go)."""

import secrets
from collections.abc import Iterator

import pytest

from tests.contract.client import Api, digest_of


@pytest.fixture
def content() -> bytes:
    """Return bytes that no server has."""
    return b"fathom-contract " + secrets.token_bytes(16)


def test_an_absent_blob_is_404_without_a_body(api: Api, content: bytes) -> None:
    answer = api.http.head(f"/api/blobs/{digest_of(content)}")

    assert (answer.status_code, answer.content) == (404, b"")


def test_an_upload_is_201_and_then_there(api: Api, content: bytes) -> None:
    digest = digest_of(content)

    answer = api.http.post(f"/api/blobs/{digest}", content=content)

    assert (answer.status_code, answer.content) == (201, b"")
    assert api.http.head(f"/api/blobs/{digest}").status_code == 200


def test_an_upload_may_come_in_chunks_of_unknown_number(api: Api, content: bytes) -> None:
    def chunks() -> Iterator[bytes]:
        yield content[:7]
        yield content[7:]

    digest = digest_of(content)

    assert api.http.post(f"/api/blobs/{digest}", content=chunks()).status_code == 201
    assert api.http.head(f"/api/blobs/{digest}").status_code == 200


def test_an_upload_of_what_is_there_is_200_and_not_verified(api: Api, content: bytes) -> None:
    digest = api.upload(content)

    answer = api.http.post(f"/api/blobs/{digest}", content=b"something else")

    assert (answer.status_code, answer.content) == (200, b"")
    assert api.http.head(f"/api/blobs/{digest_of(b'something else')}").status_code == 404


def test_a_wrong_digest_is_400_and_the_bytes_stay_under_the_right_one(
    api: Api, content: bytes
) -> None:
    right, wrong = digest_of(content), digest_of(b"not " + content)

    answer = api.http.post(f"/api/blobs/{wrong}", content=content)

    api.refused(answer, 400, f'digest mismatch, expected "{wrong}", got "{right}"')
    assert api.http.head(f"/api/blobs/{wrong}").status_code == 404
    assert api.http.head(f"/api/blobs/{right}").status_code == 200


@pytest.mark.parametrize("method", ["HEAD", "POST"])
@pytest.mark.parametrize(
    "digest", ["sha256:abc", "md5:" + "0" * 64, "sha256:" + "g" * 64, "sha256:" + "0" * 65]
)
def test_a_malformed_digest_is_400(api: Api, method: str, digest: str) -> None:
    answer = api.http.request(method, f"/api/blobs/{digest}")

    assert answer.status_code == 400
    if method == "POST":
        api.refused(answer, 400, "invalid digest format")
    else:
        assert answer.content == b""


def test_a_digest_with_a_dash_finds_the_blob(api: Api, content: bytes) -> None:
    digest = api.upload(content)

    assert api.http.head(f"/api/blobs/{digest.replace(':', '-')}").status_code == 200


def test_an_upload_under_a_digest_with_a_dash_mismatches_though_it_is_right(
    api: Api, content: bytes
) -> None:
    dashed = digest_of(content).replace(":", "-")

    api.refused(
        api.http.post(f"/api/blobs/{dashed}", content=content), 400, "digest mismatch, expected .*"
    )


def test_an_upload_under_a_digest_in_upper_case_mismatches_though_it_is_right(
    api: Api, content: bytes
) -> None:
    upper = "sha256:" + digest_of(content).removeprefix("sha256:").upper()

    api.refused(
        api.http.post(f"/api/blobs/{upper}", content=content), 400, "digest mismatch, expected .*"
    )
