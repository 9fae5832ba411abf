"""A user's own catalog rows: read, checked, and refused with file, key and line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui import catalog
from fathom_tui.errors import UsageError
from fathom_tui.sources import overlay

GOOD = """\
# my own machines
[[gpus]]
id = "rtx-3090"
price_used_low = 650
price_used_high = 720
source = "local dealer"
as_of = 2026-11-20
kind = "community"

[[gpus]]
id = "cluster"
name = "Two cards"
vendor = "nvidia"
form = "workstation"
memory_gib = 96
bandwidth_gb_s = 960   # one card
source = "datasheet"
as_of = "2026-11-20"
kind = "vendor"

[[gpus.rentals]]
provider = "In house"
usd_per_hour_low = 0.5
usd_per_hour_high = 0.5
eu = true

[[models]]
id = "qwen2.5-7b"
source = "hub"
as_of = 2026-11-20
kind = "vendor"
[models.architecture]
layers = 28
hidden = 3584
intermediate = 18944
heads = 28
kv_heads = 4
head_dim = 128
vocab = 152064
tied_embeddings = false
context = 131072
"""


def written(config: Path, text: str) -> Path:
    """Write the file; returns the directory."""
    (config / overlay.FILE).write_text(text, "utf-8")
    return config


def refused(config: Path, text: str) -> str:
    """Return what is said of a file that cannot be used."""
    with pytest.raises(UsageError) as caught:
        overlay.read(written(config, text))
    return caught.value.message


def test_no_file_is_no_rows(tmp_path: Path) -> None:
    assert overlay.read(tmp_path) == {}


def test_rows_reach_the_catalog(tmp_path: Path) -> None:
    found = catalog.load(overlay.read(written(tmp_path, GOOD)))

    assert found.gpu("rtx-3090").price_used_low == 650
    assert found.gpu("cluster").rentals[0].provider == "In house"
    assert found.model("qwen2.5-7b").architecture.context == 131_072


@pytest.mark.parametrize(
    ("before", "after", "line", "says"),
    [
        ("price_used_low = 650", 'price_used_low = "650"', 4, "price_used_low is '650'"),
        ("as_of = 2026-11-20", "as_of = 7", 7, "as_of is 7"),
        ("memory_gib = 96", "memory_gib = true", 15, "memory_gib is True"),
        ("bandwidth_gb_s = 960", "bandwidth = 960", 16, "bandwidth is unknown"),
        ("eu = true", 'eu = "yes"', 25, "rentals.eu is 'yes'"),
        ("kv_heads = 4", "kv_heads = 4.5", 37, "architecture.kv_heads is 4.5"),
        ("head_dim = 128\n", "", 27, "architecture.head_dim is missing"),
        ('name = "Two cards"\n', "", 10, "name is missing"),
    ],
)
def test_a_wrong_value_is_named_with_file_key_and_line(
    before: str, after: str, line: int, says: str, tmp_path: Path
) -> None:
    assert GOOD.count(before) >= 1
    message = refused(tmp_path, GOOD.replace(before, after, 1))

    assert message.startswith(f"{tmp_path / 'catalog.toml'}, line {line}: ")
    assert says in message


def test_an_unknown_table_is_named_with_its_line(tmp_path: Path) -> None:
    assert "line 2: 'gpu' is no table" in refused(tmp_path, "\n[[gpu]]\nid = 1\n")


def test_a_table_that_is_no_list_is_named_with_its_line(tmp_path: Path) -> None:
    assert "line 1: 'gpus' is not a list of rows" in refused(tmp_path, "gpus = 3\n")


def test_rows_on_one_line_are_found_there(tmp_path: Path) -> None:
    origin = 'source = "s", as_of = 2026-11-20, kind = "vendor"'
    text = f'\n\ngpus = [{{id = "rtx-3090", watts = "x", {origin}}}]\n'

    assert "line 3: gpus 'rtx-3090': watts is 'x'" in refused(tmp_path, text)


def test_broken_toml_is_refused_with_its_line(tmp_path: Path) -> None:
    assert "at line 2" in refused(tmp_path, "[[gpus]]\nid = \n")


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    (tmp_path / overlay.FILE).write_bytes(b'[[gpus]]\nid = "\xe9"\n')

    with pytest.raises(UsageError, match="not UTF-8"):
        overlay.read(tmp_path)


def test_a_directory_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / overlay.FILE).mkdir()

    with pytest.raises(UsageError, match="cannot be read"):
        overlay.read(tmp_path)


@given(st.text(), st.text(), st.integers(0, 5), st.text())
def test_a_line_is_always_one_of_the_texts(text: str, table: str, index: int, key: str) -> None:
    line = overlay.line_of(text, table, index, key)

    assert 1 <= line <= max(1, len(text.splitlines()))
