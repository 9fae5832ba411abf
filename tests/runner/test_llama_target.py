"""The target `llama-cpp`: versions with their specs, and the real server behind the protocol."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fathom_tui.errors import CouldNotCheck, EnvironmentProblem, NotFound, UsageError
from fathom_tui.runner.embedded import embedded_gguf
from fathom_tui.runner.embedding import embed
from fathom_tui.runner.llama_target import LlamaCppTarget
from fathom_tui.runner.server import LlamaServer
from fathom_tui.runner.targets import Target, open_target
from fathom_tui.serving import ServingSpec

ALIAS = "acme-triage"
SPEC = ServingSpec(sha256="one", system="Triage.", n_ctx=512, threads=1, max_new_tokens=16)
HELLO = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say hello."}]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "serving" / ALIAS


@pytest.fixture
def target(root: Path) -> Iterator[LlamaCppTarget]:
    target = LlamaCppTarget(root, ALIAS)
    yield target
    target.stop()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"weights")
    return path


def test_is_the_default_target(root: Path) -> None:
    target: Target = open_target("llama-cpp", root=root, alias=ALIAS)

    assert isinstance(target, LlamaCppTarget)
    assert (target.name, target.alias, target.asks_any_version) == ("llama-cpp", ALIAS, False)
    assert (target.versions, target.live, target.url) == ([], None, None)


class TestVersions:
    def test_keep_how_they_are_served(self, target: LlamaCppTarget, file: Path) -> None:
        assert target.create(file, SPEC) == "v1"

        assert target.spec("v1") == SPEC
        assert target.spec("v2") is None

    def test_the_same_file_and_spec_is_one_version(
        self, target: LlamaCppTarget, file: Path
    ) -> None:
        assert [target.create(file, SPEC) for _ in range(3)] == ["v1", "v1", "v1"]

    @pytest.mark.parametrize(
        "other",
        [
            replace(SPEC, n_ctx=1024),
            replace(SPEC, system="Other."),
            replace(SPEC, stop=("END",)),
        ],
    )
    def test_the_same_file_served_otherwise_is_another(
        self, target: LlamaCppTarget, file: Path, other: ServingSpec
    ) -> None:
        target.create(file, SPEC)

        assert target.create(file, other) == "v2"
        assert target.create(file, SPEC) == "v1"

    def test_one_without_a_spec_is_taken_over_where_its_prompt_is_the_same(
        self, target: LlamaCppTarget, root: Path, file: Path
    ) -> None:
        LlamaServer(root, ALIAS).create(file, SPEC.sha256, SPEC.system)

        assert target.create(file, SPEC) == "v1"
        assert target.spec("v1") == SPEC

    def test_a_damaged_spec_is_named(self, target: LlamaCppTarget, root: Path, file: Path) -> None:
        target.create(file, SPEC)
        (root / "v1.spec.json").write_text("{}")

        with pytest.raises(EnvironmentProblem, match="v1.spec.json does not say how v1 is served"):
            target.activate("v1")

    def test_nothing_that_says_how_to_serve_is_an_error(
        self, target: LlamaCppTarget, root: Path, file: Path
    ) -> None:
        LlamaServer(root, ALIAS).create(file, "one", "Triage.")

        with pytest.raises(EnvironmentProblem, match="with how much context acme-triage v1"):
            target.activate("v1")

    def test_are_removed_with_all_that_is_kept_beside_them(
        self, target: LlamaCppTarget, root: Path, file: Path
    ) -> None:
        for name in ("one", "other"):
            target.create(file, replace(SPEC, sha256=name))
        (root / "v1.anchors.json").write_text("{}")

        target.remove("v1")

        assert target.versions == ["v2"]
        assert [path.name for path in root.glob("v1*")] == ["v1.removed"]
        assert target.spec("v2") is not None

    def test_a_removed_one_leaves_its_number_taken(
        self, target: LlamaCppTarget, file: Path
    ) -> None:
        for name in ("one", "other"):
            target.create(file, replace(SPEC, sha256=name))

        target.remove("v2")

        assert target.create(file, replace(SPEC, sha256="third")) == "v3"

    def test_the_live_one_is_not_removed(
        self, target: LlamaCppTarget, root: Path, file: Path
    ) -> None:
        target.create(file, SPEC)
        (root / "live.gguf").symlink_to("v1.gguf")

        with pytest.raises(UsageError, match="acme-triage v1 is live"):
            target.remove("v1")

        assert target.versions == ["v1"]

    def test_one_that_is_not_there_is_refused(self, target: LlamaCppTarget) -> None:
        for refuse in (target.remove, target.activate):
            with pytest.raises(NotFound, match="no version 'v7' of acme-triage") as error:
                refuse("v7")
            assert error.value.fix == "Versions: none"


class TestWithoutAServer:
    def test_a_question_says_how_to_start_it(self, target: LlamaCppTarget) -> None:
        with pytest.raises(CouldNotCheck, match="server of acme-triage is not running") as error:
            target.ask(HELLO, max_tokens=4)

        assert error.value.fix == "fathom serve acme-triage"

    def test_the_live_version_is_the_one_that_would_be_served(
        self, target: LlamaCppTarget, root: Path, file: Path
    ) -> None:
        target.create(file, SPEC)
        (root / "live.gguf").symlink_to("v1.gguf")

        assert (target.live, target.url) == ("v1", None)
        assert target.stop() is False

    def test_nothing_live_has_no_embeddings(self, target: LlamaCppTarget) -> None:
        with pytest.raises(CouldNotCheck, match="No version of acme-triage is live"):
            target.embed(["text"])


@pytest.mark.slow
class TestServed:
    @pytest.fixture(scope="class")
    def served(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaCppTarget]:
        target = LlamaCppTarget(tmp_path_factory.mktemp("serving") / ALIAS, ALIAS)
        target.create(embedded_gguf(), SPEC)
        target.create(embedded_gguf(), replace(SPEC, stop=("hello", "Hello")))
        target.activate("v1")
        yield target
        target.stop()

    def test_answers_with_all_that_the_protocol_tells(self, served: LlamaCppTarget) -> None:
        answer = served.ask(HELLO, max_tokens=24)

        assert answer.text
        assert served.ask(HELLO, max_tokens=24, version="v1").text
        assert answer.finish_reason in ("stop", "length")
        assert answer.prompt_tokens and answer.output_tokens and answer.output_tokens <= 24
        assert answer.seconds > 0
        assert served.render(HELLO, version="v1") is None

    def test_an_answer_that_was_cut_says_so(self, served: LlamaCppTarget) -> None:
        answer = served.ask(HELLO, max_tokens=1)

        assert (answer.finish_reason, answer.output_tokens) == ("length", 1)

    def test_another_version_than_the_live_one_cannot_be_asked(
        self, served: LlamaCppTarget
    ) -> None:
        with pytest.raises(CouldNotCheck, match="serves v1, not v2"):
            served.ask(HELLO, max_tokens=4, version="v2")

    def test_what_is_live_is_what_the_process_has_loaded(self, served: LlamaCppTarget) -> None:
        link = served._root / "live.gguf"
        link.unlink()
        link.symlink_to("v2.gguf")

        assert served.live == "v1"
        for version in ("v1", "v2"):
            with pytest.raises(UsageError):
                served.remove(version)
        link.unlink()
        link.symlink_to("v1.gguf")

    def test_a_request_that_is_refused_is_a_clear_error(self, served: LlamaCppTarget) -> None:
        with pytest.raises(CouldNotCheck, match="did not answer a chat request"):
            served.ask([{"role": "user", "content": "word " * 2000}], max_tokens=4)

    def test_embeds_through_the_live_file(self, served: LlamaCppTarget) -> None:
        texts = ["My card was stolen.", "My card is gone.", "日本 🙂 pudding recipe"]

        vectors = served.embed(texts)

        assert vectors is not None
        assert [len(vector) for vector in vectors] == [576] * 3
        assert all(math.hypot(*vector) == pytest.approx(1.0, abs=1e-5) for vector in vectors)
        card, gone, other = vectors
        assert math.dist(card, gone) < math.dist(card, other)

    def test_goes_over_to_another_version_and_keeps_its_stops(self, served: LlamaCppTarget) -> None:
        before = served.url

        served.activate("v2")

        assert (served.live, served.url) == ("v2", before)
        assert "ello" not in served.ask(HELLO, max_tokens=24).text
        served.activate("v1")
        assert served.live == "v1"


def test_a_file_that_is_no_model_has_no_embeddings(tmp_path: Path, file: Path) -> None:
    with pytest.raises(CouldNotCheck, match="gives no embeddings"):
        embed(file, ["text"])


def test_a_text_of_any_length_is_embedded() -> None:
    (long,) = embed(embedded_gguf(), ["word " * 3000])

    assert len(long) == 576
