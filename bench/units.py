"""How exposed our system units are, as `systemd-analyze security` counts it (0 none, 10 all).

Usage: python bench/units.py
"""

import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from results import keep

from fathom_tui.units import Installation, ServerUnit, units

LIMIT = 2.0
ROOT = "/var/lib/fathom"


def main() -> None:
    cpu = Installation(
        scope="system",
        gpu=False,
        python="/opt/fathom/bin/python",
        reads=("/opt/fathom",),
        writes=(ROOT,),
        environment={"FATHOM_HOME": ROOT},
        account="fathom",
        servers=(
            ServerUnit(slug="triage", target="llama-cpp", root=f"{ROOT}/data/serving/triage"),
            ServerUnit(slug="large", target="vllm", root=f"{ROOT}/data/serving/large"),
        ),
        ollama="/usr/local/bin/ollama",
        vllm="/opt/vllm/bin/vllm",
    )
    gpu = replace(cpu, gpu=True, groups=("render", "video"))
    found = {name: scores(given) for name, given in (("cpu", cpu), ("gpu", gpu))}
    worst = max(score for of_device in found.values() for score in of_device.values())
    keep("units", {"systemd": version(), "limit": LIMIT, "worst": worst, "exposure": found})
    if worst > LIMIT:
        sys.exit(f"{worst} is more than {LIMIT}")


def scores(given: Installation) -> dict[str, float]:
    """Return the exposure of every service."""
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for unit in units(given):
            if unit.name.endswith(".service"):
                paths.append(Path(folder) / unit.name)
                paths[-1].write_text(unit.text, "utf-8")
        return {path.name: score(path) for path in paths}


def score(path: Path) -> float:
    """Return one service's exposure."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    if found is None:
        sys.exit(done.stdout)
    return float(found[1])


def version() -> str:
    """Return systemd's version: the weights differ between versions."""
    said = subprocess.run(["systemctl", "--version"], capture_output=True, text=True, check=True)
    return said.stdout.split("\n")[0].split()[1]


if __name__ == "__main__":
    main()
