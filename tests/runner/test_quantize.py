import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fathom_tui.contract import Contract
from fathom_tui.datasets.cases import Case, read_split, write_split
from fathom_tui.errors import CouldNotCheck, EnvironmentProblem
from fathom_tui.gates import Gate, Outcome
from fathom_tui.perplexity import PerplexityChange
from fathom_tui.recipe import Plan
from fathom_tui.runner import ladder
from fathom_tui.runner import quantize as stage
from fathom_tui.runner.base_model import BaseModel
from fathom_tui.runner.held_out import splits, training_text
from fathom_tui.runner.quantized import effective_bits, quantize
from fathom_tui.runner.stage import Job

pytestmark = pytest.mark.slow

LABELS = Contract.of_labels(("card", "fees"))
WORDS = (
    "My card was declined at the shop this morning although there is money on the account, and "
    "the app tells me to wait. Please look at what happened with it and say when it works again."
)


class Gates:
    """A report that keeps what it is told."""

    def __init__(self) -> None:
        self.gates: list[Gate] = []
        self.artifacts: dict[str, Path] = {}
        self.notes: list[str] = []
        self.measures: dict[str, float] = {}

    def progress(self, done: float, total: float, note: str = "") -> None: ...
    def metric(self, *, step: int, **values: float) -> None: ...

    def measured(self, name: str, value: float, unit: str) -> None:
        self.measures[name] = value

    def note(self, text: str) -> None:
        self.notes.append(text)

    def gate(self, gate: Gate) -> None:
        self.gates.append(gate)

    def artifact(self, name: str, path: Path) -> None:
        self.artifacts[name] = path

    def named(self, name: str) -> Gate:
        return next(gate for gate in self.gates if gate.name == name)


def test_q4_k_m_of_the_embedded_model_is_6_17_bits_because_180_tensors_fall_back(
    q4: Path,
) -> None:
    bits, fallen_back, tensors = effective_bits(q4, "Q4_K_M")

    assert bits == pytest.approx(6.17, abs=0.01)
    assert (fallen_back, tensors) == (180, 272)


def test_the_count_is_that_of_llama_cpp(base: BaseModel, tmp_path: Path) -> None:
    # In a process of its own, because the log callback belongs to the whole process.
    script = (
        "import sys, llama_cpp\n"
        "from pathlib import Path\n"
        "from fathom_tui.runner.quantized import effective_bits, quantize\n"
        "import json\n"
        "said = []\n"
        "@llama_cpp.llama_log_callback\n"
        "def log(level, text, data): said.append(text.decode(errors='replace'))\n"
        "llama_cpp.llama_log_set(log, None)\n"
        "found = {}\n"
        "for wanted in ('Q2_K', 'Q4_K_M', 'Q6_K', 'Q8_0'):\n"
        "    said.clear()\n"
        "    path = Path(sys.argv[2])\n"
        "    quantize(Path(sys.argv[1]), path, wanted)\n"
        "    count = ''.join(said).count('falling back')\n"
        "    found[wanted] = [count, effective_bits(path, wanted)[1]]\n"
        "print(json.dumps(found))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(base.gguf), str(tmp_path / "out.gguf")],
        capture_output=True,
        text=True,
        check=True,
    )

    found = json.loads(done.stdout.splitlines()[-1])
    assert found == {"Q2_K": [180, 180], "Q4_K_M": [180, 180], "Q6_K": [180, 180], "Q8_0": [0, 0]}


def job_of(base: BaseModel, gguf: Path, run_dir: Path, *, rows: int = 12, **settings: Any) -> Job:
    """Return the work order of a run that has got as far as `quantize`."""
    for name in ("data", "export", "quantize"):
        (run_dir / name).mkdir(parents=True)
    (run_dir / "export" / "model.f16.gguf").symlink_to(gguf)
    for split, count in {"train": rows, "validation": rows, "reserve": 4}.items():
        cases = [
            Case(
                id=f"{split}{n}",
                input=f"{n}: {WORDS}",
                values={"label": "card"},
                output='{"label": "card"}',
            )
            for n in range(count)
        ]
        write_split(run_dir / "data" / f"{split}.jsonl", cases)
    return Job(
        run="demo-1",
        stage="quantize",
        run_dir=run_dir,
        cache=run_dir,
        serving=run_dir,
        engagement="demo",
        plan=Plan(dataset="", contract=LABELS, instruction="Classify.", **settings),
        results={
            "preflight": {"threads": 1, "model_dir": str(base.directory)},
            "export": {"f16": "export/model.f16.gguf"},
        },
    )


def test_the_stage_says_where_a_type_could_not_be_had(base: BaseModel, tmp_path: Path) -> None:
    report = Gates()

    stage.run(job_of(base, base.gguf, tmp_path / "run", rows=6), report)

    gate = report.named("quantize.effective_bits")
    assert gate.outcome is Outcome.WARN
    assert "180 of 272 tensors cannot be Q4_K_M" in gate.reason


def test_the_stage_tells_what_came_out_of_it(base: BaseModel, tiny: Path, tmp_path: Path) -> None:
    report = Gates()

    result = stage.run(job_of(base, tiny, tmp_path / "run", quantization="Q8_0"), report)

    path = tmp_path / "run" / result["quantised"]
    assert result["bytes"] == path.stat().st_size < result["f16_bytes"]
    assert (result["type"], result["wanted"]) == ("Q8_0", "Q8_0")
    assert json.loads(json.dumps(result)) == result
    assert report.artifacts == {"quantised": path}
    bits = report.named("quantize.effective_bits")
    assert bits.outcome is Outcome.PASS and "8.50 bits per weight" in bits.reason
    assert report.named("quantize.perplexity").outcome != Outcome.REFUSE
    # The distributions of the 16-bit file were needed meanwhile only.
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_the_stage_measures_what_quantising_costs(
    base: BaseModel, tiny: Path, tmp_path: Path
) -> None:
    result = stage.run(job_of(base, tiny, tmp_path / "run"), Gates())

    (step,) = result["steps"]
    assert step["change"] == result["perplexity"]
    assert (
        result["perplexity"]["low"] <= result["perplexity"]["rise"] <= result["perplexity"]["high"]
    )
    assert result["perplexity"]["tokens"] >= result["divergence"]["tokens"] > 100
    assert 0 < result["divergence"]["mean"] < 1
    assert 0.3 < result["divergence"]["same_top"] < 1


def refusing(monkeypatch: pytest.MonkeyPatch, *types: str) -> None:
    """Let perplexity rise by half for some types, whatever it really does."""
    real = ladder.Ladder.climb

    def climb(self: ladder.Ladder, target: Path, type_: str) -> Any:
        from dataclasses import replace

        rung = real(self, target, type_)
        assert rung.change is not None
        bad = PerplexityChange(
            f16=rung.change.f16, quantised=rung.change.f16 * 1.5, rise=0.5, low=0.4, high=0.6,
            tokens=rung.change.tokens,
        )  # fmt: skip
        return replace(rung, change=bad) if type_ in types else rung

    monkeypatch.setattr(ladder.Ladder, "climb", climb)


def test_a_refused_type_makes_way_for_the_next_one_up(
    base: BaseModel, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing(monkeypatch, "Q4_K_M", "Q5_K_M")
    report = Gates()

    result = stage.run(job_of(base, tiny, tmp_path / "run"), report)

    assert (result["type"], result["wanted"]) == ("Q6_K", "Q4_K_M")
    assert [step["type"] for step in result["steps"]] == ["Q4_K_M", "Q5_K_M", "Q6_K"]
    assert [step["band"] for step in result["steps"][:2]] == ["refused", "refused"]
    assert len(report.notes) == 2 and "Trying Q5_K_M" in report.notes[0]
    gate = report.named("quantize.perplexity")
    assert gate.outcome != Outcome.REFUSE
    assert gate.reason.startswith("Q4_K_M rose too much, so the run went up to Q6_K.")
    # Only the accepted file takes up disk.
    assert [p.name for p in (tmp_path / "run" / "quantize").iterdir()] == ["model.q6_k.gguf"]


def test_where_even_the_largest_is_refused_a_person_may_still_take_it(
    base: BaseModel, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing(monkeypatch, "Q8_0")
    report = Gates()

    result = stage.run(job_of(base, tiny, tmp_path / "run", quantization="Q8_0"), report)

    gate = report.named("quantize.perplexity")
    assert (gate.outcome, gate.waivable) == (Outcome.REFUSE, True)
    assert (tmp_path / "run" / result["quantised"]).is_file()


def test_an_importance_matrix_of_training_text_changes_the_file_and_not_its_size(
    base: BaseModel, tiny: Path, tmp_path: Path
) -> None:
    plain = stage.run(job_of(base, tiny, tmp_path / "plain"), Gates())
    report = Gates()
    guided = stage.run(job_of(base, tiny, tmp_path / "guided", imatrix=True), report)

    assert guided["imatrix"]["matrices"] == 14  # seven in each of two layers
    assert guided["imatrix"]["tokens"] % 512 == 0
    assert any("Importance matrix over" in note for note in report.notes)
    assert guided["bytes"] == plain["bytes"]
    files = [tmp_path / name / "quantize" / "model.q4_k_m.gguf" for name in ("plain", "guided")]
    assert files[0].read_bytes() != files[1].read_bytes()


def test_training_text_is_what_the_model_was_shown(
    base: BaseModel, tiny: Path, tmp_path: Path
) -> None:
    job = job_of(base, tiny, tmp_path / "run", rows=2)

    text = training_text(job)

    assert text.count('<|im_start|>assistant\n{"label": "card"}<|im_end|>') == 2
    assert text.count("Classify.") == 2


def test_the_test_split_is_not_read(base: BaseModel, tiny: Path, tmp_path: Path) -> None:
    job = job_of(base, tiny, tmp_path / "run", rows=2)
    (job.run_dir / "data" / "test.jsonl").write_text("never read", "utf-8")

    validation, reserve = splits(job)

    assert validation == read_split(job.run_dir / "data" / "validation.jsonl")
    assert len(reserve) == 4


def test_too_little_text_could_not_be_checked(base: BaseModel, tiny: Path, tmp_path: Path) -> None:
    job = job_of(base, tiny, tmp_path / "run", rows=1)
    (job.run_dir / "data" / "reserve.jsonl").write_text("", "utf-8")

    with pytest.raises(CouldNotCheck, match="fewer than two chunks of 64"):
        stage.run(job, Gates())

    assert list(job.dir.iterdir()) == []


def test_a_short_text_is_warned_of(base: BaseModel, tiny: Path, tmp_path: Path) -> None:
    job = job_of(base, tiny, tmp_path / "run", rows=3, quantization="Q8_0")
    report = Gates()

    stage.run(job, report)

    assert report.named("quantize.perplexity_text").outcome is Outcome.WARN


def test_what_an_earlier_attempt_left_is_cleared_away(
    base: BaseModel, tiny: Path, tmp_path: Path
) -> None:
    job = job_of(base, tiny, tmp_path / "run", quantization="Q8_0")
    for name in ("model.q4_k_m.gguf", "model.q8_0.gguf.part"):
        (job.dir / name).write_bytes(b"left over")

    stage.run(job, Gates())

    assert [path.name for path in job.dir.iterdir()] == ["model.q8_0.gguf"]


def test_a_file_that_cannot_be_quantised_leaves_nothing_behind(tmp_path: Path) -> None:
    source, target = tmp_path / "noise.gguf", tmp_path / "out" / "model.gguf"
    source.write_bytes(b"GGUF is not all it takes")
    target.parent.mkdir()

    with pytest.raises(EnvironmentProblem, match=r"could not quantise .*noise.gguf to Q4_K_M"):
        quantize(source, target, "Q4_K_M")

    assert list(target.parent.iterdir()) == []


def _limited(megabytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (megabytes << 20, megabytes << 20))


@pytest.mark.parametrize("step", ["quantize", "convert"])
def test_a_disk_that_fills_up_leaves_no_half_file(
    base: BaseModel, tmp_path: Path, step: str
) -> None:
    # A limit of file size refuses writes as a full disk does, where the test may set it.
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from fathom_tui.errors import EnvironmentProblem\n"
        "from fathom_tui.runner.export import convert\n"
        "from fathom_tui.runner.quantized import quantize\n"
        "target = Path(sys.argv[3]) / 'model.gguf'\n"
        "try:\n"
        "    if sys.argv[1] == 'quantize':\n"
        "        quantize(Path(sys.argv[2]), target, 'Q4_K_M')\n"
        "    else:\n"
        "        convert(Path(sys.argv[2]), target, name='toy')\n"
        "except EnvironmentProblem as error:\n"
        "    print(error.message, '|', error.fix)\n"
    )
    source = base.gguf if step == "quantize" else base.directory
    out = tmp_path / "out"
    out.mkdir()

    done = subprocess.run(
        [sys.executable, "-c", script, step, str(source), str(out)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: _limited(40),
    )

    assert done.returncode == 0, done.stderr
    message, _, fix = done.stdout.splitlines()[-1].partition(" | ")
    assert "could not" in message
    assert "space" in fix or "disk is full" in fix
    assert list(out.iterdir()) == []
