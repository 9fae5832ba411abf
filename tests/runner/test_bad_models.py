"""Models that cannot be used: one clear error, in a stage's own process, and the agent lives."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fathom_tui.contract import Contract
from fathom_tui.errors import EnvironmentProblem, UsageError
from fathom_tui.gates import Gate, Outcome
from fathom_tui.recipe import Plan
from fathom_tui.runner import preflight
from fathom_tui.runner.base_model import locate
from fathom_tui.runner.embedded import read_header
from fathom_tui.runner.preflight import disk_gate, memory_gate, weight_bytes
from fathom_tui.runner.stage import Job
from fathom_tui.runs import RunView
from fathom_tui.stages import RunState, StageState
from fathom_tui.store import Home, Store
from fathom_tui.store.requests import agent_alive
from tests.runner.broken_gguf import write_aborting_gguf
from tests.runner.toy import engage, put_in_cache, write_model, write_toy, write_weights
from tests.runner.watching import Seen
from tests.running import fathom

GB = 10**9
GIB = 1 << 30


@pytest.fixture
def enough(tmp_path: Path) -> Path:
    """Return a dataset that passes every gate of `data`, in under a second."""
    return write_toy(tmp_path / "enough.csv", 260)


def came_to(home: Home, dataset: Path, model: Path) -> RunView:
    """Run on a model with a detached agent; return the run once the agent is done with it."""
    slug = engage(home, dataset)  # the model comes in with the run, past the first look at it
    Store(home).create_engagement(
        "Bad", {**Store(home).engagement(slug).config, "model": str(model)}, slug="bad"
    )
    started = fathom(home, "run", "bad", "--json")
    assert started.returncode == 0, started.stderr
    run_id = json.loads(started.stdout)["run"]
    Seen(home, run_id).until("run_finished")
    assert agent_alive(home) is not None
    return Store(home).run_view(run_id)


class TestTheFileOfWeights:
    def test_one_that_is_no_gguf_is_named_and_the_agent_lives(
        self, lively: Home, enough: Path, model: Path
    ) -> None:
        gguf = put_in_cache(lively, model, b"this is no GGUF")
        view = came_to(lively, enough, model)

        assert view.state is RunState.FAILED
        assert view.error.startswith(f"llama.cpp cannot load {gguf}")
        assert view.stages["baseline"].state is StageState.FAILED

    def test_one_that_is_cut_short_is_named_and_the_agent_lives(
        self, lively: Home, enough: Path, model: Path, tmp_path: Path
    ) -> None:
        write_aborting_gguf(tmp_path / "whole.gguf")
        whole = (tmp_path / "whole.gguf").read_bytes()
        gguf = put_in_cache(lively, model, whole[: len(whole) // 2])
        view = came_to(lively, enough, model)

        assert view.error.startswith(f"llama.cpp cannot load {gguf}")

    def test_one_that_ends_the_process_is_an_event_and_the_agent_lives(
        self, lively: Home, enough: Path, model: Path
    ) -> None:
        write_aborting_gguf(put_in_cache(lively, model, b""))
        view = came_to(lively, enough, model)

        assert view.state is RunState.FAILED
        assert view.error.startswith("The process of stage baseline was ended by SIGABRT")
        log = lively.run(view.id) / "baseline" / "stderr.log"
        assert view.fix == f"Read {log}; then: fathom resume {view.id}"
        seen = Seen(lively, view.id)
        words = str(seen.until("note", stage="baseline").data["text"])
        assert "unordered_map::at" in words
        assert "__cxa_throw" not in words  # llama.cpp would have a debugger print a trace
        # The file is replaced, and the run goes on to the next thing that is wrong.
        put_in_cache(lively, model, b"this is no GGUF")
        resumed = fathom(lively, "resume", view.id, "--follow")
        assert resumed.returncode == 4
        assert "llama.cpp cannot load" in resumed.stderr

    @pytest.mark.parametrize("size", [0, 3, 4, 24, 2_000])
    def test_a_header_cut_short_is_refused_before_anything_is_converted(
        self, tmp_path: Path, size: int
    ) -> None:
        path = tmp_path / "short.gguf"
        write_aborting_gguf(path)
        path.write_bytes(path.read_bytes()[:size])

        with pytest.raises(EnvironmentProblem, match=f"{path} cannot be read as a GGUF"):
            read_header(path)


def _missing(folder: Path) -> Path:
    return folder / "nowhere"


def _a_file(folder: Path) -> Path:
    (folder / "model.gguf").write_bytes(b"GGUF")
    return folder / "model.gguf"


def _without_config(folder: Path) -> Path:
    (write_model(folder / "tiny") / "config.json").unlink()
    return folder / "tiny"


def _pickled(folder: Path) -> Path:
    directory = write_model(folder / "tiny")
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")
    return directory


def _with_code(folder: Path) -> Path:
    code = {"AutoModelForCausalLM": "modeling_evil.Evil"}
    directory = write_model(folder / "tiny", auto_map=code)
    (directory / "modeling_evil.py").write_text(
        f"open({str(folder / 'was_run')!r}, 'w').close()\n", "utf-8"
    )
    return directory


def _with_code_in_the_tokenizer(folder: Path) -> Path:
    directory = write_model(folder / "tiny")
    (directory / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": "x"}}')
    return directory


def _with_a_torn_config(folder: Path) -> Path:
    directory = write_model(folder / "tiny")
    (directory / "config.json").write_text('{"model_type": ')
    return directory


def _with_a_list_for_a_config(folder: Path) -> Path:
    directory = write_model(folder / "tiny")
    (directory / "config.json").write_text("[]")
    return directory


def _stored_quantised(folder: Path) -> Path:
    return write_model(folder / "tiny", quantization_config={"quant_method": "gptq", "bits": 4})


class TestTheDirectory:
    @pytest.mark.parametrize(
        ("make", "said"),
        [
            (_missing, "There is no model directory {}."),
            (_a_file, "There is no model directory {}."),
            (_without_config, "{} is not a complete Hugging Face model: config.json is missing."),
            (_pickled, "{} is not a complete Hugging Face model: *.safetensors is missing."),
            (_with_code, "{} wants to run its own code (auto_map in config.json)."),
            (
                _with_code_in_the_tokenizer,
                "{} wants to run its own code (auto_map in tokenizer_config.json).",
            ),
            (
                _with_a_torn_config,
                "{}/config.json is not JSON: Expecting value: line 1 column 16 (char 15).",
            ),
            (
                _stored_quantised,
                "The base model at {} is stored quantised (gptq): an adapter merged into it would "
                "be rounded away.",
            ),
            (_with_a_list_for_a_config, "{}/config.json holds a list instead of settings."),
        ],
    )
    def test_one_that_cannot_be_used_says_why(
        self, tmp_path: Path, make: Callable[[Path], Path], said: str
    ) -> None:
        directory = make(tmp_path)

        with pytest.raises(UsageError) as raised:
            locate(str(directory))

        assert raised.value.message == said.format(directory)
        assert raised.value.fix

    def test_pickled_weights_are_named_as_the_reason(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError) as raised:
            locate(str(_pickled(tmp_path)))

        assert "pickled weights are not read" in raised.value.fix

    @pytest.mark.parametrize("make", [_missing, _a_file, _without_config])
    def test_an_engagement_is_not_made_with_it(
        self, lively: Home, enough: Path, tmp_path: Path, make: Callable[[Path], Path]
    ) -> None:
        named = str(make(tmp_path))
        data = ("--data", str(enough), "--input", "text", "--output", "label")
        done = fathom(lively, "engagement", "create", "Bank", *data, "--model", named)

        assert done.returncode == 2, done.stderr
        assert named in done.stderr
        assert Store(lively).engagements() == []

    @pytest.mark.parametrize("make", [_missing, _pickled, _with_code])
    def test_a_run_on_it_fails_at_once_and_the_agent_lives(
        self, lively: Home, enough: Path, tmp_path: Path, make: Callable[[Path], Path]
    ) -> None:
        directory = make(tmp_path)
        view = came_to(lively, enough, directory)

        assert view.state is RunState.FAILED
        assert str(directory) in view.error
        assert view.stages["preflight"].state is StageState.FAILED
        assert view.stages["data"].state is StageState.PENDING
        assert not (tmp_path / "was_run").exists()


class TestRoom:
    def test_a_model_too_large_for_this_disk_is_refused_before_anything_is_written(
        self, lively: Home, enough: Path, tmp_path: Path
    ) -> None:
        directory = write_model(tmp_path / "huge")
        write_weights(directory / "model.safetensors", [1_000_000, 1_000_000_000])
        view = came_to(lively, enough, directory)

        assert weight_bytes(directory) == 2 * 10**15
        assert view.state is RunState.FAILED
        assert view.error.startswith("The run needs 10520000.5 GB on disk, ")
        (gate,) = view.stages["preflight"].gates
        assert (gate.name, gate.outcome, gate.waivable) == (
            "preflight.disk",
            Outcome.REFUSE,
            False,
        )
        assert list(lively.cache.iterdir()) == []

    def test_a_disk_that_is_nearly_full_is_refused_before_anything_is_written(
        self, lively: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        full = SimpleNamespace(free_bytes=GB)
        monkeypatch.setattr("fathom_tui.sources.host.disk", lambda path: full)
        before = sorted(tmp_path.rglob("*"))
        report = Gates()

        with pytest.raises(EnvironmentProblem, match=r"needs 2\.0 GB on disk, 1\.0 GB are free"):
            preflight.run(a_job(lively), report)

        assert [gate.name for gate in report.gates] == ["preflight.disk"]
        assert sorted(tmp_path.rglob("*")) == before

    def test_the_disk_gate_counts_the_whole_chain(self) -> None:
        # merged 1 + f16 GGUF 1 + quantised 0.6 + base in the cache 2 + checkpoints 3 x 0.22
        need = int(5.26 * GB) + preflight.RESERVE_BYTES

        assert disk_gate(GB, need).outcome is Outcome.PASS
        assert disk_gate(GB, need - 1).outcome is Outcome.REFUSE

    def test_too_little_memory_is_refused_and_may_be_waived(
        self, lively: Home, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        taken = SimpleNamespace(available_bytes=GIB // 2)
        monkeypatch.setattr("fathom_tui.sources.host.memory", lambda: taken)
        report = Gates()
        preflight.run(a_job(lively, model=str(model)), report)

        gate = next(gate for gate in report.gates if gate.name == "preflight.memory")
        assert (gate.outcome, gate.waivable) == (Outcome.REFUSE, True)
        assert gate.reason == "Training needs about 1.1 GB of memory, 0.5 GB are available."

    @pytest.mark.parametrize(
        ("available", "outcome"),
        [(6 * GB + GIB, "pass"), (6 * GB + GIB - 1, "refuse"), (None, "warn")],
    )
    def test_the_memory_gate_knows_what_training_holds(
        self, available: int | None, outcome: str
    ) -> None:
        assert memory_gate(GB, available).outcome == outcome

    def test_weights_that_are_not_safetensors_are_refused(self, tmp_path: Path) -> None:
        directory = write_model(tmp_path / "tiny")
        (directory / "model.safetensors").write_bytes(bytes(64))

        with pytest.raises(EnvironmentProblem, match="is not a safetensors file"):
            weight_bytes(directory)


class Gates:
    """A report that keeps the verdicts."""

    def __init__(self) -> None:
        self.gates: list[Gate] = []

    def progress(self, done: float, total: float, note: str = "") -> None: ...
    def metric(self, *, step: int, **values: float) -> None: ...
    def measured(self, name: str, value: float, unit: str) -> None: ...
    def artifact(self, name: str, path: Path) -> None: ...
    def note(self, text: str) -> None: ...
    def gate(self, gate: Gate) -> None:
        self.gates.append(gate)


def a_job(home: Home, **settings: Any) -> Job:
    """Return the work order of a `preflight`."""
    contract = Contract.of_labels(("card", "transfer"))
    plan = Plan(dataset="x.csv", contract=contract, instruction="Say which.", **settings)
    return Job(
        run="toy-1",
        stage="preflight",
        run_dir=home.runs,
        cache=home.cache,
        serving=home.data / "serving",
        engagement="toy",
        plan=plan,
        results={},
    )
