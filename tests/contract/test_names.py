"""Which names are names (types/model/name.go, internal/modelref/modelref.go)."""

from pathlib import Path

import pytest

from tests.contract.client import PREFIX, Api

LONGEST = PREFIX + "n" * (80 - len(PREFIX))
BAD = [
    "fathom contract",
    "-fathom-contract",
    ".fathom-contract",
    "fathom-contract:",
    ":v1",
    "/fathom-contract",
    "fathom-contract/",
    "fathom//contract",
    "a/b/c/d",
    "fathom-contract:v 1",
    "fathom-contract:-v1",
    "fathom-contract:v1:v2",
    "fäthom-contract",
    "fathom.contract/model",
    LONGEST + "n",
    "fathom-contract:" + "t" * 81,
]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_name_is_no_name_to_create(api: Api, name: str) -> None:
    answer = api.post("/api/create", model=name, files={}, stream=False)

    api.refused(answer, 400, "invalid model name")


@pytest.mark.parametrize("name", BAD)
def test_a_bad_name_is_no_name_to_show(api: Api, name: str) -> None:
    api.refused(api.post("/api/show", model=name), 400, "invalid model name")


GOOD = {
    LONGEST: LONGEST + ":latest",
    "fathom-contract-a.b_c-1:V.1_b-2": "fathom-contract-a.b_c-1:V.1_b-2",
    "registry.ollama.ai/library/fathom-contract-full:v1": "fathom-contract-full:v1",
    "library/fathom-contract-space:v1": "fathom-contract-space:v1",
    "fathom-contract-tag:" + "t" * 80: "fathom-contract-tag:" + "t" * 80,
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_name_is_listed_in_its_shortest_form(api: Api, small: Path, name: str) -> None:
    api.create(name, small)

    assert GOOD[name] in api.listed()
    assert api.http.request("DELETE", "/api/delete", json={"model": name}).status_code == 200
    assert GOOD[name] not in api.listed()


def test_no_tag_means_latest(api: Api, small: Path) -> None:
    name = api.name("latest")
    api.create(name.removesuffix(":latest"), small)

    assert name in api.listed()
    assert api.post("/api/show", model=name).status_code == 200


def test_names_match_whatever_their_case(api: Api, small: Path) -> None:
    name = api.name("v1")
    api.create(name, small)

    assert api.post("/api/show", model=name.upper()).status_code == 200
    api.create(name.upper(), small, system="Again.")
    assert api.show(name)["system"] == "Again."
    assert [one for one in api.listed() if one.lower() == name] == [name]
