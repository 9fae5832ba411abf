"""What a delivery package is: its names, what goes into it, and where each part is from.

Values in, values out: `fathom_tui.runner.package` gathers the files of a run, this says what
they are. Equal runs give equal packages: no date in them is the date of packing.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from fathom_tui.anchors import AnchorSet
from fathom_tui.contract import Contract, Values
from fathom_tui.delivery_name import delivery_name, part
from fathom_tui.deployment import served_last
from fathom_tui.gates import Gate, blocking
from fathom_tui.licences import Licence
from fathom_tui.recipe import EMBEDDED, Plan
from fathom_tui.runs import RunView
from fathom_tui.serving import ServingSpec
from fathom_tui.stages import STAGE_NAMES
from fathom_tui.stats import wilson

FORMAT = "fathom-package 1"
"""Kind and version of the layout; the first line of the manifest says it."""
MANIFEST, CHECKSUMS = "manifest.json", "SHA256SUMS"
_TO_THE_FILE = STAGE_NAMES[: STAGE_NAMES.index("evaluate") + 1]
"""The stages whose gates decide whether there is a file to hand over."""
_PATH_SETTINGS = ("dataset", "test", "model")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredCase:
    """A test case with what each way answered."""

    id: str
    input: str
    stratum: str
    expected: Values
    answers: Mapping[str, Values | None]
    """By way; None is an answer that broke the contract."""

    def right(self, way: str = "quantised") -> bool:
        """Say whether a way's answer is the expected one in every field."""
        given = self.answers.get(way)
        return given is not None and dict(given) == dict(self.expected)

    def wrong_fields(self, way: str = "quantised") -> list[str]:
        """Return the fields that a way answered wrongly; all where it broke the contract."""
        given, true = self.answers.get(way) or {}, self.expected
        return [name for name in true if name not in given or given[name] != true[name]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """All that the documents of a package are written from."""

    slug: str
    title: str
    """What people call the engagement."""
    view: RunView
    plan: Plan
    version: str
    """Of the deployment (`v3`), or of the run (`run3`) where it never was deployed."""
    spec: ServingSpec
    anchors: AnchorSet
    bytes: int
    """Size of the GGUF."""
    cases: tuple[ScoredCase, ...]
    licence: Licence
    waivers: tuple[Mapping[str, Any], ...] = ()
    """Of this run."""
    deployments: tuple[Mapping[str, Any], ...] = ()
    """Of this run's file, each as it was last recorded."""
    checks: tuple[Mapping[str, Any], ...] = ()
    """Anchor checks of the deployment that the package speaks of, oldest first."""
    purges: tuple[Mapping[str, Any], ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    alerts: tuple[Mapping[str, Any], ...] = ()
    """Of this engagement, oldest first."""
    adapter_sha256: str = ""
    """Content of the adapter's weights, in hex; empty where the run kept none."""
    free_right: int | None = None
    """Cases that the file answers rightly without a grammar; None where that was not kept."""
    test_openings: int = 0
    private: tuple[str, ...] = ()
    """Directories of this machine, which no delivered text may name."""

    @property
    def contract(self) -> Contract:
        """What every answer looks like."""
        return self.plan.contract

    @property
    def base(self) -> str:
        """The base model's name."""
        return str(self.result("preflight").get("model_name") or base_name(self.plan.model))

    @property
    def name(self) -> str:
        """The package's directory."""
        return "-".join(map(part, (self.slug, task(self.contract), self.base, self.version)))

    @property
    def gguf(self) -> str:
        """The shipped file."""
        return delivery_name(
            client=self.slug,
            task=task(self.contract),
            base=self.base,
            version=self.version,
            quantization=str(self.result("quantize").get("type") or self.plan.quantization),
        )

    @property
    def deployment(self) -> Mapping[str, Any] | None:
        """The deployment that the package speaks of; None where the file never served."""
        return served_last(self.deployments)

    @property
    def asked(self) -> Mapping[str, Any] | None:
        """The last check in which the anchors were answered; None where there was none."""
        answered = (check for check in reversed(self.checks) if check.get("passed") is not None)
        return next(answered, None)

    @property
    def gates(self) -> dict[str, Gate]:
        """Every gate that spoke, by name."""
        return {gate.name: gate for stage in self.view.stages.values() for gate in stage.gates}

    @property
    def waived(self) -> frozenset[str]:
        """Names of the gates that a person lifted in this run."""
        return frozenset(str(waiver["gate"]) for waiver in self.waivers)

    def result(self, stage: str) -> Mapping[str, Any]:
        """Return what a stage of the run resulted in; empty where it did not get that far."""
        found = self.view.stages.get(stage)
        return found.result if found is not None else {}

    def figure(self, name: str) -> Mapping[str, Any] | None:
        """Return the last measurement of that name: {name, figure, hardware}; None if none."""
        found = [item for item in self.view.measured if item.get("name") == name]
        return found[-1] if found else None

    def public(self, text: str) -> str:
        """Return text in which no directory of this machine is named."""
        return without_paths(text, self.private)


def task(contract: Contract) -> str:
    """Return the task's word in a file name: extraction where an answer holds more than classes."""
    numbers = any(found.kind == "number" for found in contract.fields)
    return "extraction" if numbers else "classification"


def base_name(model: str) -> str:
    """Return the last part of a model's path, or what stands for the embedded one."""
    return EMBEDDED if model == EMBEDDED else PurePath(model).name


def run_number(run: str) -> str:
    """Return `run3` for the run `acme-triage-3`: the version of what never was deployed."""
    return f"run{run.rpartition('-')[2]}"


def not_accepted(view: RunView, waived: Iterable[str]) -> list[Gate]:
    """Return the refusals that keep a run's file from being handed over."""
    lifted = set(waived)
    gates = [gate for name in _TO_THE_FILE for gate in view.stages[name].gates]
    return blocking(gates, lifted)


def is_scored(view: RunView) -> bool:
    """Say whether a run got as far as a file and its scores."""
    return bool(view.result) and "quantised" in view.artifacts


def read_scored(text: str) -> tuple[ScoredCase, ...]:
    """Read the cases that `evaluate` kept, one JSON object a line.

    Raises:
        KeyError, TypeError, ValueError: A line is none.
    """
    rows = [json.loads(line) for line in text.split("\n") if line]
    return tuple(
        ScoredCase(
            id=str(row["id"]),
            input=str(row["input"]),
            stratum=str(row.get("stratum", "")),
            expected=dict(row["expected"]),
            answers=dict(row["answers"]),
        )
        for row in rows
    )


def without_paths(text: str, private: Sequence[str]) -> str:
    """Return text in which each private directory, and what leads into it, is `…`."""
    for directory in sorted(private, key=len, reverse=True):
        text = text.replace(directory, "…")
    return text


def public_plan(plan: Plan) -> dict[str, Any]:
    """Return the plan with the names of files in place of their paths."""
    data = plan.to_json()
    return {
        **data,
        **{name: base_name(str(data[name])) for name in _PATH_SETTINGS if data[name]},
    }


def answer_text(contract: Contract, values: Values | None) -> str:
    """Return an answer as the model gives it; what broke the contract has no text of its own."""
    if values is None:
        return "(no usable answer)"
    if {found.name for found in contract.fields} - set(values):
        return json.dumps(dict(values), ensure_ascii=False)  # plain code answers some fields only
    return contract.render(values)


def eval_lines(delivery: Delivery) -> str:
    """Return the evaluation cases, each with the answer it must get, one JSON object a line."""
    rows = (
        {
            "id": case.id,
            "input": case.input,
            "stratum": case.stratum,
            "expected": delivery.contract.render(case.expected),
        }
        for case in delivery.cases
    )
    return _lines(rows)


def answer_lines(delivery: Delivery) -> str:
    """Return what each way answered to each evaluation case, one JSON object a line."""
    return _lines(
        {
            "id": case.id,
            "answers": {
                way: None if values is None else dict(values)
                for way, values in case.answers.items()
            },
        }
        for case in delivery.cases
    )


def at_delivery(delivery: Delivery) -> dict[str, Any] | None:
    """Return how many evaluation cases the file got right, for a check at the receiving end.

    Returns:
        None without cases, else {"right", "total", "low", "high": shares of the 95 % Wilson
        interval, "least": the smallest count inside it, "free": whether no grammar was used}.
    """
    total = len(delivery.cases)
    if not total:
        return None
    free = delivery.free_right
    right = sum(case.right() for case in delivery.cases) if free is None else free
    found = wilson(right, total)
    return {
        "right": right,
        "total": total,
        "low": found.low,
        "high": found.high,
        "least": math.ceil(found.low * total - 1e-9),
        "free": free is not None,
    }


def _lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of a package."""

    path: str
    """Relative to the package, with `/`."""
    bytes: int
    sha256: str


def manifest(delivery: Delivery, entries: Sequence[Entry]) -> dict[str, Any]:
    """Return what says of an archive, before anything else in it, what it holds."""
    return {
        "format": FORMAT,
        "name": delivery.name,
        "engagement": delivery.slug,
        "run": delivery.view.id,
        "version": delivery.version,
        "model": delivery.gguf,
        "files": [
            {"path": each.path, "bytes": each.bytes, "sha256": each.sha256} for each in entries
        ],
    }


def checksums(entries: Iterable[Entry]) -> str:
    """Return the lines that `sha256sum -c` reads, sorted by name."""
    return "".join(f"{e.sha256}  {e.path}\n" for e in sorted(entries, key=lambda e: e.path))
