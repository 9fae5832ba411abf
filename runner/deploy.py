"""The stage `deploy`: the accepted file becomes a version, goes live and answers."""

from pathlib import Path
from typing import Any

from fathom_tui.gates import passed
from fathom_tui.runner.server import LlamaServer
from fathom_tui.runner.stage import Job, Report
from fathom_tui.store.artifacts import content


def run(job: Job, report: Report) -> dict[str, Any]:
    """Create a version of the quantised file, activate it and wait for health."""
    gguf = job.path("quantize", "quantised")
    server = LlamaServer(job.serving, job.engagement)
    previous = _previous(job, server)
    sha256 = content(gguf).sha256
    version = server.create(gguf, sha256, job.plan.tuned_instruction)
    report.progress(1, 2, f"starting {job.engagement} {version}")
    served = server.activate(
        version,
        n_ctx=int(job.results["preflight"]["n_ctx"]),
        threads=int(job.results["preflight"]["threads"]),
    )
    report.gate(
        passed(
            "deploy.health", f"{served.alias} {version} answers at {served.url}.", url=served.url
        )
    )
    return {
        "target": "llama-cpp",
        "alias": served.alias,
        "version": version,
        "previous": previous if previous != version else None,
        "url": served.url,
        "sha256": sha256,
    }


def _previous(job: Job, server: LlamaServer) -> str | None:
    """Return what was live before this run's first activation, also when the stage is repeated."""
    kept = Path(job.dir) / "previous"
    if not kept.exists():
        kept.write_text(server.live or "", "utf-8")
    return kept.read_text("utf-8") or None
