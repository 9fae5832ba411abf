"""What may be deployed, and which deployment a delivery speaks of."""

import shutil
from pathlib import Path

import pytest

from fathom_tui.deployment import served_last
from fathom_tui.errors import EnvironmentProblem, UsageError
from fathom_tui.runner.delivery import gather
from fathom_tui.runner.rollout import Rollouts
from fathom_tui.store import Home, Store
from fathom_tui.store.purge import purge
from fathom_tui.store.purge_plan import plan_purge
from tests.delivering import engage, finish


def rows(*states: str) -> list[dict[str, object]]:
    return [{"id": f"acme:v{n}", "state": state} for n, state in enumerate(states, 1)]


class TestDeploying:
    def test_a_file_that_was_changed_since_it_was_accepted_is_refused(
        self, home: Home, tmp_path: Path
    ) -> None:
        store = Store(home.prepare())
        slug = engage(store, tmp_path / "rows")
        run = finish(store, slug)
        with (home.run(run) / "quantize" / "model.q4_k_m.gguf").open("ab") as file:
            file.write(b"x")

        with pytest.raises(EnvironmentProblem, match=f"was changed since {run} accepted it"):
            Rollouts(store, slug, say=print).deploy(store.run_view(run), set(), None)

        assert len(store.deployments(slug)) == 1

    def test_a_run_whose_anchors_were_purged_says_so(self, home: Home, tmp_path: Path) -> None:
        store = Store(home.prepare())
        slug = engage(store, tmp_path / "rows")
        run = finish(store, slug)
        purge(store, plan_purge(store, slug, by="Ann", reason="the end"))
        shutil.rmtree(home.data / "serving" / slug)

        with pytest.raises(UsageError, match="was purged on .*: no anchors are left"):
            Rollouts(store, slug, say=print).deploy(store.run_view(run), set(), None)


class TestServedLast:
    @pytest.mark.parametrize(
        ("states", "found"),
        [
            ((), None),
            (("serving",), "acme:v1"),
            (("superseded", "serving"), "acme:v2"),
            (("serving", "created"), "acme:v1"),
            (("serving", "removed"), "acme:v1"),
            (("serving", "rolled_back"), "acme:v1"),
            (("superseded", "stopped", "failed"), "acme:v2"),
            (("created",), None),
            (("rolled_back", "removed"), None),
        ],
    )
    def test_is_what_serves_or_did_and_was_not_taken_back(
        self, states: tuple[str, ...], found: str | None
    ) -> None:
        chosen = served_last(rows(*states))

        assert (chosen["id"] if chosen else None) == found

    @pytest.mark.parametrize("state", ["created", "failed", "removed"])
    def test_a_later_version_that_never_served_changes_no_package(
        self, home: Home, tmp_path: Path, state: str
    ) -> None:
        store = Store(home.prepare())
        slug = engage(store, tmp_path / "rows")
        run = finish(store, slug)
        before = gather(store, slug, run)

        other = {**before.deployments[-1], "id": f"{slug}:v2", "version": "v2", "target": "vllm"}
        event = {key: value for key, value in other.items() if key not in ("seq", "at")}
        store.record(slug, "deployment", {**event, "state": state})
        after = gather(store, slug, run)

        assert len(after.deployments) == 2
        assert (after.name, after.version, after.anchors) == (
            before.name, before.version, before.anchors,
        )  # fmt: skip
        assert after.deployment is not None
        assert after.deployment["id"] == f"{slug}:v1"
