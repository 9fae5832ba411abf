"""The texts of a package: its documents, its evaluation cases, its settings, its licence."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fathom_tui import __version__
from fathom_tui.checklist import checklist, to_markdown
from fathom_tui.errors import UsageError
from fathom_tui.licences import licence_file
from fathom_tui.package import Delivery, answer_lines, at_delivery, eval_lines
from fathom_tui.provenance import provenance
from fathom_tui.reports.document import Document
from fathom_tui.sbom import Installed

_MAKERS = ("train", "unsloth", "serve")
"""Extras whose packages had a part in the model; the screens and the reports had none."""


def texts(delivery: Delivery) -> tuple[dict[str, str], list[str]]:
    """Return every text of the package by name, and what is to be said before it is handed over.

    The adapter's own texts are not among them.
    """
    from fathom_tui.reports.benchmarks import benchmarks
    from fathom_tui.reports.usage import usage
    from fathom_tui.sbom import bill

    notes = _notes(delivery)
    packages = _packages()
    versions = {name: package.version for name, package in packages.items()}
    measured = benchmarks(delivery)
    drawings = _drawings(measured, delivery)
    written = {
        "usage.md": _markdown(usage(delivery, _runtime()), {}),
        "benchmarks.md": _markdown(measured, {alt: name for alt, (name, _) in drawings.items()}),
        **dict(drawings.values()),
        "eval/cases.jsonl": eval_lines(delivery),
        "eval/answers.jsonl": answer_lines(delivery),
        "eval/contract.json": _json(delivery.contract.to_json()),
        "eval/grammar.gbnf": delivery.contract.grammar().rstrip("\n") + "\n",
        "anchors.json": _json({**delivery.anchors.to_json(), "at_delivery": at_delivery(delivery)}),
        "provenance.json": _json(provenance(delivery, {"fathom-tui": __version__, **versions})),
        "sbom.cdx.json": _json(bill(delivery, packages, __version__)),
        "LICENSE": licence_file(delivery.licence, delivery.base),
        "checklist.md": to_markdown(checklist(delivery), delivery.title),
        "verify.py": _script(),
        **_modelfile(delivery, notes),
    }
    return {**written, "README.md": _readme(delivery, notes)}, notes


def _packages() -> dict[str, Installed]:
    """Return what trains, converts and serves, of the tested set, as it is installed here."""
    from fathom_tui.sources.installed import licence, packages

    return {
        package.name: Installed(version=package.installed, licence=licence(package.name))
        for extra, listed in packages().items()
        if extra in _MAKERS
        for package in listed
        if package.installed is not None
    }


def _runtime() -> str:
    """Return the version of llama-cpp-python to install: ours, else the tested one."""
    from fathom_tui.sources.installed import packages

    (found,) = (p for p in packages()["serve"] if p.name == "llama-cpp-python")
    return found.installed or found.tested


def _drawings(document: Document, delivery: Delivery) -> dict[str, tuple[str, str]]:
    """Return the pictures by what they show: the file's name and the drawing."""
    fields = [field.name.lower() for field in delivery.contract.choice_fields]
    return {
        picture.alt: (f"confusion-{name}.svg", picture.svg + "\n")
        for name, picture in zip(fields, document.pictures, strict=True)
    }


def _markdown(document: Document, places: Mapping[str, str]) -> str:
    from fathom_tui.reports.markdown import to_markdown as rendered

    return rendered(document, {alt: quote(name) for alt, name in places.items()})


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def _script() -> str:
    from fathom_tui.runner import package_verify

    return Path(package_verify.__file__).read_text("utf-8")


def _modelfile(delivery: Delivery, notes: list[str]) -> dict[str, str]:
    from fathom_tui.runner.modelfile import modelfile

    spec = replace(delivery.spec, license=licence_file(delivery.licence, delivery.base))
    try:
        return {"Modelfile": modelfile(spec, source=f"./{delivery.gguf}")}
    except UsageError as error:
        notes.append(f"There is no Modelfile: {error.message} {error.fix}")
        return {}


_INDEX = (
    ("usage.md", "how to run it, ask it, repair it; begin here"),
    ("verify.py", "checks every file and asks every anchor; --eval also every evaluation case"),
    ("benchmarks.md", "what was measured, the failures as well, with its drawings"),
    ("Modelfile", "for Ollama"),
    ("adapter/", "the LoRA adapter, not merged"),
    ("eval/", "the evaluation cases, what each way answered, the contract and its grammar"),
    ("anchors.json", "the prompts that it must always answer"),
    ("checklist.md", "what was verified, by which check, and what is left to do"),
    ("LICENSE", "the base model's licence with its conditions"),
    ("provenance.json", "run, plan, hashes, gates, hardware, versions"),
    ("sbom.cdx.json", "bill of materials, CycloneDX 1.6"),
    ("manifest.json", "every file with its size; first in the archive"),
    ("SHA256SUMS", "every file's sum: sha256sum -c SHA256SUMS"),
)


def _readme(delivery: Delivery, notes: Sequence[str]) -> str:
    from fathom_tui.reports.markdown import quoted

    lines = [
        f"# {quoted(delivery.title)} {delivery.version}",
        "",
        f"- `{delivery.gguf}`: the model",
        *(f"- `{name}`: {about}" for name, about in _INDEX),
        "",
        f"The same as an archive, `{delivery.name}.tar.zst`, is unpacked by `tar --zstd -xf "
        f"{delivery.name}.tar.zst`; that needs the program zstd (`sudo apt install zstd`). Without "
        "it, copy the directory as it is.",
        "",
        f"No training data is in here. {len(delivery.cases)} test messages are, in `eval/` and as "
        f"examples, and {len(delivery.anchors.anchors)} held-out ones as anchors: whoever gets "
        "the package gets these.",
    ]
    if notes:
        lines += ["", "Before you rely on it:", "", *(f"- {quoted(note)}" for note in notes)]
    return "\n".join(lines) + "\n"


def _notes(delivery: Delivery) -> list[str]:
    found = [
        f"Gate {row['gate']} refused and was lifted by {row['by']}: {row['reason']}"
        for row in delivery.waivers
    ]
    licence = delivery.licence
    if licence.name is None:
        found.append(f"The licence of {delivery.base} is unknown: find it out before you deliver.")
    elif licence.commercial is False:
        found.append(
            f"{delivery.base} is under {licence.name}, which does not allow commercial use: it may "
            "not be handed to a client for their business without the publisher's consent."
        )
    elif licence.commercial is None:
        found.append(f"Read {licence.name} before you deliver: what it allows is not known here.")
    if not delivery.deployments:
        found.append("It was never deployed from here: its anchors were not asked as served.")
    return found
