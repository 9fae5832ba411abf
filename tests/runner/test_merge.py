import json
from pathlib import Path

import pytest

from fathom_tui.errors import UsageError
from fathom_tui.runner.base_model import require_16_bit


def config(folder: Path, **settings: object) -> Path:
    (folder / "config.json").write_text(json.dumps(settings), "utf-8")
    return folder


def test_a_base_in_16_bit_may_be_merged_into(tmp_path: Path) -> None:
    require_16_bit(config(tmp_path, torch_dtype="bfloat16"))
    require_16_bit(config(tmp_path, quantization_config=None))


@pytest.mark.parametrize(
    ("stored", "method"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes"),
        ({"bits": 4}, "unknown"),
        ("gptq", "gptq"),
    ],
)
def test_a_base_that_is_stored_quantised_is_refused_with_the_way_out(
    tmp_path: Path, stored: object, method: str
) -> None:
    with pytest.raises(UsageError, match=rf"stored quantised \({method}\)") as error:
        require_16_bit(config(tmp_path, quantization_config=stored))

    assert "16-bit weights of the same model" in error.value.fix
