import ctypes
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fathom_tui.errors import CouldNotCheck, EnvironmentProblem
from fathom_tui.runner import imatrix
from fathom_tui.runner.imatrix import _add_experts, _Sums, importance
from fathom_tui.runner.llama import open_model
from fathom_tui.runner.quantized import quantize
from tests.runner.test_losses import TEXT
from tests.runner.tiny import INNER, LAYERS, WIDTH

pytestmark = pytest.mark.slow

CHUNK = 64


@pytest.fixture(scope="module")
def found(tiny: Path) -> imatrix.Importance:
    return importance(tiny, TEXT, threads=1, chunk=CHUNK, most=3)[0]


def test_every_matrix_of_every_layer_has_a_mean_square_for_each_column(
    found: imatrix.Importance,
) -> None:
    widths = {name.split(".")[2]: len(values) for name, values in found.items()}

    assert len(found) == 7 * LAYERS
    assert widths == {
        "attn_q": WIDTH, "attn_k": WIDTH, "attn_v": WIDTH, "attn_output": WIDTH,
        "ffn_gate": WIDTH, "ffn_up": WIDTH, "ffn_down": INNER,
    }  # fmt: skip
    assert all((values > 0).all() for values in found.values())


def test_matrices_that_are_fed_the_same_count_the_same(found: imatrix.Importance) -> None:
    assert (found["blk.0.attn_q.weight"] == found["blk.0.attn_k.weight"]).all()
    assert (found["blk.1.ffn_gate.weight"] == found["blk.1.ffn_up.weight"]).all()
    assert (found["blk.0.attn_q.weight"] != found["blk.1.attn_q.weight"]).any()


def test_the_first_layers_inputs_are_the_normed_embeddings(
    tiny: Path, found: imatrix.Importance
) -> None:
    # What enters blk.0 is the embedding divided by its root mean square: known without llama.cpp.
    from gguf import GGUFReader

    embedding = next(t for t in GGUFReader(str(tiny)).tensors if t.name == "token_embd.weight")
    llama = open_model(tiny, n_ctx=CHUNK, n_batch=CHUNK, threads=1)
    tokens = llama.tokenize(TEXT.encode(), add_bos=True, special=True)[: 3 * CHUNK]
    llama.close()
    rows = np.asarray(embedding.data, np.float32).reshape(-1, WIDTH)[tokens]
    normed = rows / np.sqrt((rows**2).mean(axis=1, keepdims=True) + 1e-5)

    assert found["blk.0.attn_q.weight"] == pytest.approx((normed**2).mean(axis=0), rel=1e-3)


def test_more_text_than_wanted_is_left(tiny: Path) -> None:
    _, tokens = importance(tiny, TEXT, threads=1, chunk=CHUNK, most=2)

    assert tokens == 2 * CHUNK


def test_a_short_text_is_read_as_one_chunk(tiny: Path) -> None:
    found, tokens = importance(tiny, "A short text of more than sixteen tokens. " * 3, threads=1)

    assert 16 <= tokens < 64
    assert len(found) == 7 * LAYERS


def test_hardly_any_text_could_not_be_used(tiny: Path) -> None:
    with pytest.raises(CouldNotCheck, match="are too few for an importance matrix"):
        importance(tiny, "Too short.", threads=1)


def test_quantising_follows_what_is_important(
    tiny: Path, found: imatrix.Importance, tmp_path: Path
) -> None:
    uneven = {name: np.ones_like(values) for name, values in found.items()}
    for values in uneven.values():
        values[: WIDTH // 2] = 1e4

    quantize(tiny, tmp_path / "plain.gguf", "Q2_K")
    quantize(tiny, tmp_path / "guided.gguf", "Q2_K", importance=uneven)

    wanted, plain, guided = (
        _matrix(path) for path in (tiny, tmp_path / "plain.gguf", tmp_path / "guided.gguf")
    )
    important = slice(0, WIDTH // 2)
    before = ((plain - wanted)[:, important] ** 2).mean()
    assert ((guided - wanted)[:, important] ** 2).mean() < before


def _matrix(gguf: Path) -> NDArray[np.float32]:
    from gguf import GGUFReader
    from gguf.quants import dequantize

    found = next(t for t in GGUFReader(str(gguf)).tensors if t.name == "blk.0.attn_q.weight")
    return np.asarray(dequantize(found.data, found.tensor_type), np.float32).reshape(-1, WIDTH)


def test_experts_get_the_rows_that_were_sent_to_them() -> None:
    sums = _Sums(np.zeros((3, 2), np.float32), np.zeros(3, np.int64))
    rows = np.array([[[1, 2]], [[3, 4]], [[5, 6]]], np.float32)  # one input for all its experts
    chosen = np.array([[0, 2], [2, 0], [2, 0]], np.int32)

    _add_experts(sums, rows, chosen)

    everything = [1 + 9 + 25, 4 + 16 + 36]
    assert sums.squares.tolist() == [everything, [0, 0], everything]
    assert sums.rows.tolist() == [3, 0, 3]
    assert imatrix._means("m", sums).tolist()[2:4] == [1, 1]  # nobody's rows: all alike


def test_activations_that_are_no_numbers_are_named() -> None:
    sums = _Sums(np.array([[np.inf, 1]], np.float32), np.array([3]))

    with pytest.raises(CouldNotCheck, match="enter blk.0.attn_q.weight are not numbers"):
        imatrix._means("blk.0.attn_q.weight", sums)


def test_another_layout_of_tensors_is_refused_before_anything_is_read(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Longer(ctypes.Structure):
        _fields_ = [*imatrix.Tensor._fields_, ("new", ctypes.c_void_p)]  # noqa: RUF012

    monkeypatch.setattr(imatrix, "Tensor", Longer)

    with pytest.raises(EnvironmentProblem, match="tensors take 336 bytes, 344 are known here"):
        importance(tiny, TEXT, threads=1)


def test_what_goes_wrong_within_llama_cpps_call_is_raised_after_it(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(imatrix, "_add_rows", fail)

    with pytest.raises(ZeroDivisionError):
        importance(tiny, TEXT, threads=1, chunk=CHUNK)
