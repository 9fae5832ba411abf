"""Engagements with several versions, and a program that answers as the commands would."""

import json
import sys
from pathlib import Path
from typing import Any

from fathom_tui.gates import refused
from fathom_tui.serving import ServingSpec
from fathom_tui.store.ledger import Store
from fathom_tui.store.paths import Home
from tests.screens import story
from tests.screens.fleet import SHA256, Served, ago

OTHER_SHA256 = "31ab" * 16
TARGET_MISSED = refused(
    "evaluate.target", "0.581 misses the target 0.609.", "Train longer, or lower the target."
)

PROGRAM = """
import json, os, sys, time
from pathlib import Path
root = Path(os.environ["FATHOM_HOME"])
given = sys.argv[1:]
with open(root / "asked.jsonl", "a") as file:
    file.write(json.dumps(given) + "\\n")
told = json.loads((root / "told.json").read_text())
key = " ".join(word for word in given if word != "--json")
found = next((told[name] for name in sorted(told, key=len, reverse=True) if key.startswith(name)),
    {})
for line in found.get("say", ()):
    print(line, file=sys.stderr)
    gate = root / "go"
    while found.get("waits") and not gate.exists():
        time.sleep(0.02)
if found.get("record"):
    from fathom_tui.store import Home, Store
    home = Home.from_env()
    for slug, kind, data in found["record"]:
        Store(home).record(slug, kind, data)
if found.get("then"):
    (root / "told.json").write_text(json.dumps({**told, **found["then"]}))
if "data" in found:
    print(json.dumps(found["data"]))
if found.get("error"):
    print("error: " + found["error"], file=sys.stderr)
    if found.get("fix"):
        print("  fix: " + found["fix"], file=sys.stderr)
sys.exit(found.get("code", 0))
"""
"""Answers as `told.json` says, by how its arguments begin, and notes what it was asked."""

COMMAND = (sys.executable, "-c", PROGRAM)


def tell(home: Home, **answers: Any) -> None:
    """Say how the program answers; `versions_acme_triage` is the key `versions acme-triage`."""
    path = home.data.parent / "told.json"
    before = json.loads(path.read_text("utf-8")) if path.exists() else {}
    path.write_text(json.dumps({**before, **{_key(name): a for name, a in answers.items()}}))


def _key(name: str) -> str:
    verb, _, rest = name.partition("_")
    return f"{verb} {rest.replace('_', '-')}".strip()


def asked(home: Home, verb: str) -> list[list[str]]:
    """Return what the program was asked, of one verb."""
    path = home.data.parent / "asked.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [found for found in map(json.loads, lines) if found[0] == verb]


def server(slug: str, live: str, *kept: str, error: str = "") -> dict[str, Any]:
    """Return what `versions` prints of an engagement whose versions are v1 to v3."""
    names = sorted({*kept, live, "v1", "v2", "v3"} - {""})
    return {
        "data": [
            {
                "id": f"{slug}:{name}",
                "version": name,
                "state": "serving",
                "live": None if error else name == live,
                "kept": None if error else name == live or name in kept,
                "error": error or None,
            }
            for name in names
        ]
    }


def released(home: Home) -> None:
    """Write three engagements: one with three versions, one with one, one not deployed yet."""
    slug = story.engagement(home)
    days = (40, 18, 2)
    runs = [story.finished(home, slug, began=ago(days=back, hours=1)) for back in days]
    waived = story.Story(home, Store(home).reserve_run(slug), began=ago(days=1))
    waived.attempt()
    for stage in ("preflight", "data"):
        waived.whole(stage)
    waived.finish("failed")
    served = Served(home, slug, version="-")
    served.version = ""
    _live(served, "v1", runs[0], ago(days=40), SHA256)
    served.daily(*[20] * 5, until=ago(days=19))
    _state(served, "v1", runs[0], ago(days=18, minutes=1), "superseded", "v2 went live", SHA256)
    _live(served, "v2", runs[1], ago(days=18), OTHER_SHA256, previous="v1")
    served.daily(20, 20, 19, until=ago(days=3))
    _state(
        served, "v2", runs[1], ago(days=2, minutes=1), "superseded", "v3 went live", OTHER_SHA256
    )
    _live(served, "v3", runs[2], ago(days=2), "77" * 32, previous="v2")
    served.daily(20, 14, until=ago(hours=2))
    served.add(
        "waiver",
        ago(days=2, hours=1),
        run=runs[2],
        gate="data.floor",
        by="ann",
        reason="The client has no more rows; they accept the wider interval.",
    )
    served.add(
        "fact",
        ago(days=1),
        key="package",
        value=f"acme-triage-extraction-smollm2-v3 of {runs[2]}, SHA256SUMS {'ab' * 32}",
    )
    for version in ("v1", "v2", "v3"):
        _beside(home, slug, version)

    claims = story.engagement(home, "Borealis claims")
    run = story.finished(home, claims, began=ago(days=61))
    other = Served(home, claims, target="llama-cpp", version="-")
    other.version = ""
    _live(other, "v1", run, ago(days=60), SHA256)
    other.checked(ago(hours=3), 20)
    story.finished(home, story.engagement(home, "Copper forms"), began=ago(hours=5))
    tell(
        home,
        versions_acme_triage=server(slug, "v3", "v1", "v2"),
        versions_borealis_claims=server(claims, "v1"),
        runner_status=UNITS,
        package=CHECKLIST,
    )


def _live(
    served: Served, version: str, run: str, at: Any, sha256: str, previous: str | None = None
) -> None:
    _state(served, version, run, at, "serving", "", sha256, previous)
    served.version = version


def _state(
    served: Served, version: str, run: str, at: Any, state: str, reason: str, sha256: str,
    previous: str | None = None,
) -> None:  # fmt: skip
    served.add(
        "deployment",
        at,
        id=f"{served.slug}:{version}",
        run=run,
        target=served.target,
        version=version,
        previous=previous,
        alias=f"{served.slug}:live",
        url="http://127.0.0.1:11434",
        artifact="quantised",
        sha256=sha256,
        state=state,
        **({"reason": reason} if reason else {}),
    )


def _beside(home: Home, slug: str, version: str) -> None:
    folder = home.data / "serving" / slug
    folder.mkdir(parents=True, exist_ok=True)
    spec = ServingSpec(
        sha256=SHA256,
        system="Read the message and fill in the fields.",
        n_ctx=1024,
        threads=4,
        max_new_tokens=64,
    )
    (folder / f"{version}.spec.json").write_text(json.dumps(spec.to_json()), "utf-8")
    (folder / f"{version}.anchors.json").write_text("{}", "utf-8")


def path_of(home: Home, slug: str, version: str, what: str) -> Path:
    """Return a file beside a version."""
    return home.data / "serving" / slug / f"{version}.{what}.json"


def _unit(name: str, active: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name, "active": active, "sub": "running", "enabled": "enabled", "status": "",
        "pid": 4711, "restarts": 0, "result": "success", "exit_code": 0, "moving": False,
        "last_run": None, "next_run": None, **more,
    }  # fmt: skip


UNITS = {
    "data": {
        "pid": 4711,
        "run": None,
        "stage": None,
        "units": [
            _unit("fathom-agent.service", "active", status="waits for work"),
            _unit("fathom-health.service", "failed", result="exit-code", exit_code=2),
            _unit("fathom-health.timer", "active", last_run=1795338000, next_run=1795424400),
            _unit("fathom-server-acme-triage.service", "active", restarts=2),
        ],
        "units_problem": None,
        "lingers": False,
    }
}
CHECKLIST = {
    "data": [
        {"section": section, "text": text, "done": bool(evidence), "evidence": evidence, "how": how}
        for section, text, evidence, how in (
            (
                "Built and measured",
                "No test message stands in the training data",
                "gate data.leakage: No test message occurs in the training rows.",
                None,
            ),
            (
                "Built and measured",
                "Reaches the target that was set before",
                "gate evaluate.target: 0.846 reaches the target 0.609.",
                None,
            ),
            (
                "Served where it was made",
                "20 anchor prompts pass through the served endpoint",
                None,
                "14 of 20 passed on 2026-11-21. fathom health acme-triage",
            ),
            (
                "Hand-over",
                "A call of 30 minutes",
                None,
                "Walk through usage.md together.",
            ),
        )
    ]
}
