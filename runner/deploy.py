"""The stage `deploy`: the accepted file becomes a version, goes live and answers."""

from typing import Any

from fathom_tui.gates import passed
from fathom_tui.runner.server import LlamaServer
from fathom_tui.runner.stage import Job, Report
from fathom_tui.store.artifacts import content


def run(job: Job, report: Report) -> dict[str, Any]:
    """Create a version of the quantised file, activate it and wait for health."""
    gguf = job.path("quantize", "quantised")
    server = LlamaServer(job.serving, job.engagement)
    previous = server.live
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
