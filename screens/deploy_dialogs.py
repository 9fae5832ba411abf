"""What is asked before something is done to a version, or why it is not done."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textual.screen import ModalScreen

from fathom_tui.screens.deploy_actions import Action
from fathom_tui.screens.deploy_gates import waivers_of
from fathom_tui.screens.deploy_subject import Subject
from fathom_tui.screens.deploy_words import deploy_text, remove_text, rollback_text
from fathom_tui.screens.words import clean
from fathom_tui.serving import TARGETS


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A question, and what its answer leads to."""

    dialog: ModalScreen[Any]
    action: Callable[[Any], Action | None]
    """From the dialog's answer; None where nothing is to be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why something is not even asked."""

    title: str
    why: str


def back(about: Subject) -> Proposal | Refusal | None:
    """Return the question before a roll-back to the version under the cursor."""
    from fathom_tui.releases import why_not_back

    row, record = about.chosen, about.record
    if row is None or record is None:
        return None
    why = why_not_back(row, about.standing.accord)
    if why:
        return Refusal(title="No way back", why=why)
    total = row.check.total if row.check is not None and row.check.total else 0
    has_anchors = row.version in record.with_anchors
    return _confirm(
        f"Make {row.version} of {about.slug} live?",
        rollback_text(row, about.standing, has_anchors=has_anchors, total=total),
        yes=f"Go to {row.version}",
        no="Leave all as it is",
        action=Action(
            slug=about.slug,
            doing=f"Going to {row.version}",
            arguments=["rollback", about.slug, "--to", row.version, "--json"],
        ),
    )


def deploy(about: Subject) -> Proposal | Refusal | None:
    """Return the question before the last accepted run is deployed."""
    record, kept = about.record, about.kept
    if about.entry is None or record is None or not about.entry.accepted:
        return None
    run = about.entry.accepted
    if kept is not None and kept.is_live and about.standing.accord != "differ":
        why = f"{kept.version} is the file of {run}, the last accepted run, and it is live."
        if kept.is_idle:
            why += f" Its server is not running: {kept.start}."
        return Refusal(title="Nothing new to deploy", why=why)
    view = record.views.get(run)
    target = str((view.config if view is not None else {}).get("target") or TARGETS[0])
    score = record.facts[run].score if run in record.facts else None
    waiver = waivers_of(record.waivers, run).get("anchors.served")
    return _confirm(
        f"Deploy {run}?",
        deploy_text(
            run,
            kept,
            about.standing,
            target=target,
            score=f"score {score:.3f}" if score is not None else "",
            waived_by=str(waiver["by"]) if waiver is not None else "",
        ),
        yes="Deploy it",
        no="Leave all as it is",
        action=Action(
            slug=about.slug,
            doing=f"Deploying {run}",
            arguments=["deploy", about.slug, "--run", run, "--json"],
        ),
    )


def remove(about: Subject) -> Proposal | Refusal | None:
    """Return the question before the version under the cursor is removed."""
    from fathom_tui.releases import why_not_removed

    row = about.chosen
    if row is None:
        return None
    why = why_not_removed(row)
    if why:
        return Refusal(title="Not removed", why=why)
    return _confirm(
        f"Remove {row.version} of {about.slug}?",
        remove_text(row, about.standing),
        yes=f"Remove {row.version}",
        no="Keep it",
        action=Action(
            slug=about.slug,
            doing=f"Removing {row.version}",
            arguments=["versions", about.slug, "--remove", row.version, "--json"],
        ),
    )


def pack(about: Subject) -> Proposal | None:
    """Return the question where the package of the version under the cursor goes."""
    from fathom_tui.screens.deploy_path import PathForm

    slug, run = about.slug, about.run
    if not run:
        return None

    def action(to: str | None) -> Action | None:
        arguments = ["package", slug, "--run", run, "--to", to or "", "--json"]
        return Action(slug=slug, doing=f"Packing {run}", arguments=arguments) if to else None

    form = PathForm(
        clean(f"Package of {run}"),
        "A directory and the same as one .tar.zst: the model, its anchors, benchmarks, checklist, "
        "licence, and a check that needs nothing but Python. It holds the client's test messages, "
        "and no training rows.",
        label="Write it below",
        path=Path.cwd(),
        yes="Write the package",
        directory=True,
    )
    return Proposal(dialog=form, action=action)


def verify(about: Subject, last: Path | None) -> Proposal | None:
    """Return the question which package is to be verified.

    Args:
        about: The engagement.
        last: Where the last package is; None where that is not known.
    """
    from fathom_tui.screens.deploy_path import PathForm

    if about.entry is None:
        return None

    def action(path: str | None) -> Action | None:
        if path is None:
            return None
        return Action(
            slug=about.slug,
            doing=f"Verifying {Path(path).name}",
            arguments=["package", "verify", path, "--json"],
        )

    form = PathForm(
        "Verify a package",
        "Every file against its checksum; then the model is loaded and asked its anchors, by our "
        f"own copy of the check that is in the package.{_where(about) if last is None else ''}",
        label="Package",
        path=last,
        example=f"DIR/{_name(about)}",
        yes="Verify it",
        directory=False,
    )
    return Proposal(dialog=form, action=action)


def _name(about: Subject) -> str:
    """Return what the last package is called, as the ledger has it."""
    said = about.record.packaged if about.record is not None else ""
    return clean(said.partition(" ")[0]) or "PACKAGE"


def _where(about: Subject) -> str:
    """Return why no package is proposed, and what to type instead."""
    if about.record is None or not about.record.packaged:
        return f"\n\nThe ledger knows of no package of {clean(about.slug)}: type where one is."
    return (
        f"\n\nThe ledger knows {_name(about)} and its sums, not where it was written, and it is "
        "not in the current directory. Type its path: DIR is what --to named."
    )


def _confirm(question: str, detail: str, *, yes: str, no: str, action: Action) -> Proposal:
    from fathom_tui.screens.confirm import Confirm

    dialog = Confirm(clean(question), detail, yes=clean(yes), no=no)
    return Proposal(dialog=dialog, action=lambda agreed: action if agreed else None)
