import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fathom_tui.datasets.records import read_table
from fathom_tui.errors import DatasetError

# What a UTF-8 data file can hold; a bare carriage return does not survive most editors.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"))
same_folder = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60
)


def a_file(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def the_error(path: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        read_table(path)
    assert caught.value.fix
    return caught.value.message


class TestFiles:
    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        assert the_error(tmp_path / "no.csv") == f"There is no file {tmp_path / 'no.csv'}."

    def test_a_directory_is_no_data_file(self, tmp_path: Path) -> None:
        assert the_error(tmp_path) == f"{tmp_path} is a directory."

    @pytest.mark.parametrize("content", ["", "\n\n", "  \n"])
    def test_an_empty_file_says_so(self, tmp_path: Path, content: str) -> None:
        assert "is empty" in the_error(a_file(tmp_path, "t.csv", content))

    @pytest.mark.parametrize("content", ["text,label\n", "\n[]"])
    def test_a_file_without_rows_says_so(self, tmp_path: Path, content: str) -> None:
        assert "has no rows" in the_error(a_file(tmp_path, "t", content))

    def test_a_nul_byte_is_named_with_its_line(self, tmp_path: Path) -> None:
        path = a_file(tmp_path, "t.csv", "text,label\nhello,a\nwor\0ld,b\n")

        assert the_error(path) == f"{path}:3: a NUL byte stands in the text."

    def test_an_undecodable_byte_is_named_with_its_line(self, tmp_path: Path) -> None:
        path = a_file(tmp_path, "t.csv", b"text,label\ncaf\xe9,a\n")

        assert the_error(path) == f"{path}:2: byte 0xe9 is not UTF-8."

    def test_a_byte_order_mark_does_not_shift_the_faulty_byte(self, tmp_path: Path) -> None:
        path = a_file(tmp_path, "t.csv", b"\xef\xbb\xbftext\ncaf\xe9\n")

        assert the_error(path) == f"{path}:2: byte 0xe9 is not UTF-8."

    @pytest.mark.parametrize(
        ("content", "what"),
        [
            (b"PAR1\x00", "a Parquet file"),
            (b"PK\x03\x04", "a spreadsheet"),
            (b"\x1f\x8b\x08", "gzip"),
            ("text\n".encode("utf-16"), "UTF-16"),
        ],
    )
    def test_other_kinds_of_files_are_recognised(
        self, tmp_path: Path, content: bytes, what: str
    ) -> None:
        assert what in the_error(a_file(tmp_path, "t.csv", content))


class TestCsv:
    def test_rows_have_the_line_they_start_on(self, tmp_path: Path) -> None:
        path = a_file(tmp_path, "t.csv", 'text,label\r\n"two\nlines",a\r\n\r\nlast,b\r\n')

        table = read_table(path)

        assert [(r.line, dict(r.cells)) for r in table.records] == [
            (2, {"text": "two\nlines", "label": "a"}),
            (5, {"text": "last", "label": "b"}),
        ]

    @pytest.mark.parametrize("separator", [";", "\t"])
    def test_the_separator_is_taken_from_the_header(self, tmp_path: Path, separator: str) -> None:
        content = f"text{separator}label\nhello, there{separator}a\n"

        table = read_table(a_file(tmp_path, "t.csv", content))

        assert dict(table.records[0].cells) == {"text": "hello, there", "label": "a"}

    def test_a_byte_order_mark_is_no_part_of_the_first_column(self, tmp_path: Path) -> None:
        table = read_table(a_file(tmp_path, "t.csv", b"\xef\xbb\xbftext,label\na,b\n"))

        assert table.columns == ("text", "label")

    def test_a_line_separator_inside_a_message_does_not_end_the_row(self, tmp_path: Path) -> None:
        table = read_table(a_file(tmp_path, "t.csv", "text,label\none\u2028two,a\n"))

        assert table.records[0].cells["text"] == "one\u2028two"

    def test_every_row_with_wrong_cells_is_named(self, tmp_path: Path) -> None:
        path = a_file(tmp_path, "t.csv", "text,label\na,b,c\nfine,a\nlonely\n")

        assert the_error(path) == (
            f"{path}:2: 3 cells, but the header names 2 columns.\n"
            f"{path}:4: 1 cells, but the header names 2 columns."
        )

    def test_many_faulty_rows_are_counted(self, tmp_path: Path) -> None:
        path = a_file(tmp_path, "t.csv", "text,label\n" + "lonely\n" * 12)

        assert the_error(path).endswith("… and 7 more rows.")

    @pytest.mark.parametrize("row", ['"never closed,a\nnext,b\n', '"closed" early,a\n'])
    def test_a_bad_quote_is_named_with_the_line_its_row_starts_on(
        self, tmp_path: Path, row: str
    ) -> None:
        path = a_file(tmp_path, "t.csv", "text,label\nfine,a\n" + row)

        assert the_error(path).startswith(f"{path}:3: the row that starts here is not CSV")

    def test_a_cell_beyond_the_limit_of_the_parser_is_an_error_of_that_row(
        self, tmp_path: Path
    ) -> None:
        path = a_file(tmp_path, "t.csv", "text,label\n" + "x" * 200_000 + ",a\n")

        assert the_error(path).startswith(f"{path}:2: ")

    def test_a_column_named_twice_is_refused(self, tmp_path: Path) -> None:
        path = a_file(tmp_path, "t.csv", "text,label,text\na,b,c\n")

        assert the_error(path) == f"{path}:1: the header names 'text' twice."

    @same_folder
    @given(rows=st.lists(st.lists(texts, min_size=2, max_size=2), min_size=1))
    def test_what_a_csv_writer_writes_is_read_back(
        self, tmp_path: Path, rows: list[list[str]]
    ) -> None:
        written = [row for row in rows if any(cell.strip() for cell in row)]
        out = io.StringIO()
        csv.writer(out).writerows([["text", "label"], ["first", "a"], *written])

        table = read_table(a_file(tmp_path, "t.csv", out.getvalue()))

        assert [list(record.cells.values()) for record in table.records[1:]] == written


class TestJson:
    def test_lines_keep_their_numbers_over_blank_ones(self, tmp_path: Path) -> None:
        table = read_table(a_file(tmp_path, "t.jsonl", '{"a": 1}\n\n{"b": 2}\r\n'))

        assert [record.line for record in table.records] == [1, 3]
        assert table.columns == ("a", "b")

    def test_every_broken_line_is_named_with_its_column(self, tmp_path: Path) -> None:
        path = a_file(tmp_path, "t.jsonl", '{"a": 1}\n{"a": }\n[1]\n"x"\n')

        assert the_error(path) == (
            f"{path}:2: broken JSON at column 7: Expecting value.\n"
            f"{path}:3: a JSON list stands where an object is expected.\n"
            f"{path}:4: a JSON str stands where an object is expected."
        )

    def test_nesting_without_end_is_an_error_not_a_crash(self, tmp_path: Path) -> None:
        path = a_file(tmp_path, "t.jsonl", '{"a": ' + "[" * 200_000 + "\n")

        assert the_error(path).startswith(f"{path}:1: ")

    def test_a_number_too_long_to_read_is_an_error_not_a_crash(self, tmp_path: Path) -> None:
        path = a_file(tmp_path, "t.jsonl", '{"a": ' + "9" * 5000 + "}\n")

        assert the_error(path).startswith(f"{path}:1: ")

    def test_an_array_of_objects_has_lines_too(self, tmp_path: Path) -> None:
        path = a_file(tmp_path, "t.json", '[\n  {"a": 1},\n\n  {"a":\n 2}\n]\n')

        assert [record.line for record in read_table(path).records] == [2, 4]

    @pytest.mark.parametrize(
        ("content", "line"),
        [
            ('[\n{"a": 1}\n{"a": 2}\n]', 2),
            ('[\n{"a": 1},\n{"a": }\n]', 3),
            ('[\n{"a": 1},\n7]', 3),
            ('[\n{"a": 1}', 2),
            ('[\n{"a": 1}\n]\n{"a": 2}', 2),
        ],
    )
    def test_a_broken_array_is_named_with_its_line(
        self, tmp_path: Path, content: str, line: int
    ) -> None:
        path = a_file(tmp_path, "t.json", content)

        assert the_error(path).startswith(f"{path}:{line}: ")

    @same_folder
    @given(
        rows=st.lists(
            st.dictionaries(texts, texts | st.integers() | st.none(), min_size=1), min_size=1
        ),
        array=st.booleans(),
    )
    def test_what_json_writes_is_read_back(
        self, tmp_path: Path, rows: list[dict[str, Any]], array: bool
    ) -> None:
        lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        content = json.dumps(rows, indent=2) if array else lines

        table = read_table(a_file(tmp_path, "t.json", content))

        assert [record.cells for record in table.records] == rows
        assert table.syntax == ("json" if array else "jsonl")


@same_folder
@given(content=st.binary(), name=st.sampled_from(["t.csv", "t.jsonl", "t.json", "t"]))
def test_any_bytes_are_read_or_refused_and_never_crash(
    tmp_path: Path, content: bytes, name: str
) -> None:
    path = a_file(tmp_path, name, content)

    try:
        table = read_table(path)
    except DatasetError as error:
        assert str(path) in error.message
    else:
        assert table.records


@same_folder
@given(
    content=st.text(st.sampled_from('{}[]",:\\\n ab1;\t'), min_size=1),
    name=st.sampled_from(["t.csv", "t.jsonl", "t.json", "t"]),
)
def test_any_punctuation_is_read_or_refused_and_never_crashes(
    tmp_path: Path, content: str, name: str
) -> None:
    path = a_file(tmp_path, name, content)

    try:
        table = read_table(path)
    except DatasetError as error:
        assert str(path) in error.message
    else:
        assert table.records
