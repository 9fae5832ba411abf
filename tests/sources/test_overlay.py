"""A user's own catalog rows: read, checked, and refused with file, key and line."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui import catalog
from fathom_tui.errors import UsageError
from fathom_tui.sources import overlay

TODAY = date(2026, 11, 22)
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
        overlay.read(written(config, text), TODAY)
    return caught.value.message


def test_no_file_is_no_rows(tmp_path: Path) -> None:
    assert overlay.read(tmp_path) == {}


def test_rows_reach_the_catalog(tmp_path: Path) -> None:
    found = catalog.load(overlay.read(written(tmp_path, GOOD), TODAY))

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
        ("head_dim = 128\n", "", 32, "architecture.head_dim is missing"),
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
    assert "line 2: no TOML: Invalid value" in refused(tmp_path, "[[gpus]]\nid = \n")


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    (tmp_path / overlay.FILE).write_bytes(b'[[gpus]]\nid = "\xe9"\n')

    with pytest.raises(UsageError, match="not UTF-8"):
        overlay.read(tmp_path)


def test_a_directory_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / overlay.FILE).mkdir()

    with pytest.raises(UsageError, match="is a directory") as caught:
        overlay.read(tmp_path)

    assert caught.value.fix.startswith("mv ")


def test_a_byte_order_mark_is_not_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / overlay.FILE).write_bytes(b"\xef\xbb\xbf" + GOOD.encode())

    assert overlay.read(tmp_path, TODAY)["gpus"][0]["id"] == "rtx-3090"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = 1\nas_of = 2026-13-45\n", 2),
        ("a = 1\nas_of = 2026-02-30\n", 2),
        ("a = 1\nb = [\n1,\n", 3),
        ("a = 1\n\na = 2\n", 3),
        ("a = 1\nb = " + "1" * 5000 + "\n", 2),
        ("a = 1\nb = " + "[" * 5000 + "\n", 2),
    ],
)
def test_what_is_no_toml_is_named_with_its_line(text: str, line: int, tmp_path: Path) -> None:
    assert f"catalog.toml, line {line}: no TOML: " in refused(tmp_path, text)


def test_a_date_that_is_none_says_how_one_is_written(tmp_path: Path) -> None:
    written(tmp_path, GOOD.replace("2026-11-20", "2026-13-45", 1))

    with pytest.raises(UsageError, match="line 7") as caught:
        overlay.read(tmp_path, TODAY)
    assert "A date is written 2026-11-22" in caught.value.fix


ROW = """\
[[gpus]]
id = "rtx-3090"
note = \"\"\"
watts = "in a string"
[[gpus]]\"\"\"
watts = 350  # watts = 7
source = "local dealer # 1"
as_of = 2026-11-20
kind = "community"
origins = [
  { fields = ["watts"], source = "a", as_of = 2026-11-20, kind = "vendor" },
  { fields = ["name"], source = "b", as_of = 2026-11-20, kind = "vendor" },
]
[[gpus.rentals]]
provider = "A"
usd_per_hour_low = 0.5
usd_per_hour_high = 0.5
eu = true
[[gpus.rentals]]
provider = "B"
usd_per_hour_low = 0.5
usd_per_hour_high = 0.5
eu = true
"""


@pytest.mark.parametrize(
    ("before", "after", "line", "says"),
    [
        ("watts = 350", "watts = 0", 6, "watts is 0"),
        ("watts = 350", "prise = 3", 6, "prise is unknown; did you mean price_new_low"),
        ('kind = "community"', 'kind = "guess"', 9, "kind is 'guess'"),
        ('source = "local dealer # 1"', "source = 4", 7, "source is 4"),
        ("as_of = 2026-11-20\nkind", "as_of = 2026-12-01\nkind", 8, "as_of is 2026-12-01, which"),
        ('source = "b"', 'source = ""', 12, "origins.source is ''"),
        ('source = "b", as_of = 2026-11-20', 'source = "b"', 12, "origins.as_of is missing"),
        ('source = "b", as_of = 2026', 'source = "b", as_of = 2027', 12, "origins.as_of is 2027"),
        ('["name"]', '["nam"]', 12, "origins.fields has 'nam'"),
        ('"B"\nusd_per_hour_low = 0.5', '"B"\nusd_per_hour_low = 9', 21, "usd_per_hour_low is 9"),
        ('provider = "B"\n', "", 19, "rentals.provider is missing"),
    ],
)
def test_the_line_is_that_of_the_key_as_it_was_written(
    before: str, after: str, line: int, says: str, tmp_path: Path
) -> None:
    assert ROW.count(before) == 1
    message = refused(tmp_path, ROW.replace(before, after))

    assert f"line {line}: gpus 'rtx-3090': " in message and says in message


@pytest.mark.parametrize(
    ("id_", "value"),
    [
        ("usd_per_gbp", "0"), ("months", "0"), ("tuning_months", "0"), ("local_share", "3"),
        ("utilisation", "7"), ("cache_discount", "2"), ("operations_gbp", "1e300"),
    ],
)  # fmt: skip
def test_an_assumption_out_of_range_is_named_with_its_line(
    id_: str, value: str, tmp_path: Path
) -> None:
    origin = 'source = "me"\nas_of = 2026-11-20\nkind = "assumed"\n'
    message = refused(tmp_path, f'[[assumptions]]\nid = "{id_}"\nvalue = {value}\n{origin}')

    assert f"catalog.toml, line 3: assumptions '{id_}': value is {float(value):g}" in message


def test_a_second_row_of_an_id_is_named_with_its_line(tmp_path: Path) -> None:
    row = 'id = "q4_k_m"\nbits = 4.9\nsource = "me"\nas_of = 2026-11-20\nkind = "assumed"\n'

    message = refused(tmp_path, f"[[quants]]\n{row}[[quants]]\n{row}")
    assert "line 8: quants 'q4_k_m': id is 'q4_k_m', as in a row above." in message


def test_an_alias_of_another_row_is_named_with_its_line(tmp_path: Path) -> None:
    text = GOOD.replace('name = "Two cards"', 'name = "Two cards"\naliases = ["h100"]')

    assert "line 13: gpus 'cluster': aliases has 'h100'" in refused(tmp_path, text)


@given(st.text(), st.text(), st.integers(0, 5), st.text())
def test_a_line_is_always_one_of_the_texts(text: str, table: str, index: int, key: str) -> None:
    line = overlay.line_of(text, table, index, key, index)

    assert 1 <= line <= text.count("\n") + 1
