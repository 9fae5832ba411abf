"""Are our perplexity and KL divergence, digit for digit, those of llama.cpp's own tool?

    LLAMA_PERPLEXITY=/path/to/llama-perplexity python bench/perplexity.py [--chunks 8]

The embedded model in f16 and in Q4_K_M over the demo's tickets, chunks of 256 and 512 tokens, flash
attention off. The tool is taken from LLAMA_PERPLEXITY or from PATH; it should be built from the
llama.cpp that llama-cpp-python carries. Without it there is nothing to compare with: exit code 3.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

from results import keep

from fathom_tui.divergence import Divergence
from fathom_tui.perplexity import perplexity, perplexity_error

QUANT = "Q4_K_M"
CONTEXTS = (256, 512)
_NUMBER = r"(-?[\d.]+)"


def main() -> int:
    """Compare every number both sides print, and keep them; 1 where a digit differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--chunks", type=int, default=8, help="chunks of each length")
    given = parser.parse_args()
    tool = os.environ.get("LLAMA_PERPLEXITY") or shutil.which("llama-perplexity")
    if not tool:
        print("No llama-perplexity: name it by LLAMA_PERPLEXITY.", file=sys.stderr)
        return 3
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        f16, quantised = models(folder)
        rounds = [compare(tool, folder, f16, quantised, n_ctx, given.chunks) for n_ctx in CONTEXTS]
    equal = all(entry["tool"] == entry["ours"] for entry in rounds)
    keep("perplexity", {"type": QUANT, "chunks": given.chunks, "equal": equal, "rounds": rounds})
    return 0 if equal else 1


def models(folder: Path) -> tuple[Path, Path]:
    """Return the embedded model in f16 and quantised."""
    from fathom_tui.recipe import EMBEDDED
    from fathom_tui.runner.base_model import prepare
    from fathom_tui.runner.quantized import quantize
    from fathom_tui.store import Home

    f16 = prepare(EMBEDDED, Home.from_env().prepare().cache).gguf
    quantize(f16, folder / "model.gguf", QUANT)
    return f16, folder / "model.gguf"


def compare(
    tool: str, folder: Path, f16: Path, quantised: Path, n_ctx: int, chunks: int
) -> dict[str, Any]:
    """Return what the tool printed and what we find, in the tool's own digits."""
    tickets = files("fathom_tui.assets").joinpath("demo/tickets.jsonl").read_text("utf-8")
    words = "\n\n".join(json.loads(line)["text"] for line in tickets.splitlines())
    text = folder / "text.txt"
    text.write_text(words[: 8 * n_ctx * chunks] + "\n", "utf-8")
    return {
        "n_ctx": n_ctx,
        "tool": of_tool(tool, folder, f16, quantised, text, n_ctx, chunks),
        "ours": ours(folder, f16, quantised, text, n_ctx, chunks),
    }


def of_tool(
    tool: str, folder: Path, f16: Path, quantised: Path, text: Path, n_ctx: int, chunks: int
) -> dict[str, str]:
    """Return what llama-perplexity prints of both files."""
    base = str(folder / "tool.logits")
    common = ["-c", str(n_ctx), "-b", str(n_ctx), "-fa", "off"]
    first = said(tool, "-m", str(f16), "-f", str(text), *common, "--chunks", str(chunks),
                 "--kl-divergence-base", base)  # fmt: skip
    second = said(tool, "-m", str(quantised), *common, "--kl-divergence-base", base,
                  "--kl-divergence")  # fmt: skip
    ppl = re.search(rf"Final estimate: PPL = {_NUMBER} \+/- {_NUMBER}", first)
    mean = re.search(rf"Mean +KLD: +{_NUMBER} ± +{_NUMBER}", second)
    top = re.search(rf"Same top p: +{_NUMBER} ± +{_NUMBER}", second)
    of_q = re.search(rf"Mean PPL\(Q\) +: +{_NUMBER}", second)
    if not (ppl and mean and top and of_q):
        raise SystemExit(f"{tool} printed something else:\n{first[-800:]}\n{second[-800:]}")
    found = {"ppl": ppl[1], "ppl_error": ppl[2], "ppl_quantised": of_q[1]}
    found |= {"kld": mean[1], "kld_error": mean[2], "same_top": top[1], "same_top_error": top[2]}
    for name in ("Maximum", "99.9%", "99.0%", "95.0%", "90.0%", "Median", "10.0%", "5.0%"):
        line = re.search(rf"^ *{re.escape(name)} +KLD: +{_NUMBER}", second, re.MULTILINE)
        found[f"kld {name}"] = line[1] if line else "missing"
    return found


def said(*command: str) -> str:
    """Return everything a command says."""
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def ours(
    folder: Path, f16: Path, quantised: Path, text: Path, n_ctx: int, chunks: int
) -> dict[str, str]:
    """Return what we find, written with the tool's digits."""
    from fathom_tui.runner.losses import Reader, read_against, read_base
    from fathom_tui.runner.score import cpu_threads

    kept, threads = folder / "ours.logits", cpu_threads()
    with Reader(f16, n_ctx=n_ctx, threads=threads) as reader:
        tokens = reader.tokenize(text.read_text("utf-8"))[: n_ctx * chunks]
        before = read_base(reader, tokens, kept, n_ctx=n_ctx)
    with Reader(quantised, n_ctx=n_ctx, threads=threads) as reader:
        after = read_against(reader, tokens, kept, n_ctx=n_ctx)
    found = after.divergence
    if found is None or found.error is None:
        raise SystemExit("too few tokens were compared")
    return {
        "ppl": f"{perplexity(before.losses):.4f}",
        "ppl_error": f"{perplexity_error(before.losses):.5f}",
        "ppl_quantised": f"{perplexity(after.losses):.6f}",
        "kld": f"{found.mean:.6f}",
        "kld_error": f"{found.error:.6f}",
        "same_top": f"{100 * found.same_top:.3f}",
        "same_top_error": f"{100 * found.same_top_error:.3f}",
        "kld Maximum": f"{found.most:.6f}",
        **_percentiles(found),
    }


def _percentiles(found: Divergence) -> dict[str, str]:
    names = {0.999: "99.9%", 0.99: "99.0%", 0.95: "95.0%", 0.9: "90.0%", 0.5: "Median"}
    names |= {0.1: "10.0%", 0.05: "5.0%"}
    return {f"kld {name}": f"{found.percentiles[p]:.6f}" for p, name in names.items()}


if __name__ == "__main__":
    sys.exit(main())
