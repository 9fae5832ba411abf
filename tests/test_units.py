"""The units as texts: what stands in them, and that systemd takes them as they are."""

import json
import os
import plistlib
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom_tui.errors import UsageError
from fathom_tui.launchd import plists
from fathom_tui.sandbox import EVERYWHERE
from fathom_tui.unit_file import (
    UnitFile,
    bare_path,
    command,
    command_with_variables,
    environment_file,
    word,
)
from fathom_tui.units import (
    AGENT,
    HEALTH,
    HEALTH_TIMER,
    MARK,
    OLLAMA,
    Installation,
    ServerUnit,
    enabled,
    server_name,
    units,
)

SERVED = ServerUnit(
    slug="acme-triage", target="llama-cpp", root="/var/lib/fathom/data/serving/acme"
)
VLLM = ServerUnit(
    slug="big",
    target="vllm",
    root="/var/lib/fathom/data/serving/big",
    lora=(("french", "/opt/adapters/french ones"),),
)
SYSTEM = Installation(
    scope="system",
    gpu=False,
    python="/usr/bin/python3",
    writes=("/var/lib/fathom",),
    environment={"FATHOM_HOME": "/var/lib/fathom"},
    account="fathom",
    servers=(SERVED, VLLM),
    ollama="/usr/bin/true",
    vllm="/usr/bin/true",
)
USER = replace(SYSTEM, scope="user", account="")
GPU = replace(SYSTEM, gpu=True, groups=("video",))
WITH_TORCH = (AGENT, server_name(VLLM))
LARGEST_EXPOSURE = 2.0

texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=40)
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd: apt-get install systemd"
)


def read_words(value: str) -> Iterator[str]:
    """Read words as systemd.syntax(7) and systemd.unit(5) say they are read, specifiers last."""
    for found in re.finditer(r'"((?:[^"\\]|\\.)*)"|([^\s"]\S*)', value):
        quoted, bare = found.groups()
        text = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare
        assert "%" not in text.replace("%%", "")
        yield text.replace("%%", "%")


def settings(unit: UnitFile) -> list[tuple[str, str]]:
    lines = [line for line in unit.text.splitlines() if "=" in line and line[0] not in "#["]
    return [(key, value) for key, _, value in (line.partition("=") for line in lines)]


def named(installation: Installation) -> dict[str, UnitFile]:
    return {unit.name: unit for unit in units(installation)}


class TestWords:
    @given(texts)
    def test_come_back_as_they_went_in(self, text: str) -> None:
        assert list(read_words(word(text))) == [text]

    @given(st.lists(texts.filter(lambda text: "$" not in text), min_size=1))
    def test_of_a_command_come_back(self, arguments: list[str]) -> None:
        arguments = ["/usr/bin/env", *arguments]

        assert list(read_words(command(arguments))) == arguments

    @given(st.lists(texts))
    def test_of_a_command_with_a_dollar_are_never_expanded(self, arguments: list[str]) -> None:
        arguments = ["/opt/a b$c/python", *arguments]

        first, *rest = read_words(command(arguments))

        assert first == ":/opt/a b$c/python"
        assert rest == arguments[1:]

    def test_that_are_variables_are_expanded_and_others_are_not(self) -> None:
        line = command_with_variables(["/usr/bin/vllm", "serve", "${MODEL}", "a=${B} $C", "100%"])

        assert line == '/usr/bin/vllm serve ${MODEL} "a=$${B} $$C" "100%%"'

    @given(texts)
    def test_of_an_environment_file_come_back_from_a_shell(self, value: str) -> None:
        # systemd.exec(5): read as a shell reads assignments in double quotes.
        line = environment_file([("NAME", value)])

        assert shlex.split(line.replace("\\$", "$").replace("\\`", "`")) == [f"NAME={value}"]

    @pytest.mark.parametrize("text", ["a\nb", "a\tb", "\x1b[0m", "a\x9bb", "caf\udce9"])
    def test_that_no_unit_can_hold_are_refused(self, text: str) -> None:
        for write in (word, lambda t: command(["/bin/a", t]), lambda t: bare_path(f"/{t}")):
            with pytest.raises(UsageError):
                write(text)

    @pytest.mark.parametrize("path", ["relative", "", "/ends in space ", "/ends in backslash\\"])
    def test_path_that_cannot_stand_unquoted_is_refused(self, path: str) -> None:
        with pytest.raises(UsageError, match="cannot stand in a unit"):
            bare_path(path)


class TestTheUnits:
    def test_are_agent_check_timer_and_a_server_for_each_engagement(self) -> None:
        assert list(named(SYSTEM)) == [
            OLLAMA,
            "fathom-serve-acme-triage.service",
            "fathom-vllm-big.service",
            "fathom-vllm-big.path",
            AGENT,
            HEALTH,
            HEALTH_TIMER,
        ]
        assert enabled(SYSTEM) == [
            OLLAMA,
            "fathom-serve-acme-triage.service",
            "fathom-vllm-big.path",
            AGENT,
            HEALTH_TIMER,
        ]

    def test_say_who_wrote_them(self) -> None:
        assert all(unit.text.startswith(f"# {MARK}\n") for unit in units(GPU))

    def test_an_agent_does_not_change_with_the_engagements(self) -> None:
        alone = named(replace(SYSTEM, servers=(), ollama=""))

        assert alone[AGENT] == named(SYSTEM)[AGENT]

    @pytest.mark.parametrize("installation", [USER, SYSTEM, GPU], ids=["user", "system", "gpu"])
    def test_forbid_new_code_where_nothing_compiles_it(self, installation: Installation) -> None:
        for unit in units(installation):
            if unit.name.endswith(".service"):
                denied = ("MemoryDenyWriteExecute", "yes") in settings(unit)
                assert denied is (unit.name not in WITH_TORCH), unit.name

    def test_of_a_user_have_only_directives_that_work_for_users(self) -> None:
        effective = {name for name, _ in EVERYWHERE}
        effective |= {"RestrictAddressFamilies", "MemoryDenyWriteExecute"}
        # These are the manager's own work: no kernel feature has to be allowed.
        plain = {
            *("Type", "NotifyAccess", "ExecStart", "ExecStartPre", "Restart", "RestartSec"),
            *("WatchdogSec", "TimeoutStopSec", "TimeoutStartSec", "OOMPolicy", "KillMode"),
            *("Environment", "EnvironmentFile", "Description", "After"),
            *("StartLimitIntervalSec", "StartLimitBurst", "Conflicts", "ConditionPathExists"),
            *("WantedBy", "OnCalendar", "Persistent", "RandomizedDelaySec", "FixedRandomDelay"),
            *("Unit", "PathChanged"),
        }
        for unit in units(USER):
            assert {name for name, _ in settings(unit)} <= effective | plain, unit.name

    def test_of_a_gpu_name_its_devices_and_check_that_it_is_seen(self) -> None:
        for name, unit in named(GPU).items():
            said = settings(unit)
            if name.endswith(".service"):
                assert ("DeviceAllow", "char-nvidia-uvm rw") in said, name
                assert ("PrivateDevices", "no") in said
                assert ("SupplementaryGroups", "video") in said
            if name not in (HEALTH,) and name.endswith(".service"):
                checks = [value for key, value in said if key == "ExecStartPre"]
                assert checks == ["/usr/bin/python3 -P -m fathom_tui runner check-gpu"]

    def test_write_where_the_home_is_and_nowhere_else(self) -> None:
        elsewhere = replace(
            SYSTEM, writes=("/srv/fathom home",), servers=(replace(SERVED, root="/srv/f h/s"),)
        )
        found = named(elsewhere)

        assert ("StateDirectory", "fathom") in settings(named(SYSTEM)[AGENT])
        assert ("ReadWritePaths", '"/srv/fathom home"') in settings(found[AGENT])
        assert ("ReadWritePaths", '"/srv/f h/s"') in settings(found[server_name(SERVED)])

    @pytest.mark.parametrize(
        ("path", "seen"), [("/home/ana/.venv/bin/python", "read-only"), ("/opt/python", "yes")]
    )
    def test_see_homes_only_where_fathom_is_installed_in_one(self, path: str, seen: str) -> None:
        assert ("ProtectHome", seen) in settings(named(replace(SYSTEM, python=path))[AGENT])

    def test_of_the_system_need_an_account(self) -> None:
        for account in ("", "root"):
            with pytest.raises(UsageError, match="account of their own"):
                replace(SYSTEM, account=account)

    def test_serve_vllm_with_all_it_is_told(self) -> None:
        said = dict(settings(named(GPU)[server_name(VLLM)]))
        line = said["ExecStart"]

        for part in (
            "serve ${FATHOM_VLLM_MODEL}",
            "--served-model-name big",
            "--max-model-len ${FATHOM_VLLM_CONTEXT}",
            "--gpu-memory-utilization 0.9",
            "--host 127.0.0.1 --port ${FATHOM_VLLM_PORT}",
            '--enable-lora --lora-modules "french=/opt/adapters/french ones"',
        ):
            assert part in line
        assert "key" not in line
        assert ("EnvironmentFile", f"{VLLM.root}/vllm.key") in settings(
            named(GPU)[server_name(VLLM)]
        )
        assert said["Environment"]

    def test_check_daily_catch_up_and_spread(self) -> None:
        said = dict(settings(named(USER)[HEALTH_TIMER]))

        assert said["Persistent"] == said["FixedRandomDelay"] == "true"
        assert said["RandomizedDelaySec"] == "30min"
        assert said["OnCalendar"].startswith("*-*-* ")


@needs_systemd
class TestForSystemd:
    @pytest.fixture(params=["cpu", "gpu"])
    def written(self, request: pytest.FixtureRequest, tmp_path: Path) -> list[Path]:
        paths = []
        for unit in units(GPU if request.param == "gpu" else SYSTEM):
            path = tmp_path / unit.name
            path.write_text(unit.text, "utf-8")
            paths.append(path)
        return paths

    def test_every_unit_is_clean(self, written: list[Path]) -> None:
        assert verified(written) == (0, "")

    def test_every_unit_of_a_user_is_clean(self, tmp_path: Path) -> None:
        written = []
        for unit in units(USER):
            written.append(tmp_path / unit.name)
            written[-1].write_text(unit.text, "utf-8")

        assert verified(written, "--user") == (0, "")

    def test_every_service_is_exposed_little(
        self, written: list[Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        scores = {path.name: exposure(path) for path in written if path.suffix == ".service"}

        with capsys.disabled():
            print(f"\nexposure ({written[0].parent.name}): {json.dumps(scores)}")
        assert len(scores) == 5
        assert max(scores.values()) <= LARGEST_EXPOSURE

    def test_paths_and_values_of_every_kind_are_clean(self, tmp_path: Path) -> None:
        odd = '/srv/50% "of" it\'s $HOME & ünï;'
        strange = replace(
            SYSTEM,
            writes=(odd,),
            environment={"FATHOM_HOME": odd, "PYTHONPATH": "/a b:/c%d"},
            servers=(replace(SERVED, root=odd), replace(VLLM, root="/srv/a %b c")),
        )
        written = []
        for unit in units(strange):
            written.append(tmp_path / unit.name)
            written[-1].write_text(unit.text, "utf-8")

        assert verified(written) == (0, "")


def verified(paths: list[Path], *options: str) -> tuple[int, str]:
    done = subprocess.run(
        ["systemd-analyze", *options, "verify", "--man=no", *map(str, paths)],
        # A user's manager wants to know where it would put its sockets.
        env={**os.environ, "XDG_RUNTIME_DIR": str(paths[0].parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def exposure(path: Path) -> float:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found is not None, done.stdout
    return float(found[1])


class TestForMacOs:
    def test_property_lists_say_what_the_units_say(self) -> None:
        odd = replace(SYSTEM, environment={"FATHOM_HOME": '/Users/ana/50% <&> "x"'})

        found = {name: plistlib.loads(data) for name, data in plists(odd, logs="/var/log").items()}

        assert sorted(found) == [
            "io.fathom.agent.plist",
            "io.fathom.health.plist",
            "io.fathom.serve-acme-triage.plist",
        ]
        served = found["io.fathom.serve-acme-triage.plist"]
        assert served["ProgramArguments"] == [
            *("/usr/bin/python3", "-P", "-m", "fathom_tui", "serve", "acme-triage", "--foreground")
        ]
        assert served["EnvironmentVariables"]["FATHOM_HOME"] == '/Users/ana/50% <&> "x"'
        assert served["KeepAlive"] == {"SuccessfulExit": False}
        assert served["Umask"] == 0o077
        assert found["io.fathom.health.plist"]["StartCalendarInterval"] == {"Hour": 5, "Minute": 0}
        assert "KeepAlive" not in found["io.fathom.health.plist"]
        assert {job["UserName"] for job in found.values()} == {"fathom"}
        assert all(name == f"{job['Label']}.plist" for name, job in found.items())
