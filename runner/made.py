"""A run's file as a version of a target: rendered as it was trained, its anchors beside it."""

from dataclasses import replace
from pathlib import Path

from fathom_tui.anchors import AnchorSet
from fathom_tui.parity import ParityReference
from fathom_tui.runner.chat import Template
from fathom_tui.runner.ollama_template import AsTrained, create_as_trained
from fathom_tui.runner.parity import ServedParity, served_parity
from fathom_tui.runner.reference import read_reference
from fathom_tui.runner.release import anchors_path, keep_anchors
from fathom_tui.runner.stage import Job
from fathom_tui.runner.targets import Target
from fathom_tui.serving import ServingSpec
from fathom_tui.sources.gguf_header import read_header

_CHATS = 4
"""Prompts whose rendering is compared before a version may go live."""


def make(job: Job, target: Target, gguf: Path, spec: ServingSpec, anchors: AnchorSet) -> AsTrained:
    """Keep the file as a version that renders chats as in training.

    Raises:
        GateRefused: The server cannot be made to render as trained; no version is left.
        EnvironmentProblem, CouldNotCheck: The server does not allow it.
    """
    found = trained(job)
    merged = job.path("merge", "merged")
    if found is None or not merged.is_dir():
        # A run from before parity was kept, or one whose files are gone: as the GGUF says.
        made = AsTrained(version=target.create(gguf, spec), spec=spec, checked=False)
    else:
        made = create_as_trained(
            target,
            gguf,
            spec,
            chats=[anchors.messages(case.input) for case in found.cases[:_CHATS]],
            render=Template(merged).render,
            bos=found.bos_text,
            adds_bos=bool(read_header(gguf).settings.get("tokenizer.ggml.add_bos_token", False)),
        )
    kept = anchors_path(job.serving, made.version)
    if not kept.is_file() or target.live != made.version:
        # Those of the live version stay as they are: health asks them, and knows its usual time.
        keep_anchors(job.serving, replace(anchors, version=made.version, sha256=spec.sha256))
    return made


def trained(job: Job) -> ParityReference | None:
    """Return what transformers and the file itself made of the run's prompts, if it was kept."""
    name = job.results["verify"].get("parity")
    path = job.run_dir / str(name) if name else None
    return read_reference(path) if path is not None and path.is_file() else None


def compare(job: Job, target: Target, version: str, anchors: AnchorSet) -> ServedParity | None:
    """Ask a version what the file itself was asked; None where nothing was kept to compare with.

    Raises:
        CouldNotCheck: The server does not answer.
    """
    found = trained(job)
    if found is None:
        return None
    return served_parity(
        target, version, found, anchors.messages, max_tokens=anchors.max_new_tokens
    )
