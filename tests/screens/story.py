"""Journals of runs as an agent would have written them, for looking at and for tests."""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fathom_tui.contract import Contract, Field
from fathom_tui.gates import Gate, passed, refused, warned
from fathom_tui.store.journal import Journal
from fathom_tui.store.ledger import Store
from fathom_tui.store.paths import Home, slugify

BEGAN = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
CONTRACT = Contract(
    kind="json",
    fields=(
        Field(
            name="category",
            kind="choice",
            choices=("account", "card", "cash", "fees", "fraud", "limits", "payment", "transfer"),
        ),
        Field(name="urgency", kind="choice", choices=("low", "normal", "high")),
        Field(name="amount_gbp", kind="number", nullable=True),
        Field(
            name="action",
            kind="choice",
            choices=("answer", "block_card", "call_back", "escalate", "open_dispute", "refund"),
        ),
    ),
)
CONFIG: Mapping[str, Any] = {
    "dataset": "/srv/acme/tickets.jsonl",
    "contract": CONTRACT.to_json(),
    "instruction": "Read the message and fill in the fields.",
    "stratum": "stratum",
}
_SECONDS = {
    "preflight": 1.8,
    "data": 0.9,
    "baseline": 21.4,
    "prompt": 64.0,
    "train": 171.0,
    "merge": 9.6,
    "export": 4.2,
    "quantize": 1.3,
    "verify": 16.5,
    "evaluate": 58.1,
    "deploy": 1.1,
    "anchors": 2.7,
}
_GATES: Mapping[str, tuple[Gate, ...]] = {
    "preflight": (
        passed("preflight.disk", "41.2 GB free, 2.1 GB needed for the whole chain."),
        passed("preflight.memory", "14.8 GB free, 2.7 GB needed for training."),
    ),
    "data": (
        passed("data.parse", "768 rows read from JSON Lines."),
        passed("data.conflicts", "No message among 768 rows has two answers."),
        passed("data.leakage", "No test message occurs in the training rows."),
        warned(
            "data.floor",
            "460 training rows; from 500 nothing is said.",
            "Add 40 rows or more, the routine cases first.",
        ),
        warned(
            "data.test_size",
            "154 test rows give an interval of about ±0.07; 200 would give ±0.06.",
            "Label 46 more rows for the test.",
        ),
    ),
    "prompt": (passed("prompt.target", "The target is 0.609, from 0.554 of the best prompt."),),
    "train": (
        passed("train.stop_token", "The stop token is trained: 460 of 460 rows end with it."),
        passed("train.adapter", "The adapter differs from zero in all 210 matrices."),
    ),
    "merge": (passed("merge.logits", "Merged and adapted logits differ by at most 0.004."),),
    "quantize": (
        warned(
            "quantize.effective_bits",
            "180 of 272 tensors cannot be Q4_K_M (their rows do not divide by 256): 6.17 bits "
            "per weight in effect instead of 4.85.",
            "Nothing to do: judge the file by its size and its scores, not by its name.",
        ),
    ),
    "verify": (
        passed("verify.token_parity", "Token ids agree on 64 of 64 prompts."),
        passed("verify.perplexity", "Perplexity rises by 1.9 % (1.2 % to 2.6 %), band 5 %."),
        passed("verify.anchors", "20 anchors chosen of 41 right answers."),
    ),
    "evaluate": (
        passed(
            "evaluate.improvement",
            "The quantised model beats the best static prompt by +0.291 (+0.231 to +0.352, "
            "paired, n = 154).",
        ),
        passed("evaluate.target", "0.846 reaches the target 0.609."),
        passed("evaluate.cheaper", "Nothing cheaper comes within the margin."),
    ),
    "anchors": (passed("anchors.served", "20 of 20 anchors pass through the served endpoint."),),
}
_NOTES = {
    "preflight": "embedded model converted once; kept in the cache",
    "data": "460 train, 154 validation, 154 test rows; hashes locked",
    "deploy": "serving on 127.0.0.1:8137 as acme-triage",
}


FIELDS = ("category", "urgency", "amount_gbp", "action")


def score(value: float, half: float, parts: Mapping[str, float], n: int = 154) -> dict[str, Any]:
    """Return a way's score as `evaluate` reports it."""
    low, high = round(value - half, 4), round(value + half, 4)
    return {"value": value, "low": low, "high": high, "n": n, "parts": dict(parts)}


def _named(parts: Sequence[float | None]) -> dict[str, float]:
    """Name the parts; plain code cannot answer a number."""
    return {name: part for name, part in zip(FIELDS, parts, strict=True) if part is not None}


RESULTS: Mapping[str, Mapping[str, Any]] = {
    "prompt": {"target": {"value": 0.6094, "baseline": 0.554, "rule": "improvement"}},
    "quantize": {"f16_bytes": 270_885_312, "bytes": 101_217_728, "effective_bits": 6.168},
    "verify": {"perplexity": {"f16": 12.412, "quantised": 12.648, "rise": 0.019}},
    "evaluate": {
        "scores": {
            way: score(value, half, _named(parts))
            for way, value, half, parts in (
                ("untuned", 0.1873, 0.031, (0.11, 0.29, 0.21, 0.14)),
                ("prompt", 0.5549, 0.048, (0.52, 0.47, 0.79, 0.44)),
                ("tuned", 0.8612, 0.035, (0.89, 0.74, 0.97, 0.84)),
                ("quantised", 0.846, 0.037, (0.88, 0.73, 0.95, 0.82)),
                ("nearest_shots", 0.6421, 0.044, (0.68, 0.5, 0.81, 0.58)),
                ("plain_code", 0.7012, 0.04, (0.78, 0.62, None, 0.7)),
            )
        },
        "target": {"value": 0.6094},
        "verdict": "pass",
        "headline": "Ship it: 0.846 against 0.555 of the best static prompt.",
    },
    "anchors": {"passed": 20, "total": 20},
}


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Story:
    """A run's journal being written, with a clock of its own."""

    def __init__(self, home: Home, run_id: str, *, began: datetime = BEGAN) -> None:
        self.run_id = run_id
        self.now = began
        self.journal = Journal(home.run_journal(run_id), now=lambda: _stamp(self.now))
        self.add(
            "run_created",
            run=run_id,
            engagement=run_id.rpartition("-")[0],
            config=dict(CONFIG),
            created_by="ann",
        )

    def add(self, kind: str, **data: Any) -> None:
        """Write one event."""
        self.journal.append(kind, data, durable=False)

    def attempt(self, number: int = 1) -> None:
        """Begin, or go on."""
        self.add("attempt", number=number, pid=4711)

    def begin(self, stage: str, *, expected: float | None = None) -> None:
        """Begin a stage."""
        seconds = _SECONDS[stage] if expected is None else expected
        self.add("stage_started", stage=stage, input_hash="0" * 64, expected_seconds=seconds)

    def end(self, stage: str, state: str = "done", **data: Any) -> None:
        """End a stage after its usual time."""
        seconds = _SECONDS[stage]
        self.now += timedelta(seconds=seconds)
        self.add(
            "stage_finished",
            stage=stage,
            state=state,
            seconds=seconds,
            input_hash="0" * 64,
            result=dict(RESULTS.get(stage, {})),
            **data,
        )

    def whole(self, stage: str) -> None:
        """Do a whole stage."""
        self.begin(stage)
        if stage in _NOTES:
            self.add("note", stage=stage, text=_NOTES[stage])
        if stage == "train":
            self.losses(116, of=116)
        self.gates(*_GATES.get(stage, ()), stage=stage)
        self.end(stage)

    def gates(self, *gates: Gate, stage: str) -> None:
        """Let gates speak."""
        for gate in gates:
            self.add("gate", stage=stage, gate=gate.to_json())

    def losses(self, steps: int, *, of: int) -> None:
        """Train for so many steps."""
        for event in losses(steps, of):
            self.add("metric", stage="train", **event)
        self.add("progress", stage="train", done=steps, total=of, note=f"step {steps} of {of}")

    def finish(self, state: str = "done", **data: Any) -> None:
        """End the run."""
        self.add("run_finished", state=state, seconds=312.0, **data)
        self.journal.close()


def losses(steps: int, of: int) -> Iterator[dict[str, Any]]:
    """Return training metrics that fall and level off, the same each time."""
    for step in range(1, steps + 1):
        ripple = 0.09 * math.sin(step * 1.7) * math.exp(-step / of)
        train = 0.21 + 1.6 * math.exp(-6 * step / of) + ripple
        yield {"step": step, "epoch": round(2 * step / of, 4), "train_loss": round(train, 4)}
        if step % (of // 8) == 0:
            loss = 0.27 + 1.5 * math.exp(-5.5 * step / of) + 0.02 * (step / of) ** 4
            yield {
                "step": step,
                "epoch": round(2 * step / of, 4),
                "validation_loss": round(loss, 4),
            }


def engagement(home: Home, name: str = "Acme triage", **changes: Any) -> str:
    """Write an engagement as `fathom engagement create` would, and return its slug."""
    slug = slugify(name)
    made = BEGAN - timedelta(days=2) + timedelta(minutes=len(list(home.engagements.glob("*"))))
    with Journal(home.engagement_journal(slug), now=lambda: _stamp(made)) as journal:
        data = {"slug": slug, "name": name, "config": {**CONFIG, **changes}}
        journal.append("engagement_created", data)
    return slug


def finished(home: Home, slug: str, *, began: datetime = BEGAN) -> str:
    """Write a run in which all went well; return its id."""
    story = Story(home, Store(home).reserve_run(slug), began=began)
    story.attempt()
    for stage in _SECONDS:
        story.whole(stage)
    story.finish()
    return story.run_id


def training(home: Home, slug: str, *, steps: int = 71, began: datetime = BEGAN) -> Story:
    """Write a run up to the middle of its training; return it, still open."""
    story = Story(home, Store(home).reserve_run(slug), began=began)
    story.attempt()
    for stage in ("preflight", "data", "baseline", "prompt"):
        story.whole(stage)
    story.begin("train")
    story.losses(steps, of=116)
    story.now += timedelta(seconds=105)
    return story


FLOOR = refused(
    "data.floor",
    "120 training rows: under 200 a run refuses.",
    "Add 80 rows or more, or waive it if a first look is all you want.",
)


def refusal(home: Home, slug: str, *, began: datetime = BEGAN) -> str:
    """Write a run that the data gate stopped; return its id."""
    story = Story(home, Store(home).reserve_run(slug), began=began)
    story.attempt()
    story.whole("preflight")
    story.begin("data")
    story.gates(passed("data.parse", "160 rows read from CSV."), FLOOR, stage="data")
    story.end("data", "refused", error={"message": FLOOR.reason, "fix": FLOOR.fix})
    story.finish("refused", error={"message": FLOOR.reason, "fix": FLOOR.fix})
    return story.run_id


def heartbeat(story: Story, stage: str = "train") -> Mapping[str, Any]:
    """Return what the agent says while it works on a run."""
    return {"pid": 4711, "run": story.run_id, "stage": stage, "started_at": "", "at": ""}


def path_of(home: Home, run_id: str) -> Path:
    """Return a run's journal."""
    return home.run_journal(run_id)
