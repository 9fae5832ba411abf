"""Versions on an Ollama server: made once, moved by copy, taken up after any cut."""

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fathom_tui.errors import CouldNotCheck, EnvironmentProblem, NotFound, UsageError
from fathom_tui.runner.ollama_target import OllamaTarget
from fathom_tui.runner.targets import Target, open_target
from fathom_tui.serving import ServingSpec
from tests.runner.scripted_ollama import Body, Cuts, Says, Scripted, lines, scripted

NAME = "acme-triage"
HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted() as running:
        yield running


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "serving" / NAME


@pytest.fixture
def target(server: Scripted, root: Path) -> OllamaTarget:
    return OllamaTarget(root, NAME, environment={"OLLAMA_HOST": server.url})


def a_file(folder: Path, content: str = "one") -> tuple[Path, ServingSpec]:
    """Return a file that begins like a GGUF, and what to serve it with."""
    path = folder / f"{content}.gguf"
    path.write_bytes(b"GGUF" + content.encode())
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return path, ServingSpec(
        sha256=sha256, system="Triage.", n_ctx=2048, threads=2, max_new_tokens=16
    )


def half_written(state: Scripted, body: Body) -> Cuts:
    """Leave half a manifest of a create or a copy, and break off."""
    state.models[body.get("destination") or body["model"]] = {"half": "written"}
    return Cuts()


def made(target: OllamaTarget, folder: Path, *contents: str) -> list[str]:
    """Create a version of each content."""
    return [target.create(*a_file(folder, content)) for content in contents]


class TestBeforeAnything:
    def test_it_is_one_of_the_targets(self, root: Path) -> None:
        target: Target = open_target("ollama", root=root, alias=NAME, environment={})

        assert (target.name, target.alias) == ("ollama", "acme-triage:live")
        assert not root.exists()

    @pytest.mark.parametrize("name", ["", "-a", "a/b", "a:cloud", "été", "a b", "a" * 81, "../a"])
    def test_a_name_that_no_model_can_have_is_refused(self, name: str, root: Path) -> None:
        with pytest.raises(UsageError, match="cannot be the name of a model") as error:
            OllamaTarget(root, name, environment={})

        assert "letters, digits" in error.value.fix

    def test_without_a_server_all_is_unknown_and_says_how_to_start_one(
        self, root: Path, tmp_path: Path
    ) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        target = OllamaTarget(root, NAME, environment={"OLLAMA_HOST": f"127.0.0.1:{port}"})

        assert target.url is None
        for look in (lambda: target.versions, lambda: target.live, target.notes,
                     lambda: target.ask(HELLO, max_tokens=1), lambda: target.embed(["a"]),
                     lambda: target.render(HELLO, version="v1")):  # fmt: skip
            with pytest.raises(CouldNotCheck, match="No Ollama server answers at"):
                look()
        for change in (lambda: target.create(*a_file(tmp_path)), lambda: target.activate("v1"),
                       lambda: target.remove("v1"), target.stop):  # fmt: skip
            with pytest.raises(EnvironmentProblem, match="No Ollama server answers at") as error:
                change()
            assert "ollama serve" in error.value.fix

    def test_an_empty_server_has_nothing(self, target: OllamaTarget, server: Scripted) -> None:
        assert (target.versions, target.live) == ([], None)
        assert target.stop() is False
        assert target.notes() == []
        assert target.url == f"{server.url}/v1"
        with pytest.raises(NotFound, match="no version 'v1' of acme-triage") as error:
            target.activate("v1")
        assert error.value.fix == "Versions: none"

    def test_what_a_release_cannot_do_is_said(self, target: OllamaTarget, server: Scripted) -> None:
        server.version = "0.11.4"

        notes = target.notes()

        assert (
            notes[0]
            == "Ollama 0.11.4 cannot show the prompt that a chat renders: that needs 0.11.5."
        )
        assert target.render(HELLO, version="v1") is None


class TestCreate:
    def test_pins_all_that_changes_answers(
        self, target: OllamaTarget, server: Scripted, tmp_path: Path
    ) -> None:
        gguf, spec = a_file(tmp_path)
        odd = 'Say "yes" or """no""".\n\n日本 👨\u200d👩 \u00a0'

        target.create(gguf, replace(spec, system=odd, stop=("<|x|>",), license="Apache-2.0"))

        (body,) = server.bodies("POST", "/api/create")
        assert body == {
            "model": "acme-triage:v1",
            "stream": True,
            "files": {"model.gguf": f"sha256:{spec.sha256}"},
            "system": odd,
            "license": "Apache-2.0",
            "parameters": {
                "num_ctx": 2048, "temperature": 0, "seed": 0, "num_predict": 16,
                "repeat_penalty": 1.0, "stop": ["<|x|>"],
            },
        }  # fmt: skip

    def test_numbers_versions_and_keeps_what_they_are_made_of(
        self, target: OllamaTarget, tmp_path: Path, root: Path
    ) -> None:
        assert made(target, tmp_path, "one", "two", "three") == ["v1", "v2", "v3"]

        kept = json.loads((root / "v2.spec.json").read_text("utf-8"))
        _, spec = a_file(tmp_path, "two")
        assert ServingSpec.from_json(kept) == target.spec("v2") == spec
        assert (root / "v2.spec.json").stat().st_mode & 0o777 == 0o600
        assert root.stat().st_mode & 0o777 == 0o700
        assert target.spec("v9") is None

    def test_of_the_same_file_and_spec_is_the_same_version_and_sends_nothing(
        self, target: OllamaTarget, server: Scripted, tmp_path: Path
    ) -> None:
        gguf, spec = a_file(tmp_path)
        target.create(gguf, spec)
        before = len(server.bodies("POST", "/"))

        assert target.create(gguf, replace(spec, threads=64)) == "v1"

        assert len(server.bodies("POST", "/")) == before
        assert target.create(gguf, replace(spec, system="Other.")) == "v2"
        assert len(server.bodies("POST", "/api/blobs/")) == 1

    def test_counts_on_after_versions_of_other_targets_and_machines_and_of_removed_ones(
        self, target: OllamaTarget, server: Scripted, root: Path, tmp_path: Path
    ) -> None:
        root.mkdir(parents=True)
        (root / "v4.gguf").write_bytes(b"of the target llama-cpp")
        assert made(target, tmp_path, "one") == ["v5"]
        server.models[f"{NAME}:v7"] = {"from": "another machine"}
        assert made(target, tmp_path, "two") == ["v8"]

        target.remove("v8")

        assert made(target, tmp_path, "three", "two") == ["v9", "v10"]

    def test_comes_back_under_its_number_when_the_server_lost_it(
        self, target: OllamaTarget, server: Scripted, tmp_path: Path
    ) -> None:
        made(target, tmp_path, "one", "two")
        server.models.clear()
        server.blobs.clear()

        assert made(target, tmp_path, "two") == ["v2"]
        assert target.versions == ["v2"]

    def test_is_a_new_version_when_somebody_made_something_else_of_the_name(
        self, target: OllamaTarget, server: Scripted, tmp_path: Path
    ) -> None:
        made(target, tmp_path, "one")
        server.models[f"{NAME}:v1"] = {"from": "something else"}

        assert made(target, tmp_path, "one") == ["v2"]

    def test_finds_a_version_again_whose_record_is_damaged(
        self, target: OllamaTarget, root: Path, tmp_path: Path
    ) -> None:
        made(target, tmp_path, "one")
        (root / "v1.spec.json").write_text("{", "utf-8")

        assert made(target, tmp_path, "one") == ["v1"]
        assert target.versions == ["v1"]

    @pytest.mark.parametrize(
        ("path", "act"),
        [
            ("/api/blobs/", Cuts(read=2)),
            ("/api/blobs/", Says(500, {"error": "write: no space left on device"})),
            ("/api/create", Cuts()),
            ("/api/create", lines({"status": "parsing GGUF"})),
            ("/api/create", lines({"status": "parsing GGUF"}, {"error": "unexpected EOF"})),
            ("/api/create", Says(500, {"error": "no space left on device"})),
        ],
        ids=["upload cut", "disk full", "create cut", "no success", "error line", "disk full then"],
    )
    def test_that_failed_is_taken_up_under_its_number_and_nothing_goes_live_before(
        self, target: OllamaTarget, server: Scripted, tmp_path: Path, path: str, act: Says | Cuts
    ) -> None:
        made(target, tmp_path, "one")
        target.activate("v1")
        server.then("POST", path, act)

        with pytest.raises(EnvironmentProblem, match=f"POST {path}") as error:
            made(target, tmp_path, "two")
        assert error.value.fix
        assert (target.versions, target.live) == (["v1"], "v1")

        assert made(target, tmp_path, "two") == ["v2"]

    def test_cut_after_the_server_had_it_cannot_be_activated_but_finished(
        self, target: OllamaTarget, server: Scripted, tmp_path: Path
    ) -> None:
        server.then("POST", "/api/create", half_written)
        with pytest.raises(EnvironmentProblem, match="broke off"):
            made(target, tmp_path, "one")
        assert target.versions == ["v1"]

        with pytest.raises(EnvironmentProblem, match="create of acme-triage:v1 was cut"):
            target.activate("v1")
        assert made(target, tmp_path, "one") == ["v1"]
        target.activate("v1")
        assert target.live == "v1"

    def test_that_says_success_and_keeps_nothing_or_something_else_is_no_success(
        self, target: OllamaTarget, server: Scripted, tmp_path: Path
    ) -> None:
        def other(state: Scripted, body: Body) -> Says:
            state.models[body["model"]] = {"parameters": {"num_ctx": 4096}}
            return lines({"status": "success"})

        server.then("POST", "/api/create", lines({"status": "success"}), other)

        with pytest.raises(EnvironmentProblem, match="does not list acme-triage:v1"):
            made(target, tmp_path, "one")
        with pytest.raises(EnvironmentProblem, match="another num_ctx, temperature,.* system than"):
            made(target, tmp_path, "one")
        assert made(target, tmp_path, "one") == ["v1"]

    def test_on_a_server_too_old_for_it_is_refused_before_anything_is_sent(
        self, target: OllamaTarget, server: Scripted, tmp_path: Path
    ) -> None:
        server.version = "0.5.4"

        with pytest.raises(EnvironmentProblem, match="is 0.5.4, which cannot make models") as error:
            made(target, tmp_path, "one")

        assert error.value.fix == "Upgrade it to 0.5.5 or later."
        assert server.bodies("POST", "/") == []

    def test_of_what_is_no_gguf_is_refused_before_anything_is_sent(
        self, target: OllamaTarget, server: Scripted, tmp_path: Path
    ) -> None:
        gguf, spec = a_file(tmp_path)
        gguf.write_bytes(b"<html>")

        with pytest.raises(
            EnvironmentProblem, match="one.gguf is no GGUF file: it begins with b'<ht"
        ):
            target.create(gguf, spec)
        with pytest.raises(EnvironmentProblem, match="gone.gguf cannot be served: No such file"):
            target.create(tmp_path / "gone.gguf", spec)
        assert server.calls == []

    def test_of_a_file_that_changed_is_refused_by_the_server(
        self, target: OllamaTarget, tmp_path: Path
    ) -> None:
        gguf, spec = a_file(tmp_path)
        gguf.write_bytes(b"GGUF, but another")

        with pytest.raises(EnvironmentProblem, match="400: digest mismatch"):
            target.create(gguf, spec)

    def test_by_two_at_once_gives_each_its_number(
        self, server: Scripted, root: Path, tmp_path: Path
    ) -> None:
        got: list[str] = []

        def deploy(content: str) -> None:
            mine = OllamaTarget(root, NAME, environment={"OLLAMA_HOST": server.url})
            got.append(mine.create(*a_file(tmp_path, content)))

        threads = [threading.Thread(target=deploy, args=(f"file {n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(got) == ["v1", "v2", "v3", "v4"]


class TestActivate:
    def test_moves_the_alias_and_frees_the_memory_of_the_one_before(
        self, target: OllamaTarget, server: Scripted, tmp_path: Path
    ) -> None:
        made(target, tmp_path, "one", "two")
        target.activate("v1")
        assert target.live == "v1"

        target.activate("v2")

        assert target.live == "v2"
        assert f"{NAME}:v1" not in server.loaded and f"{NAME}:live" in server.loaded
        target.activate("v1")
        assert target.live == "v1"

    def test_again_changes_nothing(
        self, target: OllamaTarget, server: Scripted, tmp_path: Path
    ) -> None:
        made(target, tmp_path, "one", "two")
        target.activate("v1")
        target.activate("v2")
        copies = len(server.bodies("POST", "/api/copy"))

        target.activate("v2")

        assert len(server.bodies("POST", "/api/copy")) == copies
        assert target.live == "v2"

    def test_does_not_unload_weights_that_serve_on_under_other_settings(
        self, target: OllamaTarget, server: Scripted, tmp_path: Path
    ) -> None:
        gguf, spec = a_file(tmp_path)
        for system in ("Triage.", "Triage!"):
            target.activate(target.create(gguf, replace(spec, system=system)))

        unloaded = [b for b in server.bodies("POST", "/api/chat") if b.get("keep_alive") == 0]
        assert unloaded == []
        assert target.live == "v2"

    def test_of_a_version_that_does_not_answer_moves_nothing(
        self, target: OllamaTarget, server: Scripted, tmp_path: Path
    ) -> None:
        made(target, tmp_path, "one", "two")
        target.activate("v1")
        said = "model requires more system memory (9 GiB) than is available (1 GiB)"
        server.then("POST", "/api/chat", Says(500, {"error": said}))

        with pytest.raises(EnvironmentProblem, match="more system memory") as error:
            target.activate("v2")

        assert "ollama ps" in error.value.fix
        assert target.live == "v1"
        assert len(server.bodies("POST", "/api/copy")) == 1

    @pytest.mark.parametrize("first", [True, False])
    def test_that_fails_under_the_alias_puts_it_back(
        self, target: OllamaTarget, server: Scripted, tmp_path: Path, first: bool
    ) -> None:
        made(target, tmp_path, "one", "two")
        if not first:
            target.activate("v1")

        def breaks(state: Scripted, body: Body) -> Says:
            # The version answers, and what it is then asked under its alias fails.
            unloads = [Says(body={"done": True})] * (not first)
            state.then("POST", "/api/chat", *unloads, Says(500, {"error": "runner stopped"}))
            return Says(body={"done": True, "done_reason": "length"})

        server.then("POST", "/api/chat", breaks)
        with pytest.raises(EnvironmentProblem, match="500: runner stopped"):
            target.activate("v2")

        assert target.live == (None if first else "v1")
        assert (f"{NAME}:live" in server.models) is not first

    def test_whose_copy_is_half_written_puts_it_back(
        self, target: OllamaTarget, server: Scripted, tmp_path: Path
    ) -> None:
        made(target, tmp_path, "one", "two")
        target.activate("v1")

        server.then("POST", "/api/copy", half_written)
        with pytest.raises(EnvironmentProblem, match="broke off while it answered POST /api/copy"):
            target.activate("v2")

        assert target.live == "v1"

    def test_that_fails_takes_away_an_alias_whose_model_has_no_other_name(
        self, target: OllamaTarget, server: Scripted, tmp_path: Path
    ) -> None:
        made(target, tmp_path, "one")
        server.models[f"{NAME}:live"] = {"of": "a version deleted by hand"}
        server.then("POST", "/api/copy", Says(500, {"error": "no space left on device"}))

        with pytest.raises(EnvironmentProblem, match="no space left"):
            target.activate("v1")
        assert server.models[f"{NAME}:live"] == {"of": "a version deleted by hand"}

        server.then("POST", "/api/copy", half_written)
        with pytest.raises(EnvironmentProblem, match="broke off"):
            target.activate("v1")
        assert f"{NAME}:live" not in server.models

    def test_that_cannot_be_put_back_says_by_which_command_it_is(
        self, target: OllamaTarget, server: Scripted, tmp_path: Path
    ) -> None:
        made(target, tmp_path, "one", "two")
        target.activate("v1")

        server.then("POST", "/api/copy", half_written, Cuts())
        with pytest.raises(EnvironmentProblem, match="could not be put back to v1") as error:
            target.activate("v2")

        assert error.value.fix == (
            "When the server is back: ollama cp acme-triage:v1 acme-triage:live"
        )

    def test_leaves_the_alias_to_somebody_who_moves_it_at_the_same_time(
        self, target: OllamaTarget, server: Scripted, tmp_path: Path
    ) -> None:
        made(target, tmp_path, "one", "two", "three")
        target.activate("v1")

        def elsewhere(state: Scripted, body: Body) -> Says:
            state.models[body["destination"]] = state.models[f"{NAME}:v3"]
            return Says()

        server.then("POST", "/api/copy", elsewhere)
        with pytest.raises(EnvironmentProblem, match="was to be v2, and .* says it is v3"):
            target.activate("v2")

        assert target.live == "v3"

    def test_live_is_what_the_server_says_whoever_moved_it(
        self, target: OllamaTarget, server: Scripted, tmp_path: Path
    ) -> None:
        made(target, tmp_path, "one", "two")
        target.activate("v2")

        server.models[f"{NAME}:live"] = server.models[f"{NAME}:v1"]
        assert target.live == "v1"
        server.models[f"{NAME}:v9"] = server.models[f"{NAME}:v1"]
        assert target.live == "v1"
        server.models[f"{NAME}:live"] = {"something": "else"}
        assert target.live is None

    def test_names_have_no_case_and_other_models_are_not_ours(
        self, target: OllamaTarget, server: Scripted
    ) -> None:
        server.models = {"ACME-Triage:V2": {}, f"{NAME}-b:v3": {}, f"{NAME}:v03": {},
                         f"other/{NAME}:v4": {}, f"{NAME}:latest": {}}  # fmt: skip

        assert target.versions == ["v2"]


class TestAsk:
    def test_is_greedy_and_of_the_live_version_or_the_one_named(
        self, target: OllamaTarget, server: Scripted, tmp_path: Path
    ) -> None:
        made(target, tmp_path, "one")
        target.activate("v1")

        live, named = (target.ask(HELLO, max_tokens=9, version=v) for v in (None, "v1"))

        assert (live.text, named.text) == ("acme-triage:live says yes", "acme-triage:v1 says yes")
        assert (live.finish_reason, live.prompt_tokens, live.output_tokens) == ("stop", 7, 3)
        assert live.seconds > 0
        options = server.bodies("POST", "/api/chat")[-1]["options"]
        assert options == {"temperature": 0, "seed": 0, "repeat_penalty": 1.0, "num_predict": 9}

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            ({"message": {"content": "a a"}, "done": False}, "degenerate"),
            ({"message": {"content": "a a"}}, "degenerate"),
            ({"message": {"content": "a"}, "done": True, "done_reason": "length"}, "length"),
            ({"message": {"content": "a"}, "done": True}, "unknown"),
        ],
    )
    def test_an_answer_that_the_server_gave_up_is_degenerate(
        self, target: OllamaTarget, server: Scripted, answer: Body, reason: str
    ) -> None:
        server.models[f"{NAME}:live"] = {}
        server.then("POST", "/api/chat", Says(body=answer))

        assert target.ask(HELLO, max_tokens=9).finish_reason == reason

    def test_without_a_live_version_could_not_be_checked(self, target: OllamaTarget) -> None:
        with pytest.raises(CouldNotCheck, match="model 'acme-triage:live' not found"):
            target.ask(HELLO, max_tokens=9)

    def test_renders_and_embeds_where_the_server_can(
        self, target: OllamaTarget, server: Scripted
    ) -> None:
        server.models = {f"{NAME}:v1": {}, f"{NAME}:live": {}}
        cannot = {"error": "this model does not support embeddings"}
        broken = {"error": "model runner has unexpectedly stopped"}
        server.then("POST", "/api/embed", Says(body={"embeddings": [[1.0]]}), Says(501, cannot),
                    Says(500, broken))  # fmt: skip

        assert target.render(HELLO, version="v1") == "user:hello"
        assert target.embed([]) == []
        assert target.embed(["a"]) == [[1.0]]
        assert target.embed(["a"]) is None
        with pytest.raises(CouldNotCheck, match="unexpectedly stopped"):
            target.embed(["a"])


class TestRemove:
    def test_refuses_the_live_version_and_one_that_is_not_there(
        self, target: OllamaTarget, tmp_path: Path
    ) -> None:
        made(target, tmp_path, "one", "two")
        target.activate("v1")

        with pytest.raises(UsageError, match="acme-triage:v1 is live"):
            target.remove("v1")
        target.remove("v2")
        with pytest.raises(NotFound, match="no version 'v2'") as error:
            target.remove("v2")

        assert error.value.fix == "Versions: v1"

    def test_stop_takes_the_alias_away_and_activation_brings_it_back(
        self, target: OllamaTarget, server: Scripted, tmp_path: Path
    ) -> None:
        made(target, tmp_path, "one")
        target.activate("v1")

        assert target.stop() is True

        assert (target.live, target.versions) == (None, ["v1"])
        assert f"{NAME}:live" not in server.loaded
        assert target.stop() is False
        target.activate("v1")
        assert target.live == "v1"
