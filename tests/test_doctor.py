"""The doctor: its JSON, its judgements, and the readings they rest on."""

import http.server
import importlib.util
import json
import threading
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fathom_tui import cli, doctor
from fathom_tui.doctor import NEEDED, STEPS, Diagnosis, State, examine
from fathom_tui.machine import (
    Cpu,
    Disk,
    Gpu,
    Gpus,
    Machine,
    Memory,
    Ollama,
    Package,
    Systemd,
    Terminal,
    TorchBuild,
)
from fathom_tui.sources import host, installed, nvml, services

ROOT = Path(__file__).parents[1]
GB = doctor.GB
H200 = Gpus(
    devices=(Gpu(name="NVIDIA H200", memory_bytes=141 * GB, capability=(9, 0)),),
    driver="580.65.06",
    cuda=(13, 0),
)
NEEDS_TORCH = pytest.mark.skipif(installed.torch_build() is None, reason="needs the train extra")
CHECKS = [
    "python",
    *("packages-base", "packages-train", "packages-serve", "packages-demo", "packages-unsloth"),
    "packages-report",
    *("home", "disk", "memory", "cpu", "gpu", "torch"),
    *STEPS,
    *("ollama", "systemd", "terminal"),
]


def whole_set() -> dict[str, tuple[Package, ...]]:
    """Return the tested set, all of it installed."""
    listed = tomllib.loads((ROOT / "assets/tested.toml").read_text("utf-8"))
    return {
        extra: tuple(Package(name=n, tested=v, installed=v) for n, v in names.items())
        for extra, names in listed.items()
    }


WELL = Machine(
    python=(3, 11, 7),
    executable="/usr/bin/python3",
    cpu=Cpu(model="A processor", cores=2, bf16=True),
    memory=Memory(total_bytes=16 * GB, available_bytes=12 * GB),
    disk=Disk(path="/home", free_bytes=50 * GB, total_bytes=100 * GB),
    gpus=H200,
    torch=TorchBuild(version="2.13.0", cuda=(13, 0)),
    packages=whole_set(),
    embedded_model=True,
    ollama=Ollama(program="/usr/bin/ollama", address="127.0.0.1:11434", version="0.12.0"),
    systemd=Systemd(installed=True, system=True, user="running"),
    terminal=Terminal(attached=True, columns=120, lines=40, term="xterm", colorterm="truecolor"),
    home="/home/ada/.local/share/fathom",
)


def without(machine: Machine, *names: str) -> Machine:
    """Return the machine with some packages not installed."""
    return replace(
        machine,
        packages={
            extra: tuple(replace(p, installed=None) if p.name in names else p for p in listed)
            for extra, listed in machine.packages.items()
        },
    )


def found(machine: Machine, check: str) -> Diagnosis:
    """Return one diagnosis."""
    return next(d for d in examine(machine) if d.check == check)


class TestCommand:
    def test_json_is_one_line_with_the_documented_shape(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code = cli.main(["doctor", "--json"])

        out = capsys.readouterr().out
        rows = json.loads(out)
        assert code == 0
        assert out.count("\n") == 1
        assert [row["check"] for row in rows] == CHECKS
        assert all(list(row) == ["check", "state", "detail", "fix"] for row in rows)
        assert {row["state"] for row in rows} <= {"ok", "warning", "missing"}
        assert all(row["fix"] for row in rows if row["state"] != "ok")

    def test_table_shows_every_check_with_its_fix(self, capsys: pytest.CaptureFixture[str]) -> None:
        cli.main(["doctor"])

        out = capsys.readouterr().out
        assert all(check in out for check in CHECKS)

    def test_ends_with_4_when_the_home_cannot_be_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "file").write_text("not a directory", "utf-8")
        monkeypatch.setenv("FATHOM_HOME", str(tmp_path / "file" / "home"))

        assert cli.main(["doctor", "--json"]) == 4
        rows = {row["check"]: row for row in json.loads(capsys.readouterr().out)}
        assert rows["home"]["state"] == "missing"
        assert "FATHOM_HOME" in rows["home"]["fix"]

    def test_makes_nothing_in_the_home(self, tmp_path: Path) -> None:
        cli.main(["doctor", "--json"])

        assert not (tmp_path / "home").exists()

    @NEEDS_TORCH
    def test_deep_with_a_directory_that_holds_no_model_is_a_usage_error(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(["doctor", "--model", str(tmp_path)]) == 2
        assert "is not a complete Hugging Face model" in capsys.readouterr().err

    @pytest.mark.slow
    @NEEDS_TORCH
    @pytest.mark.skipif(not installed.has_embedded_model(), reason="needs the demo extra")
    def test_deep_trains_one_step_on_the_embedded_model(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(["doctor", "--deep", "--json"]) == 0
        rows = {row["check"]: row for row in json.loads(capsys.readouterr().out)}
        assert [rows[step]["state"] for step in STEPS[1:]] == ["ok"] * 4
        assert "not tried" not in json.dumps(rows)
        assert rows["training-step"]["detail"].endswith("are finite")


class TestJudgement:
    def test_all_is_well_on_a_machine_that_has_everything(self) -> None:
        diagnoses = examine(WELL)

        assert {d.state for d in diagnoses} == {State.OK}
        assert doctor.usable(diagnoses)

    def test_without_torch_it_says_what_for_and_what_to_install(self) -> None:
        bare = replace(without(WELL, "torch", "transformers", "peft", "trl"), torch=None)

        states = {d.check: d for d in examine(bare)}
        assert [states[step].state for step in STEPS] == [State.MISSING] * 5
        assert states["torch"].fix == "pip install 'fathom-tui[train]'"
        assert states["training-step"].detail == (
            "torch, transformers, peft, trl not installed; needed to train"
        )
        assert states["packages-train"].detail == (
            "torch, transformers, peft, trl not installed: "
            "for data checks, training, export and verification"
        )
        assert doctor.usable(examine(bare))

    def test_a_checkout_is_installed_from_its_own_path(self) -> None:
        bare = replace(without(WELL, "trl"), origin="/src/fathom")

        assert found(bare, "packages-train").fix == "pip install --editable '/src/fathom[train]'"

    @pytest.mark.parametrize("package", ["textual", "duckdb", "rich"])
    def test_the_app_is_not_usable_without_its_own_packages(self, package: str) -> None:
        assert not doctor.usable(examine(without(WELL, package)))
        assert {"packages-base"} <= NEEDED

    def test_another_version_than_the_tested_one_is_a_warning(self) -> None:
        listed = (
            Package(name="torch", tested="2.13.0", installed="2.13.0+cpu"),
            Package(name="trl", tested="1.14.0", installed="1.15.0"),
        )

        diagnosis = doctor.packages("train", listed, "fathom-tui")

        assert diagnosis.state is State.WARNING
        assert diagnosis.detail.startswith("trl 1.15.0 (tested 1.14.0):")
        assert diagnosis.fix == "pip install trl==1.14.0"

    def test_a_cpu_only_torch_beside_a_gpu_is_named_as_the_cause(self) -> None:
        machine = replace(WELL, torch=TorchBuild(version="2.13.0+cpu"))

        assert found(machine, "torch").state is State.WARNING
        assert found(machine, "gpu-visible").state is State.MISSING
        for check in ("torch", "gpu-visible"):
            assert "2.13.0+cpu is a CPU-only build" in found(machine, check).detail
            assert "FATHOM_TORCH" in found(machine, check).fix

    def test_a_driver_older_than_torchs_cuda_is_named_as_the_cause(self) -> None:
        old = replace(H200, driver="550.54", cuda=(12, 4))
        machine = replace(WELL, gpus=old)

        assert "built for CUDA 13.0, but driver 550.54 runs CUDA up to 12.4" in (
            found(machine, "torch").detail
        )

    def test_no_gpu_is_no_guess_and_no_obstacle(self) -> None:
        none = replace(WELL, gpus=Gpus(problem="no NVIDIA driver is installed"))

        assert found(none, "gpu").detail == (
            "no NVIDIA driver is installed: models run and train on the CPU"
        )
        assert found(none, "gpu-visible").state is State.MISSING
        assert found(none, "torch").state is State.OK
        assert found(none, "training-step").state is State.OK

    def test_a_card_without_its_driver_says_to_install_the_driver(self) -> None:
        card = replace(WELL, gpus=Gpus(problem="no NVIDIA driver is installed", on_the_bus=2))

        assert found(card, "gpu").detail == (
            "2 NVIDIA device(s) on the PCI bus, but no NVIDIA driver is installed"
        )
        assert "driver" in found(card, "gpu").fix

    def test_a_gpu_without_bitsandbytes_loads_in_16_bits_only(self) -> None:
        machine = without(WELL, "bitsandbytes")

        assert found(machine, "model-loads").state is State.WARNING
        assert "16 bits only" in found(machine, "model-loads").detail

    @pytest.mark.parametrize(
        ("free_gb", "state"), [(2.4, State.MISSING), (9.9, State.WARNING), (10, State.OK)]
    )
    def test_disk_is_judged_by_what_a_demo_writes(self, free_gb: float, state: State) -> None:
        disk = Disk(path="/", free_bytes=int(free_gb * GB), total_bytes=100 * GB)

        assert doctor.disk(disk).state is state

    @pytest.mark.parametrize(
        ("free_gb", "state"),
        [(2.9, State.MISSING), (5.9, State.WARNING), (6, State.OK), (None, State.WARNING)],
    )
    def test_memory_is_judged_by_what_training_takes(
        self, free_gb: float | None, state: State
    ) -> None:
        free = None if free_gb is None else int(free_gb * GB)

        assert doctor.memory(Memory(total_bytes=None, available_bytes=free)).state is state

    @pytest.mark.parametrize(
        ("bf16", "state"), [(True, State.OK), (False, State.WARNING), (None, State.WARNING)]
    )
    def test_a_processor_is_judged_by_its_bfloat16(self, bf16: bool | None, state: State) -> None:
        assert doctor.cpu(Cpu(model="", cores=2, bf16=bf16)).state is state

    @pytest.mark.parametrize(
        ("program", "version", "state"),
        [
            (None, None, State.MISSING),
            ("/usr/bin/ollama", None, State.WARNING),
            (None, "0.12.0", State.OK),
        ],
    )
    def test_ollama_is_judged_by_whether_it_answers(
        self, program: str | None, version: str | None, state: State
    ) -> None:
        read = Ollama(program=program, address="127.0.0.1:11434", version=version)

        assert doctor.ollama(read).state is state

    @pytest.mark.parametrize(
        ("read", "state"),
        [
            (Systemd(installed=False, system=False, user=""), State.MISSING),
            (Systemd(installed=True, system=False, user=""), State.WARNING),
            (Systemd(installed=True, system=True, user=""), State.WARNING),
            (Systemd(installed=True, system=False, user="degraded"), State.OK),
        ],
    )
    def test_systemd_is_judged_by_the_users_manager(self, read: Systemd, state: State) -> None:
        assert doctor.systemd(read).state is state

    @pytest.mark.parametrize(
        ("terminal", "state"),
        [
            (Terminal(attached=False), State.WARNING),
            (Terminal(attached=True, columns=80, lines=24, term="dumb"), State.WARNING),
            (Terminal(attached=True, columns=79, lines=24, term="xterm"), State.WARNING),
            (Terminal(attached=True, columns=80, lines=24, term="xterm"), State.OK),
        ],
    )
    def test_a_terminal_is_judged_by_size_and_kind(self, terminal: Terminal, state: State) -> None:
        assert doctor.terminal(terminal).state is state


class TestReadings:
    def test_processor_flags_tell_bfloat16(self, tmp_path: Path) -> None:
        info = tmp_path / "cpuinfo"
        info.write_text("model name\t: AMD EPYC\nflags\t\t: fpu avx512_bf16 sse\n", "utf-8")
        assert (host.cpu(tmp_path).model, host.cpu(tmp_path).bf16) == ("AMD EPYC", True)

        info.write_text("model name\t: Old\nflags\t\t: fpu sse\n", "utf-8")
        assert host.cpu(tmp_path).bf16 is False

        info.unlink()
        assert host.cpu(tmp_path).bf16 is None

    def test_a_control_group_lowers_the_memory(self, tmp_path: Path) -> None:
        (tmp_path / "meminfo").write_text(
            "MemTotal:       1000000 kB\nMemAvailable:    900000 kB\n", "utf-8"
        )
        assert host.memory(tmp_path, tmp_path) == Memory(
            total_bytes=1_024_000_000, available_bytes=921_600_000
        )

        (tmp_path / "memory.max").write_text("500000000\n", "utf-8")
        (tmp_path / "memory.current").write_text("200000000\n", "utf-8")
        assert host.memory(tmp_path, tmp_path) == Memory(
            total_bytes=500_000_000, available_bytes=300_000_000
        )

        (tmp_path / "memory.max").write_text("max\n", "utf-8")
        assert host.memory(tmp_path, tmp_path).total_bytes == 1_024_000_000

    def test_memory_is_unknown_where_nothing_tells(self, tmp_path: Path) -> None:
        nothing = Memory(total_bytes=None, available_bytes=None)

        assert host.memory(tmp_path, tmp_path) == nothing

    def test_nvidia_devices_are_counted_without_a_driver(self, tmp_path: Path) -> None:
        for name, vendor, kind in (
            ("0000:01:00.0", "0x10de", "0x030200"),
            ("0000:01:00.1", "0x10de", "0x040300"),  # the card's sound device
            ("0000:02:00.0", "0x1002", "0x030000"),
        ):
            (tmp_path / name).mkdir()
            (tmp_path / name / "vendor").write_text(f"{vendor}\n", "ascii")
            (tmp_path / name / "class").write_text(f"{kind}\n", "ascii")
        (tmp_path / "0000:03:00.0").mkdir()

        assert nvml.count_on_the_bus(tmp_path) == 1

    def test_no_gpu_always_has_a_cause(self) -> None:
        read = nvml.gpus()

        assert bool(read.devices) != bool(read.problem)

    @pytest.mark.parametrize(
        ("text", "build"),
        [
            (
                "__version__ = '2.13.0+cu130'\ncuda: Optional[str] = '13.0'\nhip = None\n",
                TorchBuild(version="2", cuda=(13, 0)),
            ),
            ("cuda: Optional[str] = None\nhip: Optional[str] = None\n", TorchBuild(version="2")),
            ("cuda = None\nhip = '6.4.1'\n", TorchBuild(version="2", rocm="ROCm 6.4.1")),
            ("", TorchBuild(version="2")),
        ],
    )
    def test_torchs_build_is_read_without_importing_it(
        self, text: str, build: TorchBuild, tmp_path: Path
    ) -> None:
        path = tmp_path / "version.py"
        path.write_text(text, "utf-8")

        assert installed.read_torch_build("2", path) == build

    def test_the_installed_torch_is_recognised(self) -> None:
        build = installed.torch_build()

        assert (build is None) == (importlib.util.find_spec("torch") is None)

    @pytest.mark.parametrize(
        ("value", "address"),
        [
            ("", ("127.0.0.1", 11434, False)),
            ("0.0.0.0", ("127.0.0.1", 11434, False)),
            ("gpu-box", ("gpu-box", 11434, False)),
            ("gpu-box:8080", ("gpu-box", 8080, False)),
            ("http://gpu-box", ("gpu-box", 80, False)),
            ("https://name:secret@gpu-box/", ("gpu-box", 443, True)),
            ("[::1]:11435", ("::1", 11435, False)),
            ("gpu-box:99999", ("gpu-box", 11434, False)),
        ],
    )
    def test_ollamas_address_is_read_as_ollama_reads_it(
        self, value: str, address: tuple[str, int, bool]
    ) -> None:
        assert services.ollama_address(value) == address

    def test_a_server_that_is_not_ollama_is_no_ollama(self, silent_server: str) -> None:
        assert services.ollama({"OLLAMA_HOST": silent_server}).version is None

    def test_ollamas_version_is_asked_over_http(self, ollama_server: str) -> None:
        read = services.ollama({"OLLAMA_HOST": ollama_server, "PATH": ""})

        assert (read.version, read.program, read.address) == ("0.12.0", None, ollama_server)


class _Ollama(http.server.BaseHTTPRequestHandler):
    """Answers as Ollama does, without being it."""

    body = b'{"version":"0.12.0"}'

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/api/version" else 404)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class _NotOllama(_Ollama):
    body = b"<html>It works!</html>"


def _serve(kind: type[_Ollama]) -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def ollama_server() -> Iterator[str]:
    """Serve Ollama's answer on a free port."""
    yield from _serve(_Ollama)


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Serve something else on a free port."""
    yield from _serve(_NotOllama)
