"""Model names (Ollama v0.33.0-rc2, types/model/name.go and internal/modelref/modelref.go)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

_DEFAULTS = {"host": "registry.ollama.ai", "namespace": "library", "tag": "latest"}
_PART = {
    "host": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}"),
    "namespace": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}"),
    "model": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"),
    "tag": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"),
}


class Required(ValueError):
    """No name was given (errModelRequired)."""


class Unqualified(ValueError):
    """The name is not a valid one (model.Unqualified)."""


class Cloud(ValueError):
    """The name asks for a model that runs elsewhere."""


@dataclass(frozen=True, slots=True)
class Name:
    """host/namespace/model:tag with nothing left out."""

    host: str
    namespace: str
    model: str
    tag: str

    @property
    def valid(self) -> bool:
        return all(_PART[part].fullmatch(getattr(self, part)) for part in _PART)

    @property
    def parts(self) -> tuple[str, str, str, str]:
        return self.host, self.namespace, self.model, self.tag

    @property
    def short(self) -> str:
        """The name without the default host and namespace, always with its tag."""
        shown = [self.model]
        if self.host.lower() != _DEFAULTS["host"]:
            shown = [self.host, self.namespace, self.model]
        elif self.namespace.lower() != _DEFAULTS["namespace"]:
            shown = [self.namespace, self.model]
        return f"{'/'.join(shown)}:{self.tag}"

    def __str__(self) -> str:
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"


def parse(text: str) -> Name:
    """Return the name with defaults filled in; it may be invalid (`Name.valid`)."""
    tag = _DEFAULTS["tag"]
    if text.rfind(":") > text.rfind("/"):
        text, _, tag = text.rpartition(":")
    # Another slash than the first two is part of the host, which allows none.
    before, _, model = text.rpartition("/")
    host, _, namespace = before.rpartition("/")
    host = host.partition("://")[2] or host
    if ("/" in text and not before) or ("/" in before and not (host and namespace)):
        return Name("", "", "", "")  # a part that a separator promised is missing
    return Name(host or _DEFAULTS["host"], namespace or _DEFAULTS["namespace"], model, tag)


def reference(text: str) -> Name:
    """Return the name a request means.

    Raises:
        Required, Unqualified, Cloud: It means none here.
    """
    text = text.strip()
    if not text:
        raise Required("model is required")
    before, colon, suffix = text.rpartition(":")
    if colon and suffix.lower() == "local":
        text = before
    elif colon and "/" not in suffix and re.search(r"(^|-)cloud$", suffix.lower()):
        raise Cloud("ollama cloud is disabled: remote inference is unavailable")
    name = parse(text)
    if not name.valid:
        raise Unqualified("invalid model name")
    return name


def existing(name: Name, known: Iterable[Name]) -> Name:
    """Return the name spelt as a known one: names match whatever their case (getExistingName)."""
    for other in known:
        for part in ("host", "namespace", "model", "tag"):
            spelt = getattr(other, part)
            if spelt.lower() == getattr(name, part).lower():
                name = replace(name, **{part: spelt})
    return name
