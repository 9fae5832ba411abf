"""What a machine has and lacks for Fathom, each with its cause and its fix.

Readings in, diagnoses out: nothing here looks at the machine.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from fathom_tui.machine import (
    Cpu,
    Disk,
    Gpus,
    Machine,
    Memory,
    Ollama,
    Package,
    Systemd,
    Terminal,
    TorchBuild,
)

GB = 1_000_000_000
DISK_LEAST_GB = 2.5
"""What a whole demo writes, from cached base to quantised file, with a margin."""
DISK_EASY_GB = 10.0
MEMORY_LEAST_GB = 3.0
"""Peak of the hungriest process of the demo, training SmolLM2-135M."""
MEMORY_EASY_GB = 6.0
COLUMNS, LINES = 80, 24
"""Smallest terminal the screens are laid out for."""
DISTRIBUTION = "fathom-tui"
NO_GPU = "Nothing to do for small models; larger ones want a machine with an NVIDIA GPU."
SLOW_CPU = "Nothing to do; a processor with avx512_bf16 or amx_bf16 trains faster."
NO_SYSTEMD = "Nothing to do; services need a Linux machine that systemd has started."


class State(StrEnum):
    """The three answers, best first."""

    OK = "ok"
    WARNING = "warning"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One line of `fathom doctor`."""

    check: str
    state: State
    detail: str
    fix: str = ""
    """What to do; empty when there is nothing to do."""

    def to_json(self) -> dict[str, str]:
        """Return the documented shape."""
        return {**asdict(self), "state": self.state.value}


STEPS = ("gpu-visible", "model-loads", "inference-answers", "lora-attaches", "training-step")
"""The five steps of the environment check, each tried for real by `fathom doctor --deep`."""
NEEDED = frozenset({"python", "packages-base", "home"})
"""What the terminal app cannot start without."""


def examine(machine: Machine) -> list[Diagnosis]:
    """Return every diagnosis that needs no model to be loaded, in reading order."""
    return [
        python(machine.python, machine.executable),
        *(packages(x, listed, machine.origin) for x, listed in machine.packages.items()),
        home(machine.home, machine.unwritable),
        disk(machine.disk),
        memory(machine.memory),
        cpu(machine.cpu),
        gpu(machine.gpus),
        torch(machine.torch, machine.gpus, machine.origin),
        *steps(machine),
        ollama(machine.ollama),
        systemd(machine.systemd),
        terminal(machine.terminal),
    ]


def usable(found: Iterable[Diagnosis]) -> bool:
    """Say whether the terminal app has all it needs."""
    return not any(d.check in NEEDED and d.state is State.MISSING for d in found)


def python(version: tuple[int, int, int], executable: str) -> Diagnosis:
    """Judge the interpreter."""
    detail = f"Python {'.'.join(map(str, version))} at {executable}"
    if version < (3, 11):
        return _missing("python", detail, "Install Python 3.11 or newer.")
    return _ok("python", detail)


_PURPOSE = {
    "base": "the terminal app",
    "train": "data checks, training, export and verification",
    "serve": "scoring, quantising and serving GGUF files",
    "report": "reports as PDF",
    "demo": "the embedded model",
    "unsloth": "faster training and 4-bit weights on a GPU; nothing else",
}


def packages(extra: str, listed: Sequence[Package], origin: str) -> Diagnosis:
    """Judge one group of packages: installed or not, and in the tested version or not."""
    check = f"packages-{extra}"
    fix = _install(origin, extra)
    absent = [package.name for package in listed if package.installed is None]
    if absent:
        return _missing(check, f"{_join(absent)} not installed: for {_PURPOSE[extra]}", fix)
    other = [f"{p.name} {p.installed} (tested {p.tested})" for p in listed if not p.as_tested]
    if other:
        pins = " ".join(f"{p.name}=={p.tested}" for p in listed if not p.as_tested)
        return _warning(check, f"{_join(other)}: for {_PURPOSE[extra]}", f"pip install {pins}")
    return _ok(check, f"{len(listed)} as tested: for {_PURPOSE[extra]}")


def home(path: str, unwritable: Sequence[str]) -> Diagnosis:
    """Judge whether the ledger and the runs can be written."""
    if unwritable:
        return _missing(
            "home",
            f"{_join(unwritable)} cannot be written",
            "Point FATHOM_HOME at a directory you can write to.",
        )
    return _ok("home", f"{path} can be written")


def disk(read: Disk) -> Diagnosis:
    """Judge free space where the runs are written."""
    free = read.free_bytes / GB
    detail = f"{free:.1f} GB free of {read.total_bytes / GB:.0f} at {read.path}"
    fix = "Free some space, or point FATHOM_HOME at a larger disk."
    if free < DISK_LEAST_GB:
        return _missing("disk", f"{detail}; the demo writes {DISK_LEAST_GB:g} GB", fix)
    if free < DISK_EASY_GB:
        return _warning("disk", f"{detail}: room for the demo, not for a larger model", fix)
    return _ok("disk", detail)


def memory(read: Memory) -> Diagnosis:
    """Judge memory that is free now."""
    if read.available_bytes is None:
        return _warning("memory", "unknown on this system", "See that 6 GB are free.")
    free = read.available_bytes / GB
    total = "unknown" if read.total_bytes is None else f"{read.total_bytes / GB:.1f}"
    detail = f"{free:.1f} GB available of {total}"
    fix = "End other programs, or use a machine with more memory."
    if free < MEMORY_LEAST_GB:
        return _missing("memory", f"{detail}; training the demo takes {MEMORY_LEAST_GB:g} GB", fix)
    if free < MEMORY_EASY_GB:
        return _warning("memory", f"{detail}: enough for the demo, little else", fix)
    return _ok("memory", detail)


def cpu(read: Cpu) -> Diagnosis:
    """Judge the processor by what training on it needs."""
    detail = (
        f"{read.model or 'unknown processor'}, {read.cores} core{'' if read.cores == 1 else 's'}"
    )
    if read.bf16:
        return _ok("cpu", f"{detail}, bfloat16 in hardware")
    if read.bf16 is None:
        return _warning("cpu", f"{detail}; unknown whether it has bfloat16", SLOW_CPU)
    # SmolLM2-135M on two cores: 212 tokens/s in float32, 420-475 in bfloat16.
    return _warning(
        "cpu",
        f"{detail}, no bfloat16 in hardware: training on it takes about twice as long",
        SLOW_CPU,
    )


def gpu(read: Gpus) -> Diagnosis:
    """Report what the driver says; with no driver there is no guess."""
    if read.devices:
        names = _join([f"{g.name} {g.memory_bytes / GB:.0f} GB" for g in read.devices])
        newest = f", CUDA up to {_dotted(read.cuda)}" if read.cuda else ""
        return _ok("gpu", f"{names}; driver {read.driver}{newest}")
    if read.on_the_bus:
        return _missing(
            "gpu",
            f"{read.on_the_bus} NVIDIA device(s) on the PCI bus, but {read.problem}",
            "Install or reload the NVIDIA driver; after a driver update, reboot.",
        )
    return _missing("gpu", f"{read.problem}: models run and train on the CPU", NO_GPU)


def torch(build: TorchBuild | None, gpus: Gpus, origin: str) -> Diagnosis:
    """Judge whether the installed torch fits the machine."""
    if build is None:
        return _missing(
            "torch",
            "not installed: nothing can be trained, converted or verified here",
            _install(origin, "train"),
        )
    problem = _mismatch(build, gpus)
    if problem:
        return _warning("torch", problem, _choose_torch(gpus))
    kind = f"CUDA {_dotted(build.cuda)}" if build.cuda else build.rocm or "CPU only"
    return _ok("torch", f"{build.version} ({kind})")


def _mismatch(build: TorchBuild, gpus: Gpus) -> str:
    if not gpus.devices or build.rocm:
        return ""
    name = gpus.devices[0].name
    if build.cuda is None:
        return f"{build.version} is a CPU-only build, and there is a {name}: it would stay unused"
    # Minor versions of CUDA are compatible within a major one.
    if gpus.cuda and build.cuda[0] > gpus.cuda[0]:
        return (
            f"{build.version} was built for CUDA {_dotted(build.cuda)}, but driver {gpus.driver} "
            f"runs CUDA up to {_dotted(gpus.cuda)}: the {name} would stay unused"
        )
    return ""


def _choose_torch(gpus: Gpus) -> str:
    newest = f" (CUDA {gpus.cuda[0]} or older)" if gpus.cuda else ""
    return (
        f"Install a CUDA build of torch{newest}: set FATHOM_TORCH as the README says, "
        "then: make clean demo"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What one of the five steps is made of."""

    step: str
    does: str
    packages: tuple[str, ...]


_STEP_PARTS = (
    _Parts(step="model-loads", does="load the model", packages=("torch", "transformers")),
    _Parts(step="inference-answers", does="generate", packages=("torch", "transformers")),
    _Parts(step="lora-attaches", does="attach LoRA", packages=("torch", "transformers", "peft")),
    _Parts(
        step="training-step",
        does="train",
        packages=("torch", "transformers", "peft", "trl", "datasets", "accelerate"),
    ),
)


def steps(machine: Machine) -> list[Diagnosis]:
    """Judge the five steps by the parts that are installed; nothing is loaded or tried."""
    known = {p.name: p for listed in machine.packages.values() for p in listed}
    return [
        _gpu_visible(machine.torch, machine.gpus, machine.origin),
        *(_by_parts(parts, known, machine) for parts in _STEP_PARTS),
    ]


def _gpu_visible(build: TorchBuild | None, gpus: Gpus, origin: str) -> Diagnosis:
    check = STEPS[0]
    if not gpus.devices:
        return _missing(check, f"no GPU to see: {gpus.problem}", gpu(gpus).fix)
    if build is None:
        return _missing(check, "torch is not installed", _install(origin, "train"))
    problem = _mismatch(build, gpus)
    if problem:
        return _missing(check, problem, _choose_torch(gpus))
    return _ok(check, f"torch {build.version} fits driver {gpus.driver} (not tried)", TRY)


TRY = "fathom doctor --deep tries it."


def _by_parts(parts: _Parts, known: dict[str, Package], machine: Machine) -> Diagnosis:
    absent = [n for n in parts.packages if n not in known or known[n].installed is None]
    if absent:
        return _missing(
            parts.step,
            f"{_join(absent)} not installed; needed to {parts.does}",
            _install(machine.origin, "train"),
        )
    if not machine.embedded_model:
        return _warning(
            parts.step,
            "the embedded model is not installed; only a model of your own can be tried",
            f"{_install(machine.origin, 'demo')}, or: fathom doctor --deep --model DIRECTORY",
        )
    versions = _join([f"{name} {known[name].installed}" for name in parts.packages])
    detail = f"installed: {versions} (not tried)"
    four_bit = known.get("bitsandbytes")
    if (
        parts.step == "model-loads"
        and machine.gpus.devices
        and not (four_bit and four_bit.installed)
    ):
        return _warning(
            parts.step,
            f"{detail}; bitsandbytes is not installed, so 16 bits only",
            _install(machine.origin, "unsloth"),
        )
    return _ok(parts.step, detail, TRY)


def ollama(read: Ollama) -> Diagnosis:
    """Judge whether models can be deployed to Ollama."""
    if read.version is not None:
        return _ok("ollama", f"{read.version} answers at {read.address}")
    if read.program:
        return _warning(
            "ollama",
            f"{read.program} is there, but no server answers at {read.address}",
            "systemctl start ollama, or: ollama serve",
        )
    return _missing(
        "ollama",
        f"not on the path, and nothing answers at {read.address}: "
        "models are served by llama.cpp instead",
        "Install Ollama if models shall be deployed to it.",
    )


def systemd(read: Systemd) -> Diagnosis:
    """Judge whether the agent and the model server can be services."""
    if not read.installed:
        return _missing(
            "systemd", "not on this system: the agent runs as a detached process", NO_SYSTEMD
        )
    if read.user in ("running", "degraded", "starting"):
        return _ok("systemd", f"the user's service manager is {read.user}")
    if read.system:
        return _warning(
            "systemd",
            "runs this machine, but the user's own service manager does not answer",
            "loginctl enable-linger, then log in again.",
        )
    return _warning(
        "systemd",
        "installed, but it does not run this machine (a container?): "
        "the agent runs as a detached process",
        NO_SYSTEMD,
    )


def terminal(read: Terminal) -> Diagnosis:
    """Judge whether the screens will look as they should."""
    if not read.attached:
        return _warning(
            "terminal", "none attached: commands work, the screens need one", "ssh -t HOST fathom"
        )
    detail = f"{read.columns}x{read.lines}, TERM={read.term or 'unset'}"
    if read.term in ("", "dumb", "unknown"):
        return _warning("terminal", detail, "export TERM=xterm-256color")
    if read.columns < COLUMNS or read.lines < LINES:
        return _warning("terminal", detail, f"Make the window at least {COLUMNS}x{LINES}.")
    if read.colorterm in ("truecolor", "24bit"):
        return _ok("terminal", f"{detail}, true colour")
    # ssh does not forward COLORTERM, so its absence says little about the terminal itself.
    return _ok(
        "terminal",
        f"{detail}, COLORTERM unset: fewer colours",
        "export COLORTERM=truecolor if your terminal has them.",
    )


def _ok(check: str, detail: str, fix: str = "") -> Diagnosis:
    return Diagnosis(check=check, state=State.OK, detail=detail, fix=fix)


def _warning(check: str, detail: str, fix: str) -> Diagnosis:
    return Diagnosis(check=check, state=State.WARNING, detail=detail, fix=fix)


def _missing(check: str, detail: str, fix: str) -> Diagnosis:
    return Diagnosis(check=check, state=State.MISSING, detail=detail, fix=fix)


def _install(origin: str, extra: str) -> str:
    # A checkout is not what an index would give for the same name.
    wanted = origin if extra == "base" else f"{origin}[{extra}]"
    return f"pip install {'' if origin == DISTRIBUTION else '--editable '}'{wanted}'"


def _dotted(version: tuple[int, int] | None) -> str:
    return "unknown" if version is None else f"{version[0]}.{version[1]}"


def _join(parts: Sequence[str]) -> str:
    return ", ".join(parts)
