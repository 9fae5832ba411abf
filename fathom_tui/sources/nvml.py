"""NVIDIA GPUs as the driver describes them, through NVML; without an answer there is no guess."""

from pathlib import Path
from typing import Any

from fathom_tui.machine import Gpu, Gpus

_PCI = Path("/sys/bus/pci/devices")
_NVIDIA = "0x10de"
_DISPLAY_CLASS = "0x03"
"""PCI base class of display controllers, which 3D accelerators without a screen share."""


def gpus() -> Gpus:
    """Ask the driver; the problem says why there is no device, if there is none."""
    on_the_bus = count_on_the_bus()
    try:
        import pynvml
    except ModuleNotFoundError:
        return Gpus(problem="the package nvidia-ml-py is not installed", on_the_bus=on_the_bus)
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return Gpus(problem=_problem(pynvml, error), on_the_bus=on_the_bus)
    try:
        return _ask(pynvml, on_the_bus)
    except pynvml.NVMLError as error:
        return Gpus(problem=_problem(pynvml, error), on_the_bus=on_the_bus)
    finally:
        pynvml.nvmlShutdown()


def count_on_the_bus(devices: Path = _PCI) -> int:
    """Count NVIDIA display devices on the PCI bus; works without any driver, on Linux."""
    count = 0
    for device in devices.glob("*"):
        try:
            vendor = (device / "vendor").read_text("ascii").strip()
            kind = (device / "class").read_text("ascii").strip()
        except OSError:  # unplugged meanwhile, or hidden from this container
            continue
        count += vendor == _NVIDIA and kind.startswith(_DISPLAY_CLASS)
    return count


def _ask(pynvml: Any, on_the_bus: int) -> Gpus:
    handles = [
        pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())
    ]
    cuda = int(pynvml.nvmlSystemGetCudaDriverVersion_v2())  # 13000 is 13.0, 12040 is 12.4
    return Gpus(
        devices=tuple(_gpu(pynvml, handle) for handle in handles),
        driver=str(pynvml.nvmlSystemGetDriverVersion()),
        cuda=(cuda // 1000, cuda % 1000 // 10),
        problem="" if handles else "the NVIDIA driver answers, but has no device",
        on_the_bus=on_the_bus,
    )


def _gpu(pynvml: Any, device: Any) -> Gpu:
    major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(device)
    return Gpu(
        name=str(pynvml.nvmlDeviceGetName(device)),
        memory_bytes=int(pynvml.nvmlDeviceGetMemoryInfo(device).total),
        capability=(major, minor),
    )


def _problem(pynvml: Any, error: Any) -> str:
    known = {
        pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: "no NVIDIA driver is installed",
        pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "the NVIDIA driver is not loaded",
        pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: (
            "the NVIDIA driver and its library have different versions"
        ),
        pynvml.NVML_ERROR_NO_PERMISSION: "this user may not ask the NVIDIA driver",
    }
    return known.get(error.value, f"the NVIDIA driver answers: {error}")
