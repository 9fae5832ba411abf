"""What comes next in a run: input hashes, kept stages, the record of a finished one."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fathom_tui.gates import Gate, blocking
from fathom_tui.recipe import Plan
from fathom_tui.runs import RunView, StageView
from fathom_tui.stages import Stage, StageState

_VERSION = 1
"""Raised when a stage's work changes its meaning, so that old results are not kept."""


def input_hash(stage: Stage, plan: Plan, results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the sha256 of everything that decides a stage's result."""
    given = {
        "version": _VERSION,
        "stage": stage.name,
        "plan": plan.to_json(),
        "results": {name: results[name] for name in stage.reads},
    }
    text = json.dumps(given, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def may_keep(view: StageView, wanted_hash: str, run: RunView, run_dir: Path) -> bool:
    """Say whether an earlier result of this stage still stands.

    It does when its inputs are the same and what it produced is still there, size for size: its
    artifacts in the run, and what it made in the cache, which anybody may empty.
    """
    if view.state not in (StageState.DONE, StageState.REFUSED) or view.input_hash != wanted_hash:
        return False
    if not view.result:
        return False
    if not all(Path(value).exists() for value in view.result.values() if _is_path(value)):
        return False
    made = [artifact for artifact in run.artifacts.values() if artifact.stage == view.name]
    return all(_size(run_dir / artifact.path) == artifact.bytes for artifact in made)


def sources(stage: Stage, run: RunView) -> dict[str, str]:
    """Return what a stage is made from: the artifacts of the stages it reads, with their sha256."""
    return {
        artifact.name: artifact.sha256
        for artifact in run.artifacts.values()
        if artifact.stage in stage.reads
    }


def lifted(gates: Iterable[Gate], waived: Iterable[str]) -> list[Gate]:
    """Return the refusals that stop the run in spite of the waivers."""
    return blocking(list(gates), waived)


def _is_path(value: object) -> bool:
    # Paths in the run are relative; only `preflight` names places outside it.
    return isinstance(value, str) and os.path.isabs(value)


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
