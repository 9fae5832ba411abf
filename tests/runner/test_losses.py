import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fathom_tui.divergence import row_words
from fathom_tui.errors import CouldNotCheck, EnvironmentProblem
from fathom_tui.perplexity import change, perplexity, perplexity_error
from fathom_tui.runner import losses as module
from fathom_tui.runner.base_model import BaseModel
from fathom_tui.runner.llama import Engine
from fathom_tui.runner.losses import Reader, read_against, read_base, text_losses

pytestmark = pytest.mark.slow

N_CTX = 64
TICKETS = Path(__file__).parents[2] / "assets" / "demo" / "tickets.jsonl"
TEXT = "\n\n".join(json.loads(line)["text"] for line in TICKETS.read_text("utf-8").splitlines())[
    :1800
]

PPL_F16, PPL_ERROR, PPL_Q4 = 148.9523, 34.40513, 159.451405
KLD, KLD_ERROR, SAME_TOP = 0.060176, 0.004203, 0.84332
"""What llama-perplexity of llama-cpp-python 0.3.36 printed for the same files and text at n_ctx 64,
flash attention off. Another processor rounds otherwise; `bench/perplexity.py` compares digits."""


@pytest.fixture(scope="module")
def losses(base: BaseModel) -> NDArray[np.float64]:
    return text_losses(base.gguf, TEXT, n_ctx=N_CTX, threads=1)


def test_the_second_half_of_every_whole_chunk_is_scored(
    engine: Engine, losses: NDArray[np.float64]
) -> None:
    tokens = engine.tokenize(TEXT)

    # Rows n_ctx/2 .. n_ctx-2 score the token after each: n_ctx/2 - 1 of them.
    assert losses.shape == (len(tokens) // N_CTX * (N_CTX // 2 - 1),)
    assert (losses > 0).all()


def test_equal_a_plain_computation_of_log_softmax(
    engine: Engine, losses: NDArray[np.float64]
) -> None:
    tokens = engine.tokenize(TEXT)
    expected = []
    for start in range(0, len(tokens) - N_CTX + 1, N_CTX):
        chunk = tokens[start : start + N_CTX]
        for position in range(N_CTX // 2, N_CTX - 1):
            logits = engine._feed(chunk[: position + 1]).astype(np.float64)
            shares = np.exp(logits - logits.max())
            expected.append(-math.log(shares[chunk[position + 1]] / shares.sum()))

    # Token by token here, a chunk at once there: the additions come in another order.
    assert losses == pytest.approx(expected, abs=0.05)
    assert perplexity(losses) == pytest.approx(math.exp(np.mean(expected)), rel=2e-3)


def test_equal_transformers_on_the_directory_the_file_was_made_from(
    base: BaseModel, losses: NDArray[np.float64]
) -> None:
    script = (
        "import json, sys, torch\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        "torch.set_num_threads(1)\n"
        "folder, text, n_ctx = sys.argv[1], sys.argv[2], int(sys.argv[3])\n"
        "model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)\n"
        "ids = AutoTokenizer.from_pretrained(folder)(text, add_special_tokens=False)['input_ids']\n"
        "found = []\n"
        "for start in range(0, len(ids) - n_ctx + 1, n_ctx):\n"
        "    chunk = torch.tensor([ids[start:start + n_ctx]])\n"
        "    with torch.inference_mode():\n"
        "        logits = model(input_ids=chunk).logits[0, n_ctx // 2 : n_ctx - 1]\n"
        "    wanted = chunk[0, n_ctx // 2 + 1 :, None]\n"
        "    found += (-logits.log_softmax(-1).gather(1, wanted)[:, 0]).tolist()\n"
        "print(json.dumps(found))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(base.directory), TEXT, str(N_CTX)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

    expected = np.array(json.loads(done.stdout.splitlines()[-1]))
    assert losses == pytest.approx(expected, abs=0.05)
    assert perplexity(losses) == pytest.approx(perplexity(expected), rel=2e-3)


def test_one_newline_at_the_end_does_not_count(
    base: BaseModel, losses: NDArray[np.float64]
) -> None:
    again = text_losses(base.gguf, TEXT + "\n", n_ctx=N_CTX, threads=1)

    assert (again == losses).all()


def test_quantising_costs_a_little_and_the_interval_says_how_much(
    q4: Path, losses: NDArray[np.float64]
) -> None:
    found = change(losses, text_losses(q4, TEXT, n_ctx=N_CTX, threads=1))

    assert found.low < found.rise < found.high
    assert -0.05 < found.rise < 0.25
    # One file alone is known to +- this much on so few tokens; pairing takes most of that out.
    alone = math.expm1(1.96 * float(losses.std()) / math.sqrt(len(losses)))
    assert (found.high - found.low) / 2 < alone / 2


def test_too_short_a_text_could_not_be_checked(base: BaseModel) -> None:
    with pytest.raises(CouldNotCheck, match="fewer than two chunks of 64") as error:
        text_losses(base.gguf, "hello", n_ctx=N_CTX, threads=1)

    assert error.value.fix == "Give more held-out text; of a run: more validation rows."


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="cannot load .*none.gguf"):
        text_losses(tmp_path / "none.gguf", TEXT, n_ctx=N_CTX, threads=1)


class TestComparison:
    @pytest.fixture(scope="class")
    def read(
        self, base: BaseModel, q4: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> tuple[module.Reading, module.Reading, Path]:
        kept = tmp_path_factory.mktemp("kept") / "f16.logits"
        with Reader(base.gguf, n_ctx=N_CTX, threads=1) as reader:
            tokens = reader.tokenize(TEXT)
            before = read_base(reader, tokens, kept, n_ctx=N_CTX)
        with Reader(q4, n_ctx=N_CTX, threads=1) as reader:
            after = read_against(reader, tokens, kept, n_ctx=N_CTX, pace=True)
        return before, after, kept

    def test_losses_are_those_of_a_pass_without_comparison(
        self,
        read: tuple[module.Reading, module.Reading, Path],
        losses: NDArray[np.float64],
    ) -> None:
        before, after, _ = read

        assert (before.losses == losses).all()
        assert after.losses.shape == losses.shape

    def test_perplexity_and_divergence_are_those_of_llama_cpps_own_tool(
        self, read: tuple[module.Reading, module.Reading, Path]
    ) -> None:
        before, after, _ = read
        found = after.divergence

        assert perplexity(before.losses) == pytest.approx(PPL_F16, rel=5e-3)
        assert perplexity_error(before.losses) == pytest.approx(PPL_ERROR, rel=2e-2)
        assert perplexity(after.losses) == pytest.approx(PPL_Q4, rel=3e-2)
        assert found is not None and found.error is not None
        assert found.mean == pytest.approx(KLD, rel=0.15)
        assert found.error == pytest.approx(KLD_ERROR, rel=0.3)
        assert found.same_top == pytest.approx(SAME_TOP, abs=0.03)

    def test_the_scratch_file_is_in_the_format_of_the_tool(
        self,
        base: BaseModel,
        engine: Engine,
        read: tuple[module.Reading, module.Reading, Path],
    ) -> None:
        raw = read[2].read_bytes()
        tokens = engine.tokenize(TEXT)
        n_ctx, vocabulary, count = np.frombuffer(raw, np.int32, 3, offset=8)

        assert raw[:8] == b"_logits_"
        assert (n_ctx, count) == (N_CTX, len(tokens) // N_CTX)
        stored = np.frombuffer(raw, np.int32, int(count) * N_CTX, offset=20)
        assert stored.tolist() == tokens[: len(stored)]
        rows = int(count) * (N_CTX // 2 - 1) * 2 * row_words(int(vocabulary))
        assert len(raw) == 20 + 4 * len(stored) + rows

    def test_the_pace_is_measured_where_it_is_asked_for(
        self, read: tuple[module.Reading, module.Reading, Path]
    ) -> None:
        before, after, _ = read

        assert before.tokens_per_s is None
        assert after.tokens_per_s is not None and after.tokens_per_s > 0

    def test_only_so_many_chunks_are_kept_as_have_room(
        self, base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "KEPT_BYTES", 2 * 31 * 98_312)  # two chunks of 31 tokens
        kept = tmp_path / "f16.logits"

        with Reader(base.gguf, n_ctx=N_CTX, threads=1) as reader:
            tokens = reader.tokenize(TEXT)
            before = read_base(reader, tokens, kept, n_ctx=N_CTX)
            after = read_against(reader, tokens, kept, n_ctx=N_CTX)

        assert after.divergence is not None and after.divergence.tokens == 2 * 31
        assert after.divergence.mean == pytest.approx(0.0, abs=1e-4)
        assert (after.losses == before.losses).all()
        assert len(after.losses) > 2 * 31

    def test_of_another_text_is_refused(
        self, base: BaseModel, read: tuple[module.Reading, module.Reading, Path]
    ) -> None:
        with (
            Reader(base.gguf, n_ctx=N_CTX, threads=1) as reader,
            pytest.raises(CouldNotCheck, match="only where they read the same tokens"),
        ):
            read_against(reader, reader.tokenize(TEXT[7:]), read[2], n_ctx=N_CTX)

    def test_with_a_file_that_is_none_is_refused(self, base: BaseModel, tmp_path: Path) -> None:
        (tmp_path / "junk").write_bytes(b"_logits_ and then nothing of use")

        with (
            Reader(base.gguf, n_ctx=N_CTX, threads=1) as reader,
            pytest.raises(CouldNotCheck, match="was not written for this text"),
        ):
            read_against(reader, reader.tokenize(TEXT), tmp_path / "junk", n_ctx=N_CTX)

    def test_onto_a_full_disk_is_an_error_with_the_way_out(
        self, base: BaseModel, tmp_path: Path
    ) -> None:
        with (
            Reader(base.gguf, n_ctx=N_CTX, threads=1) as reader,
            pytest.raises(EnvironmentProblem, match="cannot be written: .*space") as error,
        ):
            read_base(reader, reader.tokenize(TEXT), Path("/dev/full"), n_ctx=N_CTX)

        assert "Free" in error.value.fix
