"""`fathom health` as people and monitors run it."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fathom_tui.commands.health_text import nagios, prometheus
from fathom_tui.drift import Drift
from fathom_tui.health import HealthState
from fathom_tui.runner.checked import Checked
from fathom_tui.store import Home, Store
from fathom_tui.store.live import watched
from tests.running import environment, fathom
from tests.served import SLUG, Deployment, deploy, lend, record_live, spoil

COUNT = 5


def checked(
    engagement: str = "acme",
    state: HealthState = HealthState.OK,
    *,
    reasons: tuple[str, ...] = (),
    latency_s: float = 0.12,
    drift: Drift | None = None,
) -> Checked:
    return Checked(
        engagement=engagement,
        deployment=f"{engagement}:v1",
        run=f"{engagement}-1",
        state=state,
        passed=19,
        total=20,
        threshold=0.9,
        checked_at="2026-11-22T08:00:00.000Z",
        reasons=reasons,
        latency_s=latency_s,
        seconds=2.5,
        drift=drift,
    )


def unasked(engagement: str = "acme") -> Checked:
    """Return a check of a server that is down."""
    found = checked(engagement, HealthState.UNKNOWN, reasons=("down",))
    return replace(found, passed=None, total=None, latency_s=None, threshold=None)


class TestNagios:
    PERFDATA = re.compile(
        r"'(?:[^'=]|'')+'=-?\d+(\.\d+)?(s|%|B|c)?(;[-\d.:~@]*){0,2}(;-?[\d.]*){0,2}"
    )

    def test_one_line_says_it_with_performance_data(self) -> None:
        assert nagios([checked()]) == (
            "FATHOM OK - acme:v1: 19 of 20 anchors pass (95 %: 0.76-0.99), 90 % must, "
            "0.12 s an answer | 'anchors'=19;;18:;0;20 'latency'=0.1200s;;;0"
        )

    def test_several_begin_with_the_worst_and_follow_line_by_line(self) -> None:
        bad = checked("beta", HealthState.CRITICAL, reasons=("too | few\nanchors",))
        gone = unasked("gamma")

        first, *rest = nagios([checked(), bad, gone]).splitlines()

        assert first.startswith(
            "FATHOM CRITICAL - 1 critical, 1 unknown, 1 ok; beta:v1: too / few anchors | "
        )
        assert [line.split("]")[0] for line in rest] == ["[CRITICAL", "[UNKNOWN", "[OK"]
        assert first.count("|") == 1
        assert not any("|" in line for line in rest)

    def test_performance_data_keeps_to_the_guidelines(self) -> None:
        drift = Drift(kind="inputs", statistic=0.1, p_value=1e-9, n_reference=10, n_recent=10)
        checks = [checked(latency_s=1e-7, drift=drift), checked("b", latency_s=123456.0)]

        data = nagios(checks).splitlines()[0].split(" | ")[1]

        found = list(self.PERFDATA.finditer(data))
        assert " ".join(match[0] for match in found) == data
        assert [match[0].split("=")[0] for match in found] == [
            *("'acme anchors'", "'acme latency'", "'acme drift p'", "'b anchors'", "'b latency'")
        ]
        assert "e-" not in data

    def test_nothing_deployed_is_unknown(self) -> None:
        assert nagios([]).startswith("FATHOM UNKNOWN - Nothing is deployed.")

    def test_what_is_unknown_has_no_performance_data(self) -> None:
        text = nagios([unasked()])

        assert text == "FATHOM UNKNOWN - acme:v1: down"


class TestPrometheus:
    def test_every_metric_has_help_type_and_no_timestamp(self) -> None:
        text = prometheus([checked(), checked("beta", HealthState.CRITICAL)], 1795339089.475)

        lines = text.splitlines()
        names = dict.fromkeys(re.split(r"[{ ]", line)[0] for line in lines if line[0] != "#")
        for name in names:
            assert sum(line.startswith(f"# HELP {name} ") for line in lines) == 1
            assert f"# TYPE {name} gauge" in lines
        assert all(len(line.rsplit("} ")[-1].split()) <= 2 for line in lines if line[0] != "#")
        assert 'fathom_health_state{engagement="beta",deployment="beta:v1"} 2' in lines
        assert 'fathom_health_anchors_passed{engagement="acme",deployment="acme:v1"} 19' in lines
        assert lines[-1] == "fathom_health_last_run_timestamp_seconds 1795339089.475"
        assert text.endswith("\n")

    def test_labels_are_escaped(self) -> None:
        text = prometheus([checked('a"b\\c\nd')], 0.0)

        assert r'{engagement="a\"b\\c\nd",' in text

    def test_what_is_unknown_is_left_out(self) -> None:
        text = prometheus([unasked()], 0.0)

        assert "fathom_health_state" in text
        assert "anchors_passed" not in text
        assert "answer_seconds" not in text


class TestWithoutADeployment:
    def test_everything_is_unknown_in_every_form(self, home: Home) -> None:
        for options in ([], ["--json"], ["--nagios"], ["--prometheus"], ["acme"]):
            ended = fathom(home, "health", *options)

            assert ended.returncode == 3, ended.stderr
        assert json.loads(fathom(home, "health", "--json").stdout) == []
        assert "fathom run ENGAGEMENT" in fathom(home, "health").stderr

    def test_one_that_is_not_there_is_unknown_and_not_critical(self, home: Home) -> None:
        ended = fathom(home, "health", "nobody", "--json")

        assert ended.returncode == 3
        (row,) = json.loads(ended.stdout)
        assert (row["engagement"], row["state"]) == ("nobody", "unknown")
        assert row["anchors"] == {"passed": None, "total": None}

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--threshold", "2"], "--threshold is '2'"),
            (["--threshold", "nan"], "--threshold is 'nan'"),
            (["--inputs", "x.txt"], "--inputs belongs to one engagement"),
            (["--keep", "--on-alert", "true"], "--keep belongs to one engagement"),
            (["acme", "--keep"], "--keep has nothing to keep"),
            (["--no-record", "--on-alert", "true"], "--no-record only looks"),
            (["--on-alert", "'"], "no command line"),
            (["--webhook", "ftp://x"], "no address"),
        ],
    )
    def test_a_request_that_makes_no_sense_is_unknown_and_says_why(
        self, home: Home, options: list[str], message: str
    ) -> None:
        ended = fathom(home, "health", *options)

        assert ended.returncode == 3
        assert message in ended.stderr
        assert "fix: " in ended.stderr

    def test_a_monitor_reads_on_stdout_why_nothing_was_checked(self, home: Home) -> None:
        ended = fathom(home, "health", "--nagios", "--threshold", "2")

        assert ended.returncode == 3
        assert ended.stdout == "FATHOM UNKNOWN - --threshold is '2'.\n"

    def test_a_damaged_journal_hides_no_other_engagement(self, home: Home) -> None:
        store = Store(home.prepare())
        for slug in ("broken", SLUG):
            store.create_engagement(slug, {}, slug)
        record_live(store, "v1", "a", None)
        path = home.engagement_journal("broken")
        path.write_bytes(b'"kind":"engagement_created"\n' + path.read_bytes())

        rows = json.loads(fathom(home, "health", "--json").stdout)

        assert [row["engagement"] for row in rows] == [SLUG, "broken"]
        assert "line 1 cannot be read" in rows[1]["reasons"][0]

    def test_what_was_stopped_on_purpose_is_checked_only_by_name(self, home: Home) -> None:
        store = Store(home.prepare())
        store.create_engagement("Acme", {}, SLUG)
        row = {"id": f"{SLUG}:v1", "run": "r", "target": "llama-cpp", "version": "v1"}
        store.record(SLUG, "deployment", {**row, "state": "stopped"})

        assert json.loads(fathom(home, "health", "--json").stdout) == []
        (named,) = json.loads(fathom(home, "health", SLUG, "--json").stdout)
        assert "v1 is stopped" in named["reasons"][0]


@pytest.mark.slow
class TestServed:
    @pytest.fixture(scope="class")
    def shared(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
        served = deploy(Home.at(tmp_path_factory.mktemp("shared")), count=COUNT)
        yield served
        served.target.stop()

    @pytest.fixture
    def served(self, shared: Deployment, home: Home) -> Deployment:
        return lend(shared, home)

    def test_json_says_at_least_what_monitors_read(self, served: Deployment) -> None:
        ended = fathom(served.home, "health", "--json")

        assert ended.returncode == 0, ended.stderr
        (row,) = json.loads(ended.stdout)
        assert {name: row[name] for name in ("engagement", "deployment", "state")} == {
            "engagement": SLUG,
            "deployment": f"{SLUG}:v1",
            "state": "ok",
        }
        assert row["anchors"] == {"passed": COUNT, "total": COUNT}
        assert (row["threshold"], row["reasons"]) == (0.9, [])
        assert row["checked_at"].endswith("Z")

    def test_people_read_the_state_the_count_and_each_failing_answer(
        self, served: Deployment
    ) -> None:
        spoil(served, 2)

        ended = fathom(served.home, "health", SLUG)

        assert ended.returncode == 2
        first, *rest = ended.stdout.splitlines()
        assert first.startswith(f"CRITICAL  {SLUG}:v1  3 of 5 anchors pass (95 %: 0.23–0.88)")
        assert rest[0].strip() == ("3 of 5 anchors pass (95 %: 0.23–0.88); the threshold is 0.90.")
        expected = served.anchors.anchors[0].expected
        assert f"anchor-01: expected 'something else', got {expected!r}" in ended.stdout

    def test_the_metrics_of_a_collector_appear_whole_and_readable(
        self, served: Deployment, tmp_path: Path
    ) -> None:
        path = tmp_path / "fathom.prom"
        path.write_text("old")

        ended = fathom(served.home, "health", "--textfile", str(path))

        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.startswith("OK ")
        assert "fathom_health_state" in path.read_text()
        assert path.stat().st_mode & 0o777 == 0o644
        assert [entry.name for entry in tmp_path.iterdir() if "prom" in entry.name] == [path.name]

    def test_a_folder_that_is_not_there_costs_no_answer(
        self, served: Deployment, tmp_path: Path
    ) -> None:
        ended = fathom(
            served.home, "health", "--no-record", "--textfile", str(tmp_path / "no" / "x.prom")
        )

        assert ended.returncode == 3
        assert ended.stdout.startswith("OK ")
        assert "The metrics cannot be written" in ended.stderr

    def test_hooks_are_kept_called_and_taken_away(self, served: Deployment, tmp_path: Path) -> None:
        out = tmp_path / "told"
        spoil(served, 2)

        keep = fathom(served.home, "health", SLUG, "--on-alert", f"touch {out}", "--keep")
        out.unlink()
        again = fathom(served.home, "health")
        taken = fathom(served.home, "health", SLUG, "--on-alert", "", "--keep")

        assert [e.returncode for e in (keep, again, taken)] == [2, 2, 2]
        assert not out.exists()  # told once
        assert watched(served.home, SLUG).facts["alert_command"] == ""

    def test_recent_inputs_are_read_by_the_engagements_own_column(
        self, served: Deployment, tmp_path: Path
    ) -> None:
        path = tmp_path / "recent.csv"
        path.write_text("input,text\nwrong,right\n")

        ended = fathom(served.home, "health", SLUG, "--no-record", "--inputs", str(path))

        assert ended.returncode == 0
        assert "recent ones: 1," in ended.stdout

    def test_loads_nothing_heavy(self, served: Deployment) -> None:
        code = (
            "import sys; from fathom_tui.cli import main\n"
            "main(['health', '--json'])\n"
            "heavy = {'numpy', 'duckdb', 'rich', 'httpx', 'torch', 'llama_cpp', 'textual'}\n"
            "print(sorted(heavy & set(sys.modules)))"
        )

        said = run_python(served.home, code)

        assert said.splitlines()[-1] == "[]"


def run_python(home: Home, code: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return ended.stdout


def test_arguments_that_make_no_sense_are_unknown_to_a_monitor(home: Home) -> None:
    done = fathom(home.prepare(), "health", "--bogus")

    assert done.returncode == 3
    assert "--bogus" in done.stderr
