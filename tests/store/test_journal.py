"""Journals: torn lines, damage, one writer, and what a killed writer leaves behind."""

import errno
import json
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom_tui.errors import EnvironmentProblem, StoreError
from fathom_tui.store import journal
from fathom_tui.store.journal import Journal

# Lone surrogates are no text; `test_append_replaces_what_is_not_text` has them.
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "acme-1" / "journal.jsonl"


def write(path: Path, count: int) -> list[int]:
    """Append events and return the offset behind each."""
    offsets = []
    with Journal(path) as writer:
        for number in range(count):
            writer.append("note", {"number": number, "text": "grüße"})
            offsets.append(path.stat().st_size)
    return offsets


def test_append_numbers_events_from_one_and_goes_on_after_reopening(path: Path) -> None:
    write(path, 2)
    with Journal(path, now=lambda: "2026-11-21T22:51:00.123Z") as writer:
        third = writer.append("note", {"text": "third"})

    events, offset, notes = journal.read(path)

    assert [event.seq for event in events] == [1, 2, 3]
    assert events[2] == third
    assert third.at == "2026-11-21T22:51:00.123Z"
    assert (offset, notes) == (path.stat().st_size, [])


def test_utc_now_has_milliseconds_and_a_trailing_z() -> None:
    assert len(journal.utc_now()) == len("2026-11-21T22:51:00.123Z")
    assert journal.utc_now().endswith("Z")


@given(st.lists(st.tuples(TEXT, st.dictionaries(TEXT, JSON, max_size=4)), max_size=4))
@settings(deadline=None, max_examples=60)
def test_a_journal_gives_back_what_was_appended(lines: list[tuple[str, dict[str, Any]]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "journal.jsonl"
        with Journal(path) as writer:
            written = [writer.append(kind, data, durable=False) for kind, data in lines]

        events, _, notes = journal.read(path)

        assert events == written
        assert [(event.kind, event.data) for event in events] == lines
        assert notes == []


@given(
    st.lists(st.dictionaries(TEXT, JSON, max_size=3), min_size=1, max_size=4),
    st.integers(0, 1000),
)
@settings(deadline=None, max_examples=60)
def test_reading_in_two_parts_gives_the_same_as_reading_at_once(
    lines: list[dict[str, Any]], permille: int
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "journal.jsonl"
        with Journal(path) as writer:
            for line in lines:
                writer.append("note", line, durable=False)
        whole, end, _ = journal.read(path)
        content = path.read_bytes()
        cut = len(content) * permille // 1000
        path.write_bytes(content[:cut])
        first, offset, _ = journal.read(path)
        path.write_bytes(content)

        rest, _, _ = journal.read(path, after_seq=len(first), offset=offset)
        followed, followed_to = journal.tail(path, offset)

        assert first + rest == whole
        assert (first + followed, followed_to) == (whole, end)


def test_a_journal_cut_at_any_byte_of_its_last_line_loses_that_line_only(path: Path) -> None:
    start, end = write(path, 3)[1:]
    content = path.read_bytes()
    torn_file = path.with_name("journal.jsonl.torn")
    for cut in range(start, end):
        path.write_bytes(content[:cut])
        torn_file.unlink(missing_ok=True)

        events, offset, notes = journal.read(path)
        with Journal(path) as writer:
            replaced = writer.append("note", {"text": "again"}, durable=False)

        assert ([event.seq for event in events], offset) == ([1, 2], start)
        assert len(notes) == (cut > start)
        assert replaced.seq == 3
        assert path.read_bytes().startswith(content[:start])
        assert [event.seq for event in journal.read(path)[0]] == [1, 2, 3]
        if cut > start:
            assert torn_file.read_bytes() == content[start:cut] + b"\n"


def test_a_journal_whose_only_line_is_torn_begins_again(path: Path) -> None:
    write(path, 1)
    path.write_bytes(path.read_bytes()[:20])

    with Journal(path) as writer:
        assert writer.seq == 0
        assert writer.append("note", {}).seq == 1


def test_a_last_line_of_zeros_left_by_a_power_cut_is_torn(path: Path) -> None:
    write(path, 2)
    with path.open("ab") as file:
        file.write(b"\0" * 100 + b"\n")

    events, _, notes = journal.read(path)

    assert len(events) == 2
    assert "101 bytes" in notes[0]


def test_a_torn_line_longer_than_the_tail_that_is_read_is_moved_aside(path: Path) -> None:
    write(path, 2)
    with path.open("ab") as file:
        file.write(b'{"v":1,"seq":3,"data":"' + b"x" * 200_000)

    with Journal(path) as writer:
        assert writer.seq == 2


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (b"{not json", "cannot be read"),
        (b"", "cannot be read"),
        (b"[1, 2]", "not an event"),
        (b'{"v":1,"seq":2,"at":"x","mono":1,"kind":"note","data":7}', "not an event"),
        (b'{"v":1,"seq":2,"at":"x","mono":NaN,"kind":"note","data":{}}', "NaN is not JSON"),
        (b'{"v":1,"seq":9,"at":"x","mono":1,"kind":"note","data":{}}', "number 9 where 2"),
        (b'{"v":1,"seq":2,"at":"x","mono":1,"kind":"note"}', "not an event"),
        (b"[" * 100_000, "cannot be read"),
    ],
)
def test_a_broken_line_in_the_middle_names_file_and_line(
    path: Path, broken: bytes, why: str
) -> None:
    write(path, 4)
    lines = path.read_bytes().splitlines()
    lines[1] = broken
    path.write_bytes(b"\n".join(lines) + b"\n")

    with pytest.raises(StoreError, match=why) as damaged:
        journal.read(path)

    assert f"{path}, line 2" in damaged.value.message
    assert "head -n 1" in damaged.value.fix


def test_a_broken_line_behind_an_offset_is_counted_from_the_start_of_the_file(path: Path) -> None:
    offsets = write(path, 4)
    lines = path.read_bytes().splitlines()
    lines[2] = b"x" * len(lines[2])
    path.write_bytes(b"\n".join(lines) + b"\n")

    with pytest.raises(StoreError, match="line 3"):
        journal.read(path, after_seq=1, offset=offsets[0])


def test_a_writer_refuses_a_journal_that_is_broken_before_its_torn_end(path: Path) -> None:
    write(path, 2)
    with path.open("ab") as file:
        file.write(b"nonsense\nmore")

    with pytest.raises(StoreError, match="line 3"):
        Journal(path).open_for_append()


def test_a_line_of_a_newer_version_is_refused_and_not_guessed_at(path: Path) -> None:
    write(path, 1)
    newer = {"v": 2, "seq": 2, "at": "x", "mono": 1, "kind": "note", "data": {}}
    with path.open("a") as file:
        file.write(json.dumps(newer) + "\n")

    with pytest.raises(StoreError, match="version 2 is newer") as refused:
        journal.read(path)
    with pytest.raises(StoreError, match="version 2 is newer"):
        Journal(path).open_for_append()

    assert "Upgrade" in refused.value.fix


def test_read_leaves_out_events_up_to_a_number(path: Path) -> None:
    write(path, 3)

    assert [event.seq for event in journal.read(path, after_seq=2)[0]] == [3]


def test_tail_leaves_a_line_that_is_being_written_for_the_next_call(path: Path) -> None:
    offsets = write(path, 2)
    content = path.read_bytes()
    path.write_bytes(content[:-5])

    events, offset = journal.tail(path, 0)
    path.write_bytes(content)
    more, end = journal.tail(path, offset)

    assert ([event.seq for event in events], offset) == ([1], offsets[0])
    assert ([event.seq for event in more], end) == ([2], offsets[1])
    assert journal.tail(path, end) == ([], end)


def test_tail_starts_over_when_the_file_was_cut_or_replaced(path: Path) -> None:
    offset = write(path, 3)[-1]
    other = path.with_name("other.jsonl")
    with Journal(other) as writer:
        for _ in range(9):
            writer.append("note", {"text": "another journal"}, durable=False)
    shorter = b"".join(path.read_bytes().splitlines(keepends=True)[:1])

    path.write_bytes(shorter)
    cut, _ = journal.tail(path, offset)
    other.replace(path)
    replaced, _ = journal.tail(path, offset)

    assert [event.seq for event in cut] == [1]
    assert [event.seq for event in replaced] == list(range(1, 10))


def test_tail_of_a_journal_that_is_not_there_yet_is_empty(path: Path) -> None:
    assert journal.tail(path, 0) == ([], 0)


def test_a_second_writer_is_refused_and_told_who_writes(path: Path) -> None:
    with Journal(path), pytest.raises(StoreError) as refused:
        Journal(path).open_for_append()

    assert f"process {os.getpid()}" in refused.value.message


def test_the_lock_is_free_again_after_close(path: Path) -> None:
    first = Journal(path).open_for_append()
    first.close()
    first.close()

    with Journal(path) as second:
        assert second.append("note", {}).seq == 1


def test_append_writes_null_for_numbers_that_json_does_not_have(path: Path) -> None:
    with Journal(path) as writer:
        event = writer.append("metric", {"train_loss": float("nan"), "all": (1.5, float("inf"))})

    assert event.data == {"train_loss": None, "all": [1.5, None]}
    assert journal.read(path)[0] == [event]


def test_append_replaces_what_is_not_text(path: Path) -> None:
    with Journal(path) as writer:
        event = writer.append("note", {"path": "caf\udce9"})

    assert event.data == {"path": "caf?"}
    assert journal.read(path)[0] == [event]


def test_append_leaves_the_journal_as_it_was_when_the_disk_is_full(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, 1)
    before = path.read_bytes()
    really_write = os.write

    def half(descriptor: int, data: bytes) -> int:
        # The disk takes ten bytes and then no more, as disks do.
        if len(data) <= 10 or path.stat().st_size > len(before):
            raise OSError(errno.ENOSPC, "No space left on device")
        return really_write(descriptor, bytes(data)[:10])

    with Journal(path) as writer:
        monkeypatch.setattr(os, "write", half)
        with pytest.raises(EnvironmentProblem, match="No space left") as full:
            writer.append("note", {"text": "does not fit"})
        monkeypatch.undo()

        assert path.read_bytes() == before
        assert "df -h" in full.value.fix
        assert writer.append("note", {"text": "fits"}).seq == 2


def test_a_killed_writer_loses_nothing_that_append_had_returned(path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from fathom_tui.store import Journal\n"
        "with Journal(pathlib.Path(sys.argv[1])) as writer:\n"
        "    while True:\n"
        "        print(writer.append('note', {'text': 'x' * 200}).seq, flush=True)\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        acknowledged = [int(child.stdout.readline()) for _ in range(20)]
        child.kill()
        acknowledged += [int(line) for line in child.stdout.read().split()]

    events, _, _ = journal.read(path)

    assert [event.seq for event in events][: len(acknowledged)] == acknowledged
    with Journal(path) as writer:
        assert writer.append("note", {}).seq == len(events) + 1


def test_a_journal_is_for_its_owner_only_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        write(path, 1)
        path.write_bytes(path.read_bytes() + b"torn")
        write(path, 1)
    finally:
        os.umask(before)

    for file in (path, path.with_name("journal.jsonl.torn")):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_journal_that_cannot_be_created_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(EnvironmentProblem, match="cannot be opened"):
        Journal(tmp_path / "file" / "journal.jsonl").open_for_append()


def test_last_event_is_the_one_whose_line_ends_at_the_offset(path: Path) -> None:
    offsets = write(path, 3)

    second = journal.last_event(path, offsets[1])

    assert second is not None
    assert second.seq == 2
    assert journal.last_event(path, offsets[1] - 1) is None
    assert journal.last_event(path, 0) is None
