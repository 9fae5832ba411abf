"""The versions of an engagement: what the ledger holds of each beside what its server says.

The ledger is ours and the server is not: somebody may restart it, remove a version, or go to
another one by hand. Where the two differ that is named, and neither is believed over the other.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from fathom_tui.check_events import Check, Recorded, moment, number_of, text_of
from fathom_tui.deployment import DeploymentState, latest, live
from fathom_tui.gates import blocking
from fathom_tui.runs import RunView


class Said(StrEnum):
    """What the server says of a version."""

    LIVE = "live"
    KEPT = "kept"
    """It is there, and another one answers."""
    STOPPED = "stopped"
    """It would answer with it, and is not running."""
    GONE = "not there"
    SILENT = "not reached"
    UNASKED = ""


class Accord(StrEnum):
    """How ledger and server stand to each other."""

    AGREE = "agree"
    DIFFER = "differ"
    STOPPED = "stopped"
    """The server is there to serve what is live, and is not running."""
    SILENT = "not reached"
    UNASKED = "not asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What a version's run says of its file."""

    score: float | None = None
    """Of the quantised file on the test split, 0 to 1; None where it was not scored."""
    low: float | None = None
    high: float | None = None
    """Ends of the score's interval."""
    n: int | None = None
    """Test cases."""
    bytes: int | None = None
    """Size of the file."""
    quantization: str = ""
    bits: float | None = None
    """Bits per weight in effect."""
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAnswer:
    """What `fathom versions --json` found out."""

    versions: Mapping[str, Said]
    problems: tuple[str, ...] = ()
    """Why a server was not reached, each once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One version."""

    id: str
    """`<engagement>:<version>`."""
    version: str
    state: str
    """In the ledger: a `DeploymentState`, or what an odd event says."""
    is_live: bool
    """Whether the ledger holds it for the one that serves."""
    said: Said
    target: str
    run: str
    url: str
    alias: str
    sha256: str
    previous: str
    """The version that was live before it; empty where there was none."""
    since: datetime | None
    """Since when it is in its state, UTC."""
    reason: str
    """Why it is in its state, where the ledger says so."""
    check: Check | None = None
    """Its last check; None where it was never asked."""
    facts: RunFacts = RunFacts()
    """All unknown where its run cannot be read."""

    @property
    def is_there(self) -> bool:
        """Say whether a roll-back may go to it, as far as the ledger knows."""
        return self.state not in (DeploymentState.REMOVED, DeploymentState.FAILED)

    @property
    def mismatch(self) -> str:
        """Return in what ledger and server differ over it; empty where they do not."""
        if self.said in (Said.SILENT, Said.UNASKED):
            return ""
        if self.is_live:
            return {
                Said.KEPT: f"The ledger says that {self.version} is live; the server keeps it and "
                "does not answer with it.",
                Said.GONE: f"The ledger says that {self.version} is live; the server does not have "
                "it.",
            }.get(self.said, "")
        if self.said is Said.LIVE:
            return (
                f"The server answers with {self.version}; the ledger says that it is "
                f"{spoken(self.state)}."
            )
        if self.said is Said.GONE and self.is_there:
            return f"The server does not have {self.version} any more: no way back to it."
        if self.said is Said.KEPT and self.state == DeploymentState.REMOVED:
            return f"{self.version} was removed; the server still keeps it."
        return ""

    @property
    def is_idle(self) -> bool:
        """Say whether it is live in the ledger and only its server has to be started."""
        return self.is_live and self.said is Said.STOPPED

    @property
    def start(self) -> str:
        """Return what starts its server; for one that is not ours to start, who has to."""
        if self.target == "llama-cpp":
            return f"fathom serve {self.id.partition(':')[0]}"
        return f"start {self.target or 'its server'} where it runs"

    @property
    def is_serious(self) -> bool:
        """Say whether the difference is over what answers, and not only over what is kept."""
        return bool(self.mismatch) and (self.is_live or self.said is Said.LIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is live, and whether ledger and server agree on it."""

    accord: Accord
    live: Release | None
    """As the ledger has it."""
    serving: Release | None = None
    """As the server has it; None where it serves none of them, or was not reached."""
    reasons: tuple[str, ...] = ()
    """In what they differ, the serious differences first; or why the server was not reached."""


def server_answer(data: object) -> ServerAnswer:
    """Read what `fathom versions --json` printed.

    Raises:
        ValueError: It is no list of versions.
    """
    if not isinstance(data, list) or not all(isinstance(row, Mapping) for row in data):
        raise ValueError("no list of versions")
    problems = dict.fromkeys(str(row["error"]) for row in data if row.get("error"))
    return ServerAnswer(
        versions={text_of(row.get("version")): _said(row) for row in data},
        problems=tuple(problems),
    )


def _said(row: Mapping[str, Any]) -> Said:
    if row.get("error") or row.get("live") is None:
        return Said.SILENT
    if row["live"] is True:
        return Said.LIVE
    if row.get("kept") is not True:
        return Said.GONE
    return Said.STOPPED if row.get("answering") is False else Said.KEPT


def known(events: Iterable[Recorded]) -> list[Recorded]:
    """Return the deployment events that can be understood, in the journal's order."""
    whole = [row for row in events if row.get("id") and row.get("state") and row.get("version")]
    return sorted(whole, key=lambda row: int(row["seq"]))


def releases(
    events: Iterable[Recorded],
    answer: ServerAnswer | None,
    checks: Mapping[str, Check],
    facts: Mapping[str, RunFacts],
) -> list[Release]:
    """Return the versions of an engagement, the newest first and those that were removed last.

    Args:
        events: Its deployment events; a version's last one counts.
        answer: What the server said; None while it was not asked.
        checks: The last check of each deployment, by id.
        facts: What each run says of its file, by run.
    """
    rows = known(events)
    current = live(rows)
    found = [
        _release(
            row,
            is_live=current is not None and row["id"] == current["id"],
            answer=answer,
            check=checks.get(str(row["id"])),
            facts=facts.get(str(row.get("run"))) or RunFacts(),
        )
        for row in latest(rows).values()
    ]
    return sorted(found, key=_place)


def _place(release: Release) -> tuple[bool, int, str]:
    is_removed = release.state == DeploymentState.REMOVED
    return is_removed, -version_number(release.version), release.version


def _release(
    row: Recorded, *, is_live: bool, answer: ServerAnswer | None, check: Check | None,
    facts: RunFacts,
) -> Release:  # fmt: skip
    version = str(row["version"])
    asked = answer.versions.get(version, Said.UNASKED) if answer is not None else Said.UNASKED
    if asked is Said.STOPPED and not is_live:
        asked = Said.KEPT  # started again, it would answer with another one
    texts = {
        name: text_of(row.get(name))
        for name in ("target", "run", "url", "alias", "sha256", "previous", "reason")
    }
    return Release(
        id=str(row["id"]),
        version=version,
        state=str(row["state"]),
        is_live=is_live,
        said=asked,
        since=moment(row.get("at")),
        check=check,
        facts=facts,
        **texts,
    )


def standing(rows: Sequence[Release], answer: ServerAnswer | None) -> Standing:
    """Return what is live and whether ledger and server agree."""
    current = next((row for row in rows if row.is_live), None)
    if answer is None:
        return Standing(accord=Accord.UNASKED, live=current)
    serving = next((row for row in rows if row.said is Said.LIVE), None)
    differing = sorted((row for row in rows if row.mismatch), key=lambda row: not row.is_serious)
    reasons = tuple(row.mismatch for row in differing)
    if any(row.is_serious for row in differing):
        return Standing(accord=Accord.DIFFER, live=current, serving=serving, reasons=reasons)
    if current is not None and current.said in (Said.SILENT, Said.UNASKED):
        accord = Accord.SILENT if current.said is Said.SILENT else Accord.UNASKED
        return Standing(accord=accord, live=current, reasons=answer.problems)
    every = (*reasons, *answer.problems)
    if current is not None and current.is_idle:
        return Standing(accord=Accord.STOPPED, live=current, reasons=every)
    return Standing(accord=Accord.AGREE, live=current, serving=serving, reasons=every)


def run_facts(view: RunView) -> RunFacts:
    """Return what a run says of its file; what it does not say is None."""
    quantized = view.stages["quantize"].result
    made = view.artifacts.get("quantised")
    scores = view.result.get("scores")
    score = scores.get("quantised") if isinstance(scores, Mapping) else None
    score = score if isinstance(score, Mapping) else {}
    size = made.bytes if made is not None else number_of(quantized.get("bytes"))
    cases = number_of(score.get("n"))
    return RunFacts(
        score=number_of(score.get("value")),
        low=number_of(score.get("low")),
        high=number_of(score.get("high")),
        n=int(cases) if cases is not None else None,
        bytes=int(size) if size is not None else None,
        quantization=text_of(quantized.get("type") or view.config.get("quantization")),
        bits=number_of(quantized.get("effective_bits")),
        sha256=made.sha256 if made is not None else "",
    )


def accepted(view: RunView, waived: Iterable[str]) -> bool:
    """Say whether a run has a file that its evaluation, or a waiver, lets ship."""
    evaluate = view.stages["evaluate"]
    return bool(evaluate.result) and not blocking(evaluate.gates, waived)


def why_not_back(release: Release, accord: Accord) -> str:
    """Return why a roll-back cannot go to a version; empty where it can."""
    if release.is_idle and accord is not Accord.DIFFER:
        return f"{release.version} is live and its server is not running: {release.start}."
    if release.is_live and accord is not Accord.DIFFER:
        before = f" {release.previous} was before it." if release.previous else ""
        return f"{release.version} is live. Put the cursor on the one to go back to.{before}"
    if not release.is_there:
        return f"{release.version} is {spoken(release.state)}: there is no way back to it."
    if release.said is Said.GONE:
        return f"The server does not have {release.version} any more: deploy its run again."
    return ""


def why_not_removed(release: Release) -> str:
    """Return why a version cannot be removed; empty where it can."""
    if release.is_live:
        return f"{release.version} is live. Go to another one first, with b."
    if release.said is Said.LIVE:
        return f"The server answers with {release.version}. Go to another one first, with b."
    if release.state == DeploymentState.REMOVED and release.said is not Said.KEPT:
        return f"{release.version} is removed already."
    return ""


def spoken(state: str) -> str:
    """Return a state in words: `rolled back`."""
    return state.replace("_", " ")


def version_number(version: str) -> int:
    """Return 3 for `v3`; -1 for what is no version of ours, which comes last."""
    digits = version[1:]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else -1
