"""Where results are kept, and what a result says of the machine it was measured on."""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, str]:
    """Return the machine and the date of a measurement."""
    return {
        "machine": f"{os.cpu_count()} x {processor()}, Python {platform.python_version()}",
        "date": datetime.now(UTC).date().isoformat(),
    }


def processor() -> str:
    """Return the processor's name and whether it multiplies bf16; the name alone says little."""
    text = Path("/proc/cpuinfo").read_text("utf-8") if Path("/proc/cpuinfo").exists() else ""
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if "model name" in line]
    bf16 = any(flag in text for flag in ("avx512_bf16", "amx_bf16", " bf16"))
    return f"{names[0] if names else platform.machine()} ({'bf16' if bf16 else 'no bf16'})"


def keep(name: str, result: dict[str, Any]) -> None:
    """Write `bench/results/NAME.json` and print it."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({**machine(), **result}, indent=2, ensure_ascii=False) + "\n"
    (RESULTS / f"{name}.json").write_text(text, encoding="utf-8")
    print(text)
