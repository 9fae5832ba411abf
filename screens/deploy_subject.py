"""One engagement and one of its versions, as the ledger and the server have them: values alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fathom_tui.screens.deploy_asked import Answered, Question

if TYPE_CHECKING:
    # Loaded by the first look, after the first frame.
    from fathom_tui.releases import Release, Standing
    from fathom_tui.screens.deploy_read import Entry, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What the screen is about."""

    slug: str
    """Short name of the engagement; empty where there is none."""
    entry: "Entry | None"
    record: "Record | None"
    """None while it is being read."""
    rows: "Sequence[Release]"
    """The newest first, those that were removed last."""
    standing: "Standing"
    chosen: "Release | None"
    """The version under the cursor."""

    @property
    def run(self) -> str:
        """Return the run that made the version, else the one that could be deployed."""
        if self.chosen is not None:
            return self.chosen.run
        return self.entry.accepted if self.entry is not None else ""

    @property
    def server(self) -> Question:
        """Return what the server is asked."""
        return Question("server", self.slug)

    @property
    def checklist(self) -> Question:
        """Return what is asked about the run."""
        return Question("checklist", self.slug, self.run)

    @property
    def kept(self) -> "Release | None":
        """Return the version that the file of the accepted run is already."""
        record = self.record
        if self.entry is None or record is None or self.entry.accepted not in record.facts:
            return None
        run, sha256 = self.entry.accepted, record.facts[self.entry.accepted].sha256
        there = [row for row in self.rows if row.is_there]
        return next(
            (row for row in there if (row.sha256 == sha256 if sha256 else row.run == run)), None
        )

    @property
    def undeployed(self) -> str:
        """Return the accepted run that does not serve; empty where there is none."""
        if self.entry is None or self.record is None:
            return ""
        live, run = self.standing.live, self.entry.accepted
        serves = live is not None and (live.run == run or self.kept is live)
        return "" if serves else run


def subject(
    slug: str,
    entry: "Entry | None",
    record: "Record | None",
    answer: Answered | None,
    cursor: str,
) -> Subject:
    """Put together what is known.

    Args:
        slug: The engagement.
        entry: In the list.
        record: What was read of it; None while it is being read.
        answer: Of its server; None while it was not asked.
        cursor: The version under it; where it stands on none, that which is live, else the first.
    """
    from fathom_tui.releases import releases, standing

    said = answer.server if answer is not None else None
    found = releases(record.events, said, record.checks, record.facts) if record is not None else []
    start = next((row for row in found if row.is_live), found[0] if found else None)
    chosen = next((row for row in found if row.version == cursor), start)
    return Subject(
        slug=slug,
        entry=entry,
        record=record,
        rows=found,
        standing=standing(found, said),
        chosen=chosen,
    )
