"""The licence of a base model: what it is, where that is known from, what it asks of a delivery.

A licence that nobody can name is said to be unknown; it is never guessed from a family's name.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fathom_tui.catalog_types import Model

APACHE = "Apache-2.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """What is known of a base model's licence."""

    name: str | None
    """SPDX id where there is one, else the licence's name; None is unknown."""
    source: str
    """Where the name is from; empty where it is unknown."""
    conditions: tuple[str, ...]
    """What passing the model on asks for, a sentence each."""
    commercial: bool | None
    """Whether it may be used and passed on commercially; None is unknown."""
    text: str | None = None
    """The licence itself; None where the model came without it."""

    @property
    def allows_delivery(self) -> bool | None:
        """Whether the model may be handed to a client for their work; None is unknown."""
        return None if self.name is None else self.commercial


_CONDITIONS: Mapping[str, tuple[str, ...]] = {
    APACHE: (
        "Keep this licence, and a NOTICE file if the base model has one, with the weights "
        "(section 4a and 4d).",
        "Say that the files were changed (section 4b): they were fine-tuned and quantised, which "
        "this sentence says.",
        "It gives no right to the publisher's names and marks, and no warranty (sections 6, 7).",
    ),
    "MIT": ("Keep the publisher's copyright line and the licence's text with every copy.",),
    "CC-BY-NC-4.0": (
        "Name the publisher, link to the licence and say that the model was changed.",
        "No commercial use, by the client either.",
    ),
    "Llama": (
        "Hand on a copy of the agreement and its notice, and show \u201cBuilt with Llama\u201d.",
        "The name of a derived model begins with Llama.",
        "The acceptable use policy binds whoever uses the model.",
    ),
    "Gemma": (
        "Hand on the terms, and bind whoever gets the model to their list of prohibited uses.",
        "Say in the files that they were changed.",
    ),
}
"""By SPDX id, or by the first word of a licence of its own. Sources: the licences' texts."""

_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---", re.DOTALL)
_FIELD = re.compile(r"^(license|license_name):\s*[\"']?([A-Za-z0-9][A-Za-z0-9 ._-]*)", re.MULTILINE)
_SPDX = {"apache-2.0": APACHE, "mit": "MIT", "cc-by-nc-4.0": "CC-BY-NC-4.0"}
_COMMERCIAL = {APACHE: True, "MIT": True, "CC-BY-NC-4.0": False}


def licence_of(
    *, card: str = "", text: str | None = None, row: Model | None = None, apache: str = ""
) -> Licence:
    """Return what is known of a base model's licence, the strongest source first.

    Args:
        card: The model's README as its publisher wrote it; empty where there is none.
        text: The LICENSE file beside the model; None where there is none.
        row: The catalog's row of that name; None where it has none.
        apache: The text of Apache-2.0, for a model that came without it.
    """
    said = declared(card)
    name = said or (row.licence if row is not None else None)
    if name is None:
        return Licence(
            name=None,
            source="",
            conditions=("Find out under which licence the base model is, before it is handed on.",),
            commercial=None,
            text=text,
        )
    source = "the model card beside the model"
    if said is None and row is not None:
        where = f"{row.origin.source}, {row.origin.as_of}"
        source = f"the catalog's row {row.name}, by the model's name: {where}"
    matching = row if row is not None and row.licence == name else None
    note = matching.licence_note if matching else ""
    commercial = _COMMERCIAL.get(name, matching.commercial if matching else None)
    return Licence(
        name=name,
        source=source,
        conditions=tuple(filter(None, (*_conditions(name), note))),
        commercial=commercial,
        text=text or (apache if name == APACHE and apache else None),
    )


def declared(card: str) -> str | None:
    """Return the licence that a model card names in its front matter, or None."""
    front = _FRONT_MATTER.match(card)
    fields = dict(_FIELD.findall(front[1])) if front else {}
    # `license: other` is the hub's way of saying that the name stands in the next field.
    name = fields.get("license_name") if fields.get("license") == "other" else fields.get("license")
    return None if name in (None, "", "other", "unknown") else _SPDX.get(name.lower(), name)


def _conditions(name: str) -> tuple[str, ...]:
    """Return the conditions of a licence; one of its own goes by the name it begins with."""
    if name in _CONDITIONS:
        return _CONDITIONS[name]
    own = (key for key in ("Llama", "Gemma") if name.lower().startswith(key.lower()))
    return _CONDITIONS.get(next(own, ""), ())


def licence_file(licence: Licence, base: str) -> str:
    """Return the file LICENSE of a package: what is known, what it asks for, and the text."""
    name = licence.name or "unknown"
    lines = [f"Licence of the base model {base}: {name}"]
    if licence.source:
        lines.append(f"Known from: {licence.source}")
    lines += ["", "Conditions of passing it on:"]
    lines += [f"- {each}" for each in licence.conditions] or ["- read the licence"]
    if licence.commercial is False:
        lines.append("- COMMERCIAL USE IS NOT ALLOWED: ask the publisher before this is handed on.")
    if licence.allows_delivery is None:
        lines.append("- Whether it may be handed on to a client is unknown.")
    lines.append("")
    if licence.text is None:
        lines.append("The licence's text did not come with the model: get it from its publisher.")
    else:
        lines += ["-" * 80, "", licence.text.strip("\n")]
    return "\n".join(lines) + "\n"
