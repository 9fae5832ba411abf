"""The name a shipped GGUF goes by: `{client}-{task}-{base}-{version}-q4km.gguf`."""

import re
import unicodedata

LONGEST_PART = 48
"""Letters of one part: five parts stay far below the 255 bytes of a file name."""

_OTHER = re.compile(r"[^a-z0-9.]+")
_DOTS = re.compile(r"\.+(?![0-9])|(?<![0-9])\.+")


def delivery_name(*, client: str, task: str, base: str, version: str, quantization: str) -> str:
    """Return the file name of a shipped model, in lower case.

    Args:
        client: The engagement's short name.
        task: What the model does, for example `triage`.
        base: Name of the base model, with or without the organisation before a slash.
        version: For example `v3`.
        quantization: For example `Q4_K_M`.

    Source: book, ch. 5 (April 2026).
    """
    parts = [client, task, base.rsplit("/", 1)[-1], version]
    kind = quantization.lower().replace("_", "")
    return "-".join([*(part(each) for each in parts), part(kind)]) + ".gguf"


def part(text: str) -> str:
    """Return a text as one part of a name: letters, digits, and dots between digits.

    Accents are dropped; what is left of nothing is `x`, so that the parts keep their places.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    joined = _DOTS.sub("-", _OTHER.sub("-", plain)).strip("-")
    joined = re.sub("-+", "-", joined)[:LONGEST_PART].strip("-.")
    return joined or "x"
