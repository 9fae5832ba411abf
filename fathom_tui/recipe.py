"""The plan of a run: every choice that can change its result, in one value.

Defaults follow the craft notes: LoRA rank 16 on all linear layers with alpha = 2r, a learning
rate of 1e-3 because small models (< 1B) need more than the 1e-4 of a 7B, cosine decay after 5 %
warm-up, gradient clip 1.0, at least eight evaluations a run, patience of three.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

from fathom_tui.contract import Contract
from fathom_tui.errors import UsageError
from fathom_tui.serving import TARGETS

EMBEDDED = "embedded"
"""The model name that means "the one that came with Fathom"."""

DEFAULT_FLOOR = 0.60
"""Lowest target unless the engagement says otherwise."""

ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
ATTENTION = ALL_LINEAR[:4]

QUANTIZATIONS = ("Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0")
"""Types a run may quantise to, smallest first; one that its band refuses makes way for the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything a run needs to know; stored whole in its first event."""

    dataset: str
    """Path of the data file."""
    contract: Contract
    instruction: str
    """What the task is, in one or two sentences; the prompt candidates build on it."""
    short_instruction: str = ""
    """What the tuned model is told; empty means the first sentence of `instruction`."""
    input: str = "text"
    output: str = ""
    """Column of the label; empty where each contract field is a column of its own."""
    stratum: str = ""
    """Column that names routine, edge or adversarial; empty when there is none."""
    test: str = ""
    """Path of a fixed test file; empty means a share of the dataset."""
    model: str = EMBEDDED
    """`embedded` or the path of a Hugging Face directory."""

    train_rows: int | None = None
    validation_rows: int | None = None
    test_rows: int | None = None
    """Upper limits; None means all there are."""

    epochs: float = 2.0
    learning_rate: float = 1e-3
    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    targets: tuple[str, ...] = ALL_LINEAR
    top_layers: int | None = None
    """Layers, counted from the output, that get adapters; None means all. A step computes no
    gradient below the lowest of them."""
    batch: int = 8
    """Rows an optimizer step sees."""
    micro_batch: int = 4
    """Rows held in memory at once; halved after an out-of-memory kill, `batch` stays."""
    warmup: float = 0.05
    max_length: int = 512
    """Tokens of one training row; longer rows are counted and left out, never cut."""
    evaluations: int = 8
    """Times the validation loss is taken during training."""
    patience: int = 3
    """Evaluations without improvement before training stops."""
    loss_rows: int = 64
    """Validation rows the loss is taken on."""
    seed: int = 20_261
    max_steps: int = 0
    """Stop after so many optimizer steps; 0 means the epochs decide."""

    candidates: int = 6
    """Prompt candidates tried."""
    shots: int = 16
    """Most examples in a prompt, at most 24."""
    nearest_shots: int = 6
    """Training rows most like each case, tried as its shots; 0 switches this off."""
    nearest_cases: int = 32
    """Validation cases that nearest shots are tried on."""
    nearest_on_test: bool = True
    """Whether nearest shots are also scored on the test split (slow: no shared prefix)."""
    max_new_tokens: int = 96
    quantization: str = "Q4_K_M"
    """The type to begin with; the run goes up from there while perplexity rises too much."""
    imatrix: bool = False
    """Whether quantising is guided by an importance matrix over the training rows."""
    margin: float = 0.03
    """A cheaper alternative within so much of the tuned score is named in the verdict."""
    floor: float = DEFAULT_FLOOR
    """Lowest target: a tenth more than almost nothing is still almost nothing."""
    threshold: float | None = None
    """The user's own target; replaces the computed one."""
    anchors: int = 20
    anchors_least: int = 10
    target: str = TARGETS[0]
    """Where the accepted file is served: one of `TARGETS`."""

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_type(field.name, field.type, getattr(self, field.name))
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise UsageError(
                    f"The recipe's {name} is {value}.", fix=f"Choose {low:,} to {high:,}."
                )
        if self.batch % self.micro_batch:
            raise UsageError(
                f"A batch of {self.batch} does not divide into micro-batches of "
                f"{self.micro_batch}.",
                fix="Choose a micro_batch that divides batch.",
            )
        if self.quantization not in QUANTIZATIONS:
            raise UsageError(
                f"The recipe's quantization is {self.quantization!r}.",
                fix="Choose " + ", ".join(QUANTIZATIONS) + ".",
            )
        if self.target not in TARGETS:
            raise UsageError(
                f"The recipe's target is {self.target!r}.",
                fix="Choose " + ", ".join(TARGETS) + ".",
            )
        if not self.instruction.strip():
            raise UsageError(
                "The recipe's instruction is empty.", fix="Say in a sentence what the task is."
            )

    @property
    def tuned_instruction(self) -> str:
        """The system text of the tuned model: what tuning saves in prompt tokens."""
        if self.short_instruction:
            return self.short_instruction
        first = self.instruction.strip().split(". ")[0]
        return first if first.endswith((".", "?", "!")) else first + "."

    def steps(self, rows: int) -> int:
        """Return the optimizer steps of a full training on so many rows."""
        # Rounded first: 100 batches for 0.07 epochs are 7.000000000000001 in binary.
        steps = max(1, math.ceil(round(rows / self.batch * self.epochs, 6)))
        return min(steps, self.max_steps) if self.max_steps else steps

    def to_json(self) -> dict[str, Any]:
        """Return the plan as it stands in a run's first event."""
        return {**asdict(self), "contract": self.contract.to_json(), "targets": list(self.targets)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read a plan from a run's first event or from an engagement's configuration.

        Raises:
            UsageError: A key is unknown, missing, of another type or out of range.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(data) - known - _RETIRED)
        if unknown:
            raise UsageError(
                f"The recipe has no setting named {', '.join(unknown)}.",
                fix="Settings: " + ", ".join(sorted(known)) + ".",
            )
        missing = sorted({"dataset", "contract", "instruction"} - set(data))
        if missing:
            raise UsageError(
                f"The recipe lacks {', '.join(missing)}.",
                fix="Create the engagement with --data and --output.",
            )
        values = {name: value for name, value in data.items() if name not in _RETIRED}
        values["contract"] = Contract.from_json(data["contract"])
        if isinstance(data.get("targets"), list):
            values["targets"] = tuple(data["targets"])
        return cls(**values)

    def with_changes(self, **changes: Any) -> Self:
        """Return the plan with some settings changed."""
        return replace(self, **changes)


_RETIRED = frozenset({"keep_serving"})
"""Settings of older versions without effect: engagements and runs that name them stay readable."""


def _check_type(name: str, wanted: Any, value: object) -> None:
    if wanted == tuple[str, ...]:
        fits = isinstance(value, tuple) and all(isinstance(entry, str) for entry in value)
    elif isinstance(value, bool):  # an int by inheritance; as a number it is a slip
        fits = wanted is bool
    elif isinstance(value, int):
        fits = isinstance(value, wanted) or wanted in (float, float | None)
    else:
        fits = isinstance(value, wanted)
    if not fits:
        kind = _TYPES.get(wanted, "a list of texts")
        raise UsageError(f"The recipe's {name} is {value!r}.", fix=f"Give {kind}.")


_TYPES = {
    int: "a whole number",
    int | None: "a whole number",
    float: "a number",
    float | None: "a number",
    str: "text",
    bool: "true or false",
}

_RANGES: tuple[tuple[str, float, float], ...] = (
    ("train_rows", 1, 10**9),
    ("validation_rows", 1, 10**9),
    ("test_rows", 1, 10**9),
    ("epochs", 0.01, 100),
    ("learning_rate", 1e-7, 1e-1),
    ("rank", 1, 512),
    ("alpha", 1, 1024),
    ("dropout", 0, 0.9),
    ("top_layers", 1, 10_000),
    ("batch", 1, 4096),
    ("micro_batch", 1, 4096),
    ("warmup", 0, 0.5),
    ("max_length", 16, 1_000_000),
    ("evaluations", 1, 1000),
    ("patience", 1, 1000),
    ("loss_rows", 1, 10**9),
    ("max_steps", 0, 10**9),
    ("seed", 0, 2**32 - 1),
    ("candidates", 1, 24),
    ("shots", 0, 24),
    ("nearest_shots", 0, 24),
    ("nearest_cases", 1, 10**9),
    ("max_new_tokens", 1, 8192),
    ("margin", 0, 1),
    ("floor", 0, 1),
    ("threshold", 0, 1),
    ("anchors", 1, 1000),
    ("anchors_least", 0, 1000),
)


QUICK_FLOOR = 0.40
"""A look trains on too little to ship; its lower bar lets every later stage be seen, and warns."""


def quick(plan: Plan) -> Plan:
    """Return a plan small enough for a look: every stage and gate runs, floors warn."""
    return plan.with_changes(
        train_rows=256,
        validation_rows=32,
        test_rows=64,
        epochs=1.0,
        evaluations=4,
        loss_rows=16,
        candidates=3,
        shots=8,
        nearest_shots=3,
        nearest_cases=8,
        nearest_on_test=False,
        floor=min(plan.floor, QUICK_FLOOR),
    )
