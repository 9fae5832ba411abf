"""One check of what is served: its anchors asked, judged, written down, and people told.

The live version is what the server says; the ledger is compared with it. Whatever keeps a check
from being made is a state of its own, `unknown`, with its reason, and never an error.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fathom_tui.alerts import Alert, due
from fathom_tui.anchors import AnchorSet, read_anchor_set
from fathom_tui.deployment import deployment_id
from fathom_tui.drift import repetition
from fathom_tui.errors import CouldNotCheck, EnvironmentProblem, FathomError
from fathom_tui.health import Finding, HealthState, Observed, judge, past
from fathom_tui.runner.checked import Checked, Wanted
from fathom_tui.runner.hooks import Hooks
from fathom_tui.runner.release import Asked, Miss, anchors_path, ask
from fathom_tui.runner.targets import Target, open_target
from fathom_tui.store.journal import utc_now
from fathom_tui.store.live import Watched, watched
from fathom_tui.store.paths import Home

if TYPE_CHECKING:
    from fathom_tui.drift import Drift

RESTART_S = 20.0
"""Longest wait for the server after its alias has moved."""
QUEUE_S = 30.0
"""Longest wait for another check of the same engagement."""


def check(home: Home, slug: str, wanted: Wanted) -> Checked:
    """Check what an engagement serves.

    Raises:
        NotFound: There is no such engagement.
        StoreError: What is needed of its journal is damaged.
        CouldNotCheck: Another check of it has been under way for too long.
    """
    begun, at = time.monotonic(), utc_now()
    if not wanted.record:
        known = watched(home, slug)
        seen = _Check(home, known, wanted, at).made()
        return _timed(seen, known, begun)
    watched(home, slug)  # says so where there is none of that name
    with _alone(home.engagement(slug) / "health.lock"):
        known = watched(home, slug)
        seen = _Check(home, known, wanted, at).made()
        seen = _timed(seen, known, begun)
        # Where nothing is deployed there is nothing that an event could speak of.
        return seen if seen.deployment is None else _tell(home, known, seen, wanted.hooks)


def _timed(seen: Checked, known: Watched, begun: float) -> Checked:
    notes = (*known.notes, *seen.notes)
    return replace(seen, seconds=time.monotonic() - begun, notes=notes)


class _Check:
    """One check under way."""

    def __init__(self, home: Home, known: Watched, wanted: Wanted, at: str) -> None:
        self._home, self._known, self._wanted, self._at = home, known, wanted, at
        self._root = home.data / "serving" / known.slug

    def made(self) -> Checked:
        """Ask and judge; what cannot be found out is unknown."""
        live = self._known.live
        if live is None:
            return self._unknown(None, _why_none(self._known))
        try:
            target = open_target(str(live["target"]), root=self._root, alias=self._known.slug)
            return self._of_target(target, str(live["version"]))
        except FathomError as error:
            return self._unknown(str(live["id"]), f"{error.message} {error.fix}".strip())

    def _of_target(self, target: Target, expected: str) -> Checked:
        """Check the version that the server has; once more where it has another one afterwards.

        Raises:
            CouldNotCheck: The server does not answer.
            EnvironmentProblem: The version's anchors cannot be read.
        """
        version = target.live
        for patience_s in (0.0, RESTART_S):
            if version is None:
                return self._nothing_behind_alias(target, expected)
            anchors = self._anchors(version)
            if not anchors.anchors:
                return self._unknown(self._id(version), f"{version} has no anchors to ask.")
            asked, now = self._asked(target, anchors, version, patience_s)
            if asked is not None and now == version:
                return self._judged(target, anchors, asked, expected)
            version = now
        return self._unknown(
            self._id(expected),
            f"The alias moved twice while the anchors were asked; it now stands for {version}. "
            "Check again when the releases are over.",
        )

    def _anchors(self, version: str) -> AnchorSet:
        """Return the anchors of a version.

        Raises:
            EnvironmentProblem: They cannot be read, or are another file's.
        """
        path = anchors_path(self._root, version)
        found = read_anchor_set(path)
        rows = (row for row in self._known.deployments if row["version"] == version)
        made = {str(row["sha256"]) for row in rows if row.get("sha256")}
        if found.version != version or (made and found.sha256 not in made):
            raise EnvironmentProblem(
                f"The anchors at {path} are not those of {version}: they name {found.version} and "
                f"the file {found.sha256[:12]}….",
                fix=f"Put them there anew: fathom deploy {self._known.slug}",
            )
        return found

    def _asked(
        self, target: Target, anchors: AnchorSet, version: str, patience_s: float
    ) -> tuple[Asked | None, str | None]:
        """Return the answers, and the version that the alias stands for after them.

        Raises:
            CouldNotCheck: The server does not answer, and the alias has not moved either.
        """
        deadline = time.monotonic() + patience_s
        while True:
            try:
                return ask(target, anchors), target.live
            except CouldNotCheck:
                now = target.live
                if now != version:
                    return None, now
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)  # the new version is being started

    def _judged(self, target: Target, anchors: AnchorSet, asked: Asked, expected: str) -> Checked:
        version = anchors.version
        name = self._id(version)
        found, notes, drift = self._inputs(target, anchors)
        if version != expected:
            found.append(_mismatch(target, version, expected))
        threshold = self._threshold(anchors)
        verdict = judge(
            _observed(asked),
            past(self._known.checks(name)),
            threshold=threshold,
            usual_s=anchors.seconds,
            more=found,
        )
        return Checked(
            engagement=self._known.slug,
            deployment=name,
            run=anchors.run,
            state=verdict.state,
            passed=asked.passed,
            total=asked.total,
            threshold=threshold,
            checked_at=self._at,
            reasons=verdict.reasons,
            notes=(*verdict.notes, *notes),
            latency_s=round(asked.median_s, 4),
            lengths=asked.lengths,
            misses=asked.misses,
            drift=drift or verdict.drift,
        )

    def _inputs(
        self, target: Target, anchors: AnchorSet
    ) -> tuple[list[Finding], list[str], "Drift | None"]:
        """Compare recent inputs with the evaluation set's, where they were given."""
        if self._wanted.inputs is None:
            return [], [], None
        from fathom_tui.runner.inputs import compare

        compared = compare(self._home, target, anchors, self._wanted.inputs)
        return list(compared.findings), list(compared.notes), compared.drift

    def _threshold(self, anchors: AnchorSet) -> float:
        given = self._wanted.threshold
        return anchors.threshold if given is None else given

    def _nothing_behind_alias(self, target: Target, expected: str) -> Checked:
        reason = (
            f"The ledger says that {expected} is live, but behind the alias {target.alias} of "
            f"{target.name} is none of the versions: whoever asks gets an error or another model. "
            f"Set it right: fathom rollback {self._known.slug} --to {expected}"
        )
        unknown = self._unknown(self._id(expected), reason)
        return replace(unknown, state=HealthState.CRITICAL)

    def _id(self, version: str) -> str:
        return deployment_id(self._known.slug, version)

    def _unknown(self, deployment: str | None, reason: str) -> Checked:
        row = self._known.live or {}
        return Checked(
            engagement=self._known.slug,
            deployment=deployment,
            run=row.get("run"),
            state=HealthState.UNKNOWN,
            passed=None,
            total=None,
            threshold=self._wanted.threshold,
            checked_at=self._at,
            reasons=(reason,),
        )


def _why_none(known: Watched) -> str:
    if not known.deployments:
        return f"Nothing of {known.slug} is deployed. Finish a run: fathom run {known.slug}"
    last = known.deployments[-1]
    why = f": {last['reason']}" if last.get("reason") else ""
    return f"Nothing of {known.slug} is live; {last.get('version')} is {last.get('state')}{why}."


def _mismatch(target: Target, version: str, expected: str) -> Finding:
    text = (
        f"The ledger says that {expected} is live, but {target.name} serves {version}: "
        f"somebody moved the alias by hand. Deploy or roll back to say which is right."
    )
    return Finding(state=HealthState.WARNING, text=text)


def _observed(asked: Asked) -> Observed:
    loops = {miss.anchor.id: piece for miss in asked.misses if (piece := _loop(miss)) is not None}
    return Observed(
        passed=asked.passed,
        total=asked.total,
        latency_s=asked.median_s,
        lengths=asked.lengths,
        loops=loops,
    )


def _loop(miss: Miss) -> str | None:
    """Return what a wrong answer repeats; servers that give up on repetition say so themselves."""
    found = repetition(miss.actual)
    if found is None and miss.finish_reason == "degenerate":
        return miss.actual[-20:]
    return found


def _tell(home: Home, known: Watched, seen: Checked, given: Hooks) -> Checked:
    """Record the check, tell people what is news and record that; return the check."""
    from fathom_tui.store.ledger import Store

    store = Store(home)
    hooks, faults = hooks_of(known, given).usable()
    for fault in faults:
        seen = seen.with_reason(HealthState.WARNING, f"An alert cannot be sent: {fault}")
    try:
        store.record(known.slug, "check", seen.event())
    except FathomError as error:
        reason = f"The check could not be recorded: {error.message}"
        seen = seen.with_reason(HealthState.WARNING, reason)
    news = due(seen.state, str(seen.deployment), known.alerts, hooks.names)
    if news is None:
        return seen
    alert = _alert(seen, news.before)
    delivered = hooks.tell(alert, news.hooks)
    try:
        store.record(known.slug, "alert", alert.event(delivered))
    except FathomError as error:
        reason = f"The alert could not be recorded: {error.message}"
        seen = seen.with_reason(HealthState.WARNING, reason)
    notes = [delivery.complaint for delivery in delivered if not delivery.ok]
    return replace(seen, notes=(*seen.notes, *notes))


def hooks_of(known: Watched, given: Hooks) -> Hooks:
    """Return the hooks given, else those that the engagement keeps."""
    kept = {name: known.facts.get(f"alert_{name}") for name in ("command", "webhook")}
    return Hooks(
        command=given.command or str(kept["command"] or "") or None,
        webhook=given.webhook or str(kept["webhook"] or "") or None,
    )


def _alert(seen: Checked, before: HealthState) -> Alert:
    return Alert(
        engagement=seen.engagement,
        deployment=str(seen.deployment),
        state=seen.state,
        before=before,
        reasons=seen.reasons,
        passed=seen.passed,
        total=seen.total,
        checked_at=seen.checked_at,
    )


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock while an engagement is checked: two checks at once would raise one alert twice.

    Raises:
        CouldNotCheck: Another check has it for too long.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + QUEUE_S
    try:
        while not _locked(descriptor):
            if time.monotonic() > deadline:
                raise CouldNotCheck(
                    f"Another check of {path.parent.name} has been under way for {QUEUE_S:.0f} s.",
                    fix="Wait until it ends, or look without recording: fathom health --no-record",
                )
            time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
