import json
from pathlib import Path

import pytest

from fathom_tui.errors import EnvironmentProblem, StageCrashed, UsageError
from fathom_tui.runner.ladder import Ladder
from fathom_tui.runner.ladder_child import Work, measure
from tests.runner.broken_gguf import write_aborting_gguf
from tests.runner.test_losses import TEXT

pytestmark = pytest.mark.slow

SHORT = TEXT[:900]


def work(f16: Path, folder: Path, **changes: object) -> Work:
    text = folder / "text.txt"
    text.write_text(SHORT, "utf-8")
    scratch, out = folder / "scratch", folder / "out"
    scratch.mkdir(exist_ok=True)
    out.mkdir(exist_ok=True)
    given = {
        "f16": f16, "scratch": scratch, "folder": out, "keep": False, "types": ("Q8_0", "Q4_K_M"),
        "threads": 1, "job": None, "text": text, "imatrix": False, "imatrix_text": None,
    }  # fmt: skip
    return Work(**{**given, **changes})  # type: ignore[arg-type]


def test_a_ladder_has_the_16_bit_file_first_and_the_types_as_asked(
    tiny: Path, tmp_path: Path
) -> None:
    told: list[str] = []

    found = measure(work(tiny, tmp_path), told.append)

    assert [rung.type for rung in found.rungs] == ["F16", "Q8_0", "Q4_K_M"]
    f16, q8, q4 = found.rungs
    assert f16.change is None and f16.divergence is None and f16.band is None
    assert f16.effective_bits == pytest.approx(16.0, abs=0.01)
    assert q8.divergence is not None and q4.divergence is not None
    assert q8.divergence.mean < q4.divergence.mean
    assert f16.bytes > q8.bytes > q4.bytes
    assert all(rung.tokens_per_s and rung.tokens_per_s > 0 for rung in found.rungs)
    assert found.n_ctx == 64
    assert told == ["F16: reading the text", *(f"{t}: quantising, reading the text"
                                               for t in ("Q8_0", "Q4_K_M"))]  # fmt: skip
    assert list((tmp_path / "out").iterdir()) == []


def test_files_stay_where_they_are_wanted(tiny: Path, tmp_path: Path) -> None:
    measure(work(tiny, tmp_path, keep=True, types=("Q8_0",)))

    assert [path.name for path in (tmp_path / "out").iterdir()] == ["tiny.f16.q8_0.gguf"]


def test_the_16_bit_file_has_to_read_before_others_are_compared_with_it(
    tiny: Path, tmp_path: Path
) -> None:
    with (
        Ladder(tiny, tmp_path, threads=1) as ladder,
        pytest.raises(ValueError, match="has not read the text"),
    ):
        ladder.climb(tmp_path / "q8.gguf", "Q8_0")


def test_its_scratch_file_goes_with_it(tiny: Path, tmp_path: Path) -> None:
    with Ladder(tiny, tmp_path, threads=1) as ladder:
        ladder.read(lambda count: (SHORT, 64))
        assert [path.name for path in tmp_path.iterdir()] == ["f16.logits"]

    assert list(tmp_path.iterdir()) == []


class TestWhatCannotBeMeasured:
    def test_a_file_that_was_quantised_before_is_refused(self, q4: Path, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"holds 6.17 bits a weight") as error:
            measure(work(q4, tmp_path))

        assert error.value.fix == "Name the 16-bit GGUF that it was made from."

    def test_a_file_that_is_no_gguf_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "noise.gguf"
        path.write_bytes(b"this is no GGUF")

        with pytest.raises(UsageError, match=r"noise.gguf is no GGUF"):
            measure(work(path, tmp_path))

    def test_a_file_that_ends_llama_cpp_is_an_error_and_not_our_end(self, tmp_path: Path) -> None:
        path = tmp_path / "aborts.gguf"
        write_aborting_gguf(path)

        with pytest.raises((StageCrashed, EnvironmentProblem), match=r"aborts.gguf") as error:
            measure(work(path, tmp_path))

        assert error.value.fix

    def test_a_text_that_is_not_utf_8_is_named(self, tiny: Path, tmp_path: Path) -> None:
        order = work(tiny, tmp_path)
        assert order.text is not None
        order.text.write_bytes(b"\xff\xfe")

        with pytest.raises(UsageError, match=r"text.txt cannot be read"):
            measure(order)


def test_an_order_survives_its_file(tmp_path: Path) -> None:
    order = work(tmp_path / "m.gguf", tmp_path, imatrix=True, imatrix_text=tmp_path / "t.txt")

    assert Work.from_json(json.loads(json.dumps(order.to_json()))) == order
