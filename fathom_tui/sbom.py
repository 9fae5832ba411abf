"""The bill of materials of a package: CycloneDX 1.6 in JSON, with the model's card.

Written here and not by cyclonedx-python-lib 11: that library has no model card yet, which is the
part of the standard a model is described with, and brings six packages for what is a dictionary.
The tests validate every bill against the official schema, with that library.

Source: CycloneDX 1.6 JSON reference, `component` of type `machine-learning-model`, `modelCard`.
"""

import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from fathom_tui.licences import Licence
from fathom_tui.package import Delivery, task

SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
_NAMESPACE = uuid.UUID("6c5e0f2e-6c8e-4a36-9d0a-2f5f1f1f7b52")
"""Of the serial numbers: equal models get equal ones."""
_SPDX = frozenset({"Apache-2.0", "MIT", "CC-BY-NC-4.0"})
"""Ids of the SPDX list that the catalog uses; any other licence is named in words."""
_RUNTIME = "llama-cpp-python"
"""The one package that is needed to run what is delivered; the others made it."""
_METRIC = {"choice": "macro F1", "number": "exact match"}


class Installed(NamedTuple):
    """A Python package as it is installed."""

    version: str
    licence: tuple[str, bool] | None
    """What it declares, and whether that is an SPDX expression; None where it declares none."""


def bill(delivery: Delivery, packages: Mapping[str, Installed], version: str) -> dict[str, Any]:
    """Return the bill of materials.

    Args:
        delivery: What is packed.
        packages: Python packages that made it, by name.
        version: Fathom's own.
    """
    model, base = _model(delivery), _base(delivery)
    libraries = [_library(name, package) for name, package in sorted(packages.items())]
    made_with = [each["bom-ref"] for each in libraries]
    serial = uuid.uuid5(_NAMESPACE, f"{delivery.spec.sha256} {delivery.name}")
    return {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "timestamp": delivery.view.finished_at or delivery.view.created_at,
            "tools": {
                "components": [{"type": "application", "name": "fathom-tui", "version": version}]
            },
            "component": model,
        },
        "components": [base, _adapter(delivery), *libraries],
        "dependencies": [
            {"ref": model["bom-ref"], "dependsOn": ["base-model", "adapter", *made_with]},
            {"ref": "base-model", "dependsOn": []},
            {"ref": "adapter", "dependsOn": ["base-model"]},
            *({"ref": ref, "dependsOn": []} for ref in made_with),
        ],
    }


def _model(delivery: Delivery) -> dict[str, Any]:
    return {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": delivery.gguf,
        "version": delivery.version,
        "description": delivery.plan.instruction,
        "hashes": [{"alg": "SHA-256", "content": delivery.spec.sha256}],
        "licenses": _licences(delivery.licence),
        "modelCard": {
            "modelParameters": _parameters(delivery),
            "quantitativeAnalysis": {"performanceMetrics": _metrics(delivery)},
            "considerations": _considerations(delivery),
        },
    }


def _parameters(delivery: Delivery) -> dict[str, Any]:
    data = delivery.result("data").get("sha256", {})
    splits = [
        {"type": "dataset", "name": f"{name} split", "contents": {"properties": [_sha256(value)]}}
        for name, value in sorted(data.items())
    ]
    return {
        "approach": {"type": "supervised"},
        "task": task(delivery.contract),
        "datasets": splits,
        "inputs": [{"format": "text"}],
        "outputs": [{"format": "JSON" if delivery.contract.kind == "json" else "text"}],
    }


def _sha256(value: Any) -> dict[str, str]:
    return {"name": "sha256", "value": str(value)}


def _metrics(delivery: Delivery) -> list[dict[str, Any]]:
    score = delivery.view.result.get("scores", {}).get("quantised", {})
    if not score:
        return []
    kinds = {found.name: _METRIC[found.kind] for found in delivery.contract.fields}
    whole = {
        "type": "mean over fields" if len(kinds) > 1 else _METRIC["choice"],
        "value": str(score["value"]),
        "slice": f"test split, n = {score['n']}",
        "confidenceInterval": {"lowerBound": str(score["low"]), "upperBound": str(score["high"])},
    }
    parts = [
        {"type": kinds[name], "value": str(value), "slice": f"field {name}"}
        for name, value in score.get("parts", {}).items()
        if len(kinds) > 1 and name in kinds
    ]
    return [whole, *parts]


def _considerations(delivery: Delivery) -> dict[str, Any]:
    wrong = sum(not case.right() for case in delivery.cases)
    return {
        "useCases": [delivery.contract.describe()],
        "technicalLimitations": [
            f"{wrong} of {len(delivery.cases)} test cases are not answered exactly right; see "
            "benchmarks.md.",
            f"Measured greedily, with {delivery.spec.n_ctx} tokens of context.",
        ],
    }


def _base(delivery: Delivery) -> dict[str, Any]:
    return {
        "type": "machine-learning-model",
        "bom-ref": "base-model",
        "name": delivery.base,
        "licenses": _licences(delivery.licence),
    }


def _adapter(delivery: Delivery) -> dict[str, Any]:
    found = delivery.view.artifacts.get("adapter")
    properties = [_sha256(found.sha256)] if found else []
    return {
        "type": "data",
        "bom-ref": "adapter",
        "name": "adapter",
        "description": "LoRA adapter, not merged; safetensors. Its hash is that of the folder.",
        "properties": properties,
    }


def _library(name: str, package: Installed) -> dict[str, Any]:
    plain = name.lower().replace("_", "-")
    purl = f"pkg:pypi/{quote(plain)}@{quote(package.version)}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": plain,
        "version": package.version,
        "licenses": _declared(package.licence),
        "purl": purl,
        "scope": "required" if plain == _RUNTIME else "excluded",
    }


def _declared(licence: tuple[str, bool] | None) -> list[dict[str, Any]]:
    if licence is None:
        return []
    text, is_spdx = licence
    if is_spdx:
        return [{"expression": text, "acknowledgement": "declared"}]
    return [{"license": {"name": text, "acknowledgement": "declared"}}]


def _licences(licence: Licence) -> list[dict[str, Any]]:
    if licence.name is None:
        return []
    key = "id" if licence.name in _SPDX else "name"
    return [{"license": {key: licence.name}}]
