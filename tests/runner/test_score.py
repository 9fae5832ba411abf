from pathlib import Path

import pytest

from fathom_tui.contract import Contract
from fathom_tui.datasets.cases import Case
from fathom_tui.errors import UsageError
from fathom_tui.recipe import Plan
from fathom_tui.runner.base_model import BaseModel
from fathom_tui.runner.chat import Prompt
from fathom_tui.runner.score import Scorer, cpu_threads, peak_memory_bytes
from fathom_tui.runner.stage import Job
from tests.runner.test_quantize import Gates

LABELS = Contract.of_labels(("card", "fees", "transfer"))
SHOTS = Prompt(
    name="shots",
    system="Say what the message is about. " + LABELS.describe(),
    shots=(("stolen card", "card"), ("charged for cash", "fees"), ("money sent", "transfer")) * 2,
)
CASES = [
    Case(id=str(n), input=text, values={"label": "card"}, output="card")
    for n, text in enumerate(("my card is lost", "why this charge?", "hi", "money to my bank", "?"))
]


class Progress(Gates):
    """A report that keeps how far it is."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[tuple[float, float, str]] = []

    def progress(self, done: float, total: float, note: str = "") -> None:
        self.done.append((done, total, note))


def a_job(base: BaseModel, folder: Path, **settings: int) -> Job:
    plan = Plan(dataset="", contract=LABELS, instruction="Classify.", **settings)  # type: ignore[arg-type]  # all are whole numbers
    return Job(
        run="demo-1",
        stage="baseline",
        run_dir=folder,
        cache=folder,
        serving=folder,
        engagement="demo",
        plan=plan,
        results={"preflight": {"model_dir": str(base.directory), "n_ctx": 512, "threads": 1}},
    )


@pytest.mark.slow
class TestScorer:
    def test_answers_every_case_in_order_and_counts_what_is_usable(
        self, base: BaseModel, tmp_path: Path
    ) -> None:
        report = Progress()

        with Scorer(a_job(base, tmp_path), base.gguf) as scorer:
            sheet = scorer.ask(SHOTS, CASES, report, note="untuned", done=10, total=20)
            alone = scorer.ask(SHOTS, CASES[:1])
            longest = max(len(scorer.prompt_tokens(SHOTS, case.input)) for case in CASES)

        assert len(sheet.constrained) == len(sheet.free) == len(CASES)
        assert all(LABELS.parse(answer) for answer in sheet.constrained)
        valid = [free for free in sheet.free if LABELS.parse(free)]
        assert sheet.free_valid <= len(valid)
        assert alone.constrained == sheet.constrained[:1]
        assert sheet.prompt_tokens == longest
        assert sheet.tokens >= len(CASES)
        assert report.done == [(14, 20, "untuned"), (15, 20, "untuned")]
        assert set(sheet.to_json()) == {"constrained", "free", "free_valid", "prompt_tokens"}

    def test_free_answers_may_be_left_out(self, base: BaseModel, tmp_path: Path) -> None:
        with Scorer(a_job(base, tmp_path), base.gguf) as scorer:
            sheet = scorer.ask(Prompt(name="p", system="Be kind."), CASES[:2], free=False)

        assert sheet.free == ["", ""]
        assert sheet.free_valid == 0

    def test_a_limit_that_would_cut_answers_short_is_refused_with_the_number(
        self, base: BaseModel, tmp_path: Path
    ) -> None:
        with pytest.raises(UsageError, match="such as transfer takes 2 tokens") as error:
            Scorer(a_job(base, tmp_path, max_new_tokens=1), base.gguf)

        assert error.value.fix == "Set max_new_tokens to 4."


def test_the_process_knows_its_memory_and_its_cores() -> None:
    assert 1 << 20 < peak_memory_bytes() < 1 << 40
    assert cpu_threads() >= 1
