"""`fathom runner` as one types it, rightly and wrongly, where no systemd runs the machine."""

import json
import os
import plistlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fathom_tui import cli
from fathom_tui.errors import EnvironmentProblem, UsageError
from fathom_tui.runner import account
from fathom_tui.runner import install as module
from fathom_tui.runner import systemd as systemd_module
from fathom_tui.runner.systemd import Systemd, lingers
from fathom_tui.store import Home, Store

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def own_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the person's own units out of it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "config" / "systemd" / "user"


@pytest.fixture
def acme(home: Home) -> str:
    return Store(home.prepare()).create_engagement("Acme", {"input": "text"}, "acme-triage")


def said(capsys: Capture, *arguments: str) -> tuple[int, str, str]:
    code = cli.main(["runner", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


class TestADryRun:
    def test_writes_every_unit_for_inspection_and_nothing_else(
        self, acme: str, tmp_path: Path, own_units: Path, capsys: Capture
    ) -> None:
        target = tmp_path / "to look at"

        code, out, err = said(
            capsys,
            *("install", "--cpu", "--dry-run", "--directory", str(target), "--engagement", acme),
        )

        assert (code, out) == (0, "")
        assert sorted(path.name for path in target.iterdir()) == [
            "fathom-agent.service",
            "fathom-health.service",
            "fathom-health.timer",
            "fathom-serve-acme-triage.service",
        ]
        assert f"Wrote 4 files into {target}; nothing was installed." in err
        assert not own_units.exists()

    def test_without_a_directory_prints_them(self, home: Home, capsys: Capture) -> None:
        code, out, _ = said(capsys, "install", "--cpu", "--dry-run")

        assert code == 0
        assert "### fathom-agent.service\n# Written by `fathom runner install`" in out
        assert f"Environment=FATHOM_HOME={home.data.parent}" in out
        # Nothing was deployed: the server is shown all the same.
        assert "### fathom-serve-example.service" in out

    @pytest.mark.parametrize("target", ["llama-cpp", "ollama", "vllm"])
    def test_shows_a_target_that_is_not_installed(self, target: str, capsys: Capture) -> None:
        code, out, _ = said(capsys, "install", "--gpu", "--dry-run", "--target", target)

        assert code == 0
        assert {
            "llama-cpp": "### fathom-serve-example.service",
            "ollama": "### fathom-ollama.service",
            "vllm": "### fathom-vllm-example.service",
        }[target] in out
        assert "runner check-gpu" in out
        assert "DeviceAllow" not in out  # a user's manager would ignore it

    def test_for_the_system_runs_as_an_account_and_is_sandboxed(self, capsys: Capture) -> None:
        code, out, _ = said(
            capsys, "install", "--system", "--account", "robot", "--cpu", "--dry-run"
        )

        assert code == 0
        assert "User=robot" in out
        assert "ProtectSystem=strict" in out

    def test_for_macos_writes_property_lists(self, tmp_path: Path, capsys: Capture) -> None:
        code, _, err = said(
            capsys, "install", "--launchd", "--dry-run", "--directory", str(tmp_path / "d")
        )

        assert code == 0
        assert "Wrote 3 files" in err
        agent = plistlib.loads((tmp_path / "d" / "io.fathom.agent.plist").read_bytes())
        assert agent["ProgramArguments"][-2:] == ["runner", "run"]
        assert "they belong into ~/Library/LaunchAgents" in err
        assert "launchctl bootstrap gui/$(id -u) ~/Library/LaunchAgents/FILE" in err

    def test_asks_a_remote_ollama_for_no_unit(
        self, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        monkeypatch.setenv("OLLAMA_HOST", "http://gpu-box:11434")

        _, out, _ = said(capsys, "install", "--cpu", "--dry-run", "--target", "ollama")

        assert "fathom-ollama.service" not in out
        assert "Environment=OLLAMA_HOST=http://gpu-box:11434" in out


class TestBadInput:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--target", "tgi"], "There is no serving target 'tgi'"),
            (["--directory", "d"], "--directory is for looking at the units"),
            (["--account", "x"], "--account is for --system"),
            (["--dry-run", "--system", "--account", "root"], "root is none"),
            (["--dry-run", "--system", "--account", ""], "an account of their own"),
            (["--dry-run", "--system", "--account", "a b"], "cannot be an account's name"),
            (["--dry-run", "--engagement", "nobody"], "There is no engagement 'nobody'"),
            (["--dry-run", "--engagement", "../x"], "is not an engagement's short name"),
            (["--dry-run", "--lora", "a=/nowhere"], "Adapters are for vLLM"),
            (["--dry-run", "--target", "vllm", "--lora", "a"], "'a' is no adapter"),
            (["--dry-run", "--target", "vllm", "--lora", "=d"], "'=d' is no adapter"),
            (["--dry-run", "--target", "vllm", "--lora", "a=/nowhere"], "There is no adapter 'a'"),
            (["--gpu", "--cpu"], "not allowed with"),
        ],
    )
    def test_is_refused_with_what_is_wrong(
        self, arguments: list[str], message: str, capsys: Capture
    ) -> None:
        code, out, err = said(capsys, "install", *arguments)

        assert (code, out) == (2, "")
        assert message in err
        assert "fix:" in err

    def test_an_environment_that_no_unit_can_hold_is_refused(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture
    ) -> None:
        monkeypatch.setenv("FATHOM_HOME", str(tmp_path / "two\nlines"))

        code, _, err = said(capsys, "install", "--cpu", "--dry-run")

        assert code == 2
        assert "control character" in err

    def test_a_directory_that_cannot_be_written_is_named(
        self, tmp_path: Path, capsys: Capture
    ) -> None:
        (tmp_path / "file").write_text("x", "utf-8")

        code, _, err = said(
            capsys, "install", "--cpu", "--dry-run", "--directory", str(tmp_path / "file" / "d")
        )

        assert code == 4
        assert "cannot be written" in err

    @pytest.mark.parametrize("lines", ["-1", "many"])
    def test_lines_that_are_no_number_are_refused(self, lines: str, capsys: Capture) -> None:
        assert said(capsys, "logs", "-n", lines)[0] == 2


class TestWithoutSystemd:
    def test_installing_says_what_is_missing_and_what_works_without(
        self, monkeypatch: pytest.MonkeyPatch, capsys: Capture
    ) -> None:
        monkeypatch.setenv("PATH", "")

        code, _, err = said(capsys, "install", "--cpu")

        assert code == 4
        assert "has no systemctl" in err
        assert "fathom runner start" in err

    def test_a_machine_that_systemd_does_not_run_is_told(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture
    ) -> None:
        self.program(monkeypatch, tmp_path, "systemctl", "exit 0")
        monkeypatch.setattr(systemd_module, "_RUNS_HERE", tmp_path / "nothing")

        code, _, err = said(capsys, "install", "--cpu")

        assert code == 4
        assert "systemd does not run this machine" in err
        assert "--dry-run --directory DIR" in err

    @pytest.mark.parametrize(
        ("says", "message", "fix"),
        [
            ("Failed to connect to bus: No medium found", "no way to", "enable-linger"),
            (
                "$DBUS_SESSION_BUS_ADDRESS and $XDG_RUNTIME_DIR not defined",
                "no way",
                "enable-linge",
            ),
            ("Access denied", "Not allowed", "sudo"),
            ("Unit x.service not found.", "failed: Unit x.service", "fathom runner logs"),
        ],
    )
    def test_what_systemctl_says_is_explained(
        self,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        says: str,
        message: str,
        fix: str,
    ) -> None:
        self.program(monkeypatch, tmp_path, "systemctl", f"echo '{says}' >&2; exit 1")

        with pytest.raises(EnvironmentProblem, match=message) as error:
            Systemd("user").call("start", "x.service")

        assert fix in error.value.fix

    def test_units_that_are_there_and_a_manager_that_is_not_are_both_told(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own_units: Path, capsys: Capture
    ) -> None:
        self.program(monkeypatch, tmp_path, "systemctl", "echo no medium found >&2; exit 1")
        code, out, _ = said(capsys, "install", "--cpu", "--dry-run", "--directory", str(own_units))
        assert (code, out) == (0, "")

        code, _, err = said(capsys, "status")
        data = said(capsys, "status", "--json")

        assert code == 3
        assert "4 units are installed, and how they stand is not known" in err
        found = json.loads(data[1])
        assert (found["pid"], found["units"]) == (None, [])
        assert "no medium found" in found["units_problem"]

    def test_uninstalling_where_nothing_is_installed_is_done(self, capsys: Capture) -> None:
        code, _, err = said(capsys, "uninstall")

        assert code == 0
        assert "No units of ours" in err

    def test_ollama_and_vllm_have_to_be_there(
        self, monkeypatch: pytest.MonkeyPatch, home: Home, acme: str
    ) -> None:
        monkeypatch.setenv("PATH", "/nowhere")
        monkeypatch.setattr(sys, "executable", "/nowhere/python")

        for target in ("ollama", "vllm"):
            with pytest.raises(EnvironmentProblem, match=f"{target} is not installed") as error:
                module.plan_installation(home, "user", target=target, slugs=[acme])
            assert "--dry-run" in error.value.fix

    def test_a_target_with_nothing_to_serve_asks_what(self, home: Home) -> None:
        for target in ("llama-cpp", "vllm"):
            with pytest.raises(UsageError, match=f"nothing for {target} to serve") as error:
                module.plan_installation(home, "user", target=target)
            assert "--engagement SLUG" in error.value.fix

    def test_a_serving_folder_that_is_of_no_engagement_gets_no_unit(
        self, home: Home, acme: str
    ) -> None:
        for name in (acme, "left-over"):
            (home.data / "serving" / name).mkdir(parents=True)

        given = module.plan_installation(home, "user")

        assert [server.slug for server in given.servers] == [acme]

    def test_launchd_is_for_macos(self, capsys: Capture) -> None:
        code, _, err = said(capsys, "install", "--launchd")

        assert code == 4
        assert "launchd is macOS's" in err

    def program(
        self, monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, script: str
    ) -> None:
        path = folder / "bin" / name
        path.parent.mkdir()
        path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")


class TestForTheSystem:
    def test_an_account_that_is_missing_is_made_by_the_command_that_is_named(
        self, home: Home
    ) -> None:
        given = module.plan_installation(home, "system", who="nobody-of-that-name")

        with pytest.raises(EnvironmentProblem, match="no account nobody-of-that-name") as error:
            module.prepare(home, given)

        assert error.value.fix.startswith("useradd --system")

    def test_an_interpreter_below_tmp_would_not_be_seen(self, home: Home) -> None:
        with pytest.raises(EnvironmentProblem, match="a /tmp of their own"):
            account.must_be_readable(Path("/tmp/venv"), account.account("daemon"))

    def test_an_interpreter_in_a_closed_directory_is_refused(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(account, "_PRIVATE", ())
        (tmp_path / "closed" / "venv").mkdir(parents=True)
        (tmp_path / "closed").chmod(0o700)

        with pytest.raises(EnvironmentProblem, match=r"daemon cannot enter .*closed"):
            account.must_be_readable(tmp_path / "closed" / "venv", account.account("daemon"))

    def test_a_home_of_somebody_else_is_not_taken_away(self, tmp_path: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root can give files away")
        daemon, other = account.account("daemon"), account.account("games")
        (tmp_path / "home" / "data").mkdir(parents=True)
        (tmp_path / "home" / "link").symlink_to("/etc/passwd")
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "home" / "folder").symlink_to(tmp_path / "elsewhere")

        account.give([tmp_path / "home"], daemon)

        owners = {path.lstat().st_uid for path in (tmp_path / "home").rglob("*")}
        assert owners | {(tmp_path / "home").stat().st_uid} == {daemon.pw_uid}
        assert Path("/etc/passwd").stat().st_uid == (tmp_path / "elsewhere").stat().st_uid == 0
        account.must_be_theirs([tmp_path / "home", tmp_path / "new"], daemon)
        with pytest.raises(UsageError, match="belongs to daemon, not to games"):
            account.must_be_theirs([tmp_path / "home"], other)


class TestTheLogs:
    def test_without_units_are_the_files_of_agent_and_servers(
        self, home: Home, capfd: Capture
    ) -> None:
        home.prepare().agent_log.write_text("one\ntwo\nthree\n", "utf-8")
        server = home.data / "serving" / "acme" / "server.log"
        server.parent.mkdir(parents=True)
        server.write_text("loading\nlistening\n", "utf-8")

        assert cli.main(["runner", "logs", "-n", "2"]) == 0

        agent, _, served = capfd.readouterr().out.partition(f"==> {server} <==")
        assert agent.startswith(f"==> {home.agent_log} <==\ntwo\nthree\n")
        assert served == "\nloading\nlistening\n"

    def test_of_nobody_could_not_be_read(self, capsys: Capture) -> None:
        code, _, err = said(capsys, "logs")

        assert code == 3
        assert "nothing has run" in err

    def test_of_units_come_from_the_journal(self) -> None:
        user = Systemd("user").journal(["a.service"], lines=5, follow=False)
        system = Systemd("system").journal(["a.service"], lines=5, follow=True)

        assert user[:3] == ["journalctl", "--user", "--unit=a.service"]
        assert system[:2] == ["journalctl", "--unit=a.service"]
        assert ("--follow" in system, "--follow" in user) == (True, False)


def test_lingering_is_a_file_of_that_name(tmp_path: Path) -> None:
    (tmp_path / "ana").write_text("", "utf-8")

    assert lingers("ana", directory=tmp_path)
    assert not lingers("ben", directory=tmp_path)


def test_a_gpu_that_no_service_can_see_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    from fathom_tui.machine import Gpus
    from fathom_tui.sources import nvml

    monkeypatch.setattr(nvml, "gpus", lambda: Gpus(problem="no permission", on_the_bus=2))
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.delenv("INVOCATION_ID", raising=False)

    outside = said(capsys, "check-gpu")
    monkeypatch.setenv("INVOCATION_ID", "0" * 32)
    inside = said(capsys, "check-gpu")

    assert (outside[0], inside[0]) == (4, 4)
    assert "No GPU can be used here: no permission. 2 on the PCI bus." in outside[2]
    assert "sees none: no permission. 2 on the PCI bus." in inside[2]
    assert "DeviceAllow=" in inside[2]


@pytest.mark.skipif(shutil.which("systemctl") is None, reason="needs systemctl")
def test_the_real_systemctl_without_a_bus_is_explained() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from fathom_tui.runner.systemd import Systemd\n"
         "Systemd('user').call('list-units')"],
        env={"PATH": os.environ["PATH"], "HOME": "/nowhere",
             "PYTHONPATH": str(Path(cli.__file__).parents[1])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert "There is no way to" in done.stderr
