"""How a version goes live: created, asked what it must know, activated, asked again.

The step that moves the alias is announced in `release.json` beside the versions before it is made
and the file goes when its outcome is known. After a power cut whoever comes next finds it and
settles the matter: the new version answers its anchors, or the previous one returns.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from fathom_tui.anchors import Anchor, AnchorSet, read_anchor_set
from fathom_tui.datasets.cases import write_private
from fathom_tui.errors import EnvironmentProblem, FathomError
from fathom_tui.proportions import wilson
from fathom_tui.runner.folder import held
from fathom_tui.runner.numbers import number
from fathom_tui.runner.targets import Target
from fathom_tui.serving import Answer

Tell = Callable[[int, int, str], None]
"""Told of progress: done, total, note."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """An anchor that was not answered as it must be."""

    anchor: Anchor
    actual: str
    finish_reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the anchors of a version came to."""

    total: int
    misses: tuple[Miss, ...]
    seconds: float
    """Of all answers together."""
    median_s: float
    """Median seconds an answer; 0 where there was none."""
    lengths: tuple[int, ...]
    """Characters of each answer, in the anchors' order."""

    @property
    def passed(self) -> int:
        """Anchors answered as they must be."""
        return self.total - len(self.misses)

    def describe(self, where: str) -> str:
        """Return one line for people: the count, its interval and the first miss."""
        if not self.total:
            return "There are no anchors to ask."
        share = wilson(self.passed, self.total)
        text = (
            f"{self.passed} of {self.total} anchors pass {where} "
            f"(95 %: {share.low:.2f}–{share.high:.2f})"
        )
        if not self.misses:
            return f"{text}."
        first = self.misses[0]
        ended = "" if first.finish_reason == "stop" else f" ({first.finish_reason})"
        return (
            f"{text}; {first.anchor.id} answered {first.actual!r}{ended} instead of "
            f"{first.anchor.expected!r}."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A step that was announced and whose outcome is not known."""

    version: str
    previous: str | None
    target: str | None
    """Name of the serving target; None in notes of older versions."""


def anchors_path(root: Path, version: str) -> Path:
    """Return where a version's anchors stand."""
    return root / f"{version}.anchors.json"


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Hold the engagement's release lock: two releases at once would undo each other.

    Raises:
        EnvironmentProblem: Another release is under way.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(held(root, name="release.lock", wait=False))
        except BlockingIOError:
            raise EnvironmentProblem(
                f"Another release of {root.name} is under way.",
                fix="Wait until it ends, then try again.",
            ) from None
        yield


def pending(root: Path) -> Pending | None:
    """Return the release that was cut short, if there is one."""
    try:
        data = json.loads((root / "release.json").read_text("utf-8"))
        previous, target = data["previous"], data.get("target")
        return Pending(
            version=_version(data["version"]),
            previous=None if previous is None else _version(previous),
            target=None if target is None else str(target),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise EnvironmentProblem(
            f"{root / 'release.json'} does not say which release was under way: {error!r}.",
            fix="Look which version is live (fathom versions), then remove the file.",
        ) from error


def _version(value: object) -> str:
    if isinstance(value, str) and number(value) is not None:
        return value
    raise ValueError(f"{str(value)[:40]!r} is no version")


def announce(root: Path, version: str, previous: str | None, target: str | None = None) -> None:
    """Say that the alias is about to move."""
    data = {"version": version, "previous": previous, "target": target}
    write_private(root / "release.json", json.dumps(data).encode())


def concluded(root: Path) -> None:
    """Say that the outcome of the last announced step is known."""
    (root / "release.json").unlink(missing_ok=True)


def keep_anchors(root: Path, anchors: AnchorSet) -> None:
    """Write a version's anchors, readable by their owner only."""
    text = json.dumps(anchors.to_json(), ensure_ascii=False, indent=1)
    write_private(anchors_path(root, anchors.version), text.encode())


def ask(
    target: Target, anchors: AnchorSet, *, version: str | None = None, tell: Tell | None = None
) -> Asked:
    """Ask every anchor; the live version unless another is named.

    Raises:
        CouldNotCheck: The server does not answer.
    """
    answers: list[Answer] = []
    misses: list[Miss] = []
    begun = time.monotonic()
    for anchor in anchors.anchors:
        answer = target.ask(
            anchors.messages(anchor.input), max_tokens=anchors.max_new_tokens, version=version
        )
        answers.append(answer)
        if not anchors.right(anchor, answer.text) or answer.finish_reason != "stop":
            misses.append(
                Miss(anchor=anchor, actual=answer.text, finish_reason=answer.finish_reason)
            )
        if tell is not None:
            tell(len(answers), len(anchors.anchors), f"{len(misses)} failed")
    return Asked(
        total=len(answers),
        misses=tuple(misses),
        seconds=time.monotonic() - begun,
        median_s=_median([answer.seconds for answer in answers]),
        lengths=tuple(len(answer.text) for answer in answers),
    )


def go_live(target: Target, root: Path, version: str) -> str | None:
    """Move the alias to a version and return what was live before.

    The step stays announced until its outcome is in the ledger: see `concluded`.

    Raises:
        EnvironmentProblem: The version does not come up; everything is as it was.
    """
    previous = target.live
    announce(root, version, previous, target.name)
    try:
        target.activate(version)
    except FathomError:
        if previous == version or _stands_elsewhere(target, version):
            concluded(root)
        raise
    return previous


def _stands_elsewhere(target: Target, version: str) -> bool:
    """Say whether the alias is known not to stand for a version."""
    try:
        return target.live != version
    except FathomError:
        return False  # the server is gone: whoever comes next has to look


def confirm(root: Path, anchors: AnchorSet, asked: Asked) -> None:
    """Keep the live version: its usual time an answer is noted."""
    keep_anchors(root, replace(anchors, seconds=round(asked.median_s, 4)))


def roll_back(target: Target, previous: str | None) -> str:
    """Bring the previous version back, or stop answering; say which."""
    if previous is None:
        target.stop()
        return "There is no earlier version: it no longer answers."
    target.activate(previous)
    return f"Version {previous} is live again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What became of a release that had been cut short."""

    version: str
    previous: str | None
    kept: bool
    said: str


def settle(target: Target, root: Path) -> Settled | None:
    """Finish a release that was cut short: the version answers its anchors or the old one returns.

    Returns None where nothing was cut short. It stays announced until the caller has recorded what
    became of it: see `concluded`.

    Raises:
        CouldNotCheck, EnvironmentProblem: The server does not answer; it stays announced.
    """
    open_step = pending(root)
    if open_step is None:
        return None
    version, previous = open_step.version, open_step.previous
    if target.live != version:
        said = f"The release of {version} was cut short before it went live."
        return Settled(version=version, previous=previous, kept=False, said=said)
    if target.url is None:
        target.activate(version)
    anchors = read_anchor_set(anchors_path(root, version))
    asked = ask(target, anchors)
    found = f"The release of {version} was cut short; {asked.describe('now')}"
    if not asked.misses:
        confirm(root, anchors, asked)
        return Settled(version=version, previous=previous, kept=True, said=found)
    said = f"{found} {roll_back(target, previous if previous != version else None)}"
    return Settled(version=version, previous=previous, kept=False, said=said)


def _median(seconds: Sequence[float]) -> float:
    return statistics.median(seconds) if seconds else 0.0
