"""Deploy, roll back and remove versions by hand, with the same steps and proofs as in a run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fathom_tui.anchors import AnchorSet, read_anchor_set
from fathom_tui.deployment import (
    DeploymentState,
    Row,
    changed,
    deployment_id,
    live,
    returned,
    went_live,
)
from fathom_tui.errors import (
    CouldNotCheck,
    EnvironmentProblem,
    FathomError,
    GateRefused,
    NotFound,
    UsageError,
)
from fathom_tui.gates import blocking
from fathom_tui.releases import version_number
from fathom_tui.runner.alarm import taken_back
from fathom_tui.runner.deploy import anchor_set, serving_spec
from fathom_tui.runner.made import make
from fathom_tui.runner.numbers import remember
from fathom_tui.runner.records import Recorded, check_event, deployed
from fathom_tui.runner.release import (
    Asked,
    Settled,
    alone,
    anchors_path,
    ask,
    concluded,
    confirm,
    go_live,
    pending,
    roll_back,
    settle,
)
from fathom_tui.runner.stage import Job
from fathom_tui.runner.targets import Target, open_target
from fathom_tui.runs import RunView
from fathom_tui.serving import TARGETS
from fathom_tui.store import Store
from fathom_tui.store.artifacts import content
from fathom_tui.store.purged import refuse_purged

KEPT_VERSIONS = 3
"""Newest versions that pruning keeps, beside the live one and the one before it."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """What became of a deployment or a roll-back."""

    engagement: str
    target: str
    version: str
    previous: str | None
    url: str | None
    anchors: Asked | None
    """None where the version has no anchors to ask."""

    def to_json(self) -> dict[str, Any]:
        """Return it as the commands print it."""
        asked = self.anchors
        return {
            "engagement": self.engagement,
            "target": self.target,
            "version": self.version,
            "previous": self.previous,
            "url": self.url,
            "anchors": {"passed": asked.passed, "total": asked.total} if asked else None,
        }


class Rollouts:
    """An engagement's versions and how they change."""

    def __init__(self, store: Store, slug: str, *, say: Say) -> None:
        """Look at an engagement.

        Args:
            store: The ledger.
            slug: The engagement's short name.
            say: Told what is done, one line each.

        Raises:
            NotFound: There is no such engagement.
        """
        self._store = store
        self._slug = store.engagement(slug).slug
        self._root = store.home.data / "serving" / self._slug
        self._say = say

    def rows(self) -> list[Mapping[str, Any]]:
        """Return the engagement's deployments as last recorded, the oldest record first."""
        return sorted(self._store.deployments(self._slug), key=lambda row: int(row["seq"]))

    def target(self, name: str) -> Target:
        """Return a serving target of this engagement."""
        return open_target(name, root=self._root, alias=self._slug)

    def deploy(self, run: RunView, waived: set[str], target_name: str | None) -> Rollout:
        """Serve the file that a run accepted.

        Args:
            run: A run whose evaluation is over.
            waived: Gates of the run that somebody waived.
            target_name: Where; None means where the run's plan says.

        Raises:
            GateRefused: The run accepted no file, or the version does not know its anchors.
            EnvironmentProblem, CouldNotCheck: The server does not allow it.
        """
        job = self._job(run, target_name)
        _must_be_accepted(run, waived)
        gguf = job.path("quantize", "quantised")
        if not gguf.is_file():
            raise NotFound(
                f"The file that {run.id} accepted is gone: {gguf.name}.",
                fix=f"fathom versions {self._slug} lists what is still kept; "
                "fathom rollback goes to one of them.",
            )
        target = self.target(job.plan.target)
        spec = serving_spec(job, _accepted(run, gguf))
        anchors = self._anchors(job, spec.sha256)
        with alone(self._root):
            self.settle(target)
            remember(self._root, [str(row["version"]) for row in self.rows()])
            made = make(job, target, gguf, spec, anchors)
            version = made.version
            if made.mended is not None:
                self._say(f"Served with a template of its own: {made.mended}.")
            self._say(f"{self._slug} {version} is kept by {target.name}.")
            new = self._row(run.id, target, version, spec.sha256)
            if not self._serves(new):
                self._record("deployment", changed(new, DeploymentState.CREATED))
            return self._release(target, version, new, strict="anchors.served" not in waived)

    def _anchors(self, job: Job, sha256: str) -> AnchorSet:
        """Return what the file must know: of its run, or as kept beside a version of the same file.

        Raises:
            UsageError: They went with the run's data, and no version of the file is kept.
        """
        try:
            return anchor_set(job, sha256)
        except FileNotFoundError:
            for path in sorted(self._root.glob("v*.anchors.json")):
                kept = read_anchor_set(path)
                if kept.sha256 == sha256:
                    return kept
            refuse_purged(self._store, job.run, "no anchors are left to prove a version with")
            raise

    def roll_back(self, to: str | None) -> Rollout:
        """Make an earlier version live again.

        Args:
            to: The version; None means the one before the live one.

        Raises:
            NotFound: There is no such version, or none before.
            GateRefused: It does not know its anchors any more; the live version stays.
        """
        with alone(self._root):
            self._settle_open()
            row = _wanted(self.rows(), self._slug, to)
            target = self.target(str(row["target"]))
            return self._release(target, str(row["version"]), row, strict=True)

    def remove(self, version: str) -> None:
        """Delete a version that is not live.

        Raises:
            NotFound: There is no such version.
            UsageError: It is live.
        """
        row = self._known(version)
        with alone(self._root):
            current = live(self.rows())
            if current is not None and current["version"] == version:
                raise UsageError(
                    f"{version} of {self._slug} is live.",
                    fix=f"Go to another one first: fathom rollback {self._slug} --to VERSION",
                )
            self.target(str(row["target"])).remove(version)
            # What else is beside it is the target's to delete, but for what keeps the number taken.
            anchors_path(self._root, version).unlink(missing_ok=True)
            self._record("deployment", changed(row, DeploymentState.REMOVED))

    def prune(self) -> list[str]:
        """Delete old versions but the live one, the one before it and the last three."""
        rows = [row for row in self.rows() if row["state"] != DeploymentState.REMOVED]
        current = live(rows)
        by_number = sorted({str(row["version"]) for row in rows}, key=version_number)
        kept = set(by_number[-KEPT_VERSIONS:])
        if current is not None:
            kept |= {str(current["version"]), str(current.get("previous"))}
        old = [version for version in by_number if version not in kept]
        for version in old:
            self.remove(version)
        return old

    def settle_open(self) -> None:
        """Finish the release that a power cut left open, if there is one.

        Raises:
            CouldNotCheck, EnvironmentProblem: Its server does not answer, or a release is under
                way; it stays announced.
        """
        with alone(self._root):
            self._settle_open()

    def _settle_open(self) -> None:
        """Settle on the target that the release was for."""
        step = pending(self._root)
        if step is None:
            return
        rows = {str(row["version"]): row for row in self.rows()}
        name = step.target or rows.get(step.version, {}).get("target") or TARGETS[0]
        self.settle(self.target(str(name)))

    def settle(self, target: Target) -> None:
        """Finish what a power cut left open, and record what became of it."""
        step = pending(self._root)
        if step is not None and step.target not in (None, target.name):
            target = self.target(str(step.target))
        settled = settle(target, self._root)
        if settled is None:
            return
        self._say(settled.said)
        self._reconcile(target, settled)
        concluded(self._root)

    def _reconcile(self, target: Target, settled: Settled) -> None:
        """Record what is live in the end, and what is not."""
        rows, now = self.rows(), target.live
        row = self._known_or_made(target, settled.version)
        if settled.version != now and not settled.kept and row is not None:
            withdrawn = changed(row, DeploymentState.ROLLED_BACK, reason=settled.said)
            self._record("deployment", withdrawn)
            rows = [*rows, withdrawn]
        standing = None if now is None else self._known_or_made(target, now)
        if standing is None:
            return
        if now == settled.version:
            standing = {**standing, "previous": settled.previous, "url": target.url}
        if not self._serves(standing) or standing.get("previous") is None:
            self._record_all([("deployment", e) for e in went_live(rows, standing)])

    def _known_or_made(self, target: Target, version: str) -> Row | None:
        """Return a version's row; from its anchors where a crash came before the first record."""
        for row in self.rows():
            if row["version"] == version:
                return row
        path = anchors_path(self._root, version)
        if not path.is_file():
            return None
        made = read_anchor_set(path)
        return self._row(made.run, target, version, made.sha256)

    def _serves(self, row: Row) -> bool:
        current = live(self.rows())
        return current is not None and current["id"] == row["id"]

    def _release(self, target: Target, version: str, row: Row, *, strict: bool) -> Rollout:
        """Prove a version where that can be, activate it, prove it again; else take it back."""
        path = anchors_path(self._root, version)
        anchors = read_anchor_set(path) if path.is_file() else None
        if anchors is not None and not anchors.anchors:
            anchors = None
        if anchors is not None and strict and target.asks_any_version:
            asked = ask(target, anchors, version=version)
            self._say(asked.describe("before it goes live"))
            if asked.misses:
                if not self._serves(row):
                    self._record("deployment", changed(row, DeploymentState.FAILED))
                raise GateRefused(
                    f"{version} does not go live: {asked.describe('')}",
                    fix=f"Look at what it answers: fathom health {self._slug}",
                )
        before = live(self.rows())
        previous = go_live(target, self._root, version)
        if before is not None and before["version"] != version:
            previous = str(before["version"])  # also where another target serves it
        elif previous == version:
            previous = row.get("previous")
        new = {**row, "previous": previous, "url": target.url}
        if anchors is None:
            self._record_all([("deployment", e) for e in went_live(self.rows(), new)])
            concluded(self._root)
            self.retire_others(target.name)
            return self._rollout(target, version, previous, None)
        asked = ask(target, anchors)
        if asked.misses and strict:
            self._withdraw(target, version, previous, new, asked)
        confirm(self._root, anchors, asked)
        self._record_all([("deployment", e) for e in went_live(self.rows(), new)])
        self._record("check", self._check(new, asked, anchors.threshold))
        concluded(self._root)
        self.retire_others(target.name)
        return self._rollout(target, version, previous, asked)

    def _withdraw(
        self, target: Target, version: str, previous: str | None, row: Row, asked: Asked
    ) -> None:
        said = self._back(target, previous)
        reason = f"{asked.describe('when served')} {said}"
        before = deployment_id(self._slug, previous) if previous else None
        rows = [*self.rows(), row]
        self._record_all([("deployment", e) for e in returned(rows, row["id"], before, reason)])
        counts = {"passed": asked.passed, "total": asked.total}
        for note in taken_back(self._store, self._slug, row["id"], reason, **counts):
            self._say(note)
        concluded(self._root)
        raise GateRefused(
            f"{version} was taken back: {reason}",
            fix="Compare the served prompt with the trained one: template, system text, stop "
            "token.",
        )

    def _back(self, target: Target, previous: str | None) -> str:
        """Bring the previous version back; on another target it has never gone."""
        rows = {str(row["version"]): row for row in self.rows()}
        other = rows.get(str(previous), {}).get("target", target.name)
        if other == target.name:
            return roll_back(target, previous)
        target.stop()
        return f"Version {previous} goes on, on {other}."

    def retire_others(self, kept: str) -> None:
        """Stop what other targets still answer with: people would not know which they ask."""
        for name in {str(row["target"]) for row in self.rows()} - {kept}:
            try:
                target = self.target(name)
                if target.url is not None and target.live is not None and target.stop():
                    self._say(f"{self._slug} on {name} was stopped; its versions are kept.")
            except FathomError as error:
                self._say(f"note: {self._slug} may still answer on {name}: {error.message}")

    def _job(self, run: RunView, target_name: str | None) -> Job:
        from fathom_tui.recipe import Plan

        plan = Plan.from_json(run.config)
        if target_name is not None:
            plan = plan.with_changes(target=target_name)
        home = self._store.home
        return Job(
            run=run.id,
            stage="deploy",
            run_dir=home.run(run.id),
            cache=home.cache,
            serving=self._root,
            engagement=self._slug,
            plan=plan,
            results={name: stage.result for name, stage in run.stages.items()},
        )

    def _row(self, run: str, target: Target, version: str, sha256: str) -> dict[str, Any]:
        result = {
            "version": version,
            "target": target.name,
            "alias": target.alias,
            "url": target.url,
            "sha256": sha256,
        }
        return deployed(self._slug, run, result)

    def _rollout(
        self, target: Target, version: str, previous: str | None, asked: Asked | None
    ) -> Rollout:
        return Rollout(
            engagement=self._slug,
            target=target.name,
            version=version,
            previous=previous,
            url=target.url,
            anchors=asked,
        )

    def _check(self, row: Row, asked: Asked, threshold: float) -> dict[str, Any]:
        return check_event(self._slug, row["id"], row["run"], asked, threshold=threshold)

    def _known(self, version: str) -> Mapping[str, Any]:
        rows = {str(row["version"]): row for row in self.rows()}
        if version not in rows:
            raise _no_version(self._slug, version, list(rows))
        return rows[version]

    def _record(self, kind: str, data: Mapping[str, Any]) -> None:
        self._store.record(self._slug, kind, data)

    def _record_all(self, events: Recorded) -> None:
        for kind, data in events:
            self._record(kind, data)


def _accepted(run: RunView, gguf: Path) -> str:
    """Return the content of the file that a run accepted, in hex.

    Raises:
        EnvironmentProblem: It is another one by now.
    """
    found, made = content(gguf).sha256, run.artifacts["quantised"].sha256
    if found != made:
        raise EnvironmentProblem(
            f"{gguf} was changed since {run.id} accepted it: its sha256 is {found[:12]}…, "
            f"not {made[:12]}….",
            fix="Restore the file from the delivery package, or run the engagement again: "
            f"fathom run {run.engagement}",
        )
    return found


def _must_be_accepted(run: RunView, waived: set[str]) -> None:
    evaluate = run.stages["evaluate"]
    if not evaluate.result:
        raise CouldNotCheck(
            f"{run.id} has not been evaluated, so nothing says that its file may be served.",
            fix=f"fathom resume {run.id}",
        )
    refusals = blocking(evaluate.gates, waived)
    if refusals:
        raise GateRefused(
            f"{run.id} accepted no file: {refusals[0].name}: {refusals[0].reason}",
            fix=f"fathom waive {run.id} {refusals[0].name} --by NAME --reason TEXT",
        )


def _wanted(rows: Sequence[Row], slug: str, to: str | None) -> Row:
    known = {str(row["version"]): row for row in rows}
    there = {
        version: row
        for version, row in known.items()
        if row["state"] not in (DeploymentState.REMOVED, DeploymentState.FAILED)
    }
    if to is not None:
        if to not in there:
            raise _no_version(slug, to, list(there))
        return there[to]
    current = live(rows)
    previous = None if current is None else current.get("previous")
    if previous is None or previous not in there:
        raise NotFound(
            f"{slug} has no version before "
            f"{'the first' if current is None else current['version']}.",
            fix=f"fathom versions {slug}",
        )
    return there[str(previous)]


def _no_version(slug: str, version: str, there: Sequence[str]) -> NotFound:
    return NotFound(
        f"There is no version {version[:80]!r} of {slug}.",
        fix="Versions: " + (", ".join(sorted(there, key=version_number)) or "none"),
    )
