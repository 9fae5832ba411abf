"""Headers of GGUF files, with Ollama's errors (v0.33.0-rc2, fs/ggml/gguf.go and ggml.go)."""

import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tests.ollama_double.ggml_types import FILES, TENSORS

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q",
            12: "d"}  # fmt: skip
_STRING, _ARRAY = 8, 9


class NotGguf(ValueError):
    """The first bytes are not a GGUF's."""


class BadGguf(ValueError):
    """A GGUF that ends too early or contradicts itself; says it in Ollama's words."""


@dataclass(frozen=True, slots=True)
class Tensor:
    name: str
    type: str
    shape: list[int]
    elements: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF says of itself."""

    values: dict[str, Any]
    tensors: list[Tensor]

    @property
    def architecture(self) -> str:
        return str(self.values.get("general.architecture", "unknown"))

    @property
    def parameters(self) -> int:
        return sum(tensor.elements for tensor in self.tensors)

    @property
    def file_type(self) -> str:
        """`F16`, `Q4_K_M` and so on; `unknown` where the file does not say."""
        return FILES.get(self.values.get("general.file_type", -1), "unknown")

    @property
    def chat_template(self) -> str:
        return str(self.values.get("tokenizer.chat_template", ""))

    @property
    def pooled(self) -> bool:
        """Whether this is an embedding model (server/images.go Capabilities)."""
        return f"{self.architecture}.pooling_type" in self.values

    def own(self, key: str) -> Any:
        return self.values.get(f"{self.architecture}.{key}")


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def take(self, count: int) -> bytes:
        end = self.position + count
        if end > len(self._data):
            at_end = self.position >= len(self._data)
            raise BadGguf("EOF" if at_end else "unexpected EOF")
        taken = self._data[self.position : end]
        self.position = end
        return taken

    def scalar(self, form: str) -> Any:
        return struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}")))[0]

    def text(self) -> str:
        return self.take(self.scalar("Q")).decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            inner, count = self.scalar("I"), self.scalar("Q")
            if inner not in _SCALARS:
                return [self.value(inner) for _ in range(count)]
            form = f"<{count}{_SCALARS[inner]}"
            return list(struct.unpack(form, self.take(struct.calcsize(form))))
        if kind not in _SCALARS:
            raise BadGguf(f"invalid type: {kind}")
        return self.scalar(_SCALARS[kind])


@lru_cache(maxsize=32)
def read(path: Path) -> Header:
    """Read a header; a blob never changes, so it is read once.

    Raises:
        FileNotFoundError: There is no such file.
        NotGguf: It is something else.
        BadGguf: It is broken.
    """
    data = path.read_bytes()
    if data[:4] != b"GGUF":
        raise NotGguf("supplied file was not in GGUF format")
    reader = _Reader(data)
    reader.take(8)
    tensors, pairs = reader.scalar("Q"), reader.scalar("Q")
    values = {}
    for _ in range(pairs):
        key = reader.text()
        values[key] = reader.value(reader.scalar("I"))
    ends: list[tuple[str, int]] = []
    listed = [_tensor(reader, ends) for _ in range(tensors)]
    alignment = int(values.get("general.alignment", 32))
    start = -(-reader.position // alignment) * alignment
    for name, end in ends:
        if start + end > len(data):
            raise BadGguf(
                f'tensor "{name}" offset+size ({start + end}) exceeds file size ({len(data)})'
            )
    return Header(values, listed)


def _tensor(reader: _Reader, ends: list[tuple[str, int]]) -> Tensor:
    name = reader.text()
    shape = [reader.scalar("Q") for _ in range(reader.scalar("I"))]
    kind, offset, elements = reader.scalar("I"), reader.scalar("Q"), 1
    for side in shape:
        elements *= side
    if kind not in TENSORS:
        raise BadGguf(f'tensor "{name}" has an unknown type {kind}')
    called, block, size = TENSORS[kind]
    ends.append((name, offset + elements // block * size))
    return Tensor(name, called, shape, elements)


def human(number: int) -> str:
    """Return a count as Ollama shows it (format/format.go HumanNumber)."""
    for factor, letter in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K")):
        if number >= factor:
            value = number / factor
            places = 0 if value >= 100 else 1 if value >= 10 else 2
            return f"{value:.{places}f}{letter}"
    return str(number)
