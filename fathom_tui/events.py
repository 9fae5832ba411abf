"""One line of a journal: a versioned, numbered fact with wall and monotonic time.

Events come first: tables and screens are projections of journals.

Kinds in an engagement's journal:
    engagement_created  {slug, name, config}
    fact                {key, value}              value is a Figure in JSON or a plain scalar
    decision            {what, why, by}
    waiver              {run, gate, by, reason}
    deployment          {id, run, target, version, alias, url, state, artifact, sha256}
    check               {deployment, run, passed, total, failures, seconds}
    test_opened         {run, split_sha256}       how often the test split was read
Kinds in a run's journal:
    run_created         {run, engagement, config, created_by}
    attempt             {number, pid}             a start or a resume
    stage_started       {stage, input_hash, expected_seconds}
    progress            {stage, done, total, note}
    metric              {stage, step, epoch, train_loss | validation_loss, …}   train only
    measured            {stage, name, figure, hardware}
    gate                {stage, gate: Gate.to_json()}
    artifact            {stage, name, path, sha256, bytes, inputs}
    note                {stage, text}
    stage_finished      {stage, state, seconds, input_hash, result, error?}
    stage_kept          {stage, input_hash}       a finished stage found good on resume
    run_finished        {state, seconds, error?}
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One journal line."""

    seq: int
    """1-based position in its journal, without gaps."""
    at: str
    """UTC wall time, ISO 8601 with milliseconds and a trailing Z."""
    mono: float
    """Seconds on the writer's monotonic clock; comparable within one boot only."""
    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the line's object."""
        return {
            "v": VERSION,
            "seq": self.seq,
            "at": self.at,
            "mono": self.mono,
            "kind": self.kind,
            "data": dict(self.data),
        }

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> Self:
        """Read a line's object.

        Raises:
            KeyError: A field is missing.
            ValueError: The line was written by a newer version of the format.
        """
        if line["v"] > VERSION:
            raise ValueError(f"journal line version {line['v']} is newer than {VERSION}")
        return cls(
            seq=line["seq"],
            at=line["at"],
            mono=line["mono"],
            kind=line["kind"],
            data=line["data"],
        )
