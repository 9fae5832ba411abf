"""Where every part of a package is from: run, plan, hashes, gates, hardware, versions."""

import re
from collections.abc import Mapping
from typing import Any

from fathom_tui.gates import Gate, Outcome
from fathom_tui.package import Delivery, public_plan

_PORT = re.compile(r"(https?://(?:127\.0\.0\.1|localhost|\[::1\])):\d+", re.IGNORECASE)
"""A server of this machine with its port, which is another one after the next start."""


def provenance(delivery: Delivery, packages: Mapping[str, str]) -> dict[str, Any]:
    """Return where every part of the package is from.

    Args:
        delivery: What is packed.
        packages: Installed packages with their versions, when the package was made.
    """
    view = delivery.view
    return {
        "format": 1,
        "engagement": {"slug": delivery.slug, "name": delivery.title},
        "run": {
            "id": view.id,
            "state": view.state.value,
            "created_at": view.created_at,
            "finished_at": view.finished_at,
            "attempts": view.attempts,
            "plan": public_plan(delivery.plan),
            "test_openings": delivery.test_openings,
        },
        "model": {
            "file": delivery.gguf,
            "version": delivery.version,
            "sha256": delivery.spec.sha256,
            "bytes": delivery.bytes,
            "base": delivery.base,
            "licence": delivery.licence.name,
            "licence_source": delivery.licence.source,
            "serving": {**delivery.spec.to_json(), "license": delivery.licence.name or ""},
        },
        "data": {
            "sha256": dict(delivery.result("data").get("sha256", {})),
            "counts": dict(delivery.result("data").get("counts", {})),
        },
        "stages": {name: _stage(delivery, name) for name in view.stages},
        "artifacts": {
            found.name: {
                "stage": found.stage,
                "sha256": found.sha256,
                "bytes": found.bytes,
                "inputs": dict(found.inputs),
            }
            for found in view.artifacts.values()
        },
        "measured": [dict(item) for item in view.measured],
        "hardware": sorted({str(item["hardware"]) for item in view.measured}),
        "gates": [_gate(delivery, gate) for gate in delivery.gates.values()],
        "waivers": [_without(dict(w), "engagement", "seq") for w in delivery.waivers],
        "deployments": [
            _without(dict(d), "engagement", "seq", "url") for d in delivery.deployments
        ],
        "checks": len(delivery.checks),
        "last_check": _last_check(delivery),
        "versions": {
            "noted": "installed on the machine that made the package, when it was made",
            "packages": dict(sorted(packages.items())),
        },
    }


def _stage(delivery: Delivery, name: str) -> dict[str, Any]:
    stage = delivery.view.stages[name]
    return {
        "state": stage.state.value,
        "started_at": stage.started_at,
        "seconds": stage.seconds,
        "input_hash": stage.input_hash or None,
    }


def _gate(delivery: Delivery, gate: Gate) -> dict[str, Any]:
    return {
        "name": gate.name,
        "outcome": gate.outcome.value,
        "reason": _PORT.sub(r"\1", delivery.public(gate.reason)),
        "waived": gate.outcome is Outcome.REFUSE and gate.name in delivery.waived,
    }


def _last_check(delivery: Delivery) -> dict[str, Any] | None:
    if not delivery.checks:
        return None
    last = delivery.checks[-1]
    return {key: last.get(key) for key in ("at", "deployment", "passed", "total", "state")}


def _without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}
