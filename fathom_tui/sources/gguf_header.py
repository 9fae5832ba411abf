"""The header of a GGUF: its settings and what its tensors measure, in milliseconds.

The package `gguf` turns every token of the vocabulary into an object, which takes seconds on a
large one; here they are stepped over. Layout: the GGUF specification, versions 2 and 3
(https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
"""

import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from fathom_tui.errors import UsageError

_MAGIC = b"GGUF"
_STRING, _ARRAY = 8, 9
_NUMBERS = {
    **{0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i"},
    **{6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"},
}
_LONGEST_KEPT = 4_096
"""Arrays up to this length are returned: one number a layer, not one a token."""
_MOST = 100_000_000
"""No count in a header is larger."""

_DAMAGED = (
    *(struct.error, EOFError, ValueError, TypeError, OverflowError, MemoryError),
    RecursionError,  # arrays within arrays without end
)
"""What reading raises where bytes are no header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a GGUF says of itself."""

    settings: dict[str, Any]
    """Without long arrays and arrays of text."""
    tensors: dict[str, tuple[int, ...]]
    """Shapes by name, the length of a row first."""
    kinds: dict[str, int]
    """Types by name, as ggml numbers them: 0 is float32, 1 float16."""
    weights: int
    """Bytes of the tensors."""

    @property
    def parameters(self) -> int:
        """Numbers in the tensors; those of the rotary embedding are no parameters."""
        return sum(prod(shape) for name, shape in self.tensors.items() if "rope" not in name)


def read_header(path: Path) -> Header:
    """Read a GGUF's header.

    Raises:
        UsageError: The file is no GGUF, of a version unknown here, cut short, or damaged.
    """
    try:
        with path.open("rb") as file:
            return _Reader(file, path).header()
    except _DAMAGED as error:
        raise UsageError(
            f"{path} is cut short or damaged within its header.", fix="Download the file again."
        ) from error


class _Reader:
    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.file, self.path = file, path
        self.order = "<"

    def header(self) -> Header:
        """Read everything before the tensors' bytes."""
        if self.file.read(4) != _MAGIC:
            raise UsageError(
                f"{self.path} is no GGUF: it does not begin with 'GGUF'.",
                fix="Name a GGUF, or a Hugging Face directory.",
            )
        version = self._number("I")
        if version > 0xFFFF:  # written on a machine of the other byte order
            self.order, version = ">", struct.unpack(">I", struct.pack("<I", version))[0]
        if version not in (2, 3):
            raise UsageError(
                f"{self.path} is a GGUF of version {version}; versions 2 and 3 can be read.",
                fix="Convert the model again with a recent llama.cpp.",
            )
        tensors, keys = self._count(), self._count()
        settings = {key: value for key, value in (self._pair() for _ in range(keys)) if value != ()}
        shapes, kinds, last = self._tensors(tensors)
        alignment = int(settings.get("general.alignment", 32)) or 32
        begin = -(-self.file.tell() // alignment) * alignment
        weights = self.path.stat().st_size - begin
        if shapes and weights <= last:
            raise UsageError(
                f"{self.path} is cut short: a tensor begins {last:,} bytes after its header, and "
                f"only {max(0, weights):,} are there.",
                fix="Download the file again.",
            )
        return Header(
            settings=settings, tensors=shapes, kinds=kinds, weights=weights if shapes else 0
        )

    def _tensors(self, count: int) -> tuple[dict[str, tuple[int, ...]], dict[str, int], int]:
        """Return the shapes, the types, and where the last tensor begins."""
        shapes, kinds, last = {}, {}, 0
        for _ in range(count):
            name = self._text()
            shapes[name] = tuple(self._number("Q") for _ in range(self._number("I") & 0xF))
            kinds[name] = self._number("I")
            last = max(last, self._number("Q"))
        return shapes, kinds, last

    def _pair(self) -> tuple[str, Any]:
        key = self._text()
        return key, self._value(self._number("I"))

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._text()
        if kind == _ARRAY:
            return self._array()
        if kind not in _NUMBERS:
            raise EOFError
        return self._number(_NUMBERS[kind])

    def _array(self) -> tuple[Any, ...]:
        """Return a short array of numbers; step over any other and return nothing."""
        kind, length = self._number("I"), self._count()
        if kind in _NUMBERS:
            letter = _NUMBERS[kind]
            if length <= _LONGEST_KEPT:
                return tuple(self._number(letter) for _ in range(length))
            self.file.seek(length * struct.calcsize(f"={letter}"), 1)
        elif kind == _STRING:
            for _ in range(length):
                self.file.seek(self._count(), 1)
        else:
            for _ in range(length):
                self._value(kind)
        return ()

    def _text(self) -> str:
        return self._bytes(self._count()).decode("utf-8")

    def _count(self) -> int:
        count: int = self._number("Q")
        if count > _MOST:
            raise EOFError
        return count

    def _number(self, letter: str) -> Any:
        return struct.unpack(self.order + letter, self._bytes(struct.calcsize(f"={letter}")))[0]

    def _bytes(self, count: int) -> bytes:
        found = self.file.read(count)
        if len(found) != count:
            raise EOFError
        return found
