"""Creating models (server/create.go, server/model.go)."""

import re
from pathlib import Path

import pytest

from tests.contract.client import Api, lines_of

LAYER = r"(creating new|using existing) layer sha256:[0-9a-f]{64}"
VALIDATED = ["validating GGUF model", "verifying conversion"]


def shapes(lines: list[str]) -> list[str]:
    """Return status lines with every layer's line as `layer`."""
    return ["layer" if re.fullmatch(LAYER, line) else line for line in lines]


def expected(api: Api, *after: str) -> list[str]:
    """Return the lines of a create, the validation among them where this version does it."""
    # How many lines tell of a validation's progress, none included, is up to its speed.
    validated = ["verifying conversion"] if api.since(0, 30, 0) else []
    return ["parsing GGUF", *validated, "layer", *after, "writing manifest", "success"]


def without_progress(lines: list[str]) -> list[str]:
    return [line for line in shapes(lines) if line != "validating GGUF model"]


def test_the_status_lines_of_a_plain_gguf(api: Api, name: str, small: Path) -> None:
    assert without_progress(api.create(name, small)) == expected(api)


def test_a_known_chat_template_is_announced_after_the_model(api: Api, chatty: str) -> None:
    lines = without_progress(api.told[chatty])

    assert lines == expected(api, "using autodetected template chatml", "layer")


def test_each_thing_given_is_a_layer_and_the_config_is_not(
    api: Api, name: str, small: Path
) -> None:
    lines = api.create(
        name,
        small,
        template="{{ .Prompt }}",
        system="Be brief.",
        license=["One.", "Two."],
        parameters={"temperature": 0},
        messages=[{"role": "user", "content": "hello"}],
    )

    assert without_progress(lines) == expected(api, *["layer"] * 6)


def test_progress_lines_count_bytes_up_to_the_size(api: Api, name: str, small: Path) -> None:
    files = {"model.gguf": api.upload(small.read_bytes())}
    lines = lines_of(api.post("/api/create", model=name, files=files))

    progress = [line for line in lines if line["status"] == VALIDATED[0]]
    done = [line.get("completed", 0) for line in progress]
    assert done == sorted(done)
    assert all(set(line) <= {"status", "digest", "total", "completed"} for line in progress)
    assert all(0 <= line.get("completed", 0) <= line["total"] for line in progress)


def test_a_create_streams_ndjson_unless_told_otherwise(api: Api, name: str, small: Path) -> None:
    files = {"model.gguf": api.upload(small.read_bytes())}

    streamed = api.post("/api/create", model=name, files=files)
    whole = api.post("/api/create", model=name, files=files, stream=False)

    assert streamed.headers["content-type"] == "application/x-ndjson"
    assert lines_of(streamed)[-1] == {"status": "success"}
    assert whole.headers["content-type"].startswith("application/json")
    assert (whole.status_code, whole.json()) == (200, {"status": "success"})


def test_the_type_is_told_by_content_where_the_key_does_not_say(
    api: Api, name: str, small: Path
) -> None:
    files = {"weights": api.upload(small.read_bytes())}

    lines = lines_of(api.post("/api/create", model=name, files=files))

    assert lines[-1] == {"status": "success"}


def test_the_deprecated_name_field_still_names_the_model(api: Api, name: str, small: Path) -> None:
    files = {"model.gguf": api.upload(small.read_bytes())}

    assert api.post("/api/create", name=name, files=files, stream=False).status_code == 200
    assert name in api.listed()


def test_what_was_created_from_is_still_there(api: Api, name: str, small: Path) -> None:
    api.create(name, small)

    digest = api.upload(small.read_bytes())
    assert api.http.head(f"/api/blobs/{digest}").status_code == 200


def test_a_model_made_from_another_has_its_layers_and_its_own(
    api: Api, name: str, small: Path
) -> None:
    api.create(name, small, system="First.", parameters={"temperature": 0, "top_k": 5})
    child = api.name()

    request = {"from": name, "system": "Second.", "parameters": {"top_k": 7}}
    lines = [line["status"] for line in lines_of(api.post("/api/create", model=child, **request))]

    assert shapes(lines) == ["layer", "layer", "layer", "writing manifest", "success"]
    shown = api.show(child)
    assert shown["system"] == "Second."
    assert sorted(line.split() for line in shown["parameters"].splitlines()) == [
        ["temperature", "0"],
        ["top_k", "7"],
    ]
    assert api.show(name)["system"] == "First."


def test_from_wins_over_files(api: Api, name: str, small: Path) -> None:
    api.create(name, small)
    child = api.name()

    request = {"from": name, "files": {"model.gguf": "sha256:" + "0" * 64}}
    lines = lines_of(api.post("/api/create", model=child, **request))

    assert lines[-1] == {"status": "success"}


def test_a_name_created_again_is_replaced_and_its_other_tags_are_not(
    api: Api, name: str, small: Path
) -> None:
    api.create(name, small, system="First.")
    kept = api.name()
    api.post("/api/copy", source=name, destination=kept)

    api.create(name, small, system="Second.")

    assert api.show(name)["system"] == "Second."
    assert api.show(kept)["system"] == "First."
    assert api.digest(name) != api.digest(kept)


def test_the_same_create_twice_is_the_same_model(api: Api, name: str, small: Path) -> None:
    other = api.name()

    api.create(name, small, system="Same.")
    api.create(other, small, system="Same.")

    assert api.digest(name) == api.digest(other)


def test_a_wish_to_quantise_is_carried_out(api: Api, name: str, small: Path) -> None:
    files = {"model.gguf": api.upload(small.read_bytes())}
    lines = lines_of(api.post("/api/create", model=name, files=files, quantize="q8_0"))

    told = [line["status"] for line in lines]
    assert told[-1] == "success"
    assert "verifying conversion" in told
    assert {s for s in told if s.startswith("quantizing")} <= {"quantizing F16 model to Q8_0"}
    assert api.show(name)["details"]["quantization_level"] == "Q8_0"


def test_a_wish_for_the_type_it_has_changes_nothing(api: Api, name: str, small: Path) -> None:
    assert without_progress(api.create(name, small, quantize="F16")) == expected(api)


def test_parameters_are_not_validated(api: Api, name: str, small: Path) -> None:
    api.create(name, small, parameters={"no_such_option": 1, "temperature": "hot"})

    shown = [line.split() for line in api.show(name)["parameters"].splitlines()]
    assert sorted(shown) == [["no_such_option", "1"], ["temperature", '"hot"']]


@pytest.mark.parametrize("text", ['Say """hi""".', "Zeile\nzwei\n\n", "日本 🙂 {{ .Prompt }}"])
def test_a_system_text_comes_back_as_it_went(api: Api, name: str, small: Path, text: str) -> None:
    api.create(name, small, system=text)

    assert api.show(name)["system"] == text
