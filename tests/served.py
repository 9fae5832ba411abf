"""Deployments of the embedded model, as a run leaves them: files, ledger, server, anchors."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fathom_tui.anchors import Anchor, AnchorSet
from fathom_tui.contract import Contract
from fathom_tui.deployment import deployment_id, latest, went_live
from fathom_tui.runner.embedded import embedded_gguf
from fathom_tui.runner.llama_target import LlamaCppTarget
from fathom_tui.runner.release import keep_anchors
from fathom_tui.serving import ServingSpec
from fathom_tui.store import Home, Store
from fathom_tui.store.live import watched

SLUG = "acme-triage"
SYSTEM = "Answer in one short sentence."
N_CTX, THREADS, MOST_TOKENS = 512, 1, 48
SPARE = 3
"""Candidates more than are wanted, because some are answered in two ways."""
QUESTIONS = tuple(
    f"What is the capital of {country}?"
    for country in (
        *("France", "Italy", "Spain", "Germany", "Japan", "China", "India", "Egypt", "Kenya"),
        *("Canada", "Brazil", "Peru", "Chile", "Norway", "Sweden", "Finland", "Poland", "Greece"),
        *("Turkey", "Portugal", "Ireland", "Austria", "Hungary", "Cuba", "Mexico", "Iceland"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A version that serves."""

    home: Home
    root: Path
    target: LlamaCppTarget
    anchors: AnchorSet

    @property
    def version(self) -> str:
        return self.anchors.version


def deploy(
    home: Home, *, sha256: str = "a" * 64, count: int = 20, known: AnchorSet | None = None
) -> Deployment:
    """Serve the embedded model as the next version, with anchors that it answers.

    Args:
        home: Whose ledger says so.
        sha256: What it calls the file: another one makes another version.
        count: How many anchors.
        known: Anchors found before, which saves asking for them.
    """
    store = Store(home.prepare())
    if not home.engagement_journal(SLUG).exists():
        store.create_engagement("Acme triage", {"input": "text"}, SLUG)
    root = home.data / "serving" / SLUG
    target = LlamaCppTarget(root, SLUG)
    spec = ServingSpec(
        sha256=sha256, system=SYSTEM, n_ctx=N_CTX, threads=THREADS, max_new_tokens=MOST_TOKENS
    )
    version = target.create(embedded_gguf(), spec)
    target.activate(version)
    anchors = known or known_answers(target, version, sha256, count)
    anchors = replace(anchors, version=version, sha256=sha256)
    keep_anchors(root, anchors)
    record_live(store, version, sha256, target.url)
    return Deployment(home=home, root=root, target=target, anchors=anchors)


def lend(served: Deployment, home: Home) -> Deployment:
    """Return the same server as the deployment of another home, with a ledger of its own.

    For tests that only ask: whoever stops or moves it does so for all.
    """
    root = home.prepare().data / "serving" / SLUG
    root.mkdir(parents=True)
    for path in served.root.iterdir():
        if path.is_symlink():
            (root / path.name).symlink_to(os.readlink(path))
        elif path.suffix == ".gguf":
            os.link(path, root / path.name)
        else:
            (root / path.name).write_bytes(path.read_bytes())
    store = Store(home)
    store.create_engagement("Acme triage", {"input": "text"}, SLUG)
    record_live(store, served.version, served.anchors.sha256, served.target.url)
    return replace(served, home=home, root=root, target=LlamaCppTarget(root, SLUG))


def record_live(store: Store, version: str, sha256: str, url: str | None) -> None:
    """Say in the ledger that a version went live."""
    rows = watched(store.home, SLUG).deployments
    current = [row["version"] for row in latest(rows).values() if row["state"] == "serving"]
    new = {
        "id": deployment_id(SLUG, version),
        "run": f"{SLUG}-1",
        "target": "llama-cpp",
        "version": version,
        "previous": current[-1] if current else None,
        "alias": SLUG,
        "url": url,
        "artifact": "quantised",
        "sha256": sha256,
    }
    for event in went_live(rows, new):
        store.record(SLUG, "deployment", event)


def known_answers(target: LlamaCppTarget, version: str, sha256: str, count: int) -> AnchorSet:
    """Return anchors whose expected answers are what the model says, so that all pass.

    What it says twice: a reused prefix is computed in another order, and a near tie falls either
    way.
    """
    first: dict[str, str] = {}
    found: list[tuple[str, str]] = []
    for question in QUESTIONS:
        first[question] = _said(target, question)
        if len([text for text in first.values() if text]) < count + SPARE:
            continue
        found = [(q, text) for q, text in first.items() if text and _said(target, q) == text]
        if len(found) >= count:
            return anchor_set(found[:count], version=version, sha256=sha256)
    raise AssertionError(f"{len(found)} of {len(QUESTIONS)} questions were answered twice alike")


def _said(target: LlamaCppTarget, question: str) -> str:
    """Return an answer that can be a label; empty where it cannot."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
    answer = target.ask(messages, max_tokens=MOST_TOKENS)
    text = answer.text.strip()
    return text if answer.finish_reason == "stop" and "\n" not in text else ""


def anchor_set(pairs: Sequence[tuple[str, str]], *, version: str, sha256: str) -> AnchorSet:
    """Return anchors over labels that are the answers themselves."""
    labels = tuple(dict.fromkeys([*(answer for _, answer in pairs), "something else"]))
    return AnchorSet(
        engagement=SLUG,
        version=version,
        sha256=sha256,
        run=f"{SLUG}-1",
        system=SYSTEM,
        contract=Contract.of_labels(labels),
        max_new_tokens=MOST_TOKENS,
        n_ctx=N_CTX,
        anchors=tuple(
            Anchor(id=f"anchor-{n:02d}", input=question, expected=answer)
            for n, (question, answer) in enumerate(pairs, 1)
        ),
    )


def spoil(deployment: Deployment, count: int) -> None:
    """Make the first anchors expect another answer than the model gives."""
    path = deployment.root / f"{deployment.version}.anchors.json"
    data = json.loads(path.read_text("utf-8"))
    for anchor in data["anchors"][:count]:
        anchor["expected"] = "something else"
    path.write_text(json.dumps(data), "utf-8")
