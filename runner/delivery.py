"""What a run's package is written from: the run, its deployments, its cases, its licence."""

import json
from dataclasses import replace
from importlib import resources
from pathlib import Path

from fathom_tui.anchors import AnchorSet, read_anchor_set
from fathom_tui.deployment import live, served_last
from fathom_tui.errors import EnvironmentProblem, GateRefused, NotFound, UsageError
from fathom_tui.licences import Licence, licence_of
from fathom_tui.package import (
    Delivery,
    ScoredCase,
    is_scored,
    not_accepted,
    read_scored,
    run_number,
)
from fathom_tui.recipe import Plan
from fathom_tui.runner.deploy import anchor_set, serving_spec
from fathom_tui.runner.package_verify import hash_of
from fathom_tui.runner.stage import Job
from fathom_tui.runs import RunView
from fathom_tui.serving import ServingSpec
from fathom_tui.store import Home, Store

_LEAST_PRIVATE = 2
"""Parts a directory's path needs to be told apart from a word in a text."""
_LICENCE_NAMES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE")


def choose_run(store: Store, slug: str) -> str:
    """Return the run whose file is delivered: the live one's, else the newest that was accepted.

    Raises:
        NotFound: The engagement has no run.
        GateRefused: No run has a file that may be handed over.
    """
    serving = live(store.deployments(slug))
    if serving is not None:
        return str(serving["run"])
    rows = store.runs(slug)
    if not rows:
        raise NotFound(f"{slug} has no run, so there is no file.", fix=f"fathom run {slug}")
    for row in rows:
        view = store.run_view(row.id)
        if is_scored(view) and not not_accepted(view, _waived(store, view)):
            return row.id
    return rows[0].id  # which says why there is none


def _waived(store: Store, view: RunView) -> set[str]:
    return {str(row["gate"]) for row in store.waivers(view.engagement, view.id)}


def gather(store: Store, slug: str, run_id: str) -> Delivery:
    """Return all that a run's package is written from.

    Raises:
        NotFound: There is no such run.
        UsageError: The run is another engagement's, or its data was purged.
        GateRefused: The run has no accepted file.
        EnvironmentProblem: A file of the run is missing or damaged.
    """
    view = store.run_view(run_id)
    if view.engagement != slug:
        raise UsageError(f"{run_id} is a run of {view.engagement}.", fix=f"fathom runs {slug}")
    _require_accepted(view, _waived(store, view))
    plan = Plan.from_json(view.config)
    job = _job(store.home, view, plan)
    made = view.artifacts["quantised"]
    deployments = tuple(
        row
        for row in store.deployments(slug)
        if row.get("run") == run_id and row.get("sha256") == made.sha256
    )
    served = served_last(deployments)
    cases = read_scored(_answers(store, job))
    version = str(served["version"]) if served else run_number(run_id)
    return Delivery(
        slug=slug,
        title=store.engagement(slug).name,
        view=view,
        plan=plan,
        version=version,
        spec=_spec(job, version, made.sha256),
        anchors=_anchors(job, version, made.sha256),
        bytes=made.bytes,
        cases=cases,
        free_right=_free_right(job, cases),
        adapter_sha256=_adapter_sha256(job, view),
        licence=base_licence(plan, view),
        waivers=tuple(store.waivers(slug, run_id)),
        deployments=deployments,
        checks=tuple(c for c in store.checks(slug) if served and c["deployment"] == served["id"]),
        purges=tuple(store.purges(slug)),
        alerts=tuple(store.alerts(slug)),
        facts={str(row["key"]): row["value"] for row in store.facts(slug)},
        test_openings=store.test_openings(slug),
        private=_private(store.home, plan, view),
    )


def _require_accepted(view: RunView, waived: set[str]) -> None:
    refusals = not_accepted(view, waived)
    if refusals:
        first = refusals[0]
        raise GateRefused(
            f"{view.id} has no accepted file: gate {first.name} refused: {first.reason}",
            fix=f"{first.fix} Or take responsibility: fathom waive {view.id} {first.name} "
            "--by NAME --reason TEXT".strip(),
        )
    if not is_scored(view):
        raise GateRefused(
            f"{view.id} is {view.state.value} and has no file that was scored.",
            fix=f"fathom resume {view.id}, or name another run: --run RUN",
        )


def _job(home: Home, view: RunView, plan: Plan) -> Job:
    return Job(
        run=view.id,
        stage="deploy",
        run_dir=home.run(view.id),
        cache=home.cache,
        serving=home.data / "serving" / view.engagement,
        engagement=view.engagement,
        plan=plan,
        results={name: stage.result for name, stage in view.stages.items()},
    )


def _spec(job: Job, version: str, sha256: str) -> ServingSpec:
    path = job.serving / f"{version}.spec.json"
    if not path.is_file():
        return serving_spec(job, sha256)
    try:
        return ServingSpec.from_json(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EnvironmentProblem(
            f"{path} does not say how {version} is served: {error!r}.",
            fix=f"Deploy it again: fathom deploy {job.engagement}",
        ) from error


def _anchors(job: Job, version: str, sha256: str) -> AnchorSet:
    path = job.serving / f"{version}.anchors.json"
    if path.is_file():
        return read_anchor_set(path)
    try:
        return replace(anchor_set(job, sha256), version=version)
    except (OSError, ValueError, KeyError) as error:
        raise EnvironmentProblem(
            f"The anchors of {job.run} cannot be read: {error}.",
            fix=f"Restore {job.run_dir / 'verify'}, or run the engagement again: "
            f"fathom run {job.engagement}",
        ) from error


def _answers(store: Store, job: Job) -> str:
    """Return the scored cases of a run.

    Raises:
        UsageError: They were purged.
        EnvironmentProblem: They are gone for another reason.
    """
    from fathom_tui.store.purged import refuse_purged

    path = job.run_dir / "evaluate" / "answers.jsonl"
    if not path.is_file():
        refuse_purged(store, job.run, "its evaluation cases cannot be delivered")
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise EnvironmentProblem(
            f"The answers of {job.run} cannot be read: {path}: {error.strerror}.",
            fix=f"Restore the file, or run the engagement again: fathom run {job.engagement}",
        ) from error


def _adapter_sha256(job: Job, view: RunView) -> str:
    found = view.artifacts.get("adapter")
    path = job.run_dir / (found.path if found else "train/adapter") / "adapter_model.safetensors"
    return hash_of(path) if path.is_file() else ""


def _free_right(job: Job, cases: tuple[ScoredCase, ...]) -> int | None:
    """Count the cases that the file answered rightly without a grammar; None if not kept.

    Raises:
        EnvironmentProblem: The answers are there and damaged.
    """
    path = job.run_dir / "evaluate" / "quantised.json"
    if not path.is_file():
        return None
    try:
        free = json.loads(path.read_text("utf-8"))["free"]
        rows = zip(free, cases, strict=True)
        return sum(job.plan.contract.parse(said) == dict(case.expected) for said, case in rows)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EnvironmentProblem(
            f"{path} does not hold the file's own answers: {error!r}.",
            fix=f"Restore it, or run the engagement again: fathom run {job.engagement}",
        ) from error


def base_licence(plan: Plan, view: RunView) -> Licence:
    """Return what is known of the base model's licence: its own files first, then the catalog."""
    from fathom_tui.catalog import find, load

    result = view.stages["preflight"].result
    directory = Path(str(result.get("model_dir", "")))
    try:
        row = find(load().models, str(result.get("model_name", "")), "model", "")
    except UsageError:
        row = None
    apache = resources.files("fathom_tui.assets").joinpath("licences/Apache-2.0.txt")
    return licence_of(
        card=_text(directory / "README.md") or "",
        text=next(filter(None, (_text(directory / name) for name in _LICENCE_NAMES)), None),
        row=row,
        apache=apache.read_text("utf-8"),
    )


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", errors="replace") if path.is_file() else None
    except OSError:
        return None  # a model that cannot be read any more says nothing of its licence


def _private(home: Home, plan: Plan, view: RunView) -> tuple[str, ...]:
    """Return the directories of this machine that no delivered file may name."""
    result = view.stages["preflight"].result
    found = [home.data, home.config, home.state, home.cache]
    found += [Path(given).parent for given in (plan.dataset, plan.test, plan.model) if given]
    named = (result.get("model_dir"), result.get("base_gguf"))
    found += [Path(str(value)).parent for value in named if value]
    # A relative path, `/data` and the like are no secret, and may stand in any text.
    kept = {str(p) for p in found if p.is_absolute() and len(p.parts) > _LEAST_PRIVATE}
    return tuple(sorted(kept))
