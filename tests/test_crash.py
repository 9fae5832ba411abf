"""What is kept of an error nobody foresaw."""

from fathom_tui.commands.crash import record
from fathom_tui.store.paths import Home


def crash(message: str) -> str:
    try:
        raise ZeroDivisionError(message)
    except ZeroDivisionError:
        return record(["fit", "model"])


def test_each_crash_of_a_process_has_a_file_of_its_own(home: Home) -> None:
    told = [crash(f"crash {number}") for number in range(5)]

    logs = list(home.state.glob("crash-*.log"))
    assert len(logs) == 5
    for number, said in enumerate(told):
        (log,) = [log for log in logs if f"{log};" in said]
        assert f"crash {number}" in log.read_text("utf-8")
        assert log.stat().st_mode & 0o777 == 0o600


def test_a_link_that_leads_nowhere_is_not_written_through(home: Home) -> None:
    crash("first")
    (first,) = home.state.glob("crash-*.log")
    first.unlink()
    first.symlink_to(home.state / "elsewhere")

    crash("second")

    assert not (home.state / "elsewhere").exists()
