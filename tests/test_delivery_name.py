import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.delivery_name import delivery_name, part
from fathom_tui.recipe import QUANTIZATIONS


def name(**changes: str) -> str:
    parts = {
        "client": "acme",
        "task": "triage",
        "base": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "version": "v3",
        "quantization": "Q4_K_M",
    }
    return delivery_name(**{**parts, **changes})


def test_the_name_says_client_task_base_version_and_type() -> None:
    assert name() == "acme-triage-smollm2-135m-instruct-v3-q4km.gguf"


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"base": "Llama-3.1-8B"}, "acme-triage-llama-3.1-8b-v3-q4km.gguf"),
        ({"client": "Müller & Söhne GmbH"}, "muller-sohne-gmbh-triage-"),
        ({"client": "../../etc/passwd"}, "etc-passwd-triage-"),
        ({"client": "日本"}, "x-triage-"),
        ({"task": ""}, "acme-x-smollm2"),
        ({"version": "v3..gguf"}, "-v3-gguf-q4km.gguf"),
        ({"quantization": "Q8_0"}, "-v3-q80.gguf"),
    ],
)
def test_what_a_file_name_cannot_hold_is_left_out(changed: dict[str, str], found: str) -> None:
    assert found in name(**changed)


@given(*(st.text(max_size=300) for _ in range(4)), st.sampled_from(QUANTIZATIONS))
def test_any_parts_give_a_safe_name(
    client: str, task: str, base: str, version: str, quantization: str
) -> None:
    made = delivery_name(
        client=client, task=task, base=base, version=version, quantization=quantization
    )

    assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*\.gguf", made)
    assert len(made) <= 255
    assert ".." not in made and "--" not in made
    assert made.endswith("-" + quantization.lower().replace("_", "") + ".gguf")


@given(st.text(max_size=60))
def test_a_part_stays_as_it_is_the_second_time(text: str) -> None:
    assert part(part(text)) == part(text)


def test_types_have_names_of_their_own() -> None:
    assert len({name(quantization=each) for each in QUANTIZATIONS}) == len(QUANTIZATIONS)
