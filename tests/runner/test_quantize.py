import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fathom_tui.contract import Contract
from fathom_tui.errors import EnvironmentProblem
from fathom_tui.gates import Gate, Outcome
from fathom_tui.recipe import Plan
from fathom_tui.runner import quantize as stage
from fathom_tui.runner.base_model import BaseModel
from fathom_tui.runner.quantize import effective_bits, quantize
from fathom_tui.runner.stage import Job

pytestmark = pytest.mark.slow

LABELS = Contract.of_labels(("card", "fees"))


class Gates:
    """A report that keeps verdicts and artifacts."""

    def __init__(self) -> None:
        self.gates: list[Gate] = []
        self.artifacts: dict[str, Path] = {}

    def progress(self, done: float, total: float, note: str = "") -> None: ...
    def metric(self, *, step: int, **values: float) -> None: ...
    def measured(self, name: str, value: float, unit: str) -> None: ...
    def note(self, text: str) -> None: ...

    def gate(self, gate: Gate) -> None:
        self.gates.append(gate)

    def artifact(self, name: str, path: Path) -> None:
        self.artifacts[name] = path


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
        "from fathom_tui.runner.quantize import effective_bits, quantize\n"
        "import json\n"
        "said = []\n"
        "@llama_cpp.llama_log_callback\n"
        "def log(level, text, data): said.append(text.decode(errors='replace'))\n"
        "llama_cpp.llama_log_set(log, None)\n"
        "found = {}\n"
        "for wanted in ('Q4_K_M', 'Q6_K', 'Q8_0'):\n"
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
    assert found == {"Q4_K_M": [180, 180], "Q6_K": [180, 180], "Q8_0": [0, 0]}


def run(base: BaseModel, run_dir: Path, wanted: str) -> tuple[dict[str, Any], Gates]:
    (run_dir / "export").mkdir(parents=True)
    (run_dir / "quantize").mkdir()
    (run_dir / "export" / "model.f16.gguf").symlink_to(base.gguf)
    job = Job(
        run="demo-1",
        stage="quantize",
        run_dir=run_dir,
        cache=run_dir,
        serving=run_dir,
        engagement="demo",
        plan=Plan(dataset="", contract=LABELS, instruction="Classify.", quantization=wanted),
        results={"export": {"f16": "export/model.f16.gguf"}},
    )
    report = Gates()
    return stage.run(job, report), report


@pytest.mark.parametrize(
    ("wanted", "outcome", "said"),
    [
        ("Q4_K_M", Outcome.WARN, "180 of 272 tensors cannot be Q4_K_M"),
        ("Q8_0", Outcome.PASS, "8.51 bits per weight"),
    ],
)
def test_the_stage_tells_what_came_out_of_it(
    base: BaseModel, tmp_path: Path, wanted: str, outcome: Outcome, said: str
) -> None:
    result, report = run(base, tmp_path / "run", wanted)

    path = tmp_path / "run" / result["quantised"]
    assert result["bytes"] == path.stat().st_size < result["f16_bytes"]
    assert result["type"] == wanted
    assert json.loads(json.dumps(result)) == result
    assert report.artifacts == {"quantised": path}
    (gate,) = report.gates
    assert (gate.name, gate.outcome) == ("quantize.effective_bits", outcome)
    assert said in gate.reason
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_file_that_cannot_be_quantised_leaves_nothing_behind(tmp_path: Path) -> None:
    source, target = tmp_path / "noise.gguf", tmp_path / "out" / "model.gguf"
    source.write_bytes(b"GGUF is not all it takes")
    target.parent.mkdir()

    with pytest.raises(EnvironmentProblem, match=r"could not quantise .*noise.gguf to Q4_K_M"):
        quantize(source, target, "Q4_K_M")

    assert list(target.parent.iterdir()) == []
