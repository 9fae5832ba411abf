"""What is known of the machine the program runs on; None always means "could not be read"."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """The processor."""

    model: str
    """As the system names it; empty when unknown."""
    cores: int
    """Cores this process may use."""
    bf16: bool | None
    """True where it multiplies bfloat16 in hardware (avx512_bf16, amx_bf16, Arm bf16)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Main memory, within the limit of the control group where there is one."""

    total_bytes: int | None
    available_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """The file system that a path is on, or would be on."""

    path: str
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU as its driver describes it."""

    name: str
    memory_bytes: int
    capability: tuple[int, int] | None = None
    """CUDA compute capability, for example (9, 0)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpus:
    """What the NVIDIA driver answered."""

    devices: tuple[Gpu, ...] = ()
    driver: str = ""
    cuda: tuple[int, int] | None = None
    """Newest CUDA version the driver can run."""
    problem: str = ""
    """Why nothing can be said, or why there is no device; empty when there are some."""
    on_the_bus: int = 0
    """NVIDIA display devices on the PCI bus, counted without the driver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchBuild:
    """Which build of torch is installed, read without importing it."""

    version: str
    cuda: tuple[int, int] | None = None
    """CUDA version it was built for; None for a build without CUDA."""
    rocm: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One package of the tested set."""

    name: str
    tested: str
    installed: str | None = None
    """None when it is not installed."""

    @property
    def as_tested(self) -> bool:
        """Say whether the installed version is the tested one, local build labels aside."""
        return self.installed is not None and self.installed.split("+")[0] == self.tested


@dataclass(frozen=True, slots=True, kw_only=True)
class Ollama:
    """Ollama's program and server."""

    program: str | None
    """Path of `ollama`; None when it is not on the path."""
    address: str
    """host:port that was asked."""
    version: str | None = None
    """What the server answered; None when none answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Systemd:
    """Whether services can be installed."""

    installed: bool
    system: bool
    """True where systemd is process 1."""
    user: str
    """What the user's own service manager says of itself; empty when it does not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """The terminal the command runs in."""

    attached: bool
    columns: int = 0
    lines: int = 0
    term: str = ""
    colorterm: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """All of it: what `fathom doctor` judges."""

    python: tuple[int, int, int]
    executable: str
    cpu: Cpu
    memory: Memory
    disk: Disk
    gpus: Gpus
    torch: TorchBuild | None
    packages: Mapping[str, tuple[Package, ...]] = field(default_factory=dict)
    """The tested set by extra: base, train, serve, demo, unsloth."""
    embedded_model: bool = False
    ollama: Ollama
    systemd: Systemd
    terminal: Terminal
    unwritable: tuple[str, ...] = ()
    """Directories of Fathom's home that cannot be written."""
    home: str
    origin: str = "fathom-tui"
    """What pip is told to install Fathom again: its name, or the path of its checkout."""
