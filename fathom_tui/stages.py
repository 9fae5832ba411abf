"""The stages of a run, in order, and which earlier results each one reads."""

from dataclasses import dataclass
from enum import StrEnum


class StageState(StrEnum):
    """Where a stage stands."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RunState(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    """The agent went away while the run was under way; `fathom resume` goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One resumable unit of work."""

    name: str
    reads: tuple[str, ...]
    """Stages whose results are inputs: their results enter this stage's input hash."""
    about: str
    """What it does, for people."""


STAGES = (
    Stage(name="preflight", reads=(), about="disk, memory, versions and the model's files"),
    Stage(
        name="data", reads=("preflight",), about="parse, deduplicate, check leakage, lock the split"
    ),
    Stage(
        name="baseline", reads=("preflight", "data"), about="score the untuned model and plain code"
    ),
    Stage(
        name="prompt",
        reads=("preflight", "data", "baseline"),
        about="look for a prompt that is good enough",
    ),
    Stage(
        name="train",
        reads=("preflight", "data"),
        about="LoRA fine-tuning, best checkpoint by validation loss",
    ),
    Stage(
        name="merge",
        reads=("preflight", "data", "train"),
        about="fold the adapter into the 16-bit weights",
    ),
    Stage(name="export", reads=("merge",), about="write an f16 GGUF"),
    Stage(
        name="quantize",
        reads=("preflight", "data", "export"),
        about="quantise as far as perplexity allows",
    ),
    Stage(
        name="verify",
        reads=("preflight", "data", "merge", "export", "quantize"),
        about="token and answer parity, choose anchors",
    ),
    Stage(
        name="evaluate",
        reads=("preflight", "data", "baseline", "prompt", "export", "quantize", "verify"),
        about="the comparison on the unread test split",
    ),
    Stage(
        name="deploy",
        reads=("preflight", "merge", "quantize", "verify", "evaluate"),
        about="serve the accepted file behind an alias",
    ),
    Stage(
        name="anchors",
        reads=("preflight", "verify", "deploy"),
        about="ask the served model what it must still know",
    ),
)

STAGE_NAMES = tuple(stage.name for stage in STAGES)
