"""What the Deploy screen reads: the ledger, the runs, and what lies beside the versions."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fathom_tui.check_events import Check, Recorded, check_of
from fathom_tui.deployment import live
from fathom_tui.errors import FathomError
from fathom_tui.releases import RunFacts, accepted, known, run_facts
from fathom_tui.runs import RunView
from fathom_tui.screens.deploy_packed import package_here
from fathom_tui.serving import ServingSpec

if TYPE_CHECKING:
    from fathom_tui.store.ledger import Store
    from fathom_tui.store.rows import RunRow, Watching

SHARED_CHECKS = 24
"""As many as the Health screen asks for: one answer of the ledger serves both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An engagement with something to deploy, or deployed."""

    slug: str
    live: str
    """Version that the ledger holds for live; empty where none is."""
    versions: int
    accepted: str
    """The newest run whose file may ship; empty where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Everything read of the engagement under the cursor."""

    slug: str
    events: Sequence[Recorded]
    """Its deployment events, oldest first."""
    checks: Mapping[str, Check]
    """The last one of each deployment."""
    views: Mapping[str, RunView]
    """The runs of its versions, and the accepted one."""
    lost: Mapping[str, str]
    """Runs that cannot be read, and why."""
    waivers: Sequence[Recorded]
    specs: Mapping[str, ServingSpec]
    """What the versions are served with, where that is kept."""
    odd_specs: Mapping[str, str]
    """Versions whose spec cannot be read, and why."""
    with_anchors: frozenset[str]
    """Versions whose anchors are kept."""
    packaged: str = ""
    """What the ledger says of the last package."""
    packaged_at: Path | None = None
    """Where that package is; None where nobody knows, for the ledger does not say."""
    facts: Mapping[str, RunFacts] = field(default_factory=dict)

    @property
    def signature(self) -> object:
        """Return what changes when a deployment does."""
        return len(self.events), self.events[-1]["seq"] if self.events else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployNews:
    """What a look found."""

    entries: Sequence[Entry]
    record: Record | None
    problem: FathomError | None
    """Why the record could not be read."""


class Reader:
    """Reads the ledger; a run is read again only when its journal has changed.

    Args:
        store: The ledger.
    """

    def __init__(self, store: "Store") -> None:
        self._store = store
        self._views: dict[str, tuple[object, RunView]] = {}

    def look(self, slug: str) -> DeployNews:
        """Return all engagements with versions, and everything about one of them.

        Args:
            slug: The one that is looked at; the first one where it is not there.
        """
        entries = self._entries()
        known_slugs = [entry.slug for entry in entries]
        if slug not in known_slugs:
            slug = known_slugs[0] if known_slugs else ""
        record, problem = None, None
        if slug:
            try:
                chosen = next(entry for entry in entries if entry.slug == slug)
                record = self._record(slug, chosen.accepted)
            except FathomError as error:
                problem = error
        return DeployNews(entries=entries, record=record, problem=problem)

    def _entries(self) -> list[Entry]:
        seen, runs = self._store.watched(SHARED_CHECKS), self._store.runs()
        by_slug: dict[str, list[RunRow]] = {}
        for row in runs:
            by_slug.setdefault(row.engagement, []).append(row)
        found = [self._entry(slug, seen, by_slug.get(slug, ())) for slug in seen.slugs]
        return [entry for entry in found if entry.versions or entry.accepted]

    def _entry(self, slug: str, seen: "Watching", runs: "Sequence[RunRow]") -> Entry:
        rows = known(row for row in seen.deployments if row["engagement"] == slug)
        current = live(rows)
        return Entry(
            slug=slug,
            live=str(current["version"]) if current is not None else "",
            versions=len(rows),
            accepted=next((row.id for row in runs if self._is_accepted(row)), ""),
        )

    def _is_accepted(self, row: "RunRow") -> bool:
        """Say whether a run has an accepted file; only a refusal needs a look at its journal."""
        evaluate = next((stage for stage in row.stages if stage.name == "evaluate"), None)
        if evaluate is None or evaluate.state not in ("done", "refused"):
            return False
        if evaluate.state == "done" and evaluate.verdict != "refuse":
            return True
        try:
            waived = {str(w["gate"]) for w in self._store.waivers(row.engagement, row.id)}
            return bool(waived) and accepted(self._view(row.id), waived)
        except FathomError:
            return False  # what is wrong with it is told where its run is shown

    def _record(self, slug: str, accepted_run: str) -> Record:
        from fathom_tui.store.live import watched

        found = watched(self._store.home, slug)
        events = known(found.deployments)
        ids = dict.fromkeys(str(row["id"]) for row in events)
        checks = {name: check_of(rows[-1]) for name in ids if (rows := found.checks(name))}
        names = [accepted_run, *(str(row.get("run")) for row in events if row.get("run"))]
        views, lost = self._run_views([name for name in dict.fromkeys(names) if name])
        versions = list(dict.fromkeys(str(row["version"]) for row in events))
        specs, odd = self._specs(slug, versions)
        return Record(
            slug=slug,
            events=events,
            checks=checks,
            views=views,
            lost=lost,
            waivers=self._store.waivers(slug),
            specs=specs,
            odd_specs=odd,
            with_anchors=frozenset(
                version for version in versions if self._beside(slug, version, "anchors")
            ),
            packaged=(packaged := str(found.facts.get("package") or "")),
            packaged_at=package_here(packaged, Path.cwd()),
            facts={name: run_facts(view) for name, view in views.items()},
        )

    def _run_views(self, names: Sequence[str]) -> tuple[dict[str, RunView], dict[str, str]]:
        views: dict[str, RunView] = {}
        lost: dict[str, str] = {}
        for name in names:
            try:
                views[name] = self._view(name)
            except FathomError as error:
                lost[name] = error.message
        return views, lost

    def _view(self, run: str) -> RunView:
        path = self._store.home.run_journal(run)
        try:
            stat = path.stat()
            now: object = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
        except OSError:
            now = None
        seen, view = self._views.get(run, (None, None))
        if view is None or now is None or seen != now:
            view = self._store.run_view(run)
            self._views[run] = now, view
        return view

    def _beside(self, slug: str, version: str, what: str) -> str | None:
        """Return the text of a version's file; None where there is none."""
        if "/" in version:
            return None  # no version of ours, and no name of a file
        folder = self._store.home.data / "serving" / slug
        try:
            return (folder / f"{version}.{what}.json").read_text("utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            return f"{type(error).__name__}"

    def _specs(
        self, slug: str, versions: Sequence[str]
    ) -> tuple[dict[str, ServingSpec], dict[str, str]]:
        specs: dict[str, ServingSpec] = {}
        odd: dict[str, str] = {}
        for version in versions:
            text = self._beside(slug, version, "spec")
            if text is None:
                continue
            try:
                data: Any = json.loads(text)
                specs[version] = ServingSpec.from_json(data)
            except (ValueError, KeyError, TypeError) as error:
                odd[version] = f"{version}.spec.json cannot be understood: {error!r}"
        return specs, odd
