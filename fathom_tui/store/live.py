"""What serves and how it was, straight from the journals: for commands that cannot wait for tables.

Reading 10,000 checks whole takes a quarter of a second, opening the database nearly as long. Only
the lines that matter are parsed here; a damaged one among them is refused as anywhere else, and
`fathom store check` looks at all of them.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fathom_tui.deployment import deployment_id, live
from fathom_tui.errors import NotFound, StoreError, UsageError
from fathom_tui.events import Event
from fathom_tui.store import journal
from fathom_tui.store.paths import Home, check_slug
from fathom_tui.store.whole import whole_deployments

FIRST, LAST = 5, 50
"""Checks of a deployment that are read: its first ones, to compare with, and its last ones."""
_ALERTS = 50

Row = dict[str, Any]
"""An event's data with its `seq` and `at`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What the ledger says of an engagement that is, or was, served."""

    slug: str
    name: str
    config: Mapping[str, Any]
    """The engagement's settings; empty where it has none."""
    deployments: tuple[Row, ...]
    """Every deployment event that can be used, oldest first."""
    notes: tuple[str, ...] = ()
    """Which deployment events were left out."""
    alerts: tuple[Row, ...]
    """The last alerts, oldest first."""
    facts: Mapping[str, Any]
    """The latest value of each fact."""
    checks: Callable[[str], list[Row]]
    """Gives the first and the last checks of the deployment with that id, oldest first."""

    @property
    def live(self) -> Mapping[str, Any] | None:
        """The deployment that the ledger holds for live; None where nothing serves."""
        return live(self.deployments)

    def of_version(self, version: str) -> Mapping[str, Any] | None:
        """Return what was last recorded of a version; None where the ledger does not know it."""
        wanted = deployment_id(self.slug, version)
        return next((row for row in reversed(self.deployments) if row.get("id") == wanted), None)


def slugs(home: Home) -> list[str]:
    """Return the short names of all engagements that have a journal."""
    try:
        entries = sorted(entry.name for entry in home.engagements.iterdir())
    except FileNotFoundError:
        return []
    return [name for name in entries if _is_slug(name) and home.engagement_journal(name).is_file()]


def watched(home: Home, slug: str) -> Watched:
    """Read an engagement's journal.

    Raises:
        NotFound: There is no such engagement.
        StoreError: A line that is needed is damaged.
    """
    path = home.engagement_journal(slug)
    try:
        lines = _Lines(path)
    except FileNotFoundError:
        known = slugs(home)
        raise NotFound(
            f"There is no engagement {slug!r}.",
            fix=f"There is: {', '.join(known[:10])}." if known else "There is no engagement yet.",
        ) from None
    created = next(lines.of("engagement_created"), None)
    if created is None:
        raise StoreError(
            f"{path} does not hold the event that made the engagement {slug!r}.",
            fix="Restore the file from a backup: fathom store check",
        )
    deployments, notes = whole_deployments(path, lines.of("deployment"))
    return Watched(
        slug=slug,
        name=str(created.get("name", slug)),
        config=created.get("config") or {},
        deployments=tuple(deployments),
        notes=tuple(notes),
        alerts=tuple(lines.of("alert", first=0, last=_ALERTS)),
        facts={str(row.get("key")): row.get("value") for row in lines.of("fact")},
        checks=lambda deployment: list(
            lines.of("check", first=FIRST, last=LAST, holding=deployment)
        ),
    )


def feedback(home: Home, slug: str) -> list[Row]:
    """Return what people said of an engagement's answers, oldest first.

    Raises:
        NotFound: There is no such engagement.
        StoreError: A line that is needed is damaged.
    """
    watched(home, slug)
    return list(_Lines(home.engagement_journal(slug)).of("feedback"))


def evaluation_inputs(home: Home, run: str) -> list[str] | None:
    """Return the inputs of a run's evaluation set; None where they are gone, as after a purge.

    Inputs alone: no answer is read and nothing is scored, so this does not open the test split.

    Raises:
        StoreError: The file is there and damaged.
    """
    path = home.run(run) / "data" / "test.jsonl"
    try:
        lines = path.read_bytes().split(b"\n")
        return [str(json.loads(line)["input"]) for line in lines if line]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path} is not a split: {error!r}.", fix="fathom store check names what was changed."
        ) from error


class _Lines:
    """A journal in memory, parsed line by line as it is asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        data = path.read_bytes()
        # A torn last line is left out, as every reader does.
        self._lines = data[: data.rfind(b"\n") + 1].split(b"\n")[:-1]

    def of(
        self, kind: str, *, first: int | None = None, last: int = 0, holding: str = ""
    ) -> Iterator[Row]:
        """Yield events of one kind, in order.

        Args:
            kind: As the journal spells it.
            first: How many from the beginning; None means all.
            last: How many from the end, beside the first ones.
            holding: Only those about this deployment.
        """
        marks = [f'"kind":"{kind}"'.encode()]
        if holding:
            marks.append(f'"deployment":{json.dumps(holding)}'.encode())
        found = [at for at, line in enumerate(self._lines) if all(mark in line for mark in marks)]
        if first is not None and len(found) > first + last:
            found = found[:first] + found[len(found) - last :]
        for at in found:
            event = self._event(at)
            if event is None or event.kind != kind:
                continue
            if not holding or event.data.get("deployment") == holding:
                yield {**event.data, "seq": event.seq, "at": event.at}

    def _event(self, at: int) -> Event | None:
        """Return the event of a line; None for a last one that is torn."""
        try:
            return Event.from_json(json.loads(self._lines[at]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            journal.read(
                self._path
            )  # refuses a damaged line by its number, and leaves out a torn one
            if at == len(self._lines) - 1:
                return None
            raise StoreError(
                f"{self._path}, line {at + 1} cannot be read: {error!r}.",
                fix="Restore the file from a backup: fathom store check",
            ) from error


def _is_slug(name: str) -> bool:
    try:
        return check_slug(name) == name
    except UsageError:
        return False
