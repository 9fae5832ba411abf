import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fathom_tui.errors import CouldNotCheck, EnvironmentProblem
from fathom_tui.perplexity import change, perplexity
from fathom_tui.runner.base_model import BaseModel
from fathom_tui.runner.llama import Engine
from fathom_tui.runner.losses import text_losses

pytestmark = pytest.mark.slow

N_CTX = 64
TICKETS = Path(__file__).parents[2] / "assets" / "demo" / "tickets.jsonl"
TEXT = "\n\n".join(json.loads(line)["text"] for line in TICKETS.read_text("utf-8").splitlines())[
    :1800
]


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

    assert error.value.fix == "Give more validation rows."


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="cannot load .*none.gguf"):
        text_losses(tmp_path / "none.gguf", TEXT, n_ctx=N_CTX, threads=1)
