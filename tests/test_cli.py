"""The command line: help, errors and exit codes, and the JSON of the commands about runs."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fathom_tui import __version__, cli
from fathom_tui.commands import logs
from fathom_tui.commands.output import duration, printable
from fathom_tui.errors import StoreError, UsageError
from fathom_tui.gates import passed, refused
from fathom_tui.stages import STAGE_NAMES
from fathom_tui.store import Home, Journal, Store
from fathom_tui.store.requests import resume

ROOT = Path(__file__).parents[1]
Capture = pytest.CaptureFixture[str]


def fathom(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the real command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "fathom_tui", *arguments],
        cwd=ROOT,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def refused_run(home: Home, tickets: Path) -> str:
    """Return a run that stopped at a floor: one gate passed, one waivable, one not."""
    store = Store(home)
    slug = store.create_engagement("Acme triage", {"dataset": str(tickets)})
    run_id = store.reserve_run(slug)
    gates = (
        passed("data.parse", "30 of 30 rows parse"),
        refused("data.floor", "24 training rows, 200 are the least", "Add 176 rows."),
        refused("data.leak", "3 test rows are in train", "Remove them.", waivable=False),
    )
    with Journal(home.run_journal(run_id)) as journal:
        journal.append("run_created", {"run": run_id, "engagement": slug, "config": {}})
        journal.append("attempt", {"number": 1, "pid": os.getpid()})
        journal.append("stage_started", {"stage": "preflight", "input_hash": "a"})
        journal.append("progress", {"stage": "preflight", "done": 1, "total": 2, "note": "disk"})
        journal.append("stage_finished", {"stage": "preflight", "state": "done", "seconds": 0.5})
        journal.append("stage_started", {"stage": "data", "input_hash": "b"})
        for gate in gates:
            journal.append("gate", {"stage": "data", "gate": gate.to_json()})
        journal.append("stage_finished", {"stage": "data", "state": "refused", "seconds": 1.25})
        journal.append("run_finished", {"state": "refused", "seconds": 2.0})
    return run_id


class TestHelp:
    def test_names_every_command_and_says_what_the_exit_codes_mean(self, capsys: Capture) -> None:
        with pytest.raises(SystemExit) as end:
            cli.main(["--help"])

        out = capsys.readouterr().out
        assert end.value.code == 0
        assert all(f"  {verb.name} " in out for verb in cli.VERBS)
        assert "130/143 interrupted" in out

    @pytest.mark.parametrize("verb", [verb.name for verb in cli.VERBS])
    def test_of_each_command_says_how_to_call_it(self, verb: str, capsys: Capture) -> None:
        with pytest.raises(SystemExit) as end:
            cli.main([verb, "--help"])

        assert end.value.code == 0
        assert capsys.readouterr().out.startswith(f"usage: fathom {verb}")

    def test_version_is_the_package_version(self, capsys: Capture) -> None:
        with pytest.raises(SystemExit):
            cli.main(["--version"])

        assert capsys.readouterr().out == f"fathom {__version__}\n"

    def test_goes_to_stderr_when_there_is_neither_a_command_nor_a_terminal(self) -> None:
        ended = fathom()

        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr.startswith("usage: fathom")


class TestErrors:
    def test_an_unknown_command_names_the_closest(self, capsys: Capture) -> None:
        assert cli.main(["doktor"]) == 2
        assert capsys.readouterr().err == (
            "error: There is no command 'doktor'.\n  fix: Did you mean: fathom doctor\n"
        )

    def test_a_wrong_flag_is_a_usage_error_in_the_same_form(self, capsys: Capture) -> None:
        assert cli.main(["runs", "--jsn"]) == 2
        err = capsys.readouterr().err
        assert err.startswith("error: Unrecognized arguments: --jsn.")
        assert "fix: fathom runs --help" in err

    def test_a_wrong_flag_of_no_command_points_to_the_help_of_all(self, capsys: Capture) -> None:
        assert cli.main(["--jsn"]) == 2
        assert "fix: fathom --help" in capsys.readouterr().err

    def test_a_name_without_letters_is_told_the_flag(self, capsys: Capture) -> None:
        assert cli.main(["engagement", "create", "🚀", "--advice-only"]) == 2
        assert "--slug acme-triage" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("error", "code"),
        [(UsageError("bad", fix="do this"), 2), (StoreError("locked", fix="do this"), 5)],
    )
    def test_a_known_error_is_message_fix_and_exit_code(
        self, error: Exception, code: int, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _break(monkeypatch, error)

        assert cli.main(["runs"]) == code
        err = capsys.readouterr().err
        assert err == f"error: {getattr(error, 'message', '')}\n  fix: do this\n"

    def test_an_unexpected_error_leaves_its_traceback_in_a_private_file(
        self, home: Home, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _break(monkeypatch, ZeroDivisionError("by zero"))

        assert cli.main(["runs", "--json"]) == 1
        (log,) = home.state.glob("crash-*.log")
        err = capsys.readouterr().err
        assert err.startswith("error: Unexpected ZeroDivisionError: by zero\n")
        assert str(log) in err and "Traceback" not in err
        assert "$ fathom runs --json" in log.read_text("utf-8")
        assert "ZeroDivisionError: by zero" in log.read_text("utf-8")
        assert log.stat().st_mode & 0o777 == 0o600

    def test_an_unexpected_error_is_told_even_if_no_file_can_be_written(
        self, home: Home, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home.data.parent.write_text("a file where the home should be", "utf-8")
        _break(monkeypatch, ZeroDivisionError("by zero"))

        assert cli.main(["runs"]) == 1
        assert "FATHOM_DEBUG=1 shows the traceback" in capsys.readouterr().err

    def test_an_unexpected_error_is_raised_when_debugging(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FATHOM_DEBUG", "1")
        _break(monkeypatch, ZeroDivisionError("by zero"))

        with pytest.raises(ZeroDivisionError):
            cli.main(["runs"])

    def test_a_package_that_is_not_installed_is_named(
        self, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _break(monkeypatch, ModuleNotFoundError("No module named 'torch'", name="torch"))

        assert cli.main(["runs"]) == 4
        assert "The Python package 'torch' is not installed." in capsys.readouterr().err

    def test_an_interrupted_command_says_so(
        self, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _break(monkeypatch, KeyboardInterrupt())

        assert cli.main(["runs"]) == 130
        assert capsys.readouterr().err == "\ninterrupted\n"

    @pytest.mark.parametrize("unbuffered", ["", "1"])
    def test_a_reader_that_went_away_ends_the_command_quietly(self, unbuffered: str) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        ended = subprocess.run(
            [sys.executable, "-m", "fathom_tui", "runs", "--json"],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=writer,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
        os.close(writer)

        assert (ended.returncode, ended.stderr) == (cli.BROKEN_PIPE, b"")

    def test_the_screens_want_a_terminal(self) -> None:
        ended = fathom("tui")

        assert ended.returncode == 2
        assert "ssh -t HOST fathom" in ended.stderr


def _break(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def run(arguments: object) -> int:
        raise error

    monkeypatch.setattr("fathom_tui.commands.runs.run", run)


class TestEngagement:
    def test_is_created_from_a_data_file(self, home: Home, tickets: Path, capsys: Capture) -> None:
        code = cli.main(["engagement", "create", "Acme triage", "--data", str(tickets), "--json"])

        created = _json(capsys)
        assert code == 0
        assert created == {
            "slug": "acme-triage",
            "name": "Acme triage",
            "config": {
                "dataset": str(tickets),
                "contract": {
                    "kind": "label",
                    "fields": [
                        {
                            "name": "label",
                            "kind": "choice",
                            "choices": ["card", "transfer"],
                            "nullable": False,
                        }
                    ],
                },
                "instruction": "Read the message and say which class it belongs to.",
            },
        }
        assert Store(home).engagement("acme-triage").config == created["config"]

    def test_takes_settings_from_a_file_and_flags_win(
        self, tickets: Path, tmp_path: Path, capsys: Capture
    ) -> None:
        file = tmp_path / "acme.toml"
        file.write_text('dataset = "tickets.csv"\nepochs = 1.0\nthreshold = 0.5\n', "utf-8")

        code = cli.main(
            ["engagement", "create", "A", "--config", str(file), "--threshold", "0.9", "--json"]
        )

        config = _json(capsys)["config"]
        assert code == 0
        assert (config["dataset"], config["epochs"]) == (str(tickets), 1.0)
        assert config["threshold"] == 0.9

    @pytest.mark.parametrize("name", ["a/b", "..", "bell\x07", "", "new\nline", "x" * 101])
    def test_refuses_a_name_that_is_not_safe(
        self, name: str, tickets: Path, capsys: Capture
    ) -> None:
        assert cli.main(["engagement", "create", name, "--data", str(tickets)]) == 2
        err = capsys.readouterr().err
        assert repr(name[:100]) in err and "Use 1 to 100 characters" in err

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            ([], "No data file was given."),
            (["--data", "{dir}/none.csv"], "There is no file {dir}/none.csv."),
            (["--data", "{dir}/empty.csv"], "{dir}/empty.csv is empty."),
            (["--data", "{dir}/broken.jsonl"], "{dir}/broken.jsonl:2: broken JSON"),
            (["--data", "{dir}/one.csv"], "all 2 rows have the label 'a'"),
            (["--data", "{dir}/tickets.csv", "--output", "lable"], "Did you mean 'label'?"),
            (["--data", "{dir}/tickets.csv", "--model", "{dir}/m"], "{dir}/m is not a Hugging"),
            (["--data", "{dir}/tickets.csv", "--threshold", "1.5"], "threshold is 1.5"),
            (["--config", "{dir}/none.toml"], "{dir}/none.toml cannot be read"),
            (["--config", "{dir}/broken.toml"], "{dir}/broken.toml is not TOML"),
            (["--config", "{dir}/odd.toml"], "no setting named epoch"),
        ],
    )
    def test_says_what_is_wrong_with_the_input(
        self, arguments: list[str], says: str, tickets: Path, capsys: Capture
    ) -> None:
        folder = tickets.parent
        (folder / "empty.csv").write_text("", "utf-8")
        (folder / "broken.jsonl").write_text('{"text": "a", "label": "b"}\n{"text"\n', "utf-8")
        (folder / "one.csv").write_text("text,label\nx,a\ny,a\n", "utf-8")
        (folder / "broken.toml").write_text("dataset = \n", "utf-8")
        (folder / "odd.toml").write_text('dataset = "tickets.csv"\nepoch = 1\n', "utf-8")
        given = [argument.format(dir=folder) for argument in arguments]

        assert cli.main(["engagement", "create", "Acme", *given]) == 2
        assert says.format(dir=folder) in capsys.readouterr().err

    def test_list_and_show_print_what_the_ledger_has(
        self, refused_run: str, capsys: Capture
    ) -> None:
        assert cli.main(["engagement", "list", "--json"]) == 0
        (row,) = _json(capsys)
        assert set(row) == {
            *("slug", "name", "created_at", "config", "runs", "last_run", "last_state"),
            "retention_until",
        }
        assert (row["runs"], row["last_run"], row["last_state"]) == (1, refused_run, "refused")

        assert cli.main(["engagement", "show", "acme-triage", "--json"]) == 0
        assert set(_json(capsys)) == set(row) | {
            *("run_list", "facts", "decisions", "waivers", "deployments", "test_openings"),
            "purges",
        }

    def test_list_says_what_to_do_when_there_is_none(self, capsys: Capture) -> None:
        assert cli.main(["engagement", "list"]) == 0
        captured = capsys.readouterr()
        assert captured.out == "" and "fathom demo" in captured.err

    def test_tables_name_the_engagement_and_its_run(
        self, refused_run: str, capsys: Capture
    ) -> None:
        cli.main(["engagement", "list"])
        cli.main(["engagement", "show", "acme-triage"])

        out = capsys.readouterr().out
        assert "Acme triage" in out and f"{refused_run} refused" in out


class TestRuns:
    def test_json_is_the_documented_list(self, refused_run: str, capsys: Capture) -> None:
        assert cli.main(["runs", "--json"]) == 0

        out = capsys.readouterr().out
        assert out.count("\n") == 1
        (row,) = json.loads(out)
        assert set(row) == {"id", "engagement", "state", "created_at", "finished_at", "stages"}
        assert (row["id"], row["engagement"]) == (refused_run, "acme-triage")
        assert row["state"] == "refused"
        assert [stage["name"] for stage in row["stages"]] == list(STAGE_NAMES)
        assert row["stages"][:3] == [
            {"name": "preflight", "state": "done", "seconds": 0.5, "verdict": None},
            {"name": "data", "state": "refused", "seconds": 1.25, "verdict": "refuse"},
            {"name": "baseline", "state": "pending", "seconds": None, "verdict": None},
        ]

    def test_without_any_is_an_empty_list(self, capsys: Capture) -> None:
        assert cli.main(["runs", "--json"]) == 0
        assert capsys.readouterr().out == "[]\n"

    def test_of_an_unknown_engagement_names_the_closest(
        self, refused_run: str, capsys: Capture
    ) -> None:
        assert cli.main(["runs", "acme-triag", "--json"]) == 2
        assert "acme-triage" in capsys.readouterr().err

    def test_detail_has_gates_and_what_led_to_them(self, refused_run: str, capsys: Capture) -> None:
        assert cli.main(["runs", "--run", refused_run, "--json"]) == 0

        detail = _json(capsys)
        data = next(stage for stage in detail["stages"] if stage["name"] == "data")
        assert [gate["name"] for gate in data["gates"]] == ["data.parse", "data.floor", "data.leak"]
        assert {"artifacts", "waivers", "result", "attempts", "error", "fix"} <= set(detail)

    def test_tables_show_state_and_reasons(self, refused_run: str, capsys: Capture) -> None:
        cli.main(["runs"])
        cli.main(["runs", "--run", refused_run])

        out = " ".join(capsys.readouterr().out.split())
        assert "1 of 12 done, data refused" in out
        assert "refuse data.floor:" in out


class TestLogs:
    def test_tell_the_journal_in_order_and_leave_progress_out(
        self, refused_run: str, capsys: Capture
    ) -> None:
        assert cli.main(["logs", refused_run]) == 0

        lines = [line[21:] for line in capsys.readouterr().out.splitlines()]
        assert lines == [
            f"           run {refused_run} of acme-triage",
            f"           attempt 1, agent {os.getpid()}",
            "preflight  started",
            "preflight  done after 0.5 s",
            "data       started",
            "data       pass data.parse: 30 of 30 rows parse",
            "data       refuse data.floor: 24 training rows, 200 are the least → Add 176 rows.",
            "data       refuse data.leak: 3 test rows are in train → Remove them.",
            "data       refused after 1.2 s",
            "           run refused after 2.0 s",
        ]

    def test_all_shows_progress_as_well(self, refused_run: str, capsys: Capture) -> None:
        cli.main(["logs", refused_run, "--all"])

        assert "preflight  1 of 2 disk" in capsys.readouterr().out

    def test_json_prints_the_events(self, home: Home, refused_run: str, capsys: Capture) -> None:
        cli.main(["logs", refused_run, "--json"])

        printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        written = home.run_journal(refused_run).read_text("utf-8").splitlines()
        assert printed == [json.loads(line) for line in written]

    def test_follow_ends_with_the_run(self, refused_run: str, capsys: Capture) -> None:
        assert cli.main(["logs", refused_run, "-f"]) == 0
        assert capsys.readouterr().err == f"{refused_run} refused.\n"

    def test_follow_gives_up_when_nobody_works_on_the_run(
        self, home: Home, refused_run: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(logs, "POLL_S", 0.01)
        monkeypatch.setattr(logs, "PATIENCE_S", 0.05)
        with Journal(home.run_journal(refused_run)) as journal:
            journal.append("attempt", {"number": 2, "pid": 1})

        assert cli.main(["logs", refused_run, "-f"]) == 3
        assert f"fix: fathom resume {refused_run}" in capsys.readouterr().err

    def test_follow_waits_for_a_run_that_is_to_go_on(
        self, home: Home, refused_run: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(logs, "POLL_S", 0.01)
        monkeypatch.setattr(logs, "PATIENCE_S", 0.05)
        resume(home, refused_run)

        assert cli.main(["logs", refused_run, "-f"]) == 3
        assert f"Nobody works on {refused_run}: it is queued" in capsys.readouterr().err

    def test_of_an_unknown_run_is_a_usage_error(self, capsys: Capture) -> None:
        assert cli.main(["logs", "acme-7"]) == 2
        assert "There is no run 'acme-7'." in capsys.readouterr().err


class TestResume:
    def test_says_which_gates_still_stand_and_shows_the_run_as_waiting(
        self, refused_run: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("fathom_tui.store.requests.ensure_agent", lambda home: None)
        by = ("--by", "Ada", "--reason", "a pilot")
        assert cli.main(["waive", refused_run, "data.floor", *by]) == 0
        capsys.readouterr()

        assert cli.main(["resume", refused_run]) == 0
        said = capsys.readouterr().err
        assert "Gate data.leak is not waived: it refuses again" in said
        assert "data.floor" not in said

        assert cli.main(["runs", "--json"]) == 0
        (row,) = json.loads(capsys.readouterr().out)
        assert row["state"] == "queued"


class TestWaive:
    BY: Sequence[str] = ("--by", "Ada", "--reason", "the client accepts it")

    def test_records_who_and_why(self, home: Home, refused_run: str, capsys: Capture) -> None:
        assert cli.main(["waive", refused_run, "data.floor", *self.BY, "--json"]) == 0

        captured = capsys.readouterr()
        expected = {
            "run": refused_run,
            "gate": "data.floor",
            "by": "Ada",
            "reason": "the client accepts it",
        }
        assert json.loads(captured.out) == expected
        assert f"fathom resume {refused_run}" in captured.err
        (waiver,) = Store(home).waivers("acme-triage")
        assert {name: waiver[name] for name in expected} == expected

    @pytest.mark.parametrize(
        ("gate", "code", "says"),
        [
            ("data.flor", 2, "No gate 'data.flor' has spoken"),
            ("data.parse", 2, "did not refuse, its verdict is pass"),
            ("data.leak", 1, "cannot be waived"),
        ],
    )
    def test_refuses_a_gate_that_is_not_to_be_waived(
        self, gate: str, code: int, says: str, home: Home, refused_run: str, capsys: Capture
    ) -> None:
        assert cli.main(["waive", refused_run, gate, *self.BY]) == code
        assert says in capsys.readouterr().err
        assert Store(home).waivers("acme-triage") == []

    @pytest.mark.parametrize("blank", ["--by", "--reason"])
    def test_refuses_a_blank_name_or_reason(
        self, blank: str, home: Home, refused_run: str, capsys: Capture
    ) -> None:
        words = {"--by": "Ada", "--reason": "it is fine", blank: " "}
        given = [part for pair in words.items() for part in pair]

        assert cli.main(["waive", refused_run, "data.floor", *given]) == 2
        assert f"{blank} is blank" in capsys.readouterr().err
        assert Store(home).waivers("acme-triage") == []

    def test_refuses_a_second_waiver_of_the_same_gate(
        self, home: Home, refused_run: str, capsys: Capture
    ) -> None:
        cli.main(["waive", refused_run, "data.floor", *self.BY])

        assert cli.main(["waive", refused_run, "data.floor", *self.BY]) == 2
        assert "was waived already, by Ada" in capsys.readouterr().err
        assert len(Store(home).waivers("acme-triage")) == 1


class TestOutput:
    def test_control_characters_never_reach_the_terminal(self) -> None:
        assert printable("red \x1b[31m bell \x07 csi \x9b é\ttab\n") == (
            "red \\x1b[31m bell \\x07 csi \\x9b é\ttab\n"
        )

    @pytest.mark.parametrize(
        ("seconds", "text"),
        [(None, ""), (9.44, "9.4 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")],
    )
    def test_durations_read_as_people_write_them(self, seconds: float | None, text: str) -> None:
        assert duration(seconds) == text


def _json(capsys: Capture) -> Any:
    return json.loads(capsys.readouterr().out)
