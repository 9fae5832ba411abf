"""The stage `anchors`: the served model knows what the file knew; else the old one returns."""

import json
import time
from typing import Any

from fathom_tui.errors import CouldNotCheck
from fathom_tui.gates import passed, refused
from fathom_tui.runner.chat import Prompt
from fathom_tui.runner.server import LlamaServer, Served, chat
from fathom_tui.runner.stage import Job, Report
from fathom_tui.stats import wilson


def run(job: Job, report: Report) -> dict[str, Any]:
    """Ask every anchor through the served endpoint; roll back when one fails."""
    server = LlamaServer(job.serving, job.engagement)
    version = str(job.results["deploy"]["version"])
    served = server.running()
    if served is None or served.version != version:
        # After a reboot, or a kill between deploy and here.
        preflight = job.results["preflight"]
        served = server.activate(
            version, n_ctx=int(preflight["n_ctx"]), threads=int(preflight["threads"])
        )
    anchors = json.loads(job.path("verify", "anchors").read_text("utf-8"))
    failures, seconds = _ask_all(job, report, served, anchors)
    passed_count = len(anchors) - len(failures)
    if anchors:
        report.measured("anchors.seconds_per_answer", seconds / len(anchors), "s")
    _judge(job, report, server, passed_count, len(anchors), failures)
    return {
        "passed": passed_count,
        "total": len(anchors),
        "failures": failures,
        "url": served.url,
        "live": server.live,
    }


def _ask_all(
    job: Job, report: Report, served: Served, anchors: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], float]:
    contract = job.plan.contract
    prompt = Prompt(name="tuned", system=job.plan.tuned_instruction)
    failures, begun = [], time.monotonic()
    for index, anchor in enumerate(anchors):
        answer, reason, _ = chat(
            served, prompt.messages(anchor["input"]), max_tokens=job.plan.max_new_tokens
        )
        right = contract.parse(answer) == contract.parse(anchor["expected"])
        if not right or reason != "stop":
            failures.append({**anchor, "actual": answer, "finish_reason": reason})
        report.progress(index + 1, len(anchors), f"{len(failures)} failed")
    return failures, time.monotonic() - begun


def _judge(
    job: Job,
    report: Report,
    server: LlamaServer,
    right: int,
    total: int,
    failures: list[dict[str, Any]],
) -> None:
    if not total:
        raise CouldNotCheck(
            "There are no anchors, so the deployment cannot be checked.",
            fix="Give more held-out rows; the server is running unchecked.",
        )
    share = wilson(right, total)
    text = f"{right} of {total} anchors pass when served (95 %: {share.low:.2f}–{share.high:.2f})"
    if not failures:
        report.gate(passed("anchors.served", f"{text}."))
        return
    first = failures[0]
    report.gate(
        refused(
            "anchors.served",
            f"{text}; {first['id']} answered "
            f"{first['actual']!r} instead of {first['expected']!r}. {_roll_back(job, server)}",
            "Compare the served prompt with the trained one: template, system text, stop token.",
            failures=[failure["id"] for failure in failures],
        )
    )


def _roll_back(job: Job, server: LlamaServer) -> str:
    previous = job.results["deploy"].get("previous")
    if not previous:
        server.stop()
        return "There is no earlier version: the server was stopped."
    preflight = job.results["preflight"]
    server.activate(str(previous), n_ctx=int(preflight["n_ctx"]), threads=int(preflight["threads"]))
    return f"Version {previous} is live again."
