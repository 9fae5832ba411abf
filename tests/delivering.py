"""A finished run as the agent leaves it, written in a moment: journal, files, deployment."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fathom_tui.anchors import Anchor, AnchorSet
from fathom_tui.contract import LABEL, Contract
from fathom_tui.datasets.cases import Case, write_split
from fathom_tui.gates import Gate, passed, refused, warned
from fathom_tui.recipe import Plan
from fathom_tui.store import Home, Journal, Store
from fathom_tui.store.artifacts import content

LABELS = ("card", "transfer")
SYSTEM = "Say which it is."
SECRET = "a training message that nobody may see"
"""What the training row of every run here says."""
PART = {"value": 0.9, "low": 0.8, "high": 1.0, "n": 4}
SCORES = {
    way: {**PART, "value": value, "parts": {LABEL: value}}
    for way, value in (
        ("untuned", 0.3), ("prompt", 0.5), ("plain_code", 0.4), ("tuned", 0.92), ("quantised", 0.9),
    )
}  # fmt: skip
ANSWERS: tuple[tuple[str, str, str, str], ...] = (
    # text, stratum, truth, what the delivered file says
    ("My card is gone", "routine", "card", "card"),
    ("Where is my money", "edge", "transfer", "transfer"),
    ("It declined ```again```\nat the till", "routine", "card", "transfer"),
    ("Rent has not arrived", "routine", "transfer", "transfer"),
)
GATES: tuple[tuple[str, Gate], ...] = (
    ("data", passed("data.leakage", "No message stands in two splits.")),
    ("data", warned("data.floor", "48 training rows are few.", "Give more.")),
    ("merge", passed("merge.logits", "Merged and adapter agree.")),
    ("verify", passed("verify.token_parity", "Equal token ids.")),
    ("quantize", passed("quantize.perplexity", "Perplexity +1 %: excellent.")),
    ("evaluate", passed("evaluate.improvement", "It beats the prompt by +0.400.")),
    ("evaluate", passed("evaluate.target", "0.900 reaches the target 0.600.")),
    ("deploy", passed("deploy.health", "It answers.")),
    ("anchors", passed("anchors.served", "2 of 2 anchors pass when served.")),
)
REFUSED = refused("evaluate.target", "0.500 misses the target 0.600.", "Train longer.")


def plan(dataset: Path, **changes: Any) -> Plan:
    """Return the plan of such a run."""
    settings: dict[str, Any] = {
        "dataset": str(dataset),
        "contract": Contract.of_labels(LABELS).to_json(),
        "instruction": "Say whether the message is about a card or a transfer.",
        "short_instruction": SYSTEM,
        "output": "label",
        "max_new_tokens": 24,
    }
    return Plan.from_json({**settings, **changes})


def engage(store: Store, folder: Path, *, slug: str = "acme", **changes: Any) -> str:
    """Create an engagement with a data file of its own and return its slug."""
    folder.mkdir(parents=True, exist_ok=True)
    dataset = folder / "rows.csv"
    dataset.write_text(f"text,label\n{SECRET},card\n", "utf-8")
    made = plan(dataset, **changes)
    return store.create_engagement(f"{slug.title()} triage", made.to_json(), slug)


def finish(
    store: Store,
    slug: str,
    gguf: bytes = b"weights of the delivered file",
    *,
    gates: Sequence[tuple[str, Gate]] = GATES,
    anchors: Sequence[dict[str, str]] = (),
    model_dir: Path = Path("/nowhere/tiny"),
    model_name: str = "tiny",
    deployed: bool = True,
    state: str = "done",
    n_ctx: int = 512,
) -> str:
    """Write a run of an engagement as if it had ended, and return its id."""
    run = store.reserve_run(slug)
    config = store.engagement(slug).config
    directory = store.home.run(run)
    _files(directory, gguf, list(anchors) or _anchors())
    results = _results(directory, config, model_dir, model_name, n_ctx)
    with Journal(store.home.run_journal(run)) as journal:
        created = {"run": run, "engagement": slug, "config": dict(config), "created_by": "Ann"}
        journal.append("run_created", created, durable=False)
        journal.append("attempt", {"number": 1, "pid": 1}, durable=False)
        for stage, result in results.items():
            _stage(journal, stage, result, gates, directory, refused_by=state == "refused")
        journal.append("run_finished", {"state": state, "seconds": 1.0})
    if deployed:
        _deploy(store, slug, run, directory)
    return run


def _anchors() -> list[dict[str, str]]:
    return [{"id": f"anchor-{n}", "input": f"my {x}", "expected": x} for n, x in enumerate(LABELS)]


def _files(directory: Path, gguf: bytes, anchors: list[dict[str, str]]) -> None:
    for folder in ("data", "train/adapter", "train/checkpoints/checkpoint-8", "evaluate"):
        (directory / folder).mkdir(parents=True)
    for folder in ("verify", "quantize", "export", "prompt", "merge/model"):
        (directory / folder).mkdir(parents=True)
    rows = [Case(id="1", input=SECRET, values={LABEL: "card"}, output="card")]
    for name in ("train", "validation", "test", "reserve"):
        write_split(directory / "data" / f"{name}.jsonl", rows)
    (directory / "data" / "manifest.json").write_text("{}", "utf-8")
    (directory / "train" / "order.json").write_text(json.dumps({"rows": [SECRET]}), "utf-8")
    (directory / "prompt" / "prompt.json").write_text(json.dumps({"shots": [[SECRET, "card"]]}))
    (directory / "train/checkpoints/checkpoint-8/optimizer.pt").write_bytes(b"state" * 10)
    adapter = directory / "train" / "adapter"
    (adapter / "adapter_model.safetensors").write_bytes(b"lora")
    settings = {"r": 16, "base_model_name_or_path": str(directory.parent / "base")}
    (adapter / "adapter_config.json").write_text(json.dumps(settings), "utf-8")
    (adapter / "README.md").write_text(f"base_model: {directory}", "utf-8")
    (directory / "merge/model/model.safetensors").write_bytes(b"merged")
    (directory / "export" / "model.f16.gguf").write_bytes(b"f16")
    (directory / "quantize" / "model.q4_k_m.gguf").write_bytes(gguf)
    (directory / "verify" / "anchors.json").write_text(json.dumps(anchors), "utf-8")
    lines = [json.dumps(_answer(n, *row)) + "\n" for n, row in enumerate(ANSWERS)]
    (directory / "evaluate" / "answers.jsonl").write_text("".join(lines), "utf-8")


def _answer(number: int, text: str, stratum: str, truth: str, said: str) -> dict[str, Any]:
    given: dict[str, Any] = {
        "untuned": None, "prompt": {LABEL: "card"}, "plain_code": {LABEL: "card"},
        "tuned": {LABEL: said}, "quantised": {LABEL: said},
    }  # fmt: skip
    case = {"id": f"case-{number}", "input": text, "stratum": stratum}
    return {**case, "expected": {LABEL: truth}, "answers": given}


def _results(
    directory: Path, config: Mapping[str, Any], model_dir: Path, model_name: str, n_ctx: int
) -> dict[str, dict[str, Any]]:
    dataset = hashlib.sha256(Path(str(config["dataset"])).read_bytes()).hexdigest()
    target = {"value": 0.6, "explained": "0.600"}
    perplexity = {
        "f16": 12.0, "quantised": 12.1, "rise": 0.01, "low": 0.0, "high": 0.02, "tokens": 2048,
        "band": "excellent",
    }  # fmt: skip
    return {
        "preflight": {
            "model_dir": str(model_dir), "base_gguf": str(model_dir / "base.gguf"),
            "model_name": model_name, "threads": 1, "n_ctx": n_ctx,
        },
        "data": {
            "sha256": {"dataset": dataset, "test": "0" * 64},
            "counts": {"train": 48, "validation": 6, "test": 4},
        },
        "baseline": {},
        "prompt": {"prompt": {"name": "p", "shots": 1}, "prompt_file": "prompt/prompt.json"},
        "train": {"adapter": "train/adapter"},
        "merge": {"merged": "merge/model"},
        "export": {"f16": "export/model.f16.gguf"},
        "quantize": {
            "quantised": "quantize/model.q4_k_m.gguf", "type": "Q4_K_M", "bytes": 10,
            "f16_bytes": 20, "effective_bits": 4.85,
        },
        "verify": {"anchors": "verify/anchors.json", "perplexity": perplexity},
        "evaluate": {
            "scores": SCORES, "target": target, "verdict": "pass", "headline": "Fit to ship.",
            "free_valid": {"quantised": 0.97}, "prompt_tokens": {"quantised": 30}, "cheaper": [],
            "differences": {"tuned - quantised": {"value": 0.02, "low": 0.0, "high": 0.04}},
        },
        "deploy": {"version": "v1"},
        "anchors": {"passed": 2, "total": 2, "failures": []},
    }  # fmt: skip


_ARTIFACTS = {
    "data": {"train": "data/train.jsonl", "manifest": "data/manifest.json"},
    "train": {"adapter": "train/adapter"},
    "merge": {"merged": "merge/model"},
    "export": {"f16": "export/model.f16.gguf"},
    "quantize": {"quantised": "quantize/model.q4_k_m.gguf"},
    "verify": {"anchors": "verify/anchors.json"},
    "evaluate": {"answers": "evaluate/answers.jsonl"},
}


def _stage(
    journal: Journal,
    stage: str,
    result: Mapping[str, Any],
    gates: Sequence[tuple[str, Gate]],
    directory: Path,
    *,
    refused_by: bool,
) -> None:
    def tell(kind: str, **data: Any) -> None:
        journal.append(kind, {"stage": stage, **data}, durable=False)

    tell("stage_started", input_hash=f"hash of {stage}")
    for name, path in _ARTIFACTS.get(stage, {}).items():
        found = content(directory / path)
        tell("artifact", name=name, path=path, sha256=found.sha256, bytes=found.bytes, inputs={})
    for owner, gate in gates:
        if owner == stage:
            tell("gate", gate=gate.to_json())
    figure = {
        "value": 0.5, "unit": "s", "kind": "measured-here", "source": "run", "as_of": "2026-11-22",
    }  # fmt: skip
    if stage == "anchors":
        name = "anchors.seconds_per_answer"
        tell("measured", name=name, figure=figure, hardware="two cores")
    ended = "refused" if refused_by and stage == "evaluate" else "done"
    tell("stage_finished", state=ended, seconds=0.5, input_hash=f"hash of {stage}", result=result)


def _deploy(store: Store, slug: str, run: str, directory: Path) -> None:
    gguf = directory / "quantize" / "model.q4_k_m.gguf"
    sha256 = content(gguf).sha256
    serving = store.home.data / "serving" / slug
    serving.mkdir(parents=True, exist_ok=True)
    version = f"v{1 + len(list(serving.glob('v*.gguf')))}"
    (serving / f"{version}.gguf").hardlink_to(gguf)
    write_anchors(store.home, slug, run, version, sha256)
    deployment = {
        "id": f"{slug}:{version}", "run": run, "target": "llama-cpp", "version": version,
        "previous": None, "alias": slug, "url": "http://127.0.0.1:1/v1", "artifact": "quantised",
        "sha256": sha256, "state": "serving",
    }  # fmt: skip
    store.record(slug, "deployment", deployment)
    check = {"deployment": f"{slug}:{version}", "run": run, "passed": 2, "total": 2}
    store.record(slug, "check", {**check, "failures": [], "seconds": 1.0, "state": "ok"})


def write_anchors(home: Home, slug: str, run: str, version: str, sha256: str) -> Path:
    """Write a version's own anchors where the stage `deploy` does."""
    config = Store(home).engagement(slug).config
    chosen = json.loads((home.run(run) / "verify" / "anchors.json").read_text("utf-8"))
    results = {name: s.result for name, s in Store(home).run_view(run).stages.items()}
    found = AnchorSet(
        engagement=slug,
        version=version,
        sha256=sha256,
        run=run,
        system=SYSTEM,
        contract=Contract.from_json(config["contract"]),
        max_new_tokens=24,
        n_ctx=int(results["preflight"]["n_ctx"]),
        anchors=tuple(Anchor(**anchor) for anchor in chosen),
    )
    path = home.data / "serving" / slug / f"{version}.anchors.json"
    path.write_text(json.dumps(found.to_json()), "utf-8")
    return path
