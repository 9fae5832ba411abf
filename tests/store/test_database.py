"""The database file: damaged, locked, missing or somebody else's; nothing is ever lost."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from fathom_tui.errors import StoreError
from fathom_tui.store import FindingState, Home, Journal, Store
from tests.store.conftest import WriteRun

LOCK = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


WRITE = """
from fathom_tui.store import Home, Store
store = Store(Home.from_env())
while True:
    store.record("acme", "fact", {"key": "a", "value": 1})
    store.facts("acme")
    print(end=".", flush=True)
"""


def noise(path: Path) -> None:
    path.write_bytes(os.urandom(50_000))


def nothing(path: Path) -> None:
    path.write_bytes(b"")


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped_bits(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for position in range(3 * 4096, len(content), 7):
        content[position] ^= 0xFF
    path.write_bytes(content)


def other_tables(path: Path) -> None:
    path.unlink()
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE engagements (apples INT)")


def open_elsewhere(path: Path) -> subprocess.Popen[str]:
    """Start a process that has the database open until its stdin is closed."""
    child = subprocess.Popen(
        [sys.executable, "-c", LOCK, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "open\n"
    return child


@pytest.mark.parametrize("damage", [noise, nothing, half, flipped_bits, other_tables])
def test_a_damaged_database_is_moved_aside_and_everything_is_restored(
    store: Store, acme: str, write_run: WriteRun, damage: Callable[[Path], None]
) -> None:
    write_run(acme)
    engagements, decisions = store.engagements(), store.decisions(acme)
    waivers, runs = store.waivers(acme), store.runs()
    damage(store.home.database)
    damaged = store.home.database.read_bytes()

    later = Store(store.home)

    assert later.engagements() == engagements
    assert (later.decisions(acme), later.waivers(acme)) == (decisions, waivers)
    assert later.runs() == runs
    (aside,) = store.home.data.glob("fathom.duckdb.corrupt-*")
    assert aside.read_bytes() == damaged
    assert len(later.notes) == 1
    assert str(aside) in later.notes[0]


def test_a_second_damaged_database_does_not_replace_the_first(store: Store, acme: str) -> None:
    for _ in range(2):
        noise(store.home.database)
        assert Store(store.home).engagement(acme).name == "Acme triage"

    assert len(list(store.home.data.glob("fathom.duckdb.corrupt-*"))) == 2


def test_a_noisy_write_ahead_log_loses_nothing(store: Store, acme: str) -> None:
    waivers = store.waivers(acme)
    noise(store.home.database.with_name("fathom.duckdb.wal"))

    assert Store(store.home).waivers(acme) == waivers


def test_a_process_killed_while_it_writes_tables_leaves_a_usable_database(
    store: Store, acme: str
) -> None:
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", WRITE], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.read(5)
            child.kill()

        findings = Store(store.home).check()

        assert [finding for finding in findings if finding.state is FindingState.BROKEN] == []
    assert list(store.home.data.glob("*.corrupt-*")) == []


def test_a_deleted_database_is_made_again_without_a_word(store: Store, acme: str) -> None:
    store.engagements()
    store.home.database.unlink()

    later = Store(store.home)

    assert later.engagement(acme).slug == acme
    assert later.notes == []


def test_a_database_locked_by_another_program_is_refused_by_name_after_the_timeout(
    home: Home, acme: str
) -> None:
    Store(home).engagements()
    impatient = Store(home, timeout_s=0.3)
    with open_elsewhere(home.database) as child:
        with pytest.raises(StoreError) as refused:
            impatient.engagements()

        assert f"process {child.pid}" in refused.value.message
        assert "0.3 s" in refused.value.message
        assert "Close it" in refused.value.fix
        child.communicate("")
    assert [row.slug for row in impatient.engagements()] == [acme]


def test_events_are_recorded_while_another_program_holds_the_database(
    home: Home, acme: str
) -> None:
    store = Store(home, timeout_s=0.2)
    store.facts(acme)
    with open_elsewhere(home.database) as child:
        event = store.record(acme, "fact", {"key": "gpu", "value": "none"})
        child.communicate("")

    assert [fact["seq"] for fact in store.facts(acme)][-1] == event.seq


def test_a_database_that_is_let_go_in_time_is_waited_for(home: Home, acme: str) -> None:
    Store(home).engagements()
    with open_elsewhere(home.database) as child:
        assert child.stdin is not None
        child.stdin.close()

        assert Store(home, timeout_s=10).engagement(acme).slug == acme


def test_the_database_is_not_held_between_operations(store: Store, acme: str) -> None:
    store.engagements()

    with open_elsewhere(store.home.database) as child:
        child.communicate("")
    assert child.returncode == 0


def test_the_database_is_let_go_after_an_error_inside(store: Store, acme: str) -> None:
    def fail(session: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store._database.transact(fail)

    with open_elsewhere(store.home.database) as child:
        child.communicate("")
    assert child.returncode == 0
    assert store.engagement(acme).slug == acme


def test_the_database_is_for_its_owner_only_whatever_the_umask(store: Store, acme: str) -> None:
    before = os.umask(0)
    try:
        store.engagements()
    finally:
        os.umask(before)

    assert stat.S_IMODE(store.home.database.stat().st_mode) == 0o600


def test_a_home_with_a_quote_in_its_name_works(tmp_path: Path) -> None:
    store = Store(Home.at(tmp_path / "Ann's home"))

    slug = store.create_engagement("Acme", {})

    assert store.engagement(slug).name == "Acme"


def test_a_journal_in_a_foreign_folder_is_passed_over(store: Store, acme: str) -> None:
    with Journal(store.home.runs / "Not a run" / "journal.jsonl") as writer:
        writer.append("run_created", {"run": "x", "engagement": "y"})
    (store.home.runs / "stray-file-1").write_text("stray")

    assert store.runs() == []
