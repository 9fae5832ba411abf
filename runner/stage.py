"""What a stage is given and how it reports: files in, JSON lines out, no database."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, Self, TextIO

from fathom_tui.figures import Figure, Kind
from fathom_tui.gates import Gate
from fathom_tui.recipe import Plan
from fathom_tui.store.artifacts import content


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One stage's work order."""

    run: str
    stage: str
    run_dir: Path
    cache: Path
    """Directory shared by all runs, for what can be made again."""
    serving: Path
    """Directory of the engagement's served versions; outlives the run."""
    engagement: str
    plan: Plan
    results: Mapping[str, Mapping[str, Any]]
    """Results of earlier stages, by stage name."""

    @property
    def dir(self) -> Path:
        """The directory this stage owns."""
        return self.run_dir / self.stage

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a work order written by `write`."""
        data = json.loads(path.read_text("utf-8"))
        return cls(
            run=data["run"],
            stage=data["stage"],
            run_dir=Path(data["run_dir"]),
            cache=Path(data["cache"]),
            serving=Path(data["serving"]),
            engagement=data["engagement"],
            plan=Plan.from_json(data["plan"]),
            results=data["results"],
        )

    def write(self, path: Path) -> None:
        """Write the work order where the stage's child reads it."""
        data = {
            "run": self.run,
            "stage": self.stage,
            "run_dir": str(self.run_dir),
            "cache": str(self.cache),
            "serving": str(self.serving),
            "engagement": self.engagement,
            "plan": self.plan.to_json(),
            "results": self.results,
        }
        path.write_text(json.dumps(data), "utf-8")

    def path(self, stage: str, name: str) -> Path:
        """Return where an earlier stage put the file its result calls `name`."""
        return self.run_dir / str(self.results[stage][name])


class Report(Protocol):
    """How a stage tells what happens; every call is one line in the run's journal."""

    def progress(self, done: float, total: float, note: str = "") -> None: ...
    def metric(self, *, step: int, **values: float) -> None: ...
    def measured(self, name: str, value: float, unit: str) -> None: ...
    def gate(self, gate: Gate) -> None: ...
    def artifact(self, name: str, path: Path) -> None: ...
    def note(self, text: str) -> None: ...


class PipeReport:
    """A report through the pipe that the agent reads."""

    def __init__(self, job: Job, stream: TextIO) -> None:
        self._job = job
        self._stream = stream

    def send(self, kind: str, **data: Any) -> None:
        """Write one line; the agent turns it into an event."""
        self._stream.write(json.dumps({"kind": kind, "data": data}) + "\n")
        self._stream.flush()

    def progress(self, done: float, total: float, note: str = "") -> None:
        self.send("progress", stage=self._job.stage, done=done, total=total, note=note)

    def metric(self, *, step: int, **values: float) -> None:
        self.send("metric", stage=self._job.stage, step=step, **values)

    def measured(self, name: str, value: float, unit: str) -> None:
        figure = Figure(
            value=value,
            unit=unit,
            kind=Kind.MEASURED_HERE,
            source=f"run {self._job.run}, stage {self._job.stage}",
            as_of=datetime.now(UTC).date().isoformat(),
        )
        self.send("measured", stage=self._job.stage, name=name, figure=figure.to_json())

    def gate(self, gate: Gate) -> None:
        self.send("gate", stage=self._job.stage, gate=gate.to_json())

    def artifact(self, name: str, path: Path) -> None:
        found = content(path)
        self.send(
            "artifact",
            stage=self._job.stage,
            name=name,
            path=os.path.relpath(path, self._job.run_dir),
            sha256=found.sha256,
            bytes=found.bytes,
        )

    def note(self, text: str) -> None:
        self.send("note", stage=self._job.stage, text=text)
