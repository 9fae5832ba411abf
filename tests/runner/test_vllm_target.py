"""The vLLM target against a scripted server; the unit around it is in test_user_manager.py."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fathom_tui.errors import CouldNotCheck, EnvironmentProblem, NotFound, UsageError
from fathom_tui.runner.install import _is_free
from fathom_tui.runner.targets import open_target
from fathom_tui.runner.vllm_target import VllmTarget
from fathom_tui.serving import ServingSpec
from fathom_tui.unit_file import environment_file
from tests.runner.watching import wait_until

SLUG = "acme-triage"
SPEC = ServingSpec(
    sha256="a" * 64, system="Triage.", n_ctx=512, threads=1, max_new_tokens=8, stop=("\n\n",)
)
MESSAGES = [{"role": "system", "content": "Triage."}, {"role": "user", "content": "My card é"}]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "serving" / SLUG


@pytest.fixture
def target(root: Path) -> VllmTarget:
    return VllmTarget(root, SLUG)


def a_run(folder: Path, content: str = "weights") -> Path:
    """Make what a run leaves of its merged model, and return its GGUF."""
    merged = folder / "merge" / "model"
    merged.mkdir(parents=True, exist_ok=True)
    (merged / "config.json").write_text("{}", "utf-8")
    (merged / "model.safetensors").write_text(content, "utf-8")
    gguf = folder / "quantize" / "model.gguf"
    gguf.parent.mkdir(exist_ok=True)
    gguf.write_text("gguf", "utf-8")
    return gguf


class TestVersions:
    def test_are_directories_of_weights_and_the_same_weights_are_the_same_version(
        self, target: VllmTarget, root: Path, tmp_path: Path
    ) -> None:
        first = target.create(a_run(tmp_path / "one"), SPEC)
        again = target.create(a_run(tmp_path / "copy"), SPEC)
        other = target.create(a_run(tmp_path / "two", "others"), SPEC)
        longer = target.create(a_run(tmp_path / "one"), replace(SPEC, n_ctx=1024))
        itself = target.create(tmp_path / "one" / "merge" / "model", SPEC)

        assert [first, again, other, longer, itself] == ["v1", "v1", "v2", "v3", "v1"]
        assert target.versions == ["v1", "v2", "v3"]
        assert (root / "v1" / "model.safetensors").read_text("utf-8") == "weights"
        assert ServingSpec.from_json(json.loads((root / "v1.spec.json").read_text())) == SPEC

    def test_are_numbered_after_those_of_other_targets(
        self, target: VllmTarget, root: Path, tmp_path: Path
    ) -> None:
        root.mkdir(parents=True)
        for name in ("v3.gguf", "v3.json", "v7.json", "vx.json"):
            (root / name).write_text("{}", "utf-8")

        assert target.create(a_run(tmp_path / "one"), SPEC) == "v8"
        assert target.versions == ["v8"]

    def test_without_merged_weights_are_refused_with_the_reason(
        self, target: VllmTarget, tmp_path: Path
    ) -> None:
        lonely = tmp_path / "run" / "quantize" / "model.gguf"
        lonely.parent.mkdir(parents=True)
        lonely.write_text("gguf", "utf-8")

        with pytest.raises(EnvironmentProblem, match=r"vLLM serves 16-bit weights.*merge/model"):
            target.create(lonely, SPEC)

        assert target.versions == []

    def test_that_are_not_there_are_refused_with_those_that_are(
        self, target: VllmTarget, tmp_path: Path
    ) -> None:
        target.create(a_run(tmp_path / "one"), SPEC)

        for act in (target.activate, target.remove):
            with pytest.raises(NotFound, match="no version 'v7'") as error:
                act("v7")
            assert error.value.fix == "Versions: v1"

    def test_are_removed_with_all_that_stands_beside_them(
        self, target: VllmTarget, root: Path, tmp_path: Path
    ) -> None:
        target.create(a_run(tmp_path / "one"), SPEC)

        target.remove("v1")

        assert target.versions == []
        assert [path.name for path in root.iterdir()] == ["v1.removed"]

    def test_a_removed_one_leaves_its_number_taken(
        self, target: VllmTarget, tmp_path: Path
    ) -> None:
        target.create(a_run(tmp_path / "one"), SPEC)

        target.remove("v1")

        assert target.create(a_run(tmp_path / "two"), SPEC) == "v2"


class TestWithoutAUnit:
    def test_nothing_is_activated_and_the_command_is_named(
        self, target: VllmTarget, tmp_path: Path
    ) -> None:
        target.create(a_run(tmp_path / "one"), SPEC)

        with pytest.raises(EnvironmentProblem, match="No unit runs vLLM") as error:
            target.activate("v1")

        assert error.value.fix == f"fathom runner install --target vllm --engagement {SLUG}"
        assert target.live is None
        assert target.url is None

    def test_a_question_is_a_clear_error(self, target: VllmTarget) -> None:
        with pytest.raises(CouldNotCheck, match="serves no version"):
            target.ask(MESSAGES, max_tokens=4)


def test_what_unit_and_clients_agree_on_is_private_and_the_key_stays(
    target: VllmTarget, root: Path
) -> None:
    target.prepare(scope="user", port=8123)
    key = (root / "vllm.key").read_text("utf-8")
    target.prepare(scope="user", port=8124)

    assert (root / "vllm.key").read_text("utf-8") == key
    assert len(key) > 40
    assert json.loads((root / "vllm.json").read_text("utf-8")) == {
        "scope": "user",
        "unit": f"fathom-vllm-{SLUG}.service",
        "port": 8124,
    }
    for name in ("vllm.key", "vllm.json"):
        assert (root / name).stat().st_mode & 0o777 == 0o600


class TestTheServer:
    @pytest.fixture
    def live(self, target: VllmTarget, root: Path, tmp_path: Path) -> Iterator[VllmTarget]:
        """Version 1 of two is served, as the unit would serve it."""
        port = next(port for port in range(18000, 19000) if _is_free(port))
        target.prepare(scope="user", port=port)
        target.create(a_run(tmp_path / "one"), SPEC)
        target.create(a_run(tmp_path / "two", "others"), SPEC)
        model = [("FATHOM_VLLM_MODEL", str(root / "v1"))]
        (root / "vllm.env").write_text(environment_file(model), "utf-8")
        key = (root / "vllm.key").read_text("utf-8").split('"')[1]
        program = Path(__file__).with_name("scripted_vllm.py")
        server = subprocess.Popen(
            [
                *(sys.executable, str(program), "serve", str(root / "v1")),
                *("--served-model-name", SLUG, "--host", "127.0.0.1", "--port", str(port)),
                *("--max-model-len", "512", "--gpu-memory-utilization", "0.9"),
            ],
            env={**os.environ, "VLLM_API_KEY": key},
            stdout=subprocess.DEVNULL,
        )
        try:
            wait_until("the server", lambda: target.url)
            yield target
        finally:
            server.kill()
            server.wait()

    def test_says_what_is_live_and_answers_greedily_with_the_stop_texts(
        self, live: VllmTarget
    ) -> None:
        answer = live.ask(MESSAGES, max_tokens=5)

        assert (live.live, live.name, live.alias) == ("v1", "vllm", SLUG)
        assert json.loads(answer.text) == {
            "model": SLUG,
            "messages": MESSAGES,
            "temperature": 0.0,
            "max_tokens": 5,
            "seed": 0,
            "stop": ["\n\n"],
        }
        assert (answer.finish_reason, answer.prompt_tokens, answer.output_tokens) == ("stop", 7, 3)

    def test_is_asked_for_its_live_version_alone(self, live: VllmTarget) -> None:
        assert live.ask(MESSAGES, max_tokens=1, version="v1").finish_reason == "stop"
        with pytest.raises(CouldNotCheck, match="vLLM serves v1 of acme-triage, not v2"):
            live.ask(MESSAGES, max_tokens=1, version="v2")

    def test_renders_the_live_version_and_embeds_nothing(self, live: VllmTarget) -> None:
        assert live.render(MESSAGES, version="v1") == "<system>Triage.<user>My card é<assistant>"
        assert live.render(MESSAGES, version="v2") is None
        assert live.embed(["a"]) is None

    def test_keeps_what_is_live(self, live: VllmTarget) -> None:
        with pytest.raises(UsageError, match="v1 is live"):
            live.remove("v1")
        live.remove("v2")

        assert live.versions == ["v1"]

    def test_lets_nobody_in_without_the_key(self, live: VllmTarget, root: Path) -> None:
        (root / "vllm.key").unlink()

        assert live.url is None
        with pytest.raises(CouldNotCheck, match="401"):
            assert live.live


def test_is_the_target_of_that_name(root: Path) -> None:
    target = open_target("vllm", root=root, alias=SLUG)

    assert isinstance(target, VllmTarget)
    assert target.asks_any_version is False
